import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromInteger } from './arithmetic.ts';
import { decode64 } from './encoding.ts';
import { arithmeticStack, FDIV } from './x87-arithmetic.ts';
import * as control from './x87-control.ts';
import { STATUS_ERROR_SUMMARY, X87State } from './x87-state.ts';
import { loadFloat, loadInteger, storeBinary64 } from './x87-transfer.ts';

const newState = (): X87State => {
  const fpu = new X87State(new DataView(new ArrayBuffer(134)), { registers: 0, control: 128, status: 130, tags: 132 });
  control.initialise(fpu);
  return fpu;
};
const POINTERS: control.X87Pointers = {
  opcode: 0x123,
  instructionPointer: 0x5678n,
  codeSelector: 0x1000,
  dataPointer: 0x9abcn,
  dataSelector: 0xf000,
};
const bytes = (memory: DataView): string => Buffer.from(memory.buffer).toString('hex');

describe('x87 images', () => {
  test('protected mode, 32 bits', () => {
    const memory = new DataView(new ArrayBuffer(28));
    control.storeEnvironment(newState(), POINTERS, { operandSize: 32, protectedMode: true }, memory, 0);
    assert.equal(bytes(memory), '7f03ffff0000ffffffffffff7856000000102301bc9a000000f0ffff');
  });

  test('real mode holds linear addresses and the opcode', () => {
    const memory = new DataView(new ArrayBuffer(14));
    const format = { operandSize: 16, protectedMode: false } as const;
    control.storeEnvironment(newState(), POINTERS, format, memory, 0);
    // Linear addresses 0x15678 and 0xf9abc.
    assert.equal(bytes(memory), '7f030000ffff78562311bc9a00f0');
    const loaded = control.loadEnvironment(newState(), format, memory, 0);
    assert.deepEqual([loaded.instructionPointer, loaded.dataPointer, loaded.opcode], [0x15678n, 0xf9abcn, 0x123]);
  });

  test('FNSAVE initialises, FRSTOR brings everything back', () => {
    for (const operandSize of [16, 32] as const) {
      const format = { operandSize, protectedMode: true };
      const memory = new DataView(new ArrayBuffer(control.stateSize(format)));
      const fpu = newState();
      loadInteger(fpu, 7n);
      loadInteger(fpu, 0n);
      const tags = fpu.tagWord;
      control.saveState(fpu, POINTERS, format, memory, 0);
      assert.deepEqual([fpu.control, fpu.status, fpu.tags], [0x37f, 0, 0xffff]);
      control.restoreState(fpu, format, memory, 0);
      assert.equal(fpu.top, 6);
      assert.equal(fpu.tagWord, tags);
      assert.equal(tags, 0b00_01_11_11_11_11_11_11);
      assert.deepEqual(fpu.read(0), fromInteger(0n));
      assert.equal(fpu.significand(1), 7n << 61n);
    }
  });

  test('FXSAVE and FXRSTOR', () => {
    const memory = new DataView(new ArrayBuffer(512));
    const fpu = newState();
    loadInteger(fpu, -3n);
    control.storeFxsave(fpu, POINTERS, true, memory, 0);
    assert.equal(memory.getUint8(4), 0x80);
    const other = newState();
    assert.deepEqual(control.loadFxsave(other, true, memory, 0), { ...POINTERS, codeSelector: 0, dataSelector: 0 });
    assert.deepEqual([other.top, other.tags, other.signExponent(0)], [7, 0x3fff, 0xc000]);
  });
});

describe('unmasked exceptions', () => {
  test('a zero divide leaves the destination and becomes pending; FNCLEX forgets it', () => {
    const fpu = newState();
    loadInteger(fpu, 0n);
    loadInteger(fpu, 5n);
    control.loadControl(fpu, 0x37b);
    arithmeticStack(fpu, FDIV, 0, 1);
    assert.ok(fpu.exceptionPending);
    assert.equal(fpu.significand(0), 5n << 61n);
    control.clearExceptions(fpu);
    assert.equal(fpu.status & STATUS_ERROR_SUMMARY, 0);
  });

  test('a store that overflows stores nothing and does not pop', () => {
    const fpu = newState();
    loadFloat(fpu, decode64(0x7fef_ffff_ffff_ffffn));
    arithmeticStack(fpu, (_env, _format, a) => ({ ...a, exponent: a.exponent + 1 }), 0, 0);
    control.loadControl(fpu, 0x377);
    const memory = new DataView(new ArrayBuffer(8));
    assert.equal(storeBinary64(fpu, memory, 0, true), false);
    assert.equal(fpu.top, 7);
    assert.ok(fpu.exceptionPending);
  });
});
