/** Processor states to start cases from: a small pool of full states, which keeps stored vectors small. */

import type { Mode, ProcessorState } from './case.ts';
import {
  AC,
  ARITHMETIC_FLAGS,
  CODE_BASE,
  DATA_BASE,
  FCW_DEFAULT,
  FX,
  fxView,
  ID,
  initialState,
  MXCSR_DEFAULT,
  NT,
  RFLAGS_FIXED,
  TF,
} from './case.ts';
import type { Random } from './random.ts';
import { extended, integer, operandBytes } from './values.ts';

const RSP = 4;
/** Where the code of most cases starts: the middle of the code page, so that branches reach both sides. */
export const CODE_START = BigInt(CODE_BASE + 0x800);

/** MXCSR (SDM vol. 1 figure 10-3): flags 5:0, DAZ 6, masks 12:7, RC 14:13, FTZ 15. */
const MXCSR_MASKS = 0x1f80;
const MXCSR_FLAGS = 0x3f;
const MXCSR_CONTROL = 0xe040;
/** x87 control word (SDM vol. 1 figure 8-6): masks 5:0, PC 9:8, RC 11:10, infinity control 12. */
const FCW_MASKS = 0x3f;
const FCW_CONTROL = 0x0f00;
const FCW_RESERVED_ONE = 0x40;
/** x87 status word (SDM vol. 1 figure 8-4): exception flags 6:0 with SF, ES 7, C3-C0, TOP 13:11, B 15. */
const FSW_EXCEPTIONS = 0x3f;
const FSW_STACK_FAULT = 0x40;
const FSW_SUMMARY = 0x8080;
const FSW_CONDITIONS = 0x4700;
const FSW_TOP_SHIFT = 11;

/** MXCSR of a program that has rounded something: flag and masks. */
const MXCSR_ORDINARY = MXCSR_DEFAULT | 0x20;
/** Denormal, underflow and precision flags. */
const MXCSR_DENORMALS = 0x32;

/** A random MXCSR: often the default, mostly masked. */
export function randomMxcsr(random: Random): number {
  if (random.ordinary && !random.oneIn(4)) {
    const flags = random.oneIn(3) ? random.bits32() & MXCSR_FLAGS : random.oneIn(3) ? MXCSR_DENORMALS : 0;
    return MXCSR_ORDINARY | flags | (random.oneIn(6) ? random.bits32() & MXCSR_CONTROL & ~0x6000 : 0);
  }
  if (random.oneIn(3)) return MXCSR_DEFAULT;
  const control = random.oneIn(3) ? random.bits32() & MXCSR_CONTROL : random.bits32() & 0x6000;
  const masks = random.oneIn(5) ? random.bits32() & MXCSR_MASKS : MXCSR_MASKS;
  const flags = random.oneIn(3) ? random.bits32() & MXCSR_FLAGS : 0;
  return control | masks | flags;
}

/** Gives the x87 a random control word, status and tags; a pending exception only `pending` times in a hundred. */
export function randomizeX87(random: Random, state: ProcessorState, pending: number): void {
  const view = fxView(state);
  let control = FCW_DEFAULT;
  if (!random.oneIn(3)) {
    const masks = random.oneIn(5) ? random.bits32() & FCW_MASKS : FCW_MASKS;
    control = (random.bits32() & FCW_CONTROL) | FCW_RESERVED_ONE | masks;
  }
  let status = (random.bits32() & FSW_CONDITIONS) | ((random.oneIn(2) ? 0 : random.below(8)) << FSW_TOP_SHIFT);
  if (random.oneIn(4)) status |= random.bits32() & (FSW_EXCEPTIONS | FSW_STACK_FAULT);
  if (random.below(100) >= pending) status &= ~(FSW_EXCEPTIONS & ~control);
  if (status & FSW_EXCEPTIONS & ~control) status |= FSW_SUMMARY;
  view.setUint16(FX.fcw, control, true);
  view.setUint16(FX.fsw, status, true);
  state.fx[FX.ftw] = random.oneIn(3) ? random.bits32() & 0xff : 0xff;
}

/** The top of the x87 stack: physical register number of ST0. */
export function topOf(state: ProcessorState): number {
  return (fxView(state).getUint16(FX.fsw, true) >> FSW_TOP_SHIFT) & 7;
}

/** Writes an 80-bit value to ST(position). */
export function setX87(state: ProcessorState, position: number, value: bigint): void {
  const view = fxView(state);
  view.setBigUint64(FX.st + 16 * position, BigInt.asUintN(64, value), true);
  view.setUint16(FX.st + 16 * position + 8, Number(value >> 64n), true);
}

/** Random arithmetic flags; now and then DF, and rarely the others user code can set. */
export function randomFlags(random: Random): number {
  let flags = (random.bits32() & ARITHMETIC_FLAGS) | RFLAGS_FIXED;
  if (random.oneIn(20)) flags |= ID;
  if (random.oneIn(150)) flags |= AC;
  if (random.oneIn(300)) flags |= NT;
  if (random.oneIn(300)) flags |= TF;
  return flags;
}

/** A full random state. */
export function randomState(random: Random, mode: Mode): ProcessorState {
  const state = initialState();
  for (let i = 0; i < 16; i++) state.gpr[i] = integer(random, 64);
  state.gpr[RSP] = BigInt(DATA_BASE + 0x800 + 8 * random.below(0x200));
  state.rip = CODE_START;
  if (mode === 32) {
    for (let i = 0; i < 16; i++) state.gpr[i] = i < 8 ? BigInt.asUintN(32, state.gpr[i]) : 0n;
  } else {
    state.fsBase = BigInt(random.below(0x8000)) << BigInt(random.pick([4, 12, 16]));
    state.gsBase = BigInt(random.below(0x8000)) << BigInt(random.pick([4, 12, 16]));
  }
  if (random.oneIn(2)) state.fx[FX.ftw] = 0xff;
  for (let i = 0; i < 8; i++) setX87(state, i, extended(random));
  for (let i = 0; i < 16; i++) {
    state.fx.set(
      operandBytes(random, random.pick(['integer', 'integer', 'single', 'double'] as const), 16),
      FX.xmm + 16 * i,
    );
  }
  return state;
}
