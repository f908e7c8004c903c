/**
 * Runs vectors on the emulator: the whole processor with paging, descriptor tables and an interrupt descriptor table, so
 * that a case ends as on the real one, by delivery of its exception. Every handler is a HLT at an address that tells the
 * vector; the rest is read from the stack frame.
 */

import { SILENT } from '../../src/bus/log.ts';
import { CONTEXT, CS, DS, ES, FS, GS, SS, TR } from '../../src/cpu/context.ts';
import type { Cpu, LocalApic } from '../../src/cpu/cpu.ts';
import type { Engine } from '../../src/cpu/engine.ts';
import { readFlags, writeFlags } from '../../src/cpu/flags.ts';
import { flatSegments } from '../../src/cpu/interpreter/segments.ts';
import { Arena, PAGE_SIZE, PhysicalSpace } from '../../src/cpu/memory/index.ts';
import { cpuModel } from '../../src/cpu/model.ts';
import { CODE_LIMITS, PROCESSOR_OVERHEAD, Processor } from '../../src/cpu/processor.ts';
import { Activity, Pending } from '../../src/cpu/state.ts';
import { Attribute, SystemType } from '../../src/cpu/system/descriptors.ts';
import { CR0, CR4, DR6, DR7, EFER, FLAG } from '../../src/cpu/system/registers.ts';
import { loadSegmentRaw, refreshSegments } from '../../src/cpu/system/segments.ts';
import type { Feature } from '../../src/isa/instruction.ts';
import { Vector } from '../../src/isa/stage.ts';
import type { Case, Outcome, ProcessorState, Result, VectorMachine } from './case.ts';
import {
  applySpans,
  CODE_BASE,
  CODE_FILLER,
  CODE_SIZE,
  changedSpans,
  DATA_BASE,
  DATA_SIZE,
  FX,
  FXSAVE_SIZE,
  fxView,
  hasErrorCode,
  windowBackground,
} from './case.ts';

/** Instructions beyond those of the processor model that vectors may contain. */
const FURTHER_FEATURES: readonly Feature[] = ['movbe', 'clwb'];

const NO_INTERRUPTS: LocalApic = {
  pending: () => -1,
  acknowledge: () => 0,
  externalPending: () => false,
  acknowledgeExternal: () => 0,
  nmiPending: false,
  waiting: false,
  readMsr: () => undefined,
  writeMsr: () => false,
  cr8: 0,
  apicBase: 0n,
};

/** Physical memory: a few pages of each kind, then the paging structures. */
const PHYSICAL = {
  code: 0x1000,
  data: 0x2000,
  system: 0x4000,
  handlers: 0x5000,
  idt: 0x6000,
  stack: 0x7000,
  tables: 0x8000,
};
const RAM_BYTES = 0x20_000;

/**
 * Linux hides from user mode which pages of its half are mapped: the error code of a page fault there always says that
 * the page was present (bit 0), and so do the results of cases.
 */
const HOST_KERNEL_BASE = 0x7fff_ffff_f000n;
const PAGE_FAULT_PRESENT = 1;

/** Supervisor pages, as far from what cases address as can be. */
const SYSTEM_BASE = 0xffff_9c5a_3790_0000n;
const HANDLERS = SYSTEM_BASE + 0x1000n;
const IDT = SYSTEM_BASE + 0x2000n;
const STACK_TOP = SYSTEM_BASE + 0x4000n;

/** Bits of a paging-structure entry (SDM vol. 3A table 4-20). */
const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const NO_EXECUTE = 1n << 63n;
const PAGING_LEVELS = 4;
const LEVEL_BITS = 9n;
const PAGE_BITS = 12n;

/** Selectors, those of user mode as Linux has them. */
const KERNEL_CODE = 0x10;
const USER_CODE_32 = 0x23;
const USER_DATA = 0x2b;
const USER_CODE_64 = 0x33;
const TSS = 0x40;
/** The GDT is at the start of the system page, the TSS in its second half. */
const TSS_OFFSET = 0x800;
/** Bytes of a 64-bit TSS up to the end of the fixed part, and the place of RSP0 (SDM vol. 3A figure 8-11). */
const TSS_SIZE = 104;
const TSS_RSP0 = 4;

