/** Serial ports in I/O space. */
import { bytePorts } from '../../bus/io-space.ts';
import type { IoSpace } from '../../bus/ports.ts';
import { UART_PORT_COUNT, type Uart16550 } from './model.ts';

/** Base ports of the PC's serial ports COM1 to COM4 and the ISA interrupts they use. */
export const COM_PORTS = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
] as const;

/** Attaches a serial port's eight registers at `base`. */
export function attachUart16550(space: IoSpace, uart: Uart16550, base: number): void {
  space.attachPorts(
    base,
    UART_PORT_COUNT,
    bytePorts(
      (port) => uart.read((port - base) % UART_PORT_COUNT),
      (port, value) => uart.write((port - base) % UART_PORT_COUNT, value),
    ),
  );
}
