/** A processor with a flat little memory and no devices, for tests of system code. Linear addresses are offsets into it. */
import { SILENT } from '../../bus/log.ts';
import type { AccessSize } from '../../bus/ports.ts';
import { Vector } from '../../isa/stage.ts';
import { CONTEXT_SIZE, CS, DS, ES, SS, TR } from '../context.ts';
import { Cpu, type LinearMemory, type LocalApic, type PhysicalMemory, type TranslationControl } from '../cpu.ts';
import { ABORTED, setPageFault } from '../fault.ts';
import { type CpuOptions, cpuModel } from '../model.ts';
import { Pending } from '../state.ts';
import { Attribute } from './descriptors.ts';
import { CR0, CR4, EFER } from './registers.ts';
import { resetCpu } from './reset.ts';
import { loadSegmentRaw } from './segments.ts';

const MEMORY_SIZE = 0x10_0000;
const PAGE_SHIFT = 12n;
const PF_WRITE = 2;
const PF_USER = 4;

/** Memory whose pages can be taken away. */
export class FlatMemory implements LinearMemory, PhysicalMemory {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly absent = new Set<number>();
  private readonly cpu: () => Cpu;

  constructor(buffer: ArrayBuffer, cpu: () => Cpu) {
    this.view = new DataView(buffer, 0, MEMORY_SIZE);
    this.bytes = new Uint8Array(buffer, 0, MEMORY_SIZE);
    this.cpu = cpu;
  }
  private at(linear: bigint | number, length: number, write: boolean, system = false): number {
    const address = BigInt(linear);
    for (let page = address >> PAGE_SHIFT; page <= (address + BigInt(length) - 1n) >> PAGE_SHIFT; page++) {
      if (!this.absent.has(Number(page)) && address + BigInt(length) <= BigInt(MEMORY_SIZE)) continue;
      const user = !system && this.cpu().cpl === 3;
      const first = page === address >> PAGE_SHIFT ? address : page << PAGE_SHIFT;
      const low = Number(first & 0xffff_ffffn);
      setPageFault(this.cpu(), low, Number(first >> 32n), (write ? PF_WRITE : 0) | (user ? PF_USER : 0));
      throw ABORTED;
    }
    return Number(address);
  }
  readU8(a: bigint | number, system?: boolean): number {
    return this.view.getUint8(this.at(a, 1, false, system));
  }
  readU16(a: bigint | number, system?: boolean): number {
    return this.view.getUint16(this.at(a, 2, false, system), true);
  }
  readU32(a: bigint | number, system?: boolean): number {
    return this.view.getUint32(this.at(a, 4, false, system), true);
  }
  readU64(a: bigint | number, system?: boolean): bigint {
    return this.view.getBigUint64(this.at(a, 8, false, system), true);
  }
  writeU8(a: bigint | number, value: number, system?: boolean): void {
    this.view.setUint8(this.at(a, 1, true, system), value);
  }
  writeU16(a: bigint | number, value: number, system?: boolean): void {
    this.view.setUint16(this.at(a, 2, true, system), value, true);
  }
  writeU32(a: bigint | number, value: number, system?: boolean): void {
    this.view.setUint32(this.at(a, 4, true, system), value, true);
  }
  writeU64(a: bigint | number, value: bigint, system?: boolean): void {
    this.view.setBigUint64(this.at(a, 8, true, system), value, true);
  }
  readBytes(a: bigint, length: number, system?: boolean): Uint8Array {
    const start = this.at(a, length, false, system);
    return this.bytes.slice(start, start + length);
  }
  writeBytes(a: bigint, bytes: Uint8Array, system?: boolean): void {
    this.bytes.set(bytes, this.at(a, bytes.length, true, system));
  }
  probe(a: bigint, length: number, access: 'r' | 'w', system?: boolean): void {
    this.at(a, length, access === 'w', system);
  }
  hostPage(address: number): number {
    return address & ~0xfff;
  }
}

/** Records what was asked of it. */
export class RecordingTranslation implements TranslationControl {
  readonly calls: string[] = [];
  stateChanged(): void {}
  flushAddressSpace(keepGlobal: boolean): void {
    this.calls.push(`flush ${keepGlobal}`);
  }
  flushAsid(asid: number): void {
    this.calls.push(`asid ${asid}`);
  }
  flushAll(): void {
    this.calls.push('all');
  }
  invalidatePage(linear: bigint): void {
    this.calls.push(`page ${linear.toString(16)}`);
  }
  invalidatePageOf(): void {}
  invalidatePcid(type: number, pcid: number, linear: bigint): void {
    this.calls.push(`pcid ${type} ${pcid} ${linear.toString(16)}`);
  }
}

export class FakeApic implements LocalApic {
  vector = -1;
  external = -1;
  nmiPending = false;
  cr8 = 0;
  apicBase = 0xfee0_0900n;
  readonly waiting = true;
  readonly msrs = new Map<number, bigint>([
    [0x1b, this.apicBase],
    [0x6e0, 0n],
  ]);
  pending(): number {
    return this.vector;
  }
  acknowledge(): number {
    const { vector } = this;
    this.vector = -1;
    return vector;
  }
  externalPending(): boolean {
    return this.external >= 0;
  }
  acknowledgeExternal(): number {
    const vector = this.external;
    this.external = -1;
    return vector;
  }
  readMsr(index: number): bigint | undefined {
    return this.msrs.get(index);
  }
  writeMsr(index: number, value: bigint): boolean {
    if (!this.msrs.has(index)) return false;
    this.msrs.set(index, value);
    return true;
  }
}

