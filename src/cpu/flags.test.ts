import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { arithmeticFlags, changeFlags, readFlags, writeFlags } from './flags.ts';
import { word } from './state.ts';
import { ARITHMETIC_FLAGS, FLAG } from './system/registers.ts';
import { bed } from './system/testing.ts';

describe('lazy flags', () => {
  test('every combination of the arithmetic flags survives a round trip', () => {
    const { cpu } = bed();
    for (let value = 0; value <= ARITHMETIC_FLAGS; value++) {
      const flags = value & ARITHMETIC_FLAGS;
      writeFlags(cpu, flags | FLAG.IF);
      assert.equal(readFlags(cpu), flags | FLAG.IF | FLAG.FIXED);
    }
  });

  test('flags derive from a result and its carries', () => {
    const { cpu } = bed();
    const show = (low: number, high: number, carriesLow: number, carriesHigh: number) => {
      cpu.u32[word('flagResult')] = low;
      cpu.u32[word('flagResult') + 1] = high;
      cpu.u32[word('flagCarries')] = carriesLow;
      cpu.u32[word('flagCarries') + 1] = carriesHigh;
      return arithmeticFlags(cpu);
    };
    assert.equal(show(0, 0, 0, 0), FLAG.ZF | FLAG.PF);
    // 0x80 + 0x80 in 8 bits: zero, carry out but not into the sign bit
    assert.equal(show(0, 0, 0, 0x8000_0000), FLAG.ZF | FLAG.PF | FLAG.CF | FLAG.OF);
    assert.equal(show(0, 0, 0, 0xc000_0000), FLAG.ZF | FLAG.PF | FLAG.CF);
    // 0x7f + 1: no carry out, carry into the sign bit, half carry
    assert.equal(show(0xffff_ff80, 0xffff_ffff, 8, 0x4000_0000), FLAG.SF | FLAG.OF | FLAG.AF);
    assert.equal(show(1, 0, 0, 0), 0);
    assert.equal(show(1, 0, 0x100, 0), FLAG.PF, 'parity delta');
    assert.equal(show(3, 0, 0x1_0000, 0), FLAG.PF | FLAG.SF, 'sign delta');
  });

  test('writing keeps bit 1 set and reserved bits clear', () => {
    const { cpu } = bed();
    writeFlags(cpu, 0xffff_ffff);
    assert.equal(readFlags(cpu), 0x003f_7fd7);
    writeFlags(cpu, 0);
    assert.equal(readFlags(cpu), 2);
    assert.equal(cpu.rflags, 2n);
  });

  test('changeFlags leaves what the mask leaves', () => {
    const { cpu } = bed();
    writeFlags(cpu, FLAG.CF | FLAG.DF);
    changeFlags(cpu, FLAG.ZF, FLAG.ZF | FLAG.CF);
    assert.equal(readFlags(cpu), FLAG.ZF | FLAG.DF | FLAG.FIXED);
  });
});
