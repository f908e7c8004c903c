/**
 * High precision event timer, IA-PC HPET specification 1.0a: a 64-bit counter of 10 ns ticks and three comparators, as
 * on QEMU's q35. Routes, capabilities and the treatment of comparators already passed follow QEMU.
 */
import type { Timer, TimerService } from '../../bus/clock.ts';
import type { InterruptLine, MessageSink } from '../../bus/lines.ts';

/** Length of a tick in nanoseconds, and in the femtoseconds the capability register counts. */
export const HPET_TICK = 10;
const FEMTOSECONDS_PER_NANOSECOND = 1_000_000;
export const HPET_TIMERS = 3;

/** Register offsets (table 2). */
const CAPABILITIES = 0x000;
const PERIOD = 0x004;
const CONFIGURATION = 0x010;
const INTERRUPT_STATUS = 0x020;
const COUNTER_LOW = 0x0f0;
const COUNTER_HIGH = 0x0f4;
const TIMER_BASE = 0x100;
const TIMER_STRIDE = 0x20;
const TIMER_CONFIGURATION = 0x00;
const TIMER_ROUTE_CAPABILITIES = 0x04;
const TIMER_COMPARATOR_LOW = 0x08;
const TIMER_COMPARATOR_HIGH = 0x0c;
const TIMER_FSB_VALUE = 0x10;
const TIMER_FSB_ADDRESS = 0x14;

/** Capabilities: vendor 8086, legacy replacement, 64-bit counter, number of the last timer, revision 1. */
const CAPABILITIES_VALUE = 0x8086_0000 + 0x8000 + 0x2000 + ((HPET_TIMERS - 1) << 8) + 0x01;

const CONFIGURATION_ENABLE = 0x1;
const CONFIGURATION_LEGACY_REPLACEMENT = 0x2;

/** Timer configuration and capability bits (table 5). */
const TN_LEVEL = 0x0002;
const TN_INTERRUPT_ENABLE = 0x0004;
const TN_PERIODIC = 0x0008;
const TN_PERIODIC_CAPABLE = 0x0010;
const TN_64_BIT_CAPABLE = 0x0020;
const TN_VALUE_SET = 0x0040;
const TN_32_BIT = 0x0100;
const TN_ROUTE = 0x3e00;
const TN_ROUTE_SHIFT = 9;
const TN_FSB_ENABLE = 0x4000;
const TN_FSB_CAPABLE = 0x8000;
const TN_WRITABLE = TN_LEVEL | TN_INTERRUPT_ENABLE | TN_PERIODIC | TN_VALUE_SET | TN_32_BIT | TN_ROUTE | TN_FSB_ENABLE;

