import type { TimerService } from '../../bus/clock.ts';
import type { InterruptLine } from '../../bus/lines.ts';
import type { Attachment, IoSpace } from '../../bus/ports.ts';
import type { ByteStream } from '../../bus/streams.ts';
import { bytePorts } from '../byte-ports.ts';
import { UART_PORT_COUNT, Uart16550Model } from './model.ts';

/** Base ports of the PC's serial ports; COM1 and COM3 use IRQ 4, COM2 and COM4 IRQ 3. */
export const COM_PORTS = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
] as const;

/** What a serial port is connected to. */
export interface Uart16550Options {
  readonly base: number;
  readonly interrupt: InterruptLine;
  readonly timers: TimerService;
  readonly stream: ByteStream;
}

/** Attaches a serial port to the I/O space and to its host stream. */
export function attachUart16550(ioSpace: IoSpace, options: Uart16550Options): { model: Uart16550Model; attachment: Attachment } {
  const { base, interrupt, timers, stream } = options;
  const model = new Uart16550Model({ interrupt, timers, transmit: (byte) => stream.send(Uint8Array.of(byte)) });
  stream.onReceive((bytes) => model.receive(bytes));
  const registers = {
    readByte: (port: number) => model.read((port - base) % UART_PORT_COUNT),
    writeByte: (port: number, value: number) => model.write((port - base) % UART_PORT_COUNT, value),
  };
  return { model, attachment: ioSpace.attachPorts(base, UART_PORT_COUNT, bytePorts(registers)) };
}
