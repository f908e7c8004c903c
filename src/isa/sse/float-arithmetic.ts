/** SSE floating-point arithmetic, rounding, logic and approximation; MXCSR. */
import { constantValue, type Local, type Value } from '../../wasm/index.ts';
import { type Instruction, instruction } from '../instruction.ts';
import { type I32, type Stage, Vector } from '../stage.ts';
import { EXACTNESS, type Exactness } from './float-exactness.ts';
import {
  evenAndOdd,
  type FloatFormat,
  FORMATS,
  type Mask,
  MXCSR_RESERVED,
  MXCSR_ROUNDING_SHIFT,
  type Pattern,
  PD,
  PS,
  quickOr,
  quietDenormals,
  quietNearest,
  quietPrecision,
  roundsToNearest,
  SS,
} from './float-format.ts';
import { assumed, assumedRoot } from './float-range.ts';
import { SseOperation } from './operations.ts';
import { elements, immediate, lanes, source, type V128, type VectorLocal } from './vector.ts';

// ---- addition, subtraction, multiplication, division

/** Whether a result is what the exact path would give; operands and result as doubled patterns. */
type Soundness = (x: Stage, format: FloatFormat, a: Pattern, b: Pattern, result: Pattern) => Mask;

/** A sum or difference of numbers that are not denormal: tiny ones are zero, or left to the exact path. */
const soundSum: Soundness = (x, format, a, b, result) =>
  format.both(x, format.both(x, format.notDenormal(x, a), format.notDenormal(x, b)), format.ordinarySum(x, result));

/** A product: zero only of zeros. */
const soundProduct: Soundness = (x, format, a, b, result) => {
  const zeros = format.both(x, format.isZero(x, result), format.either(x, format.isZero(x, a), format.isZero(x, b)));
  const operands = format.both(x, format.notDenormal(x, a), format.notDenormal(x, b));
  return format.both(x, operands, format.either(x, format.ordinary(x, result), zeros));
};

/** A quotient: zero only of zero by a number (0 / 0 is NaN). */
const soundQuotient: Soundness = (x, format, a, b, result) => {
  const zeros = format.both(x, format.isZero(x, result), format.isZero(x, a));
  const operands = format.both(x, format.notDenormal(x, a), format.notDenormal(x, b));
  return format.both(x, operands, format.either(x, format.ordinary(x, result), zeros));
};

/** One operation, quick where it is sound and MXCSR allows or nothing is rounded. */
function operate(
  x: Stage,
  format: FloatFormat,
  operation: SseOperation,
  quick: Value,
  sound: Soundness,
  a: Pattern,
  b: Pattern,
  exactness?: Exactness,
): Value {
  const result = x.let(quick);
  const doubled = format.doubled(x, result);
  const numbers = format.all(x, sound(x, format, format.doubled(x, a), format.doubled(x, b), doubled));
  const exact = () => format.exact(x, operation, format.type, 0, b, a) as Value;
  return quickUnlessReported(x, format, numbers, result, exact, () => exactness?.(x, format, a, b, result));
}

/**
 * The result, where values are `sound` and precision is quiet, or `unrounded` says that it is exact, or MXCSR has all flags
 * that finite results can set.
 */
function quickUnlessReported(
  x: Stage,
  format: FloatFormat,
  values: I32,
  quick: Local,
  exact: () => Value,
  unrounded: () => I32 | undefined,
): Value {
  const sound = x.let(values) as I32;
  return quickOr(x, x.and(sound, quietNearest(x)), quick as Value, () => {
    let fits = x.and(format.all(x, format.finite(x, format.doubled(x, quick))), quietDenormals(x));
    const precise = unrounded();
    if (precise) fits = x.or(fits, x.and(x.and(sound, precise), roundsToNearest(x)));
    const result = x.variable(quick.type, quick);
    x.if(x.eqz(fits), () => result.set(exact()), undefined, false);
    return result;
  });
}

