/**
 * Compares the decoder with the disassembler of GNU binutils on random instructions: their lengths, and which exist.
 *
 *     node tests/decode/compare.ts [--count N] [--seed S] [--mode 16|32|64]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CodeBits, Decoder } from '../../src/cpu/decode/decoder.ts';
import { INSTRUCTION_TABLE, INSTRUCTIONS } from '../../src/isa/index.ts';
import type { Feature } from '../../src/isa/instruction.ts';
import { Random } from '../vectors/random.ts';

/** Each instruction starts a slot: random bytes, then NOPs in which the disassembler finds its step again. */
const SLOT = 32;
const RANDOM_BYTES = 15;
const NOP = 0x90;
const WAIT = 0x9b;

const MACHINES: Record<CodeBits, string> = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' };

/** Prefixes the decoder takes anywhere; the disassembler prints a REX prefix before others as an instruction of its own. */
const LEGACY_PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/** The disassembler gives them the ModRM byte that AMD processors do not fetch. */
const NO_MODRM = new Set(['UD0', 'UD1']);

const PREFIXES_ONLY = /^((data16|addr32|addr16|data32|repn?z|lock|[c-gs]s|rex(\.\w+)?) *)+$/;

function randomInstruction(random: Random, mode: CodeBits): Uint8Array {
  const bytes: number[] = [];
  while (random.oneIn(3) && bytes.length < 3) bytes.push(random.pick(LEGACY_PREFIXES));
  if (mode === 64 && random.oneIn(3)) bytes.push(0x40 | random.below(16));
  const map = random.below(8);
  if (map < 3) bytes.push(0x0f);
  else if (map === 3) bytes.push(0x0f, random.pick([0x38, 0x3a]));
  while (bytes.length < RANDOM_BYTES) bytes.push(random.below(256));
  return Uint8Array.from(bytes);
}

interface Disassembled {
  length: number;
  text: string;
}

/** First instruction of each slot. */
function disassemble(slots: readonly Uint8Array[], mode: CodeBits): Disassembled[] {
  const image = new Uint8Array(slots.length * SLOT).fill(NOP);
  for (const [i, bytes] of slots.entries()) image.set(bytes, i * SLOT);
  const directory = mkdtempSync(join(tmpdir(), 'decode-'));
  try {
    const file = join(directory, 'image');
    writeFileSync(file, image);
    const listing = execFileSync(
      'objdump',
      ['-D', '-z', '-b', 'binary', '-m', MACHINES[mode], '-M', 'intel,intel64', '--insn-width=16', file],
      {
        encoding: 'latin1',
        maxBuffer: 2 ** 30,
      },
    );
    const result: Disassembled[] = [];
    for (const line of listing.split('\n')) {
      const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(?:\t(.*))?$/.exec(line);
      if (!match) continue;
      const at = Number.parseInt(match[1], 16);
      if (at % SLOT !== 0) continue;
      result[at / SLOT] = { length: match[2].trim().split(' ').length, text: (match[3] ?? '').trim() };
    }
    return result;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

function main(): number {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '20000' },
      seed: { type: 'string', default: '1' },
      mode: { type: 'string' },
      missing: { type: 'boolean' },
    },
  });
  const modes: CodeBits[] = values.mode ? [Number(values.mode) as CodeBits] : [64, 32, 16];
  const features = new Set<Feature>(INSTRUCTIONS.flatMap(({ feature }) => feature ?? []));
  const decoder = new Decoder(INSTRUCTION_TABLE, features);
  let bad = 0;
  for (const mode of modes) {
    const random = new Random(`${values.seed}/${mode}`);
    const slots = Array.from({ length: Number(values.count) }, () => randomInstruction(random, mode)).filter(
      (bytes) => !bytes.includes(WAIT),
    );
    const expected = disassemble(slots, mode);
    let agreed = 0;
    const onlyHere = new Map<string, string>();
    const onlyThere = new Map<string, string>();
    slots.forEach((bytes, i) => {
      const { length, text } = expected[i] ?? { length: 0, text: '(none)' };
      const padded = new Uint8Array(SLOT).fill(NOP);
      padded.set(bytes);
      const result = decoder.decode(padded, 0, padded.length, mode, false);
      // a REX prefix in front of others is printed as an instruction of its own
      if (PREFIXES_ONLY.test(text)) return;
      const exists = text !== '' && !text.includes('(bad)');
      const line = `${hex(bytes.subarray(0, Math.max(1, result === 'ok' ? decoder.out.length : length)))}   ${text}`;
      const withoutModrm = result === 'ok' && NO_MODRM.has(decoder.out.encoding.instruction.mnemonic);
      if (result === 'ok' && exists && decoder.out.length !== length && !withoutModrm) {
        bad++;
        console.log(`${mode}: length ${decoder.out.length}, not ${length}: ${line}`);
      } else if (result === 'ok' && !exists) onlyHere.set(decoder.out.encoding.text, `${hex(bytes)}   ${text}`);
      else if (result !== 'ok' && exists)
        onlyThere.set(
          text.replace(/^((data16|addr32|addr16|data32|repn?z|bnd|lock|[c-gs]s|rex(\.\w+)?) +)+/, '').split(' ')[0],
          line,
        );
      else agreed++;
    });
    console.log(`${mode}-bit: ${agreed} of ${slots.length} agree`);
    for (const [name, line] of onlyHere) console.log(`  decoded here only: ${name}: ${line}`);
    if (values.missing) for (const [name, line] of onlyThere) console.log(`  not decoded here: ${name}: ${line}`);
    else console.log(`  not decoded here: ${[...onlyThere.keys()].join(' ')}`);
  }
  return bad === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = main();
