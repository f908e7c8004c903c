import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LevelOutput, linesOf } from './levels.ts';
import { failureOf, runArguments } from './start.ts';

function output(labels: boolean, colours: boolean) {
  let shown = '';
  const levels = new LevelOutput((text) => (shown += text), { labels, colours });
  return { levels, shown: () => shown };
}

describe('labelled lines', () => {
  test('each level has its label', () => {
    const { levels, shown } = output(true, false);
    levels.message('starting');
    levels.console('boot');
    levels.console('ing\r\nL2| hello\r\n\r\nlast');
    levels.end();
    assert.equal(shown(), 'L0| starting\nL1| booting\nL2| hello\nL1| \nL1| last\n');
  });
  test('colours surround whole lines', () => {
    const { levels, shown } = output(true, true);
    levels.message('a');
    levels.console('L2| b\r\nc\n');
    assert.equal(shown(), '\x1b[36mL0| a\x1b[0m\n\x1b[32mL2| b\x1b[0m\nL1| c\n');
  });
});

describe('an interactive console', () => {
  test('is passed on as it comes', () => {
    const { levels, shown } = output(false, true);
    for (const byte of '# ls\r\nL2\x1b[1mx\r\n# ') levels.console(byte);
    assert.equal(shown(), '# ls\r\nL2\x1b[1mx\r\n# ');
  });
  test("L2's lines get their colour, wherever the pieces are cut", () => {
    const line = 'L2| hi\r\nnext';
    for (let cut = 0; cut <= line.length; cut++) {
      const { levels, shown } = output(false, true);
      levels.console(line.slice(0, cut));
      levels.console(line.slice(cut));
      const begun = cut > 0 && cut < 4 ? line.slice(0, cut) : '';
      assert.equal(shown(), `${begun}\r\x1b[32mL2| hi\r\x1b[0m\nnext`, `cut at ${cut}`);
    }
  });
  test("L0's messages begin on a new line", () => {
    const { levels, shown } = output(false, false);
    levels.console('# ');
    levels.message('look');
    levels.message('again');
    assert.equal(shown(), '# \nL0| look\nL0| again\n');
  });
});

describe('the outcome', () => {
  test("only L2's own line counts", () => {
    for (const labels of [true, false]) {
      const { levels } = output(labels, false);
      levels.console('TESTUDO-L2-READY 1\nL1: TESTUDO-L2-READY\n');
      assert.equal(levels.l2Ready, false);
      levels.console('L2| TESTUDO-L2-');
      levels.console('READY 1.25\r\n');
      assert.equal(levels.l2Ready, true);
    }
  });
  test('all of it must have worked', () => {
    const good = { status: 0, reset: false, l2Ready: true };
    assert.equal(failureOf(good), undefined);
    assert.match(failureOf({ ...good, status: 130 }) ?? '', /status 130/);
    assert.match(failureOf({ ...good, reset: true }) ?? '', /reset/);
    assert.match(failureOf({ ...good, l2Ready: false }) ?? '', /without having booted L2/);
  });
});

test('the command line', () => {
  const guests = { directory: '', kernel: 'k', initrdL1: 'i', initrdL2: '', monitor: '', kernelRelease: '' };
  const once = runArguments(guests, true, ['--stats']).join(' ');
  assert.match(
    once,
    /^run --kernel k --initrd i .*testudo\.demo=once .*--expose-virtualization-extensions .*--no-reboot --stats$/,
  );
  const shell = runArguments(guests, false, []).join(' ');
  assert.match(shell, /testudo\.demo /);
  assert.doesNotMatch(shell, /--no-reboot/);
});

test('lines of a stream', async () => {
  async function* pieces() {
    yield* ['a\nb', 'c\r', '\n', '\nd'];
  }
  const lines: string[] = [];
  for await (const line of linesOf(pieces())) lines.push(line);
  assert.deepEqual(lines, ['a', 'bc', '', 'd']);
});
