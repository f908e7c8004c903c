/** MOV to and from control registers, CLTS, LMSW, XSETBV (SDM vol. 3A 2.5, 4.1, 10.8.5; APM vol. 2 3.1, 14.6). */
import { RCX, Vector } from '../../isa/stage.ts';
import { CS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import type { CpuModel } from '../model.ts';
import { claims } from './cpuid.ts';
import type { CpuidFlag } from './cpuid-flags.ts';
import { Attribute } from './descriptors.ts';
import { hooks, interceptInstruction, MACHINE_STATUS_WORD, NO_REGISTER } from './hooks.ts';
import {
  CR0,
  CR4,
  cr0,
  cr4,
  EFER,
  edxEax,
  efer,
  is64BitMode,
  isLongMode,
  low32,
  MASK_32,
  setEdxEax,
  writeRegister,
} from './registers.ts';
import { refreshSegments } from './segments.ts';
import { XCR0_SUPPORTED, XSTATE } from './xsave-layout.ts';

/** Bits of CR0 that can be written; ET is always set, the rest always clear. */
const CR0_WRITABLE = CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;

/** Which flag brings each bit of CR4 (SDM vol. 3A 2.5). */
const CR4_BITS: Readonly<Record<keyof typeof CR4, CpuidFlag>> = {
  VME: 'vme',
  PVI: 'vme',
  TSD: 'tsc',
  DE: 'de',
  PSE: 'pse',
  PAE: 'pae',
  MCE: 'mce',
  PGE: 'pge',
  // RDPMC came with the instruction set of CMOV and has no flag.
  PCE: 'cmov',
  OSFXSR: 'fxsr',
  OSXMMEXCPT: 'sse',
  UMIP: 'umip',
  FSGSBASE: 'fsgsbase',
  PCIDE: 'pcid',
  OSXSAVE: 'xsave',
  SMEP: 'smep',
  SMAP: 'smap',
};

const CR3_PCID_NO_FLUSH = 1n << 63n;
const CR3_PCID = 0xfff;
/** Bits of CR3 whose change of meaning makes global translations stale (SDM vol. 3A 4.10.4.1). */
const CR4_FLUSHING = CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP;
const PDPTE_COUNT = 4;
const PDPTE_PRESENT = 1n;
/** PAE page-directory-pointer-table entries: reserved bits 2:1 and 8:5 (SDM vol. 3A table 4-8). */
const PDPTE_RESERVED = 0x1e6n;
const PDPT_ADDRESS = 0xffff_ffe0n;

const cr4Masks = new WeakMap<CpuModel, number>();

/** The bits of CR4 a processor has. */
export function cr4Mask(cpu: Cpu): number {
  const known = cr4Masks.get(cpu.model);
  if (known !== undefined) return known;
  let mask = 0;
  for (const [name, flag] of Object.entries(CR4_BITS) as [keyof typeof CR4, CpuidFlag][]) {
    if (claims(cpu, flag)) mask |= CR4[name];
  }
  cr4Masks.set(cpu.model, mask);
  return mask;
}

function requireZero(cpu: Cpu, bits: bigint): void {
  if (bits !== 0n) throw fault(cpu, Vector.GP, 0);
}

/** PAE paging loads the four top entries with CR3; reserved bits set in a present one raise #GP (SDM vol. 3A 4.4.1). */
function checkPdptes(cpu: Cpu, cr3: bigint): void {
  const reserved = PDPTE_RESERVED | (~0n << BigInt(cpu.model.physicalAddressBits));
  const table = Number(cr3 & PDPT_ADDRESS);
  for (let i = 0; i < PDPTE_COUNT; i++) {
    const entry = cpu.physical.readU64(table + 8 * i);
    if ((entry & PDPTE_PRESENT) !== 0n) requireZero(cpu, entry & reserved);
  }
}

const usesPae = (control0: number, control4: number, long: boolean): boolean =>
  (control0 & CR0.PG) !== 0 && (control4 & CR4.PAE) !== 0 && !long;

function hidesPdptes(cpu: Cpu): boolean {
  // Under nested paging the entries are read by the page walk, as AMD processors do (APM vol. 2 15.25.10).
  return cpu.guestMode !== 0 && cpu.nestedPaging !== 0;
}

/** Sets CR0, activating or leaving long mode as PG changes. */
export function writeCr0(cpu: Cpu, value: bigint): void {
  requireZero(cpu, value >> 32n);
  const before = cr0(cpu);
  const next = (Number(value) & CR0_WRITABLE) | CR0.ET;
  const paging = (next & CR0.PG) !== 0;
  const wrong = (paging && (next & CR0.PE) === 0) || ((next & CR0.NW) !== 0 && (next & CR0.CD) === 0);
  if (wrong) throw fault(cpu, Vector.GP, 0);
  const toggled = before ^ next;
  let nextEfer = efer(cpu);
  if ((toggled & CR0.PG) !== 0) {
    if (paging && (nextEfer & EFER.LME) !== 0) {
      const longCode = (cpu.segments[CS].attributes & Attribute.L) !== 0;
      if ((cr4(cpu) & CR4.PAE) === 0 || longCode) throw fault(cpu, Vector.GP, 0);
      nextEfer |= EFER.LMA;
    } else if (!paging) {
      if (is64BitMode(cpu) || (cr4(cpu) & CR4.PCIDE) !== 0) throw fault(cpu, Vector.GP, 0);
      nextEfer &= ~EFER.LMA;
    }
  }
  const cacheOrPaging = CR0.PG | CR0.CD | CR0.NW;
  const pae = usesPae(next, cr4(cpu), (nextEfer & EFER.LMA) !== 0);
  if (pae && (toggled & cacheOrPaging) !== 0 && !hidesPdptes(cpu)) checkPdptes(cpu, cpu.cr3);

  cpu.cr0 = BigInt(next >>> 0);
  cpu.efer = BigInt(nextEfer >>> 0);
  if ((toggled & (CR0.PE | CR0.PG)) !== 0) {
    if ((next & CR0.PE) === 0) cpu.cpl = 0;
    refreshSegments(cpu);
    cpu.translation.flushAddressSpace(false);
  }
  cpu.translation.stateChanged();
}

export function writeCr3(cpu: Cpu, value: bigint): void {
  const pcids = (cr4(cpu) & CR4.PCIDE) !== 0;
  const keep = pcids && (value & CR3_PCID_NO_FLUSH) !== 0n;
  const next = pcids ? value & ~CR3_PCID_NO_FLUSH : value;
  if (isLongMode(cpu)) requireZero(cpu, next >> BigInt(cpu.model.physicalAddressBits));
  if (usesPae(cr0(cpu), cr4(cpu), isLongMode(cpu)) && !hidesPdptes(cpu)) checkPdptes(cpu, next);
  cpu.cr3 = isLongMode(cpu) ? next : next & MASK_32;
  if (!keep) cpu.translation.flushAddressSpace(true);
  cpu.translation.stateChanged();
}

export function writeCr4(cpu: Cpu, value: bigint): void {
  requireZero(cpu, value & ~BigInt(cr4Mask(cpu) >>> 0));
  const before = cr4(cpu);
  const next = Number(value);
  const toggled = before ^ next;
  const long = isLongMode(cpu);
  if ((toggled & CR4.PAE) !== 0 && long) throw fault(cpu, Vector.GP, 0);
  if ((toggled & next & CR4.PCIDE) !== 0 && (!long || (Number(cpu.cr3 & MASK_32) & CR3_PCID) !== 0)) {
    throw fault(cpu, Vector.GP, 0);
  }
  const reload = (toggled & (CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP)) !== 0;
  if (reload && usesPae(cr0(cpu), next, long) && !hidesPdptes(cpu)) checkPdptes(cpu, cpu.cr3);
  cpu.cr4 = BigInt(next >>> 0);
  const pcidsEnd = (toggled & before & CR4.PCIDE) !== 0;
  if ((toggled & CR4_FLUSHING) !== 0 || pcidsEnd) cpu.translation.flushAddressSpace(false);
  cpu.translation.stateChanged();
}

/** Task priority class, 0-15. */
const CR8_RESERVED = ~0xfn;

function writeCr8(cpu: Cpu, value: bigint): void {
  requireZero(cpu, value & CR8_RESERVED);
  if (cpu.guestMode !== 0 && hooks.setVirtualTaskPriority(cpu, Number(value))) return;
  cpu.apic.cr8 = Number(value);
}

function readCr8(cpu: Cpu): number {
  const shown = cpu.guestMode !== 0 ? hooks.virtualTaskPriority(cpu) : undefined;
  return shown ?? cpu.apic.cr8;
}

function readControl(cpu: Cpu, number: number): bigint {
  switch (number) {
    case 0:
      return cpu.cr0;
    case 2:
      return cpu.cr2;
    case 3:
      return cpu.cr3;
    case 4:
      return cpu.cr4;
    case 8:
      return BigInt(readCr8(cpu));
    default:
      throw fault(cpu, Vector.UD);
  }
}

const operandBits = (cpu: Cpu): number => (is64BitMode(cpu) ? 64 : 32);

export function movFromCr(cpu: Cpu, number: number, register: number): void {
  // An unknown register is #UD before it could be intercepted.
  let value = readControl(cpu, number);
  if (cpu.guestMode !== 0) {
    hooks.controlRegister(cpu, number, false, register, 0n);
    value = readControl(cpu, number);
  }
  writeRegister(cpu, register, operandBits(cpu), value);
}

export function movToCr(cpu: Cpu, number: number, register: number): void {
  const value = is64BitMode(cpu) ? cpu.gpr[register] : cpu.gpr[register] & MASK_32;
  readControl(cpu, number);
  if (cpu.guestMode !== 0) hooks.controlRegister(cpu, number, true, register, value);
  if (number === 0) writeCr0(cpu, value);
  else if (number === 2) cpu.cr2 = value;
  else if (number === 3) writeCr3(cpu, value);
  else if (number === 4) writeCr4(cpu, value);
  else writeCr8(cpu, value);
}

export function clts(cpu: Cpu): void {
  const value = cpu.cr0 & ~BigInt(CR0.TS);
  if (cpu.guestMode !== 0) hooks.controlRegister(cpu, 0, true, NO_REGISTER, value);
  if (value === cpu.cr0) return;
  cpu.cr0 = value;
  cpu.translation.stateChanged();
}

/** LMSW writes PE, MP, EM and TS, and cannot clear PE. */
const LMSW_MASK = BigInt(CR0.PE | CR0.MP | CR0.EM | CR0.TS);

export function lmsw(cpu: Cpu, source: number): void {
  const value = (cpu.cr0 & ~LMSW_MASK) | (BigInt(source & 0xffff) & LMSW_MASK) | (cpu.cr0 & BigInt(CR0.PE));
  if (cpu.guestMode !== 0) hooks.controlRegister(cpu, 0, true, MACHINE_STATUS_WORD, value);
  writeCr0(cpu, value);
}

// --- extended control registers

const XCR0_INDEX = 0;
/** XGETBV with ECX = 1: components in use (SDM vol. 1 13.2). */
const XINUSE_INDEX = 1;

export function xgetbv(cpu: Cpu): void {
  if ((cr4(cpu) & CR4.OSXSAVE) === 0) throw fault(cpu, Vector.UD);
  const index = low32(cpu, RCX);
  // Both components count as in use: the init optimization is not applied.
  if (index === XINUSE_INDEX && claims(cpu, 'xgetbv1')) setEdxEax(cpu, cpu.xcr0);
  else if (index === XCR0_INDEX) setEdxEax(cpu, cpu.xcr0);
  else throw fault(cpu, Vector.GP, 0);
}

export function xsetbv(cpu: Cpu): void {
  if ((cr4(cpu) & CR4.OSXSAVE) === 0) throw fault(cpu, Vector.UD);
  if (cpu.cpl !== 0) throw fault(cpu, Vector.GP, 0);
  interceptInstruction(cpu, 'XSETBV');
  const value = edxEax(cpu);
  const x87 = (value & BigInt(XSTATE.X87)) !== 0n;
  if (low32(cpu, RCX) !== XCR0_INDEX || !x87) throw fault(cpu, Vector.GP, 0);
  requireZero(cpu, value & ~BigInt(XCR0_SUPPORTED));
  cpu.xcr0 = value;
}
