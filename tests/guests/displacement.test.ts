/** RIP-relative operands at the ends of what 32 bits reach, deep in a block: decoded records count from the block's start. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useLimits } from './harness.ts';
import { longMode } from './library.ts';

const LARGEST = 0x7fff_ffffn;
const SMALLEST = -0x8000_0000n;
const little = (displacement: bigint) =>
  [0n, 8n, 16n, 24n].map((shift) => `0x${((displacement >> shift) & 0xffn).toString(16)}`).join(', ');
/** lea rax, [rip + displacement] */
const lea = (displacement: bigint) => `db 0x48, 0x8d, 0x05, ${little(displacement)}`;

for (const engine of ['interpreter', 'regions'] as const) {
  describe(`engine ${engine}`, () => {
    for (const displacement of [LARGEST, LARGEST - 20n, SMALLEST]) {
      test(`LEA with displacement ${displacement}`, () => {
        useLimits(engine, {});
        const guest = longMode(`mov ecx, 3
          again: add rdx, rcx
          ${lea(displacement)}
          behind: dec ecx
          jnz again
          hlt`).halt(1000);
        assert.equal(guest.register('rax'), BigInt.asUintN(64, guest.address('behind') + displacement));
      });
    }
  });
}
