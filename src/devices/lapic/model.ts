/**
 * Local APIC of one processor: xAPIC registers, the x2APIC MSRs, the local vector table and the priority logic (SDM
 * vol. 3A chapter 11). Where the manual leaves room it behaves as QEMU's.
 */
import type { TimerService } from '../../bus/clock.ts';
import type { InterruptLine } from '../../bus/lines.ts';
import type { Log } from '../../bus/log.ts';
import { ApicBase } from './apic-base.ts';
import type { InterruptMessage, InterruptReceiver, LapicBus } from './interrupt-bus.ts';
import { decodeInterruptCommand } from './interrupt-command.ts';
import { InterruptPriorities } from './priorities.ts';
import * as R from './registers.ts';
import { LapicTimer, type LapicTimerState, TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE } from './timer.ts';

/** {@link Lapic.pending}: nothing to deliver. */
export const NO_INTERRUPT = -1;
/** {@link Lapic.pending}: an external (8259A) interrupt; its vector is known only once it is acknowledged. */
export const EXTERNAL_INTERRUPT = 0x100;

/** What the local APIC tells its processor. */
export interface LapicProcessor {
  /** {@link Lapic.pending} has changed. */
  interruptChanged(): void;
  nonMaskableInterrupt(): void;
  systemManagementInterrupt(): void;
  /** INIT. The processor resets itself and calls {@link Lapic.reset} with `'init'` when it takes it. */
  initialize(): void;
  /** Start-up IPI; counts only while the processor waits for one. Execution starts at `vector` x 4096. */
  startUp(vector: number): void;
  /** IA32_APIC_BASE has changed: the registers moved, or the mode did. */
  apicBaseChanged(): void;
}

/** What a local APIC is given. */
export interface LapicOptions {
  /** Initial APIC ID, as CPUID reports it; 32 bits in x2APIC mode. */
  initialId: number;
  /** Whether this is the bootstrap processor. */
  bootstrap: boolean;
  time: TimerService;
  /** The processor's time-stamp counter. */
  tsc: () => bigint;
  /** Its frequency in hertz. */
  tscFrequency: number;
  bus: LapicBus;
  processor: LapicProcessor;
  /** The interrupt acknowledge cycle: returns the 8259A's vector. */
  acknowledgeExternal: () => number;
  log: Log;
  /** CPUID.01H:ECX[21]; default true. */
  x2apic?: boolean;
  /** CPUID.01H:ECX[24]; default true. */
  tscDeadline?: boolean;
  /** CPUID.80000008H:EAX[7:0], width of the APIC base address; default 40. */
  physicalAddressBits?: number;
  /** Length of a tick of the timer's clock in whole nanoseconds; default 1, as QEMU. */
  timerTick?: number;
  /** Whether there is an LVT entry for corrected machine checks; default false. */
  cmci?: boolean;
  /** Whether EOI broadcasts can be suppressed (version register bit 24); default false, as QEMU. */
  eoiBroadcastSuppression?: boolean;
}

/** Saved state. */
export interface LapicState {
  version: 1;
  /** IA32_APIC_BASE, in decimal. */
  apicBase: string;
  /** Registers by index, the xAPIC offset divided by 16. */
  registers: number[];
  /** Errors since the last write to ESR. */
  errors: number;
  lint: [boolean, boolean];
  /** An ExtINT message waits for its acknowledge cycle. */
  externalMessage: boolean;
  timer: LapicTimerState;
}

type LintPin = 0 | 1;

export class Lapic implements InterruptReceiver {
  readonly #options: LapicOptions;
  readonly #processor: LapicProcessor;
  readonly #timer: LapicTimer;
  readonly #registers = new Uint32Array(R.REGISTER_COUNT);
  readonly #priorities = new InterruptPriorities(this.#registers);
  readonly #base: ApicBase;
  readonly #lvtEntries: readonly number[];
  readonly #lint: [boolean, boolean] = [false, false];
  #errors = 0;
  #reportingError = false;
  #externalMessage = false;
  #pending = NO_INTERRUPT;

