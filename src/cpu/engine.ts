/**
 * Runs one processor: finds or decodes blocks, enters the handlers, and does at instruction boundaries what the
 * architecture does there: faults, traps, interrupts.
 */

import { Vector } from '../isa/stage.ts';
import { CS } from './context.ts';
import type { Cpu } from './cpu.ts';
import type { BlockCache, CodePlace, MappedPage } from './decode/blocks.ts';
import { MAX_INSTRUCTION_LENGTH } from './decode/decoder.ts';
import { InstructionAborted, setFault } from './fault.ts';
import type { Handlers } from './interpreter/handlers.ts';
import { Exit, FIRST_REGION, RECORD, RECORD_SIZE, VARIABLE_FLAG_KIND } from './interpreter/record.ts';
import { flatSegments } from './interpreter/segments.ts';
import { MODE_64, MODE_SIZE_MASK } from './mode.ts';
import type { RegionManager } from './regions/manager.ts';
import type { RegionSites } from './regions/sites.ts';
import { Activity, InterruptShadow, Pending, word } from './state.ts';
import { reportDebugCauses } from './system/debug-registers.ts';
import { deliverDebugTrap, deliverPendingFault } from './system/exceptions.ts';
import { hooks } from './system/hooks.ts';
import { interruptsEnabled, pollInterrupts } from './system/interrupts.ts';
import { branchMayHaveBeenTaken, watchesBranches } from './system/last-branch.ts';

const RIP = word('rip');
const NEXT_RIP = word('nextRip');
const BUDGET = word('budget');
const RECORD_POINTER = word('record');
const SITE = word('site');
const FLAG_KIND = word('flagKind');
const MODE = word('mode');
const PENDING = word('pending');
const RFLAGS = word('rflags');
const DR7 = word('dr7');
const ACTIVITY = word('activity');
const GUEST_MODE = word('guestMode');
const GIF = word('gif');
const SHADOW = word('interruptShadow');
const SHADOW_BUDGET = word('shadowBudget');
const INTERRUPT_WAITING = word('interruptWaiting');
const DR6_PENDING = word('dr6Pending');
const SINGLE_STEP = word('singleStep');

const RFLAGS_TF = 1 << 8;
const RFLAGS_RF = 1 << 16;
/** Enable bits of the four breakpoints. */
const DR7_ENABLES = 0xff;
/** DR6: single step. */
const DR6_BS = 1 << 14;

const PAGE_MASK = 0xfff;
/** More than any budget. */
const KICK = 2 ** 30;
/** Most instructions per slice, so that budgets stay far from the 32-bit limits. */
const LONGEST_SLICE = 2 ** 29;

/**
 * Most exceptions in a row without a completed instruction within one run: a handler that faults at its first instruction is
 * entered forever, and the host must have its turn.
 */
const MOST_FRUITLESS = 10_000;

/** Where code is fetched from. */
export interface CodeFetch {
  /** Arena address of the byte at a linear address, filling the TLB's execute entry; 0 with the fault pending. */
  translateExecute(lo: number, hi: number): number;
  /** Code table of the TLB entry just filled for that address. */
  codeTable(lo: number): number;
  /** Guest page of the last `translateExecute`. */
  guestPage(): number;
  /** What the TLB holds for fetches from a page, undefined if nothing. */
  mappedPage(lo: number, hi: number): MappedPage | undefined;
}

/** A system helper (isa/helpers.ts). Throws or returns `ABORTED` where the instruction does not complete; throwing is slower. */
export type SystemHelperFunction = (cpu: Cpu, ...args: number[]) => InstructionAborted | undefined;

/** Delivers a pending #VMEXIT; throws nothing. */
export type GuestExitHandler = (cpu: Cpu) => void;

export class Engine {
  readonly cpu: Cpu;
  private readonly blocks: BlockCache;
  private readonly handlers: { long: Handlers; legacy: () => Handlers };
  private readonly fetch: CodeFetch;
  private readonly guestExit: GuestExitHandler;
  private readonly u32: Uint32Array;
  private readonly i32: Int32Array;
  private readonly memory8: Uint8Array;
  private readonly memory16: Uint16Array;
  private readonly memory32: Uint32Array;
  private readonly regions: RegionManager | undefined;
  private readonly sites: RegionSites;
  private readonly crossingBytes = new Uint8Array(MAX_INSTRUCTION_LENGTH);
  /** Instructions completed before the current slice. */
  private retiredBefore = 0;
  /** Instructions the current slice was given. */
  private slice = 0;
  /** Instructions of this run not yet given to a slice. */
  private reserve = 0;
  /** Whether handlers run whose block has been paid for in advance. */
  private inBlock = false;
  private kicked = false;
  /** Bytes of the instruction of a slice of one. */
  private length = 0;
  /** A handler that {@link stopBehind} has replaced. */
  private replaced: { at: number; handler: number } | undefined;
  /** Exceptions and #VMEXITs since an instruction completed or the run began. */
  private fruitless = 0;
  /** The next instruction must be interpreted. */
  private interpretNext = false;

