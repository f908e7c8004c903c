/** The thread that compiles guest code: takes batches from its port and answers each with a module, or with an error. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { BatchCompiler, type RegionBatch } from '../../cpu/regions/background.ts';
import type { WorkerAnswer, WorkerStart } from './region-compiler.ts';

const { port, features } = workerData as WorkerStart & { port: MessagePort };
const compiler = new BatchCompiler(features);

port.on('message', (batch: RegionBatch) => {
  let answer: WorkerAnswer;
  try {
    answer = { done: compiler.compile(batch) };
  } catch (error) {
    answer = { error: String(error) };
  }
  port.postMessage(answer);
});
