/** The keyboard controller in I/O space. */
import { bytePorts } from '../../bus/io-space.ts';
import type { IoSpace } from '../../bus/ports.ts';
import type { I8042 } from './model.ts';

const DATA_PORT = 0x60;
const COMMAND_PORT = 0x64;

/** Attaches the data port 0x60 and the command/status port 0x64. */
export function attachI8042(space: IoSpace, controller: I8042): void {
  space.attachPorts(
    DATA_PORT,
    1,
    bytePorts(
      () => controller.readData(),
      (_port, value) => controller.writeData(value),
    ),
  );
  space.attachPorts(
    COMMAND_PORT,
    1,
    bytePorts(
      () => controller.readStatus(),
      (_port, value) => controller.writeCommand(value),
    ),
  );
}
