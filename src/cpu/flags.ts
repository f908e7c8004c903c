/**
 * The arithmetic flags are kept as the last result and the carries of its computation (`flagResult`, `flagCarries` in
 * context.ts), which emitted code can produce in few operations; here they are turned into RFLAGS and back.
 *
 * Regions do not even compute carries: they leave the result and the first operand, and say in `flagKind` of what
 * operation. {@link settleFlags} computes the carries when someone asks.
 */
import { type CpuState, word } from './state.ts';
import { ARITHMETIC_FLAGS, FLAG } from './system/registers.ts';

const RESULT = word('flagResult');
const CARRIES = word('flagCarries');
const KIND = word('flagKind');
const RFLAGS = word('rflags');

/** Operations whose flags may be left to be computed later; `flagResult` holds the result. */
export const FlagKind = {
  /** `flagCarries` holds the first operand; nothing was carried in. */
  ADD: 1,
  SUB: 2,
  /** `flagCarries` holds CF. */
  INC: 3,
  DEC: 4,
  LOGIC: 5,
  /** `flagResult` holds the flags themselves, in their RFLAGS places. Of 64 bits. */
  FLAGS: 6,
} as const;

/** `flagKind` of an operation on 8, 16, 32 or 64 bits. The words need only be right in those bits. */
export function encodeFlagKind(kind: number, bits: 8 | 16 | 32 | 64): number {
  return (kind << 2) | (31 - Math.clz32(bits >> 3));
}

/**
 * `flagKind` also takes in flags that were set one by one since (rotates, BT): bits that say which there are, and the places
 * of their values.
 */
export const FlagOverlay = { HAS_CF: 1 << 8, HAS_OF: 1 << 9, CF_SHIFT: 10, OF_SHIFT: 11 } as const;
const BASE_KIND_MASK = 0xff;

/** Places inside `flagCarries`: low word, then high word. */
const CARRY_AF_SHIFT = 3;
const CARRY_PARITY_SHIFT = 8;
const CARRY_SIGN_SHIFT = 16;
const CARRY_CF_SHIFT_HIGH = 31;
const CARRY_CF_XOR_OF_SHIFT_HIGH = 30;

/** Bit n set: the 4-bit value n has an even number of ones. */
const EVEN_PARITY_NIBBLES = 0b1001_0110_0110_1001;

/** The bits of RFLAGS that exist (SDM vol. 1 figure 3-8). */
const DEFINED_FLAGS = 0x003f_7fd7;

/** Turns what a region left into the settled form. */
export function settleFlags(cpu: CpuState): void {
  const { u32 } = cpu;
  const kind = u32[KIND];
  if (kind === 0) return;
  u32[KIND] = 0;
  const base = kind & BASE_KIND_MASK;
  if (base !== 0) settleBase(cpu, base);
  if ((kind & (FlagOverlay.HAS_CF | FlagOverlay.HAS_OF)) === 0) return;
  const high = u32[CARRIES + 1];
  let carry = high >>> CARRY_CF_SHIFT_HIGH;
  let overflow = carry ^ ((high >>> CARRY_CF_XOR_OF_SHIFT_HIGH) & 1);
  if (kind & FlagOverlay.HAS_CF) carry = (kind >> FlagOverlay.CF_SHIFT) & 1;
  if (kind & FlagOverlay.HAS_OF) overflow = (kind >> FlagOverlay.OF_SHIFT) & 1;
  u32[CARRIES + 1] = (carry << CARRY_CF_SHIFT_HIGH) | ((carry ^ overflow) << CARRY_CF_XOR_OF_SHIFT_HIGH);
}

