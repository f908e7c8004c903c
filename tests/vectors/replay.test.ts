import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { decodeVectors } from './format.ts';
import { EmulatorMachine } from './machine.ts';
import { replay, unexpected } from './replay.ts';

const DIRECTORY = new URL('sets/', import.meta.url);

/** Encodings of which some vectors differ, by set, with the reason. An entry that is no longer true fails. */
const KNOWN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'single.vectors': {
    'POPF 9D d64': 'a single-step trap follows INT3 (the end of the case) when POPF has set TF',
    'BSF 0F BC Gv,Ev': 'an operand that crosses into non-canonical addresses: #PF of its first page instead of #GP(0)',
    'ARPL 63 Ew,Gw no64': 'write access is required even if the RPL stays as it is',
    'ENTER C8 Iw,Ib d64': 'with a 16-bit operand size all of RBP is written instead of BP',
    'RCPSS F3 0F 53 Vss,Wss': 'results below the least normal number are not flushed to zero',
  },
};

describe('stored sets on the emulator', () => {
  const machine = new EmulatorMachine();
  for (const name of readdirSync(DIRECTORY).filter((file) => file.endsWith('.vectors'))) {
    test(name, () => {
      const { vectors } = decodeVectors(readFileSync(new URL(name, DIRECTORY)));
      assert.deepEqual(unexpected(replay(vectors, machine), KNOWN[name] ?? {}), []);
    });
  }

  test('the list of known differences names stored sets', () => {
    assert.deepEqual(
      Object.keys(KNOWN).filter((name) => !readdirSync(DIRECTORY).includes(name)),
      [],
    );
  });
});
