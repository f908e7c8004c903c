/**
 * NS16550A universal asynchronous receiver/transmitter (National Semiconductor PC16550D data sheet, 1995).
 *
 * The transmitter is infinitely fast: a byte written to THR leaves at once, so LSR.THRE and LSR.TEMT always read 1. The THRE
 * interrupt still behaves as on the chip: raised when THR empties or ETBEI is switched on, withdrawn by the IIR read
 * that reports it or by the next write. The receiver never overruns from the host's side: bytes wait in a backlog
 * until the FIFO has room and the guest is ready for them.
 */
import type { Timer, TimerService } from '../../bus/clock.ts';
import type { InterruptLine } from '../../bus/lines.ts';
import type { ByteStream } from '../../bus/streams.ts';

/** Register offsets (data sheet table II). RBR/THR/IER are replaced by DLL/DLM while LCR.DLAB is set. */
export const REGISTER = {
  RBR_THR_DLL: 0,
  IER_DLM: 1,
  IIR_FCR: 2,
  LCR: 3,
  MCR: 4,
  LSR: 5,
  MSR: 6,
  SCR: 7,
} as const;

/** Number of ports the chip decodes. */
export const UART_PORT_COUNT = 8;

/** Interrupt enable register (section 8.6.6). */
export const IER = { ERBFI: 0x01, ETBEI: 0x02, ELSI: 0x04, EDSSI: 0x08, MASK: 0x0f } as const;

/** Interrupt identification codes (section 8.6.5, table III). */
export const IIR = {
  NONE: 0x01,
  MODEM_STATUS: 0x00,
  THR_EMPTY: 0x02,
  RECEIVED_DATA: 0x04,
  CHARACTER_TIMEOUT: 0x0c,
  LINE_STATUS: 0x06,
  FIFOS_ENABLED: 0xc0,
} as const;

/** FIFO control register (section 8.6.4). */
export const FCR = { ENABLE: 0x01, CLEAR_RECEIVER: 0x02, CLEAR_TRANSMITTER: 0x04, TRIGGER_SHIFT: 6 } as const;

/** Line control register (section 8.6.1). */
export const LCR = { WORD_LENGTH: 0x03, STOP_BITS: 0x04, PARITY: 0x08, DLAB: 0x80 } as const;

/** Modem control register (section 8.6.7). */
export const MCR = { DTR: 0x01, RTS: 0x02, OUT1: 0x04, OUT2: 0x08, LOOP: 0x10, MASK: 0x1f } as const;

/** Line status register (section 8.6.3). */
export const LSR = {
  DR: 0x01,
  OE: 0x02,
  PE: 0x04,
  FE: 0x08,
  BI: 0x10,
  THRE: 0x20,
  TEMT: 0x40,
  FIFO_ERROR: 0x80,
} as const;

/** Modem status register (section 8.6.8). */
export const MSR = {
  DCTS: 0x01,
  DDSR: 0x02,
  TERI: 0x04,
  DDCD: 0x08,
  CTS: 0x10,
  DSR: 0x20,
  RI: 0x40,
  DCD: 0x80,
  DELTAS: 0x0f,
  LINES: 0xf0,
} as const;

const FIFO_DEPTH = 16;
/** Receiver FIFO trigger levels by FCR bits 7:6 (section 8.6.4). */
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
/** LSR bits that the line status interrupt reports and an LSR read clears. */
const LSR_ERRORS = LSR.OE | LSR.PE | LSR.FE | LSR.BI;
/** A cable to a terminal that is always there: clear to send, data set ready, carrier detected. */
const CONNECTED_LINES = MSR.CTS | MSR.DSR | MSR.DCD;

/** The PC's baud generator crystal, and the receiver clocks per bit (section 8.6.2). */
const CRYSTAL_HZ = 1_843_200;
const CLOCKS_PER_BIT = 16;
const NANOSECONDS_PER_SECOND = 1e9;
/** The time-out interrupt comes after four character times of silence (section 8.7.1). */
const TIMEOUT_CHARACTERS = 4;

/**
 * So many LSR reads with no other register touched in between mean that the guest polls for input: a transmitting
 * guest sees THRE at its first look.
 */
const POLLS_THAT_SHOW_INTEREST = 16;

/** Snapshot of {@link Uart16550}. Deadlines are absolute guest nanoseconds. */
export interface Uart16550State {
  readonly version: 1;
  readonly divisor: number;
  readonly ier: number;
  readonly fcr: number;
  readonly lcr: number;
  readonly mcr: number;
  readonly lineErrors: number;
  readonly msr: number;
  readonly scr: number;
  readonly receiver: readonly number[];
  readonly backlog: readonly number[];
  readonly lastReceived: number;
  readonly transmitterInterrupt: boolean;
  readonly timeoutInterrupt: boolean;
  readonly timeoutDeadline: number | null;
  readonly statusPolls: number;
}

