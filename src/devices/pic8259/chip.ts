/**
 * One Intel 8259A programmable interrupt controller. Register and command names follow the data sheet; where the
 * hardware leaves room the behaviour is QEMU's: a latched edge survives the fall of its line, so that a pulse is an
 * interrupt.
 */

/** Initialization command word 1 (A0 = 0, D4 = 1). */
const ICW1 = 0x10;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;
const ICW1_LEVEL_TRIGGERED = 0x08;
/** ICW2: bits of the vector that the chip does not supply itself. */
const ICW2_VECTOR_BASE = 0xf8;
const ICW4_AUTO_EOI = 0x02;
const ICW4_SPECIAL_FULLY_NESTED = 0x10;
/** Operation command word 3 (A0 = 0, D4 = 0, D3 = 1). */
const OCW3 = 0x08;
const OCW3_READ_ISR = 0x01;
const OCW3_READ_REGISTER = 0x02;
const OCW3_POLL = 0x04;
const OCW3_SPECIAL_MASK = 0x20;
const OCW3_ENABLE_SPECIAL_MASK = 0x40;

/** OCW2 bits 7:5: rotate, specific level, end of interrupt. 2 is no operation. */
const OCW2_COMMAND_SHIFT = 5;
const OCW2_CLEAR_ROTATE_IN_AUTO_EOI = 0;
const OCW2_NONSPECIFIC_EOI = 1;
const OCW2_SPECIFIC_EOI = 3;
const OCW2_SET_ROTATE_IN_AUTO_EOI = 4;
const OCW2_ROTATE_ON_NONSPECIFIC_EOI = 5;
const OCW2_SET_PRIORITY = 6;
const OCW2_ROTATE_ON_SPECIFIC_EOI = 7;

/** Poll word: an interrupt was found. */
const POLL_INTERRUPT = 0x80;

/** Inputs of one chip. */
export const LEVELS = 8;
/** Master input that the slave's INT pin drives. */
export const CASCADE_LEVEL = 2;
/** Lines that may be made level triggered: not 0, 1, 2 (timer, keyboard, cascade), nor 8 and 13 (RTC, FPU error). */
const MASTER_ELCR_WRITABLE = 0xf8;
const SLAVE_ELCR_WRITABLE = 0xde;

/** What the next write to A0 = 1 means. */
type InitializationStep = 'ready' | 'icw2' | 'icw3' | 'icw4';

/** Saved registers of one chip. Byte values; `lines` are the input levels. */
export interface Pic8259ChipState {
  lines: number;
  edgeLatch: number;
  inService: number;
  mask: number;
  lowestPriority: number;
  vectorBase: number;
  edgeLevelControl: number;
  levelTriggered: boolean;
  readInService: boolean;
  poll: boolean;
  specialMask: boolean;
  autoEoi: boolean;
  rotateInAutoEoi: boolean;
  specialFullyNested: boolean;
  single: boolean;
  needsIcw4: boolean;
  step: InitializationStep;
}

/** One 8259A. */
export class Pic8259Chip {
  readonly #isMaster: boolean;
  readonly #output: (level: boolean) => void;
  readonly #elcrWritable: number;
  #lines = 0;
  #edgeLatch = 0;
  #isr = 0;
  #imr = 0;
  /** Level with the lowest priority; the one after it has the highest. */
  #lowestPriority = LEVELS - 1;
  #vectorBase = 0;
  #elcr = 0;
  #levelTriggered = false;
  #readInService = false;
  #poll = false;
  #specialMask = false;
  #autoEoi = false;
  #rotateInAutoEoi = false;
  #specialFullyNested = false;
  #single = false;
  #needsIcw4 = false;
  #step: InitializationStep = 'ready';
  #int = false;

  constructor(isMaster: boolean, output: (level: boolean) => void) {
    this.#isMaster = isMaster;
    this.#output = output;
    this.#elcrWritable = isMaster ? MASTER_ELCR_WRITABLE : SLAVE_ELCR_WRITABLE;
  }

  /** State of the INT pin. */
  get int(): boolean {
    return this.#int;
  }

  get vectorBase(): number {
    return this.#vectorBase;
  }

