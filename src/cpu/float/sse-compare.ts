/** SSE comparisons, minimum and maximum. */
import { compare, EQUAL, GREATER, LESS, type Relation, UNORDERED } from './arithmetic.ts';
import type { FloatEnvironment } from './environment.ts';
import type { Float } from './number.ts';
import { type BinaryOperation, isPlain32, isPlain64, read32, read64, write32, write64 } from './sse.ts';

const orderOf = (x: number, y: number): Relation => (x < y ? LESS : x > y ? GREATER : EQUAL);

/** Compares two binary32 operands; quiet NaNs raise invalid where `signalQuiet` (COMISS, not UCOMISS). */
export function compare32(
  env: FloatEnvironment,
  memory: DataView,
  first: number,
  second: number,
  signalQuiet: boolean,
): Relation {
  if (isPlain32(memory, first) && isPlain32(memory, second)) {
    return orderOf(memory.getFloat32(first, true), memory.getFloat32(second, true));
  }
  return compare(env, read32(env, memory, first), read32(env, memory, second), signalQuiet);
}

/** Compares two binary64 operands; quiet NaNs raise invalid where `signalQuiet` (COMISD, not UCOMISD). */
export function compare64(
  env: FloatEnvironment,
  memory: DataView,
  first: number,
  second: number,
  signalQuiet: boolean,
): Relation {
  if (isPlain64(memory, first) && isPlain64(memory, second)) {
    return orderOf(memory.getFloat64(first, true), memory.getFloat64(second, true));
  }
  return compare(env, read64(env, memory, first), read64(env, memory, second), signalQuiet);
}

const L = 1 << LESS;
const E = 1 << EQUAL;
const G = 1 << GREATER;
const U = 1 << UNORDERED;

/** The first 16 predicates of CMPPS and kin: the relations that satisfy them, and whether quiet NaNs signal (SDM vol. 2A table 3-1). */
const PREDICATES: readonly { readonly relations: number; readonly signals: boolean }[] = [
  { relations: E, signals: false }, // EQ_OQ
  { relations: L, signals: true }, // LT_OS
  { relations: L | E, signals: true }, // LE_OS
  { relations: U, signals: false }, // UNORD_Q
  { relations: L | G | U, signals: false }, // NEQ_UQ
  { relations: E | G | U, signals: true }, // NLT_US
  { relations: G | U, signals: true }, // NLE_US
  { relations: L | E | G, signals: false }, // ORD_Q
  { relations: E | U, signals: false }, // EQ_UQ
  { relations: L | U, signals: true }, // NGE_US
  { relations: L | E | U, signals: true }, // NGT_US
  { relations: 0, signals: false }, // FALSE_OQ
  { relations: L | G, signals: false }, // NEQ_OQ
  { relations: E | G, signals: true }, // GE_OS
  { relations: G, signals: true }, // GT_OS
  { relations: L | E | G | U, signals: false }, // TRUE_UQ
];
/** The upper 16 are the same relations with the opposite signaling. */
const OPPOSITE_SIGNALING = 16;

/** Whether the CMPxx predicate (imm8; 0..7 for SSE, 0..31 for VEX) holds between two binary32 operands. */
export function predicate32(
  env: FloatEnvironment,
  memory: DataView,
  first: number,
  second: number,
  predicate: number,
): boolean {
  const { relations, signals } = PREDICATES[predicate & 15];
  const signalQuiet = signals !== ((predicate & OPPOSITE_SIGNALING) !== 0);
  return ((relations >> compare32(env, memory, first, second, signalQuiet)) & 1) !== 0;
}

/** Whether the CMPxx predicate (imm8; 0..7 for SSE, 0..31 for VEX) holds between two binary64 operands. */
export function predicate64(
  env: FloatEnvironment,
  memory: DataView,
  first: number,
  second: number,
  predicate: number,
): boolean {
  const { relations, signals } = PREDICATES[predicate & 15];
  const signalQuiet = signals !== ((predicate & OPPOSITE_SIGNALING) !== 0);
  return ((relations >> compare64(env, memory, first, second, signalQuiet)) & 1) !== 0;
}

/** MIN and MAX return the second operand wherever the first is not strictly smaller or larger: equal zeros and NaNs too. */
const choose = (env: FloatEnvironment, a: Float, b: Float, wanted: Relation): Float =>
  compare(env, a, b, true) === wanted ? a : b;

const select32 =
  (wanted: Relation): BinaryOperation =>
  (env, memory, destination, first, second) =>
    write32(memory, destination, choose(env, read32(env, memory, first), read32(env, memory, second), wanted));
const select64 =
  (wanted: Relation): BinaryOperation =>
  (env, memory, destination, first, second) =>
    write64(memory, destination, choose(env, read64(env, memory, first), read64(env, memory, second), wanted));

export const minimum32: BinaryOperation = select32(LESS);
export const maximum32: BinaryOperation = select32(GREATER);
export const minimum64: BinaryOperation = select64(LESS);
export const maximum64: BinaryOperation = select64(GREATER);
