/** The WebAssembly emitter: builds modules at run time. It knows nothing of what they compute. */

export type { AddressOperators, AddressValue } from './address.ts';
export { FunctionBuilder, type Label } from './function.ts';
export { type FunctionOptions, ModuleBuilder, type ModuleOptions } from './module.ts';
export { type Operators, operators } from './operations.ts';
export {
  type AtomicName,
  type LoadLaneName,
  type LoadName,
  OPERATORS,
  type OperatorName,
  type StoreLaneName,
  type StoreName,
  type ValueOperatorName,
} from './operators.ts';
export type {
  AddressType,
  FunctionRef,
  GlobalRef,
  Limits,
  ReferenceType,
  Signature,
  TableRef,
  ValueType,
} from './types.ts';
export { constantValue, type Deferred, isConstant, type Local, type Value, type Variable } from './value.ts';