/** The register model. Offsets are 0..7, values are bytes. */
export class Uart16550 {
  readonly #time: TimerService;
  readonly #interrupt: InterruptLine;
  readonly #stream: ByteStream;
  readonly #timeout: Timer;
  #divisor = 12; // 9600 baud; the data sheet leaves DLL/DLM undefined at reset
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #lineErrors = 0;
  #msr: number = CONNECTED_LINES;
  #scr = 0;
  #receiver: number[] = [];
  #lastReceived = 0;
  #transmitterInterrupt = false;
  #timeoutInterrupt = false;
  #statusPolls = 0;
  /** Host bytes not yet in the FIFO, oldest chunk first; `#backlogStart` counts those taken from the first chunk. */
  #backlog: Uint8Array[] = [];
  #backlogStart = 0;

  /** `interrupt` takes the INTR output, gated by OUT2; `stream` is the far end of the cable. */
  constructor(time: TimerService, interrupt: InterruptLine, stream: ByteStream) {
    this.#time = time;
    this.#interrupt = interrupt;
    this.#stream = stream;
    this.#timeout = time.timer('uart16550', () => this.#characterTimeout());
    stream.onReceive((bytes) => this.receive(bytes));
  }

  /** Master reset (data sheet table I). Bytes the host sent stay queued. */
  reset(): void {
    this.#unreceive();
    this.#ier = 0;
    this.#fcr = 0;
    this.#lcr = 0;
    this.#mcr = 0;
    this.#lineErrors = 0;
    this.#msr = CONNECTED_LINES;
    this.#transmitterInterrupt = false;
    this.#statusPolls = 0;
    this.#update();
  }

  read(offset: number): number {
    if (offset !== REGISTER.LSR) this.#statusPolls = 0;
    switch (offset) {
      case REGISTER.RBR_THR_DLL:
        return this.#dlab ? this.#divisor & 0xff : this.#readReceiver();
      case REGISTER.IER_DLM:
        return this.#dlab ? this.#divisor >> 8 : this.#ier;
      case REGISTER.IIR_FCR:
        return this.#readInterruptIdentification();
      case REGISTER.LCR:
        return this.#lcr;
      case REGISTER.MCR:
        return this.#mcr;
      case REGISTER.LSR:
        return this.#readLineStatus();
      case REGISTER.MSR:
        return this.#readModemStatus();
      default:
        return this.#scr;
    }
  }

