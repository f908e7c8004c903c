/** The `testudo` command. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { runCommand } from './run.ts';

const { version, description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
  description: string;
};

const program = new Command('testudo').description(description).version(version).addCommand(runCommand());
await program.parseAsync();
