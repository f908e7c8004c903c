/** Compiles regions of guest code on a thread of Node's. */
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { CpuModel } from '../../cpu/model.ts';
import type { CompiledBatch, RegionBatch, RegionCompiler } from '../../cpu/regions/background.ts';
import { lowerHelpers } from './priority.ts';

export interface WorkerStart {
  readonly port: MessagePort;
  readonly features: CpuModel['features'];
  /** Whether V8's settings may be changed. */
  readonly v8Flags: boolean;
}

export type WorkerAnswer = { readonly done: CompiledBatch } | { readonly error: string };

/** The thread's program: TypeScript in a checkout, JavaScript in the published package. */
const PROGRAM = new URL(`./region-worker${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url);

/** The thread finds its program as this one's was compiled before, if that was kept. */
function environment(): NodeJS.ProcessEnv {
  const directory = getCompileCacheDir();
  return directory === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: dirname(directory) };
}

export class WorkerCompiler implements RegionCompiler {
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private failure: string | undefined;

  /**
   * @param features of the processor whose code it is
   * @param v8Flags whether V8's settings may be changed: see v8-flags.ts
   * @param failed is told once, in a few words, that the thread is of no use any more
   */
  constructor(features: CpuModel['features'], v8Flags: boolean, failed: (reason: string) => void) {
    lowerHelpers();
    const { port1, port2 } = new MessageChannel();
    const workerData: WorkerStart = { port: port2, features, v8Flags };
    this.port = port1;
    this.worker = new Worker(PROGRAM, { workerData, transferList: [port2], env: environment() });
    const fail = (reason: string) => {
      if (this.failure !== undefined) return;
      this.failure = reason;
      failed(reason);
    };
    this.worker.on('error', (error) => fail(String(error)));
    this.worker.on('exit', (status) => fail(`the thread ended with status ${status}`));
    // neither keeps the process alive
    this.worker.unref();
    this.port.unref();
    this.fail = fail;
  }

  private readonly fail: (reason: string) => void;

  submit(batch: RegionBatch): void {
    this.port.postMessage(batch);
  }

  poll(): CompiledBatch | undefined {
    const answer = receiveMessageOnPort(this.port)?.message as WorkerAnswer | undefined;
    if (answer && 'done' in answer) return answer.done;
    if (answer) this.fail(answer.error);
    if (this.failure !== undefined) throw new Error(this.failure);
    return undefined;
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.failure ??= 'closed';
    this.port.close();
    await this.worker.terminate();
  }
}
