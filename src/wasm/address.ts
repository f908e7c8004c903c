/**
 * Address arithmetic written once for memories with 32-bit and with 64-bit addresses.
 */

import { operators } from './operations.ts';
import type { AddressType } from './types.ts';
import { constantI32, constantI64, type Value } from './value.ts';

/** A value of the address type. */
export type AddressValue = Value<'i32' | 'i64'>;

/** The operators an address needs, in the address type. */
export interface AddressOperators {
  readonly type: AddressType;
  constant(n: number | bigint): AddressValue;
  add(a: AddressValue, b: AddressValue): AddressValue;
  sub(a: AddressValue, b: AddressValue): AddressValue;
  mul(a: AddressValue, b: AddressValue): AddressValue;
  and(a: AddressValue, b: AddressValue): AddressValue;
  or(a: AddressValue, b: AddressValue): AddressValue;
  xor(a: AddressValue, b: AddressValue): AddressValue;
  shl(a: AddressValue, b: AddressValue): AddressValue;
  shrUnsigned(a: AddressValue, b: AddressValue): AddressValue;
  eq(a: AddressValue, b: AddressValue): Value<'i32'>;
  ne(a: AddressValue, b: AddressValue): Value<'i32'>;
  eqz(a: AddressValue): Value<'i32'>;
  lessUnsigned(a: AddressValue, b: AddressValue): Value<'i32'>;
  /** An unsigned i32 as an address. */
  fromI32(value: Value<'i32'>): AddressValue;
  /** An i64 as an address; without 64-bit addresses its low half. */
  fromI64(value: Value<'i64'>): AddressValue;
  /** The low half of an address. */
  toI32(address: AddressValue): Value<'i32'>;
  /** An address as an unsigned i64. */
  toI64(address: AddressValue): Value<'i64'>;
}

const op = operators;

/** The two directions that change nothing. */
const same = (value: Value): Value<never> => value as Value<never>;

const ADDRESS_32 = {
  type: 'i32',
  constant: (n) => constantI32(typeof n === 'bigint' ? Number(BigInt.asIntN(32, n)) : n),
  add: op['i32.add'],
  sub: op['i32.sub'],
  mul: op['i32.mul'],
  and: op['i32.and'],
  or: op['i32.or'],
  xor: op['i32.xor'],
  shl: op['i32.shl'],
  shrUnsigned: op['i32.shr_u'],
  eq: op['i32.eq'],
  ne: op['i32.ne'],
  eqz: op['i32.eqz'],
  lessUnsigned: op['i32.lt_u'],
  fromI32: same,
  fromI64: op['i32.wrap_i64'],
  toI32: same,
  toI64: op['i64.extend_i32_u'],
} as AddressOperators;

const ADDRESS_64 = {
  type: 'i64',
  constant: constantI64,
  add: op['i64.add'],
  sub: op['i64.sub'],
  mul: op['i64.mul'],
  and: op['i64.and'],
  or: op['i64.or'],
  xor: op['i64.xor'],
  shl: op['i64.shl'],
  shrUnsigned: op['i64.shr_u'],
  eq: op['i64.eq'],
  ne: op['i64.ne'],
  eqz: op['i64.eqz'],
  lessUnsigned: op['i64.lt_u'],
  fromI32: op['i64.extend_i32_u'],
  fromI64: same,
  toI32: op['i32.wrap_i64'],
  toI64: same,
} as AddressOperators;

/** The operators of an address type. */
export function addressOperators(type: AddressType): AddressOperators {
  return type === 'i32' ? ADDRESS_32 : ADDRESS_64;
}
