/** The entropy device as a PCI function. */
import type { EntropySource } from '../../bus/streams.ts';
import { VirtioPci } from '../virtio/device.ts';
import { VirtioDevice, type VirtioWiring } from '../virtio/model.ts';
import { VirtioRng } from './model.ts';

/** Unclassified device, as QEMU presents it. */
const CLASS_CODE = 0x00_ff00;

export function virtioRngPci(wiring: VirtioWiring, entropy: EntropySource): VirtioPci {
  return new VirtioPci(new VirtioDevice(new VirtioRng(entropy), wiring), CLASS_CODE);
}