function arithmetic(
  name: string,
  opcode: string,
  operation: SseOperation,
  operator: 'add' | 'sub' | 'mul' | 'div',
  sound: Soundness,
): Instruction[] {
  return FORMATS.map((format) =>
    instruction(name + format.suffix.toUpperCase(), {
      encodings: [`${format.prefix} 0F ${opcode} ${format.operands}`],
      feature: format.feature,
      unit: 'sse',
      execute(x) {
        const a = format.read(x, 0);
        const b = format.read(x, 1);
        if (x.assuming) x.write(0, assumed(x, format, operator, a, b));
        else {
          const quick = format.compute(x, operator, a, b);
          x.write(0, operate(x, format, operation, quick, sound, a, b, EXACTNESS[operator]));
        }
      },
    }),
  );
}
export const ADD = arithmetic('ADD', '58', SseOperation.ADD, 'add', soundSum);
export const MUL = arithmetic('MUL', '59', SseOperation.MULTIPLY, 'mul', soundProduct);
export const SUB = arithmetic('SUB', '5C', SseOperation.SUBTRACT, 'sub', soundSum);
export const DIV = arithmetic('DIV', '5E', SseOperation.DIVIDE, 'div', soundQuotient);

/** Zero, or positive and normal: what has a square root that is at worst inexact. */
function rootable(x: Stage, format: FloatFormat, value: Pattern): Mask {
  const zero = format.isZero(x, format.doubled(x, value));
  const pattern = format.bits(x, value);
  return format.either(x, zero, format.below(x, pattern, -format.smallest, format.infinity - format.smallest));
}
export const SQRT = FORMATS.map((format) =>
  instruction(`SQRT${format.suffix.toUpperCase()}`, {
    encodings: [`${format.prefix} 0F 51 ${format.operands}`],
    access: ['w', 'r'],
    feature: format.feature,
    unit: 'sse',
    execute(x) {
      const value = format.read(x, 1);
      if (x.assuming) {
        x.write(0, assumedRoot(x, format, value));
        return;
      }
      const root = x.let(format.compute(x, 'sqrt', value));
      const exact = () => format.exact(x, SseOperation.SQUARE_ROOT, format.type, 0, value) as Value;
      const sound = format.all(x, rootable(x, format, value));
      const unrounded = () => EXACTNESS.sqrt(x, format, value, value, root);
      x.write(0, quickUnlessReported(x, format, sound, root, exact, unrounded));
    },
  }),
);

// ---- neighbours: ADDSUBPx, HADDPx, HSUBPx, DPPx

/** SSE3's packed pairs: PD with 66, PS with F2. */
function sse3(
  name: string,
  opcode: string,
  body: (x: Stage, format: FloatFormat, a: Pattern, b: Pattern) => Value,
): Instruction[] {
  return [PD, PS].map((format) =>
    instruction(name + format.suffix.toUpperCase(), {
      encodings: [`${format === PD ? '66' : 'F2'} 0F ${opcode} ${format.operands}`],
      feature: 'sse3',
      unit: 'sse',
      execute(x) {
        const a = format.read(x, 0);
        const b = format.read(x, 1);
        x.write(0, body(x, format, a, b));
      },
    }),
  );
}
export const ADDSUB = sse3('ADDSUB', 'D0', (x, format, a, b) => {
  // numbers subtracted are numbers added with the other sign
  const signs = lanes(x, format.width, (i) => (i & 1 ? 0n : 1n << BigInt(format.width - 1)));
  const quick = format.compute(x, 'add', a, format.bitwise(x, 'xor', b, signs));
  return operate(x, format, SseOperation.ADD_SUBTRACT, quick, soundSum, a, b);
});
function horizontal(name: string, opcode: string, operator: 'add' | 'sub', operation: SseOperation): Instruction[] {
  return sse3(name, opcode, (x, format, a, b) => {
    const [even, odd] = evenAndOdd(x, format, a, b);
    const result = x.let(format.compute(x, operator, even, odd));
    const sound = soundSum(x, format, format.doubled(x, even), format.doubled(x, odd), format.doubled(x, result));
    const ready = x.and(format.all(x, sound), quietNearest(x));
    return quickOr(x, ready, result, () => format.exact(x, operation, 'v128', 0, b, a) as Value);
  });
}
export const HADD = horizontal('HADD', '7C', 'add', SseOperation.HORIZONTAL_ADD);
export const HSUB = horizontal('HSUB', '7D', 'sub', SseOperation.HORIZONTAL_SUBTRACT);

