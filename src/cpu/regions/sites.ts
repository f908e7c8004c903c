/**
 * Where regions may be left before an instruction has completed: its place, and how to make the processor's state of
 * what the region's common exit stores. Emitted code only carries a site's number: the region's, and one within the region.
 */
import { FIRST_REGION, MISS } from '../interpreter/record.ts';

/** Bits of the number within the region: about twenty for each instruction, of which none has so many. */
const WITHIN_BITS = 13;
const WITHIN_MASK = (1 << WITHIN_BITS) - 1;

const REMAINING_BITS = 16;
const REMAINING_MASK = (1 << REMAINING_BITS) - 1;

const HAS_ERROR_CODE = 1 << 8;
const ERROR_CODE_SHIFT = 16;

export interface Site {
  /** Offset of the instruction from the region's entry, whose rip the context still has. */
  readonly offset: number;
  /** Instructions of its block that have not completed, it included. */
  readonly remaining: number;
  /** What the flag words are: an encoded FlagKind, or VARIABLE_FLAG_KIND. */
  readonly flagKind: number;
}

/** A site as one number, see MISS. */
export function encodeMiss({ offset, remaining, flagKind }: Site): bigint {
  const { REMAINING_SHIFT, FLAG_KIND_SHIFT } = MISS;
  return (
    BigInt.asUintN(32, BigInt(offset)) |
    (BigInt(remaining) << BigInt(REMAINING_SHIFT)) |
    (BigInt(flagKind) << BigInt(FLAG_KIND_SHIFT))
  );
}

/** The sites of a module's regions as plain data. */
export interface SiteTable {
  /** Of each region in turn. */
  readonly counts: Int32Array;
  readonly offsets: Int32Array;
  readonly states: Uint32Array;
  readonly details: Uint32Array;
}

/** Numbers the sites of a module's regions, which are written one after the other. */
export class SiteWriter {
  private readonly counts: number[] = [];
  private readonly offsets: number[] = [];
  private readonly states: number[] = [];
  private readonly details: number[] = [];
  private region = 0;
  private count = 0;

  /** Begins a region, given by its table index. */
  begin(region: number): void {
    if (this.region !== 0) this.counts.push(this.count);
    this.region = region;
    this.count = 0;
  }

  /**
   * Adds a site. `detail` is {@link exceptionDetail}, or 0.
   * @throws RangeError if a region has too many
   */
  add({ offset, remaining, flagKind }: Site, detail: number): number {
    if (this.count > WITHIN_MASK) throw new RangeError(`more than ${WITHIN_MASK + 1} sites in a region`);
    this.offsets.push(offset);
    this.states.push(remaining | (flagKind << REMAINING_BITS));
    this.details.push(detail);
    return ((this.region - FIRST_REGION) << WITHIN_BITS) | this.count++;
  }

  table(): SiteTable {
    return {
      counts: Int32Array.from([...this.counts, this.count]),
      offsets: Int32Array.from(this.offsets),
      states: Uint32Array.from(this.states),
      details: Uint32Array.from(this.details),
    };
  }
}

/** The detail of a site that raises an exception. */
export function exceptionDetail(vector: number, errorCode: number | undefined): number {
  return vector | (errorCode === undefined ? 0 : HAS_ERROR_CODE | (errorCode << ERROR_CODE_SHIFT));
}

/** The sites of all regions, by number. */
export class RegionSites {
  /** Where each region's begin. */
  private starts: Int32Array = new Int32Array(1024);
  private offsets: Int32Array = new Int32Array(4096);
  private states: Uint32Array = new Uint32Array(4096);
  private details: Uint32Array = new Uint32Array(4096);
  private count = 0;

  /** Adds the sites of a module whose first region has a table index. */
  append({ counts, offsets, states, details }: SiteTable, firstRegion: number): void {
    const first = firstRegion - FIRST_REGION;
    this.starts = withRoom(this.starts, first + counts.length);
    let start = this.count;
    counts.forEach((count, i) => {
      this.starts[first + i] = start;
      start += count;
    });
    this.offsets = withRoom(this.offsets, start);
    this.states = withRoom(this.states, start);
    this.details = withRoom(this.details, start);
    this.offsets.set(offsets, this.count);
    this.states.set(states, this.count);
    this.details.set(details, this.count);
    this.count = start;
  }

  /** All regions are gone. */
  clear(): void {
    this.count = 0;
  }

  private placeOf(site: number): number {
    return this.starts[site >> WITHIN_BITS] + (site & WITHIN_MASK);
  }

  offset(site: number): number {
    return this.offsets[this.placeOf(site)];
  }
  remaining(site: number): number {
    return this.states[this.placeOf(site)] & REMAINING_MASK;
  }
  flagKind(site: number): number {
    return this.states[this.placeOf(site)] >>> REMAINING_BITS;
  }
  vector(site: number): number {
    return this.details[this.placeOf(site)] & 0xff;
  }
  errorCode(site: number): number | undefined {
    const detail = this.details[this.placeOf(site)];
    return detail & HAS_ERROR_CODE ? detail >>> ERROR_CODE_SHIFT : undefined;
  }
}

/** An array with the same contents, and room for so many elements. */
function withRoom<T extends Int32Array | Uint32Array>(array: T, needed: number): T {
  if (array.length >= needed) return array;
  const Type = array.constructor as new (length: number) => T;
  const larger = new Type(2 ** Math.ceil(Math.log2(needed)));
  larger.set(array);
  return larger;
}
