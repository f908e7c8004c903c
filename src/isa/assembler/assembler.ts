/**
 * An assembler for tests, derived from the instruction rows: every row can be emitted, and nothing else. Operands choose
 * among the rows of a mnemonic; the shortest encoding wins, then the first row.
 */

import { INSTRUCTION_TABLE } from '../index.ts';
import type { InstructionTable } from '../table.ts';
import { append, type EmitOptions, fit, Misfit, type Request } from './encode.ts';
import type { CodeBits } from './memory-operand.ts';
import { conditionCode, type Meaning, meanings } from './mnemonics.ts';
import { describe, imm, type Operand, Sum, toSum, type Value } from './operands.ts';

export interface AssemblerOptions {
  /** Code size; change it on the way with {@link Assembler.code}. */
  readonly bits: CodeBits;
  /** Address of the first byte. */
  readonly origin?: bigint | number;
  readonly table?: InstructionTable;
}

/** The finished code. */
export interface Program {
  readonly bytes: Uint8Array;
  readonly origin: bigint;
  /** Address of a label. @throws Error if there is none */
  address(label: string): bigint;
}

interface InstructionItem {
  readonly kind: 'instruction';
  readonly name: string;
  readonly rows: readonly Meaning[];
  readonly operands: readonly Operand[];
  readonly options: EmitOptions;
  readonly bits: CodeBits;
}
interface DataItem {
  readonly kind: 'data';
  readonly width: number;
  readonly values: readonly Sum[];
}
interface BytesItem {
  readonly kind: 'bytes';
  readonly bytes: Uint8Array;
}
/** Fills up to an address or a multiple of one. */
interface FillItem {
  readonly kind: 'align' | 'org';
  readonly to: bigint;
  readonly fill: number;
}
interface LabelItem {
  readonly kind: 'label';
  readonly name: string;
}
type Item = InstructionItem | DataItem | BytesItem | FillItem | LabelItem;

/** What may stand for an operand: a number is an immediate, a string a label (or, first, the condition of a `cc` row). */
export type Argument = Operand | Value | EmitOptions;

/** Layout settles within a few passes; more means that an encoding's size depends on itself. */
const MAX_PASSES = 64;
const NOP = 0x90;

function isOperand(argument: Argument): argument is Operand {
  return typeof argument === 'object' && 'kind' in argument;
}
function isValue(argument: Argument): argument is Value {
  return typeof argument !== 'object' || argument instanceof Sum;
}

/** The address of the instruction itself, in operands. */
export const HERE = '$';

export class Assembler {
  private readonly origin: bigint;
  private readonly table: InstructionTable;
  private readonly items: Item[] = [];
  private readonly constants = new Map<string, bigint>();
  private readonly labels = new Set<string>();
  private bits: CodeBits;

  constructor(options: AssemblerOptions) {
    this.bits = options.bits;
    this.origin = BigInt(options.origin ?? 0);
    this.table = options.table ?? INSTRUCTION_TABLE;
  }

  /** Size of the code from here on. */
  code(bits: CodeBits): this {
    this.bits = bits;
    return this;
  }

  /** Names this place. */
  label(name: string): this {
    if (this.labels.has(name) || this.constants.has(name)) throw new Error(`label '${name}' is defined twice`);
    this.labels.add(name);
    this.items.push({ kind: 'label', name });
    return this;
  }

  /** Names a number. */
  define(name: string, value: bigint | number): this {
    if (this.labels.has(name)) throw new Error(`label '${name}' is defined twice`);
    this.constants.set(name, BigInt(value));
    return this;
  }

