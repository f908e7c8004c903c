import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Progress, parseArguments, progressPrinter } from './build.ts';

describe('arguments', () => {
  test('options', () => {
    assert.deepEqual(parseArguments([]), { help: false, force: false });
    assert.deepEqual(parseArguments(['--force']), { help: false, force: true });
    assert.deepEqual(parseArguments(['--help', '--force']), { help: true, force: true });
  });

  test('anything else is refused', () => {
    assert.throws(() => parseArguments(['--frob']), /unknown argument '--frob'/);
    assert.throws(() => parseArguments(['force']), /unknown argument 'force'/);
  });
});

describe('progress', () => {
  const steps: (Progress | undefined)[] = [
    { step: 'looking' },
    { step: 'downloading' },
    { step: 'downloading', percent: 0 },
    { step: 'downloading', percent: 50 },
    { step: 'unpacking' },
    undefined,
  ];
  const shown = (isTTY: boolean) => {
    let text = '';
    const print = progressPrinter({ isTTY, write: (part) => (text += part) });
    for (const step of steps) print(step);
    return text;
  };

  test('elsewhere than on a terminal: one line for each step', () => {
    assert.equal(shown(false), 'looking\ndownloading\nunpacking\n');
  });

  test('on a terminal the percentage rewrites its line', () => {
    assert.equal(shown(true), 'looking\ndownloading\rdownloading 0 %\rdownloading 50 %\nunpacking\n');
  });

  test('nothing to do: nothing is printed', () => {
    let text = '';
    progressPrinter({ write: (part) => (text += part) })(undefined);
    assert.equal(text, '');
  });
});
