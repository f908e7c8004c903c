/** PCI functions and the root bus they sit on (PCI Local Bus Specification 3.0). */
import type { MessageSink } from '../../bus/lines.ts';
import type { Log } from '../../bus/log.ts';
import type { AccessSize, Attachment, IoSpace, MmioDevice } from '../../bus/ports.ts';
import { BAR, COMMAND, CONFIG, PciConfigSpace, type PciIdentity, STATUS } from './config-space.ts';

/** A range of registers that a base address register places. Offsets count from its start, in either space. */
export interface BarOptions {
  /** 0 to 5; a 64-bit one takes the next register too. */
  readonly index: number;
  readonly kind: 'io' | 'memory32' | 'memory64';
  readonly prefetchable?: boolean;
  /** A power of two; at least 4 in I/O space, 16 in memory. */
  readonly size: number;
  readonly registers: MmioDevice;
}

/** Takes the INTx pins of all functions. `source` tells functions that share a wire apart. */
export interface PciInterruptSink {
  /** @param pin 0 for INTA to 3 for INTD */
  set(device: number, pin: number, source: number, level: boolean): void;
}

/** What the root bus is connected to. */
export interface PciBusWiring {
  readonly space: IoSpace;
  readonly interrupts: PciInterruptSink;
  readonly messages: MessageSink;
  readonly log: Log;
  /** Whether the host bridge passes memory accesses at this range to the bus: RAM hides what lies under it. */
  decodesMemory?(address: number, length: number): boolean;
}

/** Saved state of a function: its configuration space and its INTx request. */
export interface PciFunctionState {
  readonly version: 1;
  readonly config: readonly number[];
  readonly interrupt: boolean;
}

/** A base address register and where it is attached at the moment. */
interface BarMapping {
  readonly options: BarOptions;
  /** Address it is attached at, or wants to be: another device may be in the way. */
  base: number | undefined;
  attachment: Attachment | undefined;
}

/** A field of configuration space that shows what is elsewhere: `read` refreshes it, `written` passes it on. */
export interface ConfigWindow {
  readonly first: number;
  readonly length: number;
  read(): void;
  written(): void;
}

/** Devices per bus and functions per device. */
const DEVICES = 32;
const FUNCTIONS = 8;
const IO_SPACE_END = 0x1_0000;
const FOUR_GIB = 2 ** 32;
/** Widest guest-physical address (SDM vol. 3A section 4.1.4). */
const ADDRESS_LIMIT = 2 ** 52;
const BAR_SIZE = 4;

/** One function. Devices hold one and register their BARs and capabilities before it is added to the bus. */
export class PciFunction {
  readonly config: PciConfigSpace;
  readonly #mappings: BarMapping[] = [];
  readonly #windows: ConfigWindow[] = [];
  readonly #resets: (() => void)[] = [];
  readonly #observers: { first: number; length: number; written: () => void }[] = [];
  #bus: PciBus | undefined = undefined;
  #slot = 0;
  #interrupt = false;

  constructor(identity: PciIdentity, bars: readonly BarOptions[] = []) {
    this.config = new PciConfigSpace(identity);
    for (const options of bars) this.#defineBar(options);
  }

  /** Whether the function may read and write memory, and send messages. */
  get isBusMaster(): boolean {
    return (this.config.get16(CONFIG.COMMAND) & COMMAND.BUS_MASTER) !== 0;
  }

  /** Calls `written` after software wrote any of `length` bytes at `first`, and after a reset or restore. */
  observe(first: number, length: number, written: () => void): void {
    this.#observers.push({ first, length, written });
  }

  /** Adds a field whose reads and writes reach through to registers elsewhere. */
  interceptWindow(window: ConfigWindow): void {
    this.#windows.push(window);
  }

  /** Calls `wasReset` at a bus reset, for the state that a device keeps outside configuration space. */
  whenReset(wasReset: () => void): void {
    this.#resets.push(wasReset);
  }

  /** All base address registers. */
  get bars(): readonly BarOptions[] {
    return this.#mappings.map(({ options }) => options);
  }

  /** Where BAR `index` is attached, if it is. */
  barAddress(index: number): number | undefined {
    const mapping = this.#mappings.find(({ options }) => options.index === index);
    return mapping?.attachment ? mapping.base : undefined;
  }

