import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Arena, MOST_BORROWED, PAGE_SIZE } from '../../cpu/memory/index.ts';
import { MemoryPreparer } from './memory-preparer.ts';

const DEADLINE = 20_000;
const CODE_BYTES = 5 * 2 ** 20;

async function until(condition: () => boolean): Promise<void> {
  for (const start = performance.now(); !condition(); await delay(5))
    if (performance.now() - start > DEADLINE) throw new Error('nothing happened');
}

test('prepares frames, as many as there are, and leaves those in use alone', async () => {
  const arena = new Arena({ ramBytes: 2.5 * MOST_BORROWED * PAGE_SIZE, overheadBytes: CODE_BYTES, shared: true });
  const code = { next: arena.reserve(CODE_BYTES), end: 0 };
  code.end = code.next + CODE_BYTES;
  arena.bytes.fill(0x5a, code.next, code.end);
  const frame = arena.allocateFrame();
  arena.bytes.fill(0xa5, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
  const preparer = new MemoryPreparer(arena, () => code);
  preparer.start();
  // the last ones do not make a whole loan
  await until(() => arena.preparedFrames === 3 * MOST_BORROWED);
  const next = arena.allocateFrame();
  assert.equal(next, frame + 1);
  assert.equal(arena.preparedFrames, 3 * MOST_BORROWED - 1);
  const page = (n: number) => arena.bytes.subarray(n * PAGE_SIZE, (n + 1) * PAGE_SIZE);
  assert.ok(page(frame).every((byte) => byte === 0xa5));
  assert.ok(page(next).every((byte) => byte === 0));
  assert.ok(arena.bytes.subarray(code.next, code.end).every((byte) => byte === 0x5a));
  await preparer.stop();
});
