/**
 * The types of the WebAssembly binary format (WebAssembly Core Specification 3.0, section 5.3 "Types").
 */

/** A number or vector type: what locals, operands and results may have. */
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** A reference type: what a table may hold. */
export type ReferenceType = 'funcref' | 'externref';

/** The type of memory addresses: i32, or i64 where the memory is declared with 64-bit addresses. */
export type AddressType = 'i32' | 'i64';

/** The encoding of each type (sections 5.3.1 to 5.3.4). */
export const TYPE_CODE = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
} as const satisfies Record<ValueType | ReferenceType, number>;

/** A function type of a module: parameters and results, and its index in the type section. */
export interface Signature<R extends readonly ValueType[] = readonly ValueType[]> {
  readonly index: number;
  readonly params: readonly ValueType[];
  readonly results: R;
}

/** A function of a module, imported or defined. */
export interface FunctionRef<R extends readonly ValueType[] = readonly ValueType[]> {
  readonly index: number;
  readonly name: string;
  readonly signature: Signature<R>;
}

/** A global variable of a module. */
export interface GlobalRef<T extends ValueType = ValueType> {
  readonly index: number;
  readonly type: T;
  readonly mutable: boolean;
}

/** A table of a module. */
export interface TableRef {
  readonly index: number;
}

/** Size limits of a memory (in 64 KiB pages) or a table (in elements). */
export interface Limits {
  readonly initial: number;
  readonly maximum?: number;
  readonly shared?: boolean;
}
