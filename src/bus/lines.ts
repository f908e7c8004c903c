/** One interrupt wire into a controller. Level changes only are reported; setting the same level twice is harmless. */
export interface InterruptLine {
  set(level: boolean): void;
}

/** Takes message signalled interrupts: a posted 32-bit write to the local APICs' address range (SDM vol. 3A 11.11). */
export interface MessageSink {
  write(address: number, data: number): void;
}

/** A line nobody listens to. */
export const UNCONNECTED: InterruptLine = { set() {} };
