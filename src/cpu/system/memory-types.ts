/** MTRRs and PAT (SDM vol. 3A 12.11, 12.12; APM vol. 2 7.7, 7.9). Guests may set them; memory itself has one type. */
import type { Cpu } from '../cpu.ts';
import { MSR } from './msr-numbers.ts';

export const VARIABLE_RANGES = 8;
const FIXED_RANGES = 11;
/** MTRRCAP: VCNT, fixed ranges, write-combining. */
export const MTRR_CAPABILITIES = BigInt(VARIABLE_RANGES | (1 << 8) | (1 << 10));

/** Memory types: UC, WC, WT, WP, WB; PAT also knows UC- (SDM vol. 3A table 12-2, 12-10). */
const MTRR_TYPES: ReadonlySet<number> = new Set([0, 1, 4, 5, 6]);
const PAT_TYPES: ReadonlySet<number> = new Set([0, 1, 4, 5, 6, 7]);
/** PA0-PA7 after reset: WB WT UC- UC, twice (SDM vol. 3A table 12-12). */
export const PAT_RESET = 0x0007_0406_0007_0406n;

const DEF_TYPE_MASK = 0xcffn;
const PHYS_BASE_RESERVED = 0xf00n;
const PHYS_MASK_RESERVED = 0x7ffn;
/** SYSCFG.MtrrFixDramModEn shows RdMem and WrMem in the fixed ranges. */
const SYSCFG_FIX_DRAM_MOD_EN = 1n << 19n;
const RD_MEM_WR_MEM = 0x1818_1818_1818_1818n;

function everyByte(value: bigint, allowed: ReadonlySet<number>): boolean {
  for (let shift = 0n; shift < 64n; shift += 8n) {
    if (!allowed.has(Number((value >> shift) & 0xffn))) return false;
  }
  return true;
}

const beyondPhysical = (cpu: Cpu, value: bigint): boolean => value >> BigInt(cpu.model.physicalAddressBits) !== 0n;

export function writeDefaultType(cpu: Cpu, value: bigint): boolean {
  if ((value & ~DEF_TYPE_MASK) !== 0n || !MTRR_TYPES.has(Number(value & 0xffn))) return false;
  cpu.mtrrDefType = value;
  return true;
}

/** A variable range register: bases at even indices, masks at odd ones. */
export function writeVariableRange(cpu: Cpu, index: number, value: bigint): boolean {
  const isBase = (index & 1) === 0;
  const reserved = isBase ? PHYS_BASE_RESERVED : PHYS_MASK_RESERVED;
  if (beyondPhysical(cpu, value) || (value & reserved) !== 0n) return false;
  if (isBase && !MTRR_TYPES.has(Number(value & 0xffn))) return false;
  cpu.mtrrPhys[index] = value;
  return true;
}

const modifies = (cpu: Cpu): boolean => (cpu.sysCfg & SYSCFG_FIX_DRAM_MOD_EN) !== 0n;

/** Number of a fixed range register in `mtrrFixed`, or -1. */
export function fixedRangeIndex(msr: number): number {
  if (msr === MSR.MTRR_FIX64K_00000) return 0;
  if (msr === MSR.MTRR_FIX16K_80000 || msr === MSR.MTRR_FIX16K_A0000) return 1 + msr - MSR.MTRR_FIX16K_80000;
  const index = 3 + msr - MSR.MTRR_FIX4K_C0000;
  return index >= 3 && index < FIXED_RANGES ? index : -1;
}

export function readFixedRange(cpu: Cpu, index: number): bigint {
  return modifies(cpu) ? cpu.mtrrFixed[index] : cpu.mtrrFixed[index] & ~RD_MEM_WR_MEM;
}

export function writeFixedRange(cpu: Cpu, index: number, value: bigint): boolean {
  const types = modifies(cpu) ? value & ~RD_MEM_WR_MEM : value;
  if (!everyByte(types, MTRR_TYPES)) return false;
  const kept = modifies(cpu) ? 0n : cpu.mtrrFixed[index] & RD_MEM_WR_MEM;
  cpu.mtrrFixed[index] = value | kept;
  return true;
}

/** The PAT in charge: a guest has its own while nested paging is on (APM vol. 2 15.25.8). */
const patField = (cpu: Cpu): 'guestPat' | 'pat' => (cpu.guestMode !== 0 && cpu.nestedPaging !== 0 ? 'guestPat' : 'pat');

export const readPat = (cpu: Cpu): bigint => cpu[patField(cpu)];

export function writePat(cpu: Cpu, value: bigint): boolean {
  if (!everyByte(value, PAT_TYPES)) return false;
  cpu[patField(cpu)] = value;
  return true;
}
