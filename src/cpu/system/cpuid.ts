/** CPUID (SDM vol. 2, APM vol. 3 appendix E) from the processor model and the state it may depend on. */
import { RAX, RBX, RCX, RDX } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import type { CpuidLeaf, CpuModel } from '../model.ts';
import { CPUID_FLAGS, type CpuidFlag, type FlagPlace } from './cpuid-flags.ts';
import { CR4, cr4, low32, setLow32 } from './registers.ts';
import { XSAVE_AREA_SIZE, XSAVE_STANDARD_SIZE } from './xsave-layout.ts';

const EXTENDED = 0x8000_0000;
const MAX_LEAF = 0xd;
const MAX_EXTENDED_LEAF = 0x8000_0021;
const MAX_INTEL_EXTENDED_LEAF = 0x8000_0008;

const VENDOR_ID = { amd: 'AuthenticAMD', intel: 'GenuineIntel' } as const;

/** Leaf 1 EBX: CLFLUSH line in quadwords. */
const CLFLUSH_QUADWORDS = 8;
const CACHE_LINE = 64;
/** Leaf 1 ECX bit 27: a copy of CR4.OSXSAVE. */
const OSXSAVE_BIT = 1 << 27;
/** Leaf 1 EDX bit 28 (HTT) and 8000_0001h ECX bit 1 (CmpLegacy): several processors in the package. */
const HTT_BIT = 1 << 28;
const CMP_LEGACY_BIT = 1 << 1;
/** Leaf 6 EAX bit 2: the APIC timer runs in every power state. */
const ARAT_BIT = 1 << 2;
/** Flags of leaf 1 EDX that 8000_0001h EDX repeats on AMD processors (APM vol. 3 E.4.2). */
const REPEATED_FEATURES = 0x0183_f3ff;
/** IA32_APIC_BASE enable bit; CPUID shows no APIC while it is clear. */
const APIC_ENABLE = 1n << 11n;
const APIC_FLAG_BIT = 1 << 9;

const LINEAR_ADDRESS_BITS = 48;
const SVM_REVISION = 1;
/** Address space identifiers for guests, ASID 0 included. */
export const SVM_ASIDS = 256;

const TOPOLOGY_LEVEL_SMT = 1 << 8;
const TOPOLOGY_LEVEL_CORE = 2 << 8;

interface Cache {
  readonly type: 1 | 2 | 3;
  readonly level: number;
  readonly kilobytes: number;
  readonly ways: number;
  /** Whether all processors share it. */
  readonly shared: boolean;
}
/** What guests are told about caches; there are none. Types: 1 data, 2 instruction, 3 unified. */
const CACHES: readonly Cache[] = [
  { type: 1, level: 1, kilobytes: 32, ways: 8, shared: false },
  { type: 2, level: 1, kilobytes: 32, ways: 8, shared: false },
  { type: 3, level: 2, kilobytes: 512, ways: 8, shared: false },
  { type: 3, level: 3, kilobytes: 16384, ways: 16, shared: true },
];

const NOTHING: CpuidLeaf = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

function text(bytes: string): number {
  return bytes.charCodeAt(0) | (bytes.charCodeAt(1) << 8) | (bytes.charCodeAt(2) << 16) | (bytes.charCodeAt(3) << 24);
}

/** Bits of an APIC id that number the processors of a package. */
function coreIdBits(model: CpuModel): number {
  return 32 - Math.clz32(model.processors - 1);
}

/** Family, model and stepping in the encoding of leaf 1 EAX. */
export function signature(model: CpuModel): number {
  const baseFamily = Math.min(model.family, 0xf);
  const extendedFamily = model.family - baseFamily;
  const low = (model.model & 0xf) << 4;
  const high = (model.model >> 4) << 16;
  return (extendedFamily << 20) | high | (baseFamily << 8) | low | model.stepping;
}

function addFlags(model: CpuModel, leaf: number, subleaf: number, answer: CpuidLeaf): CpuidLeaf {
  const result = { ...answer };
  for (const flag of model.flags) {
    const [flagLeaf, flagSubleaf, register, bit]: FlagPlace = CPUID_FLAGS[flag];
    if (flagLeaf === leaf && flagSubleaf === subleaf) result[register] |= 1 << bit;
  }
  return result;
}

/** Leaf 0Dh: components of XCR0 and their places (SDM vol. 1 13.2). Only x87 and SSE state exist, in the legacy area. */
function extendedState(subleaf: number): CpuidLeaf {
  if (subleaf === 0) return { eax: 3, ebx: XSAVE_STANDARD_SIZE, ecx: XSAVE_AREA_SIZE, edx: 0 };
  if (subleaf === 1) return { eax: 0, ebx: XSAVE_STANDARD_SIZE, ecx: 0, edx: 0 };
  return NOTHING;
}