  constructor(
    cpu: Cpu,
    parts: {
      blocks: BlockCache;
      handlers: { long: Handlers; legacy: () => Handlers };
      fetch: CodeFetch;
      guestExit: GuestExitHandler;
      regions?: RegionManager;
      sites: RegionSites;
    },
  ) {
    this.cpu = cpu;
    this.blocks = parts.blocks;
    this.handlers = parts.handlers;
    this.fetch = parts.fetch;
    this.guestExit = parts.guestExit;
    this.regions = parts.regions;
    this.sites = parts.sites;
    this.memory32 = new Uint32Array(cpu.bytes.buffer);
    this.u32 = cpu.u32;
    this.i32 = cpu.i32;
    this.memory8 = cpu.bytes;
    this.memory16 = new Uint16Array(cpu.bytes.buffer);
  }

  /** Instructions completed since power-on; exact at any time, also from within a device access. */
  get retired(): number {
    if (this.slice === 0) return this.retiredBefore;
    const unpaid = this.inBlock ? this.memory8[this.u32[RECORD_POINTER] + RECORD.remaining] : 0;
    return this.retiredBefore + this.slice - this.i32[BUDGET] - unpaid;
  }

  /** Calls something that looks at `retired` or may {@link kick} from within a region, whose budget is in the context. */
  fromRegion(call: () => number): number {
    this.inBlock = false;
    try {
      return call();
    } finally {
      this.inBlock = true;
    }
  }

  /** Ends the current run at the next instruction boundary: an interrupt line or a timer has changed. */
  kick(): void {
    if (this.kicked) return;
    this.kicked = true;
    if (this.slice !== 0) {
      // below any number of instructions a branch may give back, so that the next block is not entered
      this.slice -= KICK;
      this.reserve += KICK;
      this.i32[BUDGET] -= KICK;
      this.i32[SHADOW_BUDGET] -= KICK;
      if (this.inBlock) this.stopBehind(this.u32[RECORD_POINTER]);
    }
  }

  /** Makes the running block end behind a record, until the handlers have come back. */
  private stopBehind(record: number): void {
    const at = (record + RECORD_SIZE + RECORD.handler) >> 2;
    this.replaced = { at, handler: this.memory32[at] };
    this.memory32[at] = this.blocks.resyncHandler(this.u32[MODE]);
  }

  /**
   * Runs until `instructions` have completed, the processor is not running any more, {@link kick} was called, or exceptions
   * follow one another without end. Takes pending interrupts first.
   */
  run(instructions: number): void {
    const { u32 } = this;
    this.reserve = instructions;
    this.kicked = false;
    this.fruitless = 0;
    while (this.reserve > 0 && !this.kicked && this.fruitless < MOST_FRUITLESS) {
      if (!this.interrupts()) return;
      if (u32[ACTIVITY] !== Activity.RUNNING) return;
      const breakpoints = (u32[DR7] & DR7_ENABLES) !== 0;
      const stepping = (u32[RFLAGS] & RFLAGS_TF) !== 0;
      if (breakpoints && this.codeBreakpoint()) continue;
      const { held } = this.cpu;
      held.shadow = u32[SHADOW];
      held.resume = u32[RFLAGS] & RFLAGS_RF;
      held.causes = u32[DR6_PENDING];
      const watching = watchesBranches(this.cpu);
      const fromLow = u32[RIP];
      const fromHigh = u32[RIP + 1];
      const wasGuest = u32[GUEST_MODE];
      const single =
        breakpoints || stepping || held.shadow !== 0 || held.resume !== 0 || watching || this.interpretNext;
      if (single) {
        u32[SHADOW] = InterruptShadow.NONE;
        u32[RFLAGS] &= ~RFLAGS_RF;
      }
      u32[SINGLE_STEP] = stepping ? 1 : 0;
      const before = this.retiredBefore;
      this.runSlice(single ? 1 : Math.min(this.reserve, LONGEST_SLICE));
      if (this.retiredBefore === before) continue;
      this.fruitless = 0;
      // Neither VMRUN nor #VMEXIT is a branch.
      if (watching && u32[GUEST_MODE] === wasGuest) branchMayHaveBeenTaken(this.cpu, fromLow, fromHigh, this.length);
      if (u32[SHADOW] & InterruptShadow.DEBUG_TRAPS) continue;
      if (u32[SINGLE_STEP] | u32[DR6_PENDING]) this.traps();
    }
  }

