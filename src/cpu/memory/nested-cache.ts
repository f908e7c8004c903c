/**
 * Remembers nested translations (guest page to host page), so that a two-dimensional walk costs little more than the
 * guest's own. Serves one ASID and one set of nested tables at a time; the architecture lets hardware keep such
 * translations until the hypervisor flushes the ASID (APM vol. 2 15.16).
 */

const ENTRIES = 1024;
const INDEX_MASK = ENTRIES - 1;
/** Pages from here on are not remembered: they do not fit 32 bits. */
const PAGE_LIMIT = 0xffff_ffff;

export class NestedCache {
  /** Guest page + 1 of each entry; 0 is empty. */
  private readonly keys = new Uint32Array(ENTRIES);
  private readonly pages = new Uint32Array(ENTRIES);
  private readonly rights = new Uint8Array(ENTRIES);
  private asid = -1;
  private mode = -1;
  private cr3Low = -1;
  private cr3High = -1;

  /** Serves these tables from now on. */
  use(asid: number, mode: number, cr3Low: number, cr3High: number): void {
    if (asid === this.asid && mode === this.mode && cr3Low === this.cr3Low && cr3High === this.cr3High) return;
    this.asid = asid;
    this.mode = mode;
    this.cr3Low = cr3Low;
    this.cr3High = cr3High;
    this.keys.fill(0);
  }

  /** Forgets what it knows of an ASID. */
  flushAsid(asid: number): void {
    if (asid === this.asid) this.flush();
  }

  flush(): void {
    this.keys.fill(0);
  }

  /** Rights remembered for a guest page, 0 if none are. */
  rightsOf(page: number): number {
    const index = page & INDEX_MASK;
    return this.keys[index] === page + 1 ? this.rights[index] : 0;
  }

  /** Host page of a guest page for which {@link rightsOf} gave something. */
  pageOf(page: number): number {
    return this.pages[page & INDEX_MASK];
  }

  remember(page: number, hostPage: number, rights: number): void {
    if (page >= PAGE_LIMIT || hostPage >= PAGE_LIMIT) return;
    const index = page & INDEX_MASK;
    this.keys[index] = page + 1;
    this.pages[index] = hostPage;
    this.rights[index] = rights;
  }
}
