/** The `testudo` command. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { reportError } from './errors.ts';
import { runCommand } from './run.ts';

const { version, description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
  description: string;
};

// Whoever reads the messages may be gone before the last one.
process.stderr.on('error', () => {});

const program = new Command('testudo').description(description).version(version);
program.addCommand(
  runCommand((status) => {
    process.exitCode = status;
  }),
);
for (const command of [program, ...program.commands]) {
  command
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'testudo: ')) });
}
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error);
}
