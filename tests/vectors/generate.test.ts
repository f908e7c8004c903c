import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BUILTIN } from './builtin/index.ts';
import type { Case, Result } from './case.ts';
import { AF, CODE_BASE, CODE_SIZE, DATA_SIZE, OF } from './case.ts';
import { generateCase } from './cases.ts';
import { compareResult, mismatchText } from './compare.ts';
import type { VectorSet } from './format.ts';
import { decodeVectors, encodeVectors } from './format.ts';
import { generateVectors } from './generate.ts';
import { nativeUnavailable, nativeUnfaithful, runNative } from './native.ts';
import { parseRow } from './notation.ts';
import { Random } from './random.ts';
import { replay, unexpected } from './replay.ts';
import { encodingsOf } from './rows.ts';
import { randomState } from './states.ts';

const source = encodingsOf(BUILTIN);
const make = (
  count: number,
  seed: string,
  only?: RegExp,
  more: { length?: number; iterations?: number } = {},
): Promise<{ set: VectorSet; dropped: Record<string, number> }> =>
  generateVectors({ source, count, seed, only, date: '2026-01-01', ...more });

describe('rows', () => {
  test('are taken apart as the notation says', () => {
    const row = parseRow('F2 0F 38 F1 Gy,Ev');
    assert.deepEqual(
      [row.prefix, row.opcode, row.operands.map(({ letter, width }) => `${letter}${width}`)],
      ['F2', [0x0f, 0x38, 0xf1], ['Gy', 'Ev']],
    );
    assert.deepEqual(parseRow('D8 (C0+i)').modrm, 0xc0);
    assert.equal(parseRow('50+r Zv d64').freeOpcodeBits, 3);
    assert.equal(parseRow('80 /7 Eb,Ib').digit, 7);
    assert.throws(() => parseRow('01 Ev,Hv'), /01 Ev,Hv.*Hv/);
  });

  test('exclude what would differ on the host', () => {
    const names = [
      ...encodingsOf([
        { mnemonic: 'TZCNT', encodings: ['F3 0F BC Gv,Ev'] },
        { mnemonic: 'BSF', encodings: ['0F BC Gv,Ev'] },
        { mnemonic: 'CPUID', encodings: ['0F A2'] },
        { mnemonic: 'JMP', encodings: ['FF /5 Mp', 'FF /4 Ev f64'] },
      ]).encodings(),
    ].map(({ name }) => name);
    assert.deepEqual(names, ['BSF 0F BC Gv,Ev', 'JMP FF /4 Ev f64']);
  });
});

describe('generator', () => {
  test('makes cases that fit their world, the same ones from the same seed', () => {
    const once = (): Case[] => {
      const random = new Random('cases');
      const bases = { 64: randomState(random, 64), 32: randomState(random, 32) };
      return [...source.encodings()].flatMap((encoding) =>
        encoding.modes.map((mode) => generateCase(encoding, random, mode, bases[mode]).testCase),
      );
    };
    const cases = once();
    for (const { code, state, memory } of cases) {
      assert.ok(code.length >= 1 && code.length <= 15);
      assert.ok(state.rip >= BigInt(CODE_BASE) && state.rip + BigInt(code.length) <= BigInt(CODE_BASE + CODE_SIZE));
      for (const { offset, bytes } of memory) assert.ok(offset >= 0 && offset + bytes.length <= DATA_SIZE);
    }
    assert.deepEqual(once(), cases);
  });

  test('memory operands land where they are aimed', () => {
    const random = new Random('aim');
    const base = randomState(random, 64);
    const [mov] = encodingsOf([{ mnemonic: 'MOV', encodings: ['8B Gv,Ev mem'] }]).encodings();
    for (let i = 0; i < 500; i++) {
      const {
        testCase: { state, code },
        encoded: { memory },
      } = generateCase(mov, random, 64, base);
      assert.ok(memory);
      // Index alone and base equal to index cannot hit every address, nor can cut-off code know its end.
      if (memory.base === undefined || memory.base === memory.index || code.length < 2) continue;
      const segment = memory.segment === 'fs' ? state.fsBase : memory.segment === 'gs' ? state.gsBase : 0n;
      const index = memory.index === undefined ? 0n : state.gpr[memory.index];
      const offset = BigInt.asUintN(
        memory.addressBits,
        state.gpr[memory.base] + index * BigInt(memory.scale) + memory.displacement,
      );
      assert.equal(
        BigInt.asUintN(memory.addressBits, segment + offset),
        BigInt.asUintN(memory.addressBits, memory.target),
      );
    }
  });

  test('runs every encoding natively without a case to drop', {
    skip: nativeUnavailable() ?? nativeUnfaithful(),
  }, async () => {
    const { set, dropped } = await make(4000, 'all');
    assert.deepEqual(dropped, {});
    assert.equal(set.vectors.length, 4000);
    // One by one: the difference between two whole sets takes minutes to print.
    decodeVectors(encodeVectors(set)).vectors.forEach((vector, i) => {
      assert.deepEqual(vector, set.vectors[i]);
    });
    const stopped = set.vectors.filter(({ result }) => result.outcome.kind === 'stopped').length;
    assert.ok(stopped > 0.7 * 4000, `${stopped} of 4000 cases run to their end`);
  });

  test('makes sequences of instructions', { skip: nativeUnavailable() ?? nativeUnfaithful() }, async () => {
    const { set, dropped } = await make(300, 'sequences', undefined, { length: 3 });
    assert.deepEqual(dropped, {});
    assert.ok(set.vectors.every(({ encodings }) => encodings.length === 3));
    const stopped = set.vectors.filter(({ result }) => result.outcome.kind === 'stopped').length;
    assert.ok(stopped > 0.6 * 300, `${stopped} of 300 sequences run to their end`);
  });
});

