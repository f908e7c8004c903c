/** The cascaded pair of 8259A interrupt controllers of a PC/AT, with the edge/level control registers of its chipset. */
import { type InterruptLine, UNCONNECTED } from '../../bus/lines.ts';
import { CASCADE_LEVEL, LEVELS, Pic8259Chip, type Pic8259ChipState } from './chip.ts';

/** Input answered for a request that is gone when the processor acknowledges ("default IR7"). */
const SPURIOUS_LEVEL = 7;

/** Saved state of the pair. */
export interface Pic8259State {
  version: 1;
  master: Pic8259ChipState;
  slave: Pic8259ChipState;
}

/** Number of inputs of the pair. */
export const PIC_INPUTS = 16;

/** The master and slave 8259A of a PC. Their INTR output goes to the processor, or to LINT0 of its local APIC. */
export class Pic8259 {
  readonly #master: Pic8259Chip;
  readonly #slave: Pic8259Chip;

  /** `intr` is the master's INT pin. */
  constructor(intr: InterruptLine) {
    this.#master = new Pic8259Chip(true, (level) => intr.set(level));
    this.#slave = new Pic8259Chip(false, (level) => this.#master.setLine(CASCADE_LEVEL, level));
  }

  /** Whether INTR is asserted. */
  get requesting(): boolean {
    return this.#master.int;
  }

  /** Input IRQ0..IRQ15. IRQ2 is taken by the cascade: nothing connected there reaches the processor. */
  input(irq: number): InterruptLine {
    if (!Number.isInteger(irq) || irq < 0 || irq >= PIC_INPUTS) throw new RangeError(`the 8259A pair has no IRQ${irq}`);
    if (irq === CASCADE_LEVEL) return UNCONNECTED;
    const chip = irq < LEVELS ? this.#master : this.#slave;
    const level = irq & 7;
    return { set: (high) => chip.setLine(level, high) };
  }

  /** The processor's interrupt acknowledge cycles. Returns the vector; a request that is gone gives IRQ7 or IRQ15. */
  acknowledge(): number {
    const level = this.#master.acknowledge();
    if (level !== CASCADE_LEVEL) return this.#master.vectorBase + (level < 0 ? SPURIOUS_LEVEL : level);
    const slaveLevel = this.#slave.acknowledge();
    return this.#slave.vectorBase + (slaveLevel < 0 ? SPURIOUS_LEVEL : slaveLevel);
  }

  /** Reads a register: A0 selects command (0) or data (1). */
  read(chip: 'master' | 'slave', a0: number): number {
    return this.#chip(chip).read((a0 & 1) !== 0);
  }

  /** Writes a register: A0 selects command (0) or data (1). */
  write(chip: 'master' | 'slave', a0: number, value: number): void {
    if ((a0 & 1) !== 0) this.#chip(chip).writeData(value & 0xff);
    else this.#chip(chip).writeCommand(value & 0xff);
  }

  readEdgeLevelControl(chip: 'master' | 'slave'): number {
    return this.#chip(chip).readEdgeLevelControl();
  }

  writeEdgeLevelControl(chip: 'master' | 'slave', value: number): void {
    this.#chip(chip).writeEdgeLevelControl(value);
  }

  /** Back to power-on. Input levels stay as their drivers left them. */
  reset(): void {
    this.#slave.reset();
    this.#master.reset();
  }

  save(): Pic8259State {
    return { version: 1, master: this.#master.save(), slave: this.#slave.save() };
  }

  restore(state: Pic8259State): void {
    this.#slave.restore(state.slave);
    this.#master.restore(state.master);
  }

  #chip(chip: 'master' | 'slave'): Pic8259Chip {
    return chip === 'master' ? this.#master : this.#slave;
  }
}
