/** The block device as a PCI function. */
import type { BlockStore } from '../../bus/streams.ts';
import { VirtioPci } from '../virtio/device.ts';
import { VirtioDevice, type VirtioWiring } from '../virtio/model.ts';
import { VirtioBlock } from './model.ts';

/** Mass storage controller, as QEMU presents it. */
const CLASS_CODE = 0x01_0000;

export function virtioBlockPci(wiring: VirtioWiring, store: BlockStore, id?: string): VirtioPci {
  return new VirtioPci(new VirtioDevice(new VirtioBlock(store, id), wiring), CLASS_CODE);
}
