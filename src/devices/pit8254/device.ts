/** The 8254 and system control port B in I/O space. */
import { bytePorts } from '../../bus/io-space.ts';
import type { IoSpace } from '../../bus/ports.ts';
import type { CounterIndex, Pit8254 } from './model.ts';

const COUNTER_0_PORT = 0x40;
const CONTROL_PORT = 0x43;
const PORT_B = 0x61;

/** Attaches the counters and the control word register at 0x40-0x43 and system control port B at 0x61. */
export function attachPit8254(space: IoSpace, pit: Pit8254): void {
  space.attachPorts(
    COUNTER_0_PORT,
    4,
    bytePorts(
      // The control word register cannot be read (data sheet, "Read Operations").
      (port) => (port === CONTROL_PORT ? 0 : pit.readCounter((port - COUNTER_0_PORT) as CounterIndex)),
      (port, value) => {
        if (port === CONTROL_PORT) pit.writeControl(value);
        else pit.writeCounter((port - COUNTER_0_PORT) as CounterIndex, value);
      },
    ),
  );
  space.attachPorts(
    PORT_B,
    1,
    bytePorts(
      () => pit.readPortB(),
      (_port, value) => pit.writePortB(value),
    ),
  );
}
