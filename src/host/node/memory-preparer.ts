/**
 * Has the host back memory before the guest touches it. A page touched for the first time costs the thread that does it
 * microseconds, tens of them in some virtual machines: more than all that the guest's own page fault takes. Node reads files
 * on threads of their own, and a read writes to memory: so zeros are read into frames that were never used.
 */
import { close, open, read } from 'node:fs';
import { type Arena, MOST_BORROWED, PAGE_SIZE } from '../../cpu/memory/index.ts';

/** What gives zeros without end. Where there is none nothing is prepared. */
const ZEROS = '/dev/zero';
/** Frames to have in store: what the fastest guests touch in a tenth of a second. */
const STORE = 8192;
/** Milliseconds until the store is looked at again when it was full. */
const PAUSE = 20;

export class MemoryPreparer {
  private readonly arena: Pick<Arena, 'borrowFrames' | 'bytes' | 'preparedFrames' | 'returnFrames'>;
  private stopped = false;
  /** Ends a pause. */
  private resume: (() => void) | undefined;

  constructor(arena: MemoryPreparer['arena']) {
    this.arena = arena;
  }

  start(): void {
    open(ZEROS, (error, file) => {
      if (!error) this.prepare(file);
    });
  }

  /** Nothing more is prepared; what is on its way ends by itself. */
  stop(): void {
    this.stopped = true;
    this.resume?.();
  }

  private prepare(file: number): void {
    const { arena } = this;
    if (this.stopped) {
      close(file, () => {});
      return;
    }
    const first = arena.preparedFrames < STORE ? arena.borrowFrames(MOST_BORROWED) : 0;
    if (first === 0) {
      const resume = () => {
        clearTimeout(timeout);
        this.resume = undefined;
        this.prepare(file);
      };
      const timeout = setTimeout(resume, PAUSE).unref();
      this.resume = resume;
      return;
    }
    read(file, arena.bytes, first * PAGE_SIZE, MOST_BORROWED * PAGE_SIZE, null, (error) => {
      arena.returnFrames(first);
      if (error) this.stopped = true;
      this.prepare(file);
    });
  }
}
