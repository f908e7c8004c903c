/**
 * Power management of the ICH9: ACPI fixed hardware (PM1, PM timer, GPE0; ACPI 6.5 section 4.8, ICH9 data sheet 316972
 * section 13.8.3) and the APM ports through which the operating system asks for ACPI mode.
 */
import type { Timer, TimerService } from '../../bus/clock.ts';
import type { InterruptLine } from '../../bus/lines.ts';
import type { Log } from '../../bus/log.ts';
import { Oscillator } from '../../bus/scheduler.ts';

/** Byte offsets of the registers from PMBASE. */
export const PM_REGISTER = {
  PM1_STS: 0x00,
  PM1_EN: 0x02,
  PM1_CNT: 0x04,
  PM1_TMR: 0x08,
  GPE0_STS: 0x20,
  GPE0_EN: 0x28,
  SMI_EN: 0x30,
  SMI_STS: 0x34,
} as const;

/** Ports that the block occupies; what is not a register reads as zero. */
export const PM_BLOCK_LENGTH = 0x80;

/** PM1 status and enable bits (ACPI 6.5 tables 4.11 and 4.12). */
export const PM1 = {
  TMR: 0x0001,
  BUS_MASTER: 0x0010,
  GLOBAL: 0x0020,
  POWER_BUTTON: 0x0100,
  SLEEP_BUTTON: 0x0200,
  RTC: 0x0400,
  WAKE: 0x8000,
} as const;
const PM1_STATUS_BITS =
  PM1.TMR | PM1.BUS_MASTER | PM1.GLOBAL | PM1.POWER_BUTTON | PM1.SLEEP_BUTTON | PM1.RTC | PM1.WAKE;
const PM1_ENABLE_BITS = PM1.TMR | PM1.GLOBAL | PM1.POWER_BUTTON | PM1.SLEEP_BUTTON | PM1.RTC;

/** PM1 control bits (table 4.13). */
export const PM1_CNT = {
  SCI_EN: 0x0001,
  BM_RLD: 0x0002,
  SLP_TYP_SHIFT: 10,
  SLP_TYP_MASK: 0x7,
  SLP_EN: 0x2000,
} as const;
/** Bits that keep what is written; GBL_RLS and SLP_EN act and read as zero, SCI_EN belongs to the APM port. */
const PM1_CNT_STORED = PM1_CNT.BM_RLD | (PM1_CNT.SLP_TYP_MASK << PM1_CNT.SLP_TYP_SHIFT);

/** Sleep type that the board's \_S5 object names. */
export const SLP_TYP_SOFT_OFF = 0;

/** The PM timer: 24 bits of 3.579545 MHz; TMR_STS is set whenever bit 23 changes (section 4.8.2.1). */
const PM_TIMER = new Oscillator(3_579_545);
const PM_TIMER_MASK = 0xff_ffff;
const PM_TIMER_HALF = 0x80_0000;

/** Number of GPE0 status bytes; as many enable bytes follow. */
const GPE0_BYTES = 8;

/** Commands of the APM control port, as the FADT names them. */
export const APM_COMMAND = { ACPI_ENABLE: 0x02, ACPI_DISABLE: 0x03 } as const;

/** What the power management unit sets off. */
export interface PowerEvents {
  /** The guest entered S5. */
  powerOff(): void;
}

/** Saved state. */
export interface Ich9PmState {
  readonly version: 1;
  readonly pm1Status: number;
  readonly pm1Enable: number;
  readonly pm1Control: number;
  readonly nextTimerTick: number;
  readonly gpeStatus: readonly number[];
  readonly gpeEnable: readonly number[];
  readonly smiEnable: readonly number[];
  readonly apmControl: number;
  readonly apmStatus: number;
}

