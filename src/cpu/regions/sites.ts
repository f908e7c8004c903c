/**
 * Where regions may be left before an instruction has completed: its place, and how to make the processor's state of
 * what the region's common exit stores. Emitted code only carries a site's number.
 */

/** What a site's flag words are: an encoded FlagKind, or this for what the region's variable says. */
export const VARIABLE_FLAG_KIND = 0xff;

const OFFSET_BITS = 12;
const REMAINING_BITS = 12;
const OFFSET_MASK = (1 << OFFSET_BITS) - 1;
const REMAINING_MASK = (1 << REMAINING_BITS) - 1;
const KIND_SHIFT = OFFSET_BITS + REMAINING_BITS;

const HAS_ERROR_CODE = 1 << 8;
const ERROR_CODE_SHIFT = 16;

export interface Site {
  /** Page offset of the instruction. */
  readonly offset: number;
  /** Instructions of its block that have not completed, it included. */
  readonly remaining: number;
  readonly flagKind: number;
}

export class RegionSites {
  private places: Uint32Array = new Uint32Array(4096);
  private details: Uint32Array = new Uint32Array(4096);
  private count = 0;

  /** Adds a site. `detail` is an access (AccessInfo, see memory/slow-path.ts) or {@link RegionSites.exception}. */
  add({ offset, remaining, flagKind }: Site, detail: number): number {
    if (this.count === this.places.length) {
      this.places = this.grown(this.places);
      this.details = this.grown(this.details);
    }
    this.places[this.count] = offset | (remaining << OFFSET_BITS) | (flagKind << KIND_SHIFT);
    this.details[this.count] = detail;
    return this.count++;
  }

  private grown(old: Uint32Array): Uint32Array {
    const larger = new Uint32Array(2 * old.length);
    larger.set(old);
    return larger;
  }

  /** The detail of a site that raises an exception. */
  static exception(vector: number, errorCode: number | undefined): number {
    return vector | (errorCode === undefined ? 0 : HAS_ERROR_CODE | (errorCode << ERROR_CODE_SHIFT));
  }

  offset(site: number): number {
    return this.places[site] & OFFSET_MASK;
  }
  remaining(site: number): number {
    return (this.places[site] >>> OFFSET_BITS) & REMAINING_MASK;
  }
  flagKind(site: number): number {
    return this.places[site] >>> KIND_SHIFT;
  }
  access(site: number): number {
    return this.details[site];
  }
  vector(site: number): number {
    return this.details[site] & 0xff;
  }
  errorCode(site: number): number | undefined {
    return this.details[site] & HAS_ERROR_CODE ? this.details[site] >>> ERROR_CODE_SHIFT : undefined;
  }

  /** All regions are gone. */
  clear(): void {
    this.count = 0;
  }
}
