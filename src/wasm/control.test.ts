import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FunctionBuilder, type FunctionRef, type Label, type Local, ModuleBuilder } from './index.ts';
import { compile, emit, instantiate } from './testing/harness.ts';

describe('control', () => {
  test('if and else', () => {
    const run = compile(['i32'], ['i32'], (f) => {
      const result = f.variable('i32');
      f.if(
        f.param(0),
        () => result.set(f.i32(1)),
        () => result.set(f.i32(2)),
      );
      f.if(f.op['i32.eq'](f.param(0), f.i32(7)), () => result.set(f.i32(3)));
      f.return(result);
    });
    assert.deepEqual([run(0), run(5), run(7)], [2, 1, 3]);
  });

  test('a constant condition emits one arm', () => {
    emit((f) => {
      let emitted = '';
      f.if(
        f.i32(1),
        () => {
          emitted += 'a';
        },
        () => {
          emitted += 'b';
        },
      );
      f.if(
        f.i32(0),
        () => {
          emitted += 'c';
        },
        () => {
          emitted += 'd';
        },
      );
      f.if(f.i32(0), () => {
        emitted += 'e';
      });
      f.ifValue(
        'i32',
        f.i32(0),
        () => {
          emitted += 'f';
          return f.i32(0);
        },
        () => {
          emitted += 'g';
          return f.i32(0);
        },
      );
      assert.equal(emitted, 'adg');
    });
  });

  test('ifValue evaluates one arm', () => {
    const run = compile(['i32'], ['i64'], (f) => {
      const value = f.ifValue(
        'i64',
        f.param(0),
        () => f.op['i64.div_u'](f.i64(100), f.op['i64.extend_i32_u'](f.param(0))),
        () => {
          const local = f.let(f.op['i64.extend_i32_u'](f.param(0)));
          return f.op['i64.sub'](local, f.i64(1));
        },
      );
      f.return(f.op['i64.add'](value, value));
    });
    assert.deepEqual([run(4), run(0)], [50n, -2n]);
  });

  test('branches find their labels from any depth', () => {
    const run = compile(['i32'], ['i32'], (f) => {
      const result = f.variable('i32');
      f.block((outer) => {
        f.block((inner) => {
          f.if(f.op['i32.eq'](f.param(0), f.i32(1)), () => f.br(inner));
          f.if(
            f.param(0),
            () => {
              f.block(() => f.brIf(outer, f.op['i32.eq'](f.param(0), f.i32(2))));
              result.set(f.i32(300));
            },
            () => {
              result.set(f.i32(400));
              f.br(outer);
            },
          );
          f.return(result);
        });
        result.set(f.i32(100));
      });
      f.return(f.op['i32.add'](result, f.i32(1)));
    });
    assert.deepEqual([run(0), run(1), run(2), run(3)], [401, 101, 1, 300]);
  });

  test('loops repeat until nothing branches back', () => {
    const gcd = compile(['i64', 'i64'], ['i64'], (f) => {
      const a = f.paramVariable<'i64'>(0);
      const b = f.paramVariable<'i64'>(1);
      f.block((done) =>
        f.loop((again) => {
          f.brIf(done, f.op['i64.eqz'](b));
          const rest = f.let(f.op['i64.rem_u'](a, b));
          a.set(b);
          b.set(rest);
          f.br(again);
        }),
      );
      f.return(a);
    });
    assert.equal(gcd(1071n, 462n), 21n);
    assert.equal(gcd(17n, 0n), 17n);
  });

  test('brTable', () => {
    const run = compile(['i32'], ['i32'], (f) => {
      const cases = 4;
      const nest = (labels: Label[]): void => {
        if (labels.length < cases) {
          f.block((label) => nest([...labels, label]));
          f.return(f.i32(100 + labels.length));
        } else {
          f.brTable([labels[3], labels[1]], labels[2], f.param(0));
        }
      };
      nest([]);
    });
    assert.deepEqual([run(0), run(1), run(2), run(-1)], [103, 101, 102, 102]);
  });

  test('constant conditions of brIf', () => {
    const run = compile([], ['i32'], (f) => {
      f.block((label) => {
        f.brIf(label, f.i32(0));
        f.return(f.i32(5));
      });
      f.loop((again) => f.brIf(again, f.i32(0)));
      f.unreachable();
    });
    assert.equal(run(), 5);
  });

  test('a label is used inside its block', () => {
    emit((f) => {
      let kept: Label | undefined;
      f.block((label) => {
        kept = label;
      });
      assert.throws(() => f.br(kept as Label), /branch to a label from outside its block/);
    });
  });

  test('a function with results must return', () => {
    const define = (body: (f: FunctionBuilder) => void) => compile(['i32'], ['i32'], body);
    const missing = /test: control reaches the end without a return/;
    assert.throws(() => define(() => {}), missing);
    assert.throws(() => define((f) => f.if(f.param(0), () => f.return(f.i32(1)))), missing);
    assert.throws(
      () =>
        define((f) =>
          f.block((label) => {
            f.brIf(label, f.param(0));
            f.unreachable();
          }),
        ),
      missing,
    );
    define((f) =>
      f.if(
        f.param(0),
        () => f.return(f.i32(1)),
        () => f.unreachable(),
      ));
    define((f) => f.loop((again) => f.br(again)));
    assert.throws(() => define((f) => f.return()), /test: return: 0 values, expected 1/);
  });

  test('unreachable traps', () => {
    assert.throws(
      compile([], [], (f) => f.unreachable()),
      { name: 'RuntimeError' },
    );
  });
});

