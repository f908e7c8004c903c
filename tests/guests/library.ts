/**
 * The world of the guests in this directory: descriptor tables, page tables and stacks at fixed places, every interrupt
 * vector leading to a handler that halts, so that a test can look at what was pushed.
 */
import assert from 'node:assert/strict';
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from '../../src/cpu/context.ts';
import { readFlags, writeFlags } from '../../src/cpu/flags.ts';
import { CR0, CR4, EFER, FLAG } from '../../src/cpu/system/registers.ts';
import { loadSegmentRaw, refreshSegments } from '../../src/cpu/system/segments.ts';
import { Assembler, assembleText, type CodeBits, type Program, REGISTERS } from '../../src/isa/assembler/index.ts';
import { type Bench, freshBench, RAM_BYTES, type RunEnd } from './harness.ts';

/** Where things are. Code texts may use these names. */
export const PLACE = {
  GDT: 0x1000,
  IDT: 0x2000,
  HANDLERS: 0x3000,
  TSS: 0x4000,
  TSS2: 0x5000,
  LDT: 0x6000,
  REAL_CODE: 0x7c00,
  /** Tops of stacks, one page each. */
  STACK: 0x9000,
  STACK0: 0xa000,
  STACK1: 0xb000,
  STACK2: 0xc000,
  IST1: 0xd000,
  IST2: 0xe000,
  PAGES: 0x2_0000,
  CODE: 0x10_0000,
  USER_CODE: 0x11_0000,
  DATA: 0x12_0000,
  USER_DATA: 0x13_0000,
  USER_STACK: 0x13_f000,
} as const;
/** User pages: 64 KiB of code, 64 KiB of data. */
const isUserPage = (address: number): boolean =>
  (address >= PLACE.USER_CODE && address < PLACE.DATA) ||
  (address >= PLACE.USER_DATA && address < PLACE.USER_DATA + 0x1_0000);

/** Selectors; code texts may use these names too. `STAR` values: kernel 8h, user 23h. */
export const SELECTOR = {
  CODE64: 0x08,
  DATA32: 0x10,
  CODE32: 0x18,
  USER_CODE32: 0x20,
  USER_DATA32: 0x28,
  USER_CODE64: 0x30,
  CODE16: 0x38,
  DATA16: 0x40,
  CONFORMING32: 0x48,
  /** Code that is not present. */
  ABSENT: 0x50,
  TASK: 0x60,
  LOCAL: 0x70,
  TASK2: 0x80,
  /** Free for the test, up to 1F8h. */
  FREE: 0x90,
} as const;

/** Access byte of a descriptor (SDM vol. 3A 3.4.5). */
export const ACCESS = {
  CODE: 0x9a,
  DATA: 0x92,
  CONFORMING: 0x9e,
  ABSENT_CODE: 0x1a,
  EXPAND_DOWN: 0x96,
  LDT: 0x82,
  TSS16: 0x81,
  TSS16_BUSY: 0x83,
  TSS32: 0x89,
  TSS32_BUSY: 0x8b,
  CALL_GATE16: 0x84,
  TASK_GATE: 0x85,
  INTERRUPT_GATE16: 0x86,
  TRAP_GATE16: 0x87,
  CALL_GATE32: 0x8c,
  INTERRUPT_GATE32: 0x8e,
  TRAP_GATE32: 0x8f,
} as const;
export const dpl = (level: number): number => level << 5;
const FLAGS_LONG = 0x2;
const FLAGS_DB = 0x4;
const FLAGS_G = 0x8;
const GRANULE = 0x1000;

