import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ModuleBuilder } from './index.ts';
import { instantiate } from './testing/harness.ts';

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

describe('golden bytes', () => {
  test('a sum', () => {
    const module = new ModuleBuilder();
    module.function('sum', ['i32', 'i32'], ['i32'], (f) => f.return(f.op['i32.add'](f.param(0), f.param(1))), {
      export: 's',
    });
    // biome-ignore format: one section per line
    assert.deepEqual([...module.build()], [
      ...HEADER,
      0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, // types: (i32, i32) -> i32
      0x03, 0x02, 0x01, 0x00, // functions
      0x07, 0x05, 0x01, 0x01, 0x73, 0x00, 0x00, // exports: 's'
      0x0a, 0x0b, 0x01, 0x09, 0x00, // code: no locals
      0x20, 0x00, 0x20, 0x01, 0x6a, 0x0f, 0x00, 0x0b, // local.get 0, local.get 1, i32.add, return, unreachable, end
    ]);
  });

  test('a loop over memory', () => {
    const module = new ModuleBuilder();
    module.importMemory('e', 'm', { initial: 1, maximum: 3, shared: true });
    module.function('clear', ['i32'], [], (f) => {
      const at = f.variable<'i32'>('i32', f.param(0));
      f.loop((again) => {
        const next = f.let(f.op['i32.sub'](at, f.i32(8)));
        f.store('i64.store', next, f.i64(-2), 200);
        at.set(next);
        f.brIf(again, next);
      });
    });
    // biome-ignore format: one statement per line
    assert.deepEqual([...module.build()], [
      ...HEADER,
      0x01, 0x05, 0x01, 0x60, 0x01, 0x7f, 0x00, // types: (i32) -> ()
      0x02, 0x09, 0x01, 0x01, 0x65, 0x01, 0x6d, 0x02, 0x03, 0x01, 0x03, // imports: memory 1 to 3, shared
      0x03, 0x02, 0x01, 0x00, // functions
      0x0a, 0x22, 0x01, 0x20, 0x01, 0x02, 0x7f, // code: two i32 locals
      0x20, 0x00, 0x21, 0x01, // at = parameter
      0x03, 0x40, // loop
      0x20, 0x01, 0x41, 0x08, 0x6b, // at - 8
      0x22, 0x02, 0x42, 0x7e, 0x37, 0x03, 0xc8, 0x01, // tee next, i64.const -2, i64.store align=8 offset=200
      0x20, 0x02, 0x21, 0x01, // at = next
      0x20, 0x02, 0x0d, 0x00, // br_if 0
      0x0b, 0x0b, // end of the loop and the function
    ]);
  });
});