function settleBase(cpu: CpuState, encoded: number): void {
  const { u32 } = cpu;
  if (encoded >> 2 === FlagKind.FLAGS) {
    setArithmeticFlags(cpu, u32[RESULT]);
    return;
  }
  const bits = 8 << (encoded & 3);
  const unused = bits === 64 ? 0 : 32 - bits;
  if (bits < 64) {
    u32[RESULT] = (u32[RESULT] << unused) >> unused;
    u32[RESULT + 1] = (u32[RESULT] | 0) >> 31;
  }
  const low = u32[RESULT] | 0;
  const high = u32[RESULT + 1] | 0;
  const aLow = u32[CARRIES] | 0;
  const aHigh = u32[CARRIES + 1] | 0;
  let carry = 0;
  let overflow = 0;
  let auxiliary = 0;
  switch (encoded >> 2) {
    case FlagKind.ADD:
    case FlagKind.SUB: {
      const adds = encoded >> 2 === FlagKind.ADD;
      const bLow = adds ? low - aLow : aLow - low;
      const borrow = adds ? low >>> 0 < aLow >>> 0 : aLow >>> 0 < low >>> 0;
      const bHigh = (adds ? high - aHigh : aHigh - high) - (borrow ? 1 : 0);
      // with the sign bits on top
      const a = bits === 64 ? aHigh : aLow << unused;
      const b = bits === 64 ? bHigh : bLow << unused;
      const r = bits === 64 ? high : low << unused;
      carry = (adds ? (a & b) | ((a | b) & ~r) : (~a & b) | (~(a ^ b) & r)) >>> 31;
      overflow = (adds ? (a ^ r) & (b ^ r) : (a ^ b) & (a ^ r)) >>> 31;
      auxiliary = ((aLow ^ bLow ^ low) >> 4) & 1;
      break;
    }
    case FlagKind.INC:
    case FlagKind.DEC: {
      const most = 0x7fff_ffff >> unused;
      const increments = encoded >> 2 === FlagKind.INC;
      const limit = increments ? ~most : most;
      carry = aLow & 1;
      overflow = (bits === 64 ? high === limit && low === (increments ? 0 : -1) : low === limit) ? 1 : 0;
      auxiliary = (low & 0xf) === (increments ? 0 : 0xf) ? 1 : 0;
    }
  }
  u32[CARRIES] = auxiliary << CARRY_AF_SHIFT;
  u32[CARRIES + 1] = (carry << CARRY_CF_SHIFT_HIGH) | ((carry ^ overflow) << CARRY_CF_XOR_OF_SHIFT_HIGH);
}

/** The six arithmetic flags in their RFLAGS places. */
export function arithmeticFlags(cpu: CpuState): number {
  settleFlags(cpu);
  const resultLow = cpu.u32[RESULT];
  const resultHigh = cpu.u32[RESULT + 1];
  const low = cpu.u32[CARRIES];
  const high = cpu.u32[CARRIES + 1];
  const carry = high >>> CARRY_CF_SHIFT_HIGH;
  const overflow = carry ^ ((high >>> CARRY_CF_XOR_OF_SHIFT_HIGH) & 1);
  const auxiliary = (low >>> CARRY_AF_SHIFT) & 1;
  const sign = (resultHigh >>> 31) ^ ((low >>> CARRY_SIGN_SHIFT) & 1);
  const byte = (resultLow ^ (low >>> CARRY_PARITY_SHIFT)) & 0xff;
  const parity = (EVEN_PARITY_NIBBLES >> ((byte ^ (byte >> 4)) & 0xf)) & 1;
  const zero = (resultLow | resultHigh) === 0 ? 1 : 0;
  return (
    carry * FLAG.CF + parity * FLAG.PF + auxiliary * FLAG.AF + zero * FLAG.ZF + sign * FLAG.SF + overflow * FLAG.OF
  );
}

/** Sets the six arithmetic flags from their RFLAGS places. */
export function setArithmeticFlags(cpu: CpuState, value: number): void {
  const bit = (mask: number) => ((value & mask) !== 0 ? 1 : 0);
  const result = 1 - bit(FLAG.ZF);
  const parityDelta = result ^ (1 - bit(FLAG.PF));
  cpu.u32[KIND] = 0;
  cpu.u32[RESULT] = result;
  cpu.u32[RESULT + 1] = 0;
  cpu.u32[CARRIES] =
    (bit(FLAG.AF) << CARRY_AF_SHIFT) | (parityDelta << CARRY_PARITY_SHIFT) | (bit(FLAG.SF) << CARRY_SIGN_SHIFT);
  cpu.u32[CARRIES + 1] =
    (bit(FLAG.CF) << CARRY_CF_SHIFT_HIGH) | ((bit(FLAG.CF) ^ bit(FLAG.OF)) << CARRY_CF_XOR_OF_SHIFT_HIGH);
}

/** RFLAGS (its upper half is always zero). */
export function readFlags(cpu: CpuState): number {
  return (cpu.u32[RFLAGS] | arithmeticFlags(cpu)) >>> 0;
}

/** Sets every bit of RFLAGS that exists. The caller tells the translation caches when AC, TF or VM may have changed. */
export function writeFlags(cpu: CpuState, value: number): void {
  setArithmeticFlags(cpu, value);
  cpu.u32[RFLAGS] = (value & DEFINED_FLAGS & ~ARITHMETIC_FLAGS) | FLAG.FIXED;
}

/** Sets the flags selected by `mask`, leaves the others. */
export function changeFlags(cpu: CpuState, value: number, mask: number): void {
  writeFlags(cpu, (readFlags(cpu) & ~mask) | (value & mask));
}