/** A segment descriptor. `limit` is in bytes. */
export function segment(base: number, limit: number, access: number, flags = 0): bigint {
  const granular = limit > 0xf_ffff;
  const field = BigInt(granular ? Math.floor(limit / GRANULE) : limit);
  const nibble = BigInt(flags | (granular ? FLAGS_G : 0));
  const address = BigInt(base);
  return (
    (field & 0xffffn) |
    ((address & 0xff_ffffn) << 16n) |
    (BigInt(access) << 40n) |
    ((field >> 16n) << 48n) |
    (nibble << 52n) |
    ((address >> 24n) << 56n)
  );
}
const FLAT = 0xffff_ffff;
export const DESCRIPTOR = {
  code32: (level = 0) => segment(0, FLAT, ACCESS.CODE | dpl(level), FLAGS_DB),
  data32: (level = 0) => segment(0, FLAT, ACCESS.DATA | dpl(level), FLAGS_DB),
  code64: (level = 0) => segment(0, FLAT, ACCESS.CODE | dpl(level), FLAGS_LONG),
  code16: (level = 0, base = 0) => segment(base, 0xffff, ACCESS.CODE | dpl(level)),
  data16: (level = 0, base = 0) => segment(base, 0xffff, ACCESS.DATA | dpl(level)),
} as const;

/** A gate's low eight bytes; `access` is one of the gate values of {@link ACCESS} with a DPL. `count` parameters, or an IST entry. */
export function gate(selector: number, offset: number | bigint, access: number, count = 0): bigint {
  const at = BigInt(offset);
  return (
    (at & 0xffffn) |
    (BigInt(selector) << 16n) |
    (BigInt(count) << 32n) |
    (BigInt(access) << 40n) |
    (((at >> 16n) & 0xffffn) << 48n)
  );
}

// ---- paging

export const PAGE = {
  P: 1n,
  W: 2n,
  U: 4n,
  PWT: 8n,
  PCD: 16n,
  A: 0x20n,
  D: 0x40n,
  PS: 0x80n,
  G: 0x100n,
  NX: 1n << 63n,
} as const;
const PAGE_SIZE = 0x1000;
const ADDRESS = 0xf_ffff_ffff_f000n;

/** Identity paging structures with 4 KiB pages; user pages as {@link PLACE} says. */
export class PageTables {
  readonly root: number;
  private readonly bench: Bench;
  private readonly levels: 2 | 3 | 4;
  private next: number;

  /** @param at address of the first table; others follow */
  constructor(bench: Bench, levels: 2 | 3 | 4, at: number, identity = RAM_BYTES) {
    this.bench = bench;
    this.levels = levels;
    this.root = at;
    this.next = at + PAGE_SIZE;
    for (let address = 0; address < identity; address += PAGE_SIZE) {
      this.map(BigInt(address), address, PAGE.P | PAGE.W | (isUserPage(address) ? PAGE.U : 0n));
    }
  }

  private get wide(): boolean {
    return this.levels > 2;
  }
  read(entry: number): bigint {
    return this.wide ? this.bench.memory.readU64(entry) : BigInt(this.bench.memory.readU32(entry));
  }
  write(entry: number, value: bigint): void {
    if (this.wide) this.bench.memory.writeU64(entry, value);
    else this.bench.memory.writeU32(entry, Number(value));
  }

  /** Address of the entry that maps a linear address; `level` 0 is the page table, 1 the directory and so on. */
  entry(linear: bigint, level = 0): number {
    let table = this.root;
    const bits = this.wide ? 9n : 10n;
    for (let at = this.levels - 1; ; at--) {
      const index = Number((linear >> (12n + bits * BigInt(at))) & ((1n << bits) - 1n));
      const entry = table + index * (this.wide ? 8 : 4);
      if (at === level) return entry;
      if (!(this.read(entry) & PAGE.P)) {
        // PDPTEs of PAE paging have no W and U (SDM vol. 3A table 4-8)
        const flags = this.levels === 3 && at === 2 ? PAGE.P : PAGE.P | PAGE.W | PAGE.U;
        this.write(entry, BigInt(this.next) | flags);
        this.next += PAGE_SIZE;
      }
      table = Number(this.read(entry) & ADDRESS);
    }
  }
  map(linear: bigint, physical: number | bigint, flags: bigint, level = 0): void {
    this.write(this.entry(linear, level), BigInt(physical) | flags | (level > 0 ? PAGE.PS : 0n));
  }
  /** The entry that maps an address. */
  get(linear: bigint | number, level = 0): bigint {
    return this.read(this.entry(BigInt(linear), level));
  }
  set(linear: bigint | number, flags: bigint): void {
    this.map(BigInt(linear), BigInt(linear), flags);
  }
}

// ---- guests

