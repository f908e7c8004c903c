import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Arena, MOST_BORROWED, PAGE_SIZE } from './arena.ts';

const arena = () => new Arena({ ramBytes: 4 * PAGE_SIZE, overheadBytes: 2 * PAGE_SIZE });

describe('arena', () => {
  test('reserves aligned areas that never overlap and never start at 0', () => {
    const a = arena();
    const first = a.reserve(100, 64);
    const second = a.reserve(10, 256);
    assert.notEqual(first, 0);
    assert.equal(first % 64, 0);
    assert.equal(second % 256, 0);
    assert.ok(second >= first + 100);
  });

  test('says so when the overhead is used up', () => {
    assert.throws(() => arena().reserve(3 * PAGE_SIZE), /raise overheadBytes/);
  });

  test('refuses at creation what a 32-bit memory cannot hold, in one line', () => {
    assert.throws(
      () => new Arena({ ramBytes: 4 * 2 ** 30, overheadBytes: 2 ** 20 }),
      (error: Error) => error instanceof RangeError && /4096 MiB/.test(error.message) && !error.message.includes('\n'),
    );
    assert.throws(() => new Arena({ ramBytes: -1, overheadBytes: 0 }), RangeError);
    assert.throws(() => new Arena({ ramBytes: Number.NaN, overheadBytes: 0 }), RangeError);
  });

  test('hands out distinct zeroed frames outside the reserved part, and again after release', () => {
    const a = arena();
    const area = a.reserve(2 * PAGE_SIZE - 64, 16);
    const frames = [a.allocateFrame(), a.allocateFrame(), a.allocateFrame(), a.allocateFrame()];
    assert.equal(new Set(frames).size, 4);
    for (const frame of frames) assert.ok(frame * PAGE_SIZE >= area + 2 * PAGE_SIZE - 64);
    assert.throws(() => a.allocateFrame(), /promised/);
    a.bytes.fill(0xaa, frames[2] * PAGE_SIZE, (frames[2] + 1) * PAGE_SIZE);
    a.releaseFrame(frames[2]);
    assert.equal(a.framesInUse, 3);
    const again = a.allocateFrame();
    assert.equal(again, frames[2]);
    assert.ok(a.bytes.subarray(again * PAGE_SIZE, (again + 1) * PAGE_SIZE).every((b) => b === 0));
  });

  test('a frame lives until its last reference goes', () => {
    const a = arena();
    const frame = a.allocateFrame();
    a.retainFrame(frame);
    a.releaseFrame(frame);
    assert.equal(a.referencesOf(frame), 1);
    assert.equal(a.framesInUse, 1);
    a.releaseFrame(frame);
    assert.equal(a.framesInUse, 0);
    assert.throws(() => a.releaseFrame(frame), /twice/);
  });

  test('promises are limited by the pool', () => {
    const a = arena();
    a.promiseFrames(3);
    assert.throws(() => a.promiseFrames(2), /left of/);
    a.withdrawPromise(1);
    a.promiseFrames(2);
  });
});

test('borrowed frames come back prepared and are used before others', () => {
  const arena = new Arena({ ramBytes: 8 * PAGE_SIZE, overheadBytes: 0 });
  const before = arena.allocateFrame();
  const first = arena.borrowFrames(4);
  assert.equal(first, before + 1);
  assert.equal(arena.borrowFrames(1), 0, 'one borrower at a time');
  assert.equal(arena.borrowFrames(MOST_BORROWED + 1), 0, 'too many');
  assert.equal(arena.framesInUse, 1);
  arena.promiseFrames(8);
  const during = arena.allocateFrame();
  assert.equal(during, first + 4);
  arena.returnFrames(first);
  assert.deepEqual([arena.preparedFrames, arena.framesInUse], [4, 2]);
  arena.releaseFrame(during);
  assert.equal(arena.allocateFrame(), during, 'what was given back goes first: the host has it already');
  assert.deepEqual([arena.allocateFrame(), arena.allocateFrame()], [first, first + 1]);
  assert.equal(arena.preparedFrames, 2);
});

test('all that was promised is there while some are lent', () => {
  const arena = new Arena({ ramBytes: 8 * PAGE_SIZE, overheadBytes: 0 });
  const first = arena.borrowFrames(MOST_BORROWED);
  arena.promiseFrames(8);
  const frames = Array.from({ length: 8 }, () => arena.allocateFrame());
  assert.ok(frames.every((frame) => frame >= first + MOST_BORROWED));
  assert.throws(() => arena.allocateFrame(), /promised/);
});
