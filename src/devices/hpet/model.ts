/**
 * High precision event timer, IA-PC HPET specification 1.0a: a 64-bit counter of 10 ns ticks and three comparators, as
 * on QEMU's q35. Routes, capabilities and the treatment of comparators already passed follow QEMU.
 */
import type { Timer, TimerService } from '../../bus/clock.ts';
import type { InterruptLine, MessageSink } from '../../bus/lines.ts';
import * as R from './registers.ts';

const MASK_32 = 0xffff_ffffn;
const RANGE_32 = 0x1_0000_0000n;
const ALL_ONES_64 = 0xffff_ffff_ffff_ffffn;
/** Deadlines further away than this many ticks (about 130 days) are never reached: the clock ends before. */
const FAR_AWAY = 1n << 50n;
/** A comparator with a shorter period interrupts this often, in nanoseconds; the guest could not serve more. */
const SHORTEST_PERIOD = 10_000;

/** Saved registers of one comparator; 64-bit values in decimal. */
export interface HpetTimerState {
  configuration: number;
  comparator: string;
  period: string;
  fsbValue: number;
  fsbAddress: number;
  /** Set where the high half of the comparator still belongs to a "value set" write. */
  valueSetHigh: boolean;
  /** Set while a match is awaited: a one-shot comparator matches once. */
  awaiting: boolean;
}

/** Saved state. */
export interface HpetState {
  version: 1;
  configuration: number;
  status: number;
  counter: string;
  /** Nanoseconds since power-on at which the counter had that value. */
  counterTime: number;
  timers: HpetTimerState[];
  pitLevel: boolean;
  rtcLevel: boolean;
}

/** Where the interrupts go. */
export interface HpetOptions {
  time: TimerService;
  /** ISA IRQ0: the 8254's output, or comparator 0 in legacy replacement mode. */
  irq0: InterruptLine;
  /** ISA IRQ8: the RTC's output, or comparator 1 in legacy replacement mode. */
  irq8: InterruptLine;
  /** Inputs of the I/O APIC by pin, for the other routes. */
  pins: readonly InterruptLine[];
  /** Delivers FSB interrupts. Where absent, the comparators do not offer them (as QEMU does by default). */
  messages?: MessageSink;
}

/** One comparator's registers. */
interface Comparator {
  readonly index: number;
  readonly timer: Timer;
  configuration: number;
  comparator: bigint;
  period: bigint;
  fsbValue: number;
  fsbAddress: number;
  valueSetHigh: boolean;
  awaiting: boolean;
  /** The line this comparator holds high in level mode. */
  raised: InterruptLine | undefined;
}

export class Hpet {
  readonly #options: HpetOptions;
  readonly #time: TimerService;
  readonly #comparators: readonly Comparator[];
  #configuration = 0;
  #status = 0;
  /** Value of the main counter at `#counterTime`; while halted, its value. */
  #counter = 0n;
  #counterTime = 0;
  #pitLevel = false;
  #rtcLevel = false;

  /** The 8254's OUT0: reaches IRQ0 while legacy replacement is off. */
  readonly pitInput: InterruptLine = {
    set: (level) => {
      this.#pitLevel = level;
      if (!this.#legacy) this.#options.irq0.set(level);
    },
  };

  /** The real-time clock's IRQ: reaches IRQ8 while legacy replacement is off. */
  readonly rtcInput: InterruptLine = {
    set: (level) => {
      this.#rtcLevel = level;
      if (!this.#legacy) this.#options.irq8.set(level);
    },
  };

  constructor(options: HpetOptions) {
    this.#options = options;
    this.#time = options.time;
    this.#comparators = Array.from({ length: R.HPET_TIMERS }, (_, index) => ({
      index,
      timer: options.time.timer(`hpet ${index}`, () => this.#matched(this.#comparators[index])),
      configuration: 0,
      comparator: ALL_ONES_64,
      period: 0n,
      fsbValue: 0,
      fsbAddress: 0,
      valueSetHigh: false,
      awaiting: false,
      raised: undefined,
    }));
    this.reset();
  }