  /** Takes a due interrupt. False if nothing may go on (shutdown). */
  private interrupts(): boolean {
    const { cpu } = this;
    try {
      pollInterrupts(cpu);
    } catch (reason) {
      this.aborted(reason);
    }
    return cpu.u32[ACTIVITY] !== Activity.SHUTDOWN;
  }

  private aborted(reason: unknown): void {
    if (!(reason instanceof InstructionAborted)) throw reason;
    this.deliverPending();
  }

  /** Delivers what ended the last instruction. */
  private deliverPending(): void {
    const { cpu, u32 } = this;
    const pending = u32[PENDING];
    u32[PENDING] = Pending.NONE;
    if (pending === Pending.INTERPRET) {
      this.interpretNext = true;
      return;
    }
    this.fruitless++;
    if (pending === Pending.GUEST_EXIT) {
      this.leaveGuest();
      return;
    }
    try {
      deliverPendingFault(cpu);
    } catch (reason) {
      // the hypervisor inside intercepts the exception (or an event during its delivery)
      if (!(reason instanceof InstructionAborted) || u32[PENDING] !== Pending.GUEST_EXIT) throw reason;
      u32[PENDING] = Pending.NONE;
      this.leaveGuest();
    }
  }

  /** Performs the #VMEXIT described; a VMRUN that was single-stepped ends with it. */
  private leaveGuest(): void {
    const { cpu } = this;
    this.guestExit(cpu);
    if (cpu.hostSingleStep === 0) return;
    cpu.hostSingleStep = 0;
    deliverDebugTrap(cpu, DR6_BS);
  }

  /** The #DB traps that are due after an instruction. */
  private traps(): void {
    const { cpu } = this;
    const causes = (cpu.singleStep ? DR6_BS : 0) | cpu.dr6Pending;
    cpu.singleStep = 0;
    cpu.dr6Pending = 0;
    if (causes === 0 || cpu.u32[ACTIVITY] === Activity.SHUTDOWN) return;
    try {
      deliverDebugTrap(cpu, causes);
    } catch (reason) {
      this.aborted(reason);
    }
  }

  /** Raises #DB for an execution breakpoint at the current instruction; true if it did. */
  private codeBreakpoint(): boolean {
    const { cpu, u32 } = this;
    if (u32[RFLAGS] & RFLAGS_RF) return false;
    // Behind MOV SS an Intel processor lets an instruction breakpoint pass, an AMD one does not.
    if (u32[SHADOW] & InterruptShadow.DEBUG_TRAPS && cpu.model.vendor === 'intel') return false;
    const dr7 = u32[DR7];
    const linear = this.linearRip();
    let hits = 0;
    for (let i = 0; i < 4; i++) {
      const enabled = (dr7 >> (2 * i)) & 3;
      const type = (dr7 >> (16 + 4 * i)) & 3;
      if (enabled && type === 0 && cpu.dr[i] === linear) hits |= 1 << i;
    }
    if (hits === 0) return false;
    reportDebugCauses(cpu, hits);
    setFault(cpu, Vector.DB);
    this.deliverPending();
    return true;
  }

  private linearRip(): bigint {
    const { cpu } = this;
    if ((cpu.u32[MODE] & MODE_SIZE_MASK) === MODE_64) return cpu.rip;
    return (cpu.rip + cpu.segments[CS].base) & 0xffffffffn;
  }

  /** Runs up to `budget` instructions, until the handlers come back for the first time. */
  private runSlice(budget: number): void {
    const { u32, i32 } = this;
    this.slice = budget;
    this.reserve -= budget;
    i32[BUDGET] = budget;
    const record = this.lookup();
    if (record !== 0) {
      const long = (u32[MODE] & MODE_SIZE_MASK) === MODE_64;
      const count = this.memory8[record + RECORD.remaining];
      if (budget === 1) this.length = this.memory8[this.blocks.firstInstruction(record, u32[MODE]) + RECORD.length];
      let entry = record;
      if (count > budget || this.interpretNext) {
        this.interpretNext = false;
        const some = Math.min(count, budget);
        entry = this.blocks.truncate(record, some, u32[MODE]);
        i32[BUDGET] = budget - some;
      } else if (this.memory32[(record + RECORD.handler) >> 2] < FIRST_REGION) {
        // a region pays for itself
        i32[BUDGET] = budget - count;
      }
      this.inBlock = true;
      const exit = (long ? this.handlers.long : this.handlers.legacy()).run(this.cpu.base, entry);
      this.inBlock = false;
      if (this.replaced) {
        this.memory32[this.replaced.at] = this.replaced.handler;
        this.replaced = undefined;
      }
      if (exit === Exit.ABORT) this.commitAbort(long);
      else if (exit === Exit.REGION_ABORT) this.commitRegionAbort(long);
      this.endSlice();
      if (exit === Exit.HOT) this.noteHot();
      else this.regions?.tick(this.retiredBefore);
      if (exit === Exit.ABORT || exit === Exit.SYSTEM_ABORT || exit === Exit.REGION_ABORT) this.deliverPending();
      return;
    }
    this.endSlice();
    this.deliverPending();
  }

