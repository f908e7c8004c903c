/**
 * Turns encodings into cases: a state in which the instruction's operands are worth while and its memory is where it
 * should be.
 */

import { addressTarget } from './addressing.ts';
import type { Case, Mode, ProcessorState, Span } from './case.ts';
import {
  CODE_BASE,
  CODE_SIZE,
  copyState,
  DATA_BASE,
  DATA_SIZE,
  DF,
  FX,
  FXSAVE_SIZE,
  fxView,
  MXCSR_DEFAULT,
} from './case.ts';
import type { EncodedInstruction, Encoding, RegisterOperand } from './encoding.ts';
import type { Random } from './random.ts';
import { CODE_START, randomFlags, randomizeX87, randomMxcsr, setX87, topOf } from './states.ts';
import { extended, integer, operandBytes } from './values.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const RSI = 6;
const RDI = 7;

const unsigned = (bytes: Uint8Array): bigint => bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

export function littleEndian(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** A case being set up. */
export class Setup {
  readonly random: Random;
  readonly mode: Mode;
  readonly encoded: EncodedInstruction;
  readonly state: ProcessorState;
  readonly memory = new Map<number, number>();

  constructor(random: Random, mode: Mode, encoded: EncodedInstruction, state: ProcessorState) {
    this.random = random;
    this.mode = mode;
    this.encoded = encoded;
    this.state = state;
  }

  /** Puts bytes at a linear address, as far as they lie in the data window. */
  write(address: bigint, bytes: Uint8Array): void {
    const offset = address - BigInt(DATA_BASE);
    if (offset < -0x1000n || offset > BigInt(DATA_SIZE)) return;
    bytes.forEach((byte, i) => {
      const at = Number(offset) + i;
      if (at >= 0 && at < DATA_SIZE) this.memory.set(at, byte);
    });
  }

  spans(): Span[] {
    const offsets = [...this.memory.keys()].sort((a, b) => a - b);
    const spans: Span[] = [];
    for (let i = 0; i < offsets.length; ) {
      const first = i;
      while (i < offsets.length && offsets[i] === offsets[first] + (i - first)) i++;
      spans.push({
        offset: offsets[first],
        bytes: Uint8Array.from(offsets.slice(first, i), (at) => this.memory.get(at) ?? 0),
      });
    }
    return spans;
  }

  /** An address in the code page, for branches to end at. */
  codeAddress(): bigint {
    return BigInt(CODE_BASE + this.random.below(CODE_SIZE));
  }
}

export function setRegister(setup: Setup, { file, number, values }: RegisterOperand): void {
  const { random, state } = setup;
  switch (file) {
    case 'gpr':
      if (number === RSP && random.below(4) > 0) return; // mostly a usable stack
      state.gpr[number] = unsigned(operandBytes(random, values, 8));
      return;
    case 'xmm':
      state.fx.set(operandBytes(random, values, 16), FX.xmm + 16 * number);
      return;
    case 'mmx':
      state.fx.set(operandBytes(random, values, 8), FX.st + 16 * ((number - topOf(state)) & 7));
      return;
    case 'x87':
      setX87(state, number, extended(random));
  }
}

/** Sets base and index so that the operand has its target address. */
function aim(setup: Setup, memory: NonNullable<EncodedInstruction['memory']>): void {
  const { random, state } = setup;
  const { base, index, addressBits, displacement } = memory;
  if (addressBits === 16) return;
  const segmentBase = memory.segment === 'fs' ? state.fsBase : memory.segment === 'gs' ? state.gsBase : 0n;
  let rest = memory.target - segmentBase - displacement;
  const scale = BigInt(memory.scale);
  // Upper halves do not take part in 32-bit addresses, so 64-bit code may leave anything there.
  const register = (value: bigint): bigint => {
    const low = BigInt.asUintN(addressBits, value);
    return setup.mode === 64 && addressBits === 32 && random.oneIn(2) ? (random.bits64() & ~0xffff_ffffn) | low : low;
  };
  if (index !== undefined && index === base) {
    state.gpr[index] = register(rest / (scale + 1n));
    return;
  }
  if (index !== undefined) {
    const value =
      base === undefined ? rest / scale : random.oneIn(4) ? integer(random, 64) : BigInt(random.between(-64, 256));
    state.gpr[index] = register(value);
    rest -= value * scale;
  }
  if (base !== undefined) state.gpr[base] = register(rest);
}

export function fillMemory(setup: Setup, memory: NonNullable<EncodedInstruction['memory']>): void {
  const { random, state } = setup;
  if (memory.size === FXSAVE_SIZE) {
    const image = state.fx.slice();
    image.set(random.bytes(FX.st - FX.mxcsr + 16), FX.mxcsr);
    new DataView(image.buffer).setUint32(FX.mxcsr, random.oneIn(8) ? random.bits32() : randomMxcsr(random), true);
    setup.write(memory.target, image);
  } else if (memory.size > 0) setup.write(memory.target, operandBytes(random, memory.values, memory.size));
}

function setUpString(setup: Setup): void {
  const { random, state, encoded } = setup;
  const size = Math.max(1, encoded.operandBits / 8);
  const source = addressTarget(random, 16, false);
  const destination = random.oneIn(4) ? source + BigInt(random.between(-20, 20)) : addressTarget(random, 16, false);
  const count = random.oneIn(12) ? integer(random, 64) : BigInt(random.oneIn(4) ? random.below(200) : random.below(12));
  if (encoded.repeat) state.gpr[RCX] = count;
  if (random.oneIn(3)) state.rflags |= DF;
  if (random.oneIn(2)) {
    // A run of equal elements with one that differs, for CMPS and SCAS with REPE and REPNE to stop at.
    const element = littleEndian(random.oneIn(2) ? state.gpr[RAX] : random.bits64(), size);
    const length = random.between(1, 12);
    const odd = random.below(length + 1);
    for (let i = 0; i < length; i++) {
      const step = BigInt((state.rflags & DF ? -1 : 1) * i * size);
      setup.write(source + step, element);
      setup.write(destination + step, i === odd ? random.bytes(size) : element);
    }
  }
  const garbage = (value: bigint): bigint =>
    setup.mode === 64 && random.oneIn(10) ? value | (BigInt(random.below(0x10000)) << 32n) : value;
  state.gpr[RSI] = garbage(source);
  state.gpr[RDI] = garbage(destination);
}

function setUpStack(setup: Setup): void {
  const { random, state } = setup;
  state.gpr[RSP] = random.oneIn(5)
    ? addressTarget(random, 8, false)
    : BigInt(DATA_BASE + random.between(0x200, DATA_SIZE - 0x200));
}

/** A dividend whose quotient fits, for half the divisions. */
function setUpDivide(setup: Setup): void {
  const { random, state, encoded } = setup;
  const bits = encoded.operandBits;
  const operand = encoded.registers.find(({ number }) => number !== RAX && number !== RDX);
  const raw = encoded.memory ? memoryValue(setup, encoded.memory) : operand ? state.gpr[operand.number] : 1n;
  if (random.oneIn(2)) return;
  const signed = random.oneIn(2);
  const divisor = signed ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw);
  if (divisor === 0n) return;
  const quotient = signed ? BigInt.asIntN(bits, integer(random, bits)) : integer(random, bits);
  const magnitude = divisor < 0n ? -divisor : divisor;
  const remainder = random.bits64() % magnitude;
  const dividend = quotient * divisor + (quotient * divisor < 0n ? -remainder : remainder);
  if (bits === 8) {
    state.gpr[RAX] = (state.gpr[RAX] & ~0xffffn) | BigInt.asUintN(16, dividend);
    return;
  }
  state.gpr[RAX] = BigInt.asUintN(bits, dividend);
  state.gpr[RDX] = BigInt.asUintN(bits, dividend >> BigInt(bits));
}

