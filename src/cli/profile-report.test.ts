import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Cpu } from '../cpu/cpu.ts';
import { Profile } from '../machine/profile.ts';
import { profileReport, SymbolTable } from './profile-report.ts';

const at = (rip: bigint, guestMode = 0, cpl = 0) =>
  ({ mode: 2, rip, guestMode, cpl, segments: [{}, { base: 0n }] }) as unknown as Cpu;

describe('symbols', () => {
  const map = SymbolTable.parse(
    [
      'ffffffff81000000 T startup_64',
      'ffffffff81000040 D data',
      'ffffffff81000100 t next\t[module]',
      'ffffffff82000000 T last',
    ].join('\n'),
  );
  test('of System.map reach to the next one', () => {
    assert.equal(map.find(0xffffffff81000000n), 'startup_64');
    assert.equal(map.find(0xffffffff810000ffn), 'startup_64');
    assert.equal(map.find(0xffffffff81000100n), 'next');
    assert.equal(map.find(0xffffffff80ffffffn), undefined);
    assert.equal(map.find(0xffffffff82100000n), undefined);
  });
  test('of a perf map have their size', () => {
    const perf = SymbolTable.parse('1000 20 a function\n2000 8 b\n');
    assert.equal(perf.find(0x101fn), 'a function');
    assert.equal(perf.find(0x1020n), undefined);
    assert.equal(perf.find(0x2000n), 'b');
  });
  test('are missed in any other file', () => {
    assert.throws(() => SymbolTable.parse('Hello\n'), /holds no symbols/);
  });
});

test('a report puts addresses together and the most frequent first', () => {
  const profile = new Profile(10);
  const sample = (cpu: Cpu, times: number) => {
    for (let i = 0; i < times; i++) profile.sample(cpu, (profile.total + 1) * 10);
  };
  assert.equal(profile.remaining(3), 7);
  profile.sample(at(1n), 9);
  assert.equal(profile.total, 0);
  sample(at(0x1000n), 2);
  sample(at(0x1004n), 1);
  sample(at(0x400000n, 0, 3), 1);
  sample(at(0x1000n, 1), 6);
  const report = profileReport(profile, SymbolTable.parse('00001000 T hot'));
  assert.deepEqual(report.split('\n'), [
    '# 10 samples, one every 10 instructions',
    '#  share  samples  level and privilege',
    ' 60.00%        6  L2 kernel',
    ' 30.00%        3  L1 kernel',
    ' 10.00%        1  L1 user  ',
    '',
    '#  share  samples  level and privilege, function or code address',
    ' 60.00%        6  L2 kernel  0000000000001000',
    ' 30.00%        3  L1 kernel  hot',
    ' 10.00%        1  L1 user    0000000000400000',
    '',
  ]);
});
