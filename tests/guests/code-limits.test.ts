/** More code than there is room for: it is dropped and made again, runs as ever, and takes no more memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { EngineKind } from '../../src/cpu/processor.ts';
import { useLimits } from './harness.ts';
import { longMode } from './library.ts';

/** Functions spread over 250 pages, two on each; every page with code needs a table of 16 KiB. */
const FUNCTIONS = 500;
const STRIDE = 2048;
const PASSES = 4;
const LIMITS = { codeBytes: 512 * 1024, regions: 48, heat: 1, joining: 0, batch: 1 } as const;

/** Writes functions that each add their number to RBX, then calls all of them twice a pass. */
const PROGRAM = `
  mov edi, FIRST
  xor ecx, ecx
  make: mov byte ptr [rdi], 0xb8            ; mov eax, number
  mov [rdi+1], ecx
  mov dword ptr [rdi+5], 0xc3c30148         ; add rbx, rax; ret
  add edi, ${STRIDE}
  inc ecx
  cmp ecx, ${FUNCTIONS}
  jb make
  mov edx, ${PASSES}
  pass: mov edi, FIRST
  mov ecx, ${FUNCTIONS}
  each: call rdi
  call rdi
  add edi, ${STRIDE}
  dec ecx
  jnz each
  dec edx
  jnz pass
  hlt`;
const SUM = BigInt(PASSES * FUNCTIONS * (FUNCTIONS - 1));

/** The modules that something still refers to. */
function countModules(): { living(): Promise<number>; made(): number; stop(): void } {
  const { Module } = WebAssembly;
  const modules: WeakRef<WebAssembly.Module>[] = [];
  WebAssembly.Module = new Proxy(Module, {
    construct(target, [bytes]: [Uint8Array<ArrayBuffer>]) {
      const made = new target(bytes);
      modules.push(new WeakRef(made));
      return made;
    },
  });
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  return {
    made: () => modules.length,
    async living() {
      // what a job has looked at lives until its end
      await new Promise(setImmediate);
      collectGarbage();
      return modules.filter((module) => module.deref() !== undefined).length;
    },
    stop() {
      WebAssembly.Module = Module;
    },
  };
}

describe('a program that is larger than the room for its code', () => {
  for (const engine of ['interpreter', 'auto', 'regions'] satisfies EngineKind[]) {
    test(`engine ${engine}`, async () => {
      useLimits(engine, LIMITS);
      const modules = countModules();
      try {
        const guest = longMode(PROGRAM, { define: { FIRST: 0x20_0000 } }).halt(1_000_000);
        assert.equal(guest.register('rbx'), SUM);
        const { blocks, regions } = guest.bench.processor;
        assert.ok(blocks.statistics.flushes > 20, `${blocks.statistics.flushes} flushes`);
        assert.ok(blocks.room >= 0 && blocks.room <= LIMITS.codeBytes);
        if (!regions) return;
        assert.ok(regions.statistics.regions > FUNCTIONS, `${regions.statistics.regions} regions`);
        assert.ok(modules.made() > FUNCTIONS);
        const living = await modules.living();
        assert.ok(living < 2 * LIMITS.regions, `${living} of ${modules.made()} modules are alive`);
      } finally {
        modules.stop();
      }
    });
  }
});

describe('two blocks of one loop, which become hot at the same time', () => {
  /** Regions made after so many rounds, where a block is hot after 100 entries, and two hot blocks are compiled together. */
  const regionsAfter = (rounds: number): number => {
    useLimits('auto', { heat: 100, joining: 10, batch: 2 });
    const guest = longMode(`mov ecx, ${rounds}
      again: add rbx, 1
      jmp next
      next: dec ecx
      jnz again
      hlt`).halt(10_000);
    assert.equal(guest.register('rbx'), BigInt(rounds));
    return guest.bench.processor.regions!.statistics.regions;
  };
  test('the region of one holds the other', () => assert.equal(regionsAfter(150), 0));
  test('the other gets its own if it stays hot', () => assert.equal(regionsAfter(250), 2));
});

describe('a branch out of a hot loop', () => {
  /** Instructions compiled where the branch is taken so many times before the loop is hot, after 100 rounds. */
  const compiledWhere = (taken: number): number => {
    useLimits('auto', { heat: 100, joining: 10, batch: 1 });
    const guest = longMode(`mov ecx, 200
      again: cmp ecx, ${200 - taken}
      ja seldom
      back: dec ecx
      jnz again
      hlt
      seldom: add rbx, 1
      ${'add rdx, 1\n'.repeat(8)}
      jmp back`).halt(10_000);
    assert.deepEqual([guest.register('rbx'), guest.register('rdx')], [BigInt(taken), BigInt(8 * taken)]);
    return guest.bench.processor.regions!.statistics.instructions;
  };
  test('taken often: the region holds where it leads', () => assert.ok(compiledWhere(30) >= 4 + 10));
  test('taken seldom: it does not', () => assert.ok(compiledWhere(3) < 4 + 10));
});
