/** The memory a fuzzed guest starts with, and its system registers: paging structures, descriptors, handlers. */
import { CS, DS, ES, FS, GS, SS, TR } from '../../src/cpu/context.ts';
import type { Cpu } from '../../src/cpu/cpu.ts';
import { writeFlags } from '../../src/cpu/flags.ts';
import { CR0, CR4, EFER, FLAG } from '../../src/cpu/system/registers.ts';
import { loadSegmentRaw, refreshSegments } from '../../src/cpu/system/segments.ts';
import { assemble } from '../../src/isa/assembler/index.ts';
import {
  CODE_BYTES,
  CODE_PAGES,
  DATA_PAGE,
  DATA_PAGES,
  DEVICE_PHYSICAL,
  type Flavour,
  type Layout,
  PAGE,
  RAM_BYTES,
  STACK_PAGES,
  SYSTEM,
  SYSTEM_BYTES,
} from './flavours.ts';
import { handlerText, KERNEL_DATA, STUB_BYTES, stub } from './handlers.ts';

/** Physical addresses under paging; in real-address mode they are the linear ones. */
const PAGED_PHYSICAL = {
  system: 0x1_0000,
  data: 0x2_0000,
  code: 0x3_0000,
  stack: 0x3_8000,
  tables: 0x4_0000,
} as const;

export const SELECTOR = {
  KERNEL_CODE: 0x08,
  KERNEL_DATA,
  /** The program's; to be combined with its CPL. */
  CODE: 0x18,
  DATA: 0x20,
  STACK: 0x28,
  FLAT: 0x30,
  TASK: 0x38,
  /** What SYSRET loads. */
  SYSRET_DATA: 0x48,
  SYSRET_CODE: 0x50,
} as const;
const GDT_LIMIT = 0x57;
const TSS_LIMIT = 0x67;
/** SDM vol. 3A figures 8-2 and 8-11. */
const TSS = { ESP0: 4, SS0: 8, IST1: 0x24, IST2: 0x2c, IST3: 0x34, IO_MAP: 0x66 } as const;
const INT3 = 0xcc;
const NMI = 2;
const DEBUG = 1;
const VECTORS = 256;

const P = 1n;
const W = 2n;
const U = 4n;
const NX = 1n << 63n;
const ADDRESS = 0xf_ffff_ffff_f000n;

/** Segment attributes as in a VMCB (APM vol. 2 15.5.1). */
const PRESENT_CODE = 0x9b;
const PRESENT_DATA = 0x93;
const LONG = 0x200;
const BIG = 0x400;
const GRANULAR = 0x800;
const BUSY_TSS = 0x8b;
const FLAT_LIMIT = 0xffff_ffff;
const LIMIT_16 = 0xffff;

export interface Segment {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
}

function descriptor({ base, limit, attributes }: Segment): bigint {
  const field = BigInt(attributes & GRANULAR ? limit >>> 12 : limit);
  const address = BigInt(base);
  return (
    (field & 0xffffn) |
    ((address & 0xff_ffffn) << 16n) |
    (BigInt(attributes & 0xff) << 40n) |
    ((field >> 16n) << 48n) |
    (BigInt(attributes >> 8) << 52n) |
    ((address >> 24n) << 56n)
  );
}

/** What a program may choose of its world. */
export interface WorldOptions {
  readonly flavour: Flavour;
  readonly layout: Layout;
  /** Offset in the code where the program starts. */
  readonly start: number;
  readonly codeWritable: boolean;
  readonly mendsWrites: boolean;
  readonly ioPrivilege: boolean;
  readonly alignmentChecks: boolean;
  /** Pages of code that are their twins in the other address space, a bit each. */
  readonly otherCode: number;
}

export class World {
  readonly options: WorldOptions;
  readonly image = new Uint8Array(RAM_BYTES);
  private readonly view = new DataView(this.image.buffer);
  private readonly physical: { system: number; data: number; code: number; stack: number };
  private nextTable: number = PAGED_PHYSICAL.tables;
  private readonly roots: readonly number[];

  constructor(options: WorldOptions) {
    this.options = options;
    const { flavour, layout } = options;
    this.physical =
      flavour.levels === 0
        ? { system: layout.system, data: layout.data, code: layout.code, stack: layout.stack }
        : PAGED_PHYSICAL;
    if (flavour.levels === 0) {
      this.roots = [0, 0];
      this.writeVectors();
    } else {
      this.roots = [this.addressSpace(false), this.addressSpace(true)];
      this.mapTables();
      this.writeDescriptors();
    }
    this.writeHandlers();
  }

  // ---- physical memory

