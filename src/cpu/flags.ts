/**
 * The arithmetic flags are kept as the last result and the carries of its computation (`flagResult`, `flagCarries` in
 * context.ts), which emitted code can produce in few operations; here they are turned into RFLAGS and back.
 */
import { type CpuState, word } from './state.ts';
import { ARITHMETIC_FLAGS, FLAG } from './system/registers.ts';

const RESULT = word('flagResult');
const CARRIES = word('flagCarries');
const RFLAGS = word('rflags');

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

/** The six arithmetic flags in their RFLAGS places. */
export function arithmeticFlags(cpu: CpuState): number {
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
