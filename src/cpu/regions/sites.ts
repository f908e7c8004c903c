/**
 * Where regions may be left before an instruction has completed: its place, and how to make the processor's state of
 * what the region's common exit stores. Emitted code only carries a site's number.
 */

/** What a site's flag words are: an encoded FlagKind, or this for what the region's variable says. */
export const VARIABLE_FLAG_KIND = 0xff;

const REMAINING_BITS = 16;
const REMAINING_MASK = (1 << REMAINING_BITS) - 1;

const HAS_ERROR_CODE = 1 << 8;
const ERROR_CODE_SHIFT = 16;

export interface Site {
  /** Offset of the instruction from the first byte of the page where the region begins. */
  readonly offset: number;
  /** Instructions of its block that have not completed, it included. */
  readonly remaining: number;
  readonly flagKind: number;
}

function grown<T extends Int32Array | Uint32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

export class RegionSites {
  private offsets: Int32Array = new Int32Array(4096);
  private states: Uint32Array = new Uint32Array(4096);
  private details: Uint32Array = new Uint32Array(4096);
  private count = 0;

  /** Adds a site. `detail` is an access (AccessInfo, see memory/slow-path.ts) or {@link RegionSites.exception}. */
  add({ offset, remaining, flagKind }: Site, detail: number): number {
    if (this.count === this.offsets.length) {
      this.offsets = grown(this.offsets, new Int32Array(2 * this.count));
      this.states = grown(this.states, new Uint32Array(2 * this.count));
      this.details = grown(this.details, new Uint32Array(2 * this.count));
    }
    this.offsets[this.count] = offset;
    this.states[this.count] = remaining | (flagKind << REMAINING_BITS);
    this.details[this.count] = detail;
    return this.count++;
  }

  /** The detail of a site that raises an exception. */
  static exception(vector: number, errorCode: number | undefined): number {
    return vector | (errorCode === undefined ? 0 : HAS_ERROR_CODE | (errorCode << ERROR_CODE_SHIFT));
  }

  offset(site: number): number {
    return this.offsets[site];
  }
  remaining(site: number): number {
    return this.states[site] & REMAINING_MASK;
  }
  flagKind(site: number): number {
    return this.states[site] >>> REMAINING_BITS;
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