describe('ModuleBuilder', () => {
  test('imports and exports', () => {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { initial: 1 });
    const table = module.importTable('env', 'table', { initial: 4 });
    const offset = module.importGlobal('env', 'offset', 'i32');
    const total = module.importGlobal('env', 'total', 'i64', true);
    const log = module.importFunction('env', 'log', ['i64'], []);
    const counter = module.global('i64', -5n, 'counter');
    module.global('i32', 0xffff_fffe, 'unsigned');
    const own = module.table(2, 3, 'own');
    const f = module.function('f', ['i32'], ['i64'], (f) => {
      f.globalSet(total, f.load('i64.load', f.op['i32.add'](f.param(0), f.globalGet(offset))));
      f.globalSet(counter, f.op['i64.add'](f.globalGet(counter), f.i64(1)));
      f.call(log, [f.globalGet(counter)]);
      assert.throws(() => f.globalSet(offset, f.i32(0)), /global 0 is not mutable/);
      f.return(f.globalGet(total));
    });
    module.exportFunction('one', f);
    module.exportFunction('two', f);
    module.element(3, [f], table);
    module.element(1, [f], own);

    const memory = new WebAssembly.Memory({ initial: 1 });
    new DataView(memory.buffer).setBigInt64(24, 99n, true);
    const imported = new WebAssembly.Table({ initial: 4, element: 'anyfunc' });
    const globals = {
      offset: new WebAssembly.Global({ value: 'i32' }, 16),
      total: new WebAssembly.Global({ value: 'i64', mutable: true }, 0n),
    };
    const seen: bigint[] = [];
    const exports = instantiate(module.build(), {
      memory,
      table: imported,
      ...globals,
      log: (n: bigint) => seen.push(n),
    });
    assert.equal(exports.one(8), 99n);
    assert.equal(exports.two(0), 0n);
    assert.deepEqual(seen, [-4n, -3n]);
    assert.equal(exports.counter.value, -3n);
    assert.equal(exports.unsigned.value, -2);
    assert.equal(globals.total.value, 0n);
    assert.equal(imported.get(3), exports.one);
    assert.equal(exports.own.get(1), exports.one);
    assert.equal(exports.own.get(0), null);
  });

  test('functions defined out of order keep their indices', () => {
    const module = new ModuleBuilder();
    const refs = Array.from({ length: 5 }, (_, i) => module.declare(`f${i}`, [], ['i32']));
    for (const i of [3, 0, 4, 1, 2]) module.define(refs[i], (f) => f.return(f.i32(i)));
    refs.forEach((ref, i) => {
      module.exportFunction(`f${i}`, ref);
    });
    const exports = instantiate(module.build());
    refs.forEach((_, i) => {
      assert.equal(exports[`f${i}`](), i);
    });
  });

  test('a function may be defined while another one is', () => {
    const module = new ModuleBuilder();
    module.function(
      'outer',
      [],
      ['i32'],
      (f) => {
        const before = f.let(f.op['i32.eqz'](f.variable('i32')));
        const inner = module.function('inner', ['i32'], ['i32'], (g) =>
          g.return(g.op['i32.add'](g.param(0), g.i32(40))),
        );
        f.return(f.op['i32.add'](f.call(inner, [before]), f.i32(1)));
      },
      { export: 'outer' },
    );
    assert.equal(instantiate(module.build()).outer(), 42);
  });

  test('names the functions for traps', () => {
    const module = new ModuleBuilder({ names: true });
    module.importFunction('env', 'first', [], []);
    module.function('the guilty one', [], [], (f) => f.unreachable(), { export: 'f' });
    const exports = instantiate(module.build(), { first: () => {} });
    assert.throws(
      () => exports.f(),
      (error: Error) => /the guilty one/.test(error.stack ?? ''),
    );
  });

  test('can be built again after more functions', () => {
    const module = new ModuleBuilder();
    module.function('a', [], ['i32'], (f) => f.return(f.i32(1)), { export: 'a' });
    const first = module.build();
    module.function('b', [], ['i32'], (f) => f.return(f.i32(2)), { export: 'b' });
    assert.equal(instantiate(first).a(), 1);
    assert.equal(instantiate(module.build()).b(), 2);
  });

  test('an empty module is valid', () => {
    assert.deepEqual([...new ModuleBuilder().build()], HEADER);
    assert.ok(WebAssembly.validate(new ModuleBuilder({ names: true }).build()));
  });

  test('refuses what would be no module', () => {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { initial: 1 });
    assert.throws(() => module.importMemory('env', 'memory', { initial: 1 }), /a module has one memory/);
    assert.throws(() => new ModuleBuilder().importMemory('e', 'm', { initial: 1, shared: true }), /needs a maximum/);
    const imported = module.importFunction('env', 'f', [], []);
    const declared = module.declare('later', [], []);
    assert.throws(() => module.importFunction('env', 'g', [], []), /importFunction after function/);
    assert.throws(() => module.build(), /later: declared but not defined/);
    assert.throws(() => module.define(imported, () => {}), /env\.f: not a declared function of this module/);
    module.define(declared, () => {});
    assert.throws(() => module.define(declared, () => {}), /later: defined twice/);
    assert.throws(() => new ModuleBuilder().define(declared, () => {}), /not a declared function of this module/);
    module.table(1);
    assert.throws(() => module.importTable('env', 't', { initial: 1 }), /importTable after table/);
    module.global('i32', 0);
    assert.throws(() => module.importGlobal('env', 'g', 'i32'), /importGlobal after global/);
  });

  test('a body that throws leaves the function undefined', () => {
    const module = new ModuleBuilder();
    const ref = module.declare('f', [], []);
    assert.throws(
      () =>
        module.define(ref, () => {
          throw new Error('no');
        }),
      /no/,
    );
    module.define(ref, () => {});
    assert.ok(WebAssembly.validate(module.build()));
  });

  test('expected branches are hinted before the code', () => {
    const module = new ModuleBuilder();
    module.importFunction('env', 'f', [], []);
    module.function('plain', ['i32'], [], (f) => f.if(f.param(0), () => f.drop(f.param(0))));
    module.function('hinted', ['i32'], ['i32'], (f) => {
      const value = f.variable('i64');
      f.if(f.param(0), () => value.set(f.i64(1)), undefined, false);
      f.block((label) => f.brIf(label, f.param(0), true));
      f.return(
        f.ifValue(
          'i32',
          f.param(0),
          () => f.i32(1),
          () => f.i32(2),
          true,
        ),
      );
    });
    const bytes = module.build();
    assert.ok(WebAssembly.validate(bytes));
    const name = 'metadata.code.branch_hint';
    const at = Buffer.from(bytes).indexOf(name) + name.length;
    const [IF, BR_IF] = [0x04, 0x0d];
    // one function, number 2, with three hints: place, size, value
    assert.deepEqual([...bytes.subarray(at, at + 3)], [1, 2, 3]);
    const hints = [0, 1, 2].map((i) => [...bytes.subarray(at + 3 + 3 * i, at + 6 + 3 * i)]);
    assert.deepEqual(
      hints.map(([, size, value]) => [size, value]),
      [
        [1, 0],
        [1, 1],
        [1, 1],
      ],
    );
    // places count from the locals: an i64 and an i32
    const locals = Buffer.from(bytes).lastIndexOf(Uint8Array.from([2, 1, 0x7e, 1, 0x7f]));
    assert.deepEqual(
      hints.map(([place]) => bytes[locals + place]),
      [IF, BR_IF, IF],
    );
  });

  test('two thousand functions of fifty operators', () => {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { initial: 1 });
    for (let i = 0; i < 2000; i++) {
      module.function(`f${i}`, ['i32', 'i64'], ['i64'], (f) => {
        let x = f.param<'i64'>(1);
        for (let k = 0; k < 10; k++) {
          const y = f.op['i64.xor'](f.load('i64.load', f.param(0), 8 * k), f.op['i64.rotl'](x, f.i64(k)));
          x = f.let(f.op['i64.add'](y, f.i64(i)));
          f.store('i64.store', f.param(0), x, 8 * k);
        }
        f.return(x);
      });
    }
    assert.ok(WebAssembly.validate(module.build()));
  });
});
