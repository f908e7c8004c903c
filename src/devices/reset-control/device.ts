/** The reset control register's port. */
import { bytePorts } from '../../bus/io-space.ts';
import type { IoSpace, PortDevice } from '../../bus/ports.ts';
import type { ResetControl } from './model.ts';

/** It lies inside the PCI configuration address register, which only answers 32-bit accesses. */
export const RESET_CONTROL_PORT = 0xcf9;

/** The register as a port device, for the PCI host bridge to pass byte accesses on to. */
export function resetControlPort(control: ResetControl): PortDevice {
  return bytePorts(
    (port) => (port === RESET_CONTROL_PORT ? control.read() : 0xff),
    (port, value) => {
      if (port === RESET_CONTROL_PORT) control.write(value);
    },
  );
}

/** Attaches the port on a board without PCI. */
export function attachResetControl(space: IoSpace, control: ResetControl): void {
  space.attachPorts(RESET_CONTROL_PORT, 1, resetControlPort(control));
}
