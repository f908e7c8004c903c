/**
 * The exact path of SSE floating-point instructions: operands and result in the context's scratch words, MXCSR updated,
 * unmasked exceptions described (SDM vol. 1 11.5).
 */
import { SseFormat, SseOperation } from '../../isa/sse/operations.ts';
import { Vector } from '../../isa/stage.ts';
import { CONTEXT } from '../context.ts';
import { setFault } from '../fault.ts';
import { EQUAL, LESS, type Relation, UNORDERED } from '../float/arithmetic.ts';
import { FloatEnvironment } from '../float/environment.ts';
import {
  add32,
  add64,
  type BinaryOperation,
  divide32,
  divide64,
  multiply32,
  multiply64,
  squareRoot32,
  squareRoot64,
  subtract32,
  subtract64,
  type UnaryOperation,
} from '../float/sse.ts';
import {
  compare32,
  compare64,
  maximum32,
  maximum64,
  minimum32,
  minimum64,
  predicate32,
  predicate64,
} from '../float/sse-compare.ts';
import {
  binary32ToBinary64,
  binary32ToInt32,
  binary32ToInt64,
  binary64ToBinary32,
  binary64ToInt32,
  binary64ToInt64,
  int32ToBinary32,
  int32ToBinary64,
  int64ToBinary32,
  int64ToBinary64,
  round32,
  round64,
} from '../float/sse-convert.ts';
import { type CpuState, word } from '../state.ts';
import { CR4 } from '../system/registers.ts';

/** Byte offsets in the context: scratch words 0, 2, 4 and 6. */
const FIRST = CONTEXT.scratch.offset;
const SECOND = FIRST + 16;
const RESULT = FIRST + 32;
const TEMPORARY = FIRST + 48;

const MXCSR = word('mxcsr');
const CONTROL4 = word('cr4');

/** Flags of COMISS in their RFLAGS places. */
const CF = 1 << 0;
const PF = 1 << 2;
const ZF = 1 << 6;

interface Shape {
  readonly double: boolean;
  /** Bytes of an element, and of all elements. */
  readonly width: number;
  readonly bytes: number;
}
const SHAPES: Readonly<Record<SseFormat, Shape>> = {
  [SseFormat.PS]: { double: false, width: 4, bytes: 16 },
  [SseFormat.PD]: { double: true, width: 8, bytes: 16 },
  [SseFormat.SS]: { double: false, width: 4, bytes: 4 },
  [SseFormat.SD]: { double: true, width: 8, bytes: 8 },
};

type Run = (env: FloatEnvironment, memory: DataView, shape: Shape, immediate: number) => void;

const binary =
  (single: BinaryOperation, double: BinaryOperation): Run =>
  (env, memory, shape) => {
    const operation = shape.double ? double : single;
    for (let i = 0; i < shape.bytes; i += shape.width) operation(env, memory, RESULT + i, FIRST + i, SECOND + i);
  };

const unary =
  (single: UnaryOperation, double: UnaryOperation): Run =>
  (env, memory, shape) => {
    const operation = shape.double ? double : single;
    for (let i = 0; i < shape.bytes; i += shape.width) operation(env, memory, RESULT + i, SECOND + i);
  };

const comparePredicate: Run = (env, memory, shape, immediate) => {
  const predicate = shape.double ? predicate64 : predicate32;
  for (let i = 0; i < shape.bytes; i += shape.width) {
    const mask = predicate(env, memory, FIRST + i, SECOND + i, immediate) ? -1 : 0;
    for (let j = 0; j < shape.width; j += 4) memory.setInt32(RESULT + i + j, mask, true);
  }
};

const flagsOf = (relation: Relation): number =>
  relation === UNORDERED ? ZF | PF | CF : relation === LESS ? CF : relation === EQUAL ? ZF : 0;

const compareToFlags =
  (signalQuiet: boolean): Run =>
  (env, memory, shape) => {
    const compare = shape.double ? compare64 : compare32;
    memory.setUint32(RESULT, flagsOf(compare(env, memory, FIRST, SECOND, signalQuiet)), true);
  };

const addSubtract: Run = (env, memory, shape) => {
  const { width } = shape;
  const [subtract, add] = shape.double ? [subtract64, add64] : [subtract32, add32];
  for (let i = 0; i < shape.bytes; i += 2 * width) {
    subtract(env, memory, RESULT + i, FIRST + i, SECOND + i);
    add(env, memory, RESULT + i + width, FIRST + i + width, SECOND + i + width);
  }
};

const horizontal =
  (single: BinaryOperation, double: BinaryOperation): Run =>
  (env, memory, shape) => {
    const operation = shape.double ? double : single;
    let to = RESULT;
    for (const from of [FIRST, SECOND]) {
      for (let i = 0; i < shape.bytes; i += 2 * shape.width, to += shape.width) {
        operation(env, memory, to, from + i, from + i + shape.width);
      }
    }
  };