  /** Physical address of a page of data, or of code (behind it the twins): under paging neighbours lie apart. */
  frame(area: 'data' | 'code', page: number): number {
    const first = this.physical[area];
    if (this.options.flavour.levels === 0) return first + PAGE * page;
    return first + PAGE * (area === 'data' ? (5 * page + 2) % DATA_PAGES : (3 * page + 1) % (2 * CODE_PAGES));
  }
  /** Physical address of the system area. */
  get system(): number {
    return this.physical.system;
  }
  /** Writes to the image. */
  store(area: 'data' | 'code', offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done;
      const part = bytes.subarray(done, done + PAGE - (at % PAGE));
      this.image.set(part, this.frame(area, Math.floor(at / PAGE)) + (at % PAGE));
      done += part.length;
    }
  }

  // ---- paging

  private get entryBytes(): 4 | 8 {
    return this.options.flavour.levels === 2 ? 4 : 8;
  }
  private entry(at: number): bigint {
    return this.entryBytes === 8 ? this.view.getBigUint64(at, true) : BigInt(this.view.getUint32(at, true));
  }
  private setEntry(at: number, value: bigint): void {
    if (this.entryBytes === 8) this.view.setBigUint64(at, value, true);
    else this.view.setUint32(at, Number(value & 0xffff_ffffn), true);
  }
  private newTable(): number {
    this.nextTable += PAGE;
    return this.nextTable - PAGE;
  }
  /** Physical address of the entry that maps a linear address. */
  private entryFor(root: number, linear: number): number {
    const { levels } = this.options.flavour;
    const bits = this.entryBytes === 8 ? 9 : 10;
    let table = root;
    for (let level = levels - 1; ; level--) {
      const index = Math.floor(linear / 2 ** (12 + bits * level)) & ((1 << bits) - 1);
      const at = table + index * this.entryBytes;
      if (level === 0) return at;
      if (this.entry(at) === 0n) {
        // PDPTEs of PAE paging have no W and U (SDM vol. 3A table 4-8)
        this.setEntry(at, BigInt(this.newTable()) | (levels === 3 && level === 2 ? P : P | W | U));
      }
      table = Number(this.entry(at) & ADDRESS);
    }
  }
  private map(root: number, linear: number, physical: number, flags: bigint): void {
    const allowed = this.options.flavour.levels === 2 ? flags & ~NX : flags;
    this.setEntry(this.entryFor(root, linear), BigInt(physical) | allowed);
  }

  /** An address space; the other one has the first data pages exchanged, and everything present and writable. */
  private addressSpace(other: boolean): number {
    const { layout, flavour, codeWritable, otherCode } = this.options;
    const { physical } = this;
    const root = this.newTable();
    const user = flavour.cpl === 3 ? U : 0n;
    for (let page = 0; page < DATA_PAGES; page++) {
      let flags = P | W | NX | user;
      let frame = this.frame('data', page);
      if (page === DATA_PAGE.DEVICE) frame = DEVICE_PHYSICAL;
      else if (page === DATA_PAGE.ABSENT) continue;
      else if (page === DATA_PAGE.READ_ONLY) flags &= ~W;
      else if (other && page <= DATA_PAGE.SECOND) frame = this.frame('data', DATA_PAGE.SECOND - page);
      else if (!other && (page === DATA_PAGE.LAZY || page === DATA_PAGE.LAZY + 1)) flags &= ~P;
      this.map(root, layout.data + PAGE * page, frame, flags);
    }
    for (let page = 0; page < CODE_PAGES; page++) {
      const twin = other && (otherCode >> page) & 1 ? CODE_PAGES : 0;
      this.map(root, layout.code + PAGE * page, this.frame('code', page + twin), P | user | (codeWritable ? W : 0n));
    }
    for (let page = 0; page < 2 * CODE_PAGES; page++)
      this.map(root, layout.alias + PAGE * page, this.frame('code', page), P | W | NX | user);
    for (let page = 0; page < STACK_PAGES; page++)
      this.map(root, layout.stack + PAGE * page, physical.stack + PAGE * page, P | W | NX | user);
    for (let at = 0; at < SYSTEM_BYTES; at += PAGE) this.map(root, layout.system + at, physical.system + at, P | W);
    return root;
  }

  /** Shows the tables of the first address space in both: programs change no others. */
  private mapTables(): void {
    const { layout, flavour } = this.options;
    const user = flavour.cpl === 3 ? U : 0n;
    [layout.data, layout.code].forEach((linear, i) => {
      const table = this.entryFor(this.roots[0], linear) & -PAGE;
      for (const root of this.roots) this.map(root, layout.tables + PAGE * i, table, P | W | NX | user);
    });
  }

  /** Linear address of the entry that maps a page of data or code. */
  entryAddress(linear: number): number {
    const { layout } = this.options;
    const inCode = linear >= layout.code && linear < layout.code + CODE_BYTES;
    const bits = this.entryBytes === 8 ? 9 : 10;
    const index = Math.floor(linear / PAGE) & ((1 << bits) - 1);
    return layout.tables + (inCode ? PAGE : 0) + index * this.entryBytes;
  }

  /** What exchanges the two roots by exclusive or. */
  get otherRoot(): number {
    return this.roots[0] ^ this.roots[1];
  }

  // ---- descriptors and handlers

  /** The program's segments. */
  segments(): { code: Segment; data: Segment; stack: Segment; flat: Segment } {
    const { flavour, layout } = this.options;
    const { cpl, bits } = flavour;
    const limit = bits === 16 ? LIMIT_16 : FLAT_LIMIT;
    const size = bits === 64 ? LONG | GRANULAR : bits === 32 ? BIG | GRANULAR : 0;
    const dpl = cpl << 5;
    const make = (selector: number, base: number, attributes: number, end = limit): Segment => ({
      selector: selector | cpl,
      base,
      limit: end,
      attributes: attributes | dpl,
    });
    const data = bits === 16 ? PRESENT_DATA : PRESENT_DATA | BIG | GRANULAR;
    return {
      code: make(SELECTOR.CODE, layout.csBase, PRESENT_CODE | size),
      data: make(SELECTOR.DATA, layout.dsBase, data),
      stack: make(SELECTOR.STACK, layout.ssBase, data),
      // of 16-bit code too: reaches the code by its linear address
      flat: make(SELECTOR.FLAT, 0, PRESENT_DATA | BIG | GRANULAR, FLAT_LIMIT),
    };
  }

  private writeDescriptors(): void {
    const { flavour, layout } = this.options;
    const long = flavour.levels === 4;
    const at = (selector: number) => this.physical.system + SYSTEM.GDT + (selector & ~7);
    const set = (segment: Segment) => this.view.setBigUint64(at(segment.selector), descriptor(segment), true);
    const flat = (selector: number, attributes: number): Segment => ({
      selector,
      base: 0,
      limit: FLAT_LIMIT,
      attributes: attributes | GRANULAR,
    });
    set(flat(SELECTOR.KERNEL_CODE, PRESENT_CODE | (long ? LONG : BIG)));
    set(flat(SELECTOR.KERNEL_DATA, PRESENT_DATA | BIG));
    for (const segment of Object.values(this.segments())) set(segment);
    set({ selector: SELECTOR.TASK, base: layout.system + SYSTEM.TSS, limit: TSS_LIMIT, attributes: BUSY_TSS });
    const user = 3 << 5;
    set(flat(SELECTOR.SYSRET_DATA, PRESENT_DATA | BIG | user));
    set(flat(SELECTOR.SYSRET_CODE, PRESENT_CODE | LONG | user));
    this.writeTss(long);
    this.writeIdt(long);
  }

  private writeTss(long: boolean): void {
    const { system } = this.options.layout;
    const tss = this.physical.system + SYSTEM.TSS;
    const { view } = this;
    view.setUint16(tss + TSS.IO_MAP, TSS_LIMIT + 1, true);
    if (!long) {
      view.setUint32(tss + TSS.ESP0, system + SYSTEM.STACK_TOP, true);
      view.setUint16(tss + TSS.SS0, SELECTOR.KERNEL_DATA, true);
      return;
    }
    view.setBigUint64(tss + TSS.ESP0, BigInt(system + SYSTEM.STACK_TOP), true);
    view.setBigUint64(tss + TSS.IST1, BigInt(system + SYSTEM.STACK_TOP), true);
    view.setBigUint64(tss + TSS.IST2, BigInt(system + SYSTEM.NMI_STACK_TOP), true);
    view.setBigUint64(tss + TSS.IST3, BigInt(system + SYSTEM.DEBUG_STACK_TOP), true);
  }

  private writeIdt(long: boolean): void {
    const { layout } = this.options;
    const gateAccess = 0x8e | (3 << 5);
    for (let vector = 0; vector < VECTORS; vector++) {
      const offset = BigInt(layout.system + SYSTEM.STUBS + STUB_BYTES * vector);
      const stack = !long ? 0n : vector === NMI ? 2n : vector === DEBUG ? 3n : 1n;
      const low =
        (offset & 0xffffn) |
        (BigInt(SELECTOR.KERNEL_CODE) << 16n) |
        (stack << 32n) |
        (BigInt(gateAccess) << 40n) |
        (((offset >> 16n) & 0xffffn) << 48n);
      this.view.setBigUint64(this.physical.system + SYSTEM.IDT + (long ? 16 : 8) * vector, low, true);
    }
  }

  private writeVectors(): void {
    // an INT3 wherever the code's segment has no code
    this.image.fill(INT3, this.physical.code, this.physical.stack);
    const segment = this.options.layout.system >> 4;
    for (let vector = 0; vector < VECTORS; vector++)
      this.view.setUint32(4 * vector, (segment << 16) | (SYSTEM.STUBS + STUB_BYTES * vector), true);
  }

  private writeHandlers(): void {
    const { flavour, layout, start, mendsWrites } = this.options;
    const { system } = this.physical;
    for (let vector = 0; vector < VECTORS; vector++)
      this.image.set(stub(vector, flavour), system + SYSTEM.STUBS + STUB_BYTES * vector);
    const text = handlerText({
      flavour,
      layout,
      tables: {
        data: this.entryAddress(layout.data),
        code: this.entryAddress(layout.code),
        entryBytes: this.entryBytes,
      },
      start,
      otherRoot: this.otherRoot,
      mendsWrites,
    });
    const bits = flavour.levels === 0 ? 16 : flavour.levels === 4 ? 64 : 32;
    const origin = (flavour.levels === 0 ? 0 : layout.system) + SYSTEM.HANDLER;
    this.image.set(assemble({ bits, origin }, text).bytes, system + SYSTEM.HANDLER);
  }

  // ---- processor

  /** Puts a processor, just reset, into the program's mode at its start; general registers are the program's business. */
  enter(cpu: Cpu): void {
    const { flavour, layout, start } = this.options;
    const bits = (...masks: number[]) => BigInt(masks.reduce((all, mask) => all | mask, 0) >>> 0);
    cpu.cr0 = bits(CR0.ET, CR0.NE, CR0.MP);
    cpu.cr4 = bits(CR4.OSFXSR, CR4.OSXMMEXCPT);
    cpu.rip = BigInt(layout.code - layout.csBase + start);
    writeFlags(cpu, FLAG.FIXED | FLAG.IF);
    if (flavour.levels === 0) this.enterReal(cpu);
    else this.enterPaged(cpu);
    refreshSegments(cpu);
    cpu.translation.flushAll();
    cpu.translation.stateChanged();
  }

  private enterReal(cpu: Cpu): void {
    const { layout } = this.options;
    const load = (number: number, linear: number, attributes = PRESENT_DATA) =>
      loadSegmentRaw(cpu, number, linear >> 4, BigInt(linear), LIMIT_16, attributes);
    load(CS, layout.code, PRESENT_CODE);
    for (const number of [DS, ES]) load(number, layout.data);
    load(SS, layout.stack);
    for (const number of [FS, GS]) load(number, layout.code);
  }

  private enterPaged(cpu: Cpu): void {
    const { flavour, layout, ioPrivilege, alignmentChecks } = this.options;
    const { levels, cpl } = flavour;
    cpu.cr0 |= BigInt((CR0.PE | CR0.WP | CR0.PG | (alignmentChecks ? CR0.AM : 0)) >>> 0);
    cpu.cr4 |= BigInt(CR4.PGE | (levels > 2 ? CR4.PAE : 0) | (levels === 4 ? CR4.FSGSBASE : 0));
    cpu.cr3 = BigInt(this.roots[0]);
    if (levels > 2) cpu.efer |= BigInt(EFER.NXE | EFER.SCE);
    if (levels === 4) cpu.efer |= BigInt(EFER.LME | EFER.LMA);
    cpu.cpl = cpl;
    const { code, data, stack, flat } = this.segments();
    const load = (number: number, { selector, base, limit, attributes }: Segment) =>
      loadSegmentRaw(cpu, number, selector, BigInt(base), limit, attributes);
    load(CS, code);
    load(SS, stack);
    for (const number of [DS, ES]) load(number, data);
    for (const number of [FS, GS]) load(number, flat);
    loadSegmentRaw(cpu, TR, SELECTOR.TASK, BigInt(layout.system + SYSTEM.TSS), TSS_LIMIT, BUSY_TSS);
    cpu.gdtrBase = BigInt(layout.system + SYSTEM.GDT);
    cpu.gdtrLimit = GDT_LIMIT;
    cpu.idtrBase = BigInt(layout.system + SYSTEM.IDT);
    cpu.idtrLimit = VECTORS * (levels === 4 ? 16 : 8) - 1;
    if (ioPrivilege) writeFlags(cpu, FLAG.FIXED | FLAG.IF | FLAG.IOPL);
  }
}
