import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BENCHMARKS, GROUPS, selectBenchmarks } from './benchmarks.ts';
import { Results } from './results.ts';
import type { SessionResult } from './session.ts';

const SIEVE = selectBenchmarks('^bench-int64-sieve$');
const CPUID = selectBenchmarks('^exit-cpuid$');

function measured(name: string, seconds: number, checksum: string): SessionResult {
  return { measurements: [{ name, seconds, checksum }], seconds: seconds + 1 };
}

function sieveResults(quick: boolean, ...runs: [system: string, seconds: number, checksum: string][]): Results {
  const results = new Results(SIEVE, ['qemu', 'testudo'], quick);
  for (const [system, seconds, checksum] of runs) {
    results.addSession(1, 'compute', system, ['bench-int64-sieve'], measured('bench-int64-sieve', seconds, checksum));
  }
  return results;
}

describe('results', () => {
  test('table with ratios and their mean', () => {
    const results = sieveResults(false, ['qemu', 3, '2d286e'], ['testudo', 2, '2d286e'], ['qemu', 5, '2d286e']);
    assert.deepEqual(
      results
        .table(['qemu', 'testudo'], 'qemu', ['testudo'])
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/\s+/)),
      [
        ['benchmark', 'qemu', 'testudo', 'testudo/qemu'],
        ['bench-int64-sieve', 's', '4.00', '2.00', '2.00'],
        ['geometric', 'mean', '2.00'],
      ],
    );
    assert.deepEqual(results.problems(), []);
  });

  test('exits are shown for one of them', () => {
    const results = new Results(CPUID, ['qemu'], false);
    results.addSession(1, 'nested', 'qemu', ['exit-cpuid'], measured('exit-cpuid', 0.84, '4e20'));
    assert.match(results.table(['qemu'], 'qemu', []), /exit-cpuid +us\/exit +42\.0$/m);
  });

  test('a system without a measurement: a dash, no ratio, and a problem', () => {
    const results = sieveResults(false, ['qemu', 3, '2d286e']);
    const failed: SessionResult = { measurements: [], seconds: 9, problem: 'ended early' };
    results.addSession(2, 'compute', 'testudo', ['bench-int64-sieve'], failed);
    assert.match(results.table(['qemu', 'testudo'], 'qemu', ['testudo']), /bench-int64-sieve +s +3\.00 +-$/m);
    assert.deepEqual(results.problems(), [
      'round 2, compute, testudo: ended early; no measurement of bench-int64-sieve',
    ]);
  });

  test('checksums: of a full run the known one, of a quick run only equality', () => {
    assert.match(
      sieveResults(false, ['qemu', 1, '2d286e'], ['testudo', 1, 'bad'])?.problems()[0],
      /testudo bad; must be/,
    );
    assert.deepEqual(sieveResults(true, ['qemu', 1, '4840b'], ['testudo', 1, '4840b']).problems(), []);
    assert.equal(sieveResults(true, ['qemu', 1, '4840b'], ['testudo', 1, '2d286e']).problems().length, 1);
  });

  test('benchmarks that were not selected are left out', () => {
    const results = sieveResults(false, ['qemu', 3, '2d286e']);
    results.addSession(1, 'compute', 'qemu', [], measured('l1-boot', 2, '0'));
    assert.equal(results.rows('qemu', []).length, 1);
  });

  test('the file', () => {
    const results = sieveResults(false, ['qemu', 3, '2d286e'], ['testudo', 1.5, '2d286e']);
    const host = { processor: 'p', processors: 2, platform: 'linux x64' };
    const run = { date: '2026-01-01T00:00:00.000Z', host, versions: { node: '26' }, rounds: 1, quick: false };
    const json = JSON.parse(JSON.stringify(results.toJSON(run, 'qemu', ['testudo'])));
    assert.deepEqual(json.benchmarks[0], {
      name: 'bench-int64-sieve',
      amount: 10,
      unit: 'pass',
      checksums: ['2d286e'],
      seconds: { qemu: [3], testudo: [1.5] },
      median: { qemu: 3, testudo: 1.5 },
      spread: { qemu: 0, testudo: 0 },
      ratio: { testudo: 2 },
    });
    assert.deepEqual(json.sessions[0], { round: 1, group: 'compute', system: 'qemu', seconds: 4 });
  });
});

describe('benchmarks', () => {
  test('names are unique and groups known', () => {
    assert.equal(new Set(BENCHMARKS.map(({ name }) => name)).size, BENCHMARKS.length);
    for (const { group } of BENCHMARKS) assert.ok(GROUPS.includes(group));
  });

  test('selection by a pattern', () => {
    assert.equal(selectBenchmarks(undefined).length, BENCHMARKS.length);
    assert.deepEqual(
      selectBenchmarks('chase').map(({ name }) => name),
      ['bench-mem-chase'],
    );
    assert.throws(() => selectBenchmarks('no-such'), /no benchmark matches/);
    assert.throws(() => selectBenchmarks('('), /not a regular expression/);
  });
});
