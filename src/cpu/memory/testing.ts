/** A processor with memory and nothing else, for tests, and a builder of paging structures. */
import { SILENT } from '../../bus/log.ts';
import { CONTEXT_SIZE, CS } from '../context.ts';
import { Cpu } from '../cpu.ts';
import { Pending } from '../state.ts';
import {
  Arena,
  createProcessorMemory,
  DmaMemory,
  type MmioBus,
  PhysicalSpace,
  PROCESSOR_MEMORY_OVERHEAD,
} from './index.ts';
import { TLB_ENTRIES, TLB_ENTRY, TLB_ENTRY_SIZE, TLB_KIND } from './tlb.ts';

export const MAXPHYADDR = 40;
export const GiB = 2 ** 30;
export const MiB = 2 ** 20;
/** RAM of the test machine: below the hole and above 4 GiB. */
export const LOW_RAM = 16 * MiB;
export const HIGH_RAM_BASE = 4 * GiB;
export const HIGH_RAM = 4 * MiB;

export const CR0 = { PE: 1n, WP: 1n << 16n, AM: 1n << 18n, PG: 1n << 31n } as const;
export const CR4 = {
  PSE: 1n << 4n,
  PAE: 1n << 5n,
  PGE: 1n << 7n,
  LA57: 1n << 12n,
  PCIDE: 1n << 17n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
} as const;
export const EFER = { LME: 1n << 8n, LMA: 1n << 10n, NXE: 1n << 11n } as const;
export const AC = 1n << 18n;

/** Bits of a 64-bit paging-structure entry. */
export const P = 1n;
export const W = 2n;
export const U = 4n;
export const A = 1n << 5n;
export const D = 1n << 6n;
export const PS = 1n << 7n;
export const G = 1n << 8n;
export const NX = 1n << 63n;

export interface MmioAccess {
  readonly kind: 'r' | 'w';
  readonly address: number;
  readonly size: number;
  readonly value: number;
}

/** A bus that answers with the low bits of the address and records everything. */
export class RecordingBus implements MmioBus {
  readonly log: MmioAccess[] = [];
  readMmio(address: number, size: 1 | 2 | 4): number {
    const value = Number(BigInt.asUintN(8 * size, BigInt(address) * 0x01010101n));
    this.log.push({ kind: 'r', address, size, value });
    return value;
  }
  writeMmio(address: number, size: 1 | 2 | 4, value: number): void {
    this.log.push({ kind: 'w', address, size, value });
  }
}

export interface Machine {
  readonly cpu: Cpu;
  readonly arena: Arena;
  readonly physical: PhysicalSpace;
  readonly dma: DmaMemory;
  readonly bus: RecordingBus;
  readonly translation: ReturnType<typeof createProcessorMemory>['translation'];
  readonly linear: ReturnType<typeof createProcessorMemory>['linear'];
}

export function machine(
  options: { banks?: number; computeMode?: (cpu: Cpu) => number; vendor?: 'amd' | 'intel' } = {},
): Machine {
  const limit = HIGH_RAM_BASE + HIGH_RAM;
  const arena = new Arena({
    ramBytes: LOW_RAM + HIGH_RAM + MiB,
    overheadBytes: CONTEXT_SIZE + PROCESSOR_MEMORY_OVERHEAD + PhysicalSpace.overheadBytes(limit) + 65536,
  });
  const cpu = new Cpu(arena.buffer, arena.reserve(CONTEXT_SIZE, 64));
  const bus = new RecordingBus();
  const physical = new PhysicalSpace(arena, { limit, mmio: bus, log: SILENT });
  physical.addRam(0, LOW_RAM);
  physical.addRam(HIGH_RAM_BASE, HIGH_RAM);
  const { translation, linear } = createProcessorMemory({
    cpu,
    arena,
    physical,
    physicalAddressBits: MAXPHYADDR,
    vendor: options.vendor ?? 'amd',
    log: SILENT,
    computeMode: options.computeMode ?? (() => 2),
    codeTableFor: (page, mode) => page * 16 + mode,
    banks: options.banks,
  });
  Object.assign(cpu, { linear, physical, translation });
  cpu.rflags = 2n;
  cpu.cr0 = CR0.PE;
  cpu.segments[CS].attributes = 0x29b;
  translation.stateChanged();
  return { cpu, arena, physical, dma: new DmaMemory(physical), bus, translation, linear };
}

