/** Guest memory of the processor: arena, guest-physical space, TLB, page walk, linear accesses. */
import type { Log } from '../../bus/log.ts';
import type { Cpu } from '../cpu.ts';
import type { CpuModel } from '../model.ts';
import { type Arena, PAGE_SIZE } from './arena.ts';
import { JUMP_CACHE_SIZE } from './jump-cache.ts';
import { LinearAccess } from './linear.ts';
import type { PhysicalSpace } from './physical.ts';
import { TLB_BANK_SIZE, TLB_BANKS } from './tlb.ts';
import { Translation } from './translation.ts';

export { Arena, type ArenaOptions, MOST_BORROWED, PAGE_SIZE } from './arena.ts';
export { DmaMemory } from './dma.ts';
export { LinearAccess } from './linear.ts';
export { GRANULE_SIZE, type MmioBus, PageFlag, PhysicalSpace, type PhysicalSpaceOptions } from './physical.ts';
export { AccessInfo } from './slow-path.ts';
export { Translation } from './translation.ts';

/** Arena overhead of one processor's TLB banks and jump cache in bytes, alignment included. */
export const PROCESSOR_MEMORY_OVERHEAD = (TLB_BANKS + 1) * TLB_BANK_SIZE + JUMP_CACHE_SIZE + PAGE_SIZE;

export interface ProcessorMemoryOptions {
  readonly cpu: Cpu;
  readonly arena: Arena;
  readonly physical: PhysicalSpace;
  /** MAXPHYADDR, 32 to 52. */
  readonly physicalAddressBits: number;
  /** Whose rules hold where processors differ in what a paging-structure entry reserves. */
  readonly vendor: CpuModel['vendor'];
  readonly log: Log;
  /** The decode mode key for the processor's state (below 4096). */
  readonly computeMode: (cpu: Cpu) => number;
  /** What goes into `codeTable` of a TLB entry filled for execution of a guest page. */
  readonly codeTableFor: (page: number, mode: number) => number;
  /** Number of TLB banks; {@link TLB_BANKS} by default. */
  readonly banks?: number;
}

/** One processor's translation caches and linear memory; call `translation.stateChanged()` before the first access. */
export function createProcessorMemory(options: ProcessorMemoryOptions): {
  translation: Translation;
  linear: LinearAccess;
} {
  const translation = new Translation(options);
  return { translation, linear: new LinearAccess({ ...options, translation }) };
}