  /** LINT0, which the 8259A's INTR drives on the bootstrap processor. */
  readonly lint0: InterruptLine = { set: (level) => this.#setLint(0, level) };
  /** LINT1, where NMI arrives. */
  readonly lint1: InterruptLine = { set: (level) => this.#setLint(1, level) };

  constructor(options: LapicOptions) {
    this.#options = options;
    this.#processor = options.processor;
    this.#base = new ApicBase(options.bootstrap, options.physicalAddressBits ?? 40, options.x2apic !== false);
    this.#timer = new LapicTimer({
      time: options.time,
      name: `lapic ${options.initialId}`,
      tick: options.timerTick ?? 1,
      tsc: options.tsc,
      tscFrequency: options.tscFrequency,
      expired: () => this.#deliverLocal(R.LVT_TIMER),
    });
    this.#lvtEntries = Object.keys(R.LVT_WRITABLE)
      .map(Number)
      .filter((index) => index !== R.LVT_CMCI || options.cmci === true);
    this.#resetRegisters();
  }

  // What the processor asks.

  /**
   * The interrupt to deliver next, given TPR and what is in service: a vector, {@link EXTERNAL_INTERRUPT} or
   * {@link NO_INTERRUPT}. Cheap; changes are announced by `interruptChanged`.
   */
  pending(): number {
    return this.#pending;
  }

  /** Acknowledges the pending interrupt and returns its vector; the spurious vector where there is none. */
  acknowledge(): number {
    const pending = this.#pending;
    if (pending === NO_INTERRUPT) return this.#registers[R.SVR] & R.SVR_VECTOR;
    if (pending === EXTERNAL_INTERRUPT) {
      this.#externalMessage = false;
      const vector = this.#options.acknowledgeExternal();
      this.#update();
      return vector;
    }
    this.#priorities.acknowledge(pending);
    this.#update();
    return pending;
  }

  /** CR8: bits 7:4 of the task priority (section 11.8.6.1). */
  get cr8(): number {
    return this.#registers[R.TPR] >> 4;
  }

  set cr8(value: number) {
    this.#writeTaskPriority((value & 0xf) << 4);
  }

  /** Whether the registers stand in memory, at {@link baseAddress}: enabled and not in x2APIC mode. */
  get memoryMapped(): boolean {
    return this.#base.enabled && !this.#base.x2apic;
  }

  /** Guest-physical address of the register page. */
  get baseAddress(): number {
    return this.#base.address;
  }

  /** IA32_APIC_BASE[11]; CPUID.01H:EDX[9] follows it. */
  get enabled(): boolean {
    return this.#base.enabled;
  }

  get x2apicMode(): boolean {
    return this.#base.x2apic;
  }

  /** The time-stamp counter has been written or its offset has changed. */
  tscChanged(): void {
    this.#timer.tscChanged();
  }

  /** A performance counter overflowed. `maskEntry`: the entry is masked by it, as on Intel processors. */
  performanceInterrupt(maskEntry: boolean): void {
    this.#deliverLocal(R.LVT_PERFORMANCE);
    if (maskEntry) this.#registers[R.LVT_PERFORMANCE] |= R.LVT_MASKED;
  }

  /** A thermal event. */
  thermalInterrupt(): void {
    this.#deliverLocal(R.LVT_THERMAL);
  }

