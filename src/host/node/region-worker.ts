/** The thread that compiles guest code: takes batches from its port and answers each with a module, or with an error. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { BatchCompiler, type RegionBatch } from '../../cpu/regions/background.ts';
import { lowerThisThread } from './priority.ts';
import type { WorkerAnswer, WorkerStart } from './region-compiler.ts';
import { optimized } from './v8-flags.ts';

lowerThisThread();
const { port, features, v8Flags } = workerData as WorkerStart & { port: MessagePort };
const compile = (bytes: Uint8Array<ArrayBuffer>) => new WebAssembly.Module(bytes);
const compiler = new BatchCompiler(features, v8Flags ? (bytes) => optimized(() => compile(bytes)) : compile);

port.on('message', (batch: RegionBatch) => {
  let answer: WorkerAnswer;
  try {
    answer = { done: compiler.compile(batch) };
  } catch (error) {
    answer = { error: String(error) };
  }
  port.postMessage(answer);
});