/** I/O APIC pins a comparator may be routed to, as QEMU's q35 has them: 2, 8 and 16 to 23. */
const ROUTES = 0x00ff_0104;

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
    this.#comparators = Array.from({ length: HPET_TIMERS }, (_, index) => ({
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
        TN_PERIODIC_CAPABLE | TN_64_BIT_CAPABLE | (this.#options.messages === undefined ? 0 : TN_FSB_CAPABLE);
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
      case CAPABILITIES:
        return CAPABILITIES_VALUE;
      case PERIOD:
        return HPET_TICK * FEMTOSECONDS_PER_NANOSECOND;
      case CONFIGURATION:
        return this.#configuration;
      case INTERRUPT_STATUS:
        this.#settle();
        return this.#status;
      case COUNTER_LOW:
        return Number(this.#counterNow() & MASK_32);
      case COUNTER_HIGH:
        return Number(this.#counterNow() >> 32n);
      default:
        return this.#readTimer(offset);
    }
  }

  /** Writes the 32-bit register at `offset`, a multiple of 4. Writes to reserved and read-only registers are dropped. */
  write(offset: number, value: number): void {
    this.#settle();
    switch (offset) {
      case CONFIGURATION:
        this.#writeConfiguration(value);
        break;
      case INTERRUPT_STATUS:
        for (const comparator of this.#comparators) {
          if ((value & this.#status & (1 << comparator.index)) !== 0) this.#lower(comparator);
        }
        this.#status &= ~value;
        break;
      case COUNTER_LOW:
        this.#setCounter((this.#counterNow() & ~MASK_32) | BigInt(value));
        break;
      case COUNTER_HIGH:
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
        (saved.configuration & TN_INTERRUPT_ENABLE) !== 0 &&
        (saved.configuration & TN_FSB_ENABLE) === 0 &&
        this.#enabled;
      comparator.raised = held ? this.#route(comparator) : undefined;
      this.#arm(comparator);
    }
  }

  get #enabled(): boolean {
    return (this.#configuration & CONFIGURATION_ENABLE) !== 0;
  }

  get #legacy(): boolean {
    return (this.#configuration & CONFIGURATION_LEGACY_REPLACEMENT) !== 0;
  }

  #counterNow(): bigint {
    if (!this.#enabled) return this.#counter;
    const ticks = Math.floor((this.#time.now() - this.#counterTime) / HPET_TICK);
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
    const after = value & (CONFIGURATION_ENABLE | CONFIGURATION_LEGACY_REPLACEMENT);
    const changed = before ^ after;
    if ((changed & CONFIGURATION_ENABLE) !== 0) {
      this.#counter = this.#counterNow();
      this.#counterTime = this.#time.now();
    }
    if (changed !== 0) for (const comparator of this.#comparators) this.#lower(comparator);
    this.#configuration = after;
    if ((changed & CONFIGURATION_LEGACY_REPLACEMENT) !== 0) {
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
    switch ((offset - TIMER_BASE) % TIMER_STRIDE) {
      case TIMER_CONFIGURATION:
        return comparator.configuration;
      case TIMER_ROUTE_CAPABILITIES:
        return ROUTES;
      case TIMER_COMPARATOR_LOW:
        return Number(comparator.comparator & MASK_32);
      case TIMER_COMPARATOR_HIGH:
        return Number(comparator.comparator >> 32n);
      case TIMER_FSB_VALUE:
        return comparator.fsbValue;
      case TIMER_FSB_ADDRESS:
        return comparator.fsbAddress;
      default:
        return 0;
    }
  }

  #writeTimer(offset: number, value: number): void {
    const comparator = this.#comparatorAt(offset);
    if (comparator === undefined) return;
    switch ((offset - TIMER_BASE) % TIMER_STRIDE) {
      case TIMER_CONFIGURATION:
        this.#writeTimerConfiguration(comparator, value);
        break;
      case TIMER_COMPARATOR_LOW:
        this.#writeComparator(comparator, 0n, value);
        break;
      case TIMER_COMPARATOR_HIGH:
        this.#writeComparator(comparator, 32n, value);
        break;
      case TIMER_FSB_VALUE:
        comparator.fsbValue = value;
        break;
      case TIMER_FSB_ADDRESS:
        comparator.fsbAddress = value;
        break;
    }
  }

  #comparatorAt(offset: number): Comparator | undefined {
    return this.#comparators[Math.floor((offset - TIMER_BASE) / TIMER_STRIDE)];
  }

  #writeTimerConfiguration(comparator: Comparator, value: number): void {
    const before = comparator.configuration;
    let after = (before & ~TN_WRITABLE) | (value & TN_WRITABLE);
    if (this.#options.messages === undefined) after &= ~TN_FSB_ENABLE;
    // A route the hardware does not have is not taken; software finds out by reading back (section 2.3.8).
    if (((ROUTES >>> ((after & TN_ROUTE) >> TN_ROUTE_SHIFT)) & 1) === 0) {
      after = (after & ~TN_ROUTE) | (before & TN_ROUTE);
    }
    this.#lower(comparator);
    comparator.configuration = after;
    comparator.valueSetHigh = false;
    if ((after & TN_LEVEL) === 0) this.#status &= ~(1 << comparator.index);
    if ((after & TN_32_BIT) !== 0) {
      comparator.comparator &= MASK_32;
      comparator.period &= MASK_32;
    }
    if (((after ^ before) & TN_PERIODIC) !== 0) comparator.awaiting = true;
    if ((this.#status & (1 << comparator.index)) !== 0) this.#interrupt(comparator);
    this.#arm(comparator);
  }

  /**
   * Writes half a comparator. In periodic mode that is the period, and with "value set" also the next match; the bit
   * falls with the low half but still covers the high half that follows in a 64-bit write.
   */
  #writeComparator(comparator: Comparator, shift: bigint, value: number): void {
    const wide = (comparator.configuration & TN_32_BIT) === 0;
    if (!wide && shift !== 0n) return;
    const replace = (old: bigint) => (old & ~(MASK_32 << shift)) | (BigInt(value) << shift);
    const periodic = (comparator.configuration & TN_PERIODIC) !== 0;
    const valueSet = (comparator.configuration & TN_VALUE_SET) !== 0 || (shift !== 0n && comparator.valueSetHigh);
    if (!periodic || valueSet) comparator.comparator = replace(comparator.comparator);
    if (periodic) comparator.period = replace(comparator.period);
    comparator.configuration &= ~TN_VALUE_SET;
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
    if ((comparator.configuration & TN_32_BIT) === 0) {
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
    return (comparator.configuration & TN_PERIODIC) !== 0 && comparator.period !== 0n;
  }

  #arm(comparator: Comparator): void {
    const ticks = this.#enabled ? this.#ticksToEvent(comparator) : undefined;
    if (ticks === undefined || ticks > FAR_AWAY) {
      comparator.timer.disarm();
      return;
    }
    const now = this.#time.now();
    // The counter stands since the last whole tick, not since now.
    const deadline = now - ((now - this.#counterTime) % HPET_TICK) + Number(ticks) * HPET_TICK;
    const tooShort = this.#repeats(comparator) && comparator.period < BigInt(SHORTEST_PERIOD / HPET_TICK);
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
    const wide = (comparator.configuration & TN_32_BIT) === 0;
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
    if ((comparator.configuration & TN_LEVEL) !== 0) this.#status |= 1 << comparator.index;
    this.#interrupt(comparator);
    this.#arm(comparator);
  }

  /** Raises the comparator's interrupt, where the comparator and the whole block allow it. */
  #interrupt(comparator: Comparator): void {
    if (!this.#enabled || (comparator.configuration & TN_INTERRUPT_ENABLE) === 0) return;
    if ((comparator.configuration & TN_FSB_ENABLE) !== 0) {
      this.#options.messages?.write(comparator.fsbAddress, comparator.fsbValue);
      return;
    }
    const line = this.#route(comparator);
    line?.set(true);
    if ((comparator.configuration & TN_LEVEL) !== 0) comparator.raised = line;
    else line?.set(false);
  }

  #route(comparator: Comparator): InterruptLine | undefined {
    if (this.#legacy && comparator.index === 0) return this.#options.irq0;
    if (this.#legacy && comparator.index === 1) return this.#options.irq8;
    return this.#options.pins[(comparator.configuration & TN_ROUTE) >> TN_ROUTE_SHIFT];
  }

  #lower(comparator: Comparator): void {
    const line = comparator.raised;
    comparator.raised = undefined;
    line?.set(false);
  }
}
