/** Power management registers and APM ports in I/O space. */
import { bytePorts } from '../../bus/io-space.ts';
import type { Attachment, IoSpace } from '../../bus/ports.ts';
import { type Ich9Pm, PM_BLOCK_LENGTH } from './model.ts';

const APM_CONTROL_PORT = 0xb2;

/** Attaches the register block at `base`, which the LPC bridge may move. */
export function attachIch9Pm(space: IoSpace, pm: Ich9Pm, base: number): Attachment {
  return space.attachPorts(
    base,
    PM_BLOCK_LENGTH,
    bytePorts(
      (port) => pm.read(port - base),
      (port, value) => pm.write(port - base, value),
    ),
  );
}

/** Attaches the APM control and status ports, 0xb2 and 0xb3. */
export function attachApm(space: IoSpace, pm: Ich9Pm): void {
  const registerOf = (port: number) => (port === APM_CONTROL_PORT ? 'control' : 'status');
  space.attachPorts(
    APM_CONTROL_PORT,
    2,
    bytePorts(
      (port) => pm.readApm(registerOf(port)),
      (port, value) => pm.writeApm(registerOf(port), value),
    ),
  );
}
