/** Random instructions from the rows of src/isa, with registers set so that most of them do something. */
import { Decoder } from '../../src/cpu/decode/decoder.ts';
import { cpuModel } from '../../src/cpu/model.ts';
import { INSTRUCTION_TABLE, INSTRUCTIONS } from '../../src/isa/index.ts';
import { addressTarget } from '../vectors/addressing.ts';
import { DATA_BASE, DATA_SIZE, type Mode, type ProcessorState } from '../vectors/case.ts';
import type { EncodedInstruction, Encoding } from '../vectors/encoding.ts';
import type { Random } from '../vectors/random.ts';
import { encodingsOf } from '../vectors/rows.ts';
import { integer } from '../vectors/values.ts';
import type { Emitter } from './emitter.ts';
import { DATA_PAGE, type Flavour, type Layout, MENDABLE_PAGES, PAGE, ripBase } from './flavours.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;

/** Branches are made by the program's structure; these would only lose control. */
const BRANCHES = /^(J\w+|LOOP\w*|CALL|RET|UD\d|HLT) /;
/** Without privilege they fault, with it they change the world. */
const PRIVILEGED = /(^(CLI|STI|SWAPGS) | cpl0\b)/;

/** What sets flags, and what looks at them. */
const SETS_FLAGS =
  /^(ADD|ADC|SUB|SBB|CMP|INC|DEC|NEG|AND|OR|XOR|TEST|SHL|SHR|SAR|ROL|ROR|RCL|RCR|SHLD|SHRD|BT|BTS|BTR|BTC|XADD|CMPXCHG|MUL|IMUL|BSF|BSR|POPCNT|U?COMIS[SD]|PTEST|F?U?COMIP?) /;
const READS_FLAGS = /^(SETcc|CMOVcc|ADC|SBB|RCL|RCR|LAHF|PUSHF|FCMOV\w+|INC|DEC|CMC|SALC|DAA|AAA|SHL|ROL) /;

interface Pools {
  readonly setsFlags: readonly Encoding[];
  readonly readsFlags: readonly Encoding[];
  readonly integer: readonly Encoding[];
  readonly sse: readonly Encoding[];
  readonly x87: readonly Encoding[];
  readonly mmx: readonly Encoding[];
  readonly privileged: readonly Encoding[];
}

const pools = new Map<Mode, Pools>();

function poolsFor(mode: Mode): Pools {
  const known = pools.get(mode);
  if (known) return known;
  const all = [...encodingsOf(INSTRUCTIONS).encodings()].filter(
    ({ name, modes }) => modes.includes(mode) && !BRANCHES.test(name),
  );
  const free = all.filter(({ name }) => !PRIVILEGED.test(name));
  const made: Pools = {
    setsFlags: free.filter(({ name }) => SETS_FLAGS.test(name)),
    readsFlags: free.filter(({ name }) => READS_FLAGS.test(name)),
    integer: free.filter(({ unit }) => unit === undefined),
    sse: free.filter(({ unit }) => unit === 'sse'),
    x87: free.filter(({ unit }) => unit === 'x87'),
    mmx: free.filter(({ unit }) => unit === 'mmx'),
    privileged: all.filter(({ name }) => PRIVILEGED.test(name)),
  };
  pools.set(mode, made);
  return made;
}

const decoder = new Decoder(INSTRUCTION_TABLE, cpuModel('amd').features);
const OPERAND_SIZE = 0x66;
const ADDRESS_SIZE = 0x67;

/** The bytes of a 32-bit instruction as 16-bit code that takes as many, with size prefixes if need be. */
function as16(random: Random, bytes: Uint8Array): Uint8Array | undefined {
  const order = random.below(4);
  for (let i = 0; i < 4; i++) {
    const prefixes = [[], [OPERAND_SIZE], [ADDRESS_SIZE], [OPERAND_SIZE, ADDRESS_SIZE]][(order + i) & 3];
    const candidate = Uint8Array.from([...prefixes, ...bytes]);
    if (decoder.decode(candidate, 0, candidate.length, 16, false) === 'ok' && decoder.out.length === candidate.length)
      return candidate;
  }
  return undefined;
}

