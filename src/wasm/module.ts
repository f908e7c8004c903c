/**
 * ModuleBuilder: a WebAssembly module (WebAssembly Core Specification 3.0, section 5.5 "Modules").
 */

import { type AddressOperators, addressOperators } from './address.ts';
import { Opcode } from './emitter.ts';
import { ByteWriter } from './encode.ts';
import { FunctionBuilder } from './function.ts';
import {
  type AddressType,
  type FunctionRef,
  type GlobalRef,
  type Limits,
  type ReferenceType,
  type Signature,
  type TableRef,
  TYPE_CODE,
  type ValueType,
} from './types.ts';

/** Section identifiers (section 5.5.2). */
const Section = {
  CUSTOM: 0,
  TYPE: 1,
  IMPORT: 2,
  FUNCTION: 3,
  TABLE: 4,
  GLOBAL: 6,
  EXPORT: 7,
  ELEMENT: 9,
  CODE: 10,
} as const;

/** The kinds of imports and exports (section 5.5.5). */
const ExternalKind = { FUNCTION: 0, TABLE: 1, MEMORY: 2, GLOBAL: 3 } as const;

/** The flags of limits (section 5.3.7; bit 1 by the threads proposal). */
const LIMITS_HAS_MAXIMUM = 0x01;
const LIMITS_SHARED = 0x02;
const LIMITS_ADDRESS_64 = 0x04;

const FUNCTION_TYPE = 0x60;
/** An element segment with a table index and an element kind (section 5.5.12). */
const ELEMENT_WITH_TABLE = 2;
const ELEMENT_KIND_FUNCTION = 0;
/** The subsection of function names in the name section (section 7.4.1). */
const NAMES_OF_FUNCTIONS = 1;
const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

export interface ModuleOptions {
  /** The memory has 64-bit addresses. */
  readonly memory64?: boolean;
  /** Write the names of the functions, for debuggers and profiles. */
  readonly names?: boolean;
}

export interface FunctionOptions {
  /** Export the function under this name. */
  readonly export?: string;
}

/** A section's contents: a count, and its entries one after the other. */
class Entries {
  count = 0;
  readonly writer = new ByteWriter(64);

  /** Begins an entry. */
  add(): ByteWriter {
    this.count++;
    return this.writer;
  }

  appendTo(module: ByteWriter, section: number): void {
    if (this.count === 0) return;
    const count = new ByteWriter(5);
    count.unsigned(this.count);
    module.byte(section);
    module.unsigned(count.length + this.writer.length);
    module.copy(count.bytes, 0, count.length);
    module.copy(this.writer.bytes, 0, this.writer.length);
  }
}

/**
 * Where a function's code entry lies in the bytes of all bodies; start is -1 until it is defined. `expectations` are
 * branches, as places in the entry behind its size, each followed by 1 (likely) or 0.
 */
interface CodeEntry {
  start: number;
  end: number;
  expectations: readonly number[];
}

/** Writers for bodies, kept so that building many functions allocates no buffers. */
const spareWriters: ByteWriter[] = [];

export class ModuleBuilder {
  readonly addressType: AddressType;
  /** Address arithmetic in the address type. */
  readonly address: AddressOperators;
  private readonly withNames: boolean;

  private readonly types = new Entries();
  private readonly imports = new Entries();
  private readonly functionTypes = new Entries();
  private readonly tables = new Entries();
  private readonly globals = new Entries();
  private readonly exports = new Entries();
  private readonly elements = new Entries();

  private readonly signatures = new Map<string, Signature>();
  private readonly functions: FunctionRef[] = [];
  private importedFunctions = 0;
  private tableCount = 0;
  private globalCount = 0;
  private hasMemory = false;
  /** The bodies in the order of their definition, and where each defined function's one is. */
  private readonly code = new ByteWriter(4096);
  private readonly codeEntries: CodeEntry[] = [];

  constructor(options: ModuleOptions = {}) {
    this.addressType = options.memory64 ? 'i64' : 'i32';
    this.address = addressOperators(this.addressType);
    this.withNames = options.names ?? false;
  }

  /** A function type; the same one for the same parameters and results. */
  signature<const R extends readonly ValueType[]>(params: readonly ValueType[], results: R): Signature<R> {
    const key = `${params}>${results}`;
    const known = this.signatures.get(key);
    if (known !== undefined) return known as Signature<R>;
    const signature: Signature<R> = { index: this.types.count, params: [...params], results };
    this.signatures.set(key, signature);
    const writer = this.types.add();
    writer.byte(FUNCTION_TYPE);
    for (const types of [params, results]) {
      writer.unsigned(types.length);
      for (const type of types) writer.byte(TYPE_CODE[type]);
    }
    return signature;
  }

  // Imports

  private beginImport(module: string, name: string, kind: number): ByteWriter {
    const writer = this.imports.add();
    writer.name(module);
    writer.name(name);
    writer.byte(kind);
    return writer;
  }

