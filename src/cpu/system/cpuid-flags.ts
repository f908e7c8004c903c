/**
 * Feature flags by name and the CPUID bit that announces each (SDM vol. 2 "CPUID", APM vol. 3 appendix E). A processor
 * model is a set of these names; decoder, control registers and MSRs ask for the same names, so that nothing is announced
 * that is not there and nothing is there unannounced.
 */
import type { Feature } from '../../isa/instruction.ts';

export type CpuidRegister = 'eax' | 'ebx' | 'ecx' | 'edx';

/** Leaf, subleaf, register, bit. */
export type FlagPlace = readonly [leaf: number, subleaf: number, register: CpuidRegister, bit: number];

const c1 = (bit: number): FlagPlace => [1, 0, 'ecx', bit];
const d1 = (bit: number): FlagPlace => [1, 0, 'edx', bit];
const b7 = (bit: number): FlagPlace => [7, 0, 'ebx', bit];
const c7 = (bit: number): FlagPlace => [7, 0, 'ecx', bit];
const d7 = (bit: number): FlagPlace => [7, 0, 'edx', bit];
const xsave1 = (bit: number): FlagPlace => [0xd, 1, 'eax', bit];
const extendedC1 = (bit: number): FlagPlace => [0x8000_0001, 0, 'ecx', bit];
const extendedD1 = (bit: number): FlagPlace => [0x8000_0001, 0, 'edx', bit];
const extendedD7 = (bit: number): FlagPlace => [0x8000_0007, 0, 'edx', bit];
const extendedB8 = (bit: number): FlagPlace => [0x8000_0008, 0, 'ebx', bit];
const svm = (bit: number): FlagPlace => [0x8000_000a, 0, 'edx', bit];
const extendedA21 = (bit: number): FlagPlace => [0x8000_0021, 0, 'eax', bit];
const extendedC21 = (bit: number): FlagPlace => [0x8000_0021, 0, 'ecx', bit];

const FLAGS = {
  sse3: c1(0),
  monitor: c1(3),
  vmx: c1(5),
  ssse3: c1(9),
  cx16: c1(13),
  pcid: c1(17),
  'sse4.1': c1(19),
  'sse4.2': c1(20),
  x2apic: c1(21),
  movbe: c1(22),
  popcnt: c1(23),
  tscDeadline: c1(24),
  xsave: c1(26),
  rdrand: c1(30),
  /** Set in virtual machines that say so. */
  hypervisor: c1(31),

  fpu: d1(0),
  vme: d1(1),
  de: d1(2),
  pse: d1(3),
  tsc: d1(4),
  msr: d1(5),
  pae: d1(6),
  mce: d1(7),
  cx8: d1(8),
  apic: d1(9),
  sysenter: d1(11),
  mtrr: d1(12),
  pge: d1(13),
  mca: d1(14),
  cmov: d1(15),
  pat: d1(16),
  pse36: d1(17),
  clflush: d1(19),
  mmx: d1(23),
  fxsr: d1(24),
  sse: d1(25),
  sse2: d1(26),

  fsgsbase: b7(0),
  tscAdjust: b7(1),
  smep: b7(7),
  /** Fast REP MOVSB and STOSB. */
  erms: b7(9),
  invpcid: b7(10),
  rdseed: b7(18),
  smap: b7(20),
  clflushopt: b7(23),
  clwb: b7(24),
  umip: c7(2),
  rdpid: c7(22),
  /** Fast short REP MOVSB. */
  fsrm: d7(4),
  /** IBRS and IBPB on Intel processors. */
  specCtrl: d7(26),
  stibp: d7(27),
  archCapabilities: d7(29),
  ssbd: d7(31),

  xsaveopt: xsave1(0),
  xsavec: xsave1(1),
  xgetbv1: xsave1(2),
  xsaves: xsave1(3),

  lahf64: extendedC1(0),
  svm: extendedC1(2),
  prefetchw: extendedC1(8),
  osvw: extendedC1(9),
  skinit: extendedC1(12),
  topologyExtensions: extendedC1(22),
  syscall: extendedD1(11),
  nx: extendedD1(20),
  mmxExtensions: extendedD1(22),
  page1g: extendedD1(26),
  rdtscp: extendedD1(27),
  longMode: extendedD1(29),

  invariantTsc: extendedD7(8),

  clzero: extendedB8(0),
  /** FXSAVE and XSAVE always save the x87 error pointers. */
  savesErrorPointers: extendedB8(2),
  amdIbpb: extendedB8(12),
  amdIbrs: extendedB8(14),
  amdStibp: extendedB8(15),
  amdSsbd: extendedB8(24),
  /** Not affected by speculative store bypass. */
  amdSsbNo: extendedB8(26),
  /** Not affected by branch type confusion. */
  btcNo: extendedB8(29),
  /** IBPB clears return predictions too. */
  ibpbReturns: extendedB8(30),

  nestedPaging: svm(0),
  lbrVirtualization: svm(1),
  svmLock: svm(2),
  nextRipSave: svm(3),
  tscRateMsr: svm(4),
  vmcbClean: svm(5),
  flushByAsid: svm(6),
  decodeAssists: svm(7),
  pauseFilter: svm(10),
  pauseFilterThreshold: svm(12),
  virtualVmloadVmsave: svm(15),
  virtualGif: svm(16),
  virtualSpecCtrl: svm(20),

  lfenceSerializing: extendedA21(2),
  nullSelectorClearsBase: extendedA21(6),
  automaticIbrs: extendedA21(8),
  /** Not affected by speculative return stack overflow. */
  srsoNo: extendedA21(29),
  /** Not affected by transient scheduler attacks on the store queue and the L1 data cache. */
  tsaSqNo: extendedC21(1),
  tsaL1No: extendedC21(2),
} as const satisfies Record<Feature, FlagPlace> & Record<string, FlagPlace>;

export type CpuidFlag = keyof typeof FLAGS;
export const CPUID_FLAGS: Readonly<Record<CpuidFlag, FlagPlace>> = FLAGS;
