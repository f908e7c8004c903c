/**
 * The WebAssembly that regions are made of, for a few tiny inputs, as text: a change of what is emitted shows in review.
 *
 *     UPDATE_GOLDEN=1 node --test tests/golden/golden.test.ts     writes the files anew
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import loadWabt from 'wabt';
import { bytesFromHex, DATA_BASE, initialState } from '../vectors/case.ts';
import { EmulatorMachine } from '../vectors/machine.ts';

const RCX = 1;
const RSP = 4;
const RSI = 6;

/** Name of the file, and the code. */
const INPUTS = {
  // add rax, rbx; mov [rsi], rax; mov rdx, [rsi + 8]
  'load-store': '48 01 d8  48 89 06  48 8b 56 08',
  // xor eax, eax; 1: add rax, rcx; dec rcx; jnz 1b
  loop: '31 c0  48 01 c8  48 ff c9  75 f8',
  // 1: inc rdx; shl rax, 3; dec rcx; test rcx, rcx; jnz 1b: nobody sees the CF that INC and DEC leave alone
  'carry-overwritten': '48 ff c2  48 c1 e0 03  48 ff c9  48 85 c9  75 f1',
  // cmp rax, rbx; jb 1f; inc rdx; 1: sbb rax, rax
  'branch-and-carry': '48 39 d8  72 03  48 ff c2  48 19 c0',
  // movsd xmm0, [rsi]; mulsd xmm0, xmm1; addsd xmm0, xmm2; movsd [rsi], xmm0
  'scalar-double': 'f2 0f 10 06  f2 0f 59 c1  f2 0f 58 c2  f2 0f 11 06',
  // push rax; pushfq; pop rdx; pop rbx
  stack: '50  9c  5a  5b',
} as const;

const FEATURES = { tail_call: true, simd: true, bulk_memory: true, sign_extension: true, sat_float_to_int: true };

const wabt = await loadWabt();

/** Constants from here on are addresses in the arena. */
const FIRST_ADDRESS = 0x100000;

/** Text of the region's function, without the addresses that depend on where things happen to lie. */
function disassemble(bytes: Uint8Array): string {
  const module = wabt.readWasm(bytes, { ...FEATURES, readDebugNames: true });
  try {
    module.generateNames();
    module.applyNames();
    const text = module.toText({ foldExprs: true, inlineExport: false });
    const start = text.search(/^ {2}\(func \$(?!.*\(import)/m);
    const body = text.slice(start).replace(/\n {2}\(elem[\s\S]*$/, '\n');
    return body.replace(/i32\.const (\d+)/g, (all, n) => (Number(n) < FIRST_ADDRESS ? all : 'i32.const ADDRESS'));
  } finally {
    module.destroy();
  }
}

function region(code: string): string {
  const modules: Uint8Array[] = [];
  const machine = new EmulatorMachine({ regions: true, inspectModule: (bytes) => modules.push(bytes) });
  const state = initialState();
  state.gpr[RCX] = 5n;
  state.gpr[RSP] = BigInt(DATA_BASE + 0x1000);
  state.gpr[RSI] = BigInt(DATA_BASE + 0x100);
  machine.run({ mode: 64, code: bytesFromHex(code), state, memory: [] });
  assert.equal(modules.length, 1);
  return disassemble(modules[0]);
}

describe('emitted WebAssembly', () => {
  for (const [name, code] of Object.entries(INPUTS)) {
    test(name, () => {
      const file = new URL(`${name}.wat`, import.meta.url);
      const text = region(code);
      if (process.env.UPDATE_GOLDEN) writeFileSync(file, text);
      assert.equal(text, readFileSync(file, 'utf8'));
      if (name === 'carry-overwritten') assert.doesNotMatch(text, /carryOf/);
    });
  }
});
