import type { Feature } from '../isa/instruction.ts';

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
  /** Instruction-set features, used to gate the decoder. */
  readonly features: ReadonlySet<Feature>;
  readonly physicalAddressBits: number;
  /** Time stamp counter frequency in Hz. */
  readonly tscFrequency: number;
}
