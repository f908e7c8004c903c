/** System control port A in I/O space. */
import { bytePorts } from '../../bus/io-space.ts';
import type { IoSpace } from '../../bus/ports.ts';
import type { Port92 } from './model.ts';

const PORT = 0x92;

/** Attaches port 0x92. */
export function attachPort92(space: IoSpace, port92: Port92): void {
  space.attachPorts(
    PORT,
    1,
    bytePorts(
      () => port92.read(),
      (_port, value) => port92.write(value),
    ),
  );
}