/** Elements whose bit of the immediate (from `first` on) is set, as a mask. */
function chosen(x: Stage, format: FloatFormat, selector: I32, first: number): V128 {
  const bits = () => lanes(x, format.width, (i) => 1 << (first + i));
  const all = format.width === 32 ? x.op['i32x4.splat'](selector) : x.op['i64x2.splat'](x.extendU(selector));
  return format.integer(x, 'eq', x.op['v128.and'](all, bits()), bits()) as V128;
}
export const DP = [PS, PD].map((format) =>
  instruction(`DP${format.suffix.toUpperCase()}`, {
    encodings: [`66 0F 3A ${format === PS ? '40' : '41'} ${format.operands},Ib`],
    feature: 'sse4.1',
    unit: 'sse',
    execute(x) {
      const a = x.operand(0) as VectorLocal;
      const b = source(x, 1);
      const selector = immediate(x, 2);
      const used = x.let(chosen(x, format, selector as I32, 4));
      const left = x.let(x.op['v128.and'](a, used));
      const right = x.let(x.op['v128.and'](b, used));
      const product = x.let(format.compute(x, 'mul', left, right));
      let sound = soundProduct(
        x,
        format,
        format.doubled(x, left),
        format.doubled(x, right),
        format.doubled(x, product),
      );
      let sum = product as VectorLocal;
      for (const swapped of format === PS
        ? [
            [1, 0, 3, 2],
            [2, 3, 0, 1],
          ]
        : [[1, 0]]) {
        const other = x.op['i8x16.shuffle'](sum, sum, elements(format.width / 8, swapped));
        sum = x.let(format.compute(x, 'add', sum, other)) as VectorLocal;
        sound = format.both(x, sound, format.ordinarySum(x, format.doubled(x, sum)));
      }
      const quick = x.op['v128.and'](sum, chosen(x, format, selector as I32, 0));
      const ready = x.and(format.all(x, sound), quietNearest(x));
      x.write(
        0,
        quickOr(x, ready, quick, () => format.exact(x, SseOperation.DOT_PRODUCT, 'v128', selector, b, a)),
      );
    },
  }),
);

// ---- rounding to integral values

/** imm8: rounding mode 1:0, MXCSR.RC instead 2, precision exception suppressed 3 (SDM vol. 2B figure 4-24). */
const ROUND_BY_MXCSR = 1 << 2;
const ROUND_SUPPRESS_PRECISION = 1 << 3;
const ROUND_OPERATORS = ['nearest', 'floor', 'ceil', 'trunc'] as const;
const ROUND_OPCODES: Readonly<Record<string, string>> = { ps: '08', pd: '09', ss: '0A', sd: '0B' };

function rounded(x: Stage, format: FloatFormat, value: Pattern, selector: Local<'i32'>): Value {
  const by = (mode: number) => format.compute(x, ROUND_OPERATORS[mode], value);
  const constant = constantValue(selector);
  if (constant !== undefined && !(constant & ROUND_BY_MXCSR)) return by(constant & 3);
  const byMxcsr = x.and(selector as I32, ROUND_BY_MXCSR);
  const mode = x.let(x.select(byMxcsr, x.shrU(x.mxcsr() as I32, MXCSR_ROUNDING_SHIFT), selector as I32)) as I32;
  const pick = (odd: number, even: number) => x.select(x.and(mode, 1), by(odd), by(even));
  return x.select(x.and(mode, 2), pick(3, 2), pick(1, 0));
}
export const ROUND = FORMATS.map((format) =>
  instruction(`ROUND${format.suffix.toUpperCase()}`, {
    encodings: [`66 0F 3A ${ROUND_OPCODES[format.suffix]} ${format.operands},Ib`],
    access: ['w', 'r', 'r'],
    feature: 'sse4.1',
    unit: 'sse',
    execute(x) {
      const value = format.read(x, 1);
      const selector = immediate(x, 2);
      const result = x.let(rounded(x, format, value, selector));
      const plain = format.all(x, format.plain(x, format.doubled(x, value)));
      const same = format.integer(x, 'eq', format.bits(x, result), format.bits(x, value)) as Mask;
      const exactly = format.all(x, same);
      const silent = x.or(x.or(x.and(selector as I32, ROUND_SUPPRESS_PRECISION), exactly), quietPrecision(x));
      const sound = x.and(plain, x.nez(silent));
      x.write(
        0,
        quickOr(x, sound, result, () => format.exact(x, SseOperation.ROUND, format.type, selector, value)),
      );
    },
  }),
);

// ---- logic

