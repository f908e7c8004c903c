/**
 * Interrupt acceptance of the local APIC (SDM vol. 3A 11.8): IRR, ISR, TMR and the task and processor priorities. Works
 * on the registers where they stand.
 */
import { IRR, ISR, TMR, TPR, VECTOR_WORDS } from './registers.ts';
import { VectorSet } from './vector-set.ts';

/** The class of a priority is its upper four bits. */
const CLASS_SHIFT = 4;
const CLASS_MASK = 0xf0;

export class InterruptPriorities {
  readonly #registers: Uint32Array;
  readonly #irr: VectorSet;
  readonly #isr: VectorSet;
  readonly #tmr: VectorSet;

  /** `registers` are the local APIC's registers by index. */
  constructor(registers: Uint32Array) {
    const set = (first: number) => new VectorSet(registers.subarray(first, first + VECTOR_WORDS));
    this.#registers = registers;
    this.#irr = set(IRR);
    this.#isr = set(ISR);
    this.#tmr = set(TMR);
  }

  /** Processor priority (section 11.8.3.1). */
  get processorPriority(): number {
    const task = this.#registers[TPR];
    const inService = Math.max(this.#isr.highest(), 0);
    return task >> CLASS_SHIFT >= inService >> CLASS_SHIFT ? task : inService & CLASS_MASK;
  }

  /** The requested vector that may interrupt the processor, or -1. */
  deliverable(): number {
    const requested = this.#irr.highest();
    if (requested < 0) return -1;
    return requested >> CLASS_SHIFT > this.processorPriority >> CLASS_SHIFT ? requested : -1;
  }

  /** Accepts an interrupt into IRR; one already there absorbs it. */
  request(vector: number, levelTriggered: boolean): void {
    this.#irr.add(vector);
    if (levelTriggered) this.#tmr.add(vector);
    else this.#tmr.delete(vector);
  }

  /** Moves a vector from IRR to ISR. */
  acknowledge(vector: number): void {
    this.#irr.delete(vector);
    this.#isr.add(vector);
  }

  /** Ends the highest interrupt in service. Returns its vector, or -1 where none was. */
  endOfInterrupt(): number {
    const vector = this.#isr.highest();
    if (vector >= 0) this.#isr.delete(vector);
    return vector;
  }

  /** Whether the vector was last accepted as level triggered. */
  isLevelTriggered(vector: number): boolean {
    return this.#tmr.has(vector);
  }
}
