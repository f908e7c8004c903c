import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ConsoleEvent, LineSplitter, MarkerParser } from './markers.ts';

/** The events of a console whose n-th line, from 0, ends n seconds after the start. */
function events(...lines: string[]): ConsoleEvent[] {
  const parser = new MarkerParser();
  return lines.map((text, seconds) => parser.read({ seconds, text })).filter((event) => event !== undefined);
}

describe('markers', () => {
  test('a measurement is the time between begin and end', () => {
    assert.deepEqual(
      events('', 'BENCH-BEGIN bench-int64-sieve', 'noise', 'noise', 'BENCH-END bench-int64-sieve 2d286e'),
      [
        { kind: 'begin', name: 'bench-int64-sieve' },
        { kind: 'measured', measurement: { name: 'bench-int64-sieve', seconds: 3, checksum: '2d286e' } },
      ],
    );
  });

  test('the boot of L1 is measured from the start of its system', () => {
    assert.deepEqual(events('a', 'b', 'TESTUDO-L1-READY 0.42'), [
      { kind: 'measured', measurement: { name: 'l1-boot', seconds: 2 } },
    ]);
  });

  test('the boot of L2 ends with the ready line of L2, which the monitor prefixes', () => {
    assert.deepEqual(events('BENCH-BEGIN l2-boot', 'L1: starting L2', 'L2| TESTUDO-L2-READY 1.2', 'L2| bye'), [
      { kind: 'begin', name: 'l2-boot' },
      { kind: 'measured', measurement: { name: 'l2-boot', seconds: 2 } },
    ]);
  });

  test('text of the kernel in front of a marker', () => {
    assert.equal(events('[    1.2] clock: BENCH-BEGIN x', 'BENCH-END x 0').length, 2);
  });

  test('an end without its beginning, or of another benchmark, is no measurement', () => {
    assert.deepEqual(events('BENCH-END x 1', 'TESTUDO-L2-READY 1'), []);
    assert.deepEqual(events('BENCH-BEGIN x', 'BENCH-END y 1', 'BENCH-END x 2').length, 2);
    assert.deepEqual(events('BENCH-BEGIN x', 'BENCH-END x 2', 'BENCH-END x 2').length, 2);
  });

  test('a checksum that is none: the measurement does not count', () => {
    assert.deepEqual(events('BENCH-BEGIN x', 'BENCH-END x', 'BENCH-END x oops'), [{ kind: 'begin', name: 'x' }]);
  });

  test('the end of all, and a crash', () => {
    assert.deepEqual(events('TESTUDO-DONE rc=0'), [{ kind: 'finished', failed: false }]);
    assert.deepEqual(events('TESTUDO-DONE rc=1'), [{ kind: 'finished', failed: true }]);
    assert.deepEqual(events('[ 2.0] Kernel panic - not syncing: Attempted to kill init!'), [
      { kind: 'crashed', message: 'Kernel panic - not syncing: Attempted to kill init!' },
    ]);
  });

  test('which benchmark is running', () => {
    const parser = new MarkerParser();
    parser.read({ seconds: 0, text: 'BENCH-BEGIN x' });
    assert.equal(parser.running, 'x');
    parser.read({ seconds: 1, text: 'BENCH-END x 1' });
    assert.equal(parser.running, undefined);
  });
});

describe('lines', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  test('cut anywhere, also within a character', () => {
    const splitter = new LineSplitter();
    assert.deepEqual(splitter.push(bytes('ab')), []);
    assert.deepEqual(splitter.push(bytes('c\r\nd\ne')), ['abc', 'd']);
    const [first, second] = bytes('é');
    assert.deepEqual(splitter.push(Uint8Array.of(first)), []);
    assert.deepEqual(splitter.push(Uint8Array.of(second, 10)), ['eé']);
  });

  test('without terminal control sequences', () => {
    assert.deepEqual(new LineSplitter().push(bytes('\x1bc\x1b[2J\x1b[1;31mred\x1b[0m\r\n')), ['red']);
  });
});
