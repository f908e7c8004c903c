/**
 * What VMRUN demands of a VMCB (APM vol. 2 15.5.1 "Canonicalization and Consistency Checks"). A violated rule ends VMRUN
 * with VMEXIT_INVALID; its name goes to the log.
 */
import type { Cpu } from '../cpu.ts';
import { cr4Mask } from '../system/control-registers.ts';
import { Attribute } from '../system/descriptors.ts';
import { CR0, CR4, EFER } from '../system/registers.ts';
import { CONTROL, EventInjection, EventType, InterceptWord, SAVE, SAVED_SEGMENT } from './vmcb.ts';

/** Reads of a VMCB already in the arena. */
export interface VmcbReader {
  u8(offset: number): number;
  u16(offset: number): number;
  u32(offset: number): number;
  u64(offset: number): bigint;
}

interface Rule {
  readonly name: string;
  violated(vmcb: VmcbReader, cpu: Cpu): boolean;
}

const VMRUN_INTERCEPT = 1;
const MSRPM_BYTES = 8192;
/** Of its third page only the first byte is looked at, for accesses that go beyond port FFFFh. */
const IOPM_BYTES = 8193;
/** CR4 bits beyond those the processor model has. */
const upper = (value: bigint): boolean => value >> 32n !== 0n;

function longPaged(vmcb: VmcbReader): boolean {
  return (vmcb.u32(SAVE.EFER) & EFER.LME) !== 0 && (vmcb.u32(SAVE.CR0) & CR0.PG) !== 0;
}

const EXCEPTION_VECTORS = 32;
const NMI_VECTOR = 2;
/** OF and BR cannot be raised in 64-bit mode by their instructions; injecting them is legal outside it. */
function badEvent(vmcb: VmcbReader): boolean {
  const event = vmcb.u32(CONTROL.EVENTINJ);
  if (!(event & EventInjection.VALID)) return false;
  const type = (event >> EventInjection.TYPE_SHIFT) & EventInjection.TYPE_MASK;
  const vector = event & EventInjection.VECTOR_MASK;
  if (type !== EventType.INTR && type !== EventType.NMI && type !== EventType.EXCEPTION && type !== EventType.SOFTWARE)
    return true;
  return type === EventType.EXCEPTION && (vector === NMI_VECTOR || vector >= EXCEPTION_VECTORS);
}

/** PAT entries may be UC, WC, WT, WP, WB, UC-. */
function badPat(pat: bigint): boolean {
  for (let i = 0n; i < 64n; i += 8n) {
    const type = Number((pat >> i) & 0xffn);
    if (type > 7 || type === 2 || type === 3) return true;
  }
  return false;
}

export const RULES: readonly Rule[] = [
  { name: 'EFER.SVME is zero', violated: (v) => !(v.u32(SAVE.EFER) & EFER.SVME) },
  {
    name: 'CR0.CD is zero and CR0.NW is set',
    violated: (v) => (v.u32(SAVE.CR0) & (CR0.CD | CR0.NW)) === CR0.NW,
  },
  { name: 'CR0[63:32] are not zero', violated: (v) => upper(v.u64(SAVE.CR0)) },
  {
    name: 'CR3 has a reserved bit set',
    violated: (v, cpu) => v.u64(SAVE.CR3) >> BigInt(cpu.model.physicalAddressBits) !== 0n,
  },
  { name: 'CR4 has a reserved bit set', violated: (v, cpu) => (v.u64(SAVE.CR4) & ~BigInt(cr4Mask(cpu) >>> 0)) !== 0n },
  { name: 'DR6[63:32] are not zero', violated: (v) => upper(v.u64(SAVE.DR6)) },
  { name: 'DR7[63:32] are not zero', violated: (v) => upper(v.u64(SAVE.DR7)) },
  { name: 'EFER has a reserved bit set', violated: (v) => (v.u64(SAVE.EFER) & ~BigInt(EFER_KNOWN)) !== 0n },
  {
    name: 'EFER.LME and CR0.PG are set and CR4.PAE is zero',
    violated: (v) => longPaged(v) && !(v.u32(SAVE.CR4) & CR4.PAE),
  },
  {
    name: 'EFER.LME and CR0.PG are set and CR0.PE is zero',
    violated: (v) => longPaged(v) && !(v.u32(SAVE.CR0) & CR0.PE),
  },
  {
    name: 'EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set',
    violated: (v) => {
      const both = Attribute.L | Attribute.DB;
      return (
        longPaged(v) && (v.u32(SAVE.CR4) & CR4.PAE) !== 0 && (v.u16(SAVE.CS + SAVED_SEGMENT.attributes) & both) === both
      );
    },
  },
  {
    name: 'the VMRUN intercept is clear',
    violated: (v) => !(v.u32(CONTROL.INTERCEPTS + 4 * InterceptWord.INSTRUCTION2) & VMRUN_INTERCEPT),
  },
  {
    name: 'the MSR permission map lies beyond physical memory',
    violated: (v, cpu) => beyond(v.u64(CONTROL.MSRPM_BASE_PA), MSRPM_BYTES, cpu),
  },
  {
    name: 'the I/O permission map lies beyond physical memory',
    violated: (v, cpu) => beyond(v.u64(CONTROL.IOPM_BASE_PA), IOPM_BYTES, cpu),
  },
  { name: 'EVENTINJ asks for an illegal event', violated: badEvent },
  { name: 'the guest ASID is zero', violated: (v) => v.u32(CONTROL.GUEST_ASID) === 0 },
  {
    name: 'nested paging is on and N_CR3 has a reserved bit set',
    violated: (v, cpu) =>
      (v.u32(CONTROL.NP_ENABLE) & 1) !== 0 && v.u64(CONTROL.N_CR3) >> BigInt(cpu.model.physicalAddressBits) !== 0n,
  },
  {
    name: 'nested paging is on and G_PAT has an undefined type',
    violated: (v) => (v.u32(CONTROL.NP_ENABLE) & 1) !== 0 && badPat(v.u64(SAVE.G_PAT)),
  },
  {
    name: 'nested paging is on and the host does not page',
    violated: (v, cpu) => (v.u32(CONTROL.NP_ENABLE) & 1) !== 0 && !(Number(cpu.cr0 & 0xffffffffn) & CR0.PG),
  },
];

