import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { decodeVectors } from './format.ts';
import { EmulatorMachine } from './machine.ts';
import { replay, unexpected } from './replay.ts';

const DIRECTORY = new URL('sets/', import.meta.url);

/** Encodings of which some vectors differ, by set, with the reason. An entry that is no longer true fails. */
const KNOWN: Readonly<Record<string, Readonly<Record<string, string>>>> = {};
/** Further ones where the case is compiled to a region. */
const KNOWN_COMPILED: Readonly<Record<string, string>> = {};

const FILES = readdirSync(DIRECTORY).filter((name) => name.endsWith('.vectors'));
/** Every how manieth case of a set is compiled to a region: each makes a WebAssembly module of its own. */
const COMPILED: Readonly<Record<string, number>> = { 'single.vectors': 12, 'sequence.vectors': 3, 'loop.vectors': 2 };
/** The same for regions that assume nothing. */
const WARY: Readonly<Record<string, number>> = { 'float.vectors': 3, 'float-loop.vectors': 3 };

function check(name: string, machine: EmulatorMachine, every?: number): void {
  const { vectors } = decodeVectors(readFileSync(new URL(name, DIRECTORY)));
  const known = KNOWN[name] ?? {};
  if (every === undefined) {
    assert.deepEqual(unexpected(replay(vectors, machine), known), []);
    return;
  }
  // a sample need not show every known difference
  const failures = replay(
    vectors.filter((_, i) => i % every === 0),
    machine,
  );
  assert.deepEqual(
    unexpected(
      failures.filter(({ name: failed }) => !(failed in known || failed in KNOWN_COMPILED)),
      {},
    ),
    [],
  );
}

describe('stored sets on the emulator', () => {
  const interpreter = new EmulatorMachine();
  const regions = new EmulatorMachine({ regions: true });
  for (const name of FILES) {
    test(`${name} interpreted`, () => check(name, interpreter));
    test(`${name} compiled`, () => check(name, regions, COMPILED[name] ?? 1));
  }

  const wary = new EmulatorMachine({ regions: true, wary: true });
  for (const [name, every] of Object.entries(WARY))
    test(`${name} compiled without assumptions`, () => check(name, wary, every));

  for (const slice of [1, 3]) {
    test(`loops interpreted ${slice} instructions at a time`, () =>
      check('loop.vectors', new EmulatorMachine({ slice })));
  }

  test('the list of known differences names stored sets', () => {
    assert.deepEqual(
      Object.keys(KNOWN).filter((name) => !FILES.includes(name)),
      [],
    );
  });
});
