/**
 * The table of WebAssembly operators (WebAssembly Core Specification 3.0, section 5.4 "Instructions" and its index of
 * instructions; threads proposal for the atomic ones). Types, builder functions and tests all derive from it.
 * Constants, variables, calls and structured control are not operators: FunctionBuilder has methods for them.
 */

import type { ValueType } from './types.ts';

/** How an operator is used; decides which method of FunctionBuilder takes it. */
export type OperatorGroup =
  | 'value' // result depends on the operands alone: `op[name](...)`
  | 'load'
  | 'store'
  | 'load lane'
  | 'store lane'
  | 'atomic'
  | 'bulk';

/** What follows the opcode: nothing, a lane number, 16 lane numbers, or the alignment and offset of an access. */
export type Immediate = 'none' | 'lane' | 'lanes' | 'memory' | 'memory and lane';

/** An operand or result: a value type, or the address type of the module's memory. */
export type OperandType = ValueType | 'address';

/** A row of the table. */
export interface Operator<
  G extends OperatorGroup = OperatorGroup,
  O extends readonly OperandType[] = readonly OperandType[],
  R extends OperandType | undefined = OperandType | undefined,
  I extends Immediate = Immediate,
> {
  /** The name in the text format; filled in from the key of the row. */
  readonly name: string;
  readonly group: G;
  /** The byte before the opcode: 0xfc, 0xfd, 0xfe, or 0 for none. */
  readonly prefix: number;
  /** The opcode: one byte, or after a prefix an unsigned LEB128 number. */
  readonly code: number;
  readonly operands: O;
  readonly result: R;
  readonly immediate: I;
  /** The number of lanes a lane number may choose from; 0 without such an immediate. */
  readonly lanes: number;
  /** The natural alignment of the memory access as a power of two; 0 without such an immediate. */
  readonly alignment: number;
}

const MISCELLANEOUS = 0xfc;
const VECTOR = 0xfd;
const ATOMIC = 0xfe;

const i32 = 'i32';
const i64 = 'i64';
const f32 = 'f32';
const f64 = 'f64';
const v128 = 'v128';
const address = 'address';

function row<
  G extends OperatorGroup,
  O extends readonly OperandType[],
  R extends OperandType | undefined,
  I extends Immediate,
>(
  group: G,
  prefix: number,
  code: number,
  operands: O,
  result: R,
  immediate: I,
  lanes = 0,
  bytes = 1,
): Operator<G, O, R, I> {
  const alignment = Math.log2(bytes);
  return { name: '', group, prefix, code, operands, result, immediate, lanes, alignment };
}

/** A numeric operator. */
const op = <const O extends readonly ValueType[], R extends ValueType>(code: number, operands: O, result: R) =>
  row('value', 0, code, operands, result, 'none');

/** A saturating truncation. */
const sat = <const O extends readonly ValueType[], R extends ValueType>(code: number, operands: O, result: R) =>
  row('value', MISCELLANEOUS, code, operands, result, 'none');

/** A vector operator without immediate. */
const vec = <const O extends readonly ValueType[], R extends ValueType>(code: number, operands: O, result: R) =>
  row('value', VECTOR, code, operands, result, 'none');

/** A vector operator whose immediate is a lane number below `lanes`. */
const lane = <const O extends readonly ValueType[], R extends ValueType>(
  code: number,
  operands: O,
  result: R,
  lanes: number,
) => row('value', VECTOR, code, operands, result, 'lane', lanes);

/** Loads and stores of `bytes` bytes. */
const load = <R extends ValueType>(code: number, result: R, bytes: number) =>
  row('load', 0, code, [address] as const, result, 'memory', 0, bytes);
const store = <V extends ValueType>(code: number, value: V, bytes: number) =>
  row('store', 0, code, [address, value] as const, undefined, 'memory', 0, bytes);
const vectorLoad = (code: number, bytes: number) =>
  row('load', VECTOR, code, [address] as const, v128, 'memory', 0, bytes);
const loadLane = (code: number, bytes: number) =>
  row('load lane', VECTOR, code, [address, v128] as const, v128, 'memory and lane', 16 / bytes, bytes);
const storeLane = (code: number, bytes: number) =>
  row('store lane', VECTOR, code, [address, v128] as const, undefined, 'memory and lane', 16 / bytes, bytes);

/** An atomic access of `bytes` bytes. */
const atomic = <const O extends readonly ValueType[], R extends ValueType | undefined>(
  code: number,
  operands: O,
  result: R,
  bytes: number,
) => row('atomic', ATOMIC, code, [address, ...operands] as const, result, 'memory', 0, bytes);

/** An operator on the memory as a whole; the zero bytes for its memory index are written by FunctionBuilder. */
const bulk = <const O extends readonly OperandType[], R extends OperandType | undefined>(
  prefix: number,
  code: number,
  operands: O,
  result: R,
) => row('bulk', prefix, code, operands, result, 'none');

/** Enters each row's name. */
function table<T extends Record<string, Operator>>(rows: T): T {
  for (const name in rows) rows[name] = { ...rows[name], name };
  return rows;
}