/** What a handler found on its stack. */
export interface Frame {
  readonly vector: number;
  readonly errorCode: number | undefined;
  readonly rip: bigint;
  readonly cs: number;
  readonly rflags: number;
  /** Where the gate changed the stack, and always in long mode. */
  readonly rsp: bigint | undefined;
  readonly ss: number | undefined;
}

/** Vectors with an error code (SDM vol. 3A table 6-1). */
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
const HANDLER_BYTES = 16;
/** HLT, and again if anything resumes it. */
const HANDLER = [0xf4, 0xeb, 0xfd];
export const VECTORS = 256;

export type GuestMode = 'real' | 'protected' | 'long';

export class Guest {
  readonly bench: Bench;
  readonly mode: GuestMode;
  readonly program: Program;
  private readonly tables: PageTables | undefined;

  constructor(bench: Bench, mode: GuestMode, program: Program, tables: PageTables | undefined) {
    this.bench = bench;
    this.mode = mode;
    this.program = program;
    this.tables = tables;
  }
  get cpu() {
    return this.bench.cpu;
  }
  get memory() {
    return this.bench.memory;
  }

  /** The guest's paging structures. */
  get pages(): PageTables {
    assert.ok(this.tables, 'the guest does not page');
    return this.tables;
  }

  run(limit?: number): RunEnd {
    return this.bench.run(limit);
  }
  /** Runs, and insists that it halts. */
  halt(limit?: number): this {
    const end = this.run(limit);
    assert.equal(
      end,
      'halted',
      `the guest ended as '${end}' at ${this.cpu.rip.toString(16)}h ${this.bench.shutdowns.join()}`,
    );
    return this;
  }
  address(label: string): bigint {
    return this.program.address(label);
  }
  /** A general register by any of its names. */
  register(name: string): bigint {
    const r = REGISTERS.get(name);
    assert.ok(r && r.file === 'general', `no general register '${name}'`);
    const value = this.cpu.gpr[r.high ? r.number - 4 : r.number] >> (r.high ? 8n : 0n);
    return BigInt.asUintN(r.bits, value);
  }
  get rflags(): number {
    return readFlags(this.cpu);
  }
  selector(name: 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'tr' | 'ldtr'): number {
    return this.cpu.segments[{ es: ES, cs: CS, ss: SS, ds: DS, fs: FS, gs: GS, tr: TR, ldtr: LDTR }[name]].selector;
  }

  /** What the handler the processor halted in found on its stack. */
  frame(): Frame {
    const { cpu, memory } = this;
    const linear = Number(cpu.rip + (this.mode === 'real' ? cpu.segments[CS].base : 0n));
    const vector = (linear - PLACE.HANDLERS) / HANDLER_BYTES;
    assert.ok(vector >= 0 && vector < VECTORS, `halted at ${linear.toString(16)}h, which is no handler`);
    const bytes = { real: 2, protected: 4, long: 8 }[this.mode];
    let at =
      Number(cpu.segments[SS].base) * (this.mode === 'long' ? 0 : 1) +
      Number(cpu.gpr[4] & BigInt(this.mode === 'real' ? 0xffff : 0xffff_ffff));
    const pop = (): bigint => {
      const value = bytes === 8 ? memory.readU64(at) : BigInt(bytes === 4 ? memory.readU32(at) : memory.readU16(at));
      at += bytes;
      return value;
    };
    const number = Math.floor(vector);
    const errorCode = this.mode !== 'real' && WITH_ERROR_CODE.has(number) ? Number(pop()) : undefined;
    const rip = pop();
    const cs = Number(pop() & 0xffffn);
    const rflags = Number(pop());
    const inner =
      this.mode === 'long' || (this.mode === 'protected' && ((cs & 3) > cpu.cpl || (rflags & FLAG.VM) !== 0));
    const rsp = inner ? pop() : undefined;
    const ss = inner ? Number(pop() & 0xffffn) : undefined;
    return { vector: number, errorCode, rip, cs, rflags, rsp, ss };
  }

