/** The debug exit port in I/O space. */
import type { IoSpace } from '../../bus/ports.ts';
import type { DebugExit } from './model.ts';

/** Where test suites expect it. */
const DEBUG_EXIT_PORT = 0xf4;
const DEBUG_EXIT_PORTS = 4;

/** Attaches ports 0xf4 to 0xf7. */
export function attachDebugExit(space: IoSpace, device: DebugExit): void {
  space.attachPorts(DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, device);
}