// biome-ignore format: one row per line
export const OPERATORS = table({
  // Memory (section 5.4.7)
  'i32.load': load(0x28, i32, 4),
  'i64.load': load(0x29, i64, 8),
  'f32.load': load(0x2a, f32, 4),
  'f64.load': load(0x2b, f64, 8),
  'i32.load8_s': load(0x2c, i32, 1),
  'i32.load8_u': load(0x2d, i32, 1),
  'i32.load16_s': load(0x2e, i32, 2),
  'i32.load16_u': load(0x2f, i32, 2),
  'i64.load8_s': load(0x30, i64, 1),
  'i64.load8_u': load(0x31, i64, 1),
  'i64.load16_s': load(0x32, i64, 2),
  'i64.load16_u': load(0x33, i64, 2),
  'i64.load32_s': load(0x34, i64, 4),
  'i64.load32_u': load(0x35, i64, 4),
  'i32.store': store(0x36, i32, 4),
  'i64.store': store(0x37, i64, 8),
  'f32.store': store(0x38, f32, 4),
  'f64.store': store(0x39, f64, 8),
  'i32.store8': store(0x3a, i32, 1),
  'i32.store16': store(0x3b, i32, 2),
  'i64.store8': store(0x3c, i64, 1),
  'i64.store16': store(0x3d, i64, 2),
  'i64.store32': store(0x3e, i64, 4),
  'memory.size': bulk(0, 0x3f, [], address),
  'memory.grow': bulk(0, 0x40, [address], address),
  'memory.copy': bulk(MISCELLANEOUS, 10, [address, address, address], undefined),
  'memory.fill': bulk(MISCELLANEOUS, 11, [address, i32, address], undefined),
  // Numeric (section 5.4.8): comparisons
  'i32.eqz': op(0x45, [i32], i32),
  'i32.eq': op(0x46, [i32, i32], i32),
  'i32.ne': op(0x47, [i32, i32], i32),
  'i32.lt_s': op(0x48, [i32, i32], i32),
  'i32.lt_u': op(0x49, [i32, i32], i32),
  'i32.gt_s': op(0x4a, [i32, i32], i32),
  'i32.gt_u': op(0x4b, [i32, i32], i32),
  'i32.le_s': op(0x4c, [i32, i32], i32),
  'i32.le_u': op(0x4d, [i32, i32], i32),
  'i32.ge_s': op(0x4e, [i32, i32], i32),
  'i32.ge_u': op(0x4f, [i32, i32], i32),
  'i64.eqz': op(0x50, [i64], i32),
  'i64.eq': op(0x51, [i64, i64], i32),
  'i64.ne': op(0x52, [i64, i64], i32),
  'i64.lt_s': op(0x53, [i64, i64], i32),
  'i64.lt_u': op(0x54, [i64, i64], i32),
  'i64.gt_s': op(0x55, [i64, i64], i32),
  'i64.gt_u': op(0x56, [i64, i64], i32),
  'i64.le_s': op(0x57, [i64, i64], i32),
  'i64.le_u': op(0x58, [i64, i64], i32),
  'i64.ge_s': op(0x59, [i64, i64], i32),
  'i64.ge_u': op(0x5a, [i64, i64], i32),
  'f32.eq': op(0x5b, [f32, f32], i32),
  'f32.ne': op(0x5c, [f32, f32], i32),
  'f32.lt': op(0x5d, [f32, f32], i32),
  'f32.gt': op(0x5e, [f32, f32], i32),
  'f32.le': op(0x5f, [f32, f32], i32),
  'f32.ge': op(0x60, [f32, f32], i32),
  'f64.eq': op(0x61, [f64, f64], i32),
  'f64.ne': op(0x62, [f64, f64], i32),
  'f64.lt': op(0x63, [f64, f64], i32),
  'f64.gt': op(0x64, [f64, f64], i32),
  'f64.le': op(0x65, [f64, f64], i32),
  'f64.ge': op(0x66, [f64, f64], i32),
  // Numeric: arithmetic
  'i32.clz': op(0x67, [i32], i32),
  'i32.ctz': op(0x68, [i32], i32),
  'i32.popcnt': op(0x69, [i32], i32),
  'i32.add': op(0x6a, [i32, i32], i32),
  'i32.sub': op(0x6b, [i32, i32], i32),
  'i32.mul': op(0x6c, [i32, i32], i32),
  'i32.div_s': op(0x6d, [i32, i32], i32),
  'i32.div_u': op(0x6e, [i32, i32], i32),
  'i32.rem_s': op(0x6f, [i32, i32], i32),
  'i32.rem_u': op(0x70, [i32, i32], i32),
  'i32.and': op(0x71, [i32, i32], i32),
  'i32.or': op(0x72, [i32, i32], i32),
  'i32.xor': op(0x73, [i32, i32], i32),
  'i32.shl': op(0x74, [i32, i32], i32),
  'i32.shr_s': op(0x75, [i32, i32], i32),
  'i32.shr_u': op(0x76, [i32, i32], i32),
  'i32.rotl': op(0x77, [i32, i32], i32),
  'i32.rotr': op(0x78, [i32, i32], i32),
  'i64.clz': op(0x79, [i64], i64),
  'i64.ctz': op(0x7a, [i64], i64),
  'i64.popcnt': op(0x7b, [i64], i64),
  'i64.add': op(0x7c, [i64, i64], i64),
  'i64.sub': op(0x7d, [i64, i64], i64),
  'i64.mul': op(0x7e, [i64, i64], i64),
  'i64.div_s': op(0x7f, [i64, i64], i64),
  'i64.div_u': op(0x80, [i64, i64], i64),
  'i64.rem_s': op(0x81, [i64, i64], i64),
  'i64.rem_u': op(0x82, [i64, i64], i64),
  'i64.and': op(0x83, [i64, i64], i64),
  'i64.or': op(0x84, [i64, i64], i64),
  'i64.xor': op(0x85, [i64, i64], i64),
  'i64.shl': op(0x86, [i64, i64], i64),
  'i64.shr_s': op(0x87, [i64, i64], i64),
  'i64.shr_u': op(0x88, [i64, i64], i64),
  'i64.rotl': op(0x89, [i64, i64], i64),
  'i64.rotr': op(0x8a, [i64, i64], i64),
  'f32.abs': op(0x8b, [f32], f32),
  'f32.neg': op(0x8c, [f32], f32),
  'f32.ceil': op(0x8d, [f32], f32),
  'f32.floor': op(0x8e, [f32], f32),
  'f32.trunc': op(0x8f, [f32], f32),
  'f32.nearest': op(0x90, [f32], f32),
  'f32.sqrt': op(0x91, [f32], f32),
  'f32.add': op(0x92, [f32, f32], f32),
  'f32.sub': op(0x93, [f32, f32], f32),
  'f32.mul': op(0x94, [f32, f32], f32),
  'f32.div': op(0x95, [f32, f32], f32),
  'f32.min': op(0x96, [f32, f32], f32),
  'f32.max': op(0x97, [f32, f32], f32),
  'f32.copysign': op(0x98, [f32, f32], f32),
  'f64.abs': op(0x99, [f64], f64),
  'f64.neg': op(0x9a, [f64], f64),
  'f64.ceil': op(0x9b, [f64], f64),
  'f64.floor': op(0x9c, [f64], f64),
  'f64.trunc': op(0x9d, [f64], f64),
  'f64.nearest': op(0x9e, [f64], f64),
  'f64.sqrt': op(0x9f, [f64], f64),
  'f64.add': op(0xa0, [f64, f64], f64),
  'f64.sub': op(0xa1, [f64, f64], f64),
  'f64.mul': op(0xa2, [f64, f64], f64),
  'f64.div': op(0xa3, [f64, f64], f64),
  'f64.min': op(0xa4, [f64, f64], f64),
  'f64.max': op(0xa5, [f64, f64], f64),
  'f64.copysign': op(0xa6, [f64, f64], f64),
  // Numeric: conversions
  'i32.wrap_i64': op(0xa7, [i64], i32),
  'i32.trunc_f32_s': op(0xa8, [f32], i32),
  'i32.trunc_f32_u': op(0xa9, [f32], i32),
  'i32.trunc_f64_s': op(0xaa, [f64], i32),
  'i32.trunc_f64_u': op(0xab, [f64], i32),
  'i64.extend_i32_s': op(0xac, [i32], i64),
  'i64.extend_i32_u': op(0xad, [i32], i64),
  'i64.trunc_f32_s': op(0xae, [f32], i64),
  'i64.trunc_f32_u': op(0xaf, [f32], i64),
  'i64.trunc_f64_s': op(0xb0, [f64], i64),
  'i64.trunc_f64_u': op(0xb1, [f64], i64),
  'f32.convert_i32_s': op(0xb2, [i32], f32),
  'f32.convert_i32_u': op(0xb3, [i32], f32),
  'f32.convert_i64_s': op(0xb4, [i64], f32),
  'f32.convert_i64_u': op(0xb5, [i64], f32),
  'f32.demote_f64': op(0xb6, [f64], f32),
  'f64.convert_i32_s': op(0xb7, [i32], f64),
  'f64.convert_i32_u': op(0xb8, [i32], f64),
  'f64.convert_i64_s': op(0xb9, [i64], f64),
  'f64.convert_i64_u': op(0xba, [i64], f64),
  'f64.promote_f32': op(0xbb, [f32], f64),
  'i32.reinterpret_f32': op(0xbc, [f32], i32),
  'i64.reinterpret_f64': op(0xbd, [f64], i64),
  'f32.reinterpret_i32': op(0xbe, [i32], f32),
  'f64.reinterpret_i64': op(0xbf, [i64], f64),
  'i32.extend8_s': op(0xc0, [i32], i32),
  'i32.extend16_s': op(0xc1, [i32], i32),
  'i64.extend8_s': op(0xc2, [i64], i64),
  'i64.extend16_s': op(0xc3, [i64], i64),
  'i64.extend32_s': op(0xc4, [i64], i64),
  'i32.trunc_sat_f32_s': sat(0, [f32], i32),
  'i32.trunc_sat_f32_u': sat(1, [f32], i32),
  'i32.trunc_sat_f64_s': sat(2, [f64], i32),
  'i32.trunc_sat_f64_u': sat(3, [f64], i32),
  'i64.trunc_sat_f32_s': sat(4, [f32], i64),
  'i64.trunc_sat_f32_u': sat(5, [f32], i64),
  'i64.trunc_sat_f64_s': sat(6, [f64], i64),
  'i64.trunc_sat_f64_u': sat(7, [f64], i64),
  // Vector (section 5.4.9): memory
  'v128.load': vectorLoad(0, 16),
  'v128.load8x8_s': vectorLoad(1, 8),
  'v128.load8x8_u': vectorLoad(2, 8),
  'v128.load16x4_s': vectorLoad(3, 8),
  'v128.load16x4_u': vectorLoad(4, 8),
  'v128.load32x2_s': vectorLoad(5, 8),
  'v128.load32x2_u': vectorLoad(6, 8),
  'v128.load8_splat': vectorLoad(7, 1),
  'v128.load16_splat': vectorLoad(8, 2),
  'v128.load32_splat': vectorLoad(9, 4),
  'v128.load64_splat': vectorLoad(10, 8),
  'v128.load32_zero': vectorLoad(92, 4),
  'v128.load64_zero': vectorLoad(93, 8),
  'v128.store': row('store', VECTOR, 11, [address, v128] as const, undefined, 'memory', 0, 16),
  'v128.load8_lane': loadLane(84, 1),
  'v128.load16_lane': loadLane(85, 2),
  'v128.load32_lane': loadLane(86, 4),
  'v128.load64_lane': loadLane(87, 8),
  'v128.store8_lane': storeLane(88, 1),
  'v128.store16_lane': storeLane(89, 2),
  'v128.store32_lane': storeLane(90, 4),
  'v128.store64_lane': storeLane(91, 8),
  // Vector: lanes
  'i8x16.shuffle': row('value', VECTOR, 13, [v128, v128] as const, v128, 'lanes'),
  'i8x16.swizzle': vec(14, [v128, v128], v128),
  'i8x16.splat': vec(15, [i32], v128),
  'i16x8.splat': vec(16, [i32], v128),
  'i32x4.splat': vec(17, [i32], v128),
  'i64x2.splat': vec(18, [i64], v128),
  'f32x4.splat': vec(19, [f32], v128),
  'f64x2.splat': vec(20, [f64], v128),
  'i8x16.extract_lane_s': lane(21, [v128], i32, 16),
  'i8x16.extract_lane_u': lane(22, [v128], i32, 16),
  'i8x16.replace_lane': lane(23, [v128, i32], v128, 16),
  'i16x8.extract_lane_s': lane(24, [v128], i32, 8),
  'i16x8.extract_lane_u': lane(25, [v128], i32, 8),
  'i16x8.replace_lane': lane(26, [v128, i32], v128, 8),
  'i32x4.extract_lane': lane(27, [v128], i32, 4),
  'i32x4.replace_lane': lane(28, [v128, i32], v128, 4),
  'i64x2.extract_lane': lane(29, [v128], i64, 2),
  'i64x2.replace_lane': lane(30, [v128, i64], v128, 2),
  'f32x4.extract_lane': lane(31, [v128], f32, 4),
  'f32x4.replace_lane': lane(32, [v128, f32], v128, 4),
  'f64x2.extract_lane': lane(33, [v128], f64, 2),
  'f64x2.replace_lane': lane(34, [v128, f64], v128, 2),
  // Vector: comparisons
  'i8x16.eq': vec(35, [v128, v128], v128),
  'i8x16.ne': vec(36, [v128, v128], v128),
  'i8x16.lt_s': vec(37, [v128, v128], v128),
  'i8x16.lt_u': vec(38, [v128, v128], v128),
  'i8x16.gt_s': vec(39, [v128, v128], v128),
  'i8x16.gt_u': vec(40, [v128, v128], v128),
  'i8x16.le_s': vec(41, [v128, v128], v128),
  'i8x16.le_u': vec(42, [v128, v128], v128),
  'i8x16.ge_s': vec(43, [v128, v128], v128),
  'i8x16.ge_u': vec(44, [v128, v128], v128),
  'i16x8.eq': vec(45, [v128, v128], v128),
  'i16x8.ne': vec(46, [v128, v128], v128),
  'i16x8.lt_s': vec(47, [v128, v128], v128),
  'i16x8.lt_u': vec(48, [v128, v128], v128),
  'i16x8.gt_s': vec(49, [v128, v128], v128),
  'i16x8.gt_u': vec(50, [v128, v128], v128),
  'i16x8.le_s': vec(51, [v128, v128], v128),
  'i16x8.le_u': vec(52, [v128, v128], v128),
  'i16x8.ge_s': vec(53, [v128, v128], v128),
  'i16x8.ge_u': vec(54, [v128, v128], v128),
  'i32x4.eq': vec(55, [v128, v128], v128),
  'i32x4.ne': vec(56, [v128, v128], v128),
  'i32x4.lt_s': vec(57, [v128, v128], v128),
  'i32x4.lt_u': vec(58, [v128, v128], v128),
  'i32x4.gt_s': vec(59, [v128, v128], v128),
  'i32x4.gt_u': vec(60, [v128, v128], v128),
  'i32x4.le_s': vec(61, [v128, v128], v128),
  'i32x4.le_u': vec(62, [v128, v128], v128),
  'i32x4.ge_s': vec(63, [v128, v128], v128),
  'i32x4.ge_u': vec(64, [v128, v128], v128),
  'f32x4.eq': vec(65, [v128, v128], v128),
  'f32x4.ne': vec(66, [v128, v128], v128),
  'f32x4.lt': vec(67, [v128, v128], v128),
  'f32x4.gt': vec(68, [v128, v128], v128),
  'f32x4.le': vec(69, [v128, v128], v128),
  'f32x4.ge': vec(70, [v128, v128], v128),
  'f64x2.eq': vec(71, [v128, v128], v128),
  'f64x2.ne': vec(72, [v128, v128], v128),
  'f64x2.lt': vec(73, [v128, v128], v128),
  'f64x2.gt': vec(74, [v128, v128], v128),
  'f64x2.le': vec(75, [v128, v128], v128),
  'f64x2.ge': vec(76, [v128, v128], v128),
  'i64x2.eq': vec(214, [v128, v128], v128),
  'i64x2.ne': vec(215, [v128, v128], v128),
  'i64x2.lt_s': vec(216, [v128, v128], v128),
  'i64x2.gt_s': vec(217, [v128, v128], v128),
  'i64x2.le_s': vec(218, [v128, v128], v128),
  'i64x2.ge_s': vec(219, [v128, v128], v128),
  // Vector: bits
  'v128.not': vec(77, [v128], v128),
  'v128.and': vec(78, [v128, v128], v128),
  'v128.andnot': vec(79, [v128, v128], v128),
  'v128.or': vec(80, [v128, v128], v128),
  'v128.xor': vec(81, [v128, v128], v128),
  'v128.bitselect': vec(82, [v128, v128, v128], v128),
  'v128.any_true': vec(83, [v128], i32),
  // Vector: 8-bit integers
  'i8x16.abs': vec(96, [v128], v128),
  'i8x16.neg': vec(97, [v128], v128),
  'i8x16.popcnt': vec(98, [v128], v128),
  'i8x16.all_true': vec(99, [v128], i32),
  'i8x16.bitmask': vec(100, [v128], i32),
  'i8x16.narrow_i16x8_s': vec(101, [v128, v128], v128),
  'i8x16.narrow_i16x8_u': vec(102, [v128, v128], v128),
  'i8x16.shl': vec(107, [v128, i32], v128),
  'i8x16.shr_s': vec(108, [v128, i32], v128),
  'i8x16.shr_u': vec(109, [v128, i32], v128),
  'i8x16.add': vec(110, [v128, v128], v128),
  'i8x16.add_sat_s': vec(111, [v128, v128], v128),
  'i8x16.add_sat_u': vec(112, [v128, v128], v128),
  'i8x16.sub': vec(113, [v128, v128], v128),
  'i8x16.sub_sat_s': vec(114, [v128, v128], v128),
  'i8x16.sub_sat_u': vec(115, [v128, v128], v128),
  'i8x16.min_s': vec(118, [v128, v128], v128),
  'i8x16.min_u': vec(119, [v128, v128], v128),
  'i8x16.max_s': vec(120, [v128, v128], v128),
  'i8x16.max_u': vec(121, [v128, v128], v128),
  'i8x16.avgr_u': vec(123, [v128, v128], v128),
  // Vector: 16-bit integers
  'i16x8.extadd_pairwise_i8x16_s': vec(124, [v128], v128),
  'i16x8.extadd_pairwise_i8x16_u': vec(125, [v128], v128),
  'i16x8.abs': vec(128, [v128], v128),
  'i16x8.neg': vec(129, [v128], v128),
  'i16x8.q15mulr_sat_s': vec(130, [v128, v128], v128),
  'i16x8.all_true': vec(131, [v128], i32),
  'i16x8.bitmask': vec(132, [v128], i32),
  'i16x8.narrow_i32x4_s': vec(133, [v128, v128], v128),
  'i16x8.narrow_i32x4_u': vec(134, [v128, v128], v128),
  'i16x8.extend_low_i8x16_s': vec(135, [v128], v128),
  'i16x8.extend_high_i8x16_s': vec(136, [v128], v128),
  'i16x8.extend_low_i8x16_u': vec(137, [v128], v128),
  'i16x8.extend_high_i8x16_u': vec(138, [v128], v128),
  'i16x8.shl': vec(139, [v128, i32], v128),
  'i16x8.shr_s': vec(140, [v128, i32], v128),
  'i16x8.shr_u': vec(141, [v128, i32], v128),
  'i16x8.add': vec(142, [v128, v128], v128),
  'i16x8.add_sat_s': vec(143, [v128, v128], v128),
  'i16x8.add_sat_u': vec(144, [v128, v128], v128),
  'i16x8.sub': vec(145, [v128, v128], v128),
  'i16x8.sub_sat_s': vec(146, [v128, v128], v128),
  'i16x8.sub_sat_u': vec(147, [v128, v128], v128),
  'i16x8.mul': vec(149, [v128, v128], v128),
  'i16x8.min_s': vec(150, [v128, v128], v128),
  'i16x8.min_u': vec(151, [v128, v128], v128),
  'i16x8.max_s': vec(152, [v128, v128], v128),
  'i16x8.max_u': vec(153, [v128, v128], v128),
  'i16x8.avgr_u': vec(155, [v128, v128], v128),
  'i16x8.extmul_low_i8x16_s': vec(156, [v128, v128], v128),
  'i16x8.extmul_high_i8x16_s': vec(157, [v128, v128], v128),
  'i16x8.extmul_low_i8x16_u': vec(158, [v128, v128], v128),
  'i16x8.extmul_high_i8x16_u': vec(159, [v128, v128], v128),
  // Vector: 32-bit integers
  'i32x4.extadd_pairwise_i16x8_s': vec(126, [v128], v128),
  'i32x4.extadd_pairwise_i16x8_u': vec(127, [v128], v128),
  'i32x4.abs': vec(160, [v128], v128),
  'i32x4.neg': vec(161, [v128], v128),
  'i32x4.all_true': vec(163, [v128], i32),
  'i32x4.bitmask': vec(164, [v128], i32),
  'i32x4.extend_low_i16x8_s': vec(167, [v128], v128),
  'i32x4.extend_high_i16x8_s': vec(168, [v128], v128),
  'i32x4.extend_low_i16x8_u': vec(169, [v128], v128),
  'i32x4.extend_high_i16x8_u': vec(170, [v128], v128),
  'i32x4.shl': vec(171, [v128, i32], v128),
  'i32x4.shr_s': vec(172, [v128, i32], v128),
  'i32x4.shr_u': vec(173, [v128, i32], v128),
  'i32x4.add': vec(174, [v128, v128], v128),
  'i32x4.sub': vec(177, [v128, v128], v128),
  'i32x4.mul': vec(181, [v128, v128], v128),
  'i32x4.min_s': vec(182, [v128, v128], v128),
  'i32x4.min_u': vec(183, [v128, v128], v128),
  'i32x4.max_s': vec(184, [v128, v128], v128),
  'i32x4.max_u': vec(185, [v128, v128], v128),
  'i32x4.dot_i16x8_s': vec(186, [v128, v128], v128),
  'i32x4.extmul_low_i16x8_s': vec(188, [v128, v128], v128),
  'i32x4.extmul_high_i16x8_s': vec(189, [v128, v128], v128),
  'i32x4.extmul_low_i16x8_u': vec(190, [v128, v128], v128),
  'i32x4.extmul_high_i16x8_u': vec(191, [v128, v128], v128),
  // Vector: 64-bit integers
  'i64x2.abs': vec(192, [v128], v128),
  'i64x2.neg': vec(193, [v128], v128),
  'i64x2.all_true': vec(195, [v128], i32),
  'i64x2.bitmask': vec(196, [v128], i32),
  'i64x2.extend_low_i32x4_s': vec(199, [v128], v128),
  'i64x2.extend_high_i32x4_s': vec(200, [v128], v128),
  'i64x2.extend_low_i32x4_u': vec(201, [v128], v128),
  'i64x2.extend_high_i32x4_u': vec(202, [v128], v128),
  'i64x2.shl': vec(203, [v128, i32], v128),
  'i64x2.shr_s': vec(204, [v128, i32], v128),
  'i64x2.shr_u': vec(205, [v128, i32], v128),
  'i64x2.add': vec(206, [v128, v128], v128),
  'i64x2.sub': vec(209, [v128, v128], v128),
  'i64x2.mul': vec(213, [v128, v128], v128),
  'i64x2.extmul_low_i32x4_s': vec(220, [v128, v128], v128),
  'i64x2.extmul_high_i32x4_s': vec(221, [v128, v128], v128),
  'i64x2.extmul_low_i32x4_u': vec(222, [v128, v128], v128),
  'i64x2.extmul_high_i32x4_u': vec(223, [v128, v128], v128),
  // Vector: floating point
  'f32x4.ceil': vec(103, [v128], v128),
  'f32x4.floor': vec(104, [v128], v128),
  'f32x4.trunc': vec(105, [v128], v128),
  'f32x4.nearest': vec(106, [v128], v128),
  'f32x4.abs': vec(224, [v128], v128),
  'f32x4.neg': vec(225, [v128], v128),
  'f32x4.sqrt': vec(227, [v128], v128),
  'f32x4.add': vec(228, [v128, v128], v128),
  'f32x4.sub': vec(229, [v128, v128], v128),
  'f32x4.mul': vec(230, [v128, v128], v128),
  'f32x4.div': vec(231, [v128, v128], v128),
  'f32x4.min': vec(232, [v128, v128], v128),
  'f32x4.max': vec(233, [v128, v128], v128),
  'f32x4.pmin': vec(234, [v128, v128], v128),
  'f32x4.pmax': vec(235, [v128, v128], v128),
  'f64x2.ceil': vec(116, [v128], v128),
  'f64x2.floor': vec(117, [v128], v128),
  'f64x2.trunc': vec(122, [v128], v128),
  'f64x2.nearest': vec(148, [v128], v128),
  'f64x2.abs': vec(236, [v128], v128),
  'f64x2.neg': vec(237, [v128], v128),
  'f64x2.sqrt': vec(239, [v128], v128),
  'f64x2.add': vec(240, [v128, v128], v128),
  'f64x2.sub': vec(241, [v128, v128], v128),
  'f64x2.mul': vec(242, [v128, v128], v128),
  'f64x2.div': vec(243, [v128, v128], v128),
  'f64x2.min': vec(244, [v128, v128], v128),
  'f64x2.max': vec(245, [v128, v128], v128),
  'f64x2.pmin': vec(246, [v128, v128], v128),
  'f64x2.pmax': vec(247, [v128, v128], v128),
  // Vector: conversions
  'f32x4.demote_f64x2_zero': vec(94, [v128], v128),
  'f64x2.promote_low_f32x4': vec(95, [v128], v128),
  'i32x4.trunc_sat_f32x4_s': vec(248, [v128], v128),
  'i32x4.trunc_sat_f32x4_u': vec(249, [v128], v128),
  'f32x4.convert_i32x4_s': vec(250, [v128], v128),
  'f32x4.convert_i32x4_u': vec(251, [v128], v128),
  'i32x4.trunc_sat_f64x2_s_zero': vec(252, [v128], v128),
  'i32x4.trunc_sat_f64x2_u_zero': vec(253, [v128], v128),
  'f64x2.convert_low_i32x4_s': vec(254, [v128], v128),
  'f64x2.convert_low_i32x4_u': vec(255, [v128], v128),
  // Vector: relaxed operators, whose results may differ between hosts
  'i8x16.relaxed_swizzle': vec(256, [v128, v128], v128),
  'i32x4.relaxed_trunc_f32x4_s': vec(257, [v128], v128),
  'i32x4.relaxed_trunc_f32x4_u': vec(258, [v128], v128),
  'i32x4.relaxed_trunc_f64x2_s_zero': vec(259, [v128], v128),
  'i32x4.relaxed_trunc_f64x2_u_zero': vec(260, [v128], v128),
  'f32x4.relaxed_madd': vec(261, [v128, v128, v128], v128),
  'f32x4.relaxed_nmadd': vec(262, [v128, v128, v128], v128),
  'f64x2.relaxed_madd': vec(263, [v128, v128, v128], v128),
  'f64x2.relaxed_nmadd': vec(264, [v128, v128, v128], v128),
  'i8x16.relaxed_laneselect': vec(265, [v128, v128, v128], v128),
  'i16x8.relaxed_laneselect': vec(266, [v128, v128, v128], v128),
  'i32x4.relaxed_laneselect': vec(267, [v128, v128, v128], v128),
  'i64x2.relaxed_laneselect': vec(268, [v128, v128, v128], v128),
  'f32x4.relaxed_min': vec(269, [v128, v128], v128),
  'f32x4.relaxed_max': vec(270, [v128, v128], v128),
  'f64x2.relaxed_min': vec(271, [v128, v128], v128),
  'f64x2.relaxed_max': vec(272, [v128, v128], v128),
  'i16x8.relaxed_q15mulr_s': vec(273, [v128, v128], v128),
  'i16x8.relaxed_dot_i8x16_i7x16_s': vec(274, [v128, v128], v128),
  'i32x4.relaxed_dot_i8x16_i7x16_add_s': vec(275, [v128, v128, v128], v128),
  // Atomic (threads proposal)
  'memory.atomic.notify': atomic(0x00, [i32], i32, 4),
  'memory.atomic.wait32': atomic(0x01, [i32, i64], i32, 4),
  'memory.atomic.wait64': atomic(0x02, [i64, i64], i32, 8),
  'i32.atomic.load': atomic(0x10, [], i32, 4),
  'i64.atomic.load': atomic(0x11, [], i64, 8),
  'i32.atomic.load8_u': atomic(0x12, [], i32, 1),
  'i32.atomic.load16_u': atomic(0x13, [], i32, 2),
  'i64.atomic.load8_u': atomic(0x14, [], i64, 1),
  'i64.atomic.load16_u': atomic(0x15, [], i64, 2),
  'i64.atomic.load32_u': atomic(0x16, [], i64, 4),
  'i32.atomic.store': atomic(0x17, [i32], undefined, 4),
  'i64.atomic.store': atomic(0x18, [i64], undefined, 8),
  'i32.atomic.store8': atomic(0x19, [i32], undefined, 1),
  'i32.atomic.store16': atomic(0x1a, [i32], undefined, 2),
  'i64.atomic.store8': atomic(0x1b, [i64], undefined, 1),
  'i64.atomic.store16': atomic(0x1c, [i64], undefined, 2),
  'i64.atomic.store32': atomic(0x1d, [i64], undefined, 4),
  'i32.atomic.rmw.add': atomic(0x1e, [i32], i32, 4),
  'i64.atomic.rmw.add': atomic(0x1f, [i64], i64, 8),
  'i32.atomic.rmw8.add_u': atomic(0x20, [i32], i32, 1),
  'i32.atomic.rmw16.add_u': atomic(0x21, [i32], i32, 2),
  'i64.atomic.rmw8.add_u': atomic(0x22, [i64], i64, 1),
  'i64.atomic.rmw16.add_u': atomic(0x23, [i64], i64, 2),
  'i64.atomic.rmw32.add_u': atomic(0x24, [i64], i64, 4),
  'i32.atomic.rmw.sub': atomic(0x25, [i32], i32, 4),
  'i64.atomic.rmw.sub': atomic(0x26, [i64], i64, 8),
  'i32.atomic.rmw8.sub_u': atomic(0x27, [i32], i32, 1),
  'i32.atomic.rmw16.sub_u': atomic(0x28, [i32], i32, 2),
  'i64.atomic.rmw8.sub_u': atomic(0x29, [i64], i64, 1),
  'i64.atomic.rmw16.sub_u': atomic(0x2a, [i64], i64, 2),
  'i64.atomic.rmw32.sub_u': atomic(0x2b, [i64], i64, 4),
  'i32.atomic.rmw.and': atomic(0x2c, [i32], i32, 4),
  'i64.atomic.rmw.and': atomic(0x2d, [i64], i64, 8),
  'i32.atomic.rmw8.and_u': atomic(0x2e, [i32], i32, 1),
  'i32.atomic.rmw16.and_u': atomic(0x2f, [i32], i32, 2),
  'i64.atomic.rmw8.and_u': atomic(0x30, [i64], i64, 1),
  'i64.atomic.rmw16.and_u': atomic(0x31, [i64], i64, 2),
  'i64.atomic.rmw32.and_u': atomic(0x32, [i64], i64, 4),
  'i32.atomic.rmw.or': atomic(0x33, [i32], i32, 4),
  'i64.atomic.rmw.or': atomic(0x34, [i64], i64, 8),
  'i32.atomic.rmw8.or_u': atomic(0x35, [i32], i32, 1),
  'i32.atomic.rmw16.or_u': atomic(0x36, [i32], i32, 2),
  'i64.atomic.rmw8.or_u': atomic(0x37, [i64], i64, 1),
  'i64.atomic.rmw16.or_u': atomic(0x38, [i64], i64, 2),
  'i64.atomic.rmw32.or_u': atomic(0x39, [i64], i64, 4),
  'i32.atomic.rmw.xor': atomic(0x3a, [i32], i32, 4),
  'i64.atomic.rmw.xor': atomic(0x3b, [i64], i64, 8),
  'i32.atomic.rmw8.xor_u': atomic(0x3c, [i32], i32, 1),
  'i32.atomic.rmw16.xor_u': atomic(0x3d, [i32], i32, 2),
  'i64.atomic.rmw8.xor_u': atomic(0x3e, [i64], i64, 1),
  'i64.atomic.rmw16.xor_u': atomic(0x3f, [i64], i64, 2),
  'i64.atomic.rmw32.xor_u': atomic(0x40, [i64], i64, 4),
  'i32.atomic.rmw.xchg': atomic(0x41, [i32], i32, 4),
  'i64.atomic.rmw.xchg': atomic(0x42, [i64], i64, 8),
  'i32.atomic.rmw8.xchg_u': atomic(0x43, [i32], i32, 1),
  'i32.atomic.rmw16.xchg_u': atomic(0x44, [i32], i32, 2),
  'i64.atomic.rmw8.xchg_u': atomic(0x45, [i64], i64, 1),
  'i64.atomic.rmw16.xchg_u': atomic(0x46, [i64], i64, 2),
  'i64.atomic.rmw32.xchg_u': atomic(0x47, [i64], i64, 4),
  'i32.atomic.rmw.cmpxchg': atomic(0x48, [i32, i32], i32, 4),
  'i64.atomic.rmw.cmpxchg': atomic(0x49, [i64, i64], i64, 8),
  'i32.atomic.rmw8.cmpxchg_u': atomic(0x4a, [i32, i32], i32, 1),
  'i32.atomic.rmw16.cmpxchg_u': atomic(0x4b, [i32, i32], i32, 2),
  'i64.atomic.rmw8.cmpxchg_u': atomic(0x4c, [i64, i64], i64, 1),
  'i64.atomic.rmw16.cmpxchg_u': atomic(0x4d, [i64, i64], i64, 2),
  'i64.atomic.rmw32.cmpxchg_u': atomic(0x4e, [i64, i64], i64, 4),
});

type Table = typeof OPERATORS;

/** The name of any operator, as in the text format. */
export type OperatorName = keyof Table;

/** The names of the operators of one group. */
export type OperatorsOf<G extends OperatorGroup> = {
  [N in OperatorName]: Table[N] extends Operator<G> ? N : never;
}[OperatorName];

export type ValueOperatorName = OperatorsOf<'value'>;
export type LoadName = OperatorsOf<'load'>;
export type StoreName = OperatorsOf<'store'>;
export type LoadLaneName = OperatorsOf<'load lane'>;
export type StoreLaneName = OperatorsOf<'store lane'>;
export type AtomicName = OperatorsOf<'atomic'>;

export type OperandsOf<N extends OperatorName> = Table[N]['operands'];
export type ResultOf<N extends OperatorName> = Table[N]['result'];
export type ImmediateOf<N extends OperatorName> = Table[N]['immediate'];
