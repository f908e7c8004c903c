/**
 * Checks the source tree's layers: each directory of src/ imports only from those below it, and only the outermost ones
 * touch the host (Node's modules, a page's or Node's globals, the host's time). Prints a line for each violation.
 */
import { readdir, readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** For each layer the ones below it. */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  wasm: [],
  bus: [],
  isa: ['wasm'],
  cpu: ['wasm', 'isa', 'bus'],
  devices: ['bus'],
  machine: ['wasm', 'isa', 'cpu', 'bus', 'devices'],
  manager: ['wasm', 'isa', 'cpu', 'bus', 'devices', 'machine'],
  host: ['wasm', 'isa', 'cpu', 'bus', 'devices', 'machine', 'manager'],
  cli: ['wasm', 'isa', 'cpu', 'bus', 'devices', 'machine', 'manager', 'host'],
};

/** Layers that may use the host and third-party packages. */
const HOST_LAYERS: readonly string[] = ['host', 'cli'];

/** Uses of the host that need no import. Time and input are injected below the host layers; so is randomness. */
const HOST_GLOBALS = [
  /\b(?:console|process|performance|document|window|localStorage)\s*\./,
  /\bBuffer\b/,
  /\bDate\.now\b|\bnew Date\(\s*\)/,
  /\bMath\.random\b/,
  /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask|requestAnimationFrame)\s*\(/,
];

export interface Violation {
  /** Path relative to the source directory. */
  file: string;
  /** From 1. */
  line: number;
  message: string;
}

/**
 * The source with comments blanked and, if asked, the contents of strings and templates too. Every line keeps its
 * number. Regular expressions are not told from division; a quote inside one may blank the rest of its line at most.
 */
export function blank(source: string, strings: boolean): string {
  const pattern = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g;
  return source.replace(pattern, (token) => {
    const comment = token.startsWith('/*') || token.startsWith('//');
    return comment || strings ? token.replace(/[^\n]/g, ' ') : token;
  });
}

/** The modules that a source text imports or re-exports, types included, and their lines. */
export function findImports(source: string): { specifier: string; line: number }[] {
  const text = blank(source, false);
  const code = blank(source, true);
  const pattern = /\b(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g;
  return [...text.matchAll(pattern)]
    .filter((match) => code[match.index] !== ' ') // the keyword is not itself within a string
    .map((match) => ({
      specifier: match[2],
      line: text.slice(0, match.index + match[0].length).split('\n').length,
    }));
}

/** Tests, and what only tests use: `*.test.ts`, `test-*.ts`, `testing.ts`, `testing/`. */
function isTest(file: string): boolean {
  return /\.test\.ts$|(?:^|\/)(?:test-[^/]+|testing)\.ts$|\/testing\//.test(file);
}

/** What is wrong with one import, if anything. */
function checkImport(file: string, layer: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) {
    const target = join(dirname(file), specifier);
    if (target.startsWith('..')) {
      return isTest(file) ? undefined : `imports '${specifier}', which is outside src/`;
    }
    if (isTest(target) && !isTest(file)) return `imports '${specifier}', which is for tests`;
    const targetLayer = target.split('/')[0];
    if (targetLayer === layer || LAYERS[layer].includes(targetLayer)) return undefined;
    return `layer '${layer}' must not import from '${targetLayer}' ('${specifier}')`;
  }
  if (HOST_LAYERS.includes(layer) || isTest(file)) return undefined;
  const builtIn = specifier.startsWith('node:') || builtinModules.includes(specifier);
  return `layer '${layer}' must not import ${builtIn ? 'a module of Node' : 'a package'} ('${specifier}')`;
}

/**
 * Checks one file.
 *
 * @param file path relative to the source directory, with forward slashes
 */
export function checkFile(file: string, source: string): Violation[] {
  const [layer, ...rest] = file.split('/');
  if (rest.length === 0) return [{ file, line: 1, message: 'lies in no layer' }];
  if (!Object.hasOwn(LAYERS, layer)) {
    return [{ file, line: 1, message: `layer '${layer}' is not known: give it a place in scripts/check-layers.ts` }];
  }
  const violations: Violation[] = [];
  for (const { specifier, line } of findImports(source)) {
    const message = checkImport(file, layer, specifier);
    if (message) violations.push({ file, line, message });
  }
  if (HOST_LAYERS.includes(layer) || isTest(file)) return violations;
  blank(source, true)
    .split('\n')
    .forEach((text, index) => {
      const found = HOST_GLOBALS.map((pattern) => pattern.exec(text)?.[0]).find((match) => match !== undefined);
      if (found) violations.push({ file, line: index + 1, message: `layer '${layer}' must not use '${found.trim()}'` });
    });
  return violations;
}

/** Checks all TypeScript files below a source directory, in the order of their names. */
export async function checkTree(directory: string): Promise<Violation[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();
  const violations = await Promise.all(
    files.map(async (f) => checkFile(f, await readFile(join(directory, f), 'utf8'))),
  );
  return violations.flat();
}

if (import.meta.main) {
  const violations = await checkTree(fileURLToPath(new URL('../src', import.meta.url)));
  for (const { file, line, message } of violations) console.log(`src/${file}:${line}: ${message}`);
  if (violations.length > 0) process.exitCode = 1;
}