/** Products chosen by immediate bits 7:4, their sum in the elements of bits 3:0. Unmasked exceptions end it at once. */
const dotProduct: Run = (env, memory, shape, immediate) => {
  const { width } = shape;
  const [multiply, add] = shape.double ? [multiply64, add64] : [multiply32, add32];
  const count = shape.bytes / width;
  for (let i = 0; i < count; i++) {
    if ((immediate >> (4 + i)) & 1) multiply(env, memory, TEMPORARY + i * width, FIRST + i * width, SECOND + i * width);
    else clear(memory, TEMPORARY + i * width, width);
  }
  for (let step = width; step < shape.bytes; step *= 2) {
    if (env.unmasked) return;
    for (let i = 0; i < shape.bytes; i += 2 * step)
      add(env, memory, TEMPORARY + i, TEMPORARY + i, TEMPORARY + i + step);
  }
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < width; j += 4) {
      memory.setUint32(RESULT + i * width + j, (immediate >> i) & 1 ? memory.getUint32(TEMPORARY + j, true) : 0, true);
    }
  }
};

function clear(memory: DataView, offset: number, bytes: number): void {
  for (let i = 0; i < bytes; i += 4) memory.setUint32(offset + i, 0, true);
}

const round: Run = (env, memory, shape, immediate) => {
  const operation = shape.double ? round64 : round32;
  for (let i = 0; i < shape.bytes; i += shape.width) operation(env, memory, RESULT + i, SECOND + i, immediate);
};

const convertPrecision: Run = (env, memory, shape) => {
  const count = shape.bytes <= 8 ? 1 : 2;
  clear(memory, RESULT, 16);
  for (let i = 0; i < count; i++) {
    if (shape.double) binary64ToBinary32(env, memory, RESULT + 4 * i, SECOND + 8 * i);
    else binary32ToBinary64(env, memory, RESULT + 8 * i, SECOND + 4 * i);
  }
};

const fromInt32: Run = (env, memory, shape) => {
  const operation = shape.double ? int32ToBinary64 : int32ToBinary32;
  for (let i = 0; i * shape.width < shape.bytes; i++) operation(env, memory, RESULT + i * shape.width, SECOND + 4 * i);
};

const fromInt64: Run = (env, memory, shape) =>
  (shape.double ? int64ToBinary64 : int64ToBinary32)(env, memory, RESULT, SECOND);

const toInt32: Run = (env, memory, shape, immediate) => {
  const operation = shape.double ? binary64ToInt32 : binary32ToInt32;
  clear(memory, RESULT, 16);
  for (let i = 0; i * shape.width < shape.bytes; i++)
    operation(env, memory, RESULT + 4 * i, SECOND + i * shape.width, immediate !== 0);
};

const toInt64: Run = (env, memory, shape, immediate) =>
  (shape.double ? binary64ToInt64 : binary32ToInt64)(env, memory, RESULT, SECOND, immediate !== 0);

const OPERATIONS = {
  [SseOperation.ADD]: binary(add32, add64),
  [SseOperation.SUBTRACT]: binary(subtract32, subtract64),
  [SseOperation.MULTIPLY]: binary(multiply32, multiply64),
  [SseOperation.DIVIDE]: binary(divide32, divide64),
  [SseOperation.MINIMUM]: binary(minimum32, minimum64),
  [SseOperation.MAXIMUM]: binary(maximum32, maximum64),
  [SseOperation.SQUARE_ROOT]: unary(squareRoot32, squareRoot64),
  [SseOperation.COMPARE]: comparePredicate,
  [SseOperation.COMPARE_ORDERED]: compareToFlags(true),
  [SseOperation.COMPARE_UNORDERED]: compareToFlags(false),
  [SseOperation.ADD_SUBTRACT]: addSubtract,
  [SseOperation.HORIZONTAL_ADD]: horizontal(add32, add64),
  [SseOperation.HORIZONTAL_SUBTRACT]: horizontal(subtract32, subtract64),
  [SseOperation.DOT_PRODUCT]: dotProduct,
  [SseOperation.ROUND]: round,
  [SseOperation.CONVERT_PRECISION]: convertPrecision,
  [SseOperation.FROM_INT32]: fromInt32,
  [SseOperation.FROM_INT64]: fromInt64,
  [SseOperation.TO_INT32]: toInt32,
  [SseOperation.TO_INT64]: toInt64,
} satisfies Record<SseOperation, Run>;

const environment = new FloatEnvironment();

/**
 * (SseOperation, SseFormat, immediate): first operand in scratch[0..1], second in scratch[2..3], result to scratch[4..5].
 * Returns 1 where an unmasked exception was described; the result must not be used then.
 */
export function sseFloat(cpu: CpuState, operation: number, format: number, immediate: number): number {
  const { u32 } = cpu;
  const mxcsr = u32[MXCSR];
  environment.loadMxcsr(mxcsr);
  OPERATIONS[operation as SseOperation](environment, cpu.view, SHAPES[format as SseFormat], immediate);
  u32[MXCSR] = environment.storeMxcsr(mxcsr);
  if (!environment.unmasked) return 0;
  // without OSXMMEXCPT the operating system does not handle #XM (SDM vol. 3A 2.5)
  setFault(cpu, u32[CONTROL4] & CR4.OSXMMEXCPT ? Vector.XM : Vector.UD);
  return 1;
}