  /**
   * Runs to a handler and compares its frame with what is expected of it; `at` names the label the return address must
   * be.
   */
  expectException(expected: Partial<Frame> & { at?: string }): Frame {
    this.halt();
    const { at, ...rest } = expected;
    const frame = this.frame();
    const wanted = at === undefined ? rest : { ...rest, rip: this.address(at) };
    const seen = Object.fromEntries(Object.keys(wanted).map((key) => [key, frame[key as keyof Frame]]));
    assert.deepEqual(seen, wanted);
    return frame;
  }
}

export interface GuestOptions {
  /** More assembly setup, before the text: constants, mostly. */
  readonly define?: Readonly<Record<string, number | bigint>>;
  readonly cr4?: number;
  readonly cr0?: number;
  readonly efer?: number;
  readonly rflags?: number;
  /** Protected mode: what kind of paging; long mode always pages with four levels. */
  readonly paging?: 'none' | '32-bit' | 'pae';
}

/** Assembles a guest's text with the names of {@link PLACE} and {@link SELECTOR} defined. */
export function assembleGuest(
  text: string,
  bits: CodeBits,
  origin: number,
  define: GuestOptions['define'] = {},
): Program {
  const assembler = new Assembler({ bits, origin });
  for (const [name, value] of Object.entries({ ...PLACE, ...SELECTOR, ...define })) assembler.define(name, value);
  assembleText(assembler, text);
  return assembler.assemble();
}

function load(bench: Bench, program: Program): void {
  bench.memory.write(Number(program.origin), program.bytes);
}

function writeHandlers(bench: Bench): void {
  for (let vector = 0; vector < VECTORS; vector++)
    bench.memory.write(PLACE.HANDLERS + HANDLER_BYTES * vector, Uint8Array.from(HANDLER));
}
const handler = (vector: number): number => PLACE.HANDLERS + HANDLER_BYTES * vector;

/** Puts a descriptor into the GDT (or another table). */
export function setDescriptor(
  bench: Bench,
  selector: number,
  low: bigint,
  high?: bigint,
  table: number = PLACE.GDT,
): void {
  bench.memory.writeU64(table + (selector & ~7), low);
  if (high !== undefined) bench.memory.writeU64(table + (selector & ~7) + 8, high);
}

function writeGdt(bench: Bench, mode: GuestMode): void {
  setDescriptor(bench, SELECTOR.CODE64, DESCRIPTOR.code64());
  setDescriptor(bench, SELECTOR.DATA32, DESCRIPTOR.data32());
  setDescriptor(bench, SELECTOR.CODE32, DESCRIPTOR.code32());
  setDescriptor(bench, SELECTOR.USER_CODE32, DESCRIPTOR.code32(3));
  setDescriptor(bench, SELECTOR.USER_DATA32, DESCRIPTOR.data32(3));
  setDescriptor(bench, SELECTOR.USER_CODE64, DESCRIPTOR.code64(3));
  setDescriptor(bench, SELECTOR.CODE16, DESCRIPTOR.code16());
  setDescriptor(bench, SELECTOR.DATA16, DESCRIPTOR.data16());
  setDescriptor(bench, SELECTOR.CONFORMING32, segment(0, FLAT, ACCESS.CONFORMING, FLAGS_DB));
  setDescriptor(bench, SELECTOR.ABSENT, segment(0, FLAT, ACCESS.ABSENT_CODE, FLAGS_DB));
  const long = mode === 'long';
  setDescriptor(bench, SELECTOR.TASK, segment(PLACE.TSS, TSS_LIMIT, ACCESS.TSS32_BUSY), long ? 0n : undefined);
  setDescriptor(bench, SELECTOR.LOCAL, segment(PLACE.LDT, 0xff, ACCESS.LDT), long ? 0n : undefined);
  setDescriptor(bench, SELECTOR.TASK2, segment(PLACE.TSS2, TSS_LIMIT, ACCESS.TSS32), long ? 0n : undefined);
}

/** Points a vector somewhere. */
export function setVector(bench: Bench, mode: 'protected' | 'long', vector: number, low: bigint): void {
  if (mode === 'protected') {
    bench.memory.writeU64(PLACE.IDT + 8 * vector, low);
    return;
  }
  bench.memory.writeU64(PLACE.IDT + 16 * vector, low);
  bench.memory.writeU64(PLACE.IDT + 16 * vector + 8, 0n);
}

