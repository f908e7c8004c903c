/** How emitted code finds a TLB entry (layout: memory/tlb.ts). */
export const TLB_ENTRY = {
  readTag: 0,
  writeTag: 8,
  executeTag: 16,
  addend: 24,
  codeTable: 28,
  /** (linear >> 7) & indexMask: byte offset of the entry of linear page (linear >> 12) & 1023. */
  indexShift: 7,
  indexMask: 1023 << 5,
} as const;