const PRIVILEGE_3 = 3 << Attribute.DPL_SHIFT;
const CODE_ATTRIBUTES =
  Attribute.P | Attribute.S | Attribute.CODE | Attribute.READABLE | Attribute.ACCESSED | Attribute.G;
const DATA_ATTRIBUTES =
  Attribute.P | Attribute.S | Attribute.WRITABLE | Attribute.ACCESSED | Attribute.DB | Attribute.G | PRIVILEGE_3;
const FLAT_LIMIT = 0xffff_ffff;

const VECTORS = 256;
const HLT = 0xf4;
/** Enough for the longest loops of stored cases; then a case counts as one that does not end. */
const INSTRUCTION_LIMIT = 1_000_000;

/** Regions of cases that are over are dropped after so many. */
const CASES_PER_FLUSH = 1000;

/** Abridged FXSAVE tags are one bit a physical register; full ones two, with 3 for empty. */
const TAG_EMPTY = 3;
const X87_REGISTERS = 8;
const X87_BYTES = 10;

/** A code or data descriptor with base 0 and the largest limit. */
function flatDescriptor(attributes: number): bigint {
  return 0xffffn | (BigInt(attributes & 0xff) << 40n) | (0xfn << 48n) | (BigInt(attributes >> 8) << 52n);
}

export interface EmulatorOptions {
  /** Instructions the engine is asked to run at a time; results must not depend on it. */
  readonly slice?: number;
  /** Compiles each case's first block to a region before running it; otherwise everything is interpreted. */
  readonly regions?: boolean;
  /** Compiles to regions that assume nothing (Stage.assuming). */
  readonly wary?: boolean;
  /** Is shown each WebAssembly module made of a case. */
  readonly inspectModule?: (module: Uint8Array) => void;
}

export class EmulatorMachine implements VectorMachine {
  private readonly cpu: Cpu;
  private readonly engine: Engine;
  private readonly physical: PhysicalSpace;
  /** The pages themselves, in the arena. */
  private readonly code: Uint8Array;
  private readonly data: Uint8Array;
  private readonly stack: DataView;
  /** Physical x87 registers. */
  private readonly x87: Uint8Array;
  private nextTable = PHYSICAL.tables;
  private readonly slice: number;
  private readonly processor: Processor;
  private casesSinceFlush = 0;

  constructor(options: EmulatorOptions = {}) {
    this.slice = options.slice ?? INSTRUCTION_LIMIT;
    const arena = new Arena({
      ramBytes: RAM_BYTES,
      overheadBytes: PROCESSOR_OVERHEAD + PhysicalSpace.overheadBytes(RAM_BYTES),
    });
    const physical = new PhysicalSpace(arena, {
      limit: RAM_BYTES,
      mmio: { readMmio: () => 0xffff_ffff, writeMmio() {} },
      log: SILENT,
    });
    physical.addRam(0, RAM_BYTES);
    const model = cpuModel('amd');
    this.processor = new Processor({
      arena,
      physical,
      model: { ...model, features: new Set([...model.features, ...FURTHER_FEATURES]) },
      ports: { readPort: () => 0xffff_ffff, writePort() {} },
      clock: { now: () => 0 },
      entropy: { fill() {} },
      log: SILENT,
      apicId: 0,
      engine: options.regions ? 'regions' : 'interpreter',
      inspectModule: options.inspectModule,
      // nothing is compiled but what `compile` asks for
      limits: { heat: CODE_LIMITS.heat, batch: CODE_LIMITS.batch, ...(options.wary ? { assumptions: 0 } : {}) },
      shutdown() {},
    });
    const { cpu, engine } = this.processor;
    cpu.apic = NO_INTERRUPTS;
    this.cpu = cpu;
    this.engine = engine;
    this.physical = physical;
    this.x87 = new Uint8Array(arena.buffer, cpu.base + CONTEXT.x87.offset, X87_REGISTERS * 16);
    const root = this.table();
    const at = (address: number, size: number): Uint8Array => {
      const first = physical.hostPage(address);
      for (let page = PAGE_SIZE; page < size; page += PAGE_SIZE) {
        if (physical.hostPage(address + page) !== first + page)
          throw new Error('frames of the test machine are not contiguous');
      }
      return arena.bytes.subarray(first, first + size);
    };
    this.code = at(PHYSICAL.code, CODE_SIZE);
    this.data = at(PHYSICAL.data, DATA_SIZE);
    const stack = at(PHYSICAL.stack, PAGE_SIZE);
    this.stack = new DataView(stack.buffer, stack.byteOffset, PAGE_SIZE);
    this.map(root, BigInt(CODE_BASE), PHYSICAL.code, PRESENT | USER);
    for (let offset = 0; offset < DATA_SIZE; offset += PAGE_SIZE) {
      this.map(root, BigInt(DATA_BASE + offset), PHYSICAL.data + offset, PRESENT | USER | WRITABLE | NO_EXECUTE);
    }
    this.map(root, SYSTEM_BASE, PHYSICAL.system, PRESENT | WRITABLE);
    this.map(root, HANDLERS, PHYSICAL.handlers, PRESENT);
    this.map(root, IDT, PHYSICAL.idt, PRESENT);
    this.map(root, STACK_TOP - BigInt(PAGE_SIZE), PHYSICAL.stack, PRESENT | WRITABLE);
    this.code.fill(CODE_FILLER);
    this.physical.copyIn(PHYSICAL.handlers, new Uint8Array(VECTORS).fill(HLT));
    this.writeTables();
    this.setSystemState(root);
  }