  /** Back to power-on: counter halted at 0, legacy replacement off. */
  reset(): void {
    this.#writeConfiguration(0);
    this.#status = 0;
    this.#counter = 0n;
    for (const comparator of this.#comparators) {
      this.#lower(comparator);
      comparator.timer.disarm();
      comparator.configuration =
        R.TN_PERIODIC_CAPABLE | R.TN_64_BIT_CAPABLE | (this.#options.messages === undefined ? 0 : R.TN_FSB_CAPABLE);
      comparator.comparator = ALL_ONES_64;
      comparator.period = 0n;
      comparator.fsbValue = 0;
      comparator.fsbAddress = 0;
      comparator.valueSetHigh = false;
      comparator.awaiting = true;
    }
  }

  /** Reads the 32-bit register at `offset`, a multiple of 4. Reserved registers read zero. */
  read(offset: number): number {
    switch (offset) {
      case R.CAPABILITIES:
        return R.CAPABILITIES_VALUE;
      case R.PERIOD:
        return R.PERIOD_VALUE;
      case R.CONFIGURATION:
        return this.#configuration;
      case R.INTERRUPT_STATUS:
        this.#settle();
        return this.#status;
      case R.COUNTER_LOW:
        return Number(this.#counterNow() & MASK_32);
      case R.COUNTER_HIGH:
        return Number(this.#counterNow() >> 32n);
      default:
        return this.#readTimer(offset);
    }
  }

  /** Writes the 32-bit register at `offset`, a multiple of 4. Writes to reserved and read-only registers are dropped. */
  write(offset: number, value: number): void {
    this.#settle();
    switch (offset) {
      case R.CONFIGURATION:
        this.#writeConfiguration(value);
        break;
      case R.INTERRUPT_STATUS:
        for (const comparator of this.#comparators) {
          if ((value & this.#status & (1 << comparator.index)) !== 0) this.#lower(comparator);
        }
        this.#status &= ~value;
        break;
      case R.COUNTER_LOW:
        this.#setCounter((this.#counterNow() & ~MASK_32) | BigInt(value));
        break;
      case R.COUNTER_HIGH:
        this.#setCounter((this.#counterNow() & MASK_32) | (BigInt(value) << 32n));
        break;
      default:
        this.#writeTimer(offset, value);
    }
  }

  save(): HpetState {
    this.#settle();
    return {
      version: 1,
      configuration: this.#configuration,
      status: this.#status,
      counter: this.#counter.toString(),
      counterTime: this.#counterTime,
      timers: this.#comparators.map((comparator) => ({
        configuration: comparator.configuration,
        comparator: comparator.comparator.toString(),
        period: comparator.period.toString(),
        fsbValue: comparator.fsbValue,
        fsbAddress: comparator.fsbAddress,
        valueSetHigh: comparator.valueSetHigh,
        awaiting: comparator.awaiting,
      })),
      pitLevel: this.#pitLevel,
      rtcLevel: this.#rtcLevel,
    };
  }

  /** Takes the saved registers. The clock must have been restored first; receivers restore the levels of their lines. */
  restore(state: HpetState): void {
    this.#configuration = state.configuration;
    this.#status = state.status;
    this.#counter = BigInt(state.counter);
    this.#counterTime = state.counterTime;
    this.#pitLevel = state.pitLevel;
    this.#rtcLevel = state.rtcLevel;
    for (const comparator of this.#comparators) {
      const saved = state.timers[comparator.index];
      comparator.configuration = saved.configuration;
      comparator.comparator = BigInt(saved.comparator);
      comparator.period = BigInt(saved.period);
      comparator.fsbValue = saved.fsbValue;
      comparator.fsbAddress = saved.fsbAddress;
      comparator.valueSetHigh = saved.valueSetHigh;
      comparator.awaiting = saved.awaiting;
      const held =
        (this.#status & (1 << comparator.index)) !== 0 &&
        (saved.configuration & R.TN_INTERRUPT_ENABLE) !== 0 &&
        (saved.configuration & R.TN_FSB_ENABLE) === 0 &&
        this.#enabled;
      comparator.raised = held ? this.#route(comparator) : undefined;
      this.#arm(comparator);
    }
  }

  get #enabled(): boolean {
    return (this.#configuration & R.CONFIGURATION_ENABLE) !== 0;
  }

  get #legacy(): boolean {
    return (this.#configuration & R.CONFIGURATION_LEGACY_REPLACEMENT) !== 0;
  }

  #counterNow(): bigint {
    if (!this.#enabled) return this.#counter;
    const ticks = Math.floor((this.#time.now() - this.#counterTime) / R.HPET_TICK);
    return BigInt.asUintN(64, this.#counter + BigInt(ticks));
  }

  /** The specification wants the counter halted for this; written while it runs, it goes on from the new value. */
  #setCounter(value: bigint): void {
    this.#counter = value;
    this.#counterTime = this.#time.now();
    for (const comparator of this.#comparators) {
      comparator.awaiting = true;
      this.#arm(comparator);
    }
  }

  #writeConfiguration(value: number): void {
    const before = this.#configuration;
    const after = value & (R.CONFIGURATION_ENABLE | R.CONFIGURATION_LEGACY_REPLACEMENT);
    const changed = before ^ after;
    if ((changed & R.CONFIGURATION_ENABLE) !== 0) {
      this.#counter = this.#counterNow();
      this.#counterTime = this.#time.now();
    }
    if (changed !== 0) for (const comparator of this.#comparators) this.#lower(comparator);
    this.#configuration = after;
    if ((changed & R.CONFIGURATION_LEGACY_REPLACEMENT) !== 0) {
      this.#options.irq0.set(!this.#legacy && this.#pitLevel);
      this.#options.irq8.set(!this.#legacy && this.#rtcLevel);
    }
    if (changed === 0) return;
    for (const comparator of this.#comparators) {
      if ((this.#status & (1 << comparator.index)) !== 0) this.#interrupt(comparator);
      this.#arm(comparator);
    }
  }

  #readTimer(offset: number): number {
    const comparator = this.#comparatorAt(offset);
    if (comparator === undefined) return 0;
    this.#settle();
    switch ((offset - R.TIMER_BASE) % R.TIMER_STRIDE) {
      case R.TIMER_CONFIGURATION:
        return comparator.configuration;
      case R.TIMER_ROUTE_CAPABILITIES:
        return R.ROUTES;
      case R.TIMER_COMPARATOR_LOW:
        return Number(comparator.comparator & MASK_32);
      case R.TIMER_COMPARATOR_HIGH:
        return Number(comparator.comparator >> 32n);
      case R.TIMER_FSB_VALUE:
        return comparator.fsbValue;
      case R.TIMER_FSB_ADDRESS:
        return comparator.fsbAddress;
      default:
        return 0;
    }
  }

  #writeTimer(offset: number, value: number): void {
    const comparator = this.#comparatorAt(offset);
    if (comparator === undefined) return;
    switch ((offset - R.TIMER_BASE) % R.TIMER_STRIDE) {
      case R.TIMER_CONFIGURATION:
        this.#writeTimerConfiguration(comparator, value);
        break;
      case R.TIMER_COMPARATOR_LOW:
        this.#writeComparator(comparator, 0n, value);
        break;
      case R.TIMER_COMPARATOR_HIGH:
        this.#writeComparator(comparator, 32n, value);
        break;
      case R.TIMER_FSB_VALUE:
        comparator.fsbValue = value;
        break;
      case R.TIMER_FSB_ADDRESS:
        comparator.fsbAddress = value;
        break;
    }
  }

  #comparatorAt(offset: number): Comparator | undefined {
    return this.#comparators[Math.floor((offset - R.TIMER_BASE) / R.TIMER_STRIDE)];
  }

  #writeTimerConfiguration(comparator: Comparator, value: number): void {
    const before = comparator.configuration;
    let after = (before & ~R.TN_WRITABLE) | (value & R.TN_WRITABLE);
    if (this.#options.messages === undefined) after &= ~R.TN_FSB_ENABLE;
    // A route the hardware does not have is not taken; software finds out by reading back (section 2.3.8).
    if (((R.ROUTES >>> ((after & R.TN_ROUTE) >> R.TN_ROUTE_SHIFT)) & 1) === 0) {
      after = (after & ~R.TN_ROUTE) | (before & R.TN_ROUTE);
    }
    this.#lower(comparator);
    comparator.configuration = after;
    comparator.valueSetHigh = false;
    if ((after & R.TN_LEVEL) === 0) this.#status &= ~(1 << comparator.index);
    if ((after & R.TN_32_BIT) !== 0) {
      comparator.comparator &= MASK_32;
      comparator.period &= MASK_32;
    }
    if (((after ^ before) & R.TN_PERIODIC) !== 0) comparator.awaiting = true;
    if ((this.#status & (1 << comparator.index)) !== 0) this.#interrupt(comparator);
    this.#arm(comparator);
  }

  /**
   * Writes half a comparator. In periodic mode that is the period, and with "value set" also the next match; the bit
   * falls with the low half but still covers the high half that follows in a 64-bit write.
   */
  #writeComparator(comparator: Comparator, shift: bigint, value: number): void {
    const wide = (comparator.configuration & R.TN_32_BIT) === 0;
    if (!wide && shift !== 0n) return;
    const replace = (old: bigint) => (old & ~(MASK_32 << shift)) | (BigInt(value) << shift);
    const periodic = (comparator.configuration & R.TN_PERIODIC) !== 0;
    const valueSet = (comparator.configuration & R.TN_VALUE_SET) !== 0 || (shift !== 0n && comparator.valueSetHigh);
    if (!periodic || valueSet) comparator.comparator = replace(comparator.comparator);
    if (periodic) comparator.period = replace(comparator.period);
    comparator.configuration &= ~R.TN_VALUE_SET;
    comparator.valueSetHigh = shift === 0n && valueSet;
    comparator.awaiting = true;
    // A 64-bit one-shot comparator that has been passed already matches at once. Only the high half decides that:
    // between the halves the value means nothing.
    const late = BigInt.asIntN(64, comparator.comparator - this.#counterNow()) <= 0n;
    if (this.#enabled && wide && !periodic && shift !== 0n && late) this.#matched(comparator);
    else this.#arm(comparator);
  }

  /** Ticks until the comparator's next event, or `undefined` where there is none. */
  #ticksToEvent(comparator: Comparator): bigint | undefined {
    if (!comparator.awaiting) return undefined;
    const counter = this.#counterNow();
    if ((comparator.configuration & R.TN_32_BIT) === 0) {
      const ticks = comparator.comparator - counter;
      return ticks > 0n ? ticks : undefined;
    }
    const ticks = BigInt.asUintN(32, comparator.comparator - counter) || RANGE_32;
    if (this.#repeats(comparator)) return ticks;
    // A 32-bit one-shot also interrupts when the counter wraps (section 2.3.9.2.1).
    const wrap = RANGE_32 - (counter & MASK_32);
    return wrap < ticks ? wrap : ticks;
  }

  #repeats(comparator: Comparator): boolean {
    return (comparator.configuration & R.TN_PERIODIC) !== 0 && comparator.period !== 0n;
  }

  #arm(comparator: Comparator): void {
    const ticks = this.#enabled ? this.#ticksToEvent(comparator) : undefined;
    if (ticks === undefined || ticks > FAR_AWAY) {
      comparator.timer.disarm();
      return;
    }
    const now = this.#time.now();
    // The counter stands since the last whole tick, not since now.
    const deadline = now - ((now - this.#counterTime) % R.HPET_TICK) + Number(ticks) * R.HPET_TICK;
    const tooShort = this.#repeats(comparator) && comparator.period < BigInt(SHORTEST_PERIOD / R.HPET_TICK);
    comparator.timer.arm(tooShort ? Math.max(deadline, now + SHORTEST_PERIOD) : deadline);
  }

  /** Delivers matches that are due but have not been run yet. */
  #settle(): void {
    const now = this.#time.now();
    for (const comparator of this.#comparators) {
      const deadline = comparator.timer.deadline;
      if (deadline !== undefined && deadline <= now) this.#matched(comparator);
    }
  }

  #matched(comparator: Comparator): void {
    comparator.timer.disarm();
    const wide = (comparator.configuration & R.TN_32_BIT) === 0;
    const bits = wide ? 64 : 32;
    const counter = BigInt.asUintN(bits, this.#counterNow());
    if (this.#repeats(comparator)) {
      // The next match after now, on the grid of the period: nothing drifts, missed matches fall together.
      const behind = BigInt.asIntN(bits, counter - comparator.comparator);
      const periods = behind < 0n ? 0n : behind / comparator.period + 1n;
      comparator.comparator = BigInt.asUintN(bits, comparator.comparator + periods * comparator.period);
    } else {
      comparator.awaiting = !wide && BigInt.asIntN(32, counter - comparator.comparator) < 0n;
    }
    if ((comparator.configuration & R.TN_LEVEL) !== 0) this.#status |= 1 << comparator.index;
    this.#interrupt(comparator);
    this.#arm(comparator);
  }

  /** Raises the comparator's interrupt, where the comparator and the whole block allow it. */
  #interrupt(comparator: Comparator): void {
    if (!this.#enabled || (comparator.configuration & R.TN_INTERRUPT_ENABLE) === 0) return;
    if ((comparator.configuration & R.TN_FSB_ENABLE) !== 0) {
      this.#options.messages?.write(comparator.fsbAddress, comparator.fsbValue);
      return;
    }
    const line = this.#route(comparator);
    line?.set(true);
    if ((comparator.configuration & R.TN_LEVEL) !== 0) comparator.raised = line;
    else line?.set(false);
  }

  #route(comparator: Comparator): InterruptLine | undefined {
    if (this.#legacy && comparator.index === 0) return this.#options.irq0;
    if (this.#legacy && comparator.index === 1) return this.#options.irq8;
    return this.#options.pins[(comparator.configuration & R.TN_ROUTE) >> R.TN_ROUTE_SHIFT];
  }

  #lower(comparator: Comparator): void {
    const line = comparator.raised;
    comparator.raised = undefined;
    line?.set(false);
  }
}
