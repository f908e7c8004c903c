/**
 * Translations that a region has found in the TLB and keeps in variables: a further access through the same registers
 * mostly goes to the same page, and then needs no look into the TLB. Whether it does (and is aligned, so that all of it
 * does) is compared each time; which translation to compare with is known when code is emitted.
 *
 * A kept translation stays true while the region runs: only the bank changes in it, and is seen here.
 */
import { RSP } from '../../isa/stage.ts';
import type { FunctionBuilder, Variable } from '../../wasm/index.ts';
import { type Decoded, NO_REGISTER, RIP_RELATIVE } from '../decode/decoder.ts';
import { generalRegister, type RegionInstruction } from './instruction.ts';

/** What an address is made of, but for its displacement. */
export interface Origin {
  readonly key: string;
  /** Bit mask of general registers. */
  readonly registers: number;
}

/** Of a memory operand, `offset` being the instruction's end. */
export function originOf({ base, index, scale, displacement }: Decoded, segment: number, offset: number): Origin {
  let key = segment === 0 ? '' : `${segment}:`;
  let registers = 0;
  if (base === RIP_RELATIVE) key += `page ${(BigInt(offset) + displacement) >> 12n}`;
  else if (base !== NO_REGISTER) {
    key += base;
    registers |= 1 << base;
  }
  if (index !== NO_REGISTER) {
    key += `+${index}<<${scale}`;
    registers |= 1 << index;
  }
  return { key, registers };
}

const STEPS = new Set(['ADD', 'DEC', 'INC', 'LEA', 'SUB']);

/** Whether an instruction leaves the register it writes near where it was. */
export function stepsOnly({ form, decoded }: RegionInstruction): boolean {
  const { encoding } = form;
  const { mnemonic } = encoding.instruction;
  if (!STEPS.has(mnemonic)) return false;
  if (mnemonic === 'LEA') return decoded.base === decoded.reg && decoded.index === NO_REGISTER;
  const second = encoding.operands[1];
  return second === undefined || second.letter === 'I';
}

/** Number of the register that an instruction copies whole, or -1. */
export function copiedRegister({ form, decoded }: RegionInstruction): number {
  const { encoding, operandSize } = form;
  if (encoding.instruction.mnemonic !== 'MOV' || operandSize !== 64) return -1;
  const [to, from] = encoding.operands.map((operand) => generalRegister(operand, decoded));
  return to >= 0 && from >= 0 ? from : -1;
}

/** In variables: the page's linear address; arena address = low half of the linear one + addend. */
export interface Translation {
  readonly page: Variable<'i64'>;
  readonly addend: Variable<'i32'>;
}

interface Entry {
  readonly translation: Translation;
  readonly registers: number;
  /** Bank changes emitted before. */
  readonly bank: number;
}

/** What is known at one place of the region while it is emitted. */
export class KnownTranslations {
  private readonly entries: Map<string, Entry>;

  constructor(entries = new Map<string, Entry>()) {
    this.entries = entries;
  }
  fork(): KnownTranslations {
    return new KnownTranslations(new Map(this.entries));
  }
  get(key: string): Entry | undefined {
    return this.entries.get(key);
  }
  set(key: string, entry: Entry): void {
    this.entries.set(key, entry);
  }
  /** Registers of a bit mask may be anything now. The stack pointer never goes far. */
  forget(registers: number): void {
    const changed = registers & ~(1 << RSP);
    if (changed === 0) return;
    for (const [key, entry] of this.entries) if (entry.registers & changed) this.entries.delete(key);
  }
  /** A register was copied into another one. */
  copy(from: number, to: number): void {
    for (const kind of ['r', 'w']) {
      const entry = this.entries.get(kind + from);
      if (entry) this.entries.set(kind + to, { ...entry, registers: 1 << to });
    }
  }
}

/** The variables of a region, and what of them holds. */
export class Translations {
  private readonly f: FunctionBuilder;
  private readonly variables = new Map<string, Translation>();
  private bank = 0;

  constructor(f: FunctionBuilder) {
    this.f = f;
  }

  /** Another bank is in use. */
  bankChanged(): void {
    this.bank++;
  }

  find(known: KnownTranslations, { key }: Origin, write: boolean): Translation | undefined {
    const entry = known.get((write ? 'w' : 'r') + key);
    return entry?.bank === this.bank ? entry.translation : undefined;
  }

  /** The variables for a translation that is about to be found, to be set then. */
  enter(known: KnownTranslations, { key, registers }: Origin, write: boolean): Translation {
    const name = (write ? 'w' : 'r') + key;
    let translation = this.variables.get(name);
    if (!translation) {
      const { f } = this;
      translation = { page: f.keepAlways(f.variable('i64')), addend: f.keepAlways(f.variable('i32')) };
      this.variables.set(name, translation);
    }
    const entry = { translation, registers, bank: this.bank };
    known.set(name, entry);
    // what can be written can be read
    if (write) known.set(`r${key}`, entry);
    return translation;
  }
}