  /** A new paging structure. */
  private table(): number {
    this.nextTable += PAGE_SIZE;
    return this.nextTable - PAGE_SIZE;
  }

  private map(root: number, linear: bigint, address: number, flags: bigint): void {
    let table = root;
    for (let level = PAGING_LEVELS - 1; ; level--) {
      const index = Number((linear >> (PAGE_BITS + LEVEL_BITS * BigInt(level))) & 511n);
      const entry = table + 8 * index;
      if (level === 0) {
        this.physical.writeU64(entry, BigInt(address) | flags);
        return;
      }
      if (this.physical.readU64(entry) === 0n) {
        this.physical.writeU64(entry, BigInt(this.table()) | PRESENT | WRITABLE | USER);
      }
      table = Number(this.physical.readU64(entry) & ~0xfffn);
    }
  }

  /** GDT, TSS and IDT. */
  private writeTables(): void {
    const { physical } = this;
    const gdt = (selector: number, descriptor: bigint): void =>
      physical.writeU64(PHYSICAL.system + (selector & ~7), descriptor);
    gdt(KERNEL_CODE, flatDescriptor(CODE_ATTRIBUTES | Attribute.L));
    gdt(USER_CODE_32, flatDescriptor(CODE_ATTRIBUTES | Attribute.DB | PRIVILEGE_3));
    gdt(USER_DATA, flatDescriptor(DATA_ATTRIBUTES));
    gdt(USER_CODE_64, flatDescriptor(CODE_ATTRIBUTES | Attribute.L | PRIVILEGE_3));
    physical.writeU64(PHYSICAL.system + TSS_OFFSET + TSS_RSP0, STACK_TOP);
    for (let vector = 0; vector < VECTORS; vector++) {
      const handler = HANDLERS + BigInt(vector);
      const dpl = vector === Vector.BP || vector === Vector.OF ? 3n : 0n;
      const low =
        (handler & 0xffffn) |
        (BigInt(KERNEL_CODE) << 16n) |
        (BigInt(SystemType.INTERRUPT_GATE32) << 40n) |
        (dpl << 45n) |
        (1n << 47n) |
        (((handler >> 16n) & 0xffffn) << 48n);
      physical.writeU64(PHYSICAL.idt + 16 * vector, low);
      physical.writeU64(PHYSICAL.idt + 16 * vector + 8, handler >> 32n);
    }
  }

