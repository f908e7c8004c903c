import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { blank, checkFile, checkTree, findImports, LAYERS } from './check-layers.ts';

const messages = (file: string, source: string) =>
  checkFile(file, source).map(({ line, message }) => `${line}: ${message}`);

describe('layers', () => {
  test('each layer knows only layers, and none is below itself, directly or not', () => {
    for (const [layer, below] of Object.entries(LAYERS)) {
      for (const other of below) {
        assert.ok(Object.hasOwn(LAYERS, other), other);
        assert.ok(!LAYERS[other].includes(layer), `${layer} and ${other}`);
        for (const deeper of LAYERS[other])
          assert.ok(below.includes(deeper), `${layer} sees ${other} but not ${deeper}`);
      }
    }
  });

  test('imports within a layer and downwards are fine', () => {
    const source =
      "import { a } from './a.ts';\nimport type { B } from '../../isa/b.ts';\nexport * from '../wide.ts';\n";
    assert.deepEqual(messages('cpu/interpreter/loop.ts', source), []);
  });

  test('imports upwards and sideways are not, whatever their form', () => {
    const form = "layer 'devices' must not import from 'cpu' ('../cpu/x.ts')";
    const source = [
      "import { a } from '../cpu/x.ts';",
      "import type { B } from '../cpu/x.ts';",
      "export * from '../cpu/x.ts';",
      "import '../cpu/x.ts';",
      "const c = await import('../cpu/x.ts');",
      'import {',
      '  d,',
      "} from '../cpu/x.ts';",
    ].join('\n');
    assert.deepEqual(
      messages('devices/a.ts', source),
      [1, 2, 3, 4, 5, 8].map((line) => `${line}: ${form}`),
    );
  });

  test('a comment or a string is no import', () => {
    const source = "// import '../cpu/x.ts';\n/* from\n'../cpu/y.ts' */\nconst s = \"from '../cpu/z.ts'\";\n";
    assert.deepEqual(messages('wasm/a.ts', source), []);
  });

  test('nothing leaves src/, but for tests', () => {
    const source = "import { helper } from '../../tests/helper.ts';\n";
    assert.equal(messages('cpu/a.ts', source).length, 1);
    assert.deepEqual(messages('cpu/a.test.ts', source), []);
  });

  test('tests keep to the layers too', () => {
    assert.equal(messages('wasm/a.test.ts', "import { a } from '../cpu/a.ts';").length, 1);
  });

  test('only tests import what is for tests', () => {
    for (const name of ['./test-bench.ts', './testing.ts', './testing/harness.ts']) {
      assert.equal(messages('devices/a.ts', `import { x } from '${name}';`).length, 1, name);
      assert.deepEqual(messages('devices/a.test.ts', `import { x } from '${name}';`), []);
      assert.deepEqual(messages(`devices/${name.slice(2)}`, "import assert from 'node:assert/strict';"), []);
    }
  });

  test("Node's modules and packages are for the host layers and for tests", () => {
    const source =
      "import { readFile } from 'node:fs';\nimport { join } from 'path';\nimport { Command } from 'commander';\n";
    assert.deepEqual(messages('machine/a.ts', source), [
      "1: layer 'machine' must not import a module of Node ('node:fs')",
      "2: layer 'machine' must not import a module of Node ('path')",
      "3: layer 'machine' must not import a package ('commander')",
    ]);
    for (const file of ['host/node/a.ts', 'cli/a.ts', 'machine/a.test.ts'])
      assert.deepEqual(messages(file, source), []);
  });

  test('host globals are for the host layers', () => {
    const uses = ['console.log(1)', 'process.exit()', 'Buffer.alloc(1)', 'Date.now()', 'new Date()', 'Math.random()'];
    for (const use of [...uses, 'setTimeout(f, 1)', 'performance.now()']) {
      assert.equal(messages('bus/a.ts', `const x = 1;\n${use};\n`).length, 1, use);
      assert.deepEqual(messages('cli/a.ts', `${use};\n`), []);
    }
  });

  test('words that only look like host globals are fine', () => {
    const source = [
      "const text = 'console.log';",
      '// process.exit',
      'new ArrayBuffer(1); new Date(0); this.processor.step(); clock.setTimeouts;',
    ].join('\n');
    assert.deepEqual(messages('bus/a.ts', source), []);
  });

  test('a file outside the layers, and an unknown layer', () => {
    assert.match(messages('index.ts', '')[0], /lies in no layer/);
    assert.match(messages('extra/a.ts', '')[0], /layer 'extra' is not known/);
  });

  test('a tree is searched to its leaves', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'testudo-layers-test-'));
    try {
      await mkdir(join(directory, 'wasm/deep'), { recursive: true });
      await writeFile(join(directory, 'wasm/deep/a.ts'), "import '../../isa/a.ts';\n");
      await writeFile(join(directory, 'wasm/notes.md'), "import '../isa/a.ts';\n");
      assert.deepEqual(
        (await checkTree(directory)).map(({ file, line }) => [file, line]),
        [['wasm/deep/a.ts', 1]],
      );
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

test('blanking keeps lines and columns', () => {
  assert.equal(blank('a /* b\nc */ d // e\n"f" g', true), 'a     \n     d     \n    g');
  assert.equal(blank('"f" // g', false), '"f"     ');
});

test('an import is reported at the line of its module', () => {
  assert.deepEqual(findImports("\nimport {\n  a,\n} from './a.ts';\n"), [{ specifier: './a.ts', line: 4 }]);
});
