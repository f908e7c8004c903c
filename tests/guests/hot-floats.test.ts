/** Floating point in code that has been compiled: what regions assume of values must not show. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CR4 } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import { useEngine } from './harness.ts';
import { type Guest, type GuestOptions, longMode, PLACE } from './library.ts';

useEngine('regions');

const LIMIT = 5_000_000;
/** MXCSR after reset, and its flags (SDM vol. 1 figure 10-3). */
const MASKED = 0x1f80;
const FLAG = { INVALID: 1, DENORMAL: 2, ZERO_DIVIDE: 4, UNDERFLOW: 0x10, PRECISION: 0x20 } as const;
const QUIET_MINUS_ZERO_BY_ZERO = 0xfff8_0000_0000_0000n;

/** Runs a text behind which there are quadwords, as numbers or bit patterns, from `DATA` on. */
function run(text: string, data: readonly (number | bigint)[], options: GuestOptions = {}): Guest {
  const guest = longMode(`${text}\nhlt`, options);
  data.forEach((value, i) => {
    guest.memory.writeU64(PLACE.DATA + 8 * i, typeof value === 'bigint' ? value : bitsOf(value));
  });
  return guest;
}

const view = new DataView(new ArrayBuffer(8));
function bitsOf(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}
/** One half of an XMM register. */
function half(guest: Guest, register: number, which: 0 | 1 = 0): bigint {
  const { xmm } = guest.cpu;
  return new DataView(xmm.buffer, xmm.byteOffset).getBigUint64(16 * register + 8 * which, true);
}
const hex = (value: bigint): string => value.toString(16).padStart(16, '0');
function expectDouble(guest: Guest, register: number, value: number): void {
  assert.equal(hex(half(guest, register)), hex(bitsOf(value)));
}
const flagsOf = (guest: Guest): number => guest.cpu.mxcsr & 0x3f;

describe('results', () => {
  test('a long sum of quotients', () => {
    const terms = 20_000;
    const guest = run(
      `movsd xmm1, [DATA]
      movsd xmm2, [DATA]
      mov ecx, ${terms}
      again: movapd xmm3, xmm1
      divsd xmm3, xmm2
      addsd xmm0, xmm3
      addsd xmm2, xmm1
      dec ecx
      jnz again`,
      [1],
    ).halt(LIMIT);
    let sum = 0;
    for (let n = 1; n <= terms; n++) sum += 1 / n;
    expectDouble(guest, 0, sum);
    assert.equal(guest.cpu.mxcsr, MASKED | FLAG.PRECISION);
  });

  test('a long product becomes denormal, then zero, and begins again', () => {
    const rounds = 30_000;
    const guest = run(
      `movsd xmm0, [DATA]
      movsd xmm1, [DATA+8]
      xorpd xmm3, xmm3
      mov ecx, ${rounds}
      again: mulsd xmm0, xmm1
      addsd xmm2, xmm0
      ucomisd xmm0, xmm3
      jne more
      movsd xmm0, [DATA]
      more: dec ecx
      jnz again`,
      [1, 0.3],
    ).halt(LIMIT);
    let product = 1;
    let sum = 0;
    for (let n = 0; n < rounds; n++) {
      product *= 0.3;
      sum += product;
      if (product === 0) product = 1;
    }
    expectDouble(guest, 0, product);
    expectDouble(guest, 2, sum);
    assert.equal(flagsOf(guest), FLAG.PRECISION | FLAG.UNDERFLOW | FLAG.DENORMAL);
  });

  test('square roots of what is negative, once in a while', () => {
    const rounds = 9000;
    const guest = run(
      `movsd xmm1, [DATA]
      movsd xmm2, [DATA+8]
      mov ecx, ${rounds}
      again: addsd xmm1, xmm2
      sqrtsd xmm0, xmm1
      ucomisd xmm0, xmm0
      jnp number
      inc rbx
      movapd xmm3, xmm0
      movsd xmm1, [DATA]
      number: dec ecx
      jnz again`,
      [70, -1],
    ).halt(LIMIT);
    assert.equal(guest.register('rbx'), BigInt(Math.floor(rounds / 71)));
    assert.equal(hex(half(guest, 3)), hex(QUIET_MINUS_ZERO_BY_ZERO));
    assert.equal(flagsOf(guest), FLAG.PRECISION | FLAG.INVALID);
  });

  test('exact results report nothing, the first rounded one does', () => {
    const count = (text: string) =>
      run(
        `movsd xmm1, [DATA]
        movsd xmm2, [DATA+8]
        mov ecx, 20000
        again: addsd xmm0, xmm1
        movapd xmm3, xmm0
        mulsd xmm3, xmm2
        divsd xmm3, xmm2
        subsd xmm3, xmm1
        ${text}
        dec ecx
        jnz again`,
        [1, 3],
      ).halt(LIMIT);
    const exact = count('');
    expectDouble(exact, 3, 19_999);
    assert.equal(exact.cpu.mxcsr, MASKED);
    assert.equal(count('sqrtsd xmm4, xmm3').cpu.mxcsr, MASKED | FLAG.PRECISION);
  });

  test('rounding down', () => {
    const guest = run(
      `mov dword ptr [DATA+16], ${MASKED | (1 << 13)}
      ldmxcsr [DATA+16]
      movsd xmm1, [DATA]
      mov ecx, 5000
      again: addsd xmm0, xmm1
      subsd xmm0, xmm2
      dec ecx
      jnz again`,
      [0.1],
    ).halt(LIMIT);
    const [sum] = new Float64Array(new BigUint64Array([half(guest, 0)]).buffer);
    assert.ok(sum < 500 && sum > 500 - 1e-8, `${sum}`);
    let nearest = 0;
    for (let n = 0; n < 5000; n++) nearest += 0.1;
    assert.notEqual(sum, nearest);
  });
});