  /** Imports the memory, of which a module has one. Limits in pages of 64 KiB; a shared one needs a maximum. */
  importMemory(module: string, name: string, limits: Limits): void {
    if (this.hasMemory) throw new Error('a module has one memory');
    if (limits.shared && limits.maximum === undefined) throw new Error('a shared memory needs a maximum');
    this.hasMemory = true;
    const addressFlag = this.addressType === 'i64' ? LIMITS_ADDRESS_64 : 0;
    writeLimits(this.beginImport(module, name, ExternalKind.MEMORY), limits, addressFlag);
  }

  /** Imports a table. Imports come before the module's own tables. */
  importTable(module: string, name: string, limits: Limits, type: ReferenceType = 'funcref'): TableRef {
    if (this.tables.count > 0) throw new Error('importTable after table');
    const writer = this.beginImport(module, name, ExternalKind.TABLE);
    writer.byte(TYPE_CODE[type]);
    writeLimits(writer, limits, 0);
    return { index: this.tableCount++ };
  }

  /** Imports a function. Imports come before the module's own functions. */
  importFunction<const R extends readonly ValueType[]>(
    module: string,
    name: string,
    params: readonly ValueType[],
    results: R,
  ): FunctionRef<R> {
    if (this.functionTypes.count > 0) throw new Error('importFunction after function or declare');
    const signature = this.signature(params, results);
    this.beginImport(module, name, ExternalKind.FUNCTION).unsigned(signature.index);
    this.importedFunctions++;
    return this.addFunction(`${module}.${name}`, signature);
  }

  /** Imports a global. Imports come before the module's own globals. */
  importGlobal<T extends ValueType>(module: string, name: string, type: T, mutable = false): GlobalRef<T> {
    if (this.globals.count > 0) throw new Error('importGlobal after global');
    const writer = this.beginImport(module, name, ExternalKind.GLOBAL);
    writer.byte(TYPE_CODE[type]);
    writer.byte(mutable ? 1 : 0);
    return { index: this.globalCount++, type, mutable };
  }

  // Definitions

  /** A table of function references, all null. */
  table(initial: number, maximum?: number, exportName?: string): TableRef {
    const writer = this.tables.add();
    writer.byte(TYPE_CODE.funcref);
    writeLimits(writer, { initial, maximum }, 0);
    const index = this.tableCount++;
    if (exportName !== undefined) this.addExport(exportName, ExternalKind.TABLE, index);
    return { index };
  }

  /** A mutable i32 or i64 global with its first value. */
  global<T extends 'i32' | 'i64'>(type: T, init: number | bigint, exportName?: string): GlobalRef<T> {
    const writer = this.globals.add();
    writer.byte(TYPE_CODE[type]);
    writer.byte(1);
    if (type === 'i32') {
      writer.byte(Opcode.I32_CONST);
      writer.signed32(Number(BigInt.asIntN(32, BigInt(init))));
    } else {
      const bits = BigInt.asIntN(64, BigInt(init));
      writer.byte(Opcode.I64_CONST);
      writer.signed64(Number(BigInt.asIntN(32, bits)), Number(bits >> 32n));
    }
    writer.byte(Opcode.END);
    const index = this.globalCount++;
    if (exportName !== undefined) this.addExport(exportName, ExternalKind.GLOBAL, index);
    return { index, type, mutable: true };
  }

  private addFunction<R extends readonly ValueType[]>(name: string, signature: Signature<R>): FunctionRef<R> {
    const ref: FunctionRef<R> = { index: this.functions.length, name, signature };
    this.functions.push(ref);
    return ref;
  }

  /** A function whose body `define` gives later; until then it can be called and put into tables. */
  declare<const R extends readonly ValueType[]>(
    name: string,
    params: readonly ValueType[],
    results: R,
  ): FunctionRef<R> {
    const signature = this.signature(params, results);
    this.functionTypes.add().unsigned(signature.index);
    this.codeEntries.push({ start: -1, end: -1, expectations: [] });
    return this.addFunction(name, signature);
  }

  /** Gives a declared function its body. */
  define(ref: FunctionRef, body: (f: FunctionBuilder) => void): void {
    const entry = this.codeEntries[ref.index - this.importedFunctions];
    if (this.functions[ref.index] !== ref || entry === undefined) {
      throw new Error(`${ref.name}: not a declared function of this module`);
    }
    if (entry.start >= 0) throw new Error(`${ref.name}: defined twice`);
    const writer = spareWriters.pop() ?? new ByteWriter(4096);
    writer.length = 0;
    const f = new FunctionBuilder(ref.name, ref.signature, this.addressType, writer);
    body(f);
    entry.start = this.code.length;
    entry.expectations = f.finish(this.code);
    entry.end = this.code.length;
    spareWriters.push(writer);
  }

