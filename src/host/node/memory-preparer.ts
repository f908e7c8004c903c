/**
 * Has the host back memory before the guest touches it. A page touched for the first time costs the thread that does it
 * microseconds, tens of them in some virtual machines: more than all that the guest's own page fault takes. So a thread of
 * its own touches frames that were never used, and the memory that decoded code comes into next.
 */
import { Worker } from 'node:worker_threads';
import { type Arena, MOST_BORROWED, PAGE_SIZE } from '../../cpu/memory/index.ts';
import { helpersPriority } from './priority.ts';

/** Frames to have in store: what the fastest guests touch in a tenth of a second. */
const STORE = 8192;
/** Bytes touched at a time. */
const PORTION = MOST_BORROWED * PAGE_SIZE;
/** Bytes of code to be ahead of. */
const CODE_AHEAD = 16 * 2 ** 20;
/** Milliseconds until the store is looked at again when it was full. */
const PAUSE = 20;

/** Memory to be touched. */
interface MemoryRange {
  readonly start: number;
  readonly end: number;
}

/** Memory that is used from one end to the other. */
export interface GrowingArea {
  /** How far it has been. */
  readonly next: number;
  readonly end: number;
}

/**
 * The thread's program, as plain JavaScript: Node's compiler of types is WebAssembly, which must not be compiled while V8 optimizes what others
 * compile, see v8-flags.ts. What it does to the memory changes nothing, whoever writes there meanwhile.
 */
const PROGRAM = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { setPriority } = require('node:os');
  const { memory, pageSize, nice } = workerData;
  const bytes = new Uint8Array(memory.buffer);
  try {
    if (nice !== undefined) setPriority(nice);
  } catch {}
  parentPort.on('message', ({ start, end }) => {
    for (let at = start; at < end; at += pageSize) Atomics.or(bytes, at, 0);
    parentPort.postMessage(end);
  });
`;

export class MemoryPreparer {
  private readonly arena: Pick<Arena, 'borrowFrames' | 'memory' | 'preparedFrames' | 'returnFrames'>;
  private readonly code: () => GrowingArea;
  /** How far the code's memory has been touched. */
  private codeEnd = 0;
  /** The first of the frames on loan; 0: none. */
  private lent = 0;
  private worker: Worker | undefined;
  private timeout: NodeJS.Timeout | undefined;

  /** @param arena one in shared memory */
  constructor(arena: MemoryPreparer['arena'], code: () => GrowingArea) {
    this.arena = arena;
    this.code = code;
  }

  /** Begins. If the thread cannot be made or ends, nothing is prepared any more. */
  start(): void {
    const workerData = { memory: this.arena.memory, pageSize: PAGE_SIZE, nice: helpersPriority() };
    const worker = new Worker(PROGRAM, { eval: true, workerData });
    this.worker = worker;
    worker.on('message', () => {
      if (this.lent !== 0) this.arena.returnFrames(this.lent);
      this.lent = 0;
      this.prepare();
    });
    worker.on('error', () => void this.stop());
    // it does not keep the process alive
    worker.unref();
    this.prepare();
  }

  /** Ends the thread: nothing more is prepared. */
  async stop(): Promise<void> {
    const { worker } = this;
    this.worker = undefined;
    clearTimeout(this.timeout);
    await worker?.terminate();
  }

  private prepare(): void {
    const { worker } = this;
    if (!worker) return;
    const range = this.codeToTouch() ?? this.framesToTouch();
    if (range) worker.postMessage(range);
    else this.timeout = setTimeout(() => this.prepare(), PAUSE).unref();
  }

  private codeToTouch(): MemoryRange | undefined {
    const { next, end } = this.code();
    const start = Math.max(next, this.codeEnd);
    if (start + PORTION > Math.min(next + CODE_AHEAD, end)) return undefined;
    this.codeEnd = start + PORTION;
    return { start, end: this.codeEnd };
  }

  private framesToTouch(): MemoryRange | undefined {
    const { arena } = this;
    if (arena.preparedFrames >= STORE) return undefined;
    this.lent = arena.borrowFrames(MOST_BORROWED);
    const start = this.lent * PAGE_SIZE;
    return this.lent === 0 ? undefined : { start, end: start + PORTION };
  }
}