  /** The registers behind BAR `index`. */
  barRegisters(index: number): BarOptions | undefined {
    return this.#mappings.find(({ options }) => options.index === index)?.options;
  }

  read(offset: number, size: AccessSize): number {
    for (const { first, length, read } of this.#windows) if (offset < first + length && first < offset + size) read();
    return this.config.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.config.write(offset, size, value);
    const overlaps = (first: number, length: number) => offset < first + length && first < offset + size;
    if (overlaps(CONFIG.COMMAND, 2)) this.#driveInterrupt();
    if (overlaps(CONFIG.COMMAND, 2) || overlaps(CONFIG.BAR0, 6 * BAR_SIZE)) this.#map();
    for (const { first, length, written } of this.#observers) if (overlaps(first, length)) written();
    for (const { first, length, written } of this.#windows) if (overlaps(first, length)) written();
  }

  /** Requests or withdraws the INTx interrupt. */
  setInterrupt(level: boolean): void {
    this.#interrupt = level;
    this.#driveInterrupt();
  }

  /** Sends a message signalled interrupt, which is a write to memory as any other (section 6.8). */
  sendMessage(address: number, data: number): void {
    if (this.isBusMaster) this.#bus?.wiring.messages.write(address, data);
  }

  /** Bus reset: configuration is gone, BARs are detached. */
  reset(): void {
    for (const wasReset of this.#resets) wasReset();
    this.config.reset();
    this.#interrupt = false;
    this.#changed();
  }

  save(): PciFunctionState {
    return { version: 1, config: [...this.config.bytes], interrupt: this.#interrupt };
  }

  restore(state: PciFunctionState): void {
    this.config.bytes.set(state.config);
    this.#interrupt = state.interrupt;
    this.#changed();
  }

  /** Called by the bus. */
  connect(bus: PciBus, slot: number): void {
    this.#bus = bus;
    this.#slot = slot;
    this.config.rememberPowerOn();
  }

  /**
   * Does what a guest's register write asks for, where that may be impossible because the addresses belong to another
   * device: the guest's mistake is logged and the rest goes on.
   */
  attempt(what: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#bus?.wiring.log.write('guest-error', `PCI function ${slotName(this.#slot)} cannot ${what}: ${reason}`);
    }
  }

  /** Attaches what could not be attached before; called by the bus when something made room. */
  retryMapping(): void {
    for (const mapping of this.#mappings) if (mapping.base !== undefined && !mapping.attachment) this.#attach(mapping);
  }

  #changed(): void {
    this.#driveInterrupt();
    this.#map();
    for (const { written } of this.#observers) written();
  }

  #defineBar(options: BarOptions): void {
    const { index, kind, size, prefetchable } = options;
    const offset = CONFIG.BAR0 + BAR_SIZE * index;
    if (kind === 'io') {
      this.config.set32(offset, BAR.IO);
      this.config.allowWrites(offset, 4, ~(size - 1) & ~BAR.IO_MASK);
    } else {
      this.config.set32(offset, (kind === 'memory64' ? BAR.TYPE_64 : 0) | (prefetchable ? BAR.PREFETCHABLE : 0));
      this.config.allowWrites(offset, 4, ~(size - 1) & ~BAR.MEMORY_MASK);
      if (kind === 'memory64') this.config.allowWrites(offset + BAR_SIZE, 4, 0xffff_ffff);
    }
    this.#mappings.push({ options, base: undefined, attachment: undefined });
  }

  /** Where a BAR decodes now. Zero, and what does not fit below the end of its space, decodes nowhere. */
  #decodedBase({ index, kind, size }: BarOptions): number | undefined {
    const command = this.config.get16(CONFIG.COMMAND);
    const offset = CONFIG.BAR0 + BAR_SIZE * index;
    const low = this.config.get32(offset);
    if (kind === 'io') {
      const base = (low & ~BAR.IO_MASK) >>> 0;
      return command & COMMAND.IO_SPACE && base !== 0 && base + size < IO_SPACE_END ? base : undefined;
    }
    const high = kind === 'memory64' ? this.config.get32(offset + BAR_SIZE) : 0;
    const base = high * FOUR_GIB + ((low & ~BAR.MEMORY_MASK) >>> 0);
    const limit = kind === 'memory64' ? ADDRESS_LIMIT : FOUR_GIB;
    if (!(command & COMMAND.MEMORY_SPACE) || base === 0 || base + size >= limit) return undefined;
    return this.#bus?.wiring.decodesMemory?.(base, size) === false ? undefined : base;
  }

  #map(): void {
    let moved = false;
    for (const mapping of this.#mappings) {
      const base = this.#decodedBase(mapping.options);
      if (base === mapping.base) continue;
      moved ||= mapping.attachment !== undefined;
      mapping.attachment?.detach();
      mapping.attachment = undefined;
      mapping.base = base;
    }
    this.retryMapping();
    if (moved) this.#bus?.retryMappings();
  }

  #attach(mapping: BarMapping): void {
    const { options } = mapping;
    const base = mapping.base!;
    const bus = this.#bus;
    if (!bus) return;
    const { registers, kind, size, index } = options;
    // Of two devices at one address the one that was there first answers.
    this.attempt(`place BAR ${index}`, () => {
      mapping.attachment =
        kind === 'io'
          ? bus.wiring.space.attachPorts(base, size, {
              readPort: (port, width) => registers.readMmio(port - base, width),
              writePort: (port, width, value) => registers.writeMmio(port - base, width, value),
            })
          : bus.wiring.space.attachMmio(base, size, registers);
    });
  }

  #driveInterrupt(): void {
    const status = this.config.get16(CONFIG.STATUS);
    this.config.set16(CONFIG.STATUS, this.#interrupt ? status | STATUS.INTERRUPT : status & ~STATUS.INTERRUPT);
    const pin = this.config.bytes[CONFIG.INTERRUPT_PIN];
    if (pin === 0) return;
    const disabled = (this.config.get16(CONFIG.COMMAND) & COMMAND.INTERRUPT_DISABLE) !== 0;
    this.#bus?.wiring.interrupts.set(this.#slot >> 3, pin - 1, this.#slot, this.#interrupt && !disabled);
  }
}

/** Bus 0: up to 32 devices of 8 functions. */
export class PciBus {
  readonly wiring: PciBusWiring;
  readonly #functions = new Array<PciFunction | undefined>(DEVICES * FUNCTIONS).fill(undefined);