describe('registers', () => {
  test('halves that scalar instructions leave alone, on paths that merge', () => {
    const guest = run(
      `movupd xmm0, [DATA]
      movupd xmm1, [DATA+16]
      movsd xmm2, [DATA+32]
      mov ecx, 3000
      again: test ecx, 3
      jz single
      test ecx, 4
      jz whole
      addsd xmm0, xmm2
      jmp next
      single: cvtsd2ss xmm3, xmm0
      cvtsi2sd xmm1, ecx
      addss xmm1, xmm3
      jmp next
      whole: xorps xmm3, xmm3
      movhlps xmm3, xmm0
      movapd xmm4, xmm1
      unpcklpd xmm4, xmm3
      next: dec ecx
      jnz again`,
      [1, 2.5, 3, 4.5, 0.5],
    ).halt(LIMIT);
    assert.equal(half(guest, 0, 1), bitsOf(2.5));
    assert.equal(half(guest, 1, 1), bitsOf(4.5));
    assert.equal(half(guest, 4, 1), bitsOf(2.5));
    expectDouble(guest, 0, 1 + 0.5 * 1125);
    // the last change: 4.0 as a double, to whose low half single precision was added
    const low = new DataView(new ArrayBuffer(4));
    low.setFloat32(0, Math.fround(1 + 0.5 * 1125));
    assert.equal(hex(half(guest, 1)), hex((bitsOf(4) & ~0xffff_ffffn) | BigInt(low.getUint32(0))));
  });

  test('all are there when a load faults', () => {
    const guest = run(
      `movsd xmm1, [DATA]
      mov esi, DATA
      mov ecx, 1000
      again: addsd xmm0, xmm1
      movapd xmm2, xmm0
      mulsd xmm2, xmm1
      cmp ecx, 17
      jne mapped
      mov rsi, 0x7fffffffffff0000
      mapped: movsd xmm3, [rsi]
      dec ecx
      jnz again`,
      [0.1],
    );
    guest.expectException({ vector: Vector.GP, errorCode: 0, at: 'mapped' });
    let sum = 0;
    for (let n = 0; n <= 1000 - 17; n++) sum += 0.1;
    expectDouble(guest, 0, sum);
    expectDouble(guest, 2, sum * 0.1);
    expectDouble(guest, 3, 0.1);
    assert.equal(guest.register('rcx'), 17n);
  });

  test('an unmasked exception comes at its instruction', () => {
    const guest = run(
      `mov dword ptr [DATA+16], ${MASKED & ~(FLAG.ZERO_DIVIDE << 7)}
      ldmxcsr [DATA+16]
      movsd xmm1, [DATA]
      movsd xmm2, [DATA+8]
      mov ecx, 1000
      again: movapd xmm3, xmm1
      divide: divsd xmm3, xmm2
      addsd xmm0, xmm3
      subsd xmm2, xmm1
      dec ecx
      jnz again`,
      [1, 700],
      { cr4: CR4.OSXMMEXCPT },
    );
    guest.expectException({ vector: Vector.XM, at: 'divide' });
    assert.equal(guest.register('rcx'), 300n);
    expectDouble(guest, 3, 1);
    assert.equal(flagsOf(guest), FLAG.PRECISION | FLAG.ZERO_DIVIDE);
  });
});

