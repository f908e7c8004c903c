#!/usr/bin/env node
// A checkout runs its TypeScript as it is; the published package has it compiled.
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `testudo: needs Node 24 or later, this is ${process.versions.node}; in a checkout use "npm exec -- testudo"`,
  );
  process.exit(1);
}
// the sources as they were compiled before, types stripped: saves half a second of a start
enableCompileCache();
const source = new URL('../src/cli/main.ts', import.meta.url);
await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href);