  /**
   * Emits an instruction: its mnemonic in any case, operands, and last, if need be, options. `emit('Jcc', 'NE', 'loop')`
   * and `emit('JNE', 'loop')` are the same.
   * @throws Error naming the operand if no row takes the operands
   */
  emit(name: string, ...given: Argument[]): this {
    let rows = meanings(this.table).get(name.toUpperCase());
    if (!rows) throw new Error(`unknown mnemonic '${name}'`);
    const last = given.at(-1);
    let options: EmitOptions = {};
    const list = [...given];
    if (last !== undefined && !isOperand(last) && !isValue(last)) {
      options = last;
      list.pop();
    }
    if (rows.some((meaning) => meaning.encoding.span === 16 && meaning.condition === undefined)) {
      const condition = typeof list[0] === 'string' ? conditionCode(list[0]) : Number(list[0]);
      if (!(condition >= 0)) throw new Error(`${name}: '${list[0]}' is no condition`);
      list.shift();
      rows = rows.map((meaning) => ({ ...meaning, condition }));
    }
    const operands = list.map((argument) => {
      if (isOperand(argument)) return argument;
      if (isValue(argument)) return imm(argument);
      throw new Error(`${name}: options come last`);
    });
    const item: InstructionItem = { kind: 'instruction', name, rows, operands, options, bits: this.bits };
    // a first try now, so that a mistake is reported where it was made, unless a label may still mend it
    if (!this.waitsForLabel(item)) encodeItem(this.table, item, this.origin, (label) => this.constants.get(label), 0);
    this.items.push(item);
    return this;
  }

  /** The value of a sum of numbers and constants, for directives. */
  constant(sum: Sum): bigint {
    return evaluate(
      sum,
      (name) => {
        const found = this.constants.get(name);
        if (found === undefined) throw new Error(`no constant '${name}'`);
        return found;
      },
      0n,
    );
  }

