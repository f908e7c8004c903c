/**
 * What connects local APICs with one another, with the I/O APICs and with message signalled interrupts. Messages arrive
 * the moment they are sent (delivery status always reads idle).
 */
import type { MessageSink } from '../../bus/lines.ts';
import type { Log } from '../../bus/log.ts';
import {
  DELIVERY_LOWEST_PRIORITY,
  SHORTHAND_ALL_EXCLUDING_SELF,
  SHORTHAND_ALL_INCLUDING_SELF,
  SHORTHAND_NONE,
  SHORTHAND_SELF,
} from './registers.ts';

/** An interrupt message on its way. */
export interface InterruptMessage {
  /** One of the delivery modes. */
  deliveryMode: number;
  vector: number;
  levelTriggered: boolean;
  /** Destination field; 8 bits unless `extended`. */
  destination: number;
  /** Logical rather than physical destination mode. */
  logical: boolean;
  /** The destination is a 32-bit x2APIC one. */
  extended: boolean;
}

/** A local APIC as the bus sees it. */
export interface InterruptReceiver {
  /** Whether the message is addressed to this APIC. */
  isDestination(message: InterruptMessage): boolean;
  /** Whether it takes part in lowest-priority delivery: present and software-enabled. */
  readonly acceptsInterrupts: boolean;
  /** Processor priority, 0 to 255. */
  readonly processorPriority: number;
  accept(deliveryMode: number, vector: number, levelTriggered: boolean): void;
}

/** An I/O APIC as the bus sees it. */
export interface EndOfInterruptReceiver {
  endOfInterrupt(vector: number): void;
}

/** What a local APIC asks of the bus. */
export interface LapicBus {
  /** Sends an interprocessor interrupt. `shorthand` overrides the destination. */
  send(message: InterruptMessage, shorthand: number, sender: InterruptReceiver): void;
  /** Tells the I/O APICs that a level-triggered interrupt has been served. */
  broadcastEndOfInterrupt(vector: number): void;
}

/** Message address (SDM vol. 3A figure 11-24): FEEH, destination, redirection hint, destination mode. */
const MESSAGE_ADDRESS_BASE = 0xfee;
const MESSAGE_ADDRESS_SHIFT = 20;
const MESSAGE_DESTINATION_SHIFT = 12;
const MESSAGE_REDIRECTION_HINT = 0x8;
const MESSAGE_LOGICAL = 0x4;
/** Message data (figure 11-25). */
const MESSAGE_VECTOR = 0xff;
const MESSAGE_DELIVERY_MODE_SHIFT = 8;
const MESSAGE_LEVEL = 0x8000;

/** {@link LapicBus} for a whole machine, and the target of message signalled interrupts. */
export class InterruptBus implements LapicBus, MessageSink {
  readonly #log: Log;
  readonly #lapics: InterruptReceiver[] = [];
  readonly #ioApics: EndOfInterruptReceiver[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** Adds a processor's local APIC. The order decides between equal priorities. */
  attachLapic(lapic: InterruptReceiver): void {
    this.#lapics.push(lapic);
  }

  attachIoApic(ioApic: EndOfInterruptReceiver): void {
    this.#ioApics.push(ioApic);
  }

  /** A message signalled interrupt, from a device or from an I/O APIC. */
  write(address: number, data: number): void {
    if (Math.floor(address / 2 ** MESSAGE_ADDRESS_SHIFT) !== MESSAGE_ADDRESS_BASE) {
      if (this.#log.enabled('guest-error')) {
        this.#log.write('guest-error', `message signalled interrupt to ${hex(address)}, outside FEEx_xxxxH: dropped`);
      }
      return;
    }
    const logical = (address & MESSAGE_LOGICAL) !== 0;
    const mode = (data >> MESSAGE_DELIVERY_MODE_SHIFT) & 7;
    const redirected = logical && (address & MESSAGE_REDIRECTION_HINT) !== 0 && mode === 0;
    this.deliver({
      deliveryMode: redirected ? DELIVERY_LOWEST_PRIORITY : mode,
      vector: data & MESSAGE_VECTOR,
      levelTriggered: (data & MESSAGE_LEVEL) !== 0,
      destination: (address >>> MESSAGE_DESTINATION_SHIFT) & 0xff,
      logical,
      extended: false,
    });
  }

  send(message: InterruptMessage, shorthand: number, sender: InterruptReceiver): void {
    const { deliveryMode, vector, levelTriggered } = message;
    switch (shorthand) {
      case SHORTHAND_NONE:
        this.deliver(message);
        break;
      case SHORTHAND_SELF:
        sender.accept(deliveryMode, vector, levelTriggered);
        break;
      case SHORTHAND_ALL_INCLUDING_SELF:
      case SHORTHAND_ALL_EXCLUDING_SELF:
        for (const lapic of this.#lapics) {
          if (lapic === sender && shorthand === SHORTHAND_ALL_EXCLUDING_SELF) continue;
          lapic.accept(deliveryMode, vector, levelTriggered);
        }
        break;
    }
  }

  /** Delivers a message to the local APICs it is addressed to. */
  deliver(message: InterruptMessage): void {
    if (this.#log.enabled('interrupt')) {
      const kind = `${message.logical ? 'logical' : 'physical'} destination ${hex(message.destination)}`;
      this.#log.write('interrupt', `vector ${hex(message.vector)}, delivery mode ${message.deliveryMode}, ${kind}`);
    }
    if (message.deliveryMode === DELIVERY_LOWEST_PRIORITY) {
      let best: InterruptReceiver | undefined;
      for (const lapic of this.#lapics) {
        if (!lapic.acceptsInterrupts || !lapic.isDestination(message)) continue;
        if (best === undefined || lapic.processorPriority < best.processorPriority) best = lapic;
      }
      best?.accept(message.deliveryMode, message.vector, message.levelTriggered);
      return;
    }
    for (const lapic of this.#lapics) {
      if (lapic.isDestination(message)) lapic.accept(message.deliveryMode, message.vector, message.levelTriggered);
    }
  }

  broadcastEndOfInterrupt(vector: number): void {
    for (const ioApic of this.#ioApics) ioApic.endOfInterrupt(vector);
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