  /** Declares and defines a function. */
  function<const R extends readonly ValueType[]>(
    name: string,
    params: readonly ValueType[],
    results: R,
    body: (f: FunctionBuilder) => void,
    options: FunctionOptions = {},
  ): FunctionRef<R> {
    const ref = this.declare(name, params, results);
    this.define(ref, body);
    if (options.export !== undefined) this.exportFunction(options.export, ref);
    return ref;
  }

  /** Puts functions into a table from `offset` on when the module is instantiated. */
  element(offset: number | GlobalRef<'i32'>, functions: readonly FunctionRef[], table: TableRef = { index: 0 }): void {
    const writer = this.elements.add();
    writer.unsigned(ELEMENT_WITH_TABLE);
    writer.unsigned(table.index);
    if (typeof offset === 'number') {
      writer.byte(Opcode.I32_CONST);
      writer.signed32(offset | 0);
    } else {
      writer.byte(Opcode.GLOBAL_GET);
      writer.unsigned(offset.index);
    }
    writer.byte(Opcode.END);
    writer.byte(ELEMENT_KIND_FUNCTION);
    writer.unsigned(functions.length);
    for (const ref of functions) writer.unsigned(ref.index);
  }

  exportFunction(name: string, ref: FunctionRef): void {
    this.addExport(name, ExternalKind.FUNCTION, ref.index);
  }

  private addExport(name: string, kind: number, index: number): void {
    const writer = this.exports.add();
    writer.name(name);
    writer.byte(kind);
    writer.unsigned(index);
  }

  /** The module's bytes. Every declared function must have been defined. */
  build(): Uint8Array<ArrayBuffer> {
    const module = new ByteWriter(this.code.length + 4096);
    module.copy(Uint8Array.from(MAGIC_AND_VERSION));
    this.types.appendTo(module, Section.TYPE);
    this.imports.appendTo(module, Section.IMPORT);
    this.functionTypes.appendTo(module, Section.FUNCTION);
    this.tables.appendTo(module, Section.TABLE);
    this.globals.appendTo(module, Section.GLOBAL);
    this.exports.appendTo(module, Section.EXPORT);
    this.elements.appendTo(module, Section.ELEMENT);
    this.appendExpectations(module);
    this.appendCode(module);
    if (this.withNames) this.appendNames(module);
    return module.toBytes();
  }

  /** The custom section of the branch hinting proposal, which comes before the code. */
  private appendExpectations(module: ByteWriter): void {
    const hints = new ByteWriter();
    let functions = 0;
    this.codeEntries.forEach(({ expectations }, i) => {
      if (expectations.length === 0) return;
      functions++;
      hints.unsigned(this.importedFunctions + i);
      hints.unsigned(expectations.length / 2);
      for (let at = 0; at < expectations.length; at += 2) {
        hints.unsigned(expectations[at]);
        hints.unsigned(1); // byte of hint
        hints.byte(expectations[at + 1]);
      }
    });
    if (functions === 0) return;
    const head = new ByteWriter(32);
    head.name('metadata.code.branch_hint');
    head.unsigned(functions);
    module.byte(Section.CUSTOM);
    module.unsigned(head.length + hints.length);
    module.copy(head.bytes, 0, head.length);
    module.copy(hints.bytes, 0, hints.length);
  }

  private appendCode(module: ByteWriter): void {
    const entries = this.codeEntries;
    if (entries.length === 0) return;
    const undefinedEntry = entries.findIndex((entry) => entry.start < 0);
    if (undefinedEntry >= 0) {
      throw new Error(`${this.functions[this.importedFunctions + undefinedEntry].name}: declared but not defined`);
    }
    const count = new ByteWriter(5);
    count.unsigned(entries.length);
    module.byte(Section.CODE);
    module.unsigned(count.length + this.code.length);
    module.copy(count.bytes, 0, count.length);
    for (const entry of entries) module.copy(this.code.bytes, entry.start, entry.end);
  }

  private appendNames(module: ByteWriter): void {
    const names = new ByteWriter();
    names.unsigned(this.functions.length);
    for (const ref of this.functions) {
      names.unsigned(ref.index);
      names.name(ref.name);
    }
    const section = new ByteWriter(names.length + 16);
    section.name('name');
    section.byte(NAMES_OF_FUNCTIONS);
    section.unsigned(names.length);
    section.copy(names.bytes, 0, names.length);
    module.byte(Section.CUSTOM);
    module.unsigned(section.length);
    module.copy(section.bytes, 0, section.length);
  }
}

function writeLimits(writer: ByteWriter, limits: Limits, flags: number): void {
  const { initial, maximum, shared } = limits;
  writer.byte(flags | (maximum === undefined ? 0 : LIMITS_HAS_MAXIMUM) | (shared ? LIMITS_SHARED : 0));
  writer.unsigned(initial);
  if (maximum !== undefined) writer.unsigned(maximum);
}