describe('comparisons', () => {
  for (const [name, a, b] of [
    ['less', 1, 2],
    ['equal', 3, 3],
    ['greater', 5, 4],
    ['zeros', 0, -0],
    ['infinite', Number.POSITIVE_INFINITY, 1],
    ['denormal', 5e-324, 1],
    ['unordered', Number.NaN, 1],
  ] as const) {
    test(name, () => {
      const conditions = ['a', 'ae', 'b', 'be', 'e', 'ne', 'p', 'np'] as const;
      const guest = run(
        `movsd xmm1, [DATA]
        movsd xmm2, [DATA+8]
        mov ecx, 500
        again: ${conditions.map((cc, i) => `comisd xmm1, xmm2\nset${cc} al\nmovzx eax, al\nshl eax, ${i}\nor ebx, eax`).join('\n')}
        comisd xmm1, xmm2
        ja above
        jb below
        add rsi, 1
        jmp next
        above: add rdi, 1
        jmp next
        below: add rbp, 1
        next: dec ecx
        jnz again`,
        [a, b],
      ).halt(LIMIT);
      const unordered = Number.isNaN(a);
      const holds = [a > b, !(a < b) && !unordered, a < b || unordered, a <= b || unordered, a === b || unordered];
      const expected = [...holds, a !== b && !unordered, unordered, !unordered];
      assert.deepEqual(
        conditions.filter((_, i) => (guest.register('rbx') >> BigInt(i)) & 1n),
        conditions.filter((_, i) => expected[i]),
      );
      const counts = [guest.register('rdi'), guest.register('rbp'), guest.register('rsi')];
      const [above, below] = [a > b, a < b || unordered];
      assert.deepEqual(counts, [above ? 500n : 0n, below ? 500n : 0n, above || below ? 0n : 500n]);
      const flags = unordered ? FLAG.INVALID : a === 5e-324 ? FLAG.DENORMAL : 0;
      assert.equal(flagsOf(guest), flags);
    });
  }
});

describe('assumptions', () => {
  test('that fail too often are given up', () => {
    const guest = run(
      `movsd xmm1, [DATA]
      movsd xmm2, [DATA+8]
      mov ecx, 2000
      again: movapd xmm0, xmm1
      mulsd xmm0, xmm2
      dec ecx
      jnz again`,
      [1e200, 1e-3],
    );
    const { statistics } = guest.bench.processor.regions ?? {};
    guest.halt(LIMIT);
    expectDouble(guest, 0, 1e200 * 1e-3);
    if (!statistics) return; // interpreted
    const before = statistics.regions;
    guest.cpu.rip = BigInt(PLACE.CODE);
    guest.cpu.activity = 0;
    guest.halt(LIMIT);
    assert.equal(statistics.regions, before, 'nothing is compiled again');
  });
});