/** What instructions are made of. */
export interface InstructionSource {
  readonly random: Random;
  readonly flavour: Flavour;
  readonly layout: Layout;
  readonly emitter: Emitter;
  /** The state the program starts with, for bases of FS and GS. */
  readonly state: ProcessorState;
  /** Of a hundred memory operands, how many are aimed outside the data window. */
  readonly wildness: number;
}

/** A linear address for an operand: in the data window, across its pages, or in a page that is special. */
export function dataTarget({ random, layout, wildness }: InstructionSource, size: number): number {
  if (random.below(100) >= wildness) {
    const within = random.below(DATA_SIZE - size + 1);
    return layout.data + (random.oneIn(size >= 16 ? 25 : 3) ? within : within & -16);
  }
  if (random.oneIn(4)) return Number(addressTarget(random, size, false)) - DATA_BASE + layout.data;
  const page = random.below(MENDABLE_PAGES + 1);
  const edge = random.oneIn(2) ? -random.below(size + 1) : random.below(PAGE - size);
  return layout.data + page * PAGE + edge;
}

/** Picks an encoding by unit. */
function pick({ random, flavour }: InstructionSource): Encoding {
  const { integer: general, sse, x87, mmx, privileged } = poolsFor(flavour.bits === 64 ? 64 : 32);
  const choice = random.below(200);
  if (choice < 110) return random.pick(general);
  if (choice < 165) return random.pick(sse);
  if (choice < 187) return random.pick(x87);
  if (choice < 198 || flavour.cpl === 0) return random.pick(mmx);
  return random.pick(privileged);
}

/** Sets base and index of a memory operand so that it has a target. */
function aim(source: InstructionSource, memory: NonNullable<EncodedInstruction['memory']>, at: number): void {
  const { random, layout, emitter, flavour, state } = source;
  const { base, index, addressBits, displacement } = memory;
  const bias = flavour.bits === 64 ? segmentBase(memory.segment, state) : BigInt(layout.dsBase);
  let rest = BigInt(at) - bias - displacement;
  const scale = BigInt(memory.scale);
  const fit = (value: bigint): bigint => BigInt.asUintN(addressBits, value);
  if (index !== undefined && index === base) {
    emitter.load(index, fit(rest / (scale + 1n)));
    return;
  }
  if (index !== undefined && index !== RSP) {
    const value = base === undefined ? rest / scale : BigInt(random.between(-64, 256));
    emitter.load(index, fit(value));
    rest -= value * scale;
  }
  if (base !== undefined && base !== RSP) emitter.load(base, fit(rest));
}

const segmentBase = (segment: 'fs' | 'gs' | undefined, { fsBase, gsBase }: ProcessorState): bigint =>
  segment === 'fs' ? fsBase : segment === 'gs' ? gsBase : 0n;

function setUpFamily(source: InstructionSource, encoded: EncodedInstruction, name: string): void {
  const { random, layout, emitter } = source;
  const pointer = (register: number) =>
    emitter.load(register, BigInt(dataTarget(source, 16) - layout.dsBase) & 0xffff_ffffn);
  switch (encoded.family) {
    case 'string':
      if (random.below(8) > 0) {
        pointer(RSI);
        pointer(RDI);
      }
      if (encoded.repeat || random.oneIn(4))
        emitter.load(RCX, BigInt(random.oneIn(10) ? random.below(3000) : random.below(12)));
      if (random.oneIn(8)) emitter.text('std');
      else if (random.oneIn(4)) emitter.text('cld');
      return;
    case 'divide':
      if (random.oneIn(5)) return;
      emitter.load(RAX, integer(random, 24));
      if (encoded.operandBits > 8) emitter.load(RDX, random.oneIn(4) ? integer(random, 64) & 0xffn : 0n);
      return;
    case 'stack':
      // LEAVE takes the stack pointer from RBP
      if (name.startsWith('LEAVE') && random.below(10) > 0)
        emitter.text(source.flavour.bits === 64 ? 'mov rbp, rsp' : 'mov ebp, esp');
      return;
    default:
      return;
  }
}

/** Whether an instruction may move the stack pointer where nothing brings it back. */
function losesStack({ registers }: EncodedInstruction, name: string): boolean {
  return registers.some(({ file, number }) => file === 'gpr' && number === RSP) || /^(LEAVE|POPA|ENTER) /.test(name);
}

const outside = (target: bigint): boolean => target < BigInt(DATA_BASE) || target > BigInt(DATA_BASE + DATA_SIZE - 16);

