import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuModel } from '../../cpu/model.ts';
import type { CompiledBatch, RegionBatch } from '../../cpu/regions/background.ts';
import { WorkerCompiler } from './region-compiler.ts';

const { features } = cpuModel('amd');
const MODE_64 = 2;
const DEADLINE = 30_000;

/** A batch of one region of the instructions given, of which there are so many. */
function region(code: readonly number[], count: number): RegionBatch {
  const bytes = new Uint8Array(4096);
  bytes.set(code, 0x10);
  const graph = Int32Array.of(0x10, count, 0, 0, 0, 1, 0x10 + code.length, 0, 0, 0, 0);
  const pages = [{ distance: 0, table: 0, bytes }];
  const request = {
    name: 'region',
    mode: MODE_64,
    assuming: true,
    apart: false,
    record: 0x1_1000,
    upper: false,
    flat: 0,
    pages,
    graph,
  };
  return {
    regions: [request],
    place: {
      firstRegion: 8192,
      firstHeat: 0x2_0000,
      firstExit: 0x3_0000,
      jumps: 0x4_0000,
      context: 0x5_0000,
      misses: 0,
      shared: false,
    },
  };
}

async function answerOf(compiler: WorkerCompiler): Promise<CompiledBatch> {
  for (const start = performance.now(); performance.now() - start < DEADLINE; await delay(5)) {
    const done = compiler.poll();
    if (done) return done;
  }
  throw new Error('no answer');
}

test('modules come back in the order in which they were asked for', async () => {
  const compiler = new WorkerCompiler(features, true, (reason) => assert.fail(reason));
  try {
    // add rax, rbx; and that with div rbx, which may raise an exception
    compiler.submit(region([0x48, 0x01, 0xd8], 1));
    compiler.submit(region([0x48, 0x01, 0xd8, 0x48, 0xf7, 0xf3], 2));
    const first = await answerOf(compiler);
    const second = await answerOf(compiler);
    assert.ok(first.module instanceof WebAssembly.Module);
    assert.deepEqual([...first.sites.offsets], []);
    assert.deepEqual([...second.sites.offsets], [3, 3]);
    assert.equal(compiler.poll(), undefined);
  } finally {
    await compiler.close();
  }
});

test('a batch that cannot be compiled ends it, and that is told once', async () => {
  const told: string[] = [];
  const compiler = new WorkerCompiler(features, false, (reason) => told.push(reason));
  try {
    // PUSH ES, which 64-bit code does not have
    compiler.submit(region([0x06], 1));
    await assert.rejects(answerOf(compiler), /no instruction at 16/);
    assert.throws(() => compiler.poll(), /no instruction/);
    assert.equal(told.length, 1);
  } finally {
    await compiler.close();
  }
  assert.equal(told.length, 1);
});

test('the guest goes before the threads that help it', { skip: process.platform !== 'linux' }, async () => {
  const guest = getPriority();
  const compiler = new WorkerCompiler(features, true, (reason) => assert.fail(reason));
  try {
    compiler.submit(region([0x48, 0x01, 0xd8], 1));
    await answerOf(compiler);
    const helpers = readdirSync('/proc/self/task').map(Number);
    assert.equal(getPriority(), guest);
    assert.ok(helpers.filter((thread) => getPriority(thread) > guest).length > 1, 'the compiler and V8');
  } finally {
    await compiler.close();
  }
});
