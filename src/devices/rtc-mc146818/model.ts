/**
 * Motorola MC146818 real-time clock with 128 bytes of CMOS RAM and the century byte of a PC.
 *
 * Time and flags are worked out when something looks at them; a timer runs only for an interrupt that is enabled and
 * not yet requested. Timing of the update cycle follows QEMU: UIP for the last 244 us of a second.
 */
import type { Timer, TimerService } from '../../bus/clock.ts';
import type { InterruptLine } from '../../bus/lines.ts';
import { Oscillator } from '../../bus/scheduler.ts';
import { fromCalendar, toCalendar } from './calendar.ts';

const NANOSECONDS_PER_SECOND = 1_000_000_000;
const SECONDS_PER_DAY = 86_400;
const RAM_SIZE = 128;

/** Time, alarm and control registers (MC146818 data sheet, figures 9 to 16). */
const SECONDS = 0x00;
const SECONDS_ALARM = 0x01;
const MINUTES = 0x02;
const MINUTES_ALARM = 0x03;
const HOURS = 0x04;
const HOURS_ALARM = 0x05;
const DAY_OF_WEEK = 0x06;
const DAY_OF_MONTH = 0x07;
const MONTH = 0x08;
const YEAR = 0x09;
const REGISTER_A = 0x0a;
const REGISTER_B = 0x0b;
const REGISTER_C = 0x0c;
const REGISTER_D = 0x0d;
/** Century in CMOS RAM; the ACPI FADT names this index. */
export const CENTURY = 0x32;
/** Where the IBM PS/2 keeps the century; the same byte. */
const CENTURY_PS2 = 0x37;
const TIME_REGISTERS: readonly number[] = [SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY_OF_MONTH, MONTH, YEAR, CENTURY];

const A_UPDATE_IN_PROGRESS = 0x80;
const A_DIVIDER = 0x70;
/** Divider selections up to this one (32.768 kHz) count; the others hold the divider chain in reset. */
const A_DIVIDER_32768_HZ = 0x20;
const A_RATE = 0x0f;
const B_SET = 0x80;
const B_PERIODIC_INTERRUPT = 0x40;
const B_ALARM_INTERRUPT = 0x20;
const B_UPDATE_INTERRUPT = 0x10;
const B_SQUARE_WAVE = 0x08;
const B_BINARY = 0x04;
const B_24_HOURS = 0x02;
const C_INTERRUPT_REQUEST = 0x80;
/** PF, AF and UF stand where B has their enable bits. */
const C_PERIODIC = B_PERIODIC_INTERRUPT;
const C_ALARM = B_ALARM_INTERRUPT;
const C_UPDATE = B_UPDATE_INTERRUPT;
const C_FLAGS = C_PERIODIC | C_ALARM | C_UPDATE;
const D_VALID_RAM_AND_TIME = 0x80;

/** Bit 7 of the index port masks NMI. */
const INDEX_NMI_MASK = 0x80;
const INDEX_MASK = 0x7f;
const HOURS_PM = 0x80;
/** An alarm byte with both top bits set matches everything. */
const ALARM_ANY = 0xc0;

/** UIP is set this long before the update (t_BUC). */
const UPDATE_WARNING = 244_000;
/** The first update comes this long after the divider chain is released. */
const FIRST_UPDATE = NANOSECONDS_PER_SECOND / 2;

/** Crystal that the periodic rates divide. */
const CRYSTAL_HERTZ = 32_768;

/** Saved state. Times are nanoseconds since power-on. */
export interface RtcMc146818State {
  version: 1;
  ram: number[];
  index: number;
  nmiMasked: boolean;
  flags: number;
  /** Unix second that began at `secondStart`. */
  second: number;
  secondStart: number;
  flagsTime: number;
  irqLevel: boolean;
}

/** What the clock is given. */
export interface RtcMc146818Options {
  time: TimerService;
  /** IRQ8. */
  irq: InterruptLine;
  /** Unix seconds at power-on, in whatever time zone the guest expects of its hardware clock. */
  epochSeconds: number;
  /** Follows the NMI mask bit of the index port. */
  nmiMask?: (masked: boolean) => void;
}

