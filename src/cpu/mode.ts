/**
 * The decode mode: what, besides the bytes, decides how code decodes. Decoded code is looked up by page and mode, and the
 * mode is the low part of execute tags.
 */
import { CS } from './context.ts';
import { type CpuState, word } from './state.ts';

/** Code size in bits 1:0. */
export const MODE_SIZE_MASK = 3;
export const MODE_16 = 0;
export const MODE_32 = 1;
export const MODE_64 = 2;
/** Real-address or virtual-8086 mode: the rows marked `prot` are undefined. */
export const MODE_REAL_OR_V86 = 1 << 2;
/** CR0.TS, CR0.EM, CR4.OSFXSR: which units fault (SDM vol. 3A table 2-2 and 13.1). */
export const MODE_TS = 1 << 3;
export const MODE_EM = 1 << 4;
export const MODE_OSFXSR = 1 << 5;
/** CR0.MP: with TS, WAIT faults too. */
export const MODE_MP = 1 << 6;

const CR0 = word('cr0');
const CR4 = word('cr4');
const EFER = word('efer');
const RFLAGS = word('rflags');

const CR0_PE = 1;
const CR0_MP = 1 << 1;
const CR0_EM = 1 << 2;
const CR0_TS = 1 << 3;
const CR4_OSFXSR = 1 << 9;
const EFER_LMA = 1 << 10;
const RFLAGS_VM = 1 << 17;
const ATTRIBUTE_L = 1 << 9;
const ATTRIBUTE_DB = 1 << 10;

/** The mode for the current state. */
export function computeMode(cpu: CpuState): number {
  const cr0 = cpu.u32[CR0];
  const attributes = cpu.segments[CS].attributes;
  let mode: number;
  if (!(cr0 & CR0_PE)) mode = MODE_REAL_OR_V86 | (attributes & ATTRIBUTE_DB ? MODE_32 : MODE_16);
  else if (cpu.u32[EFER] & EFER_LMA && attributes & ATTRIBUTE_L) mode = MODE_64;
  else if (cpu.u32[RFLAGS] & RFLAGS_VM) mode = MODE_REAL_OR_V86 | MODE_16;
  else mode = attributes & ATTRIBUTE_DB ? MODE_32 : MODE_16;
  if (cr0 & CR0_TS) mode |= MODE_TS;
  if (cr0 & CR0_EM) mode |= MODE_EM;
  if (cr0 & CR0_MP) mode |= MODE_MP;
  if (cpu.u32[CR4] & CR4_OSFXSR) mode |= MODE_OSFXSR;
  return mode;
}