  /** Bytes that may depend on labels. */
  bytes(...values: Value[]): this {
    return this.data(1, values);
  }
  /** Bytes as they are. */
  db(...values: (number | bigint | Uint8Array)[]): this {
    for (const value of values) {
      if (value instanceof Uint8Array) this.items.push({ kind: 'bytes', bytes: value });
      else this.data(1, [value]);
    }
    return this;
  }
  dw(...values: Value[]): this {
    return this.data(2, values);
  }
  dd(...values: Value[]): this {
    return this.data(4, values);
  }
  dq(...values: Value[]): this {
    return this.data(8, values);
  }
  private data(width: number, values: Value[]): this {
    this.items.push({ kind: 'data', width, values: values.map(toSum) });
    return this;
  }
  /** Text, one byte per character. */
  ascii(text: string): this {
    return this.db(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  }
  /** Zeros. */
  space(bytes: number): this {
    return this.db(new Uint8Array(bytes));
  }
  /** Fills up to a multiple of `boundary`. */
  align(boundary: number, fill = NOP): this {
    this.items.push({ kind: 'align', to: BigInt(boundary), fill });
    return this;
  }
  /** Goes on at an address at or above this one, filling with zeros. */
  org(address: bigint | number): this {
    this.items.push({ kind: 'org', to: BigInt(address), fill: 0 });
    return this;
  }

  /** Lays out and encodes everything. Instructions grow from their shortest form until all labels are in reach. */
  assemble(): Program {
    const addresses = new Map<string, bigint>(this.constants);
    const lengths = new Array<number>(this.items.length).fill(0);
    let out: Uint8Array[] = [];
    for (let pass = 0; ; pass++) {
      if (pass === MAX_PASSES) throw new Error('the layout does not settle');
      let at = this.origin;
      let settled = pass > 0;
      out = [];
      this.items.forEach((item, i) => {
        if (item.kind === 'label') {
          if (addresses.get(item.name) !== at) settled = false;
          addresses.set(item.name, at);
          return;
        }
        const bytes = this.itemBytes(item, at, lengths[i], addresses, pass > 0);
        if (bytes.length !== lengths[i]) settled = false;
        lengths[i] = bytes.length;
        out.push(bytes);
        at += BigInt(bytes.length);
      });
      if (settled) break;
    }
    return program(out, this.origin, addresses);
  }

  /** Whether an operand names something that is no constant. */
  private waitsForLabel(item: InstructionItem): boolean {
    const open = (sum: Sum) => sum.labels.some(({ name }) => !this.constants.has(name));
    return item.operands.some((operand) => {
      switch (operand.kind) {
        case 'immediate':
          return open(operand.value);
        case 'memory':
          return open(operand.displacement);
        case 'far':
          return open(operand.offset) || open(operand.selector);
        default:
          return false;
      }
    });
  }

  private itemBytes(
    item: Exclude<Item, LabelItem>,
    at: bigint,
    atLeast: number,
    addresses: ReadonlyMap<string, bigint>,
    complete: boolean,
  ): Uint8Array {
    const lookup = (name: string): bigint | undefined => {
      if (name === HERE) return at;
      const found = addresses.get(name);
      if (found === undefined && (complete || !this.labels.has(name))) throw new Error(`no label '${name}'`);
      return found;
    };
    switch (item.kind) {
      case 'bytes':
        return item.bytes;
      case 'data': {
        const bytes: number[] = [];
        for (const value of item.values) append(bytes, evaluate(value, lookup, at), item.width);
        return Uint8Array.from(bytes);
      }
      case 'align':
        return new Uint8Array(Number((item.to - (at % item.to)) % item.to)).fill(item.fill);
      case 'org':
        if (item.to < at) throw new Error(`org ${item.to.toString(16)}h lies behind ${at.toString(16)}h`);
        return new Uint8Array(Number(item.to - at)).fill(item.fill);
      case 'instruction':
        try {
          return encodeItem(this.table, item, at, lookup, atLeast);
        } catch (error) {
          // what stands for a label that has no place yet need not fit
          if (complete || !this.waitsForLabel(item)) throw error;
          return new Uint8Array(0);
        }
    }
  }
}

/** A label that is not placed yet counts as here: the shortest forms are tried first. */
function evaluate(sum: Sum, lookup: (name: string) => bigint | undefined, here: bigint): bigint {
  let total = sum.constant;
  for (const { name, sign } of sum.labels) total += BigInt(sign) * (lookup(name) ?? here);
  return total;
}

function encodeItem(
  table: InstructionTable,
  item: InstructionItem,
  at: bigint,
  lookup: (name: string) => bigint | undefined,
  atLeast: number,
): Uint8Array {
  const request: Request = {
    bits: item.bits,
    address: at,
    options: item.options,
    value: (sum) => evaluate(sum, lookup, at),
  };
  let best: Uint8Array | undefined;
  let misfit = new Misfit(-2, '');
  const implied = new Set<number>();
  for (const meaning of item.rows) {
    const result = fit(table, meaning, item.operands, request);
    if (result instanceof Misfit) {
      if (result.betterThan(misfit)) misfit = result;
      continue;
    }
    if (result.impliedBits !== 0) implied.add(result.impliedBits);
    const { length } = result.bytes;
    const better = !best || (best.length < atLeast ? length > best.length : length >= atLeast && length < best.length);
    if (better) best = result.bytes;
  }
  const text = () => `${item.name} ${item.operands.map(describe).join(', ')}`.trim();
  if (!best) {
    const culprit =
      misfit.operand >= 0
        ? `operand ${misfit.operand + 1} (${describe(item.operands[misfit.operand])}) fits no row: `
        : 'no row fits: ';
    throw new Error(
      `${text()}: ${culprit}${misfit.why}; rows: ${[...new Set(item.rows.map((m) => m.encoding.text))].join(' | ')}`,
    );
  }
  if (implied.size > 1) throw new Error(`${text()}: the memory operand could have ${[...implied].join(' or ')} bits`);
  return best;
}

function program(parts: readonly Uint8Array[], origin: bigint, addresses: ReadonlyMap<string, bigint>): Program {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return {
    bytes,
    origin,
    address(label) {
      const found = addresses.get(label);
      if (found === undefined) throw new Error(`no label '${label}'`);
      return found;
    },
  };
}
