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

/** Sites as plain data. */
export interface SiteTable {
  readonly offsets: Int32Array;
  readonly states: Uint32Array;
  readonly details: Uint32Array;
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

  private reserve(more: number): void {
    let size = this.offsets.length;
    if (this.count + more <= size) return;
    while (size < this.count + more) size *= 2;
    this.offsets = grown(this.offsets, new Int32Array(size));
    this.states = grown(this.states, new Uint32Array(size));
    this.details = grown(this.details, new Uint32Array(size));
  }

  /** Adds a site. `detail` is an access (AccessInfo, see memory/slow-path.ts) or {@link RegionSites.exception}. */
  add({ offset, remaining, flagKind }: Site, detail: number): number {
    this.reserve(1);
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

  /** All sites, to be appended to others. */
  take(): SiteTable {
    const { offsets, states, details, count } = this;
    this.count = 0;
    return { offsets: offsets.slice(0, count), states: states.slice(0, count), details: details.slice(0, count) };
  }

  /** Adds sites that were numbered from 0; gives the number of the first now. */
  append({ offsets, states, details }: SiteTable): number {
    const first = this.count;
    this.reserve(offsets.length);
    this.offsets.set(offsets, first);
    this.states.set(states, first);
    this.details.set(details, first);
    this.count += offsets.length;
    return first;
  }

  /** All regions are gone. */
  clear(): void {
    this.count = 0;
  }
}