  private endSlice(): void {
    const left = this.i32[BUDGET];
    if (left === this.slice) this.restoreHeld();
    else if (this.i32[SHADOW_BUDGET] !== left) this.u32[SHADOW] = InterruptShadow.NONE;
    this.retiredBefore += this.slice - left;
    this.reserve += left;
    this.slice = 0;
  }

  /** The instruction did not complete: what holds for it holds for its next try, or for the #VMEXIT's VMCB. */
  private restoreHeld(): void {
    const { u32 } = this;
    const { held } = this.cpu;
    u32[SHADOW] = held.shadow;
    u32[RFLAGS] |= held.resume;
    u32[DR6_PENDING] = held.causes;
  }

  /** State after an instruction that did not complete: rip at it, what was not run given back. */
  private commitAbort(long: boolean): void {
    const record = this.u32[RECORD_POINTER];
    this.advanceRip(this.memory16[(record + RECORD.delta) >> 1], RIP, long);
    this.i32[BUDGET] += this.memory8[record + RECORD.remaining];
  }

  /** The same where a region was left. */
  private commitRegionAbort(long: boolean): void {
    const { u32, sites } = this;
    const site = u32[SITE];
    this.advanceRip(sites.offset(site), RIP, long);
    this.i32[BUDGET] += sites.remaining(site);
    const kind = sites.flagKind(site);
    if (kind !== VARIABLE_FLAG_KIND) u32[FLAG_KIND] = kind;
  }

  /** u32[to] = rip + delta. */
  private advanceRip(delta: number, to: number, long: boolean): void {
    const { u32 } = this;
    const low = u32[RIP] + delta;
    u32[to] = low;
    u32[to + 1] = long ? u32[RIP + 1] + (low > 0xffffffff ? 1 : 0) : 0;
  }

  /**
   * Calls a system helper: commits the state of the instruction before it, moves on after it.
   * Returns the exit code for the handler to return.
   */
  callSystem(helper: SystemHelperFunction, a: number, b: number, c: number, d: number, e: number, f: number): number {
    const { cpu, u32, i32 } = this;
    const record = u32[RECORD_POINTER];
    const long = (u32[MODE] & MODE_SIZE_MASK) === MODE_64;
    const delta = this.memory16[(record + RECORD.delta) >> 1];
    this.advanceRip(delta + this.memory8[record + RECORD.length], NEXT_RIP, long);
    this.advanceRip(delta, RIP, long);
    i32[BUDGET] += this.memory8[record + RECORD.remaining];
    this.inBlock = false;
    this.takeShadow();
    let aborted: InstructionAborted | undefined;
    try {
      aborted = helper(cpu, a, b, c, d, e, f);
    } catch (reason) {
      if (!(reason instanceof InstructionAborted)) throw reason;
      aborted = reason;
    }
    if (aborted) {
      u32[SHADOW] = cpu.held.shadow;
      i32[SHADOW_BUDGET] = i32[BUDGET];
      return Exit.SYSTEM_ABORT;
    }
    i32[BUDGET]--;
    i32[SHADOW_BUDGET] = i32[BUDGET];
    u32[RIP] = u32[NEXT_RIP];
    u32[RIP + 1] = u32[NEXT_RIP + 1];
    if (((u32[MODE] & MODE_SIZE_MASK) === MODE_64) !== long || !this.nothingDue()) return Exit.SYSTEM;
    this.inBlock = true;
    return Exit.CONTINUE;
  }

  /** Before an instruction that may set a shadow of its own, or may not complete: holds the one it stands in. */
  private takeShadow(): void {
    const { u32, i32 } = this;
    // of a slice's first instruction the run loop has taken care
    if (i32[BUDGET] !== this.slice)
      this.cpu.held.shadow = i32[SHADOW_BUDGET] === i32[BUDGET] ? u32[SHADOW] : InterruptShadow.NONE;
    u32[SHADOW] = InterruptShadow.NONE;
  }