function writeIdt(bench: Bench, mode: 'protected' | 'long'): void {
  for (let vector = 0; vector < VECTORS; vector++) {
    const code = mode === 'long' ? SELECTOR.CODE64 : SELECTOR.CODE32;
    setVector(
      bench,
      mode,
      vector,
      gate(code, handler(vector), ACCESS.INTERRUPT_GATE32 | (vector >= 0x80 ? dpl(3) : 0)),
    );
  }
}

/** Offsets in a 32-bit TSS (SDM vol. 3A figure 7-2). */
export const TSS32 = {
  LINK: 0,
  ESP0: 4,
  SS0: 8,
  ESP1: 0xc,
  SS1: 0x10,
  ESP2: 0x14,
  SS2: 0x18,
  CR3: 0x1c,
  EIP: 0x20,
  EFLAGS: 0x24,
  EAX: 0x28,
  ECX: 0x2c,
  EDX: 0x30,
  EBX: 0x34,
  ESP: 0x38,
  EBP: 0x3c,
  ESI: 0x40,
  EDI: 0x44,
  ES: 0x48,
  CS: 0x4c,
  SS: 0x50,
  DS: 0x54,
  FS: 0x58,
  GS: 0x5c,
  LDT: 0x60,
  TRAP: 0x64,
  IO_MAP: 0x66,
} as const;
/** Offsets in a 64-bit TSS (SDM vol. 3A figure 7-11). */
export const TSS64 = { RSP0: 4, RSP1: 0xc, RSP2: 0x14, IST1: 0x24, IST2: 0x2c, IO_MAP: 0x66 } as const;
export const TSS_LIMIT = 0x67 + 0x80;
/** Where the I/O permission map begins: behind the fixed part and the interrupt redirection map. */
export const IO_MAP_OFFSET = 0x88;

function writeTss(bench: Bench, mode: GuestMode): void {
  const { memory } = bench;
  if (mode === 'long') {
    memory.writeU64(PLACE.TSS + TSS64.RSP0, BigInt(PLACE.STACK0));
    memory.writeU64(PLACE.TSS + TSS64.RSP1, BigInt(PLACE.STACK1));
    memory.writeU64(PLACE.TSS + TSS64.IST1, BigInt(PLACE.IST1));
    memory.writeU64(PLACE.TSS + TSS64.IST2, BigInt(PLACE.IST2));
  } else {
    memory.writeU32(PLACE.TSS + TSS32.ESP0, PLACE.STACK0);
    memory.writeU16(PLACE.TSS + TSS32.SS0, SELECTOR.DATA32);
  }
  memory.writeU16(PLACE.TSS + TSS64.IO_MAP, TSS_LIMIT + 1);
}

const ATTRIBUTES = { CODE64: 0xa9b, CODE32: 0xc9b, DATA32: 0xc93, TSS: 0x08b, LDT: 0x082 } as const;

function enter(bench: Bench, rip: number, options: GuestOptions): void {
  const { cpu } = bench;
  cpu.rip = BigInt(rip);
  cpu.nextRip = cpu.rip;
  cpu.gpr[4] = BigInt(PLACE.STACK);
  cpu.gpr[2] = 0n;
  writeFlags(cpu, options.rflags ?? 0);
  refreshSegments(cpu);
  cpu.translation.flushAll();
  cpu.translation.stateChanged();
}

function enterProtected(bench: Bench, mode: 'protected' | 'long'): void {
  const { cpu } = bench;
  const long = mode === 'long';
  loadSegmentRaw(
    cpu,
    CS,
    long ? SELECTOR.CODE64 : SELECTOR.CODE32,
    0n,
    FLAT,
    long ? ATTRIBUTES.CODE64 : ATTRIBUTES.CODE32,
  );
  for (const number of [ES, SS, DS, FS, GS]) loadSegmentRaw(cpu, number, SELECTOR.DATA32, 0n, FLAT, ATTRIBUTES.DATA32);
  loadSegmentRaw(cpu, TR, SELECTOR.TASK, BigInt(PLACE.TSS), TSS_LIMIT, ATTRIBUTES.TSS);
  loadSegmentRaw(cpu, LDTR, SELECTOR.LOCAL, BigInt(PLACE.LDT), 0xff, ATTRIBUTES.LDT);
  cpu.gdtrBase = BigInt(PLACE.GDT);
  cpu.gdtrLimit = 0x1ff;
  cpu.idtrBase = BigInt(PLACE.IDT);
  cpu.idtrLimit = VECTORS * (long ? 16 : 8) - 1;
}