  write(offset: number, value: number): void {
    this.#statusPolls = 0;
    switch (offset) {
      case REGISTER.RBR_THR_DLL:
        if (this.#dlab) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#transmit(value);
        break;
      case REGISTER.IER_DLM:
        if (this.#dlab) this.#divisor = (this.#divisor & 0x00ff) | (value << 8);
        else this.#writeInterruptEnable(value & IER.MASK);
        break;
      case REGISTER.IIR_FCR:
        this.#writeFifoControl(value);
        break;
      case REGISTER.LCR:
        this.#lcr = value;
        break;
      case REGISTER.MCR:
        this.#writeModemControl(value & MCR.MASK);
        break;
      case REGISTER.SCR:
        this.#scr = value;
        break;
      default: // LSR and MSR are intended for reading only (sections 8.6.3, 8.6.8)
        break;
    }
  }

  /** Queues bytes from the host; they enter the receiver as the guest makes room. The array is kept, not copied. */
  receive(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#backlog.push(bytes);
    this.#fillReceiver();
    this.#update();
  }

  save(): Uart16550State {
    return {
      version: 1,
      divisor: this.#divisor,
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      lineErrors: this.#lineErrors,
      msr: this.#msr,
      scr: this.#scr,
      receiver: [...this.#receiver],
      backlog: this.#backlog.flatMap((chunk, index) =>
        Array.from(index === 0 ? chunk.subarray(this.#backlogStart) : chunk),
      ),
      lastReceived: this.#lastReceived,
      transmitterInterrupt: this.#transmitterInterrupt,
      timeoutInterrupt: this.#timeoutInterrupt,
      timeoutDeadline: this.#timeout.deadline ?? null,
      statusPolls: this.#statusPolls,
    };
  }

  restore(state: Uart16550State): void {
    this.#divisor = state.divisor;
    this.#ier = state.ier;
    this.#fcr = state.fcr;
    this.#lcr = state.lcr;
    this.#mcr = state.mcr;
    this.#lineErrors = state.lineErrors;
    this.#msr = state.msr;
    this.#scr = state.scr;
    this.#receiver = [...state.receiver];
    this.#backlog = state.backlog.length > 0 ? [Uint8Array.from(state.backlog)] : [];
    this.#backlogStart = 0;
    this.#lastReceived = state.lastReceived;
    this.#transmitterInterrupt = state.transmitterInterrupt;
    this.#timeoutInterrupt = state.timeoutInterrupt;
    this.#statusPolls = state.statusPolls;
    if (state.timeoutDeadline === null) this.#timeout.disarm();
    else this.#timeout.arm(state.timeoutDeadline);
    this.#update();
  }

  get #dlab(): boolean {
    return (this.#lcr & LCR.DLAB) !== 0;
  }

  get #fifosEnabled(): boolean {
    return (this.#fcr & FCR.ENABLE) !== 0;
  }

  get #capacity(): number {
    return this.#fifosEnabled ? FIFO_DEPTH : 1;
  }

  get #triggerLevel(): number {
    return this.#fifosEnabled ? TRIGGER_LEVELS[this.#fcr >> FCR.TRIGGER_SHIFT] : 1;
  }

  #readReceiver(): number {
    if (this.#receiver.length === 0) return this.#lastReceived;
    this.#lastReceived = this.#receiver.shift()!;
    this.#timeoutInterrupt = false;
    this.#fillReceiver();
    this.#restartTimeout();
    this.#update();
    return this.#lastReceived;
  }

  #transmit(byte: number): void {
    this.#transmitterInterrupt = false;
    this.#update();
    if (this.#mcr & MCR.LOOP) this.#receiveSerial(byte);
    else this.#stream.send(Uint8Array.of(byte));
    this.#transmitterInterrupt = true; // THR is empty again; ETBEI decides whether anybody hears of it
    this.#update();
  }

  /** A byte that arrives over the looped-back line, which knows no flow control. */
  #receiveSerial(byte: number): void {
    if (this.#receiver.length < this.#capacity) this.#receiver.push(byte);
    else {
      this.#lineErrors |= LSR.OE;
      if (!this.#fifosEnabled) this.#receiver = [byte]; // the old character is destroyed (section 8.6.3, bit 1)
    }
    this.#restartTimeout();
  }

  #writeInterruptEnable(value: number): void {
    const changed = this.#ier ^ value;
    this.#ier = value;
    if (changed & IER.ETBEI) this.#transmitterInterrupt = (value & IER.ETBEI) !== 0;
    this.#fillReceiver();
    this.#update();
  }

  #readInterruptIdentification(): number {
    const pending = this.#pendingInterrupt();
    if (pending === IIR.THR_EMPTY) {
      this.#transmitterInterrupt = false;
      this.#update();
    }
    return pending | (this.#fifosEnabled ? IIR.FIFOS_ENABLED : 0);
  }

  #writeFifoControl(value: number): void {
    const toggled = ((this.#fcr ^ value) & FCR.ENABLE) !== 0;
    // Clearing discards what the guest has not read; the host's bytes go back to the front of the queue instead.
    if (toggled || value & FCR.CLEAR_RECEIVER) this.#unreceive();
    // While FIFOs are off the other bits are not programmed (section 8.6.4, bit 0).
    this.#fcr = value & FCR.ENABLE ? value & ~(FCR.CLEAR_RECEIVER | FCR.CLEAR_TRANSMITTER) : 0;
    this.#fillReceiver();
    this.#restartTimeout();
    this.#update();
  }

  #writeModemControl(value: number): void {
    const looped = (value & MCR.LOOP) !== 0;
    // What waits in the FIFO when a loopback test starts came from the host: keep it out of the test, and the test's
    // leftovers out of the input.
    if (looped !== ((this.#mcr & MCR.LOOP) !== 0)) this.#unreceive();
    this.#mcr = value;
    this.#setModemLines(looped ? loopedBackLines(value) : CONNECTED_LINES);
    this.#fillReceiver();
    this.#restartTimeout();
    this.#update();
  }

  #setModemLines(lines: number): void {
    const changed = (this.#msr & MSR.LINES) ^ lines;
    let deltas = this.#msr & MSR.DELTAS;
    if (changed & MSR.CTS) deltas |= MSR.DCTS;
    if (changed & MSR.DSR) deltas |= MSR.DDSR;
    if (changed & MSR.DCD) deltas |= MSR.DDCD;
    if (changed & MSR.RI && !(lines & MSR.RI)) deltas |= MSR.TERI; // trailing edge only
    this.#msr = lines | deltas;
  }

  #readLineStatus(): number {
    if (++this.#statusPolls >= POLLS_THAT_SHOW_INTEREST) this.#fillReceiver();
    const value = LSR.THRE | LSR.TEMT | this.#lineErrors | (this.#receiver.length > 0 ? LSR.DR : 0);
    this.#lineErrors = 0;
    this.#update();
    return value;
  }

  #readModemStatus(): number {
    const value = this.#msr;
    this.#msr &= ~MSR.DELTAS;
    this.#update();
    return value;
  }

  /**
   * Whether the guest shows that it wants input: it drives the handshake lines, takes receive interrupts, or polls.
   * Until then bytes stay with the host, as they would behind a cable with hardware flow control; drivers that throw
   * away what they find in the FIFO while they set up would otherwise eat typed-ahead input.
   */
  get #wantsInput(): boolean {
    return (
      (this.#mcr & (MCR.DTR | MCR.RTS)) !== 0 ||
      (this.#ier & IER.ERBFI) !== 0 ||
      this.#statusPolls >= POLLS_THAT_SHOW_INTEREST
    );
  }

  #fillReceiver(): void {
    if (this.#backlog.length === 0 || this.#mcr & MCR.LOOP) return;
    if (!this.#wantsInput) return;
    let received = false;
    while (this.#receiver.length < this.#capacity && this.#backlog.length > 0) {
      const chunk = this.#backlog[0];
      this.#receiver.push(chunk[this.#backlogStart++]);
      received = true;
      if (this.#backlogStart === chunk.length) {
        this.#backlog.shift();
        this.#backlogStart = 0;
      }
    }
    if (received) this.#restartTimeout();
  }

  /** Empties the receiver; what came from the host returns to the backlog. */
  #unreceive(): void {
    if (this.#receiver.length > 0 && !(this.#mcr & MCR.LOOP)) {
      const rest = this.#backlog[0]?.subarray(this.#backlogStart);
      if (rest) this.#backlog[0] = rest;
      this.#backlog.unshift(Uint8Array.from(this.#receiver));
      this.#backlogStart = 0;
    }
    this.#receiver = [];
    this.#timeoutInterrupt = false;
    this.#timeout.disarm();
  }

  /** Every byte in or out of a non-empty receiver FIFO restarts the four characters of silence (section 8.7.1). */
  #restartTimeout(): void {
    if (this.#fifosEnabled && this.#receiver.length > 0) {
      this.#timeout.arm(this.#time.now() + TIMEOUT_CHARACTERS * this.#characterTime());
    } else {
      this.#timeout.disarm();
      this.#timeoutInterrupt = false;
    }
  }

  #characterTimeout(): void {
    this.#timeoutInterrupt = this.#receiver.length > 0;
    this.#update();
  }

  /** Nanoseconds for a start bit, the data bits, parity and stop bits at the programmed rate. */
  #characterTime(): number {
    const dataBits = 5 + (this.#lcr & LCR.WORD_LENGTH);
    const bits = 1 + dataBits + (this.#lcr & LCR.PARITY ? 1 : 0) + (this.#lcr & LCR.STOP_BITS ? 2 : 1);
    const clocks = bits * CLOCKS_PER_BIT * (this.#divisor || 1);
    return Math.ceil((clocks * NANOSECONDS_PER_SECOND) / CRYSTAL_HZ);
  }

  /** Highest-priority pending interrupt (table III: line status, received data, time-out, THR, modem status). */
  #pendingInterrupt(): number {
    if (this.#ier & IER.ELSI && this.#lineErrors & LSR_ERRORS) return IIR.LINE_STATUS;
    if (this.#ier & IER.ERBFI) {
      if (this.#receiver.length >= this.#triggerLevel) return IIR.RECEIVED_DATA;
      if (this.#timeoutInterrupt) return IIR.CHARACTER_TIMEOUT;
    }
    if (this.#ier & IER.ETBEI && this.#transmitterInterrupt) return IIR.THR_EMPTY;
    if (this.#ier & IER.EDSSI && this.#msr & MSR.DELTAS) return IIR.MODEM_STATUS;
    return IIR.NONE;
  }

  /** On the PC the interrupt output reaches the bus only through a buffer that OUT2 enables. */
  #update(): void {
    this.#interrupt.set((this.#mcr & MCR.OUT2) !== 0 && this.#pendingInterrupt() !== IIR.NONE);
  }
}

/** Modem inputs while looped back: DTR drives DSR, RTS CTS, OUT1 RI and OUT2 DCD (section 8.6.7, bit 4). */
function loopedBackLines(mcr: number): number {
  return (
    (mcr & MCR.DTR ? MSR.DSR : 0) |
    (mcr & MCR.RTS ? MSR.CTS : 0) |
    (mcr & MCR.OUT1 ? MSR.RI : 0) |
    (mcr & MCR.OUT2 ? MSR.DCD : 0)
  );
}
