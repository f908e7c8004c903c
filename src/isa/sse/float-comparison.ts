/** SSE floating-point minimum, maximum and comparison. Their results are exact, so that only the operands matter. */
import { constantValue, type Local, type Value } from '../../wasm/index.ts';
import { type Instruction, instruction } from '../instruction.ts';
import type { I32, Stage } from '../stage.ts';
import { type FloatFormat, FORMATS, type Mask, type Pattern, quickOr, quietOperands, SD, SS } from './float-format.ts';
import { learnEither, requirePlain } from './float-range.ts';
import { SseOperation } from './operations.ts';
import { immediate, type V128 } from './vector.ts';

/** Whether two values can be compared quickly; assumed, and checked, where the stage may. */
function comparable(x: Stage, format: FloatFormat, a: Pattern, b: Pattern): I32 {
  if (x.assuming) {
    requirePlain(x, format, a, b);
    return x.i32(1);
  }
  const [p, q] = [format.doubled(x, a), format.doubled(x, b)];
  const denormals = format.all(x, format.both(x, format.notDenormal(x, p), format.notDenormal(x, q)));
  const numbers = format.all(x, format.both(x, format.number(x, p), format.number(x, q)));
  return x.and(numbers, x.or(denormals, quietOperands(x)));
}

/** The second operand wherever the first is not strictly less (greater). */
function extremum(name: string, opcode: string, operation: SseOperation, operator: 'lt' | 'gt'): Instruction[] {
  const choose = (x: Stage, format: FloatFormat, a: Pattern, b: Pattern): Value => format.extremum(x, operator, b, a);
  return FORMATS.map((format) =>
    instruction(name + format.suffix.toUpperCase(), {
      encodings: [`${format.prefix} 0F ${opcode} ${format.operands}`],
      feature: format.feature,
      unit: 'sse',
      execute(x) {
        const a = format.read(x, 0);
        const b = format.read(x, 1);
        const sound = comparable(x, format, a, b);
        const exact = () => format.exact(x, operation, format.type, 0, b, a) as Value;
        const result = quickOr(x, sound, choose(x, format, a, b), exact);
        if (x.assuming) learnEither(x, format, result, a, b);
        x.write(0, result);
      },
    }),
  );
}
export const MIN = extremum('MIN', '5D', SseOperation.MINIMUM, 'lt');
export const MAX = extremum('MAX', '5F', SseOperation.MAXIMUM, 'gt');

/** An i32 of 0 or 1 as a mask of all zeros or ones in the format's shape. */
function spread(x: Stage, format: FloatFormat, bit: I32): Value {
  const ones = x.neg(bit);
  if (!format.scalar) return x.op['i32x4.splat'](ones);
  return format.width === 32 ? ones : x.extendS(ones);
}
/** A comparison's result as a mask of all zeros or ones. */
const maskOf = (x: Stage, format: FloatFormat, mask: Mask): Value =>
  format.scalar ? spread(x, format, mask as I32) : mask;

/**
 * The eight predicates on numbers (SDM vol. 2A table 3-1): bits 1:0 equal, less, less or equal, unordered; bit 2 negates.
 * None of them is unordered here.
 */
function predicate(x: Stage, format: FloatFormat, a: Pattern, b: Pattern, selector: Local<'i32'>): Value {
  const less = (): Value => maskOf(x, format, format.compare(x, 'lt', a, b));
  const equal = (): Value => maskOf(x, format, format.compare(x, 'eq', a, b));
  const constant = constantValue(selector);
  if (constant !== undefined) {
    const holds = [equal, less, () => maskOf(x, format, format.compare(x, 'le', a, b)), () => format.constant(x, 0n)][
      constant & 3
    ]();
    return constant & 4 ? format.bitwise(x, 'xor', holds, format.constant(x, -1n)) : holds;
  }
  const bit = (value: I32) => spread(x, format, x.and(value, 1));
  const wantsEqual = bit(x.xor(selector as I32, 1));
  const wantsLess = bit(x.xor(selector as I32, x.shrU(selector as I32, 1)));
  const negated = bit(x.shrU(selector as I32, 2));
  const holds = format.bitwise(
    x,
    'or',
    format.bitwise(x, 'and', equal(), wantsEqual),
    format.bitwise(x, 'and', less(), wantsLess),
  );
  return format.bitwise(x, 'xor', holds, negated);
}
const PREDICATES = 7;
export const CMP = FORMATS.map((format) =>
  instruction(`CMP${format.suffix.toUpperCase()}`, {
    encodings: [`${format.prefix} 0F C2 ${format.operands},Ib`],
    feature: format.feature,
    unit: 'sse',
    execute(x) {
      const a = format.read(x, 0);
      const b = format.read(x, 1);
      const selector = immediate(x, 2);
      const sound = comparable(x, format, a, b);
      const type = format.scalar ? (`i${format.width}` as const) : 'v128';
      const exact = () =>
        format.exact(x, SseOperation.COMPARE, type as 'v128', x.and(selector as I32, PREDICATES), b, a);
      x.write(0, quickOr(x, sound, predicate(x, format, a, b, selector) as V128, exact));
    },
  }),
);

/** ZF, PF and CF by the relation of two scalars; the others cleared. */
function ordered(mnemonic: string, encoding: string, format: FloatFormat, operation: SseOperation): Instruction {
  const flags = { CF: 0, PF: 2, ZF: 6 } as const;
  return instruction(mnemonic, {
    encodings: [`${encoding} ${format.operands}`],
    access: ['r', 'r'],
    feature: format.feature,
    unit: 'sse',
    execute(x) {
      const a = format.read(x, 0);
      const b = format.read(x, 1);
      const zf = x.variable('i32', format.compare(x, 'eq', a, b) as I32);
      const cf = x.variable('i32', format.compare(x, 'lt', a, b) as I32);
      const pf = x.variable('i32', x.i32(0));
      x.if(
        x.eqz(comparable(x, format, a, b)),
        () => {
          const all = format.exact(x, operation, 'i32', 0, b, a);
          const bit = (position: number) => x.and(x.shrU(all as I32, position), 1);
          zf.set(bit(flags.ZF));
          pf.set(bit(flags.PF));
          cf.set(bit(flags.CF));
        },
        undefined,
        false,
      );
      const zero = x.i32(0);
      x.setFlags({ ZF: zf.get() as I32, PF: pf.get() as I32, CF: cf.get() as I32, OF: zero, SF: zero, AF: zero });
    },
  });
}
export const UCOMISS = ordered('UCOMISS', 'NP 0F 2E', SS, SseOperation.COMPARE_UNORDERED);
export const UCOMISD = ordered('UCOMISD', '66 0F 2E', SD, SseOperation.COMPARE_UNORDERED);
export const COMISS = ordered('COMISS', 'NP 0F 2F', SS, SseOperation.COMPARE_ORDERED);
export const COMISD = ordered('COMISD', '66 0F 2F', SD, SseOperation.COMPARE_ORDERED);
