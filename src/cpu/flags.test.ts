import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { arithmeticFlags, changeFlags, encodeFlagKind, FlagKind, readFlags, writeFlags } from './flags.ts';
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

  test('what regions leave is settled as the operation would set the flags', () => {
    const { cpu } = bed();
    const interesting = [0n, 1n, 2n, 0xfn, 0x10n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn];
    const more = [0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n, 0x7fff_ffff_ffff_ffffn, 1n << 63n, (1n << 64n) - 1n];
    const values = [...interesting, ...more];
    const check = (kind: number, bits: 8 | 16 | 32 | 64, result: bigint, other: bigint, carry: boolean, b: bigint) => {
      const cut = (value: bigint) => BigInt.asUintN(bits, value);
      const sign = (value: bigint) => cut(value) >> BigInt(bits - 1) === 1n;
      const a = kind === FlagKind.ADD || kind === FlagKind.INC ? result - b : result + b;
      const signed = (value: bigint) => BigInt.asIntN(bits, value);
      const exact = kind === FlagKind.ADD || kind === FlagKind.INC ? signed(a) + signed(b) : signed(a) - signed(b);
      let parity = true;
      for (let rest = result & 0xffn; rest > 0n; rest &= rest - 1n) parity = !parity;
      let expected = (carry ? FLAG.CF : 0) | (parity ? FLAG.PF : 0) | (sign(result) ? FLAG.SF : 0);
      if (cut(result) === 0n) expected |= FLAG.ZF;
      if (kind !== FlagKind.LOGIC) {
        if (exact !== signed(result)) expected |= FLAG.OF;
        if ((a ^ b ^ result) & 0x10n) expected |= FLAG.AF;
      }
      cpu.flagResult = BigInt.asUintN(64, result);
      cpu.flagCarries = BigInt.asUintN(64, other);
      cpu.u32[word('flagKind')] = encodeFlagKind(kind, bits);
      assert.equal(arithmeticFlags(cpu), expected, `kind ${kind}, ${bits} bits, result ${result}, ${other}`);
      assert.equal(cpu.u32[word('flagKind')], 0);
      assert.equal(arithmeticFlags(cpu), expected, 'the settled form');
    };
    for (const bits of [8, 16, 32, 64] as const) {
      const cut = (value: bigint) => BigInt.asUintN(bits, value);
      for (const a of values) {
        check(FlagKind.LOGIC, bits, cut(a), a, false, 0n);
        for (const carry of [false, true]) {
          check(FlagKind.INC, bits, cut(a + 1n), carry ? 1n : 0n, carry, 1n);
          check(FlagKind.DEC, bits, cut(a - 1n), carry ? 1n : 0n, carry, 1n);
        }
        for (const b of values) {
          check(FlagKind.ADD, bits, cut(a + b), cut(a), cut(a) + cut(b) !== cut(a + b), cut(b));
          check(FlagKind.SUB, bits, cut(a - b), cut(a), cut(a) < cut(b), cut(b));
        }
      }
    }
  });
});
