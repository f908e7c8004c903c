/**
 * How ISA interrupts reach both interrupt controllers of a PC.
 *
 * Each ISA line goes to the 8259A input and the I/O APIC pin of the same number, with one exception: IRQ0 (the timer)
 * is on pin 2, because pin 0 is left for the 8259A's INTR on other boards and IRQ2, the cascade, never leaves the
 * 8259A pair. Firmware tables must say so: an MADT interrupt source override from IRQ0 to global interrupt 2.
 */
import type { InterruptLine } from '../../bus/lines.ts';

const ISA_IRQS = 16;
const TIMER_IRQ = 0;
const TIMER_PIN = 2;
const CASCADE_IRQ = 2;

/** Global system interrupt, that is, I/O APIC pin, of an ISA interrupt. */
export function isaPin(irq: number): number {
  return irq === TIMER_IRQ ? TIMER_PIN : irq;
}

/** A controller with numbered inputs. */
interface Inputs {
  input(index: number): InterruptLine;
}

/** Lines for devices on IRQ0 to IRQ15, each driving both controllers. IRQ2 drives nothing. */
export function isaInterruptLines(pic: Inputs, ioApic: Inputs): InterruptLine[] {
  return Array.from({ length: ISA_IRQS }, (_, irq) => {
    if (irq === CASCADE_IRQ) return { set() {} };
    const picInput = pic.input(irq);
    const apicInput = ioApic.input(isaPin(irq));
    return {
      set(level) {
        picInput.set(level);
        apicInput.set(level);
      },
    };
  });
}

/** Several sources on one active-high wire: asserted while any of them asserts it. */
export class SharedLine {
  readonly #target: InterruptLine;
  #asserted = 0;

  constructor(target: InterruptLine) {
    this.#target = target;
  }

  /** A new source; its line starts low. */
  source(): InterruptLine {
    let mine = false;
    return {
      set: (level) => {
        if (level === mine) return;
        mine = level;
        this.#asserted += level ? 1 : -1;
        if (this.#asserted === (level ? 1 : 0)) this.#target.set(level);
      },
    };
  }
}
