/**
 * Data breakpoints (SDM vol. 3B 17.2). Pages that hold one never get fast TLB tags; the slow path reports its accesses
 * here and hits gather in `dr6Pending` until the #DB trap after the instruction.
 */
import { CONTEXT } from '../context.ts';
import { type CpuState, word } from '../state.ts';

const DR = CONTEXT.dr.offset >> 2;
const DR7 = word('dr7');
const DR6_PENDING = word('dr6Pending');

const BREAKPOINTS = 4;
/** DR7: L and G enable bits, two per breakpoint. */
const ENABLE_BITS = 3;
const ANY_ENABLED = 0xff;
/** DR7: R/W and LEN fields start here, four bits per breakpoint; R/W is the lower half. */
const FIELDS_SHIFT = 16;
/** R/W values that watch data. */
const WRITES = 1;
const READS_AND_WRITES = 3;
/** Bytes watched for each LEN value. */
const LENGTHS = [1, 2, 8, 4];
const PAGE_MASK = ~0xfff;
/** Words of state to remember: DR0-DR3. */
const ADDRESS_WORDS = 2 * BREAKPOINTS;

export class DataBreakpoints {
  /** DR7 (low half) as of the last {@link changed}. */
  dr7 = 0;
  /** Whether any data breakpoint is enabled. */
  active = false;

  private readonly u32: Uint32Array;
  private readonly addresses = new Uint32Array(ADDRESS_WORDS);

  constructor(cpu: CpuState) {
    this.u32 = cpu.u32;
  }

  /** Takes over the debug registers. True if the set of watched pages may have changed. */
  changed(): boolean {
    const u32 = this.u32;
    const wasActive = this.active;
    let same = u32[DR7] === this.dr7;
    this.dr7 = u32[DR7];
    for (let i = 0; i < ADDRESS_WORDS; i++) {
      if (this.addresses[i] === u32[DR + i]) continue;
      this.addresses[i] = u32[DR + i];
      same = false;
    }
    this.active = false;
    if (this.dr7 & ANY_ENABLED) {
      for (let i = 0; i < BREAKPOINTS; i++) if (this.kind(i) !== 0) this.active = true;
    }
    return !same && (wasActive || this.active);
  }

  /** R/W value of an enabled data breakpoint, 0 for any other. */
  private kind(i: number): number {
    if (!(this.dr7 & (ENABLE_BITS << (2 * i)))) return 0;
    const kind = (this.dr7 >>> (FIELDS_SHIFT + 4 * i)) & 3;
    return kind === WRITES || kind === READS_AND_WRITES ? kind : 0;
  }

  /** Whether a linear page holds a data breakpoint. */
  watches(lo: number, hi: number): boolean {
    if (!this.active) return false;
    for (let i = 0; i < BREAKPOINTS; i++) {
      if (this.kind(i) === 0) continue;
      if (((this.addresses[2 * i] ^ lo) & PAGE_MASK) === 0 && (this.addresses[2 * i + 1] | 0) === hi) return true;
    }
    return false;
  }

  /** Notes an access that has taken place. */
  accessed(lo: number, hi: number, bytes: number, write: boolean): void {
    for (let i = 0; i < BREAKPOINTS; i++) {
      const kind = this.kind(i);
      if (kind === 0 || (kind === WRITES && !write)) continue;
      const length = LENGTHS[(this.dr7 >>> (FIELDS_SHIFT + 2 + 4 * i)) & 3];
      const start = this.addresses[2 * i] & -length;
      if ((this.addresses[2 * i + 1] | 0) !== hi) continue;
      // Distances within the low halves; both ranges are far shorter than 2 GiB.
      const distance = (start - lo) | 0;
      if (distance < bytes && distance > -length) this.u32[DR6_PENDING] |= 1 << i;
    }
  }
}