  /** What is the same in every case. */
  private setSystemState(root: number): void {
    const { cpu } = this;
    const bits = (...masks: number[]): bigint => BigInt(masks.reduce((all, mask) => all | mask, 0) >>> 0);
    cpu.cr0 = bits(CR0.PE, CR0.MP, CR0.ET, CR0.NE, CR0.WP, CR0.AM, CR0.PG);
    cpu.cr3 = BigInt(root);
    cpu.cr4 = bits(CR4.PAE, CR4.OSFXSR, CR4.OSXMMEXCPT, CR4.FSGSBASE, CR4.UMIP);
    cpu.efer = bits(EFER.SCE, EFER.LME, EFER.LMA, EFER.NXE);
    cpu.dr7 = BigInt(DR7.FIXED);
    cpu.gdtrBase = SYSTEM_BASE;
    cpu.gdtrLimit = TSS + 15;
    cpu.idtrBase = IDT;
    cpu.idtrLimit = 16 * VECTORS - 1;
    loadSegmentRaw(cpu, TR, TSS, SYSTEM_BASE + BigInt(TSS_OFFSET), TSS_SIZE - 1, Attribute.P | SystemType.TSS32_BUSY);
    cpu.gif = 1;
  }

  private load({ mode, state }: Case): void {
    const { cpu } = this;
    cpu.gpr.set(state.gpr);
    if (mode === 32) for (let i = 0; i < 8; i++) cpu.gpr[i] &= 0xffff_ffffn;
    cpu.rip = state.rip;
    writeFlags(cpu, state.rflags | FLAG.IF);
    cpu.cpl = 3;
    const long = mode === 64;
    const size = long ? Attribute.L : Attribute.DB;
    loadSegmentRaw(cpu, CS, long ? USER_CODE_64 : USER_CODE_32, 0n, FLAT_LIMIT, CODE_ATTRIBUTES | PRIVILEGE_3 | size);
    loadSegmentRaw(cpu, SS, USER_DATA, 0n, FLAT_LIMIT, DATA_ATTRIBUTES);
    for (const number of [DS, ES, FS, GS]) {
      const base = long && number === FS ? state.fsBase : long && number === GS ? state.gsBase : 0n;
      if (long) loadSegmentRaw(cpu, number, 0, base, 0, 0);
      else loadSegmentRaw(cpu, number, USER_DATA, base, FLAT_LIMIT, DATA_ATTRIBUTES);
    }
    refreshSegments(cpu);
    this.loadFx(state);
    cpu.activity = Activity.RUNNING;
    cpu.pending = Pending.NONE;
    cpu.interruptShadow = 0;
    cpu.dr6 = BigInt(DR6.FIXED >>> 0);
    cpu.cr2 = 0n;
    cpu.translation.stateChanged();
  }

  private loadFx(state: ProcessorState): void {
    const { cpu, x87 } = this;
    const fx = fxView(state);
    cpu.x87Control = fx.getUint16(FX.fcw, true);
    cpu.x87Status = fx.getUint16(FX.fsw, true);
    cpu.x87Opcode = fx.getUint16(FX.fop, true);
    cpu.x87Ip = fx.getBigUint64(FX.fip, true);
    cpu.x87Dp = fx.getBigUint64(FX.fdp, true);
    // the 64-bit form of the image has no selectors
    cpu.x87Cs = 0;
    cpu.x87Ds = 0;
    cpu.mxcsr = fx.getUint32(FX.mxcsr, true);
    cpu.xmm.set(state.fx.subarray(FX.xmm, FX.xmm + cpu.xmm.length));
    let tags = 0;
    for (let physical = 0; physical < X87_REGISTERS; physical++) {
      if (!(state.fx[FX.ftw] & (1 << physical))) tags |= TAG_EMPTY << (2 * physical);
      const from = FX.st + 16 * ((physical - topOf(cpu.x87Status)) & 7);
      x87.set(state.fx.subarray(from, from + X87_BYTES), 16 * physical);
    }
    cpu.x87Tag = tags;
  }

  private storeFx(): Uint8Array {
    const { cpu, x87 } = this;
    const bytes = new Uint8Array(FXSAVE_SIZE);
    const fx = new DataView(bytes.buffer);
    fx.setUint16(FX.fcw, cpu.x87Control, true);
    fx.setUint16(FX.fsw, cpu.x87Status, true);
    fx.setUint16(FX.fop, cpu.x87Opcode, true);
    fx.setBigUint64(FX.fip, cpu.x87Ip, true);
    fx.setBigUint64(FX.fdp, cpu.x87Dp, true);
    fx.setUint32(FX.mxcsr, cpu.mxcsr, true);
    bytes.set(cpu.xmm, FX.xmm);
    for (let physical = 0; physical < X87_REGISTERS; physical++) {
      if (((cpu.x87Tag >> (2 * physical)) & TAG_EMPTY) !== TAG_EMPTY) bytes[FX.ftw] |= 1 << physical;
      const to = FX.st + 16 * ((physical - topOf(cpu.x87Status)) & 7);
      bytes.set(x87.subarray(16 * physical, 16 * physical + X87_BYTES), to);
    }
    return bytes;
  }

