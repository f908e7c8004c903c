/**
 * The processor as its parts see it: state, memory, buses, local APIC, model. System code consists of functions taking a
 * {@link Cpu}.
 */
import type { Clock } from '../bus/clock.ts';
import type { Log } from '../bus/log.ts';
import type { AccessSize } from '../bus/ports.ts';
import type { EntropySource } from '../bus/streams.ts';
import { BEYOND_32_BITS, CONTEXT_SIZE, offsetOf } from './context.ts';
import { EventCounters } from './event-counters.ts';
import type { CpuModel } from './model.ts';
import { CpuState } from './state.ts';

/**
 * Linear memory for helpers. Every call checks and translates with the current privilege (or as an implicit supervisor
 * access, for descriptor tables and TSS), goes through the TLB, and throws `ABORTED` with the fault described
 * (#PF, #GP/#SS for non-canonical addresses, nested page fault).
 */
export interface LinearMemory {
  readU8(linear: bigint, system?: boolean): number;
  readU16(linear: bigint, system?: boolean): number;
  readU32(linear: bigint, system?: boolean): number;
  readU64(linear: bigint, system?: boolean): bigint;
  writeU8(linear: bigint, value: number, system?: boolean): void;
  writeU16(linear: bigint, value: number, system?: boolean): void;
  writeU32(linear: bigint, value: number, system?: boolean): void;
  writeU64(linear: bigint, value: bigint, system?: boolean): void;
  /** Bytes at once, up to 4096. */
  readBytes(linear: bigint, length: number, system?: boolean): Uint8Array;
  writeBytes(linear: bigint, bytes: Uint8Array, system?: boolean): void;
  /** Faults as an access of that kind would, touching every page of the range; sets A and D bits. */
  probe(linear: bigint, length: number, access: 'r' | 'w', system?: boolean): void;
}

/** Guest-physical memory from this processor (MMIO included), for VMCBs, permission maps, page tables of helpers. */
export interface PhysicalMemory {
  /** Arena address of the page that holds an address, ready for writing; 0 if it is no memory. */
  hostPage(address: number): number;
  readU8(address: number): number;
  readU16(address: number): number;
  readU32(address: number): number;
  readU64(address: number): bigint;
  writeU8(address: number, value: number): void;
  writeU16(address: number, value: number): void;
  writeU32(address: number, value: number): void;
  writeU64(address: number, value: bigint): void;
}

/** The translation caches, told of architectural events. */
export interface TranslationControl {
  /** Chooses TLB bank and decode mode from CR0, CR3, CR4, EFER, CPL, RFLAGS.AC/TF, guest mode, ASID, CS attributes. Call after any change of them. */
  stateChanged(): void;
  /** MOV CR3 and its kin (SDM vol. 3A 4.10.4.1): `keepGlobal` leaves global translations of the current ASID. */
  flushAddressSpace(keepGlobal: boolean): void;
  /** All translations of one ASID (0: host) or of every one. */
  flushAsid(asid: number): void;
  flushAll(): void;
  invalidatePage(linear: bigint): void;
  /** INVLPGA. */
  invalidatePageOf(asid: number, linear: bigint): void;
  /** INVPCID type 0-3. */
  invalidatePcid(type: number, pcid: number, linear: bigint): void;
}

/** What the processor needs of its local APIC. */
export interface LocalApic {
  /** Highest-priority deliverable vector, or -1. */
  pending(): number;
  acknowledge(): number;
  /** True if an ExtINT from the 8259 pair is waiting; acknowledged through `acknowledgeExternal`. */
  externalPending(): boolean;
  acknowledgeExternal(): number;
  nmiPending: boolean;
  /** A system management interrupt: only a hypervisor inside can do something about it. Absent: there are none. */
  smiPending?: boolean;
  /** False only if no vector, ExtINT, NMI or SMI is waiting; cheap. Changes are told to `noteInterrupts`. */
  readonly waiting: boolean;
  readMsr(index: number): bigint | undefined;
  /** False: #GP. */
  writeMsr(index: number, value: bigint): boolean;
  /** Task priority as CR8 (bits 7:4 of TPR). */
  cr8: number;
  apicBase: bigint;
}

export interface PortBus {
  readPort(port: number, size: AccessSize): number;
  writePort(port: number, size: AccessSize, value: number): void;
}

export interface CpuParts {
  readonly linear: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly translation: TranslationControl;
  readonly apic: LocalApic;
  readonly ports: PortBus;
  readonly clock: Clock;
  readonly entropy: EntropySource;
  readonly log: Log;
  readonly model: CpuModel;
  /** A shutdown (triple fault outside guest mode, or its intercept missing). */
  shutdown(reason: string): void;
}

export class Cpu extends CpuState {
  /**
   * What the current instruction uses up when it completes, else it holds for the next try: interrupt shadow, RF, and
   * breakpoints met behind MOV SS. Set by the run loop.
   */
  readonly held = { shadow: 0, resume: 0, causes: 0 };
  readonly counters = new EventCounters();
  linear!: LinearMemory;
  physical!: PhysicalMemory;
  translation!: TranslationControl;
  apic!: LocalApic;
  ports!: PortBus;
  clock!: Clock;
  entropy!: EntropySource;
  log!: Log;
  model!: CpuModel;
  shutdown!: (reason: string) => void;

  constructor(memory: ArrayBufferLike, base: number) {
    super(memory, base, CONTEXT_SIZE);
    this.u32[offsetOf('beyond') >> 2] = BEYOND_32_BITS;
  }

  /** Connects the parts; once, before anything runs. */
  connect(parts: CpuParts): void {
    Object.assign(this, parts);
  }

  /** Time stamp counter before guest offset and ratio. */
  hostTsc(): bigint {
    const now = Math.floor(this.clock.now());
    const ticks = this.ticksAt(now);
    return ticks >= 0 ? BigInt(ticks) : (BigInt(now) * BigInt(this.model.tscFrequency)) / 1_000_000_000n;
  }

  /** The same, or -1 where it is not below 2^53. */
  hostTicks(): number {
    return this.ticksAt(Math.floor(this.clock.now()));
  }

  private ticksAt(nanoseconds: number): number {
    const frequency = this.model.tscFrequency;
    const seconds = Math.floor(nanoseconds / 1e9);
    const megahertz = frequency / 1e6;
    // exact as long as all products are below 2^53
    if (!Number.isInteger(megahertz) || megahertz >= 9e6 || (seconds + 1) * frequency >= Number.MAX_SAFE_INTEGER)
      return -1;
    return seconds * frequency + Math.floor(((nanoseconds - seconds * 1e9) * megahertz) / 1000);
  }
}
