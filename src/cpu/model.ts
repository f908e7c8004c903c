import type { Feature } from '../isa/instruction.ts';
import type { CpuidFlag } from './system/cpuid-flags.ts';

/** One CPUID leaf's answer. */
export interface CpuidLeaf {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** A named processor: identification and the features it claims. Nothing is claimed that is not implemented. */
export interface CpuModel {
  /** What `--cpu` takes. */
  readonly name: string;
  readonly vendor: 'amd' | 'intel';
  readonly brand: string;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** Revision of the microcode patch, as MSR 8Bh reports it. */
  readonly microcodeRevision: number;
  /** Feature flags CPUID announces. */
  readonly flags: ReadonlySet<CpuidFlag>;
  /** Those of them that gate instructions, for the decoder. */
  readonly features: ReadonlySet<Feature>;
  /** IA32_ARCH_CAPABILITIES, where `archCapabilities` is claimed. */
  readonly archCapabilities: bigint;
  readonly physicalAddressBits: number;
  /** Time stamp counter frequency in Hz. */
  readonly tscFrequency: number;
  /** Processors in the package, one thread per core. */
  readonly processors: number;
  /** The switch "expose virtualization extensions". */
  readonly exposeVirtualization: boolean;
}

/** What a virtual machine decides about its processors. */
export interface CpuOptions {
  readonly exposeVirtualization?: boolean;
  readonly processors?: number;
  readonly tscFrequency?: number;
  /** Flags to add (`true`) or withhold (`false`), for compatibility and tests. */
  readonly flags?: Partial<Record<CpuidFlag, boolean>>;
}

/** The x86-64-v2 level of the psABI with its prerequisites, as implemented. */
const COMMON_FLAGS: readonly CpuidFlag[] = [
  'fpu',
  'vme',
  'de',
  'pse',
  'tsc',
  'msr',
  'pae',
  'mce',
  'cx8',
  'apic',
  'sysenter',
  'mtrr',
  'pge',
  'mca',
  'cmov',
  'pat',
  'pse36',
  'clflush',
  'mmx',
  'fxsr',
  'sse',
  'sse2',
  'sse3',
  'ssse3',
  'sse4.1',
  'sse4.2',
  'popcnt',
  'cx16',
  'pcid',
  'x2apic',
  'tscDeadline',
  'xsave',
  'xsaveopt',
  'xsavec',
  'xgetbv1',
  'rdrand',
  'rdseed',
  'fsgsbase',
  'smep',
  'smap',
  'erms',
  'fsrm',
  'invpcid',
  'clflushopt',
  'umip',
  'lahf64',
  'prefetchw',
  'syscall',
  'nx',
  'page1g',
  'rdtscp',
  'longMode',
  'invariantTsc',
  'archCapabilities',
];

const AMD_FLAGS: readonly CpuidFlag[] = [
  ...COMMON_FLAGS,
  'osvw',
  'topologyExtensions',
  'mmxExtensions',
  'lfenceSerializing',
  'nullSelectorClearsBase',
  'savesErrorPointers',
  'amdIbpb',
  'amdIbrs',
  'amdSsbNo',
  'btcNo',
  'ibpbReturns',
  'srsoNo',
  'tsaSqNo',
  'tsaL1No',
];

/** Announced with `exposeVirtualization` (APM vol. 3 E.4.9). */
const SVM_FLAGS: readonly CpuidFlag[] = [
  'svm',
  'nestedPaging',
  'lbrVirtualization',
  'svmLock',
  'nextRipSave',
  'tscRateMsr',
  'vmcbClean',
  'flushByAsid',
  'decodeAssists',
  'pauseFilter',
  'pauseFilterThreshold',
  'virtualGif',
];

/** IA32_ARCH_CAPABILITIES bits (SDM vol. 4 table 2-2). */
const ARCH_CAPABILITY = {
  RDCL_NO: 1n << 0n,
  IBRS_ALL: 1n << 1n,
  SKIP_L1DFL_VMENTRY: 1n << 3n,
  SSB_NO: 1n << 4n,
  MDS_NO: 1n << 5n,
  IF_PSCHANGE_MC_NO: 1n << 6n,
  TAA_NO: 1n << 8n,
  SBDR_SSDP_NO: 1n << 13n,
  FBSDP_NO: 1n << 14n,
  PSDP_NO: 1n << 15n,
  BHI_NO: 1n << 20n,
  PBRSB_NO: 1n << 24n,
  GDS_NO: 1n << 26n,
  RFDS_NO: 1n << 27n,
} as const;

/**
 * None of the known speculation attacks works here: there is no speculation. `IBRS_ALL` spares guests the retpolines,
 * which cost a mispredicted return per indirect call.
 */
const NOT_AFFECTED = Object.values(ARCH_CAPABILITY).reduce((all, bit) => all | bit, 0n);

/** The gate of each instruction feature is the flag of the same name. */
const INSTRUCTION_FEATURES: Readonly<Record<Feature, true>> = {
  fpu: true,
  cx8: true,
  cmov: true,
  mmx: true,
  fxsr: true,
  sse: true,
  sse2: true,
  sse3: true,
  ssse3: true,
  'sse4.1': true,
  'sse4.2': true,
  popcnt: true,
  cx16: true,
  clflush: true,
  clflushopt: true,
  clwb: true,
  xsave: true,
  xsaveopt: true,
  xsavec: true,
  xsaves: true,
  fsgsbase: true,
  rdtscp: true,
  rdrand: true,
  rdseed: true,
  rdpid: true,
  monitor: true,
  smap: true,
  invpcid: true,
  umip: true,
  svm: true,
  vmx: true,
  syscall: true,
  sysenter: true,
  lahf64: true,
  movbe: true,
  msr: true,
  tsc: true,
  prefetchw: true,
  skinit: true,
  clzero: true,
};

interface BaseModel {
  readonly vendor: CpuModel['vendor'];
  readonly brand: string;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  readonly microcodeRevision: number;
  readonly flags: readonly CpuidFlag[];
  readonly virtualizationFlags: readonly CpuidFlag[];
}

const BASE_MODELS = {
  /**
   * An AMD processor of the Zen line after family 1Ah. The lists of affected processors that kernels carry end at 1Ah, so
   * with the "not affected" flags a guest finds nothing to mitigate but Spectre variants 1 and 2, which it assumes of
   * every processor; within 17h to 1Ah it would also work around VMSCAPE, SRSO or errata of particular models.
   */
  amd: {
    vendor: 'amd',
    brand: 'Testudo AMD64 Processor',
    family: 0x1b,
    model: 0x01,
    stepping: 0,
    microcodeRevision: 0x0c00_1000,
    flags: AMD_FLAGS,
    virtualizationFlags: SVM_FLAGS,
  },
} as const satisfies Record<string, BaseModel>;

export type CpuModelName = keyof typeof BASE_MODELS;
export const CPU_MODEL_NAMES = Object.keys(BASE_MODELS) as CpuModelName[];

const DEFAULT_TSC_FREQUENCY = 2_000_000_000;
const PHYSICAL_ADDRESS_BITS = 40;

/** A processor of a named model for one virtual machine. */
export function cpuModel(name: CpuModelName, options: CpuOptions = {}): CpuModel {
  const base: BaseModel = BASE_MODELS[name];
  const exposeVirtualization = options.exposeVirtualization ?? false;
  const flags = new Set(exposeVirtualization ? [...base.flags, ...base.virtualizationFlags] : base.flags);
  for (const [flag, claimed] of Object.entries(options.flags ?? {}) as [CpuidFlag, boolean][]) {
    if (claimed) flags.add(flag);
    else flags.delete(flag);
  }
  const features = (Object.keys(INSTRUCTION_FEATURES) as Feature[]).filter((feature) => flags.has(feature));
  return {
    name,
    vendor: base.vendor,
    brand: base.brand,
    family: base.family,
    model: base.model,
    stepping: base.stepping,
    microcodeRevision: base.microcodeRevision,
    flags,
    features: new Set(features),
    archCapabilities: flags.has('archCapabilities') ? NOT_AFFECTED : 0n,
    physicalAddressBits: PHYSICAL_ADDRESS_BITS,
    tscFrequency: options.tscFrequency ?? DEFAULT_TSC_FREQUENCY,
    processors: options.processors ?? 1,
    exposeVirtualization,
  };
}