const bit = (value: number): bigint => BigInt(value >>> 0);

/** A guest in 64-bit mode at CPL 0, with paging on and interrupts off. */
export function longMode(text: string, options: GuestOptions = {}): Guest {
  const bench = freshBench();
  const program = assembleGuest(text, 64, PLACE.CODE, options.define);
  load(bench, program);
  writeHandlers(bench);
  writeGdt(bench, 'long');
  writeIdt(bench, 'long');
  writeTss(bench, 'long');
  const pages = new PageTables(bench, 4, PLACE.PAGES);
  const { cpu } = bench;
  cpu.cr0 = bit(CR0.PE | CR0.ET | CR0.NE | CR0.WP | CR0.PG | (options.cr0 ?? 0));
  cpu.cr3 = BigInt(pages.root);
  cpu.cr4 = bit(CR4.PAE | CR4.OSFXSR | (options.cr4 ?? 0));
  cpu.efer = bit(EFER.LME | EFER.LMA | EFER.NXE | (options.efer ?? 0));
  enterProtected(bench, 'long');
  enter(bench, PLACE.CODE, options);
  return new Guest(bench, 'long', program, pages);
}

/** A guest in 32-bit protected mode at CPL 0, without paging unless asked for. */
export function protectedMode(text: string, options: GuestOptions = {}): Guest {
  const bench = freshBench();
  const program = assembleGuest(text, 32, PLACE.CODE, options.define);
  load(bench, program);
  writeHandlers(bench);
  writeGdt(bench, 'protected');
  writeIdt(bench, 'protected');
  writeTss(bench, 'protected');
  const { cpu } = bench;
  const paging = options.paging ?? 'none';
  const pages = paging === 'none' ? undefined : new PageTables(bench, paging === 'pae' ? 3 : 2, PLACE.PAGES);
  cpu.cr0 = bit(CR0.PE | CR0.ET | CR0.NE | (pages ? CR0.WP | CR0.PG : 0) | (options.cr0 ?? 0));
  cpu.cr3 = BigInt(pages?.root ?? 0);
  cpu.cr4 = bit(CR4.OSFXSR | (paging === 'pae' ? CR4.PAE : 0) | (options.cr4 ?? 0));
  cpu.efer = bit(options.efer ?? 0);
  enterProtected(bench, 'protected');
  enter(bench, PLACE.CODE, options);
  return new Guest(bench, 'protected', program, pages);
}

/** A guest in real-address mode at 0:7C00h, with an interrupt vector table that leads to the handlers. */
export function realMode(text: string, options: GuestOptions = {}): Guest {
  const bench = freshBench();
  const program = assembleGuest(text, 16, PLACE.REAL_CODE, options.define);
  load(bench, program);
  writeHandlers(bench);
  for (let vector = 0; vector < VECTORS; vector++) bench.memory.writeU32(4 * vector, handler(vector));
  const { cpu } = bench;
  writeGdt(bench, 'protected');
  loadSegmentRaw(cpu, CS, 0, 0n, 0xffff, 0x9b);
  enter(bench, PLACE.REAL_CODE, options);
  return new Guest(bench, 'real', program, undefined);
}

/** Text that leaves CPL 0 for 64-bit user code at `entry`. */
export const toUser64 = (entry = 'USER_CODE', rflags = 2): string => `
  push USER_DATA32+3
  push USER_STACK
  push ${rflags}
  push USER_CODE64+3
  push ${entry}
  iretq
  org USER_CODE
`;
/** The same in protected mode, for 32-bit user code; DS and ES become the user's. Changes EAX. */
export const toUser32 = (entry = 'USER_CODE', eflags = 2): string => `
  mov eax, USER_DATA32+3
  mov ds, ax
  mov es, ax
  push USER_DATA32+3
  push USER_STACK
  push ${eflags}
  push USER_CODE32+3
  push ${entry}
  iretd
  org USER_CODE
`;