/** ANDPS and its kin are the integer operations under other names. */
function logic(name: string, opcode: string, operation: (x: Stage, a: V128, b: V128) => V128): Instruction[] {
  return [PS, PD].map((format) =>
    instruction(name + format.suffix.toUpperCase(), {
      encodings: [`${format.prefix} 0F ${opcode} ${format.operands}`],
      feature: format.feature,
      unit: 'sse',
      execute(x) {
        const a = x.operand(0) as VectorLocal;
        const b = source(x, 1);
        x.write(0, operation(x, a, b));
      },
    }),
  );
}
export const AND = logic('AND', '54', (x, a, b) => x.op['v128.and'](a, b));
export const ANDN = logic('ANDN', '55', (x, a, b) => x.op['v128.andnot'](b, a));
export const OR = logic('OR', '56', (x, a, b) => x.op['v128.or'](a, b));
export const XOR = logic('XOR', '57', (x, a, b) => x.op['v128.xor'](a, b));

// ---- approximations

const QUIET = 0x0040_0000;
const SIGN = 1n << 31n;

/**
 * RCPxS and RSQRTxS: no exceptions, no MXCSR; denormals count as zeros. The architecture fixes the relative error to
 * 1.5 * 2^-12 and nothing else: here the exact quotient or root, rounded.
 */
function approximation(name: string, opcode: string, compute: (x: Stage, value: VectorLocal) => V128): Instruction[] {
  return [PS, SS].map((format) =>
    instruction(name + format.suffix.toUpperCase(), {
      encodings: [`${format.prefix} 0F ${opcode} ${format.operands}`],
      access: ['w', 'r'],
      feature: 'sse',
      unit: 'sse',
      execute(x) {
        const { op } = x;
        const read = format.read(x, 1);
        const value = (format.scalar ? x.let(op['f32x4.splat'](read as Value as Value<'f32'>)) : read) as VectorLocal;
        const doubled = PS.doubled(x, value);
        const zero = PS.below(x, doubled, 0n, 2n * PS.smallest) as V128;
        const nan = PS.not(x, PS.below(x, doubled, 0n, 2n * PS.infinity + 1n)) as V128;
        const infinite = op['v128.or'](
          op['v128.and'](value, PS.constant(x, SIGN) as V128),
          PS.constant(x, PS.infinity) as V128,
        );
        let result = op['v128.bitselect'](infinite, compute(x, value), zero);
        result = op['v128.bitselect'](
          op['v128.or'](
            value,
            lanes(x, 32, () => QUIET),
          ),
          result,
          nan,
        );
        x.write(0, format.scalar ? op['f32x4.extract_lane'](result, 0) : result);
      },
    }),
  );
}
const ones = (x: Stage) => lanes(x, 32, () => 0x3f80_0000);
/** The real indefinite (SDM vol. 1 table 4-3). */
const INDEFINITE = 0xffc0_0000n;
export const RCP = approximation('RCP', '53', (x, value) => {
  const quotient = x.let(x.op['f32x4.div'](ones(x), value)) as VectorLocal;
  // the smallest normal number too: what processors compute lies below the exact quotient
  const tiny = PS.below(x, PS.doubled(x, quotient), 0n, 2n * PS.smallest + 1n) as V128;
  const signs = x.op['v128.and'](quotient, PS.constant(x, SIGN) as V128);
  return x.op['v128.bitselect'](signs, quotient, tiny);
});
export const RSQRT = approximation('RSQRT', '52', (x, value) => {
  const { op } = x;
  const negative = op['i32x4.shr_s'](value, x.i32(31));
  return op['v128.bitselect'](
    PS.constant(x, INDEFINITE) as V128,
    op['f32x4.div'](ones(x), op['f32x4.sqrt'](value)),
    negative,
  );
});

// ---- MXCSR

export const LDMXCSR = instruction('LDMXCSR', {
  encodings: ['NP 0F AE /2 Md'],
  access: ['r'],
  feature: 'sse',
  unit: 'sse',
  execute(x) {
    const value = x.operand(0) as I32;
    x.faultIf(x.and(value, MXCSR_RESERVED), Vector.GP, 0);
    x.setMxcsr(value);
  },
});
export const STMXCSR = instruction('STMXCSR', {
  encodings: ['NP 0F AE /3 Md'],
  access: ['w'],
  feature: 'sse',
  unit: 'sse',
  execute: (x) => x.write(0, x.mxcsr()),
});