/** Turns 4-level paging on with the given table. */
export function longMode(
  { cpu, translation }: Machine,
  cr3: number,
  extra: { cr0?: bigint; cr4?: bigint; efer?: bigint } = {},
): void {
  cpu.cr0 = CR0.PE | CR0.PG | (extra.cr0 ?? CR0.WP);
  cpu.cr4 = CR4.PAE | (extra.cr4 ?? 0n);
  cpu.efer = EFER.LMA | EFER.LME | (extra.efer ?? EFER.NXE);
  cpu.cr3 = BigInt(cr3);
  translation.stateChanged();
}

/** Builds paging structures by DMA, as another bus master would. Tables come from `next` upwards. */
export class Tables {
  private readonly m: Machine;
  private next: number;
  constructor(m: Machine, next: number) {
    this.m = m;
    this.next = next;
  }
  /** A fresh, zeroed page; its address. */
  page(): number {
    const address = this.next;
    this.next += 4096;
    this.m.dma.write(address, new Uint8Array(4096));
    return address;
  }
  get(address: number): bigint {
    return this.m.dma.readU64(address);
  }
  set(address: number, entry: bigint): void {
    this.m.dma.writeU64(address, entry);
  }
  /** Address of the entry for a linear address at `level` (0 = page table), creating tables above it with `flags`. */
  entry(root: number, top: number, linear: bigint, level: number, flags = P | W | U): number {
    let table = root;
    for (let at = top; ; at--) {
      const index = Number((linear >> BigInt(12 + 9 * at)) & 511n);
      const address = table + 8 * index;
      if (at === level) return address;
      if ((this.get(address) & P) === 0n) this.set(address, BigInt(this.page()) | flags);
      table = Number(this.get(address) & 0xf_ffff_ffff_f000n);
    }
  }
  /** Maps one page of 4 KiB (level 0), 2 MiB (1) or 1 GiB (2) with four levels. Returns the leaf's address. */
  map(root: number, linear: bigint, physical: number, flags: bigint, level = 0, top = 3): number {
    const address = this.entry(root, top, linear, level);
    this.set(address, BigInt(physical) | flags | (level > 0 ? PS : 0n));
    return address;
  }
}

export interface Fault {
  readonly vector: number;
  readonly code: number;
  readonly address: bigint;
}

/** What an access ended with: undefined for success, the fault, or the #VMEXIT. */
export function pendingOf(cpu: Cpu): Fault | { exit: bigint; info1: bigint; info2: bigint } | undefined {
  const { pending } = cpu;
  cpu.pending = Pending.NONE;
  if (pending === Pending.NONE) return undefined;
  if (pending === Pending.GUEST_EXIT) return { exit: cpu.exitCode, info1: cpu.exitInfo1, info2: cpu.exitInfo2 };
  return { vector: cpu.faultVector, code: cpu.faultErrorCode, address: cpu.faultAddress };
}

const low = (linear: bigint) => Number(BigInt.asIntN(32, linear));
const high = (linear: bigint) => Number(BigInt.asIntN(32, linear >> 32n));

/** An access the way emitted code makes it after a miss. */
export function access(m: Machine, kind: 'r' | 'w' | 'x', linear: bigint, bytes = 4, segment = 3, value = 0n) {
  m.cpu.pending = Pending.NONE;
  let failed: boolean;
  if (kind === 'x') failed = m.linear.translateExecute(low(linear), high(linear)) === 0;
  else if (kind === 'r') failed = m.linear.slowLoad(low(linear), high(linear), bytes | (segment << 8)) !== 0;
  else {
    m.cpu.slowValue[0] = value;
    failed = m.linear.slowStore(low(linear), high(linear), bytes | (segment << 8)) !== 0;
  }
  const pending = pendingOf(m.cpu);
  if (failed !== (pending !== undefined)) throw new Error('status and pending fault disagree');
  return pending;
}

/** Whether emitted code would hit the TLB, and where the access would go. */
export function tlbHit(m: Machine, kind: 'r' | 'w' | 'x', linear: bigint): number | undefined {
  const table = { r: TLB_KIND.READ, w: TLB_KIND.WRITE, x: TLB_KIND.EXECUTE }[kind];
  const entry = m.cpu.tlb + table + Number((linear >> 12n) & BigInt(TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
  const wanted = BigInt.asUintN(64, linear & ~0xfffn) | (kind === 'x' ? BigInt(m.cpu.mode) : 0n);
  if (m.arena.view.getBigUint64(entry + TLB_ENTRY.tag, true) !== wanted) return undefined;
  return (low(linear) + m.arena.view.getInt32(entry + TLB_ENTRY.addend, true)) >>> 0;
}