  setLine(level: number, high: boolean): void {
    const bit = 1 << level;
    if (high === ((this.#lines & bit) !== 0)) return;
    if (high) {
      this.#lines |= bit;
      if ((this.#levelMask() & bit) === 0) this.#edgeLatch |= bit;
    } else {
      this.#lines &= ~bit;
      // The slave takes its request back with its INT pin, as the data sheet has it for every input.
      if (this.#isMaster && level === CASCADE_LEVEL) this.#edgeLatch &= ~bit;
    }
    this.#update();
  }

  /** Level to service next, or -1: priority resolver over IRR, IMR and ISR. */
  #resolve(): number {
    const requests = this.#irr() & ~this.#imr;
    if (requests === 0) return -1;
    const first = (this.#lowestPriority + 1) & 7;
    let blocking = this.#isr;
    if (this.#specialMask) blocking &= ~this.#imr;
    // In special fully nested mode the master lets a slave in service interrupt again.
    if (this.#specialFullyNested && this.#isMaster) blocking &= ~(1 << CASCADE_LEVEL);
    for (let i = 0; i < LEVELS; i++) {
      const bit = 1 << ((first + i) & 7);
      if ((blocking & bit) !== 0) return -1;
      if ((requests & bit) !== 0) return (first + i) & 7;
    }
    return -1;
  }

  /** The interrupt acknowledge sequence. Returns the level, or -1 where no request is left (spurious). */
  acknowledge(): number {
    const level = this.#resolve();
    if (level < 0) return -1;
    const bit = 1 << level;
    this.#edgeLatch &= ~bit;
    if (!this.#autoEoi) this.#isr |= bit;
    else if (this.#rotateInAutoEoi) this.#lowestPriority = level;
    // A slave drops INT during INTA, so that a request still waiting makes a new edge at the master.
    if (!this.#isMaster) this.#drive(false);
    this.#update();
    return level;
  }

  /** Reads A0 = 0 (`data` false) or A0 = 1 (`data` true). */
  read(data: boolean): number {
    if (this.#poll) {
      this.#poll = false;
      const level = this.acknowledge();
      return level < 0 ? 0 : POLL_INTERRUPT | level;
    }
    if (data) return this.#imr;
    return this.#readInService ? this.#isr : this.#irr();
  }

  writeCommand(value: number): void {
    if ((value & ICW1) !== 0) this.#writeIcw1(value);
    else if ((value & OCW3) !== 0) this.#writeOcw3(value);
    else this.#writeOcw2(value);
    this.#update();
  }

  writeData(value: number): void {
    switch (this.#step) {
      case 'ready':
        this.#imr = value;
        break;
      case 'icw2':
        this.#vectorBase = value & ICW2_VECTOR_BASE;
        this.#step = this.#single ? this.#stepAfterIcw3() : 'icw3';
        break;
      case 'icw3':
        // The wiring of the cascade is fixed on a PC; the word is accepted and has no effect.
        this.#step = this.#stepAfterIcw3();
        break;
      case 'icw4':
        this.#autoEoi = (value & ICW4_AUTO_EOI) !== 0;
        this.#specialFullyNested = (value & ICW4_SPECIAL_FULLY_NESTED) !== 0;
        this.#step = 'ready';
        break;
    }
    this.#update();
  }

  readEdgeLevelControl(): number {
    return this.#elcr;
  }

  writeEdgeLevelControl(value: number): void {
    this.#elcr = value & this.#elcrWritable;
    this.#update();
  }

  reset(): void {
    this.#elcr = 0;
    this.#initialize();
    this.#step = 'ready';
    this.#update();
  }

  save(): Pic8259ChipState {
    return {
      lines: this.#lines,
      edgeLatch: this.#edgeLatch,
      inService: this.#isr,
      mask: this.#imr,
      lowestPriority: this.#lowestPriority,
      vectorBase: this.#vectorBase,
      edgeLevelControl: this.#elcr,
      levelTriggered: this.#levelTriggered,
      readInService: this.#readInService,
      poll: this.#poll,
      specialMask: this.#specialMask,
      autoEoi: this.#autoEoi,
      rotateInAutoEoi: this.#rotateInAutoEoi,
      specialFullyNested: this.#specialFullyNested,
      single: this.#single,
      needsIcw4: this.#needsIcw4,
      step: this.#step,
    };
  }

  /** Takes the saved registers without driving the INT pin: what it leads to restores its own level. */
  restore(state: Pic8259ChipState): void {
    this.#lines = state.lines & 0xff;
    this.#edgeLatch = state.edgeLatch & 0xff;
    this.#isr = state.inService & 0xff;
    this.#imr = state.mask & 0xff;
    this.#lowestPriority = state.lowestPriority & 7;
    this.#vectorBase = state.vectorBase & ICW2_VECTOR_BASE;
    this.#elcr = state.edgeLevelControl & this.#elcrWritable;
    this.#levelTriggered = state.levelTriggered;
    this.#readInService = state.readInService;
    this.#poll = state.poll;
    this.#specialMask = state.specialMask;
    this.#autoEoi = state.autoEoi;
    this.#rotateInAutoEoi = state.rotateInAutoEoi;
    this.#specialFullyNested = state.specialFullyNested;
    this.#single = state.single;
    this.#needsIcw4 = state.needsIcw4;
    this.#step = state.step;
    this.#int = this.#resolve() >= 0;
  }

  /** Inputs sensed by level rather than by edge. */
  #levelMask(): number {
    return this.#levelTriggered ? 0xff : this.#elcr;
  }

  /** Interrupt request register: latched edges, and the state of level-triggered inputs. */
  #irr(): number {
    const levels = this.#levelMask();
    return (this.#edgeLatch & ~levels) | (this.#lines & levels);
  }

  #stepAfterIcw3(): InitializationStep {
    return this.#needsIcw4 ? 'icw4' : 'ready';
  }

  /** What ICW1 and reset do. An input that is already high must fall and rise again to make an edge. */
  #initialize(): void {
    this.#edgeLatch = 0;
    this.#isr = 0;
    this.#imr = 0;
    this.#lowestPriority = LEVELS - 1;
    this.#vectorBase = 0;
    this.#levelTriggered = false;
    this.#readInService = false;
    this.#poll = false;
    this.#specialMask = false;
    this.#autoEoi = false;
    this.#rotateInAutoEoi = false;
    this.#specialFullyNested = false;
    this.#single = false;
    this.#needsIcw4 = false;
  }

  #writeIcw1(value: number): void {
    this.#initialize();
    this.#needsIcw4 = (value & ICW1_NEEDS_ICW4) !== 0;
    this.#single = (value & ICW1_SINGLE) !== 0;
    this.#levelTriggered = (value & ICW1_LEVEL_TRIGGERED) !== 0;
    this.#step = 'icw2';
  }

  #writeOcw3(value: number): void {
    if ((value & OCW3_POLL) !== 0) this.#poll = true;
    if ((value & OCW3_READ_REGISTER) !== 0) this.#readInService = (value & OCW3_READ_ISR) !== 0;
    if ((value & OCW3_ENABLE_SPECIAL_MASK) !== 0) this.#specialMask = (value & OCW3_SPECIAL_MASK) !== 0;
  }

  #writeOcw2(value: number): void {
    const level = value & 7;
    const command = value >> OCW2_COMMAND_SHIFT;
    switch (command) {
      case OCW2_CLEAR_ROTATE_IN_AUTO_EOI:
        this.#rotateInAutoEoi = false;
        break;
      case OCW2_SET_ROTATE_IN_AUTO_EOI:
        this.#rotateInAutoEoi = true;
        break;
      case OCW2_NONSPECIFIC_EOI:
        this.#endOfHighest();
        break;
      case OCW2_ROTATE_ON_NONSPECIFIC_EOI: {
        const ended = this.#endOfHighest();
        if (ended >= 0) this.#lowestPriority = ended;
        break;
      }
      case OCW2_SPECIFIC_EOI:
        this.#isr &= ~(1 << level);
        break;
      case OCW2_ROTATE_ON_SPECIFIC_EOI:
        this.#isr &= ~(1 << level);
        this.#lowestPriority = level;
        break;
      case OCW2_SET_PRIORITY:
        this.#lowestPriority = level;
        break;
    }
  }

  /** Clears the in-service bit of the highest priority. Returns its level, or -1. */
  #endOfHighest(): number {
    for (let i = 1; i <= LEVELS; i++) {
      const level = (this.#lowestPriority + i) & 7;
      const bit = 1 << level;
      if ((this.#isr & bit) === 0) continue;
      // Levels masked in special mask mode are not ended by a non-specific EOI (data sheet, "Special Mask Mode").
      if (this.#specialMask && (this.#imr & bit) !== 0) continue;
      this.#isr &= ~bit;
      return level;
    }
    return -1;
  }

  #update(): void {
    this.#drive(this.#resolve() >= 0);
  }

  #drive(int: boolean): void {
    if (int === this.#int) return;
    this.#int = int;
    this.#output(int);
  }
}
