/** The command as users see it: every test starts it as a process of its own. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testKernel } from '../machine/testing.ts';

const COMMAND = fileURLToPath(new URL('../../bin/testudo.js', import.meta.url));
const MANIFEST = fileURLToPath(new URL('../../package.json', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'testudo-cli-'));
after(() => rmSync(directory, { recursive: true }));

function file(name: string, contents: Uint8Array | string): string {
  const path = join(directory, name);
  writeFileSync(path, contents);
  return path;
}

const POWER_OFF = `
  mov dx, PM1_CONTROL
  mov ax, SLEEP_S5
  out dx, ax
  off: jmp off`;
/** Says something and powers off. */
const HELLO = file(
  'hello',
  testKernel(`mov esi, text\ncall print\n${POWER_OFF}\ntext: ascii "hello, world"\ndb 10, 0`),
);
/** Answers every byte with its successor; a dot ends it with exit value 5. */
const ECHO = file(
  'echo',
  testKernel(`
    next: mov dx, 0x3fd
    wait: in al, dx
    test al, 1
    jz wait
    mov dx, COM1
    in al, dx
    cmp al, '.'
    je finished
    inc al
    out dx, al
    jmp next
    finished: mov eax, 5
    out DEBUG_EXIT, eax
    end: jmp end`),
);
/** Says that it runs, and then nothing more. */
const FOREVER = file(
  'forever',
  testKernel('mov esi, text\ncall print\nagain: jmp again\ntext: ascii "running"\ndb 10, 0'),
);
const RESET = file('reset', testKernel('mov al, 6\nmov dx, RESET_CONTROL\nout dx, al\nagain: jmp again'));
/** Prints 256 KiB. */
const TALKATIVE = file(
  'talkative',
  testKernel(`mov ecx, 0x40000\nmov dx, COM1\nmov al, 'x'\nmore: out dx, al\nloop more\n${POWER_OFF}`),
);

type Running = ChildProcessByStdio<Writable, Readable, Readable>;

interface Result {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

function start(...options: string[]): Running {
  return spawn(process.execPath, [COMMAND, ...options], { stdio: ['pipe', 'pipe', 'pipe'] });
}

async function finish(child: Running): Promise<Result> {
  const status = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await status, output, errors };
}

/** Runs to the end with `input` on standard input, which is closed behind it. */
function command(options: readonly string[], input = ''): Promise<Result> {
  const child = start(...options);
  child.stdin.on('error', () => {}); // it may end before it has read everything
  child.stdin.end(input);
  return finish(child);
}

const run = (kernel: string, ...options: string[]) => command(['run', '--kernel', kernel, ...options]);

