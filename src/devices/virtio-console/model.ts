/** Virtio console with a single port (Virtual I/O Device Version 1.2, section 5.3). */
import type { ByteStream } from '../../bus/streams.ts';
import { BufferReader, BufferWriter } from '../virtio/buffers.ts';
import { VIRTIO_DEVICE, type VirtioBackend, type VirtioDevice } from '../virtio/model.ts';

/** Queues (section 5.3.2). */
const RECEIVE_QUEUE = 0;
const TRANSMIT_QUEUE = 1;
const QUEUE_SIZE = 128;

/** Feature bits (section 5.3.3). */
export const CONSOLE_FEATURE = { SIZE: 1n << 0n, EMERGENCY_WRITE: 1n << 2n } as const;

/** Configuration (section 5.3.4): cols, rows, max_nr_ports, emerg_wr. */
const CONFIG = { COLUMNS: 0, ROWS: 2, PORTS: 4, EMERGENCY_WRITE: 8, LENGTH: 12 } as const;
const DEFAULT_SIZE = { columns: 80, rows: 25 } as const;
/** The stream gets the guest's output in pieces of at most this. */
const LARGEST_PIECE = 4096;

/** Saved state: host bytes the guest has not taken yet, and the terminal size. */
export interface VirtioConsoleState {
  readonly version: 1;
  readonly input: readonly number[];
  readonly columns: number;
  readonly rows: number;
}

export class VirtioConsole implements VirtioBackend {
  readonly deviceType = VIRTIO_DEVICE.CONSOLE;
  readonly features = CONSOLE_FEATURE.SIZE | CONSOLE_FEATURE.EMERGENCY_WRITE;
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  readonly config = new Uint8Array(CONFIG.LENGTH);
  readonly #view = new DataView(this.config.buffer);
  readonly #stream: ByteStream;
  #device!: VirtioDevice;
  #input: Uint8Array[] = [];

  constructor(stream: ByteStream) {
    this.#stream = stream;
    this.#setSize(DEFAULT_SIZE.columns, DEFAULT_SIZE.rows);
    this.#view.setUint32(CONFIG.PORTS, 1, true);
  }

  connect(device: VirtioDevice): void {
    this.#device = device;
    this.#stream.onReceive((bytes) => {
      if (bytes.length > 0) this.#input.push(bytes);
      device.notify(RECEIVE_QUEUE);
    });
    this.#stream.onResize?.((columns, rows) => {
      this.#setSize(columns, rows);
      device.configChanged();
    });
  }

  /** A byte written to emerg_wr is sent without any queue (section 5.3.4). */
  writeConfig(offset: number, bytes: Uint8Array): void {
    if (offset === CONFIG.EMERGENCY_WRITE) this.#stream.send(bytes.subarray(0, 1));
  }

  /** Linux looks at the size only when it has changed, so that a driver that starts is told of a change. */
  started(): void {
    this.#device.configChanged();
  }

  serve(queue: number): void {
    if (queue === RECEIVE_QUEUE) this.#deliver();
    else if (queue === TRANSMIT_QUEUE) this.#transmit();
  }

  save(): VirtioConsoleState {
    return {
      version: 1,
      input: this.#input.flatMap((chunk) => Array.from(chunk)),
      columns: this.#view.getUint16(CONFIG.COLUMNS, true),
      rows: this.#view.getUint16(CONFIG.ROWS, true),
    };
  }

  restore(state: unknown): void {
    const { input, columns, rows } = state as VirtioConsoleState;
    this.#input = input.length > 0 ? [Uint8Array.from(input)] : [];
    this.#setSize(columns, rows);
  }

  #setSize(columns: number, rows: number): void {
    this.#view.setUint16(CONFIG.COLUMNS, columns, true);
    this.#view.setUint16(CONFIG.ROWS, rows, true);
  }

  #transmit(): void {
    const queue = this.#device.queues[TRANSMIT_QUEUE];
    for (let chain = queue.take(); chain; chain = queue.take()) {
      const reader = new BufferReader(this.#device.memory, chain.readable);
      while (reader.remaining > 0) this.#stream.send(reader.read(LARGEST_PIECE));
      queue.giveBack(chain, 0);
      if (!this.#device.spend(chain.readableLength)) return;
    }
  }

  /** Fills one buffer after the other for as long as there is input. */
  #deliver(): void {
    const queue = this.#device.queues[RECEIVE_QUEUE];
    while (this.#input.length > 0) {
      const chain = queue.take();
      if (!chain) return;
      const writer = new BufferWriter(this.#device.memory, chain.writable);
      while (this.#input.length > 0 && writer.remaining > 0) {
        const chunk = this.#input[0];
        const count = writer.write(chunk);
        if (count === chunk.length) this.#input.shift();
        else this.#input[0] = chunk.subarray(count);
      }
      queue.giveBack(chain, writer.written);
      if (!this.#device.spend(writer.written)) return;
    }
  }
}
