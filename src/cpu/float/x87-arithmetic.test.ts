import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { INVALID } from './environment.ts';
import { arithmeticStack, FADD, FMUL, partialRemainderSt0, squareRootSt0 } from './x87-arithmetic.ts';
import { initialise, loadControl } from './x87-control.ts';
import {
  STATUS_C0,
  STATUS_C1,
  STATUS_C2,
  STATUS_C3,
  STATUS_CONDITION_CODES,
  STATUS_STACK_FAULT,
  X87State,
} from './x87-state.ts';
import { loadExtended, loadInteger } from './x87-transfer.ts';

const fpu = new X87State(new DataView(new ArrayBuffer(134)), { registers: 0, control: 128, status: 130, tags: 132 });

/** ST(1), then ST(0), then the instruction; what ST(0) holds afterwards. */
function run(
  st1: [number, bigint],
  st0: [number, bigint],
  instruction: (fpu: X87State) => void,
  control = 0x37f,
): [number, bigint] {
  initialise(fpu);
  loadControl(fpu, control);
  loadExtended(fpu, ...st1);
  loadExtended(fpu, ...st0);
  instruction(fpu);
  return [fpu.signExponent(0), fpu.significand(0)];
}
const add = (): void => arithmeticStack(fpu, FADD, 0, 1);
const multiply = (): void => arithmeticStack(fpu, FMUL, 0, 1);
const QUIET: [number, bigint] = [0x7fff, 0xc000_0000_0000_0001n];
const SIGNALING: [number, bigint] = [0x7fff, 0xbfff_0000_0000_0000n];
const INDEFINITE: [number, bigint] = [0xffff, 0xc000_0000_0000_0000n];
const ONE: [number, bigint] = [0x3fff, 1n << 63n];

describe('NaNs and encodings', () => {
  test('a quiet NaN goes before a signaling one, on either side', () => {
    assert.deepEqual(run(QUIET, SIGNALING, add), QUIET);
    assert.deepEqual(run(SIGNALING, QUIET, add), QUIET);
    assert.equal(fpu.status & INVALID, INVALID);
  });

  test('of two quiet NaNs the larger significand is delivered, of equal ones the positive', () => {
    const larger: [number, bigint] = [0xffff, 0xc000_0000_0000_0002n];
    assert.deepEqual(run(QUIET, larger, add), larger);
    assert.deepEqual(run(larger, QUIET, add), larger);
    assert.deepEqual(run([0xffff, QUIET[1]], QUIET, add), QUIET);
    assert.deepEqual(run(QUIET, [0xffff, QUIET[1]], add), QUIET);
    assert.equal(fpu.status & INVALID, 0);
  });

  test('unnormals and pseudo-NaNs are invalid, pseudo-denormals are denormals', () => {
    assert.deepEqual(run([0x3fff, 1n], ONE, add), INDEFINITE);
    assert.deepEqual(run([0x7fff, 1n], ONE, add), INDEFINITE);
    assert.deepEqual(run([0, 1n << 63n], [0, 1n << 63n], add), [2, 1n << 63n]);
  });

  test('an empty register is a stack underflow', () => {
    initialise(fpu);
    loadInteger(fpu, 1n);
    add();
    assert.equal(fpu.status & (INVALID | STATUS_STACK_FAULT | STATUS_C1), INVALID | STATUS_STACK_FAULT);
    assert.deepEqual([fpu.signExponent(0), fpu.significand(0)], INDEFINITE);
  });
});

describe('results', () => {
  test('precision control rounds to 24, 53 and 64 bits, C1 telling the direction', () => {
    const third: [number, bigint] = [0x3ffd, 0xaaaa_aaaa_aaaa_aaabn];
    assert.deepEqual(run(third, ONE, multiply, 0x07f), [0x3ffd, 0xaaaa_ab00_0000_0000n]);
    assert.equal(fpu.status & STATUS_C1, STATUS_C1);
    assert.deepEqual(run(third, ONE, multiply, 0xc7f), [0x3ffd, 0xaaaa_aa00_0000_0000n]);
    assert.equal(fpu.status & STATUS_C1, 0);
    assert.deepEqual(run(third, ONE, multiply, 0x27f), [0x3ffd, 0xaaaa_aaaa_aaaa_a800n]);
    assert.deepEqual(run(ONE, [0x4000, 1n << 63n], squareRootSt0), [0x3fff, 0xb504_f333_f9de_6484n]);
  });

  test('unmasked overflow and underflow deliver the result with an adjusted exponent', () => {
    const huge: [number, bigint] = [0x7ffe, 1n << 63n];
    assert.deepEqual(run(huge, huge, multiply, 0x377), [2 * 0x7ffe - 0x3fff - 24576, 1n << 63n]);
    const tiny: [number, bigint] = [1, 1n << 63n];
    assert.deepEqual(run(tiny, tiny, multiply, 0x36f), [2 - 0x3fff + 24576, 1n << 63n]);
  });

  test('FPREM delivers the low quotient bits, or C2 where it is not done', () => {
    // 23 = 7 * 3 + 2.
    assert.deepEqual(run([0x4000, 3n << 62n], [0x4003, 23n << 59n], partialRemainderSt0), [0x4000, 1n << 63n]);
    assert.equal(fpu.status & STATUS_CONDITION_CODES, STATUS_C0 | STATUS_C3 | STATUS_C1);
    run([0x4000, 3n << 62n], [0x4103, 23n << 59n], partialRemainderSt0);
    assert.equal(fpu.status & STATUS_CONDITION_CODES, STATUS_C2);
  });

  test('FPREM of a denormal number by infinity is a tiny result', () => {
    const infinity: [number, bigint] = [0xffff, 1n << 63n];
    const denormal: [number, bigint] = [0, 0x200n];
    assert.deepEqual(run(infinity, denormal, partialRemainderSt0), denormal);
    // 2^9 in units of 2^-16445, made 2^24576 times as large for a handler of underflow
    assert.deepEqual(run(infinity, denormal, partialRemainderSt0, 0x36f), [0x5fcb, 1n << 63n]);
  });
});
