import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../bus/clock.ts';
import { CONTEXT_SIZE } from './context.ts';
import { Cpu } from './cpu.ts';
import type { CpuModel } from './model.ts';

test('the time stamp counter is exact at any time and frequency', () => {
  const cpu = new Cpu(new ArrayBuffer(CONTEXT_SIZE), 0);
  const times = [0, 1, 999, 1e9 - 1, 1e9, 1e9 + 1, 123_456_789_012_345, 2 ** 51 + 12_345, Number.MAX_SAFE_INTEGER];
  for (const tscFrequency of [1e6, 2e9, 2_999_999_999, 3e9, 5_100_000_000]) {
    cpu.model = { tscFrequency } as CpuModel;
    for (const time of times) {
      cpu.clock = { now: () => time } as Clock;
      assert.equal(
        cpu.hostTsc(),
        (BigInt(time) * BigInt(tscFrequency)) / 1_000_000_000n,
        `${time} ns, ${tscFrequency} Hz`,
      );
    }
  }
});