export class Ich9Pm {
  readonly #time: TimerService;
  readonly #sci: InterruptLine;
  readonly #events: PowerEvents;
  readonly #log: Log;
  readonly #overflow: Timer;
  #pm1Status = 0;
  #pm1Enable = 0;
  #pm1Control = 0;
  /** Tick at which bit 23 of the timer next changes. */
  #nextTimerTick = PM_TIMER_HALF;
  readonly #gpeStatus = new Uint8Array(GPE0_BYTES);
  readonly #gpeEnable = new Uint8Array(GPE0_BYTES);
  readonly #smiEnable = new Uint8Array(4);
  #apmControl = 0;
  #apmStatus = 0;

  /** `sci` takes the system control interrupt, level-triggered. */
  constructor(time: TimerService, sci: InterruptLine, events: PowerEvents, log: Log) {
    this.#time = time;
    this.#sci = sci;
    this.#events = events;
    this.#log = log;
    this.#overflow = time.timer('ich9-pm timer', () => this.#update());
    this.reset();
  }

  /** Platform reset: firmware owns the registers again. The PM timer runs on. */
  reset(): void {
    this.#pm1Status = 0;
    this.#pm1Enable = 0;
    this.#pm1Control = 0;
    this.#nextTimerTick = this.#tickAfter(this.#ticks());
    this.#gpeStatus.fill(0);
    this.#gpeEnable.fill(0);
    this.#smiEnable.fill(0);
    this.#apmControl = 0;
    this.#apmStatus = 0;
    this.#update();
  }

