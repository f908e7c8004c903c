/** Which WebAssembly loads and stores fit a width or a type. */
import type { Bits } from '../../isa/stage.ts';
import { operators, type Value, type ValueType } from '../../wasm/index.ts';

/** How integers of a width are read and written. */
export const LOADS = { 8: 'i32.load8_u', 16: 'i32.load16_u', 32: 'i32.load', 64: 'i64.load' } as const;
export const STORES = { 8: 'i32.store8', 16: 'i32.store16', 32: 'i32.store', 64: 'i64.store' } as const;

/** The type an integer of a width has. */
export const integerType = (bits: Bits): 'i32' | 'i64' => (bits === 64 ? 'i64' : 'i32');

const TYPE_STORES = {
  i32: 'i32.store',
  i64: 'i64.store',
  f32: 'f32.store',
  f64: 'f64.store',
  v128: 'v128.store',
} as const satisfies Record<ValueType, string>;

/** Writes all of a value. */
export const wholeStore = (type: ValueType): (typeof TYPE_STORES)[ValueType] => TYPE_STORES[type];

/** How scalar floating-point numbers are read, and their types. */
export const NUMBER_LOADS = { 32: 'f32.load', 64: 'f64.load' } as const;
export const NUMBER_TYPES = { 32: 'f32', 64: 'f64' } as const;

/** A vector with another low element. */
export function withLow(rest: Value<'v128'>, low: Value): Value<'v128'> {
  switch (low.type) {
    case 'i32':
      return operators['i32x4.replace_lane'](rest, low as Value<'i32'>, 0);
    case 'i64':
      return operators['i64x2.replace_lane'](rest, low as Value<'i64'>, 0);
    case 'f32':
      return operators['f32x4.replace_lane'](rest, low as Value<'f32'>, 0);
    case 'f64':
      return operators['f64x2.replace_lane'](rest, low as Value<'f64'>, 0);
    case 'v128':
      return low as Value<'v128'>;
  }
}