describe('a run', { concurrency: 2 }, () => {
  test('shows what the guest prints and ends with its power-off', async () => {
    assert.deepEqual(await run(HELLO), { status: 0, output: 'hello, world\n', errors: '' });
  });
  test('loses no output', async () => {
    const { status, output } = await run(TALKATIVE);
    assert.equal(status, 0);
    assert.equal(output, 'x'.repeat(0x40000));
  });
  test('takes input from a pipe, escape keys included, and gives the status of the debug-exit port', async () => {
    const { status, output } = await command(['run', '--kernel', ECHO], '\x01xyz.');
    assert.equal(output, '\x02yz{');
    assert.equal(status, 11);
  });
  test('goes on when its input ends', async () => {
    const { status } = await run(HELLO, '--clock', 'virtual');
    assert.equal(status, 0);
  });
  test('ends although its input does not', async () => {
    const child = start('run', '--kernel', HELLO);
    const { status, output } = await finish(child);
    child.stdin.destroy();
    assert.deepEqual({ status, output }, { status: 0, output: 'hello, world\n' });
  });
  test('ends when nobody reads its output', async () => {
    const child = start('run', '--kernel', TALKATIVE);
    child.stdout.destroy();
    const [status, errors] = await Promise.all([
      new Promise((resolve) => child.on('exit', resolve)),
      text(child.stderr),
    ]);
    assert.deepEqual(
      { status, errors },
      { status: 1, errors: 'testudo: cannot write to standard output any more: broken pipe\n' },
    );
  });
  for (const [signal, expected] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const) {
    test(`ends on ${signal}`, async () => {
      const child = start('run', '--kernel', FOREVER);
      child.stdout.once('data', () => child.kill(signal));
      const { status, output } = await finish(child);
      assert.deepEqual({ status, output }, { status: expected, output: 'running\n' });
    });
  }
  test('ends with a reset where asked to', async () => {
    assert.deepEqual(await run(RESET, '--no-reboot'), {
      status: 0,
      output: '',
      errors: 'testudo: ended by a reset: reset by the guest\n',
    });
  });
  test('writes serial ports to files, and nothing to standard output', async () => {
    const path = join(directory, 'serial');
    assert.deepEqual(await run(HELLO, '--serial', `file:${path}`, '--serial', 'none'), {
      status: 0,
      output: '',
      errors: '',
    });
    assert.equal(readFileSync(path, 'utf8'), 'hello, world\n');
  });
  test('has a virtio console beside the serial port, or in its place', async () => {
    const path = join(directory, 'console');
    const beside = await run(HELLO, '--virtio-console', `file:${path}`);
    assert.deepEqual(beside, { status: 0, output: 'hello, world\n', errors: '' });
    assert.equal(readFileSync(path, 'utf8'), '');
    const inItsPlace = await run(HELLO, '--virtio-console', 'stdio');
    assert.deepEqual(inItsPlace, { status: 0, output: '', errors: '' });
  });
  test('takes disks and a RAM disk', async () => {
    const disk = file('disk', new Uint8Array(4096));
    const { status, errors } = await run(
      HELLO,
      '--disk',
      disk,
      '--disk',
      `${file('other', new Uint8Array(512))},readonly`,
      '--initrd',
      disk,
    );
    assert.deepEqual({ status, errors }, { status: 0, errors: '' });
  });
  test('logs what it is asked to', async () => {
    const PROBE = file('probe', testKernel(`mov dx, 0x1234\nin al, dx\n${POWER_OFF}`));
    assert.match((await run(PROBE)).errors, /^testudo: unimplemented: .*0x1234.*\n$/);
    assert.equal((await run(PROBE, '--log', 'none')).errors, '');
    assert.equal((await run(PROBE, '--log', 'svm,device')).errors, '');
  });
  test('repeats itself with the virtual clock, down to the last bit of memory', async () => {
    const hash = async () => {
      const { status, errors } = await run(HELLO, '--clock', 'virtual', '--stats');
      assert.equal(status, 0);
      assert.match(errors, /^testudo: instructions retired +\d+$/m);
      return /^testudo: memory hash +([0-9a-f]{16})$/m.exec(errors)?.[1];
    };
    const first = await hash();
    assert.ok(first);
    assert.equal(await hash(), first);
  });
});

