/**
 * Results of the host's processor kept as vectors.json: per instruction the compared bytes of its cases, as changes
 * (exclusive or) from the starting state, deflated, base64. The operands are not kept: they come from a generator seeded
 * with the instruction's name.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { Generator } from './operands.ts';

export const VECTORS_FILE = join(import.meta.dirname, 'vectors.json');
export const CASES_PER_ROW = 10;

/** Suite name to instruction name to results. */
export type Vectors = Record<string, Record<string, string>>;

export const readVectors = (): Vectors => JSON.parse(readFileSync(VECTORS_FILE, 'utf8')) as Vectors;

/** The generator of an instruction's operands (FNV-1a of its name as seed). */
export function generatorFor(name: string): Generator {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return new Generator(hash);
}

/** What an instruction changed: both the encoding of a result and its decoding. */
export const changes = (before: Uint8Array, after: Uint8Array): Uint8Array =>
  after.map((byte, index) => byte ^ before[index]);

export const pack = (cases: readonly Uint8Array[]): string => deflateRawSync(Buffer.concat(cases)).toString('base64');
export const unpack = (text: string): Uint8Array => Uint8Array.from(inflateRawSync(Buffer.from(text, 'base64')));