/** Whether a table reaches the end of physical memory: one that ends exactly there is too far up already. */
function beyond(base: bigint, length: number, cpu: Cpu): boolean {
  return ((base & ~0xfffn) + BigInt(length)) >> BigInt(cpu.model.physicalAddressBits) !== 0n;
}

/** EFER bits that exist: SCE LME LMA NXE SVME LMSLE FFXSR. */
const EFER_KNOWN = 0x1 | 0x100 | 0x400 | 0x800 | 0x1000 | 0x4000;

/** PAT last found good: guests hardly ever change it. */
let goodPat = { low: -1, high: -1 };

/** Whether no rule can be violated, by cheap tests of halves. Says no for anything out of the ordinary. */
function plainlyConsistent(v: VmcbReader, cpu: Cpu): boolean {
  const efer = v.u32(SAVE.EFER);
  const cr0 = v.u32(SAVE.CR0);
  const cr4 = v.u32(SAVE.CR4);
  const beyondPhysical = ~(2 ** (cpu.model.physicalAddressBits - 32) - 1);
  const highs =
    v.u32(SAVE.EFER + 4) |
    v.u32(SAVE.CR0 + 4) |
    v.u32(SAVE.CR4 + 4) |
    v.u32(SAVE.DR6 + 4) |
    v.u32(SAVE.DR7 + 4) |
    ((v.u32(SAVE.CR3 + 4) |
      v.u32(CONTROL.MSRPM_BASE_PA + 4) |
      v.u32(CONTROL.IOPM_BASE_PA + 4) |
      v.u32(CONTROL.N_CR3 + 4)) &
      beyondPhysical);
  if (highs !== 0 || efer & ~EFER_KNOWN || !(efer & EFER.SVME) || cr4 & ~cr4Mask(cpu)) return false;
  if ((cr0 & (CR0.CD | CR0.NW)) === CR0.NW) return false;
  const both = Attribute.L | Attribute.DB;
  if (efer & EFER.LME && cr0 & CR0.PG) {
    if (!(cr4 & CR4.PAE) || !(cr0 & CR0.PE) || (v.u16(SAVE.CS + SAVED_SEGMENT.attributes) & both) === both)
      return false;
  }
  if (
    !(v.u32(CONTROL.INTERCEPTS + 4 * InterceptWord.INSTRUCTION2) & VMRUN_INTERCEPT) ||
    v.u32(CONTROL.GUEST_ASID) === 0
  )
    return false;
  // the maps' ends may lie beyond where their starts do not
  if ((v.u32(CONTROL.MSRPM_BASE_PA) | v.u32(CONTROL.IOPM_BASE_PA)) >>> 16 === 0xffff || badEvent(v)) return false;
  if (v.u32(CONTROL.NP_ENABLE) & 1) {
    if (!(Number(cpu.cr0 & 0xffffffffn) & CR0.PG)) return false;
    const low = v.u32(SAVE.G_PAT);
    const high = v.u32(SAVE.G_PAT + 4);
    if (low !== goodPat.low || high !== goodPat.high) {
      if (badPat(v.u64(SAVE.G_PAT))) return false;
      goodPat = { low, high };
    }
  }
  return true;
}

/** Name of the first violated rule. */
export function violatedRule(vmcb: VmcbReader, cpu: Cpu): string | undefined {
  if (plainlyConsistent(vmcb, cpu)) return undefined;
  return RULES.find((rule) => rule.violated(vmcb, cpu))?.name;
}
