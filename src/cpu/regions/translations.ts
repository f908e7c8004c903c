/**
 * Translations that a region has found in the TLB. Of accesses whose addresses differ by a constant, neighbours, the first looks
 * whether the TLB has one page for all of them, and the others need not look: how far they reach is known once the region has been
 * written.
 *
 * A translation stays true while the region runs: only the bank changes in it, and is seen here.
 */
import type { FunctionBuilder, Variable } from '../../wasm/index.ts';
import { type Decoded, NO_REGISTER } from '../decode/decoder.ts';
import { GENERAL_REGISTERS } from './general.ts';
import { generalRegister, type RegionInstruction } from './instruction.ts';

/**
 * What an address is made of. Those with the same key differ by their distances: exactly, or by a multiple of what addresses wrap
 * around at, which is at the end of a page.
 */
export interface Origin {
  readonly key: string;
  /** Bytes. */
  readonly distance: number;
}

/** A general register's value: how far it is from one that has a number. */
interface Position {
  readonly value: number;
  readonly distance: number;
}

const STEPS: Readonly<Record<string, 1 | -1>> = { ADD: 1, DEC: -1, INC: 1, SUB: -1 };

/**
 * By how much an instruction moves the register it writes, if that is a constant.
 * @param bits of addresses, around which they wrap
 */
export function stepOf({ form, decoded }: RegionInstruction, bits: 32 | 64): number | undefined {
  const { encoding, operandSize } = form;
  const { mnemonic } = encoding.instruction;
  const [to, from] = encoding.operands;
  if (operandSize !== bits || !to || to.width === 'b' || generalRegister(to, decoded) < 0) return undefined;
  if (mnemonic === 'LEA') {
    const moves = decoded.base === decoded.reg && decoded.index === NO_REGISTER && decoded.addressSize === bits;
    return moves ? Number(decoded.displacement) : undefined;
  }
  const direction = STEPS[mnemonic];
  if (direction === undefined) return undefined;
  if (!from) return direction;
  return from.letter === 'I' ? direction * decoded.immediateLow : undefined;
}

/** Number of the register that an instruction copies whole, or -1. */
export function copiedRegister({ form, decoded }: RegionInstruction, bits: 32 | 64): number {
  const { encoding, operandSize } = form;
  if (encoding.instruction.mnemonic !== 'MOV' || operandSize !== bits) return -1;
  const [to, from] = encoding.operands;
  if (to.width === 'b' || generalRegister(to, decoded) < 0) return -1;
  return generalRegister(from, decoded);
}

/** Most bytes from the first to the last that one look into the TLB is for: the more, the more often they are on two pages. */
const REACH = 256;

/** Accesses that one look into the TLB is for; all of it is known at the region's end. */
export class Neighbours {
  /** Arena address of the first byte. */
  readonly host: Variable<'i32'>;
  /** Bank changes emitted before. */
  readonly bank: number;
  /** Distances of the access that looks, of the first byte, and of what follows the last one. */
  readonly origin: number;
  low: number;
  high: number;
  /** Whether the page may be written. */
  writable: boolean;
  private readonly stretch: number;

  constructor(f: FunctionBuilder, values: RegionValues, origin: number, bytes: number, writable: boolean) {
    this.host = f.keepAlways(f.variable('i32'));
    this.bank = values.bank;
    this.stretch = values.stretch;
    this.origin = origin;
    this.low = origin;
    this.high = origin + bytes;
    this.writable = writable;
  }

  /** Has the look be for another access, if it can: one near enough, and a write if one was or it surely comes, too. */
  include(values: RegionValues, distance: number, bytes: number, write: boolean): boolean {
    const low = Math.min(this.low, distance);
    const high = Math.max(this.high, distance + bytes);
    if (high - low > REACH || this.bank !== values.bank) return false;
    if (write && !this.writable && this.stretch !== values.stretch) return false;
    this.low = low;
    this.high = high;
    this.writable ||= write;
    return true;
  }
}

/** Numbers that a region gives. */
export class RegionValues {
  private count = 0;
  /** Bank changes emitted so far. */
  bank = 0;
  /** The code being emitted, all of which runs if its beginning does, unless the region is left. */
  stretch = 0;

  next(): Position {
    return { value: this.count++, distance: 0 };
  }
  begin(): void {
    this.stretch = this.count++;
  }
}

/** What is known at one place of the region while it is emitted. */
export class KnownTranslations {
  private readonly values: RegionValues;
  private readonly positions: Position[];
  private readonly neighbours: Map<string, readonly Neighbours[]>;

  constructor(
    values: RegionValues,
    positions = Array.from({ length: GENERAL_REGISTERS }, () => values.next()),
    neighbours = new Map<string, readonly Neighbours[]>(),
  ) {
    this.values = values;
    this.positions = positions;
    this.neighbours = neighbours;
  }
  fork(): KnownTranslations {
    return new KnownTranslations(this.values, this.positions.slice(), new Map(this.neighbours));
  }

  /** Registers of a bit mask may be anything now. */
  forget(registers: number): void {
    for (let n = 0; n < GENERAL_REGISTERS; n++) if ((registers >> n) & 1) this.positions[n] = this.values.next();
  }
  /** A register has moved by so many bytes. */
  step(register: number, bytes: number): void {
    const { value, distance } = this.positions[register];
    this.positions[register] = { value, distance: distance + bytes };
  }
  /** A register was copied into another one. */
  copy(from: number, to: number): void {
    this.positions[to] = this.positions[from];
  }
  /** Registers that are not where they are elsewhere, a bit mask. */
  movedFrom(other: KnownTranslations): number {
    return this.positions.reduce((mask, position, n) => mask | (position === other.positions[n] ? 0 : 1 << n), 0);
  }

  /**
   * The origin of an address.
   * @param space what else goes into it: segment and size
   */
  origin(space: string, { base, index, scale }: Pick<Decoded, 'base' | 'index' | 'scale'>, distance: number): Origin {
    let key = space;
    if (base >= 0) {
      const position = this.positions[base];
      key += `+${position.value}`;
      distance += position.distance;
    }
    if (index !== NO_REGISTER) {
      const position = this.positions[index];
      key += `+${position.value}<<${scale}`;
      distance += position.distance * 2 ** scale;
    }
    return { key, distance };
  }

  /** Has an earlier look into the TLB be for an access, too, if one can. */
  find({ key, distance }: Origin, bytes: number, write: boolean): Neighbours | undefined {
    return this.neighbours.get(key)?.find((near) => near.include(this.values, distance, bytes, write));
  }

  /** The access with this origin looks into the TLB. */
  enter({ key, distance }: Origin, f: FunctionBuilder, bytes: number, write: boolean): Neighbours {
    const near = new Neighbours(f, this.values, distance, bytes, write);
    this.neighbours.set(key, [...(this.neighbours.get(key) ?? []), near]);
    return near;
  }
}