export class RtcMc146818 {
  readonly #time: TimerService;
  readonly #irq: InterruptLine;
  readonly #nmiMask: (masked: boolean) => void;
  readonly #timer: Timer;
  readonly #crystal = new Oscillator(CRYSTAL_HERTZ);
  readonly #ram = new Uint8Array(RAM_SIZE);
  #index = 0;
  #nmiMasked = false;
  /** PF, AF and UF up to `#flagsTime`. */
  #flags = 0;
  #flagsTime: number;
  #second: number;
  #secondStart: number;
  #irqLevel = false;

  constructor(options: RtcMc146818Options) {
    this.#time = options.time;
    this.#irq = options.irq;
    this.#nmiMask = options.nmiMask ?? (() => {});
    this.#timer = options.time.timer('rtc-mc146818', () => this.#refresh());
    this.#second = Math.floor(options.epochSeconds);
    this.#secondStart = options.time.now();
    this.#flagsTime = options.time.now();
    this.#ram[REGISTER_A] = A_DIVIDER_32768_HZ | 6;
    this.#ram[REGISTER_B] = B_24_HOURS;
  }

  /** Whether port 0x70 masks NMI. */
  get nmiMasked(): boolean {
    return this.#nmiMasked;
  }

  /** Takes a byte written to the index port 0x70. */
  writeIndex(value: number): void {
    const index = value & INDEX_MASK;
    this.#index = index === CENTURY_PS2 ? CENTURY : index;
    const masked = (value & INDEX_NMI_MASK) !== 0;
    if (masked === this.#nmiMasked) return;
    this.#nmiMasked = masked;
    this.#nmiMask(masked);
  }

  /** Reads the selected register, as port 0x71 does. */
  readData(): number {
    return this.read(this.#index);
  }

  /** Writes the selected register, as port 0x71 does. */
  writeData(value: number): void {
    this.write(this.#index, value & 0xff);
  }

  /** Sets a byte of CMOS RAM for the firmware, before the guest runs; clock registers are not changed. */
  setRam(index: number, value: number): void {
    if (index <= REGISTER_D || index >= RAM_SIZE) throw new RangeError(`CMOS byte ${index} is not plain RAM`);
    this.#ram[index] = value;
  }

  /** Reads a register, 0 to 127. */
  read(index: number): number {
    switch (index) {
      case REGISTER_A:
        return (this.#ram[REGISTER_A] & ~A_UPDATE_IN_PROGRESS) | (this.#updateInProgress() ? A_UPDATE_IN_PROGRESS : 0);
      case REGISTER_C: {
        this.#refresh();
        const value = this.#flags | (this.#irqLevel ? C_INTERRUPT_REQUEST : 0);
        this.#flags = 0;
        this.#refresh();
        return value;
      }
      case REGISTER_D:
        return D_VALID_RAM_AND_TIME;
      default:
        if (TIME_REGISTERS.includes(index) && this.#running()) this.#storeTime();
        return this.#ram[index];
    }
  }

  /** Writes a register, 0 to 127. */
  write(index: number, value: number): void {
    switch (index) {
      case REGISTER_A:
        this.#changeControl(() => {
          this.#ram[REGISTER_A] = value & ~A_UPDATE_IN_PROGRESS;
        });
        break;
      case REGISTER_B:
        this.#changeControl(() => {
          // SET stops updates and with them the update-ended interrupt.
          this.#ram[REGISTER_B] = (value & B_SET) !== 0 ? value & ~B_UPDATE_INTERRUPT : value;
        });
        break;
      case REGISTER_C:
      case REGISTER_D:
        break;
      case SECONDS_ALARM:
      case MINUTES_ALARM:
      case HOURS_ALARM:
        this.#refresh();
        this.#ram[index] = value;
        this.#refresh();
        break;
      default:
        if (TIME_REGISTERS.includes(index) && this.#running()) {
          this.#refresh();
          this.#storeTime();
          this.#ram[index] = value;
          this.#loadTime();
          this.#refresh();
        } else {
          this.#ram[index] = value;
        }
    }
  }

  /** The RESET pin: interrupts off, flags clear; time and RAM stay. */
  reset(): void {
    this.#refresh();
    this.#ram[REGISTER_B] &= ~(B_PERIODIC_INTERRUPT | B_ALARM_INTERRUPT | B_UPDATE_INTERRUPT | B_SQUARE_WAVE);
    this.#flags = 0;
    this.#refresh();
    this.writeIndex(0);
  }

  save(): RtcMc146818State {
    this.#refresh();
    return {
      version: 1,
      ram: [...this.#ram],
      index: this.#index,
      nmiMasked: this.#nmiMasked,
      flags: this.#flags,
      second: this.#second,
      secondStart: this.#secondStart,
      flagsTime: this.#flagsTime,
      irqLevel: this.#irqLevel,
    };
  }

  /** Takes the saved registers. The clock must have been restored first; IRQ8's receiver restores its own level. */
  restore(state: RtcMc146818State): void {
    this.#ram.set(state.ram.slice(0, RAM_SIZE));
    this.#index = state.index & INDEX_MASK;
    this.#nmiMasked = state.nmiMasked;
    this.#flags = state.flags & C_FLAGS;
    this.#second = state.second;
    this.#secondStart = state.secondStart;
    this.#flagsTime = state.flagsTime;
    this.#irqLevel = state.irqLevel;
    this.#arm();
  }

  /** Whether the time registers are being updated. */
  #running(): boolean {
    return (this.#ram[REGISTER_B] & B_SET) === 0 && (this.#ram[REGISTER_A] & A_DIVIDER) <= A_DIVIDER_32768_HZ;
  }

  #updateInProgress(): boolean {
    if (!this.#running()) return false;
    const phase = (this.#time.now() - this.#secondStart) % NANOSECONDS_PER_SECOND;
    return phase >= NANOSECONDS_PER_SECOND - UPDATE_WARNING;
  }

  /** Unix second shown at `time`. */
  #secondAt(time: number): number {
    return this.#second + Math.floor((time - this.#secondStart) / NANOSECONDS_PER_SECOND);
  }

  /** Changes A or B; stops or starts the time registers where that follows. */
  #changeControl(change: () => void): void {
    this.#refresh();
    const wasRunning = this.#running();
    const wasDividing = (this.#ram[REGISTER_A] & A_DIVIDER) <= A_DIVIDER_32768_HZ;
    if (wasRunning) this.#storeTime();
    change();
    const divides = (this.#ram[REGISTER_A] & A_DIVIDER) <= A_DIVIDER_32768_HZ;
    if (divides && !wasDividing) this.#secondStart = this.#time.now() - FIRST_UPDATE;
    if (!wasRunning && this.#running()) this.#loadTime();
    this.#refresh();
  }

  /** Copies the time into the registers, in the format register B selects. */
  #storeTime(): void {
    const time = toCalendar(this.#secondAt(this.#time.now()));
    this.#ram[SECONDS] = this.#encode(time.second);
    this.#ram[MINUTES] = this.#encode(time.minute);
    if ((this.#ram[REGISTER_B] & B_24_HOURS) !== 0) this.#ram[HOURS] = this.#encode(time.hour);
    else this.#ram[HOURS] = this.#encode(time.hour % 12 || 12) | (time.hour >= 12 ? HOURS_PM : 0);
    this.#ram[DAY_OF_WEEK] = this.#encode(time.weekday + 1);
    this.#ram[DAY_OF_MONTH] = this.#encode(time.day);
    this.#ram[MONTH] = this.#encode(time.month);
    this.#ram[YEAR] = this.#encode(time.year % 100);
    this.#ram[CENTURY] = this.#encode(Math.floor(time.year / 100) % 100);
  }

  /** Sets the clock from the registers. The divider chain, and so the moment of the next update, is not touched. */
  #loadTime(): void {
    const now = this.#time.now();
    this.#secondStart = now - ((now - this.#secondStart) % NANOSECONDS_PER_SECOND);
    this.#second = fromCalendar({
      second: this.#decode(this.#ram[SECONDS]),
      minute: this.#decode(this.#ram[MINUTES]),
      hour: this.#decodeHours(this.#ram[HOURS]),
      day: this.#decode(this.#ram[DAY_OF_MONTH]),
      month: this.#decode(this.#ram[MONTH]),
      year: this.#decode(this.#ram[CENTURY]) * 100 + this.#decode(this.#ram[YEAR]),
    });
  }

  #encode(value: number): number {
    return (this.#ram[REGISTER_B] & B_BINARY) !== 0 ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #decode(value: number): number {
    return (this.#ram[REGISTER_B] & B_BINARY) !== 0 ? value : (value >> 4) * 10 + (value & 15);
  }

  #decodeHours(value: number): number {
    if ((this.#ram[REGISTER_B] & B_24_HOURS) !== 0) return this.#decode(value);
    const hour = this.#decode(value & ~HOURS_PM) % 12;
    return (value & HOURS_PM) !== 0 ? hour + 12 : hour;
  }

  /** Brings the flags up to now, drives IRQ8 and arms the timer for the next enabled event. */
  #refresh(): void {
    const from = this.#flagsTime;
    const now = this.#time.now();
    this.#flagsTime = now;
    if (now > from) {
      const period = this.#periodTicks();
      if (period !== 0 && this.#periodAt(now, period) > this.#periodAt(from, period)) this.#flags |= C_PERIODIC;
      if (this.#running()) {
        const before = this.#secondAt(from);
        const second = this.#secondAt(now);
        if (second > before) {
          this.#flags |= C_UPDATE;
          const wait = this.#secondsToAlarm(before);
          if (wait !== undefined && before + wait <= second) this.#flags |= C_ALARM;
        }
      }
    }
    const level = (this.#flags & this.#ram[REGISTER_B] & C_FLAGS) !== 0;
    if (level !== this.#irqLevel) {
      this.#irqLevel = level;
      this.#irq.set(level);
    }
    this.#arm();
  }

  /** Arms the timer for the first event that is enabled and whose flag is not set already. */
  #arm(): void {
    const awaited = this.#ram[REGISTER_B] & ~this.#flags;
    const now = this.#flagsTime;
    let next = Infinity;
    const period = this.#periodTicks();
    if ((awaited & B_PERIODIC_INTERRUPT) !== 0 && period !== 0) {
      next = this.#crystal.timeOf((this.#periodAt(now, period) + 1) * period);
    }
    if (this.#running()) {
      const second = this.#secondAt(now);
      const startOf = (later: number) => this.#secondStart + (later - this.#second) * NANOSECONDS_PER_SECOND;
      if ((awaited & B_UPDATE_INTERRUPT) !== 0) next = Math.min(next, startOf(second + 1));
      const wait = (awaited & B_ALARM_INTERRUPT) !== 0 ? this.#secondsToAlarm(second) : undefined;
      if (wait !== undefined) next = Math.min(next, startOf(second + wait));
    }
    if (next === Infinity) this.#timer.disarm();
    else this.#timer.arm(next);
  }

  /** Crystal cycles of the periodic rate, 0 for none (data sheet, table 5). */
  #periodTicks(): number {
    const rate = this.#ram[REGISTER_A] & A_RATE;
    if (rate === 0) return 0;
    // Rates 1 and 2 repeat 8 and 9 with this crystal.
    return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
  }

  /** Whole periods since power-on. */
  #periodAt(time: number, period: number): number {
    return Math.floor(this.#crystal.ticksAt(time) / period);
  }

  /** Seconds from `second` to the next one that matches the alarm, 1 to 86400; `undefined` if none ever does. */
  #secondsToAlarm(second: number): number | undefined {
    const start = ((second % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY;
    const matches = (raw: number, value: number, decoded: number) =>
      (raw & ALARM_ANY) === ALARM_ANY || decoded === value;
    const hours = this.#ram[HOURS_ALARM];
    const minutes = this.#ram[MINUTES_ALARM];
    const seconds = this.#ram[SECONDS_ALARM];
    let candidate = start + 1;
    while (candidate <= start + SECONDS_PER_DAY) {
      const inDay = candidate % SECONDS_PER_DAY;
      if (!matches(hours, Math.floor(inDay / 3600), this.#decodeHours(hours))) candidate += 3600 - (inDay % 3600);
      else if (!matches(minutes, Math.floor(inDay / 60) % 60, this.#decode(minutes))) candidate += 60 - (inDay % 60);
      else if (!matches(seconds, inDay % 60, this.#decode(seconds))) candidate++;
      else return candidate - start;
    }
    return undefined;
  }
}