  /** Reads one byte of the block. */
  read(offset: number): number {
    const byteOf = (value: number, first: number) => (value >>> (8 * (offset - first))) & 0xff;
    switch (offset & ~1) {
      case PM_REGISTER.PM1_STS:
        this.#update();
        return byteOf(this.#pm1Status, PM_REGISTER.PM1_STS);
      case PM_REGISTER.PM1_EN:
        return byteOf(this.#pm1Enable, PM_REGISTER.PM1_EN);
      case PM_REGISTER.PM1_CNT:
        return byteOf(this.#pm1Control, PM_REGISTER.PM1_CNT);
    }
    if (within(offset, PM_REGISTER.PM1_TMR, 4)) return byteOf(this.timer(), PM_REGISTER.PM1_TMR);
    if (within(offset, PM_REGISTER.GPE0_STS, GPE0_BYTES)) return this.#gpeStatus[offset - PM_REGISTER.GPE0_STS];
    if (within(offset, PM_REGISTER.GPE0_EN, GPE0_BYTES)) return this.#gpeEnable[offset - PM_REGISTER.GPE0_EN];
    if (within(offset, PM_REGISTER.SMI_EN, 4)) return this.#smiEnable[offset - PM_REGISTER.SMI_EN];
    return 0;
  }

  /** Writes one byte of the block. Status bits are cleared by ones. */
  write(offset: number, value: number): void {
    const shift = 8 * (offset & 1);
    const placed = (value & 0xff) << shift;
    const byteMask = 0xff << shift;
    switch (offset & ~1) {
      case PM_REGISTER.PM1_STS:
        this.#update();
        this.#pm1Status &= ~placed;
        break;
      case PM_REGISTER.PM1_EN:
        this.#pm1Enable = (this.#pm1Enable & ~byteMask) | (placed & PM1_ENABLE_BITS);
        break;
      case PM_REGISTER.PM1_CNT: {
        const stored = PM1_CNT_STORED & byteMask;
        this.#pm1Control = (this.#pm1Control & ~stored) | (placed & stored);
        if (placed & PM1_CNT.SLP_EN) this.#sleep();
        break;
      }
    }
    if (within(offset, PM_REGISTER.GPE0_STS, GPE0_BYTES)) this.#gpeStatus[offset - PM_REGISTER.GPE0_STS] &= ~value;
    if (within(offset, PM_REGISTER.GPE0_EN, GPE0_BYTES)) this.#gpeEnable[offset - PM_REGISTER.GPE0_EN] = value;
    if (within(offset, PM_REGISTER.SMI_EN, 4)) this.#smiEnable[offset - PM_REGISTER.SMI_EN] = value;
    this.#update();
  }

  /** The PM timer's 24-bit count. */
  timer(): number {
    return this.#ticks() % (PM_TIMER_MASK + 1);
  }

  readApm(register: 'control' | 'status'): number {
    return register === 'control' ? this.#apmControl : this.#apmStatus;
  }

  /** A write to the control port is a system management interrupt; there is no SMM, so its two jobs are done here. */
  writeApm(register: 'control' | 'status', value: number): void {
    if (register === 'status') {
      this.#apmStatus = value & 0xff;
      return;
    }
    this.#apmControl = value & 0xff;
    if (value === APM_COMMAND.ACPI_ENABLE) this.#pm1Control |= PM1_CNT.SCI_EN;
    else if (value === APM_COMMAND.ACPI_DISABLE) this.#pm1Control &= ~PM1_CNT.SCI_EN;
    else
      this.#log.write(
        'unimplemented',
        `SMI command 0x${value.toString(16)} ignored: there is no system management mode`,
      );
    this.#update();
  }

  /** A user presses the power button: the guest is asked to shut down. */
  pressPowerButton(): void {
    this.#pm1Status |= PM1.POWER_BUTTON;
    this.#update();
  }

  /** Raises general purpose event 0 to 63. */
  raiseGpe(event: number): void {
    this.#gpeStatus[event >> 3] |= 1 << (event & 7);
    this.#update();
  }

  save(): Ich9PmState {
    return {
      version: 1,
      pm1Status: this.#pm1Status,
      pm1Enable: this.#pm1Enable,
      pm1Control: this.#pm1Control,
      nextTimerTick: this.#nextTimerTick,
      gpeStatus: [...this.#gpeStatus],
      gpeEnable: [...this.#gpeEnable],
      smiEnable: [...this.#smiEnable],
      apmControl: this.#apmControl,
      apmStatus: this.#apmStatus,
    };
  }

  /** The clock must have been restored before. */
  restore(state: Ich9PmState): void {
    this.#pm1Status = state.pm1Status;
    this.#pm1Enable = state.pm1Enable;
    this.#pm1Control = state.pm1Control;
    this.#nextTimerTick = state.nextTimerTick;
    this.#gpeStatus.set(state.gpeStatus);
    this.#gpeEnable.set(state.gpeEnable);
    this.#smiEnable.set(state.smiEnable);
    this.#apmControl = state.apmControl;
    this.#apmStatus = state.apmStatus;
    this.#update();
  }

  #ticks(): number {
    return PM_TIMER.ticksAt(this.#time.now());
  }

  #tickAfter(ticks: number): number {
    return (Math.floor(ticks / PM_TIMER_HALF) + 1) * PM_TIMER_HALF;
  }

  #sleep(): void {
    const type = (this.#pm1Control >> PM1_CNT.SLP_TYP_SHIFT) & PM1_CNT.SLP_TYP_MASK;
    if (type === SLP_TYP_SOFT_OFF) this.#events.powerOff();
    else this.#log.write('unimplemented', `sleep type ${type} ignored: the board only knows S5`);
  }

  /** Notes a passed timer overflow, then drives the SCI. */
  #update(): void {
    const ticks = this.#ticks();
    if (ticks >= this.#nextTimerTick) {
      this.#pm1Status |= PM1.TMR;
      this.#nextTimerTick = this.#tickAfter(ticks);
    }
    if (this.#pm1Enable & PM1.TMR && !(this.#pm1Status & PM1.TMR))
      this.#overflow.arm(PM_TIMER.timeOf(this.#nextTimerTick));
    else this.#overflow.disarm();

    const fixed = (this.#pm1Status & this.#pm1Enable & PM1_STATUS_BITS) !== 0;
    const general = this.#gpeStatus.some((status, index) => (status & this.#gpeEnable[index]) !== 0);
    this.#sci.set((this.#pm1Control & PM1_CNT.SCI_EN) !== 0 && (fixed || general));
  }
}

function within(offset: number, first: number, length: number): boolean {
  return offset >= first && offset < first + length;
}
