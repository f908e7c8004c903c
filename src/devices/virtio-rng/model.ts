/** Virtio entropy device (Virtual I/O Device Version 1.2, section 5.4). */
import type { EntropySource } from '../../bus/streams.ts';
import { BufferWriter } from '../virtio/buffers.ts';
import { VIRTIO_DEVICE, type VirtioBackend, type VirtioDevice } from '../virtio/model.ts';

/** requestq is the only queue. */
const REQUEST_QUEUE = 0;
const QUEUE_SIZE = 8;
/** The device may fill less than it is offered, but at least a byte (section 5.4.6.2). */
const MOST_PER_REQUEST = 0x1_0000;

export class VirtioRng implements VirtioBackend {
  readonly deviceType = VIRTIO_DEVICE.ENTROPY;
  readonly features = 0n;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(0);
  readonly #entropy: EntropySource;
  #device!: VirtioDevice;

  constructor(entropy: EntropySource) {
    this.#entropy = entropy;
  }

  connect(device: VirtioDevice): void {
    this.#device = device;
  }

  serve(): void {
    const queue = this.#device.queues[REQUEST_QUEUE];
    for (let chain = queue.take(); chain; chain = queue.take()) {
      const bytes = new Uint8Array(Math.min(chain.writableLength, MOST_PER_REQUEST));
      this.#entropy.fill(bytes);
      const writer = new BufferWriter(this.#device.memory, chain.writable);
      writer.write(bytes);
      queue.giveBack(chain, writer.written);
      if (!this.#device.spend(bytes.length)) return;
    }
  }
}
