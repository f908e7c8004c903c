/** The real-time clock and CMOS RAM in I/O space. */
import { bytePorts } from '../../bus/io-space.ts';
import type { IoSpace } from '../../bus/ports.ts';
import type { RtcMc146818 } from './model.ts';

const INDEX_PORT = 0x70;
/** The index port is write only. */
const INDEX_READS_AS = 0xff;

/** Attaches the index and data ports at 0x70 and 0x71. */
export function attachRtcMc146818(space: IoSpace, rtc: RtcMc146818): void {
  space.attachPorts(
    INDEX_PORT,
    2,
    bytePorts(
      (port) => (port === INDEX_PORT ? INDEX_READS_AS : rtc.readData()),
      (port, value) => {
        if (port === INDEX_PORT) rtc.writeIndex(value);
        else rtc.writeData(value);
      },
    ),
  );
}
