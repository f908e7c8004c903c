import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Case, Mode, ProcessorState, Result } from './case.ts';
import {
  AC,
  AF,
  ARITHMETIC_FLAGS,
  bytesFromHex,
  CF,
  CODE_BASE,
  CODE_SIZE,
  DATA_BASE,
  DATA_SIZE,
  DF,
  FX,
  fxView,
  initialState,
  OF,
  PF,
  SF,
  windowBackground,
  ZF,
} from './case.ts';
import { nativeUnavailable, nativeUnfaithful, runNative } from './native.ts';

const RAX = 0;
const RCX = 1;
const RBX = 3;
const RSP = 4;
const RSI = 6;
const RDI = 7;

function testCase(code: string, set: (state: ProcessorState) => void = () => {}, mode: Mode = 64): Case {
  const state = initialState();
  state.gpr[RSP] = BigInt(DATA_BASE + 0x1000);
  set(state);
  return { mode, code: bytesFromHex(code), state, memory: [] };
}

async function run(code: string, set?: (state: ProcessorState) => void, mode: Mode = 64): Promise<Result> {
  const [result] = await runNative([testCase(code, set, mode)]);
  return result;
}

const END = BigInt(DATA_BASE + DATA_SIZE);

describe('native harness', { skip: nativeUnavailable() }, () => {
  test('ADD sets its flags and stops behind itself', async () => {
    const { outcome, state } = await run('48 01 d8', ({ gpr }) => {
      gpr[RAX] = 0x7fff_ffff_ffff_ffffn;
      gpr[RBX] = 1n;
    });
    assert.deepEqual(outcome, { kind: 'stopped' });
    assert.equal(state.rip, BigInt(CODE_BASE + 3));
    assert.equal(state.gpr[RAX], 0x8000_0000_0000_0000n);
    assert.equal(state.rflags & ARITHMETIC_FLAGS, OF | SF | AF | PF);
  });

  test('flags, GPRs, XMM, x87 and bases come out as they went in', async () => {
    const { state } = await run('90', (given) => {
      given.gpr.forEach((_, i) => {
        given.gpr[i] = 0x1111_1111_1111_1111n * BigInt(i) + 1n;
      });
      given.rflags |= CF | ZF | DF | AC | (1 << 21) | (1 << 14);
      given.fsBase = 0x1234_5678n;
      given.gsBase = 0x7fff_0000_0000n;
      for (let i = 0; i < 8; i++) given.fx.fill(0x11 * (i + 1), FX.st + 16 * i, FX.st + 16 * i + 10);
      for (let i = FX.xmm; i < FX.end; i++) given.fx[i] = i & 0xff;
      given.fx[FX.ftw] = 0x5a;
      fxView(given).setUint16(FX.fsw, 0x2f00, true);
      fxView(given).setUint32(FX.mxcsr, 0xffbf, true);
    });
    const expected = initialState();
    expected.gpr.forEach((_, i) => {
      expected.gpr[i] = 0x1111_1111_1111_1111n * BigInt(i) + 1n;
    });
    assert.deepEqual(state.gpr, expected.gpr);
    assert.equal(state.rflags, 0x202 | CF | ZF | DF | AC | (1 << 21) | (1 << 14));
    assert.deepEqual([state.fsBase, state.gsBase], [0x1234_5678n, 0x7fff_0000_0000n]);
    assert.equal(state.fx[FX.ftw], 0x5a);
    assert.equal(fxView(state).getUint16(FX.fsw, true), 0x2f00);
    assert.equal(fxView(state).getUint32(FX.mxcsr, true), 0xffbf);
    assert.deepEqual([...state.fx.slice(FX.st + 16 * 7, FX.st + 16 * 7 + 10)], Array(10).fill(0x88));
    assert.deepEqual(
      [...state.fx.slice(FX.xmm, FX.end)],
      Array.from({ length: 256 }, (_, i) => (FX.xmm + i) & 0xff),
    );
  });

  test('a case leaves nothing behind for the next', async () => {
    const clean = testCase('9c');
    const dirty = testCase('c6 04 25 10 00 00 10 77', ({ gpr }) => {
      gpr[RAX] = 5n;
    });
    const [before, , after] = await runNative([clean, dirty, clean]);
    assert.deepEqual(after, before);
  });

  test('DIV by zero raises #DE at the instruction', async () => {
    const { outcome, state } = await run('48 f7 f3');
    assert.deepEqual(outcome, { kind: 'exception', vector: 0 });
    assert.equal(state.rip, BigInt(CODE_BASE));
  });

  test('an access across the end of the window raises #PF with the address of the missing page', async () => {
    const set = ({ gpr }: ProcessorState): void => {
      gpr[RBX] = END - 2n;
    };
    assert.deepEqual((await run('8b 03', set)).outcome, { kind: 'exception', vector: 14, errorCode: 4, cr2: END });
    const { outcome, memory } = await run('89 03', set);
    assert.deepEqual(outcome, { kind: 'exception', vector: 14, errorCode: 6, cr2: END });
    assert.deepEqual(memory, []);
  });

  test('the code page cannot be written, the window not executed, the page behind the code not fetched', async () => {
    const code = BigInt(CODE_BASE);
    const write = await run('89 03', ({ gpr }) => {
      gpr[RBX] = code;
    });
    assert.deepEqual(write.outcome, { kind: 'exception', vector: 14, errorCode: 7, cr2: code });
    const execute = await run('ff e3', ({ gpr }) => {
      gpr[RBX] = BigInt(DATA_BASE);
    });
    assert.deepEqual(execute.outcome, { kind: 'exception', vector: 14, errorCode: 0x15, cr2: BigInt(DATA_BASE) });
    const end = BigInt(CODE_BASE + CODE_SIZE);
    const fetch = await run('48 01', (state) => {
      state.rip = end - 2n;
    });
    assert.deepEqual(fetch.outcome, { kind: 'exception', vector: 14, errorCode: 0x14, cr2: end });
    assert.equal(fetch.state.rip, end - 2n);
  });

  test('addresses that are not canonical raise #GP, through RSP #SS; HLT raises #GP', {
    skip: nativeUnfaithful(),
  }, async () => {
    const set = ({ gpr }: ProcessorState): void => {
      gpr[RBX] = 1n << 60n;
      gpr[RSP] = 1n << 60n;
    };
    assert.deepEqual((await run('8b 03', set)).outcome, { kind: 'exception', vector: 13, errorCode: 0 });
    assert.deepEqual((await run('50', set)).outcome, { kind: 'exception', vector: 12, errorCode: 0 });
    assert.deepEqual((await run('f4')).outcome, { kind: 'exception', vector: 13, errorCode: 0 });
  });

  test('REP MOVSB stops at the fault with its registers advanced', async () => {
    const { outcome, state, memory } = await run('f3 a4', ({ gpr }) => {
      gpr[RCX] = 100n;
      gpr[RSI] = BigInt(DATA_BASE);
      gpr[RDI] = END - 16n;
    });
    assert.deepEqual(outcome, { kind: 'exception', vector: 14, errorCode: 6, cr2: END });
    assert.deepEqual([state.gpr[RCX], state.gpr[RSI], state.gpr[RDI]], [84n, BigInt(DATA_BASE + 16), END]);
    const after = windowBackground().slice();
    for (const { offset, bytes } of memory) after.set(bytes, offset);
    assert.deepEqual(after.slice(-16), windowBackground().slice(0, 16));
  });

  test('compatibility mode runs 32-bit code: AAM, PUSHA, INTO, a flat GS', { skip: nativeUnfaithful() }, async () => {
    const aam = await run(
      'd4 0a',
      ({ gpr }) => {
        gpr[RAX] = 0x47n;
      },
      32,
    );
    assert.equal(aam.state.gpr[RAX], 0x701n);
    const pusha = await run(
      '60',
      ({ gpr }) => {
        gpr[RAX] = 0x1234_5678n;
      },
      32,
    );
    assert.equal(pusha.state.gpr[RSP], BigInt(DATA_BASE + 0x1000 - 32));
    const after = windowBackground().slice();
    for (const { offset, bytes } of pusha.memory) after.set(bytes, offset);
    assert.equal(new DataView(after.buffer).getUint32(0x1000 - 4, true), 0x1234_5678);
    assert.deepEqual(
      (
        await run(
          'ce',
          (state) => {
            state.rflags |= OF;
          },
          32,
        )
      ).outcome,
      { kind: 'exception', vector: 4 },
    );
    const gs = await run(
      '65 8b 03',
      ({ gpr }) => {
        gpr[RBX] = BigInt(DATA_BASE);
      },
      32,
    );
    assert.equal(gs.state.gpr[RAX], BigInt(new DataView(windowBackground().buffer).getUint32(0, true)));
  });

  test('FADD rounds to the precision of the control word', async () => {
    const add = async (control: number): Promise<bigint> => {
      const { state } = await run('d8 c1', (given) => {
        const view = fxView(given);
        view.setUint16(FX.fcw, control, true);
        given.fx[FX.ftw] = 0xff;
        for (const [position, exponent] of [
          [0, 0x3fff],
          [1, 0x3fff - 40],
        ]) {
          view.setBigUint64(FX.st + 16 * position, 1n << 63n, true);
          view.setUint16(FX.st + 16 * position + 8, exponent, true);
        }
      });
      return fxView(state).getBigUint64(FX.st, true);
    };
    // 1 + 2^-40 needs 41 bits: it fits the extended and double precisions, not single.
    assert.equal(await add(0x37f), (1n << 63n) | (1n << 23n));
    assert.equal(await add(0x27f), (1n << 63n) | (1n << 23n));
    assert.equal(await add(0x07f), 1n << 63n);
  });

  test('unmasked floating-point exceptions: #MF on the next waiting instruction, #XM at once', async () => {
    const waiting = await run('9b', (state) => {
      state.fx[FX.fcw] = 0x7e;
      state.fx[FX.fsw] = 0x81;
    });
    assert.deepEqual(waiting.outcome, { kind: 'exception', vector: 16 });
    const { outcome, state } = await run('0f 5e c1', (given) => {
      fxView(given).setUint32(FX.mxcsr, 0x1d80, true); // ZM clear
      fxView(given).setUint32(FX.xmm, 0x3f80_0000, true);
    });
    assert.deepEqual(outcome, { kind: 'exception', vector: 19 });
    // 0/0 in the other lanes is a masked invalid operation, but an unmasked exception leaves all results unwritten.
    assert.equal(fxView(state).getUint32(FX.mxcsr, true), 0x1d85);
    assert.equal(fxView(state).getUint32(FX.xmm, true), 0x3f80_0000);
  });

  test('a misaligned access with AC set raises #AC', async () => {
    const { outcome } = await run('89 44 24 01', (state) => {
      state.rflags |= AC;
    });
    assert.deepEqual(outcome, { kind: 'exception', vector: 17, errorCode: 0 });
  });

  test('endless loops, system calls and impossible states are reported, and the next case still runs', {
    skip: nativeUnfaithful(),
  }, async () => {
    const results = await runNative([
      testCase('eb fe'),
      testCase('0f 05'),
      testCase('cd 80'),
      testCase('cd 80', undefined, 32),
      testCase('90', (state) => {
        state.fx[FX.mxcsr + 2] = 1;
      }),
      testCase('90', (state) => {
        state.rip = 0n;
      }),
      testCase('90'),
    ]);
    assert.deepEqual(
      results.map(({ outcome }) => outcome.kind),
      ['timeout', 'system-call', 'system-call', 'system-call', 'rejected', 'rejected', 'stopped'],
    );
  });
});