describe('calls', () => {
  test('are made at once, with results in locals', () => {
    const module = new ModuleBuilder();
    const log: unknown[] = [];
    const note = module.importFunction('env', 'note', ['i32', 'i64'], ['i32']);
    const swap = module.function('swap', ['i32', 'i64'], ['i64', 'i32'], (f) => f.return(f.param(1), f.param(0)));
    module.function(
      'test',
      ['i32'],
      ['i64'],
      (f) => {
        const first = f.call(note, [f.param(0), f.i64(1)]);
        const second = f.call(note, [f.op['i32.add'](first, f.i32(1)), f.i64(2)]);
        f.call(note, [f.i32(0), f.i64(3)]);
        const [wide, narrow] = f.callMultiple(swap, [second, f.i64(1000)]) as [Local<'i64'>, Local<'i32'>];
        f.return(f.op['i64.add'](wide, f.op['i64.extend_i32_u'](narrow)));
      },
      { export: 'test' },
    );
    const exports = instantiate(module.build(), {
      note: (a: number, b: bigint) => {
        log.push([a, b]);
        return a * 2;
      },
    });
    assert.equal(exports.test(5), 1022n);
    assert.deepEqual(log, [
      [5, 1n],
      [11, 2n],
      [0, 3n],
    ]);
  });

  test('check their arguments', () => {
    const module = new ModuleBuilder();
    const callee = module.importFunction('env', 'callee', ['i32'], []);
    module.function('test', ['i64'], ['i32'], (f) => {
      assert.throws(() => f.call(callee, []), /test: env\.callee: 0 values, expected 1/);
      assert.throws(() => f.call(callee, [f.param(0)]), /env\.callee: value 1 is i64, expected i32/);
      assert.throws(() => f.returnCall(callee, [f.i32(0)]), /tail call returns \(\), expected \(i32\)/);
      f.unreachable();
    });
  });

  test('mutual recursion by tail calls needs no stack', () => {
    const module = new ModuleBuilder();
    const odd = module.declare('odd', ['i32'], ['i32']);
    const decide = (f: FunctionBuilder, result: number, other: FunctionRef) => {
      f.if(f.op['i32.eqz'](f.param(0)), () => f.return(f.i32(result)));
      f.returnCall(other, [f.op['i32.sub'](f.param(0), f.i32(1))]);
    };
    const even = module.function('even', ['i32'], ['i32'], (f) => decide(f, 1, odd), { export: 'even' });
    module.define(odd, (f) => decide(f, 0, even));
    const exports = instantiate(module.build());
    assert.equal(exports.even(1_000_000), 1);
    assert.equal(exports.even(1_000_001), 0);
  });

  test('through a table', () => {
    const module = new ModuleBuilder();
    const first = module.table(2);
    const second = module.table(8);
    const unary = module.signature(['i32'], ['i32']);
    const double = module.function('double', ['i32'], ['i32'], (f) => f.return(f.op['i32.shl'](f.param(0), f.i32(1))));
    const negate = module.function('negate', ['i32'], ['i32'], (f) => f.return(f.op['i32.sub'](f.i32(0), f.param(0))));
    module.element(0, [double, negate], first);
    module.element(5, [negate, double], second);
    module.function(
      'call',
      ['i32', 'i32'],
      ['i32'],
      (f) => {
        const inner = f.callIndirect(unary, first, f.param(0), [f.param(1)]);
        f.return(f.op['i32.add'](inner, f.i32(1)));
      },
      { export: 'call' },
    );
    module.function('jump', ['i32', 'i32'], ['i32'], (f) => f.returnCallIndirect(unary, f.param(0), [f.param(1)]), {
      export: 'jump',
    });
    module.function(
      'jump2',
      ['i32', 'i32'],
      ['i32'],
      (f) => f.returnCallIndirect(unary, f.param(0), [f.param(1)], second),
      { export: 'jump2' },
    );
    const exports = instantiate(module.build());
    assert.deepEqual([exports.call(0, 21), exports.call(1, 21)], [43, -20]);
    assert.deepEqual([exports.jump(0, 21), exports.jump(1, 21)], [42, -21]);
    assert.deepEqual([exports.jump2(6, 21), exports.jump2(5, 21)], [42, -21]);
    assert.throws(() => exports.jump2(0, 1), { name: 'RuntimeError' });
  });
});

describe('addresses', () => {
  for (const memory64 of [false, true]) {
    test(`the same arithmetic with ${memory64 ? 64 : 32} bits`, () => {
      const module = new ModuleBuilder({ memory64 });
      module.importMemory('env', 'memory', { initial: 1 });
      module.function(
        'test',
        ['i64', 'i32'],
        ['i32', 'i64'],
        (f) => {
          const { address } = f;
          const base = f.let(
            address.add(address.fromI64(f.param(0)), address.shl(address.fromI32(f.param(1)), address.constant(2))),
          );
          f.store('i32.store', base, f.i32(77), 4);
          f.return(f.load('i32.load', address.and(base, address.constant(-4)), 4), address.toI64(base));
        },
        { export: 'test' },
      );
      const limits = memory64 ? { initial: 1n, address: 'i64' } : { initial: 1 };
      const memory = new WebAssembly.Memory(limits as WebAssembly.MemoryDescriptor);
      assert.deepEqual(instantiate(module.build(), { memory }).test(64n, 3), [77, 76n]);
      assert.equal(new DataView(memory.buffer).getInt32(80, true), 77);
    });
  }

  test('offsets beyond 4 GiB with 64-bit addresses', () => {
    emit((f) => f.drop(f.load('i64.load', f.param(1), 2 ** 40 + 5)), true);
  });
});