/** Leaf 0Bh: one thread per core, all cores in one package (SDM vol. 3A 9.9). */
function topology(cpu: Cpu, subleaf: number): CpuidLeaf {
  const level = subleaf & 0xff;
  const edx = cpu.apicId;
  if (level === 0) return { eax: 0, ebx: 1, ecx: TOPOLOGY_LEVEL_SMT | level, edx };
  if (level === 1)
    return { eax: coreIdBits(cpu.model), ebx: cpu.model.processors, ecx: TOPOLOGY_LEVEL_CORE | level, edx };
  return { eax: 0, ebx: 0, ecx: level, edx };
}

/** Cache description shared by leaf 4 and leaf 8000_001Dh (APM vol. 3 E.4.15). */
function cacheProperties(cpu: Cpu, subleaf: number): CpuidLeaf {
  const cache = CACHES[subleaf];
  if (cache === undefined) return NOTHING;
  const sets = (cache.kilobytes * 1024) / (cache.ways * CACHE_LINE);
  const sharing = (cache.shared ? cpu.model.processors : 1) - 1;
  const selfInitializing = 1 << 8;
  return {
    eax: cache.type | (cache.level << 5) | selfInitializing | (sharing << 14),
    ebx: (CACHE_LINE - 1) | ((cache.ways - 1) << 22),
    ecx: sets - 1,
    edx: 0,
  };
}

/** Associativity codes of leaf 8000_0006h (APM vol. 3 table E-4). */
const ASSOCIATIVITY_CODE: Readonly<Record<number, number>> = { 4: 4, 8: 6, 16: 8 };
const FULLY_ASSOCIATIVE_L1 = 0xff;

/** Leaf 8000_0005h: L1 caches and TLBs. */
function level1(): CpuidLeaf {
  const tlb = (FULLY_ASSOCIATIVE_L1 << 24) | (64 << 16) | (FULLY_ASSOCIATIVE_L1 << 8) | 64;
  const cache = ({ kilobytes, ways }: Cache) => (kilobytes << 24) | (ways << 16) | (1 << 8) | CACHE_LINE;
  return { eax: tlb, ebx: tlb, ecx: cache(CACHES[0]), edx: cache(CACHES[1]) };
}

/** Leaf 8000_0006h: L2 and L3 caches and TLBs. */
function level2(): CpuidLeaf {
  const entries = 1024;
  const associativity = ASSOCIATIVITY_CODE[8];
  const tlb = (associativity << 28) | (entries << 16) | (associativity << 12) | entries;
  const [, , l2, l3] = CACHES;
  const l3Unit = 512;
  return {
    eax: tlb,
    ebx: tlb,
    ecx: (l2.kilobytes << 16) | (ASSOCIATIVITY_CODE[l2.ways] << 12) | (1 << 8) | CACHE_LINE,
    edx: ((l3.kilobytes / l3Unit) << 18) | (ASSOCIATIVITY_CODE[l3.ways] << 12) | (1 << 8) | CACHE_LINE,
  };
}

function basicLeaf(cpu: Cpu, leaf: number, subleaf: number): CpuidLeaf {
  const { model } = cpu;
  switch (leaf) {
    case 0: {
      const id = VENDOR_ID[model.vendor];
      return { eax: MAX_LEAF, ebx: text(id.slice(0, 4)), edx: text(id.slice(4, 8)), ecx: text(id.slice(8, 12)) };
    }
    case 1: {
      const count = 1 << coreIdBits(model);
      return {
        eax: signature(model),
        ebx: (CLFLUSH_QUADWORDS << 8) | (count << 16) | (cpu.apicId << 24),
        ecx: 0,
        edx: model.processors > 1 ? HTT_BIT : 0,
      };
    }
    case 4: {
      if (model.vendor !== 'intel') return NOTHING;
      const answer = cacheProperties(cpu, subleaf);
      const cores = (1 << coreIdBits(model)) - 1;
      return answer === NOTHING ? answer : { ...answer, eax: answer.eax | (cores << 26) };
    }
    case 6:
      return { ...NOTHING, eax: ARAT_BIT };
    case 0xb:
      return topology(cpu, subleaf);
    case 0xd:
      return extendedState(subleaf);
    default:
      return NOTHING;
  }
}