export interface Bed {
  readonly cpu: Cpu;
  readonly memory: FlatMemory;
  readonly translation: RecordingTranslation;
  readonly apic: FakeApic;
  readonly ports: { port: number; size: AccessSize; value: number | undefined }[];
  readonly shutdowns: string[];
  readonly log: string[];
  /** What IN reads. */
  input: number;
  /** Nanoseconds on the clock. */
  now: number;
}

/** A processor after power-on. */
export function bed(options: CpuOptions = {}): Bed {
  const buffer = new ArrayBuffer(MEMORY_SIZE + CONTEXT_SIZE);
  const cpu = new Cpu(buffer, MEMORY_SIZE);
  const memory = new FlatMemory(buffer, () => cpu);
  const result: Bed = {
    cpu,
    memory,
    translation: new RecordingTranslation(),
    apic: new FakeApic(),
    ports: [],
    shutdowns: [],
    log: [],
    input: 0,
    now: 0,
  };
  cpu.connect({
    linear: memory,
    physical: memory,
    translation: result.translation,
    apic: result.apic,
    ports: {
      readPort(port, size) {
        result.ports.push({ port, size, value: undefined });
        return result.input;
      },
      writePort: (port, size, value) => void result.ports.push({ port, size, value }),
    },
    clock: { now: () => result.now },
    entropy: { fill: (target) => void target.fill(0x5a) },
    log: { ...SILENT, enabled: () => true, write: (topic, message) => void result.log.push(`${topic}: ${message}`) },
    model: cpuModel('amd', options),
    shutdown: (reason) => void result.shutdowns.push(reason),
  });
  resetCpu(cpu, 'power-on');
  result.translation.calls.length = 0;
  return result;
}

// --- descriptor tables of the beds below

export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const GDT_LIMIT = 0x1ff;
export const IDT_LIMIT = 0xfff;
/** Selectors by what they name; all segments are flat unless said otherwise. */
export const Selector = {
  CODE32: 0x08,
  DATA32: 0x10,
  USER_CODE32: 0x18,
  USER_DATA32: 0x20,
  CODE64: 0x28,
  USER_CODE64: 0x30,
  CONFORMING32: 0x38,
  CODE16: 0x40,
  DATA16: 0x48,
  TSS: 0x50,
  /** Second half of the TSS descriptor in long mode. */
  TSS_UPPER: 0x58,
  /** Free for the test. */
  FREE: 0x60,
  FREE2: 0x68,
  FREE3: 0x70,
  FREE4: 0x78,
} as const;

const P = Attribute.P;
const S = Attribute.S;
export const CODE = P | S | Attribute.CODE | Attribute.READABLE;
export const DATA = P | S | Attribute.WRITABLE;
export const dpl = (level: number): number => level << Attribute.DPL_SHIFT;
const FLAT = 0xf_ffff;
const BIG = Attribute.DB | Attribute.G;

/** Writes a segment descriptor; `limit` counts pages if attributes have G. */
export function setDescriptor(b: Bed, selector: number, base: number, limit: number, attributes: number): void {
  const at = GDT + (selector & 0xfff8);
  b.memory.view.setUint32(at, (limit & 0xffff) | (base << 16), true);
  const high =
    ((base >>> 16) & 0xff) |
    ((attributes & 0xff) << 8) |
    (limit & 0xf_0000) |
    ((attributes & 0xf00) << 12) |
    (base & 0xff00_0000);
  b.memory.view.setUint32(at + 4, high, true);
}

/** Writes a call, interrupt, trap or task gate in the GDT or IDT; `index` in bytes from the table's start. */
export function setGate(
  b: Bed,
  table: number,
  index: number,
  type: number,
  level: number,
  selector: number,
  offset: number,
  low5 = 0,
): void {
  b.memory.view.setUint32(table + index, (offset & 0xffff) | (selector << 16), true);
  b.memory.view.setUint32(
    table + index + 4,
    (low5 & 0x1f) | ((P | dpl(level) | type) << 8) | (offset & 0xffff_0000),
    true,
  );
}

/** Writes a 64-bit gate. */
export function setLongGate(
  b: Bed,
  vector: number,
  type: number,
  level: number,
  selector: number,
  offset: bigint,
  ist = 0,
): void {
  setGate(b, IDT, vector * 16, type, level, selector, Number(offset & 0xffff_ffffn), ist);
  b.memory.view.setUint32(IDT + vector * 16 + 8, Number(offset >> 32n), true);
  b.memory.view.setUint32(IDT + vector * 16 + 12, 0, true);
}