  /** Whether the run loop would do nothing at this instruction boundary but remember a shadow. */
  private nothingDue(): boolean {
    const { cpu, u32 } = this;
    if (this.kicked || this.interruptDue()) return false;
    const special =
      u32[ACTIVITY] |
      u32[SINGLE_STEP] |
      u32[DR6_PENDING] |
      (u32[RFLAGS] & (RFLAGS_TF | RFLAGS_RF)) |
      (u32[DR7] & DR7_ENABLES);
    return special === 0 && !watchesBranches(cpu);
  }

  /** Whether an interrupt may be deliverable at this boundary. */
  private interruptDue(): boolean {
    const { cpu, u32 } = this;
    if (u32[GIF] === 0 || u32[INTERRUPT_WAITING] === 0) return false;
    // A virtual interrupt waits in the VMCB's fields, not in the APIC, until the guest lets it in.
    if (u32[GUEST_MODE] !== 0 && hooks.interruptWaiting(cpu)) return true;
    if (!cpu.apic.waiting) return false;
    return cpu.apic.nmiPending || cpu.apic.smiPending === true || interruptsEnabled(cpu);
  }

  /** The block at rip, decoded if need be; 0 if the fetch faults (pending). */
  private lookup(): number {
    const { cpu, u32, fetch, blocks } = this;
    const mode = u32[MODE];
    const long = (mode & MODE_SIZE_MASK) === MODE_64;
    let lo = u32[RIP];
    let hi = u32[RIP + 1];
    if (!long) {
      lo = (lo + cpu.u32[CS_BASE]) >>> 0;
      hi = 0;
    }
    const host = fetch.translateExecute(lo, hi);
    if (host === 0) return 0;
    const offset = lo & PAGE_MASK;
    const table = fetch.codeTable(lo);
    const page = fetch.guestPage();
    const known = blocks.find(table, offset);
    if (known !== 0) {
      const expected = blocks.crossingTable(known, mode);
      if (expected === 0) return known;
      return this.crossingBlock(lo, hi, host, { page, offset }, mode, known, expected);
    }
    const block = blocks.decode(page, table, host - offset, offset, mode);
    return block !== 0 ? block : this.crossingBlock(lo, hi, host, { page, offset }, mode, 0, 0);
  }

  /** The block at rip has become hot. */
  private noteHot(): void {
    const { cpu, u32, fetch } = this;
    const record = this.lookup();
    if (record === 0 || !this.regions) {
      u32[PENDING] = Pending.NONE;
      return;
    }
    const mode = u32[MODE];
    const long = (mode & MODE_SIZE_MASK) === MODE_64;
    const linear = long ? (BigInt(u32[RIP + 1]) << 32n) | BigInt(u32[RIP]) : BigInt((u32[RIP] + u32[CS_BASE]) >>> 0);
    const pages = new Map<number, MappedPage | undefined>();
    const pageAt = (distance: number): MappedPage | undefined => {
      if (!pages.has(distance)) {
        const address = linear + (BigInt(distance) << 12n);
        const [lo, hi] = [Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n))];
        pages.set(distance, fetch.mappedPage(lo, hi));
      }
      return pages.get(distance);
    };
    const upper = long && u32[RIP + 1] >>> 31 !== 0;
    const flat = long ? 0 : flatSegments(cpu);
    this.regions.hot({ pageAt, offset: Number(linear & 0xfffn), upper, flat, mode, record }, this.retiredBefore);
  }

  /** The block of an instruction on two pages: the known one if the second page is still the same, else decoded anew. */
  private crossingBlock(
    lo: number,
    hi: number,
    host: number,
    place: CodePlace,
    mode: number,
    known: number,
    expected: number,
  ): number {
    const first = PAGE_MASK + 1 - place.offset;
    const nextLo = (lo + first) >>> 0;
    const long = (mode & MODE_SIZE_MASK) === MODE_64;
    const nextHi = nextLo === 0 && long ? (hi + 1) >>> 0 : hi;
    const second = this.fetch.translateExecute(nextLo, nextHi);
    if (second === 0) return 0;
    const table = this.fetch.codeTable(nextLo);
    if (table === expected) return known;
    const bytes = this.crossingBytes;
    bytes.set(this.memory8.subarray(host, host + first));
    bytes.set(this.memory8.subarray(second, second + MAX_INSTRUCTION_LENGTH - first), first);
    return this.blocks.decodeCrossing(place, { page: this.fetch.guestPage(), table }, bytes, mode);
  }
}

const CS_BASE = word('segments') + (CS * 32) / 4;