function extendedLeaf(cpu: Cpu, leaf: number, subleaf: number): CpuidLeaf {
  const { model } = cpu;
  const amd = model.vendor === 'amd';
  switch (leaf) {
    case 0x8000_0000: {
      const id = VENDOR_ID.amd;
      const name = amd ? { ebx: text(id.slice(0, 4)), edx: text(id.slice(4, 8)), ecx: text(id.slice(8, 12)) } : NOTHING;
      return { ...name, eax: amd ? MAX_EXTENDED_LEAF : MAX_INTEL_EXTENDED_LEAF };
    }
    case 0x8000_0001: {
      if (!amd) return NOTHING;
      const repeated = staticAnswer(cpu, 1, 0).edx & REPEATED_FEATURES;
      return { eax: signature(model), ebx: 0, ecx: model.processors > 1 ? CMP_LEGACY_BIT : 0, edx: repeated };
    }
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const part = model.brand.padEnd(48, '\0').slice(16 * (leaf - 0x8000_0002), 16 * (leaf - 0x8000_0001));
      const at = (i: number) => text(part.slice(4 * i, 4 * i + 4));
      return { eax: at(0), ebx: at(1), ecx: at(2), edx: at(3) };
    }
    case 0x8000_0005:
      return amd ? level1() : NOTHING;
    case 0x8000_0006:
      return level2();
    case 0x8000_0008: {
      const sizes = model.physicalAddressBits | (LINEAR_ADDRESS_BITS << 8);
      return { eax: sizes, ebx: 0, ecx: amd ? (model.processors - 1) | (coreIdBits(model) << 12) : 0, edx: 0 };
    }
    case 0x8000_000a:
      return model.flags.has('svm') ? { eax: SVM_REVISION, ebx: SVM_ASIDS, ecx: 0, edx: 0 } : NOTHING;
    case 0x8000_001d:
      return cacheProperties(cpu, subleaf);
    case 0x8000_001e:
      // One thread per core; one node per package.
      return { eax: cpu.apicId, ebx: cpu.apicId & 0xff, ecx: 0, edx: 0 };
    default:
      return NOTHING;
  }
}

/** Leaves whose answer does not depend on ECX: their flags belong to subleaf 0 whatever it is. */
const hasSubleaves = (leaf: number): boolean =>
  leaf === 4 || leaf === 7 || leaf === 0xb || leaf === 0xd || leaf === 0x8000_001d;

/** What a processor answers whatever its state, by leaf and subleaf; filled as guests ask. */
const answers = new WeakMap<Cpu, Map<number, CpuidLeaf>>();
/** Subleaves worth remembering; guests do not ask for more. */
const REMEMBERED_SUBLEAVES = 64;

/** The leaf that answers: AMD processors give zeros beyond the last (`undefined`), Intel ones the highest basic leaf. */
function answeringLeaf(cpu: Cpu, leaf: number): number | undefined {
  const amd = cpu.model.vendor === 'amd';
  const maximum = amd ? MAX_EXTENDED_LEAF : MAX_INTEL_EXTENDED_LEAF;
  const known = leaf <= MAX_LEAF || (leaf >= EXTENDED && leaf <= maximum);
  return known ? leaf : amd ? undefined : MAX_LEAF;
}

function staticAnswer(cpu: Cpu, leaf: number, subleaf: number): CpuidLeaf {
  const basis = leaf >= EXTENDED ? extendedLeaf(cpu, leaf, subleaf) : basicLeaf(cpu, leaf, subleaf);
  const { eax, ebx, ecx, edx } = addFlags(cpu.model, leaf, subleaf, basis);
  return { eax: eax >>> 0, ebx: ebx >>> 0, ecx: ecx >>> 0, edx: edx >>> 0 };
}

/** What CPUID answers now for a leaf and subleaf. Registers are unsigned 32-bit numbers. */
export function query(cpu: Cpu, requested: number, requestedSubleaf: number): CpuidLeaf {
  const leaf = answeringLeaf(cpu, requested >>> 0);
  if (leaf === undefined) return NOTHING;
  const subleaf = hasSubleaves(leaf) ? requestedSubleaf >>> 0 : 0;
  let known = answers.get(cpu);
  if (known === undefined) {
    known = new Map();
    answers.set(cpu, known);
  }
  const key = leaf * REMEMBERED_SUBLEAVES + subleaf;
  let answer = subleaf < REMEMBERED_SUBLEAVES ? known.get(key) : undefined;
  if (answer === undefined) {
    answer = staticAnswer(cpu, leaf, subleaf);
    if (subleaf < REMEMBERED_SUBLEAVES) known.set(key, answer);
  }
  if (leaf !== 1 && leaf !== 0x8000_0001) return answer;
  const { eax, ebx } = answer;
  const ecx = leaf === 1 && (cr4(cpu) & CR4.OSXSAVE) !== 0 ? (answer.ecx | OSXSAVE_BIT) >>> 0 : answer.ecx;
  const hideApic = (cpu.apic.apicBase & APIC_ENABLE) === 0n;
  return { eax, ebx, ecx, edx: hideApic ? (answer.edx & ~APIC_FLAG_BIT) >>> 0 : answer.edx };
}

/** Whether the processor claims a flag. */
export const claims = (cpu: Cpu, flag: CpuidFlag): boolean => cpu.model.flags.has(flag);

export function cpuid(cpu: Cpu): void {
  const { eax, ebx, ecx, edx } = query(cpu, low32(cpu, RAX), low32(cpu, RCX));
  setLow32(cpu, RAX, eax);
  setLow32(cpu, RBX, ebx);
  setLow32(cpu, RCX, ecx);
  setLow32(cpu, RDX, edx);
}
