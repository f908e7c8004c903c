/** RDMSR and WRMSR: every model specific register the CPUID answers imply, and no other. */
import { RCX, Vector } from '../../isa/stage.ts';
import { FS, GS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import type { CpuModel } from '../model.ts';
import { claims } from './cpuid.ts';
import type { CpuidFlag } from './cpuid-flags.ts';
import { hooks } from './hooks.ts';
import {
  fixedRangeIndex,
  MTRR_CAPABILITIES,
  readFixedRange,
  readPat,
  VARIABLE_RANGES,
  writeDefaultType,
  writeFixedRange,
  writePat,
  writeVariableRange,
} from './memory-types.ts';
import { MSR } from './msr-numbers.ts';
import {
  PERFORMANCE_COUNTERS,
  readPerformanceCounter,
  writeEventSelect,
  writePerformanceCounter,
} from './performance-counters.ts';
import { CR0, cr0, EFER, edxEax, efer, isCanonical, low32, MASK_32, setEdxEax } from './registers.ts';
import { hostTimeStamp, timeStamp } from './time-stamp.ts';

/** One MSR. A missing function, a read of `undefined` or a write answered false is #GP(0). */
interface Register {
  /** Claimed by this flag; always there without one. */
  readonly flag?: CpuidFlag;
  readonly vendor?: CpuModel['vendor'];
  read?(cpu: Cpu): bigint | undefined;
  write?(cpu: Cpu, value: bigint): boolean;
}

type StoredField =
  | 'sysenterCs'
  | 'sysenterEsp'
  | 'sysenterEip'
  | 'star'
  | 'lstar'
  | 'cstar'
  | 'kernelGsBase'
  | 'mcgStatus'
  | 'mcgCtl'
  | 'debugCtl'
  | 'nbCfg'
  | 'sysCfg'
  | 'topMem'
  | 'topMem2'
  | 'hwcr'
  | 'vmHsavePa'
  | 'tscRatio'
  | 'tscAux'
  | 'specCtrl'
  | 'miscEnable';

const ALL = ~0n;

/** A register that keeps what is written; bits outside the mask are reserved. */
function stored(field: StoredField, mask: bigint = ALL, extra: Pick<Register, 'flag' | 'vendor'> = {}): Register {
  return {
    ...extra,
    read: (cpu) => cpu[field],
    write(cpu, value) {
      if ((value & ~mask) !== 0n) return false;
      cpu[field] = value;
      return true;
    },
  };
}

function canonical(field: StoredField): Register {
  const base = stored(field);
  return { ...base, write: (cpu, value) => isCanonical(value) && (base.write?.(cpu, value) ?? false) };
}

const constant = (value: bigint, extra: Pick<Register, 'flag' | 'vendor'> = {}): Register => ({
  ...extra,
  read: () => value,
});

function segmentBase(segment: number): Register {
  return {
    flag: 'longMode',
    read: (cpu) => cpu.segments[segment].base,
    write(cpu, value) {
      if (!isCanonical(value)) return false;
      cpu.segments[segment].base = value;
      return true;
    },
  };
}

// --- EFER

function eferMask(cpu: Cpu): number {
  let mask: number = EFER.SCE | EFER.LMA;
  if (claims(cpu, 'longMode')) mask |= EFER.LME;
  if (claims(cpu, 'nx')) mask |= EFER.NXE;
  const disabled = (cpu.vmCr & VM_CR.SVMDIS) !== 0n;
  if (claims(cpu, 'svm') && !disabled) mask |= EFER.SVME;
  return mask;
}

function writeEfer(cpu: Cpu, value: bigint): boolean {
  if ((value & ~BigInt(eferMask(cpu))) !== 0n) return false;
  const before = efer(cpu);
  const next = (Number(value) & ~EFER.LMA) | (before & EFER.LMA);
  if (((before ^ next) & EFER.LME) !== 0 && (cr0(cpu) & CR0.PG) !== 0) return false;
  cpu.efer = BigInt(next);
  cpu.translation.stateChanged();
  return true;
}

// --- time stamp counter

function writeTimeStamp(cpu: Cpu, value: bigint): boolean {
  const delta = value - hostTimeStamp(cpu);
  cpu.tscOffset = BigInt.asUintN(64, cpu.tscOffset + delta);
  cpu.tscAdjust = BigInt.asUintN(64, cpu.tscAdjust + delta);
  return true;
}

function writeTimeStampAdjust(cpu: Cpu, value: bigint): boolean {
  cpu.tscOffset = BigInt.asUintN(64, cpu.tscOffset + value - cpu.tscAdjust);
  cpu.tscAdjust = value;
  return true;
}

// --- speculation control

const SPEC_CTRL = { IBRS: 1n << 0n, STIBP: 1n << 1n, SSBD: 1n << 2n } as const;
const PRED_CMD_IBPB = 1n;

function specCtrlMask(cpu: Cpu): bigint {
  let mask = 0n;
  if (claims(cpu, 'amdIbrs') || claims(cpu, 'specCtrl')) mask |= SPEC_CTRL.IBRS | SPEC_CTRL.STIBP;
  if (claims(cpu, 'amdStibp') || claims(cpu, 'stibp')) mask |= SPEC_CTRL.STIBP;
  if (claims(cpu, 'amdSsbd') || claims(cpu, 'ssbd')) mask |= SPEC_CTRL.SSBD;
  return mask;
}

/** There is no speculation to control: the bits are kept, and have no effect. */
const SPEC_CTRL_REGISTER: Register = {
  read: (cpu) => (specCtrlMask(cpu) !== 0n ? cpu.specCtrl : undefined),
  write(cpu, value) {
    const mask = specCtrlMask(cpu);
    if (mask === 0n || (value & ~mask) !== 0n) return false;
    cpu.specCtrl = value;
    return true;
  },
};
const PRED_CMD_REGISTER: Register = {
  write: (cpu, value) => (claims(cpu, 'amdIbpb') || claims(cpu, 'specCtrl')) && (value & ~PRED_CMD_IBPB) === 0n,
};

// --- machine check: four banks that never report anything

const MACHINE_CHECK_BANKS = 4;
const MCG_CTL_PRESENT = 1n << 8n;
const MCG_STATUS_MASK = 7n;
const REGISTERS_PER_BANK = 4;

function machineCheckBank(index: number): Register {
  const bank = Math.floor(index / REGISTERS_PER_BANK);
  if (index % REGISTERS_PER_BANK === 0) {
    return {
      flag: 'mca',
      read: (cpu) => cpu.machineCheckControl[bank],
      write(cpu, value) {
        cpu.machineCheckControl[bank] = value;
        return true;
      },
    };
  }
  // MCi_STATUS, MCi_ADDR, MCi_MISC: may be cleared.
  return { flag: 'mca', read: () => 0n, write: (_cpu, value) => value === 0n };
}

// --- AMD configuration registers

const AMD = { vendor: 'amd' } as const;
/** Bits of HWCR an operating system may touch; TscFreqSel (24) tells that the TSC counts at the P0 frequency. */
const HWCR_MASK = 0x0104_07f9n;
export const HWCR_RESET = 1n << 24n;
/** MtrrFixDramEn, MtrrFixDramModEn, MtrrVarDramEn, MtrrTom2En, Tom2ForceMemTypeWB. */
const SYSCFG_MASK = 0x7c_0000n;
const TOP_MEM_MASK = 0xff_ff80_0000n;
/** DE_CFG: LFENCE is serializing, always. */
const DE_CFG_LFENCE_SERIALIZING = 1n << 1n;
/** Errata with an OS-visible workaround (APM vol. 2 appendix E): none of the first four applies. */
const OSVW_LENGTH = 4n;
const DEBUGCTL_MASK = 0x3fn;

/** VM_CR (APM vol. 2 15.30.1). */
export const VM_CR = { LOCK: 1n << 3n, SVMDIS: 1n << 4n, MASK: 0x1fn } as const;

function writeVmCr(cpu: Cpu, value: bigint): boolean {
  if ((value & ~VM_CR.MASK) !== 0n) return false;
  const locked = (cpu.vmCr & VM_CR.LOCK) !== 0n ? VM_CR.LOCK | VM_CR.SVMDIS : 0n;
  const next = (value & ~locked) | (cpu.vmCr & locked);
  if ((next & ~cpu.vmCr & VM_CR.SVMDIS) !== 0n && (efer(cpu) & EFER.SVME) !== 0) return false;
  cpu.vmCr = next;
  return true;
}

/** SVM_KEY sets the key while VM_CR is unlocked, and unlocks it when the key matches (APM vol. 2 15.31). */
function writeSvmKey(cpu: Cpu, value: bigint): boolean {
  if ((cpu.vmCr & VM_CR.LOCK) === 0n) cpu.svmKey = value;
  else if (cpu.svmKey !== 0n && cpu.svmKey === value) cpu.vmCr &= ~VM_CR.LOCK;
  return true;
}

function writeHostSaveArea(cpu: Cpu, value: bigint): boolean {
  if ((value & 0xfffn) !== 0n || value >> BigInt(cpu.model.physicalAddressBits) !== 0n) return false;
  cpu.vmHsavePa = value;
  return true;
}

const TSC_RATIO_MASK = 0xff_ffff_ffffn;

/** Intel: locked, with VMX outside SMX where it is exposed. */
const FEATURE_CONTROL = { LOCK: 1n, VMX_OUTSIDE_SMX: 4n } as const;

const apicRegister = (index: number): Register => ({
  flag: 'apic',
  read: (cpu) => cpu.apic.readMsr(index),
  write: (cpu, value) => cpu.apic.writeMsr(index, value),
});

const REGISTERS = new Map<number, Register>([
  [MSR.TSC, { flag: 'tsc', read: timeStamp, write: writeTimeStamp }],
  [MSR.APIC_BASE, apicRegister(MSR.APIC_BASE)],
  [MSR.TSC_DEADLINE, { ...apicRegister(MSR.TSC_DEADLINE), flag: 'tscDeadline' }],
  [MSR.TSC_ADJUST, { flag: 'tscAdjust', read: (cpu) => cpu.tscAdjust, write: writeTimeStampAdjust }],
  [
    MSR.FEATURE_CONTROL,
    {
      vendor: 'intel',
      read: (cpu) => FEATURE_CONTROL.LOCK | (claims(cpu, 'vmx') ? FEATURE_CONTROL.VMX_OUTSIDE_SMX : 0n),
    },
  ],
  [MSR.SPEC_CTRL, SPEC_CTRL_REGISTER],
  [MSR.PRED_CMD, PRED_CMD_REGISTER],
  [MSR.ARCH_CAPABILITIES, { flag: 'archCapabilities', read: (cpu) => cpu.model.archCapabilities }],
  [MSR.PATCH_LEVEL, { read: (cpu) => BigInt(cpu.model.microcodeRevision) }],
  [MSR.MTRRCAP, constant(MTRR_CAPABILITIES, { flag: 'mtrr' })],
  [MSR.MTRR_DEF_TYPE, { flag: 'mtrr', read: (cpu) => cpu.mtrrDefType, write: writeDefaultType }],
  [MSR.PAT, { flag: 'pat', read: readPat, write: writePat }],
  [MSR.SYSENTER_CS, stored('sysenterCs', MASK_32, { flag: 'sysenter' })],
  [MSR.SYSENTER_ESP, stored('sysenterEsp', ALL, { flag: 'sysenter' })],
  [MSR.SYSENTER_EIP, stored('sysenterEip', ALL, { flag: 'sysenter' })],
  [MSR.MCG_CAP, constant(BigInt(MACHINE_CHECK_BANKS) | MCG_CTL_PRESENT, { flag: 'mca' })],
  [MSR.MCG_STATUS, stored('mcgStatus', MCG_STATUS_MASK, { flag: 'mca' })],
  [MSR.MCG_CTL, stored('mcgCtl', ALL, { flag: 'mca' })],
  [MSR.MISC_ENABLE, stored('miscEnable', ALL, { vendor: 'intel' })],
  [MSR.DEBUGCTL, stored('debugCtl', DEBUGCTL_MASK)],
  [MSR.LAST_BRANCH_FROM_IP, { read: (cpu) => cpu.lastBranchFrom }],
  [MSR.LAST_BRANCH_TO_IP, { read: (cpu) => cpu.lastBranchTo }],
  [MSR.LAST_EXCEPTION_FROM_IP, { read: (cpu) => cpu.lastExceptionFrom }],
  [MSR.LAST_EXCEPTION_TO_IP, { read: (cpu) => cpu.lastExceptionTo }],
  // No component of extended state is a supervisor component.
  [MSR.XSS, { flag: 'xsaves', read: () => 0n, write: (_cpu, value) => value === 0n }],
  [MSR.EFER, { read: (cpu) => cpu.efer, write: writeEfer }],
  [MSR.STAR, stored('star', ALL, { flag: 'syscall' })],
  [MSR.LSTAR, { ...canonical('lstar'), flag: 'longMode' }],
  [MSR.CSTAR, { ...canonical('cstar'), flag: 'longMode' }],
  [
    MSR.SFMASK,
    {
      flag: 'longMode',
      read: (cpu) => cpu.sfmask,
      write(cpu, value) {
        cpu.sfmask = value & MASK_32;
        return true;
      },
    },
  ],
  [MSR.FS_BASE, segmentBase(FS)],
  [MSR.GS_BASE, segmentBase(GS)],
  [MSR.KERNEL_GS_BASE, { ...canonical('kernelGsBase'), flag: 'longMode' }],
  [MSR.TSC_AUX, stored('tscAux', MASK_32, { flag: 'rdtscp' })],
  [MSR.TSC_RATIO, stored('tscRatio', TSC_RATIO_MASK, { flag: 'tscRateMsr' })],
  [MSR.SYSCFG, stored('sysCfg', SYSCFG_MASK, AMD)],
  [MSR.HWCR, stored('hwcr', HWCR_MASK, AMD)],
  [MSR.TOP_MEM, stored('topMem', TOP_MEM_MASK, AMD)],
  [MSR.TOP_MEM2, stored('topMem2', TOP_MEM_MASK, AMD)],
  [MSR.NB_CFG, stored('nbCfg', ALL, AMD)],
  // The board places its configuration space; the processor's own window stays off.
  [MSR.MMIO_CONFIGURATION_BASE, { ...AMD, read: () => 0n, write: (_cpu, value) => value === 0n }],
  [MSR.VM_CR, { ...AMD, read: (cpu) => cpu.vmCr, write: writeVmCr }],
  [MSR.VM_HSAVE_PA, { flag: 'svm', read: (cpu) => cpu.vmHsavePa, write: writeHostSaveArea }],
  [MSR.SVM_KEY, { flag: 'svmLock', read: () => 0n, write: writeSvmKey }],
  [MSR.OSVW_ID_LENGTH, constant(OSVW_LENGTH, { flag: 'osvw' })],
  [MSR.OSVW_STATUS, constant(0n, { flag: 'osvw' })],
  [
    MSR.DE_CFG,
    {
      ...AMD,
      read: () => DE_CFG_LFENCE_SERIALIZING,
      write: (_cpu, value) => (value & ~DE_CFG_LFENCE_SERIALIZING) === 0n,
    },
  ],
]);

for (let i = 0; i < 2 * VARIABLE_RANGES; i++) {
  REGISTERS.set(MSR.MTRR_PHYS_BASE0 + i, {
    flag: 'mtrr',
    read: (cpu) => cpu.mtrrPhys[i],
    write: (cpu, value) => writeVariableRange(cpu, i, value),
  });
}
for (let number = MSR.MTRR_FIX64K_00000; number < MSR.PAT; number++) {
  const index = fixedRangeIndex(number);
  if (index < 0) continue;
  REGISTERS.set(number, {
    flag: 'mtrr',
    read: (cpu) => readFixedRange(cpu, index),
    write: (cpu, value) => writeFixedRange(cpu, index, value),
  });
}
for (let i = 0; i < MACHINE_CHECK_BANKS * REGISTERS_PER_BANK; i++) REGISTERS.set(MSR.MC0_CTL + i, machineCheckBank(i));
for (let number = MSR.X2APIC_FIRST; number <= MSR.X2APIC_LAST; number++) REGISTERS.set(number, apicRegister(number));
for (let i = 0; i < PERFORMANCE_COUNTERS; i++) {
  REGISTERS.set(MSR.PERF_EVENT_SELECT0 + i, {
    ...AMD,
    read: (cpu) => cpu.perfEventSelect[i],
    write: (cpu, value) => writeEventSelect(cpu, i, value),
  });
  REGISTERS.set(MSR.PERF_COUNTER0 + i, {
    ...AMD,
    read: (cpu) => readPerformanceCounter(cpu, i),
    write(cpu, value) {
      writePerformanceCounter(cpu, i, value);
      return true;
    },
  });
}

/** Every MSR number that may exist on some model. */
export const KNOWN_MSRS: readonly number[] = [...REGISTERS.keys()];

function find(cpu: Cpu, index: number): Register | undefined {
  const register = REGISTERS.get(index);
  if (register === undefined) return undefined;
  if (register.flag !== undefined && !claims(cpu, register.flag)) return undefined;
  if (register.vendor !== undefined && register.vendor !== cpu.model.vendor) return undefined;
  return register;
}

/** MSRs that have been logged as missing. */
const reported = new WeakMap<Cpu, Set<number>>();

function reportMissing(cpu: Cpu, index: number, access: string): void {
  if (!cpu.log.enabled('unimplemented')) return;
  let seen = reported.get(cpu);
  if (seen === undefined) {
    seen = new Set();
    reported.set(cpu, seen);
  }
  if (seen.has(index)) return;
  seen.add(index);
  cpu.log.write('unimplemented', `${access} of MSR ${index.toString(16)}h at RIP ${cpu.rip.toString(16)}h: #GP(0)`);
}

/** Value of an MSR as RDMSR gives it, or `undefined` for #GP(0). */
export function readMsr(cpu: Cpu, index: number): bigint | undefined {
  const register = find(cpu, index);
  if (register === undefined) reportMissing(cpu, index, 'read');
  return register?.read?.(cpu);
}

/** Writes an MSR; false for #GP(0). */
export function writeMsr(cpu: Cpu, index: number, value: bigint): boolean {
  const register = find(cpu, index);
  if (register === undefined) reportMissing(cpu, index, `write of ${value.toString(16)}h`);
  return register?.write?.(cpu, value) ?? false;
}

export function rdmsr(cpu: Cpu): void {
  const index = low32(cpu, RCX);
  if (cpu.guestMode !== 0) hooks.modelSpecificRegister(cpu, index, false);
  const value = readMsr(cpu, index);
  if (value === undefined) throw fault(cpu, Vector.GP, 0);
  setEdxEax(cpu, value);
}

export function wrmsr(cpu: Cpu): void {
  const index = low32(cpu, RCX);
  if (cpu.guestMode !== 0) hooks.modelSpecificRegister(cpu, index, true);
  if (!writeMsr(cpu, index, edxEax(cpu))) throw fault(cpu, Vector.GP, 0);
}