  run(testCase: Case): Result {
    const { cpu, physical } = this;
    const { state, code, mode } = testCase;
    const start = Number(state.rip) - CODE_BASE;
    physical.copyIn(PHYSICAL.code + start, code);
    this.data.set(windowBackground());
    applySpans(this.data, testCase.memory);
    const before = this.data.slice();
    this.load(testCase);
    this.compile();
    const end = this.engine.retired + INSTRUCTION_LIMIT;
    while (cpu.activity === Activity.RUNNING && this.engine.retired < end) this.engine.run(this.slice);
    const { outcome, frame } = this.outcome();
    const after: ProcessorState = {
      gpr: cpu.gpr.slice(),
      rip: frame.rip,
      rflags: frame.rflags & ~FLAG.RF,
      fsBase: mode === 64 ? cpu.segments[FS].base : 0n,
      gsBase: mode === 64 ? cpu.segments[GS].base : 0n,
      fx: this.storeFx(),
    };
    after.gpr[4] = frame.rsp;
    if (mode === 32) {
      after.fsBase = state.fsBase;
      after.gsBase = state.gsBase;
    }
    physical.copyIn(PHYSICAL.code + start, new Uint8Array(code.length).fill(CODE_FILLER));
    return { outcome, state: after, memory: changedSpans(before, this.data) };
  }

  /** Makes the block at rip a region, if the machine is to run regions. */
  private compile(): void {
    const { cpu } = this;
    const { linear, blocks, regions } = this.processor;
    if (!regions) return;
    if (++this.casesSinceFlush === CASES_PER_FLUSH) {
      this.casesSinceFlush = 0;
      blocks.flush();
    }
    const low = Number(cpu.rip);
    const host = linear.translateExecute(low, 0);
    const offset = low - CODE_BASE;
    const table = linear.codeTable(low);
    const page = linear.guestPage();
    const home = { page, table, host: host - offset };
    const known = blocks.find(table, offset);
    const record = known !== 0 ? known : blocks.decode(page, table, host - offset, offset, cpu.mode);
    if (record === 0) return;
    const pageAt = (distance: number) => (distance === 0 ? home : undefined);
    regions.hot({ pageAt, offset, upper: false, flat: flatSegments(cpu), mode: cpu.mode, record }, 0);
    regions.tick(Number.POSITIVE_INFINITY);
  }

  /** How the case ended, from where the processor halted and the frame on its stack. */
  private outcome(): { outcome: Outcome; frame: { rip: bigint; rflags: number; rsp: bigint } } {
    const { cpu } = this;
    if (cpu.activity !== Activity.HALTED) {
      return { outcome: { kind: 'timeout' }, frame: { rip: cpu.rip, rflags: readFlags(cpu), rsp: cpu.gpr[4] } };
    }
    const vector = Number(cpu.rip - HANDLERS) - 1;
    let at = PAGE_SIZE + Number(cpu.gpr[4] - STACK_TOP);
    const pop = (): bigint => {
      at += 8;
      return this.stack.getBigUint64(at - 8, true);
    };
    const errorCode = hasErrorCode(vector) ? Number(pop()) : undefined;
    let rip = pop();
    pop();
    const rflags = Number(pop());
    const rsp = pop();
    if (vector === Vector.BP) {
      rip -= 1n;
      return { outcome: { kind: 'stopped' }, frame: { rip, rflags, rsp } };
    }
    const outcome: Outcome = { kind: 'exception', vector };
    if (errorCode !== undefined) outcome.errorCode = errorCode;
    if (vector === Vector.PF) {
      outcome.cr2 = cpu.cr2;
      if (cpu.cr2 >= HOST_KERNEL_BASE && errorCode !== undefined) outcome.errorCode = errorCode | PAGE_FAULT_PRESENT;
    }
    return { outcome, frame: { rip, rflags, rsp } };
  }
}

const topOf = (status: number): number => (status >> 11) & 7;