describe('mistakes get one line', { concurrency: 2 }, () => {
  const SECTOR = file('sector', new Uint8Array(512));
  const WITH_KERNEL = ['--kernel', HELLO];
  const MISTAKES: readonly (readonly [what: string, options: readonly string[], status: number, message: RegExp])[] = [
    ['no kernel', [], 2, /required option '--kernel <file>' not specified/],
    ['an unknown option', [...WITH_KERNEL, '--frob'], 2, /unknown option '--frob'/],
    ['an argument too many', [...WITH_KERNEL, 'frob'], 2, /too many arguments/],
    ['a size that is none', [...WITH_KERNEL, '--memory', 'big'], 2, /A size looks like 512M or 1G/],
    ['too little memory', [...WITH_KERNEL, '--memory', '1M'], 2, /at least 2M/],
    ['too much memory', [...WITH_KERNEL, '--memory', '64G'], 1, /give the machine less memory/],
    ['an unknown processor', [...WITH_KERNEL, '--cpu', 'z80'], 2, /Allowed choices are amd/],
    ['an unknown clock', [...WITH_KERNEL, '--clock', 'sun'], 2, /Allowed choices are real, virtual/],
    ['an unknown log topic', [...WITH_KERNEL, '--log', 'exit,frob'], 2, /Topics are unimplemented, /],
    [
      'a kernel that is not there',
      ['--kernel', '/nowhere/kernel'],
      1,
      /cannot read kernel '\/nowhere\/kernel': no such file or directory/,
    ],
    ['a kernel that is a directory', ['--kernel', directory], 1, /illegal operation on a directory/],
    ['a kernel that is none', ['--kernel', MANIFEST], 1, /kernel is not a Linux bzImage/],
    [
      'a RAM disk that is not there',
      [...WITH_KERNEL, '--initrd', '/nowhere/initrd'],
      1,
      /cannot read initrd '\/nowhere\/initrd'/,
    ],
    [
      'a RAM disk that does not fit',
      [...WITH_KERNEL, '--memory', '2M', '--initrd', file('large', new Uint8Array(2 ** 21))],
      1,
      /more memory/,
    ],
    [
      'a disk that is not there',
      [...WITH_KERNEL, '--disk', '/nowhere/disk'],
      1,
      /cannot use disk image '\/nowhere\/disk': no such file or directory/,
    ],
    ['a disk that is a directory', [...WITH_KERNEL, '--disk', `${directory},readonly`], 1, /it is not a regular file/],
    [
      'a disk of half a sector',
      [...WITH_KERNEL, '--disk', file('odd', new Uint8Array(256))],
      1,
      /256 bytes is not a multiple of 512/,
    ],
    [
      'the same disk twice',
      [...WITH_KERNEL, '--disk', SECTOR, '--disk', SECTOR],
      1,
      /it is used for another disk already/,
    ],
    ['a serial port to nowhere', [...WITH_KERNEL, '--serial', 'tcp:1'], 1, /must be stdio, file:PATH or none/],
    ['a serial port to a directory', [...WITH_KERNEL, '--serial', `file:${directory}`], 1, /cannot write/],
    ['standard output twice', [...WITH_KERNEL, '--serial', 'stdio', '--serial', 'stdio'], 1, /in use already/],
    ['a console to nowhere', [...WITH_KERNEL, '--virtio-console', 'tcp:1'], 1, /--virtio-console tcp:1: must be stdio/],
    [
      'too many serial ports',
      [...WITH_KERNEL, ...Array.from({ length: 5 }, () => ['--serial', 'none']).flat()],
      1,
      /has room for 4/,
    ],
  ];
  for (const [what, options, status, message] of MISTAKES) {
    test(what, async () => {
      const result = await command(['run', ...options]);
      assert.match(result.errors, message);
      assert.match(result.errors, /^testudo: [^\n]+\n$/);
      assert.equal(result.status, status);
      assert.equal(result.output, '');
    });
  }
  test('an unknown command', async () => {
    const { status, errors } = await command(['frob']);
    assert.match(errors, /^testudo: unknown command 'frob'\n$/);
    assert.equal(status, 2);
  });
});

describe('information', { concurrency: 2 }, () => {
  test('--version', async () => {
    const { version } = JSON.parse(readFileSync(MANIFEST, 'utf8'));
    assert.deepEqual(await command(['--version']), { status: 0, output: `${version}\n`, errors: '' });
  });
  test('--help', async () => {
    const { status, output, errors } = await command(['--help']);
    assert.match(output, /run .*Boot a kernel/);
    assert.deepEqual({ status, errors }, { status: 0, errors: '' });
  });
  test('help of a command', async () => {
    const { status, output } = await command(['run', '--help']);
    for (const part of ['--kernel', '--disk', 'Ctrl-A x', 'Exit status', 'guest-error'])
      assert.ok(output.includes(part), part);
    assert.equal(status, 0);
  });
});
