/** The 8259A pair in I/O space. */
import { bytePorts } from '../../bus/io-space.ts';
import type { IoSpace } from '../../bus/ports.ts';
import type { Pic8259 } from './model.ts';

const MASTER_PORT = 0x20;
const SLAVE_PORT = 0xa0;
/** Edge/level control registers: 0x4d0 for IRQ0-7, 0x4d1 for IRQ8-15. */
const ELCR_PORT = 0x4d0;

/** Attaches the command and data ports of both chips and their edge/level control registers. */
export function attachPic8259(space: IoSpace, pic: Pic8259): void {
  space.attachPorts(
    MASTER_PORT,
    2,
    bytePorts(
      (port) => pic.read('master', port - MASTER_PORT),
      (port, value) => pic.write('master', port - MASTER_PORT, value),
    ),
  );
  space.attachPorts(
    SLAVE_PORT,
    2,
    bytePorts(
      (port) => pic.read('slave', port - SLAVE_PORT),
      (port, value) => pic.write('slave', port - SLAVE_PORT, value),
    ),
  );
  const chipOf = (port: number) => (port === ELCR_PORT ? 'master' : 'slave');
  space.attachPorts(
    ELCR_PORT,
    2,
    bytePorts(
      (port) => pic.readEdgeLevelControl(chipOf(port)),
      (port, value) => pic.writeEdgeLevelControl(chipOf(port), value),
    ),
  );
}