  /** A corrected machine check. */
  correctedMachineCheckInterrupt(): void {
    if (this.#options.cmci === true) this.#deliverLocal(R.LVT_CMCI);
  }

  /** Power-on, or an INIT, which keeps IA32_APIC_BASE and the APIC ID (section 11.4.7.1 and 11.12.5). */
  reset(kind: 'power-on' | 'init'): void {
    const id = this.#registers[R.ID];
    if (kind === 'power-on') this.#setBase(this.#base.resetValue);
    this.#resetRegisters();
    if (kind === 'init') this.#registers[R.ID] = id;
    this.#update();
  }

  // MSRs. `undefined` and `false` stand for #GP(0).

  /** Reads IA32_APIC_BASE, IA32_TSC_DEADLINE or an x2APIC register; `undefined` means #GP(0). */
  readMsr(index: number): bigint | undefined {
    if (index === R.MSR_APIC_BASE) return this.#base.value;
    if (index === R.MSR_TSC_DEADLINE) return this.#options.tscDeadline === false ? undefined : this.#timer.deadline;
    const register = index - R.MSR_X2APIC_FIRST;
    if (!this.#base.x2apic || !this.#hasX2apicRegister(register) || !R.X2APIC_ACCESS.get(register)?.read)
      return undefined;
    const low = BigInt(this.#read(register));
    return register === R.ICR_LOW ? low | (BigInt(this.#registers[R.ICR_HIGH]) << 32n) : low;
  }

  /** Writes IA32_APIC_BASE, IA32_TSC_DEADLINE or an x2APIC register; `false` means #GP(0). */
  writeMsr(index: number, value: bigint): boolean {
    if (index === R.MSR_APIC_BASE) return this.#writeBase(value);
    if (index === R.MSR_TSC_DEADLINE) {
      if (this.#options.tscDeadline === false) return false;
      this.#timer.setDeadline(value);
      return true;
    }
    const register = index - R.MSR_X2APIC_FIRST;
    if (!this.#base.x2apic || !this.#hasX2apicRegister(register)) return false;
    const writable = R.X2APIC_ACCESS.get(register)?.writable;
    if (writable === undefined) return false;
    const low = Number(value & 0xffff_ffffn);
    const high = Number(value >> 32n);
    if ((low & ~writable) !== 0 || (high !== 0 && register !== R.ICR_LOW)) return false;
    if (register === R.SVR && (low & R.SVR_SUPPRESS_EOI_BROADCAST & ~this.#svrWritable()) !== 0) return false;
    if (register === R.LVT_TIMER && !this.#timerModeValid(low)) return false;
    if (register === R.SELF_IPI) this.#sendInterrupt(low | (R.SHORTHAND_SELF << R.ICR_SHORTHAND_SHIFT), 0);
    else if (register === R.ICR_LOW) this.#writeIcr(low, high);
    else this.#write(register, low);
    return true;
  }

  // Memory-mapped registers.

  /** Reads the 32-bit register at an xAPIC offset, a multiple of 16 below 1000H. */
  readRegister(offset: number): number {
    const index = offset >> 4;
    if (!this.#hasXapicRegister(index)) {
      this.#error(R.ESR_ILLEGAL_REGISTER);
      return 0;
    }
    return this.#read(index);
  }

  /** Writes the 32-bit register at an xAPIC offset, a multiple of 16 below 1000H. */
  writeRegister(offset: number, value: number): void {
    const index = offset >> 4;
    if (!this.#hasXapicRegister(index)) this.#error(R.ESR_ILLEGAL_REGISTER);
    else if (index === R.ICR_LOW) this.#writeIcr(value, this.#registers[R.ICR_HIGH]);
    else this.#write(index, value);
  }

  // The interrupt bus.

  get acceptsInterrupts(): boolean {
    return this.#base.enabled && (this.#registers[R.SVR] & R.SVR_ENABLE) !== 0;
  }

  /** Processor priority register. */
  get processorPriority(): number {
    return this.#priorities.processorPriority;
  }

  isDestination(message: InterruptMessage): boolean {
    if (!this.#base.enabled) return false;
    const { destination, logical, extended } = message;
    if (extended ? destination === 0xffff_ffff : destination === 0xff) return true;
    if (!logical) return destination === this.#id();
    if (this.#base.x2apic) {
      const ldr = this.#logicalId();
      return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
    }
    if (destination > 0xff) return false;
    const ldr = this.#registers[R.LDR] >>> R.XAPIC_ID_SHIFT;
    const model = this.#registers[R.DFR] >>> R.DFR_MODEL_SHIFT;
    if (model === R.DFR_FLAT) return (destination & ldr) !== 0;
    if (model === R.DFR_CLUSTER) return destination >> 4 === ldr >> 4 && (destination & ldr & 0xf) !== 0;
    return false;
  }

  accept(deliveryMode: number, vector: number, levelTriggered: boolean): void {
    if (!this.#base.enabled) return;
    switch (deliveryMode) {
      case R.DELIVERY_FIXED:
      case R.DELIVERY_LOWEST_PRIORITY:
        if (this.acceptsInterrupts) this.#request(vector, levelTriggered);
        break;
      case R.DELIVERY_SMI:
        this.#processor.systemManagementInterrupt();
        break;
      case R.DELIVERY_NMI:
        this.#processor.nonMaskableInterrupt();
        break;
      case R.DELIVERY_INIT:
        this.#processor.initialize();
        break;
      case R.DELIVERY_STARTUP:
        this.#processor.startUp(vector);
        break;
      case R.DELIVERY_EXTINT:
        this.#externalMessage = true;
        this.#update();
        break;
      default:
        this.#options.log.write('guest-error', `local APIC: reserved delivery mode ${deliveryMode}: dropped`);
    }
  }

  save(): LapicState {
    return {
      version: 1,
      apicBase: this.#base.value.toString(),
      timer: this.#timer.save(),
      registers: [...this.#registers],
      errors: this.#errors,
      lint: [this.#lint[0], this.#lint[1]],
      externalMessage: this.#externalMessage,
    };
  }

  /** Takes the saved state. Clock and time-stamp counter must have been restored first. */
  restore(state: LapicState): void {
    this.#setBase(BigInt(state.apicBase));
    this.#registers.set(state.registers.slice(0, R.REGISTER_COUNT));
    this.#errors = state.errors;
    this.#lint[0] = state.lint[0];
    this.#lint[1] = state.lint[1];
    this.#externalMessage = state.externalMessage;
    this.#timer.restore(state.timer);
    this.#update();
  }

  // IA32_APIC_BASE.

  #setBase(value: bigint): void {
    if (this.#base.set(value)) this.#processor.apicBaseChanged();
  }

  #writeBase(written: bigint): boolean {
    const value = this.#base.check(written);
    if (value === undefined) return false;
    const wasEnabled = this.#base.enabled;
    const wasX2apic = this.#base.x2apic;
    this.#setBase(value);
    // Disabling loses the state: the next enabling finds the registers as after power-on.
    if (wasEnabled && !this.#base.enabled) this.#resetRegisters();
    // The high half of ICR is not kept on the way to x2APIC mode (section 11.12.5.1).
    if (this.#base.x2apic && !wasX2apic) this.#registers[R.ICR_HIGH] = 0;
    this.#update();
    return true;
  }

  // Registers.

  #resetRegisters(): void {
    this.#registers.fill(0);
    this.#registers[R.ID] = this.#options.initialId << R.XAPIC_ID_SHIFT;
    this.#registers[R.DFR] = 0xffff_ffff;
    this.#registers[R.SVR] = R.SVR_RESET;
    for (const index of this.#lvtEntries) this.#registers[index] = R.LVT_MASKED;
    // The bootstrap processor starts in virtual wire mode, as QEMU and KVM have it and as firmware would set it up.
    if (this.#options.bootstrap) this.#registers[R.LVT_LINT0] = R.DELIVERY_EXTINT << R.LVT_DELIVERY_MODE_SHIFT;
    this.#errors = 0;
    this.#externalMessage = false;
    this.#timer.reset();
  }

  #hasXapicRegister(index: number): boolean {
    switch (index) {
      case R.SELF_IPI:
        return false;
      case R.APR:
      case R.RRD:
      case R.DFR:
      case R.ICR_HIGH:
        return true;
      default:
        return this.#hasX2apicRegister(index);
    }
  }

  #hasX2apicRegister(index: number): boolean {
    return index === R.LVT_CMCI ? this.#options.cmci === true : R.X2APIC_ACCESS.has(index);
  }

  #id(): number {
    return this.#base.x2apic ? this.#options.initialId : this.#registers[R.ID] >>> R.XAPIC_ID_SHIFT;
  }

  /** Logical x2APIC ID, derived from the APIC ID (section 11.12.10.2). */
  #logicalId(): number {
    const id = this.#options.initialId;
    return (((id >>> 4) << 16) | (1 << (id & 0xf))) >>> 0;
  }

  #svrWritable(): number {
    const suppression = this.#options.eoiBroadcastSuppression === true ? R.SVR_SUPPRESS_EOI_BROADCAST : 0;
    return R.SVR_VECTOR | R.SVR_ENABLE | R.SVR_FOCUS_CHECKING | suppression;
  }

  #read(index: number): number {
    switch (index) {
      case R.ID:
        return this.#base.x2apic ? this.#options.initialId : this.#registers[R.ID];
      case R.VERSION:
        return (
          R.VERSION_NUMBER |
          ((this.#lvtEntries.length - 1) << R.VERSION_MAX_LVT_SHIFT) |
          (this.#options.eoiBroadcastSuppression === true ? R.VERSION_EOI_SUPPRESSION : 0)
        );
      case R.PPR:
        return this.processorPriority;
      case R.LDR:
        return this.#base.x2apic ? this.#logicalId() : this.#registers[R.LDR];
      case R.INITIAL_COUNT:
        return this.#timer.initialCount;
      case R.CURRENT_COUNT:
        return this.#timer.currentCount;
      case R.DIVIDE_CONFIGURATION:
        return this.#timer.divideConfiguration;
      default:
        // IRR must show an expiry whose event the machine has not run yet.
        if (index >= R.IRR && index < R.IRR + R.VECTOR_WORDS) this.#timer.settle();
        return this.#registers[index];
    }
  }

  #write(index: number, value: number): void {
    switch (index) {
      case R.ID:
        this.#registers[R.ID] = value & R.XAPIC_ID_MASK;
        break;
      case R.TPR:
        this.#writeTaskPriority(value & 0xff);
        break;
      case R.EOI:
        this.#endOfInterrupt();
        break;
      case R.LDR:
        this.#registers[R.LDR] = value & R.XAPIC_ID_MASK;
        break;
      case R.DFR:
        this.#registers[R.DFR] = value | R.DFR_RESERVED_ONES;
        break;
      case R.SVR:
        this.#writeSpuriousVector(value);
        break;
      case R.ESR:
        // A write shows the errors since the last one and starts anew, whatever is written.
        this.#registers[R.ESR] = this.#errors;
        this.#errors = 0;
        break;
      case R.ICR_HIGH:
        this.#registers[R.ICR_HIGH] = value & R.XAPIC_ID_MASK;
        break;
      case R.INITIAL_COUNT:
        this.#timer.setInitialCount(value);
        break;
      case R.DIVIDE_CONFIGURATION:
        this.#timer.setDivideConfiguration(value & 0xb);
        break;
      default:
        if (this.#lvtEntries.includes(index)) this.#writeLvt(index, value);
    }
  }

  #writeTaskPriority(value: number): void {
    if (this.#registers[R.TPR] === value) return;
    this.#registers[R.TPR] = value;
    this.#update();
  }

  #writeSpuriousVector(value: number): void {
    this.#registers[R.SVR] = value & this.#svrWritable();
    if ((value & R.SVR_ENABLE) !== 0) return;
    // While software-disabled every entry is masked (section 11.4.7.2).
    for (const index of this.#lvtEntries) this.#writeLvt(index, this.#registers[index]);
  }

  #timerModeValid(value: number): boolean {
    const mode = (value & R.LVT_TIMER_MODE) >> R.LVT_TIMER_MODE_SHIFT;
    if (mode === TIMER_TSC_DEADLINE) return this.#options.tscDeadline !== false;
    return mode === TIMER_ONE_SHOT || mode === TIMER_PERIODIC;
  }

  #writeLvt(index: number, value: number): void {
    let entry = value & R.LVT_WRITABLE[index];
    if ((this.#registers[R.SVR] & R.SVR_ENABLE) === 0) entry |= R.LVT_MASKED;
    if (index === R.LVT_TIMER) {
      if (!this.#timerModeValid(entry)) entry &= ~R.LVT_TIMER_MODE;
      this.#timer.configure((entry & R.LVT_TIMER_MODE) >> R.LVT_TIMER_MODE_SHIFT, (entry & R.LVT_MASKED) !== 0);
      this.#registers[index] = entry;
      return;
    }
    // Remote IRR belongs to the level-triggered interrupt that set it.
    if ((entry & R.LVT_LEVEL) !== 0) entry |= this.#registers[index] & R.LVT_REMOTE_IRR;
    this.#registers[index] = entry;
    if (index === R.LVT_LINT0) this.#serviceLintLevel(0);
    if (index === R.LVT_LINT1) this.#serviceLintLevel(1);
    this.#update();
  }

  // Interprocessor interrupts.

  #writeIcr(low: number, high: number): void {
    this.#registers[R.ICR_LOW] = low & R.ICR_WRITABLE;
    this.#registers[R.ICR_HIGH] = high;
    this.#sendInterrupt(low, high);
  }

  #sendInterrupt(low: number, high: number): void {
    const command = decodeInterruptCommand(low, high, this.#base.x2apic);
    switch (command.kind) {
      case 'send':
        this.#options.bus.send(command.message, command.shorthand, this);
        break;
      case 'illegal-vector':
        this.#error(R.ESR_SEND_ILLEGAL_VECTOR);
        break;
      case 'reserved-mode':
        this.#options.log.write('guest-error', `local APIC: IPI with delivery mode ${command.deliveryMode}: dropped`);
        break;
      case 'nothing':
        break;
    }
  }

  // Local interrupts.

  /** Delivers through a local vector table entry, unless it is masked. */
  #deliverLocal(index: number): void {
    const entry = this.#registers[index];
    if ((entry & R.LVT_MASKED) !== 0) return;
    const mode = (entry & R.LVT_DELIVERY_MODE) >> R.LVT_DELIVERY_MODE_SHIFT;
    if (mode !== R.DELIVERY_EXTINT) this.accept(mode, entry & R.LVT_VECTOR, false);
  }

  #setLint(pin: LintPin, level: boolean): void {
    if (this.#lint[pin] === level) return;
    this.#lint[pin] = level;
    if (!this.#base.enabled) {
      // Without its APIC the processor's pins are INTR and NMI (section 11.4.3).
      if (pin === 0) this.#update();
      else if (level) this.#processor.nonMaskableInterrupt();
      return;
    }
    const entry = this.#registers[R.LVT_LINT0 + pin];
    const mode = (entry & R.LVT_DELIVERY_MODE) >> R.LVT_DELIVERY_MODE_SHIFT;
    if (mode === R.DELIVERY_EXTINT) this.#update();
    else if (mode === R.DELIVERY_FIXED && (entry & R.LVT_LEVEL) !== 0) this.#serviceLintLevel(pin);
    else if (level) this.#deliverLocal(R.LVT_LINT0 + pin);
  }

  /** Requests a level-triggered local interrupt that is asserted and not waiting for its EOI. */
  #serviceLintLevel(pin: LintPin): void {
    const index = R.LVT_LINT0 + pin;
    const entry = this.#registers[index];
    if (!this.#lint[pin] || !this.acceptsInterrupts) return;
    if ((entry & (R.LVT_MASKED | R.LVT_REMOTE_IRR | R.LVT_LEVEL | R.LVT_DELIVERY_MODE)) !== R.LVT_LEVEL) return;
    this.#registers[index] = entry | R.LVT_REMOTE_IRR;
    this.#request(entry & R.LVT_VECTOR, true);
  }

  // Acceptance and priority.

  #request(vector: number, levelTriggered: boolean): void {
    if (vector < R.FIRST_LEGAL_VECTOR) {
      this.#error(R.ESR_RECEIVE_ILLEGAL_VECTOR);
      return;
    }
    this.#priorities.request(vector, levelTriggered);
    this.#update();
  }

  #endOfInterrupt(): void {
    const vector = this.#priorities.endOfInterrupt();
    if (vector < 0) return;
    if (this.#priorities.isLevelTriggered(vector)) {
      for (const pin of [0, 1] as const) {
        const index = R.LVT_LINT0 + pin;
        if ((this.#registers[index] & (R.LVT_REMOTE_IRR | R.LVT_VECTOR)) !== (R.LVT_REMOTE_IRR | vector)) continue;
        this.#registers[index] &= ~R.LVT_REMOTE_IRR;
        this.#serviceLintLevel(pin);
      }
      if ((this.#registers[R.SVR] & R.SVR_SUPPRESS_EOI_BROADCAST) === 0) {
        this.#options.bus.broadcastEndOfInterrupt(vector);
      }
    }
    this.#update();
  }

  /** Notes an error; the first of its kind since the last write to ESR interrupts. */
  #error(bit: number): void {
    if ((this.#errors & bit) !== 0) return;
    this.#errors |= bit;
    // The error entry may itself hold an illegal vector.
    if (this.#reportingError) return;
    this.#reportingError = true;
    this.#deliverLocal(R.LVT_ERROR);
    this.#reportingError = false;
  }

  /** Whether the 8259A's INTR, or an ExtINT message, reaches the processor. */
  #externalRequested(): boolean {
    if (this.#externalMessage) return true;
    if (!this.#lint[0]) return false;
    if (!this.#base.enabled) return true;
    const entry = this.#registers[R.LVT_LINT0];
    const externalMode = R.DELIVERY_EXTINT << R.LVT_DELIVERY_MODE_SHIFT;
    return (entry & (R.LVT_MASKED | R.LVT_DELIVERY_MODE)) === externalMode;
  }

  /** Works out {@link pending} and announces a change. */
  #update(): void {
    let pending = this.#priorities.deliverable();
    if (pending === NO_INTERRUPT && this.#externalRequested()) pending = EXTERNAL_INTERRUPT;
    if (pending === this.#pending) return;
    this.#pending = pending;
    this.#processor.interruptChanged();
  }
}
