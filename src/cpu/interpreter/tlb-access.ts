/** How emitted code finds a TLB entry (layout: memory/tlb.ts). */
import { TLB_ENTRY as ENTRY, TLB_ENTRIES, TLB_ENTRY_SIZE } from '../memory/tlb.ts';

/** log2 of the bytes of an entry. */
const ENTRY_SHIFT = Math.log2(TLB_ENTRY_SIZE);
const PAGE_SHIFT = 12;

export const TLB_ENTRY = {
  ...ENTRY,
  /** (linear >> indexShift) & indexMask: byte offset of the entry of a linear page in its bank. */
  indexShift: PAGE_SHIFT - ENTRY_SHIFT,
  indexMask: (TLB_ENTRIES - 1) << ENTRY_SHIFT,
} as const;
