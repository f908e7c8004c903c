/** The console as a PCI function. */
import type { ByteStream } from '../../bus/streams.ts';
import { VirtioPci } from '../virtio/device.ts';
import { VirtioDevice, type VirtioWiring } from '../virtio/model.ts';
import { VirtioConsole } from './model.ts';

/** Other communication controller. */
const CLASS_CODE = 0x07_8000;

export function virtioConsolePci(wiring: VirtioWiring, stream: ByteStream): VirtioPci {
  return new VirtioPci(new VirtioDevice(new VirtioConsole(stream), wiring), CLASS_CODE);
}
