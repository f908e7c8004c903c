import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runSession, type SessionResult } from './session.ts';

/** Runs a script as if it were a system; returns the result and the names of what began. */
async function session(script: string, timeoutSeconds = 60): Promise<{ result: SessionResult; began: string[] }> {
  const began: string[] = [];
  const command = { program: process.execPath, args: ['-e', script], environment: {} };
  const result = await runSession(command, timeoutSeconds, { began: (name) => began.push(name), measured: () => {} });
  return { result, began };
}

describe('a run of a system', () => {
  test('its measurements', async () => {
    const { result, began } = await session(
      `console.log('TESTUDO-L1-READY 1'); console.log('BENCH-BEGIN x'); console.log('BENCH-END x 1f'); console.log('TESTUDO-DONE rc=0')`,
    );
    assert.deepEqual(began, ['x']);
    assert.equal(result.problem, undefined);
    assert.deepEqual(
      result.measurements.map(({ name, checksum }) => [name, checksum]),
      [
        ['l1-boot', undefined],
        ['x', '1f'],
      ],
    );
    assert.ok(result.measurements[0].seconds > 0);
  });

  test('that ends early: its status, the benchmark and its last error line', async () => {
    const { result } = await session(
      `console.log('BENCH-BEGIN x'); console.error('out of luck'); process.exitCode = 3`,
    );
    assert.equal(result.problem, 'x: ended early (status 3): out of luck');
  });

  test('that throws: its message, not the trace around it', async () => {
    const { result } = await session(`throw new TypeError('no such thing')`);
    assert.equal(result.problem, 'ended early (status 1): TypeError: no such thing');
  });

  test('with a failed benchmark', async () => {
    const { result } = await session(`console.log('TESTUDO-DONE rc=1')`);
    assert.equal(result.problem, 'a benchmark failed');
  });

  test('that does not end is ended', async () => {
    const { result } = await session(`console.log('BENCH-BEGIN x'); setInterval(() => {}, 1000)`, 1);
    assert.equal(result.problem, 'x: did not end within 1 seconds');
  });

  test('after a panic of its kernel it is ended', async () => {
    const { result } = await session(`console.log('Kernel panic - not syncing'); setInterval(() => {}, 1000)`);
    assert.equal(result.problem, 'Kernel panic - not syncing');
  });

  test('whose program is missing', async () => {
    const command = { program: '/no/such/program', args: [], environment: {} };
    const result = await runSession(command, 5, { began: () => {}, measured: () => {} });
    assert.match(result.problem ?? '', /cannot start/);
  });
});
