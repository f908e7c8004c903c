import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chooseEngines, parseOptions } from './bench.ts';
import { parseEngineChoices } from './systems.ts';

describe('options', () => {
  test('defaults', () => {
    const options = parseOptions([]);
    assert.equal(options.rounds, 3);
    assert.equal(options.engines, undefined);
    assert.deepEqual([options.qemu, options.native, options.testudo, options.quick], [true, true, true, false]);
  });

  test('all of them', () => {
    const options = parseOptions(
      '--rounds 5 --only ^bench --quick --engines interpreter,auto --no-qemu --no-native --json x.json'.split(' '),
    );
    assert.equal(options.rounds, 5);
    assert.equal(options.only, '^bench');
    assert.deepEqual(options.engines, ['interpreter', 'auto']);
    assert.deepEqual([options.qemu, options.native, options.testudo, options.quick], [false, false, true, true]);
    assert.equal(options.json, 'x.json');
  });

  test('mistakes', () => {
    assert.throws(() => parseOptions(['--rounds', '0']), /--rounds must be a positive number/);
    assert.throws(() => parseOptions(['--frob']), /--frob/);
    assert.throws(() => parseOptions(['--engines', ',']), /at least one engine/);
    assert.throws(() => parseOptions(['stray']), /stray/);
  });
});

describe('engines', () => {
  const HELP = `Options:
  --kernel <file>    Linux bzImage
  --engine <kind>    how the processor runs (choices: "interpreter",
                     "regions", "auto", default: "auto")
  --cpu <model>      processor model (choices: "amd", "intel")
`;

  test('are read from the help of testudo run', () => {
    assert.deepEqual(parseEngineChoices(HELP), ['interpreter', 'regions', 'auto']);
    assert.equal(parseEngineChoices(HELP.replace(/ {2}--engine[\s\S]*(?= {2}--cpu)/, '')), undefined);
    assert.deepEqual(parseEngineChoices('  --engine <kind>  free text\n  --cpu <model> (choices: "amd")'), []);
  });

  test('without the option there is the interpreter only', () => {
    assert.deepEqual(chooseEngines(undefined, undefined), [undefined]);
    assert.deepEqual(chooseEngines(['interpreter'], undefined), [undefined]);
    assert.throws(() => chooseEngines(['auto'], undefined), /no engine 'auto'/);
  });

  test('with it, each wanted one once, and the default otherwise', () => {
    const available = ['interpreter', 'regions', 'auto'];
    assert.deepEqual(chooseEngines(undefined, available), ['auto']);
    assert.deepEqual(chooseEngines(undefined, ['interpreter']), ['interpreter']);
    assert.deepEqual(chooseEngines(['regions', 'interpreter', 'regions'], available), ['regions', 'interpreter']);
    assert.throws(() => chooseEngines(['jit'], available), /no engine 'jit'; there are interpreter/);
  });
});