function fillGdt(b: Bed): void {
  setDescriptor(b, Selector.CODE32, 0, FLAT, CODE | BIG);
  setDescriptor(b, Selector.DATA32, 0, FLAT, DATA | BIG);
  setDescriptor(b, Selector.USER_CODE32, 0, FLAT, CODE | BIG | dpl(3));
  setDescriptor(b, Selector.USER_DATA32, 0, FLAT, DATA | BIG | dpl(3));
  setDescriptor(b, Selector.CODE64, 0, FLAT, CODE | Attribute.L | Attribute.G);
  setDescriptor(b, Selector.USER_CODE64, 0, FLAT, CODE | Attribute.L | Attribute.G | dpl(3));
  setDescriptor(b, Selector.CONFORMING32, 0, FLAT, CODE | BIG | Attribute.CONFORMING);
  setDescriptor(b, Selector.CODE16, 0, 0xffff, CODE);
  setDescriptor(b, Selector.DATA16, 0, 0xffff, DATA);
  setDescriptor(b, Selector.TSS, TSS, 0xfff, P | 11);
  const { cpu } = b;
  cpu.gdtrBase = BigInt(GDT);
  cpu.gdtrLimit = GDT_LIMIT;
  cpu.idtrBase = BigInt(IDT);
  cpu.idtrLimit = IDT_LIMIT;
  loadSegmentRaw(cpu, TR, Selector.TSS, BigInt(TSS), 0xfff, P | 11);
}

/** Moves to a flat 32-bit segment set of a privilege level. */
export function enterLevel32(b: Bed, level: 0 | 3): void {
  const { cpu } = b;
  const code = level === 0 ? Selector.CODE32 : Selector.USER_CODE32;
  const data = level === 0 ? Selector.DATA32 : Selector.USER_DATA32;
  cpu.cpl = level;
  loadSegmentRaw(cpu, CS, code | level, 0n, 0xffff_ffff, CODE | BIG | dpl(level) | Attribute.ACCESSED);
  for (const segment of [SS, DS, ES]) {
    loadSegmentRaw(cpu, segment, data | level, 0n, 0xffff_ffff, DATA | BIG | dpl(level) | Attribute.ACCESSED);
  }
}

/** A processor in 32-bit protected mode without paging; ring 0 stack for inner levels at 0x9000. */
export function protectedBed(level: 0 | 3 = 0, options: CpuOptions = {}): Bed {
  const b = bed(options);
  const { cpu } = b;
  cpu.cr0 = BigInt(CR0.PE | CR0.ET);
  fillGdt(b);
  b.memory.view.setUint32(TSS + 4, 0x9000, true);
  b.memory.view.setUint32(TSS + 8, Selector.DATA32, true);
  enterLevel32(b, level);
  cpu.gpr[4] = 0x8000n;
  cpu.rip = 0x4000n;
  cpu.nextRip = 0x4002n;
  return b;
}

/** A processor in 64-bit mode; RSP0 is 0x9000, IST1 is 0xa000. */
export function longBed(level: 0 | 3 = 0, options: CpuOptions = {}): Bed {
  const b = bed(options);
  const { cpu } = b;
  cpu.cr0 = BigInt((CR0.PE | CR0.ET | CR0.PG | CR0.WP) >>> 0);
  cpu.cr4 = BigInt(CR4.PAE);
  cpu.efer = BigInt(EFER.LME | EFER.LMA | EFER.SCE | EFER.NXE);
  fillGdt(b);
  b.memory.view.setBigUint64(TSS + 4, 0x9000n, true);
  b.memory.view.setBigUint64(TSS + 36, 0xa000n, true);
  enterLevel64(b, level);
  cpu.gpr[4] = 0x8000n;
  cpu.rip = 0x4000n;
  cpu.nextRip = 0x4002n;
  return b;
}

export function enterLevel64(b: Bed, level: 0 | 3): void {
  enterLevel32(b, level);
  const code = level === 0 ? Selector.CODE64 : Selector.USER_CODE64;
  const attributes = CODE | Attribute.L | Attribute.G | dpl(level) | Attribute.ACCESSED;
  loadSegmentRaw(b.cpu, CS, code | level, 0n, 0xffff_ffff, attributes);
}

// --- what happened

/** Runs something and gives the fault it raised, as `#GP(0)`, or `undefined`. */
export function faultOf(b: Bed, action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (reason) {
    if (reason !== ABORTED) throw reason;
    const { cpu } = b;
    const exit = cpu.pending === Pending.GUEST_EXIT;
    cpu.pending = Pending.NONE;
    if (exit) return `exit ${cpu.exitCode.toString(16)}`;
    const name = Object.entries(Vector).find(([, vector]) => vector === cpu.faultVector)?.[0];
    return `#${name}${cpu.faultHasErrorCode !== 0 ? `(${cpu.faultErrorCode.toString(16)})` : ''}`;
  }
}

/** Doublewords from an address upwards. */
export function words32(b: Bed, address: bigint | number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => b.memory.view.getUint32(Number(address) + 4 * i, true));
}
export function words16(b: Bed, address: bigint | number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => b.memory.view.getUint16(Number(address) + 2 * i, true));
}
export function words64(b: Bed, address: bigint | number, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => b.memory.view.getBigUint64(Number(address) + 8 * i, true));
}