function memoryValue(setup: Setup, memory: NonNullable<EncodedInstruction['memory']>): bigint {
  const at = Number(memory.target) - DATA_BASE;
  return unsigned(Uint8Array.from({ length: memory.size }, (_, i) => setup.memory.get(at + i) ?? 0));
}

function setUpFamily(setup: Setup): void {
  const { encoded, random, state } = setup;
  switch (encoded.family) {
    case 'plain':
      return;
    case 'string':
      setUpString(setup);
      return;
    case 'stack':
      setUpStack(setup);
      return;
    case 'return':
      setUpStack(setup);
      if (random.below(10) > 0) setup.write(state.gpr[RSP], littleEndian(setup.codeAddress(), encoded.operandBits / 8));
      return;
    case 'indirect-branch': {
      if (random.oneIn(2)) setUpStack(setup);
      const target = random.oneIn(12) ? BigInt(DATA_BASE) : setup.codeAddress();
      if (encoded.memory) setup.write(encoded.memory.target, littleEndian(target, encoded.operandBits / 8));
      for (const { file, number } of encoded.registers) if (file === 'gpr') state.gpr[number] = target;
      return;
    }
    case 'divide':
      setUpDivide(setup);
      return;
  }
}

function setUpUnit(setup: Setup, encoding: Encoding): void {
  const { random, state, encoded } = setup;
  if (encoding.unit === 'x87') {
    randomizeX87(random, state, 8);
    setX87(state, 0, extended(random));
    setX87(state, 1, extended(random));
  } else if (encoding.unit === 'mmx') randomizeX87(random, state, 2);
  const isFloat = (kind: string): boolean => kind === 'single' || kind === 'double';
  const floats =
    encoded.registers.some(({ values }) => isFloat(values)) ||
    (encoded.memory !== undefined && isFloat(encoded.memory.values));
  if (encoding.unit === 'sse') fxView(state).setUint32(FX.mxcsr, floats ? randomMxcsr(random) : MXCSR_DEFAULT, true);
}

