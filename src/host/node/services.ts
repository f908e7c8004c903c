/** The host's clock and event loop, for a machine that runs in Node. */
import type { HostServices } from '../../machine/machine.ts';

const NANOSECONDS_PER_MILLISECOND = 1e6;

export class NodeHost implements HostServices {
  private wakeSleeper: (() => void) | undefined;

  now(): number {
    return performance.now() * NANOSECONDS_PER_MILLISECOND;
  }

  breathe(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  sleep(nanoseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timeout);
        this.wakeSleeper = undefined;
        resolve();
      };
      const timeout = setTimeout(done, nanoseconds / NANOSECONDS_PER_MILLISECOND);
      this.wakeSleeper = done;
    });
  }

  /** Input arrived: ends a sleep. */
  wake(): void {
    this.wakeSleeper?.();
  }
}
