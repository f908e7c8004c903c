/**
 * Intel 8254 programmable interval timer as wired on a PC: counter 0 drives IRQ0, counter 1 was the memory refresh,
 * counter 2 drives the speaker and is gated and observed through system control port B (0x61).
 */
import type { Timer, TimerService } from '../../bus/clock.ts';
import type { InterruptLine } from '../../bus/lines.ts';
import { Oscillator } from '../../bus/scheduler.ts';
import { MODE_ONE_SHOT, MODE_TERMINAL_COUNT, PitCounter, type PitCounterState } from './counter.ts';

/** Input clock of the PC's timer in hertz: a twelfth of 14.31818 MHz. */
export const PIT_HERTZ = 1_193_182;

/** Control word: the counter it addresses; 3 is the read-back command. */
const SELECT_SHIFT = 6;
const SELECT_READ_BACK = 3;
const ACCESS_MASK = 0x30;
/** Read-back command: active-low latch requests, then one bit per counter. */
const READ_BACK_NO_COUNT = 0x20;
const READ_BACK_NO_STATUS = 0x10;
const READ_BACK_COUNTER_0 = 0x02;

/** System control port B (port 0x61). */
const PORT_B_GATE2 = 0x01;
const PORT_B_SPEAKER = 0x02;
/** Bits that merely hold what was written: speaker data, parity and channel check enables. */
const PORT_B_STORED = 0x0e;
const PORT_B_REFRESH_TOGGLE = 0x10;
const PORT_B_OUT2 = 0x20;
/** The refresh toggle flips every 18 cycles, about 15 us, as counter 1 programmed it on a PC/AT. */
const REFRESH_TICKS = 18;

export type CounterIndex = 0 | 1 | 2;

/** Saved state of the timer and of port B. */
export interface Pit8254State {
  version: 1;
  counters: [PitCounterState, PitCounterState, PitCounterState];
  portB: number;
  outputLevel: boolean;
}

export class Pit8254 {
  readonly #time: TimerService;
  readonly #irq0: InterruptLine;
  readonly #crystal = new Oscillator(PIT_HERTZ);
  readonly #counters: readonly [PitCounter, PitCounter, PitCounter];
  readonly #rise: Timer;
  #portB = 0;
  #outputLevel = false;

  /** `irq0` takes OUT0. */
  constructor(time: TimerService, irq0: InterruptLine) {
    this.#time = time;
    this.#irq0 = irq0;
    this.#counters = [new PitCounter(true), new PitCounter(true), new PitCounter(false)];
    this.#rise = time.timer('pit8254', () => this.#outputRises());
    this.reset();
  }

  /** Back to power-on. */
  reset(): void {
    const tick = this.#tick();
    for (const [index, counter] of this.#counters.entries()) counter.reset(index !== 2, tick);
    this.#portB = 0;
    this.#restartOutput();
  }

  /** Reads a counter port. */
  readCounter(index: CounterIndex): number {
    return this.#counters[index].read(this.#tick());
  }

  /** Writes a byte of a counter's initial count. */
  writeCounter(index: CounterIndex, value: number): void {
    this.#settle();
    const loaded = this.#counters[index].write(value & 0xff, this.#tick());
    if (index === 0 && loaded) this.#restartOutput();
  }

  /** Writes the control word register: a mode, a counter latch command or the read-back command. */
  writeControl(value: number): void {
    const tick = this.#tick();
    const select = (value >> SELECT_SHIFT) & 3;
    if (select === SELECT_READ_BACK) {
      this.#counters.forEach((counter, index) => {
        if ((value & (READ_BACK_COUNTER_0 << index)) === 0) return;
        if ((value & READ_BACK_NO_COUNT) === 0) counter.latchCount(tick);
        if ((value & READ_BACK_NO_STATUS) === 0) counter.latchStatus(tick);
      });
      return;
    }
    const counter = this.#counters[select];
    if ((value & ACCESS_MASK) === 0) {
      counter.latchCount(tick);
      return;
    }
    this.#settle();
    counter.writeControl(value, tick);
    if (select === 0) this.#restartOutput();
  }

  /** Reads system control port B. */
  readPortB(): number {
    const tick = this.#tick();
    const counter = this.#counters[2];
    return (
      this.#portB |
      (counter.gate ? PORT_B_GATE2 : 0) |
      (Math.floor(tick / REFRESH_TICKS) % 2 === 1 ? PORT_B_REFRESH_TOGGLE : 0) |
      (counter.out(tick) ? PORT_B_OUT2 : 0)
    );
  }

  /** Writes system control port B: the gate of counter 2 and the speaker. */
  writePortB(value: number): void {
    this.#portB = value & PORT_B_STORED;
    this.#counters[2].setGate((value & PORT_B_GATE2) !== 0, this.#tick());
  }

  /**
   * What the speaker plays: the frequency of counter 2 in hertz while it is gated, in square wave mode and let through
   * to the speaker; 0 for silence.
   */
  speakerHertz(): number {
    const counter = this.#counters[2];
    return (this.#portB & PORT_B_SPEAKER) !== 0 && counter.gate ? counter.toneHertz(PIT_HERTZ) : 0;
  }

  save(): Pit8254State {
    this.#settle();
    const [first, second, third] = this.#counters;
    return {
      version: 1,
      counters: [first.save(), second.save(), third.save()],
      portB: this.#portB,
      outputLevel: this.#outputLevel,
    };
  }

  /** Takes the saved registers. The clock must have been restored first; IRQ0's receiver restores its own level. */
  restore(state: Pit8254State): void {
    for (const [index, counter] of this.#counters.entries()) counter.restore(state.counters[index as CounterIndex]);
    this.#portB = state.portB & PORT_B_STORED;
    this.#outputLevel = state.outputLevel;
    this.#armRise();
  }

  #tick(): number {
    return this.#crystal.ticksAt(this.#time.now());
  }

  /** Delivers an edge that is due but has not been run yet, before a register write takes it away. */
  #settle(): void {
    if (this.#rise.deadline !== undefined && this.#rise.deadline <= this.#time.now()) this.#outputRises();
  }

  /**
   * OUT0 as the interrupt controllers see it. In modes 0 and 1 it is a level. In the other modes OUT idles high with
   * short or symmetric low phases and only its rising edge means anything, so the line idles low and each edge is a
   * pulse: one event a period, and the line can be shared with the HPET.
   */
  #outputRises(): void {
    const mode = this.#counters[0].mode;
    this.#drive(true);
    if (mode !== MODE_TERMINAL_COUNT && mode !== MODE_ONE_SHOT) this.#drive(false);
    this.#armRise();
  }

  #restartOutput(): void {
    const counter = this.#counters[0];
    this.#drive(counter.mode === MODE_TERMINAL_COUNT && counter.out(this.#tick()));
    this.#armRise();
  }

  #armRise(): void {
    const next = this.#counters[0].nextRise(this.#tick());
    if (next === undefined) this.#rise.disarm();
    else this.#rise.arm(this.#crystal.timeOf(next));
  }

  #drive(level: boolean): void {
    if (level === this.#outputLevel) return;
    this.#outputLevel = level;
    this.#irq0.set(level);
  }
}
