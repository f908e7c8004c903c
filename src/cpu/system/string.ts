/**
 * String instructions with a repeat prefix, and INS and OUTS (SDM vol. 1 7.3.9). A call works on the pages the operands
 * are on and leaves `nextRip` at the instruction if more remains, so that interrupts are seen between pages. Memory the
 * TLB knows as plain RAM is copied, filled and compared in place; everything else goes element by element.
 *
 * The registers follow every completed element, also when the next one faults.
 */
import { StringOperation } from '../../isa/helpers.ts';
import { RAX, RCX, RDI, RSI } from '../../isa/stage.ts';
import { ES, FS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { word } from '../state.ts';
import { copyElements, type ElementBytes, elementAt, replicate } from './elements.ts';
import type { PortAccess } from './hooks.ts';
import { checkPort } from './io.ts';
import { arenaOf, fillPlainAddress, plainAddress, READ, WRITE } from './plain-memory.ts';
import { DR7, FLAG, is64BitMode, maskOf, readRegister, systemFlags, writeRegister } from './registers.ts';
import { linearAddress, SegmentAccess, segmentBase } from './segments.ts';

const PAGE_SIZE = 0x1000;
const PAGE_OFFSET = 0xfffn;
/** Most elements considered at once; page ends come first. */
const MANY = 0x1000_0000n;
const REPEAT_NOT_EQUAL = 2;
const DR7_WORD = word('dr7');

/** The operation in progress. */
interface Run {
  readonly bytes: ElementBytes;
  readonly bits: number;
  readonly addressBits: number;
  /** Segment of the source. */
  readonly segment: number;
  /** 0 none, 1 REP/REPE, 2 REPNE. */
  readonly repeat: number;
  /** DF set: towards lower addresses. */
  readonly backward: boolean;
  /** Elements left, at least one. */
  readonly remaining: number;
  /** Elements completed in this call. */
  done: number;
  /** CMPS and SCAS: the condition has ended the repetition. */
  ended: boolean;
}

// --- operands

/** Arena address of a byte in plain memory up to the end of its page, 0 if it is not plain. Faults like an access. */
function arenaAddress(cpu: Cpu, linear: bigint, write: boolean): number {
  const low = Number(BigInt.asIntN(32, linear));
  const high = Number(BigInt.asIntN(32, linear >> 32n));
  return fillPlainAddress(cpu, arenaOf(cpu).words, low, high, write ? WRITE : READ);
}

/** One memory operand: through a segment at an index register. */
class Operand {
  readonly linear: bigint;
  /** Elements from here on that lie on this page, inside the segment and before the index register wraps. */
  readonly length: number;

  constructor(cpu: Cpu, run: Run, segment: number, register: number, write: boolean) {
    const { bytes, backward, addressBits } = run;
    const offset = readRegister(cpu, register, addressBits);
    const wide = is64BitMode(cpu);
    const base = segmentBase(cpu, segment);
    this.linear = (base + offset) & maskOf(wide ? 64 : 32);
    const pageOffset = Number(this.linear & PAGE_OFFSET);
    const above = PAGE_SIZE - pageOffset;
    let length = above < bytes ? 0 : backward ? Math.floor(pageOffset / bytes) + 1 : Math.floor(above / bytes);
    if (!wide || addressBits !== 64) {
      // Offsets are below 2^32 here.
      const position = Number(offset);
      const wrap = addressBits === 16 ? 0x1_0000 : 0x1_0000_0000;
      const { readEnd, writeEnd } = cpu.segments[segment];
      const end = wide ? wrap : Math.min(wrap, Number(write ? writeEnd : readEnd));
      if (position + bytes > end) length = 0;
      else if (backward) length = Math.min(length, Math.floor(position / bytes) + 1);
      else length = Math.min(length, Math.floor((end - position) / bytes));
    }
    this.length = length;
  }
}

/** The linear address of the element `run.done` elements on, checked against its segment. */
function elementAddress(cpu: Cpu, run: Run, segment: number, register: number, access: number): bigint {
  const distance = BigInt(run.done * run.bytes);
  const start = readRegister(cpu, register, run.addressBits);
  const offset = (run.backward ? start - distance : start + distance) & maskOf(run.addressBits);
  return linearAddress(cpu, segment, offset, run.bytes, access);
}

function readElement(cpu: Cpu, linear: bigint, bytes: ElementBytes): bigint {
  if (bytes === 8) return cpu.linear.readU64(linear);
  if (bytes === 4) return BigInt(cpu.linear.readU32(linear));
  return BigInt(bytes === 2 ? cpu.linear.readU16(linear) : cpu.linear.readU8(linear));
}

function writeElement(cpu: Cpu, linear: bigint, bytes: ElementBytes, value: bigint): void {
  if (bytes === 8) cpu.linear.writeU64(linear, value);
  else if (bytes === 4) cpu.linear.writeU32(linear, Number(value));
  else if (bytes === 2) cpu.linear.writeU16(linear, Number(value));
  else cpu.linear.writeU8(linear, Number(value));
}

const readSource = (cpu: Cpu, run: Run): bigint =>
  readElement(cpu, elementAddress(cpu, run, run.segment, RSI, SegmentAccess.READ), run.bytes);
const readDestination = (cpu: Cpu, run: Run): bigint =>
  readElement(cpu, elementAddress(cpu, run, ES, RDI, SegmentAccess.READ), run.bytes);
const writeDestination = (cpu: Cpu, run: Run, value: bigint): void =>
  writeElement(cpu, elementAddress(cpu, run, ES, RDI, SegmentAccess.WRITE), run.bytes, value);

/** Does single elements up to `count`, at least one. */
function oneByOne(run: Run, count: number, element: () => void): void {
  const end = Math.max(1, Math.min(count, run.remaining));
  while (run.done < end && !run.ended) {
    element();
    run.done++;
  }
}

// --- MOVS and STOS

function movs(cpu: Cpu, run: Run): void {
  const source = new Operand(cpu, run, run.segment, RSI, false);
  const target = new Operand(cpu, run, ES, RDI, true);
  const count = Math.min(run.remaining, source.length, target.length);
  if (count > 0) {
    // Faults come in the order of the accesses; making the target writable may give the source's page a new place.
    const readable = arenaAddress(cpu, source.linear, false) !== 0;
    const to = arenaAddress(cpu, target.linear, true);
    const from = readable && to !== 0 ? arenaAddress(cpu, source.linear, false) : 0;
    if (from !== 0) {
      copyElements(cpu, from, to, count, run.bytes, run.backward);
      run.done = count;
      return;
    }
  }
  oneByOne(run, count, () => writeDestination(cpu, run, readSource(cpu, run)));
}

function stos(cpu: Cpu, run: Run): void {
  const value = readRegister(cpu, RAX, run.bits);
  const target = new Operand(cpu, run, ES, RDI, true);
  const count = Math.min(run.remaining, target.length);
  const to = count > 0 ? arenaAddress(cpu, target.linear, true) : 0;
  if (to === 0) {
    oneByOne(run, count, () => writeDestination(cpu, run, value));
    return;
  }
  const length = count * run.bytes;
  const start = run.backward ? to - length + run.bytes : to;
  if (value === 0n || run.bytes === 1) cpu.bytes.fill(Number(value & 0xffn), start, start + length);
  else {
    let rest = value;
    for (let i = 0; i < run.bytes; i++, rest >>= 8n) cpu.bytes[start + i] = Number(rest & 0xffn);
    replicate(cpu.bytes, start, run.bytes, length);
  }
  run.done = count;
}

function lods(cpu: Cpu, run: Run): void {
  const source = new Operand(cpu, run, run.segment, RSI, false);
  oneByOne(run, source.length, () => writeRegister(cpu, RAX, run.bits, readSource(cpu, run)));
}

// --- CMPS and SCAS

const FLAG_RESULT = word('flagResult');
const FLAG_CARRIES = word('flagCarries');
const FLAG_KIND = word('flagKind');

/** The flags of a - b. */
function compare(cpu: Cpu, a: bigint, b: bigint, bits: number): void {
  const result = BigInt.asUintN(bits, a - b);
  const carry = a < b ? 1 : 0;
  const overflow = Number((((a ^ b) & (a ^ result)) >> BigInt(bits - 1)) & 1n);
  const auxiliary = Number(((a ^ b ^ result) >> 4n) & 1n);
  const extended = BigInt.asUintN(64, BigInt.asIntN(bits, result));
  cpu.u32[FLAG_KIND] = 0;
  cpu.u32[FLAG_RESULT] = Number(extended & 0xffff_ffffn);
  cpu.u32[FLAG_RESULT + 1] = Number(extended >> 32n);
  cpu.u32[FLAG_CARRIES] = auxiliary << 3;
  cpu.u32[FLAG_CARRIES + 1] = (carry << 31) | ((carry ^ overflow) << 30);
}

/** Whether the repetition ends with these elements, which decide the flags then. */
const endsRepeat = (run: Run, equal: boolean): boolean =>
  run.repeat !== 0 && equal === (run.repeat === REPEAT_NOT_EQUAL);

/** Compares elements in the arena until the repetition ends; gives how many, and sets `run.ended`. */
function scan(run: Run, count: number, equalAt: (distance: number) => boolean): number {
  const step = run.backward ? -run.bytes : run.bytes;
  for (let i = 0; i < count; i++) {
    if (endsRepeat(run, equalAt(i * step))) {
      run.ended = true;
      return i + 1;
    }
  }
  return count;
}

function cmps(cpu: Cpu, run: Run): void {
  const { bytes, bits } = run;
  const source = new Operand(cpu, run, run.segment, RSI, false);
  const target = new Operand(cpu, run, ES, RDI, false);
  const count = Math.min(run.remaining, source.length, target.length);
  const first = count > 0 ? arenaAddress(cpu, source.linear, false) : 0;
  const second = first !== 0 ? arenaAddress(cpu, target.linear, false) : 0;
  if (second === 0) {
    oneByOne(run, count, () => {
      const a = readSource(cpu, run);
      const b = readDestination(cpu, run);
      compare(cpu, a, b, bits);
      run.ended = endsRepeat(run, a === b);
    });
    return;
  }
  const { view } = arenaOf(cpu);
  const at = (address: number) => elementAt(view, address, bytes);
  run.done = scan(run, count, (distance) => at(first + distance) === at(second + distance));
  const last = (run.done - 1) * (run.backward ? -bytes : bytes);
  compare(cpu, BigInt(at(first + last)), BigInt(at(second + last)), bits);
}

function scas(cpu: Cpu, run: Run): void {
  const { bytes, bits } = run;
  const wanted = readRegister(cpu, RAX, bits);
  const target = new Operand(cpu, run, ES, RDI, false);
  const count = Math.min(run.remaining, target.length);
  const place = count > 0 ? arenaAddress(cpu, target.linear, false) : 0;
  if (place === 0) {
    oneByOne(run, count, () => {
      const b = readDestination(cpu, run);
      compare(cpu, wanted, b, bits);
      run.ended = endsRepeat(run, wanted === b);
    });
    return;
  }
  const { view } = arenaOf(cpu);
  const value = bytes === 8 ? wanted : Number(wanted);
  run.done = scan(run, count, (distance) => elementAt(view, place + distance, bytes) === value);
  const last = (run.done - 1) * (run.backward ? -bytes : bytes);
  compare(cpu, wanted, BigInt(elementAt(view, place + last, bytes)), bits);
}

// --- INS and OUTS

function portAccess(cpu: Cpu, run: Run, input: boolean): PortAccess {
  return {
    port: Number(readRegister(cpu, 2, 16)),
    bytes: run.bytes as PortAccess['bytes'],
    input,
    string: true,
    repeat: run.repeat !== 0,
    segment: input ? ES : run.segment,
    addressBits: run.addressBits,
  };
}

function ins(cpu: Cpu, run: Run): void {
  const access = portAccess(cpu, run, true);
  const target = new Operand(cpu, run, ES, RDI, true);
  oneByOne(run, target.length, () => {
    checkPort(cpu, access);
    const linear = elementAddress(cpu, run, ES, RDI, SegmentAccess.WRITE);
    // What the port gives must not get lost to a fault.
    cpu.linear.probe(linear, run.bytes, 'w');
    writeElement(cpu, linear, run.bytes, BigInt(cpu.ports.readPort(access.port, access.bytes) >>> 0));
  });
}

function outs(cpu: Cpu, run: Run): void {
  const access = portAccess(cpu, run, false);
  const source = new Operand(cpu, run, run.segment, RSI, false);
  oneByOne(run, source.length, () => {
    checkPort(cpu, access);
    cpu.ports.writePort(access.port, access.bytes, Number(readSource(cpu, run)));
  });
}

// --- all together

interface Operation {
  execute(cpu: Cpu, run: Run): void;
  readonly source: boolean;
  readonly destination: boolean;
}

const OPERATIONS: readonly Operation[] = (() => {
  const table: Record<keyof typeof StringOperation, Operation> = {
    MOVS: { execute: movs, source: true, destination: true },
    STOS: { execute: stos, source: false, destination: true },
    LODS: { execute: lods, source: true, destination: false },
    CMPS: { execute: cmps, source: true, destination: true },
    SCAS: { execute: scas, source: false, destination: true },
    INS: { execute: ins, source: false, destination: true },
    OUTS: { execute: outs, source: true, destination: false },
  };
  const list: Operation[] = [];
  for (const name of Object.keys(table) as (keyof typeof StringOperation)[]) list[StringOperation[name]] = table[name];
  return list;
})();

/** Moves the index and count registers past the completed elements. */
function commit(cpu: Cpu, run: Run, operation: Operation): void {
  if (run.done === 0) return;
  const { addressBits } = run;
  const distance = BigInt(run.done * run.bytes);
  const move = (register: number) => {
    const index = cpu.gpr[register];
    const moved = run.backward ? index - distance : index + distance;
    writeRegister(cpu, register, addressBits, moved & maskOf(addressBits));
  };
  if (operation.source) move(RSI);
  if (operation.destination) move(RDI);
  if (run.repeat === 0) return;
  const left = readRegister(cpu, RCX, addressBits) - BigInt(run.done);
  writeRegister(cpu, RCX, addressBits, left);
  if (left !== 0n && !run.ended) cpu.nextRip = cpu.rip;
}

/** Single stepping and breakpoints trap between elements (SDM vol. 3B 18.3.1.4). */
const watched = (cpu: Cpu): boolean => (systemFlags(cpu) & FLAG.TF) !== 0 || (cpu.u32[DR7_WORD] & DR7.ENABLES) !== 0;

const GPR = word('gpr');
const RIP = word('rip');
const NEXT_RIP = word('nextRip');

/** Moves a 64-bit register up. */
function raise(u32: Uint32Array, register: number, bytes: number): void {
  const at = GPR + 2 * register;
  const sum = u32[at] + bytes;
  u32[at] = sum;
  if (sum > 0xffff_ffff) u32[at + 1]++;
}

/**
 * REP MOVS and REP STOS upwards with 64-bit addresses between plain pages, without BigInt: kernels copy and clear with
 * them, often a few bytes at a time. False, with nothing done, if the general way must be taken.
 */
function quickly(cpu: Cpu, operation: number, bytes: ElementBytes, segment: number): boolean {
  const { u32 } = cpu;
  const { words } = arenaOf(cpu);
  const target = u32[GPR + 2 * RDI];
  let count = Math.floor((PAGE_SIZE - (target & (PAGE_SIZE - 1))) / bytes);
  if (u32[GPR + 2 * RCX + 1] === 0) count = Math.min(count, u32[GPR + 2 * RCX]);
  if (operation === StringOperation.MOVS) {
    // Overrides other than FS and GS mean nothing here.
    if (segment >= FS) return false;
    const source = u32[GPR + 2 * RSI];
    count = Math.min(count, Math.floor((PAGE_SIZE - (source & (PAGE_SIZE - 1))) / bytes));
    if (count === 0) return false;
    const to = plainAddress(cpu, words, target | 0, u32[GPR + 2 * RDI + 1] | 0, WRITE);
    const from = plainAddress(cpu, words, source | 0, u32[GPR + 2 * RSI + 1] | 0, READ);
    if (to === 0 || from === 0) return false;
    copyElements(cpu, from, to, count, bytes, false);
    raise(u32, RSI, count * bytes);
  } else {
    if (count === 0) return false;
    const to = plainAddress(cpu, words, target | 0, u32[GPR + 2 * RDI + 1] | 0, WRITE);
    const low = u32[GPR + 2 * RAX];
    const filler = bytes === 1 ? low & 0xff : 0;
    const zero = low === 0 && u32[GPR + 2 * RAX + 1] === 0;
    if (to === 0 || (bytes !== 1 && !zero)) return false;
    cpu.bytes.fill(filler, to, to + count * bytes);
  }
  raise(u32, RDI, count * bytes);
  const left = u32[GPR + 2 * RCX] - count;
  u32[GPR + 2 * RCX] = left;
  if (left < 0) u32[GPR + 2 * RCX + 1]--;
  if (u32[GPR + 2 * RCX] !== 0 || u32[GPR + 2 * RCX + 1] !== 0) {
    u32[NEXT_RIP] = u32[RIP];
    u32[NEXT_RIP + 1] = u32[RIP + 1];
  }
  return true;
}

/** Arguments as in helpers.ts. */
export function stringOperation(
  cpu: Cpu,
  operationNumber: number,
  bits: number,
  addressBits: number,
  segment: number,
  repeat: number,
): void {
  const up = (systemFlags(cpu) & FLAG.DF) === 0;
  const moves = operationNumber === StringOperation.MOVS || operationNumber === StringOperation.STOS;
  const plain = moves && up && repeat !== 0 && addressBits === 64 && !watched(cpu);
  if (plain && quickly(cpu, operationNumber, (bits >> 3) as ElementBytes, segment)) return;
  const operation = OPERATIONS[operationNumber];
  const count = repeat === 0 ? 1n : readRegister(cpu, RCX, addressBits);
  if (count === 0n) return;
  const run: Run = {
    bytes: (bits >> 3) as ElementBytes,
    bits,
    addressBits,
    segment,
    repeat,
    backward: !up,
    remaining: watched(cpu) ? 1 : Number(count < MANY ? count : MANY),
    done: 0,
    ended: false,
  };
  try {
    operation.execute(cpu, run);
  } finally {
    commit(cpu, run, operation);
  }
}
