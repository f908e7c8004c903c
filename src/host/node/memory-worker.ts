/** The thread that touches memory for the MemoryPreparer. */
import { parentPort, workerData } from 'node:worker_threads';
import { PAGE_SIZE } from '../../cpu/memory/arena.ts';
import type { MemoryRange, PreparerStart } from './memory-preparer.ts';
import { lowerThisThread } from './priority.ts';

lowerThisThread();
const bytes = new Uint8Array((workerData as PreparerStart).memory.buffer);

parentPort!.on('message', ({ start, end }: MemoryRange) => {
  // changes nothing, whoever writes there meanwhile
  for (let at = start; at < end; at += PAGE_SIZE) Atomics.or(bytes, at, 0);
  parentPort!.postMessage(end);
});
