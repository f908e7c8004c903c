/** How emitted code finds a TLB entry (layout: memory/tlb.ts). */
import { TLB_ENTRIES, TLB_ENTRY, TLB_ENTRY_SIZE, TLB_GENERATIONS, TLB_KIND } from '../memory/tlb.ts';

/** log2 of the bytes of an entry. */
const ENTRY_SHIFT = Math.log2(TLB_ENTRY_SIZE);
const PAGE_SHIFT = 12;

/** Distances from the place that {@link TLB_INDEX} gives in a bank. */
const fieldsOf = (table: number) => ({ tag: table + TLB_ENTRY.tag, addend: table + TLB_ENTRY.addend });
export const TLB_READ = fieldsOf(TLB_KIND.READ);
export const TLB_WRITE = fieldsOf(TLB_KIND.WRITE);
export const TLB_EXECUTE = {
  ...fieldsOf(TLB_KIND.EXECUTE),
  codeTable: TLB_KIND.EXECUTE + TLB_ENTRY.codeTable,
} as const;
export type TlbFields = typeof TLB_READ;

/** (linear >> shift) & mask: byte offset of the entry of a linear page in its table. */
export const TLB_INDEX = { shift: PAGE_SHIFT - ENTRY_SHIFT, mask: (TLB_ENTRIES - 1) << ENTRY_SHIFT } as const;

export { TLB_GENERATIONS };
