/**
 * Writes docs/instructions.md from the instruction rows; with `--check` only compares and fails if the page is stale.
 *
 *     node scripts/coverage.ts [--check]
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { INSTRUCTION_TABLE, INSTRUCTIONS } from '../src/isa/index.ts';
import type { Instruction } from '../src/isa/instruction.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PAGE = join(ROOT, 'docs', 'instructions.md');
const ISA = join(ROOT, 'src', 'isa');

interface Family {
  /** Path below src/isa. */
  readonly file: string;
  /** First sentence of the file's head comment. */
  readonly title: string;
  readonly instructions: readonly Instruction[];
}

function isInstruction(value: unknown): value is Instruction {
  return typeof value === 'object' && value !== null && 'mnemonic' in value && 'encodings' in value;
}

function titleOf(source: string): string {
  const comment = /^\/\*\*([\s\S]*?)\*\//.exec(source)?.[1] ?? '';
  const text = comment
    .replace(/^\s*\* ?/gm, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return /^(.*?)(?:[:.](?: |$)|$)/.exec(text)![1].replace(/\s*\([^)]*$/, '');
}

/** The files that define instructions of the table, in the table's order. */
async function families(): Promise<Family[]> {
  const registered = new Map(INSTRUCTIONS.map((instruction, i) => [instruction, i]));
  const found: Family[] = [];
  const seen = new Set<Instruction>();
  for (const file of globSync('**/*.ts', { cwd: ISA }).sort()) {
    if (/\.test\.ts$|^assembler|^index\.ts$/.test(file)) continue;
    const exports = (await import(join(ISA, file))) as Record<string, unknown>;
    const instructions = Object.values(exports)
      .flatMap((value) => (Array.isArray(value) ? value : [value]))
      .filter(isInstruction)
      .filter((instruction) => registered.has(instruction));
    if (instructions.length === 0) continue;
    for (const instruction of instructions) seen.add(instruction);
    instructions.sort((a, b) => registered.get(a)! - registered.get(b)!);
    found.push({ file, title: titleOf(readFileSync(join(ISA, file), 'utf8')), instructions });
  }
  const missing = INSTRUCTIONS.filter((instruction) => !seen.has(instruction));
  if (missing.length > 0) throw new Error(`no file below src/isa exports ${missing.map((i) => i.mnemonic).join(', ')}`);
  return found.sort((a, b) => registered.get(a.instructions[0])! - registered.get(b.instructions[0])!);
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** One line for all rows of a mnemonic that agree in everything but their encodings. */
function lines(instructions: readonly Instruction[]): string[] {
  const groups = new Map<string, { instruction: Instruction; encodings: string[] }>();
  for (const instruction of instructions) {
    const { mnemonic, feature, intercept, undefinedFlags } = instruction;
    const key = JSON.stringify([mnemonic, feature, intercept, undefinedFlags]);
    const group = groups.get(key);
    if (group) group.encodings.push(...instruction.encodings);
    else groups.set(key, { instruction, encodings: [...instruction.encodings] });
  }
  return [...groups.values()].map(({ instruction, encodings }) => {
    const { mnemonic, feature, intercept, undefinedFlags } = instruction;
    const flags = [...(undefinedFlags ?? '')].map((letter) => `${letter}F`).join(' ');
    return `| ${mnemonic} | ${encodings.map((e) => `\`${cell(e)}\``).join(', ')} | ${feature ?? ''} | ${intercept ?? ''} | ${flags} |`;
  });
}

async function page(): Promise<string> {
  const all = await families();
  const mnemonics = new Set(INSTRUCTIONS.map((instruction) => instruction.mnemonic));
  const text = [
    '# Instructions',
    '',
    'Generated from the rows below `src/isa` by `scripts/coverage.ts`; do not edit. The notation is that of',
    '`src/isa/instruction.ts`. *Feature*: the CPUID feature without which the row does not exist. *Intercept*: the',
    'instruction intercept checked before the row is executed (others are checked where the manual orders them after',
    'operand checks). *Undefined flags*: what the manual leaves undefined.',
    '',
    `${mnemonics.size} mnemonics, ${INSTRUCTION_TABLE.encodings.length} encodings.`,
    '',
  ];
  for (const { file, title, instructions } of all) {
    text.push(
      `## ${title} (\`${file}\`)`,
      '',
      '| Mnemonic | Encodings | Feature | Intercept | Undefined flags |',
      '| --- | --- | --- | --- | --- |',
    );
    text.push(...lines(instructions), '');
  }
  return text.join('\n');
}

const wanted = await page();
if (process.argv.includes('--check')) {
  let committed = '';
  try {
    committed = readFileSync(PAGE, 'utf8');
  } catch {
    // a missing page is a stale one
  }
  if (committed !== wanted) {
    console.error('docs/instructions.md is stale; run: node scripts/coverage.ts');
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, wanted);
}