/** Only the low 32 bits of eight registers exist for 32-bit code. */
export function narrow(state: ProcessorState): void {
  for (let i = 0; i < 16; i++) state.gpr[i] = i < 8 ? BigInt.asUintN(32, state.gpr[i]) : 0n;
}

/** Moves some code to the end of its page, whole or cut off, so that fetching runs into the unmapped page behind it. */
function place(setup: Setup, relative: boolean): Uint8Array {
  const { random, state, encoded } = setup;
  let { bytes } = encoded;
  if (!relative && random.oneIn(100)) {
    if (random.oneIn(2) && bytes.length > 1) bytes = bytes.slice(0, random.between(1, bytes.length - 1));
    state.rip = BigInt(CODE_BASE + CODE_SIZE - bytes.length);
  }
  return bytes;
}

/** A case and what its encoding says about it. */
export interface GeneratedCase {
  testCase: Case;
  encoded: EncodedInstruction;
}

/** One case of an encoding, starting from `base`, which is not changed. */
export function generateCase(encoding: Encoding, random: Random, mode: Mode, base: ProcessorState): GeneratedCase {
  for (;;) {
    const encoded = encoding.encode(random, { mode, rip: CODE_START, selfContained: false });
    const state = copyState(base);
    state.rip = CODE_START;
    state.rflags = randomFlags(random);
    const setup = new Setup(random, mode, encoded, state);
    setUpUnit(setup, encoding);
    for (const register of encoded.registers) setRegister(setup, register);
    if (encoded.memory) {
      aim(setup, encoded.memory);
      fillMemory(setup, encoded.memory);
    }
    setUpFamily(setup);
    // What the family wants of registers may have spoilt the operand's address.
    if (encoded.memory && encoded.family !== 'stack') aim(setup, encoded.memory);
    if (mode === 32) narrow(state);
    const code = place(setup, encoded.memory?.displacement !== undefined && encoded.memory.base === undefined);
    const testCase: Case = { mode, code, state, memory: setup.spans() };
    if (!encoding.undefinedResult?.(encoded, testCase)) return { testCase, encoded };
  }
}
