/** x87 comparison and classification instructions (SDM vol. 1 section 8.3.6). */
import { compare, EQUAL, GREATER, LESS, type Relation, UNORDERED } from './arithmetic.ts';
import {
  DENORMAL,
  type Float,
  type FloatKind,
  INFINITE,
  NORMAL,
  QUIET_NAN,
  SIGNALING_NAN,
  UNSUPPORTED,
  ZERO,
  zero,
} from './number.ts';
import { STATUS_C0, STATUS_C1, STATUS_C2, STATUS_C3, type X87State } from './x87-state.ts';

/** Condition codes of a comparison (SDM vol. 1 table 8-6). */
const RELATION_CODES = {
  [LESS]: STATUS_C0,
  [EQUAL]: STATUS_C3,
  [GREATER]: 0,
  [UNORDERED]: STATUS_C0 | STATUS_C2 | STATUS_C3,
} satisfies Record<Relation, number>;

/** EFLAGS bits as FCOMI sets them: CF where less, ZF where equal, with PF all three where unordered. */
const EFLAGS_CF = 1 << 0;
const EFLAGS_PF = 1 << 2;
const EFLAGS_ZF = 1 << 6;
const RELATION_FLAGS = {
  [LESS]: EFLAGS_CF,
  [EQUAL]: EFLAGS_ZF,
  [GREATER]: 0,
  [UNORDERED]: EFLAGS_ZF | EFLAGS_PF | EFLAGS_CF,
} satisfies Record<Relation, number>;

/** The outcome of comparing ST(0), and whether the instruction may pop. */
interface Outcome {
  readonly result: Relation;
  readonly mayPop: boolean;
}

/** Compares ST(0) with a value (undefined: an empty register). */
function relate(fpu: X87State, source: Float | undefined, signalQuiet: boolean): Outcome {
  const env = fpu.begin();
  if (fpu.isEmpty(0) || source === undefined) return { result: UNORDERED, mayPop: fpu.stackFault(false) };
  const result = compare(env, fpu.read(0), source, signalQuiet);
  return { result, mayPop: fpu.finish() };
}

const register = (fpu: X87State, index: number): Float | undefined =>
  fpu.isEmpty(index) ? undefined : fpu.read(index);

/** The condition codes are delivered even where an unmasked exception keeps the instruction from popping. */
function conclude(fpu: X87State, { result, mayPop }: Outcome, pops: number): void {
  fpu.setConditionCodes(RELATION_CODES[result]);
  if (mayPop) for (let i = 0; i < pops; i++) fpu.pop();
}

/** FCOM, FCOMP with m32fp, m64fp; FICOM, FICOMP: the source decoded. */
export const compareMemory = (fpu: X87State, source: Float, pop: boolean): void =>
  conclude(fpu, relate(fpu, source, true), pop ? 1 : 0);

/** FCOM, FCOMP, FCOMPP ST(i) (pops 0, 1, 2). */
export const compareStack = (fpu: X87State, index: number, pops: number): void =>
  conclude(fpu, relate(fpu, register(fpu, index), true), pops);

/** FUCOM, FUCOMP, FUCOMPP ST(i): quiet NaNs do not signal. */
export const compareUnordered = (fpu: X87State, index: number, pops: number): void =>
  conclude(fpu, relate(fpu, register(fpu, index), false), pops);

/** FTST: compares with zero. */
export const testSt0 = (fpu: X87State): void => conclude(fpu, relate(fpu, zero(false), true), 0);

/**
 * FCOMI, FCOMIP, FUCOMI, FUCOMIP. Returns the values of ZF, PF and CF at their EFLAGS positions; the caller clears OF, SF
 * and AF. C1 keeps its value but for a stack fault.
 */
export function compareToFlags(fpu: X87State, index: number, signalQuiet: boolean, pop: boolean): number {
  const stackFault = fpu.isEmpty(0) || fpu.isEmpty(index);
  const c1 = stackFault ? 0 : fpu.status & STATUS_C1;
  const { result, mayPop } = relate(fpu, register(fpu, index), signalQuiet);
  fpu.status |= c1;
  if (pop && mayPop) fpu.pop();
  return RELATION_FLAGS[result];
}

/** Classes reported by FXAM (SDM vol. 2A, table "FXAM Results"). */
const EXAMINE_CODES = {
  [UNSUPPORTED]: 0,
  [QUIET_NAN]: STATUS_C0,
  [SIGNALING_NAN]: STATUS_C0,
  [NORMAL]: STATUS_C2,
  [INFINITE]: STATUS_C2 | STATUS_C0,
  [ZERO]: STATUS_C3,
  [DENORMAL]: STATUS_C3 | STATUS_C2,
} satisfies Record<FloatKind, number>;
const EXAMINE_EMPTY = STATUS_C3 | STATUS_C0;

/** FXAM: classifies ST(0); C1 is its sign, even where the register is empty. */
export function examineSt0(fpu: X87State): void {
  const { kind, negative } = fpu.read(0);
  fpu.setConditionCodes((fpu.isEmpty(0) ? EXAMINE_EMPTY : EXAMINE_CODES[kind]) | (negative ? STATUS_C1 : 0));
}