  constructor(wiring: PciBusWiring) {
    this.wiring = wiring;
  }

  /**
   * Puts a function into its place.
   * @throws RangeError if the place does not exist or is taken (a wiring error)
   */
  add(device: number, fn: number, member: PciFunction): void {
    const slot = device * FUNCTIONS + fn;
    if (device < 0 || device >= DEVICES || fn < 0 || fn >= FUNCTIONS)
      throw new RangeError(`there is no PCI function ${slotName(slot)}`);
    if (this.#functions[slot]) throw new RangeError(`PCI function ${slotName(slot)} is taken`);
    this.#functions[slot] = member;
    member.connect(this, slot);
    const siblings = this.#functions.slice(device * FUNCTIONS, (device + 1) * FUNCTIONS).filter((sibling) => sibling);
    if (siblings.length > 1) for (const sibling of siblings) sibling!.config.markMultiFunction();
  }

  /** The function at a place, if any. */
  at(device: number, fn: number): PciFunction | undefined {
    return this.#functions[device * FUNCTIONS + fn];
  }

  /** All functions with their places. */
  *members(): Generator<{ device: number; fn: number; member: PciFunction }> {
    for (let slot = 0; slot < this.#functions.length; slot++) {
      const member = this.#functions[slot];
      if (member) yield { device: slot >> 3, fn: slot & 7, member };
    }
  }

  /**
   * A configuration read. Nobody there: all ones, which is how software sees that a function does not exist.
   * @param routingId bus in bits 15:8, device in 7:3, function in 2:0
   */
  readConfig(routingId: number, offset: number, size: AccessSize): number {
    return this.#functions[routingId]?.read(offset, size) ?? 2 ** (8 * size) - 1;
  }

  writeConfig(routingId: number, offset: number, size: AccessSize, value: number): void {
    this.#functions[routingId]?.write(offset, size, value);
  }

  reset(): void {
    for (const { member } of this.members()) member.reset();
  }

  /** A BAR moved away: those that were in its shadow may be attached now. */
  retryMappings(): void {
    for (const { member } of this.members()) member.retryMapping();
  }
}

/** Device and function as PCI tools print them. */
function slotName(slot: number): string {
  return `00:${(slot >> 3).toString(16).padStart(2, '0')}.${slot & 7}`;
}