describe('loops', { skip: nativeUnavailable() ?? nativeUnfaithful() }, () => {
  test('run their body as often as the counter says', async () => {
    const { set } = await make(50, 'loops', /^INC FF/, { length: 2, iterations: 40 });
    const counted = set.vectors.filter(
      ({ testCase, result }) =>
        result.outcome.kind === 'stopped' && testCase.memory.some(({ offset }) => offset === 0x1ff0),
    );
    assert.ok(counted.length > 40);
    for (const { testCase, result } of counted) {
      assert.equal(result.state.rip, testCase.state.rip + BigInt(testCase.code.length));
      const after = result.memory.find(({ offset, bytes }) => offset <= 0x1ff0 && offset + bytes.length > 0x1ff0);
      assert.equal(after?.bytes[0x1ff0 - after.offset], 0);
    }
  });
});

describe('replay', { skip: nativeUnavailable() ?? nativeUnfaithful() }, () => {
  test('the processor agrees with its own vectors; a broken machine does not', async () => {
    const { set } = await make(600, 'replay', /^(ADD|SHL|MOVUPS|FADD|PUSH|REP|MOVS) /);
    const cases = set.vectors.map(({ testCase }) => testCase);
    const again = await runNative(cases);
    const results = new Map(cases.map((testCase, i) => [testCase, again[i]]));
    const native = { run: (testCase: Case): Result => results.get(testCase) as Result };
    assert.deepEqual(replay(set.vectors, native), []);
    const broken = {
      run: (testCase: Case): Result => {
        const { outcome, state, memory } = native.run(testCase);
        return { outcome, memory, state: { ...state, rflags: state.rflags ^ OF } };
      },
    };
    const failures = replay(set.vectors, broken);
    assert.ok(failures.length > 20);
    assert.match(failures[0].first, /rflags .*OF/);
    const [{ name }] = failures;
    assert.deepEqual(unexpected([failures[0]], { [name]: 'known' }), []);
    assert.match(unexpected([], { [name]: 'known' })[0], /does not: remove it/);
    assert.match(unexpected([failures[0]], {})[0], /vectors differ/);
  });

  test('undefined flags are not compared, everything else is', async () => {
    const { set } = await make(400, 'masks', /^(SHL|OR) /);
    for (const vector of set.vectors) {
      const { outcome, state, memory } = vector.result;
      const flipped = (rflags: number): Result => ({ outcome, memory, state: { ...state, rflags } });
      assert.deepEqual(compareResult(vector, flipped(state.rflags ^ vector.undefinedFlags)), []);
      if (vector.undefinedFlags & OF) continue;
      assert.equal(compareResult(vector, flipped(state.rflags ^ OF))[0].what, 'rflags');
    }
    assert.ok(set.vectors.some(({ undefinedFlags }) => undefinedFlags === (OF | AF)));
    const changed = set.vectors.find(({ result }) => result.memory.length > 0);
    assert.ok(changed);
    const lost = compareResult(changed, { ...changed.result, memory: [] });
    assert.match(lost[0].what, /^window\+/);
    assert.ok(mismatchText(changed, lost, { disassemble: () => 'shl ...' }).split('\n').length < 25);
  });
});
