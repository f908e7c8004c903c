import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Case, Result } from './case.ts';
import { copyState, DATA_BASE, FX, fxView, initialState } from './case.ts';
import type { Vector, VectorSet } from './format.ts';
import { decodeVectors, encodeVectors } from './format.ts';
import { Random } from './random.ts';
import { randomState } from './states.ts';

const random = new Random('format');
const base = randomState(random, 64);
const narrowBase = randomState(random, 32);

function vector(change: (testCase: Case, result: Result) => void, mode: 64 | 32 = 64): Vector {
  const state = copyState(mode === 64 ? base : narrowBase);
  const testCase: Case = { mode, code: Uint8Array.of(0x48, 0x01, 0xd8), state, memory: [] };
  const result: Result = { outcome: { kind: 'stopped' }, state: copyState(state), memory: [] };
  result.state.rip += 3n;
  change(testCase, result);
  return { encodings: [{ name: 'ADD 01 Ev,Gv' }], testCase, result, undefinedFlags: 0 };
}

const set = (...vectors: Vector[]): VectorSet => ({
  header: { processor: 'a processor', date: '2026-01-02', generator: 'by hand' },
  bases: [base, narrowBase],
  vectors,
});

describe('stored vectors', () => {
  test('registers, memory and faults survive a round trip', () => {
    const vectors = [
      vector(() => {}),
      vector(({ state }, result) => {
        state.gpr.set([0n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0x7fn, 0x80n, 0xff80n]);
        result.state.gpr[15] = 0x0123_4567_89ab_cdefn;
        result.state.rflags ^= 0x2008d5;
        result.state.rip = 0xffff_8000_0000_0000n;
        result.state.fsBase = 0x7fff_ffff_f000n;
      }),
      vector(({ memory }, result) => {
        memory.push({ offset: 0, bytes: Uint8Array.of(1, 2, 3) }, { offset: 0x1ff8, bytes: new Uint8Array(8).fill(9) });
        result.memory.push({ offset: 0x1000, bytes: Uint8Array.of(7) });
        result.outcome = { kind: 'exception', vector: 14, errorCode: 6, cr2: BigInt(DATA_BASE) + 0x2000n };
      }),
      vector((_, result) => {
        result.outcome = { kind: 'exception', vector: 14, errorCode: 4, cr2: 0xffff_ffff_ffff_fff8n };
      }),
      vector((_, result) => {
        result.outcome = { kind: 'exception', vector: 0 };
      }),
      vector(({ state }, result) => {
        state.gpr[3] = 0x8000_0000n;
        fxView(result.state).setUint32(FX.mxcsr, 0x9fff, true);
        result.state.fx.fill(0xa5, FX.xmm + 16 * 7 + 3, FX.xmm + 16 * 9);
        result.state.fx.fill(0x5a, FX.st, FX.st + 10);
      }, 32),
    ];
    vectors[4].encodings = [{ name: 'RCPPS NP 0F 53 Vps,Wps', approximate: 'reciprocal' }, { name: 'ADD 01 Ev,Gv' }];
    vectors[4].undefinedFlags = 0x8d5;
    assert.deepEqual(decodeVectors(encodeVectors(set(...vectors))), set(...vectors));
  });

  test('a set that is damaged, foreign or of another version is refused', () => {
    const file = encodeVectors(set(vector(() => {})));
    assert.throws(() => decodeVectors(Uint8Array.of(1, 2, 3)), /not a vector set/);
    const later = file.slice();
    later['TESTUDO-VECTORS'.length]++;
    assert.throws(() => decodeVectors(later), /version 2, expected 1/);
    assert.throws(() => decodeVectors(file.slice(0, file.length - 4)));
  });

  test('a vector that did not end is refused', () => {
    assert.throws(
      () =>
        encodeVectors(
          set(
            vector((_, result) => {
              result.outcome = { kind: 'timeout' };
            }),
          ),
        ),
      /cannot end with 'timeout'/,
    );
  });

  test('a set without base states stores them against the initial state', () => {
    const one = vector(() => {});
    const decoded = decodeVectors(encodeVectors({ ...set(one), bases: [] }));
    assert.deepEqual(decoded.vectors, [one]);
    assert.deepEqual(decoded.bases, [initialState()]);
  });
});