/** Emits one random instruction and what prepares it. */
export function emitInstruction(source: InstructionSource): void {
  while (!emitEncoding(source, pick(source)));
}

/** An instruction that sets flags, with operands that often are equal or nearly so, and one or two that read them. */
export function emitFlags(source: InstructionSource): void {
  const { random, flavour, emitter } = source;
  const { setsFlags, readsFlags } = poolsFor(flavour.bits === 64 ? 64 : 32);
  if (random.oneIn(3)) emitter.text(random.pick(['stc', 'clc', 'cmc']));
  while (!emitEncoding(source, random.pick(setsFlags), integer(random, 64)));
  for (let n = random.below(3); n > 0; n--) while (!emitEncoding(source, random.pick(readsFlags)));
}

/**
 * Emits an instruction and what prepares it; false if the encoding did not come out usable.
 * @param near a value that its general registers are to be close to
 */
function emitEncoding(source: InstructionSource, encoding: Encoding, near?: bigint): boolean {
  const { random, flavour, layout, emitter } = source;
  const mode = flavour.bits === 64 ? 64 : 32;
  const rip = BigInt(ripBase(layout) + emitter.at);
  const encoded = encoding.encode(random, { mode, rip, selfContained: random.oneIn(2) });
  const { memory } = encoded;
  if (losesStack(encoded, encoding.name) && random.below(20) > 0) return false;
  // a faulting operand that no register moves faults each time
  if (memory && outside(memory.target) && random.below(100) >= source.wildness) return false;
  const bytes = flavour.bits === 16 ? as16(random, encoded.bytes) : encoded.bytes;
  if (!bytes) return false;
  // beyond the limits of 16-bit segments
  const absolute = memory && memory.base === undefined && memory.index === undefined;
  if (absolute && flavour.bits === 16 && memory.addressBits !== 16 && random.below(100) > 0) return false;
  if (memory && 'ripRelative' in memory) {
    emitter.emit(bytes);
    return true;
  }
  setUpFamily(source, encoded, encoding.name);
  if (encoded.family === 'plain') setUpRegisters(source, encoded, near);
  if (memory && (memory.base !== undefined || memory.index !== undefined) && random.below(60) > 0)
    aim(source, memory, dataTarget(source, memory.size));
  emitter.emit(bytes);
  return true;
}

function setUpRegisters(
  { random, emitter }: InstructionSource,
  { registers }: EncodedInstruction,
  near?: bigint,
): void {
  for (const { values, number, file } of registers) {
    if (file !== 'gpr' || number === RSP) continue;
    if (values === 'bit-offset') emitter.load(number, BigInt.asUintN(64, BigInt(random.between(-0x1000, 0x1000))));
    else if (near === undefined) {
      if (random.oneIn(6)) emitter.load(number, integer(random, 64));
    } else if (random.oneIn(2)) emitter.load(number, BigInt.asUintN(64, near + BigInt(random.between(-1, 1))));
  }
}

/** An instruction of at most so many bytes that needs no preparation, filled up with NOPs. */
export function smallInstruction(source: InstructionSource, length: number): Uint8Array {
  const { random, flavour, layout } = source;
  const NOP = 0x90;
  for (;;) {
    const encoding = pick(source);
    if (PRIVILEGED.test(encoding.name)) continue;
    const mode = flavour.bits === 64 ? 64 : 32;
    const encoded = encoding.encode(random, { mode, rip: BigInt(ripBase(layout)), selfContained: true });
    const bytes = flavour.bits === 16 ? as16(random, encoded.bytes) : encoded.bytes;
    if (
      !bytes ||
      bytes.length > length ||
      encoded.memory ||
      encoded.family !== 'plain' ||
      losesStack(encoded, encoding.name)
    )
      continue;
    const filled = new Uint8Array(length).fill(NOP);
    filled.set(bytes, random.below(length - bytes.length + 1));
    return filled;
  }
}

/** Registers free for the program's own purposes: all but the stack pointer. */
export function anyRegister(random: Random): number {
  return random.pick([RAX, RCX, RDX, 3, RBP, RSI, RDI]);
}

/** Offset from the data segment's base of a page of the data window. */
export const pageOffset = (layout: Layout, page: keyof typeof DATA_PAGE): number =>
  layout.data - layout.dsBase + PAGE * DATA_PAGE[page];
