import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FunctionBuilder, type Local, ModuleBuilder, type Value } from './index.ts';
import { compile, emit } from './testing/harness.ts';

describe('values', () => {
  test('a tree is consumed once', () => {
    emit((f) => {
      const tree = f.op['i32.clz'](f.param(0));
      f.drop(f.op['i32.ctz'](tree));
      assert.throws(() => f.op['i32.ctz'](tree), /value consumed twice: use let\(\)/);
      assert.throws(() => f.let(tree), /value consumed twice: use let\(\)/);
      const both = f.op['i32.popcnt'](f.param(0));
      assert.throws(() => f.op['i32.add'](both, both), /value consumed twice/);
    });
  });

  test('constants, locals and variables are used freely', () => {
    emit((f) => {
      const local = f.let(f.op['i32.clz'](f.param(0)));
      const variable = f.variable('i32', local);
      for (const value of [local, variable, f.i32(7)]) {
        f.drop(f.op['i32.xor'](value, value));
        f.drop(value);
      }
      assert.equal(f.let(local), local);
      const seven = f.i32(7);
      assert.equal(f.let(seven), seven);
    });
  });

  test('operands have the types of the table', () => {
    emit((f) => {
      const i64 = f.param(1) as Local<'i64'> as Value as Value<'i32'>;
      assert.throws(() => f.op['i32.add'](f.i32(1), i64), /i32\.add: operand 2 is i64, expected i32/);
      assert.throws(() => f.op['i32.clz'](i64), /i32\.clz: operand 1 is i64, expected i32/);
      assert.throws(() => f.store('i32.store', f.i32(0), i64), /test: value of i32\.store is i64, expected i32/);
      assert.throws(() => f.load('i32.load', i64), /address of i32\.load is i64, expected i32/);
      assert.throws(() => f.if(i64, () => {}), /condition of if is i64, expected i32/);
      assert.throws(() => f.variable('i32', i64), /initial value of variable is i64, expected i32/);
      assert.throws(() => f.variable('i32').set(i64), /variable\.set is i64, expected i32/);
      assert.throws(() => f.select(f.i32(1), i64, f.i32(1)), /second value of select is i32, expected i64/);
      assert.throws(() => f.op['i32.add'](f.i32(1), 5 as unknown as Value<'i32'>), /operand 2 is not a value/);
      assert.throws(() => f.param(2), /test: no parameter 2/);
    });
  });

  test('lanes and offsets have their ranges', () => {
    emit((f) => {
      const vector = f.variable('v128');
      assert.throws(() => f.op['i8x16.extract_lane_u'](vector, 16), /lane 16, expected 0 to 15/);
      assert.throws(() => f.op['i64x2.replace_lane'](vector, f.param(1), -1), /lane -1, expected 0 to 1/);
      assert.throws(() => f.op['i8x16.shuffle'](vector, vector, [1, 2]), /2 lanes, expected 16/);
      assert.throws(() => f.op['i8x16.shuffle'](vector, vector, Array(16).fill(32)), /lane 32, expected 0 to 31/);
      assert.throws(() => f.load('i32.load', f.param(0), -1), /offset -1 out of range/);
      assert.throws(() => f.load('i32.load', f.param(0), 2 ** 32), /offset 4294967296 out of range/);
    });
  });

  test('a variable is read where it is consumed, let copies it', () => {
    const run = compile(['i32'], ['i32', 'i32'], (f) => {
      const variable = f.variable<'i32'>('i32', f.param(0));
      const before = f.let(variable.get());
      variable.set(f.op['i32.add'](variable, f.i32(5)));
      f.return(before, variable);
    });
    assert.deepEqual(run(37), [37, 42]);
  });

  test('a parameter may be a variable', () => {
    const run = compile(['i32'], ['i32'], (f) => {
      const count = f.paramVariable<'i32'>(0);
      assert.throws(() => f.param(0), /used both as a local and as a variable/);
      count.set(f.op['i32.mul'](count, count));
      f.return(count);
    });
    assert.equal(run(9), 81);
  });

  test('a local belongs to its function', () => {
    const module = new ModuleBuilder();
    let foreign: Local<'i32'> | undefined;
    module.function('first', ['i32'], [], (f) => {
      foreign = f.param(0);
    });
    module.function('second', ['i32'], [], (f) => {
      assert.throws(() => f.drop(foreign as Local), /second: local of another function/);
    });
  });

  test('select takes either value', () => {
    const run = compile(['i32', 'i64', 'i64'], ['i64'], (f) => f.return(f.select(f.param(0), f.param(1), f.param(2))));
    assert.equal(run(3, 10n, 20n), 10n);
    assert.equal(run(0, 10n, 20n), 20n);
    emit((f) => {
      const x = f.param<'i32'>(0);
      assert.equal(f.select(f.i32(1), x, f.i32(9)), x);
    });
  });
});

describe('locals', () => {
  /** How many locals a function declares beyond its parameters: the sum over the groups of its code entry. */
  function declaredLocals(body: (f: FunctionBuilder) => void): number {
    const module = new ModuleBuilder();
    module.function('f', ['i32'], [], body);
    const bytes = module.build();
    const CODE_SECTION = 10;
    let at = 8;
    while (bytes[at] !== CODE_SECTION) at += 2 + bytes[at + 1];
    const groups = bytes[at + 4];
    let count = 0;
    for (let i = 0; i < groups; i++) count += bytes[at + 5 + 2 * i];
    return count;
  }

  test('are declared as often as they are needed at one time', () => {
    const local = (f: FunctionBuilder) => f.let(f.op['i32.clz'](f.param(0)));
    assert.equal(
      declaredLocals((f) => f.drop(f.param(0))),
      0,
    );
    assert.equal(
      declaredLocals((f) => [local(f), local(f)]),
      2,
    );
    assert.equal(
      declaredLocals((f) => {
        for (let i = 0; i < 5; i++) f.release(local(f));
      }),
      1,
    );
    assert.equal(
      declaredLocals((f) => {
        for (let i = 0; i < 5; i++) f.scope(() => [local(f), local(f), f.variable('i32')]);
      }),
      3,
    );
    assert.equal(
      declaredLocals((f) => {
        f.release(f.variable('i64'));
        local(f);
      }),
      2,
    );
  });

  test('may be kept for the scope around their own', () => {
    emit((f) => {
      const kept: Local<'i32'>[] = [];
      f.scope(() => {
        f.scope(() => {
          kept.push(f.keep(f.let(f.op['i32.clz'](f.param(0)))));
          // what belongs to no scope here stays as it is
          assert.equal(f.keep(f.param(0)), f.param(0));
        });
        f.drop(kept[0]);
      });
      assert.throws(() => f.drop(kept[0]), /local used after its release/);
    });
  });

  test('are not used after their release', () => {
    emit((f) => {
      const local = f.let(f.op['i32.clz'](f.param(0)));
      const tree = f.op['i32.add'](local, f.param(0));
      const variable = f.variable('i32');
      f.release(local, variable, f.i32(1));
      assert.throws(() => f.drop(local), /local used after its release/);
      assert.throws(() => f.drop(tree), /local used after its release/);
      assert.throws(() => variable.set(f.i32(1)), /variable used after its release/);
      assert.throws(() => f.release(local), /released twice/);
      assert.throws(() => f.release(f.op['i32.clz'](f.param(0)) as Local), /not a local/);
    });
  });

  test('are not released in a loop that needs them again', () => {
    emit((f) => {
      const outside = f.let(f.op['i32.clz'](f.param(0)));
      const released = f.let(f.op['i32.clz'](f.param(0)));
      f.release(released);
      f.loop(() => {
        const inside = f.let(f.op['i32.clz'](outside));
        assert.throws(() => f.release(outside), /release: local from outside the loop/);
        f.loop(() => assert.throws(() => f.release(inside), /from outside the loop/));
        f.release(inside);
      });
      f.release(outside);
    });
  });

  test('a variable without value is zero, also where its local was used before', () => {
    const run = compile(['i32'], ['i32', 'i32'], (f) => {
      const fresh = f.variable('i32');
      f.scope(() => f.let(f.op['i32.clz'](f.param(0))));
      const recycled = f.variable('i32');
      f.return(fresh, recycled);
    });
    assert.deepEqual(run(1), [0, 0]);
  });

  test('a variable without value is zero in each round of a loop', () => {
    const run = compile(['i32'], ['i32'], (f) => {
      const left = f.variable<'i32'>('i32', f.param(0));
      const sum = f.variable('i32');
      f.loop((again) => {
        const inner = f.variable('i32');
        inner.set(f.op['i32.add'](inner, f.i32(1)));
        sum.set(f.op['i32.add'](sum, inner));
        left.set(f.op['i32.sub'](left, f.i32(1)));
        f.brIf(again, left);
      });
      f.return(sum);
    });
    assert.equal(run(6), 6);
  });

  test('a value just set and taken again becomes local.tee, once', () => {
    const run = compile(['i32'], ['i32'], (f) => {
      const x = f.let(f.op['i32.add'](f.param(0), f.i32(1)));
      f.return(f.op['i32.mul'](x, x));
    });
    assert.equal(run(6), 49);
    const loop = compile(['i32'], ['i32'], (f) => {
      const x = f.variable<'i32'>('i32', f.param(0));
      // The local.get after the start of the loop is reached from its end as well.
      f.loop((again) =>
        f.brIf(
          again,
          f.ifValue(
            'i32',
            f.op['i32.gt_s'](x, f.i32(3)),
            () => {
              x.set(f.op['i32.sub'](x, f.i32(1)));
              return x;
            },
            () => f.i32(0),
          ),
        ),
      );
      f.return(x);
    });
    assert.equal(loop(9), 3);
  });
});

describe('numbers told when the function is finished', () => {
  const LARGEST = 2 ** 20 - 1;

  for (const number of [0, 1, -1, 63, 64, -64, -65, 8191, 8192, -8193, LARGEST, -LARGEST - 1])
    test(`the constant ${number}`, () => {
      let told = NaN;
      const run = compile([], ['i64'], (f) => {
        f.return(f.laterI64(() => told));
        told = number;
      });
      assert.equal(run(), BigInt(number));
    });
  test('offsets of a store and a load', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    let offset = NaN;
    const run = compile(
      ['i32', 'i32'],
      ['i32'],
      (f) => {
        f.store('i32.store', f.param(0), f.param(1), () => offset);
        f.return(f.load('i32.load', f.param(0), () => offset - 1));
        offset = 0x1234;
      },
      memory,
    );
    assert.equal(run(8, 0x0102_0304), 0x0203_0400);
    assert.equal(new DataView(memory.buffer).getUint32(8 + 0x1234, true), 0x0102_0304);
  });
  test('what is never consumed is never asked for', () => {
    emit((f) => {
      f.laterI64(() => assert.fail());
      f.drop(f.laterI64(() => 5));
    });
  });
  test('their ranges', () => {
    for (const number of [LARGEST + 1, -LARGEST - 2, 0.5, NaN])
      assert.throws(() => emit((f) => f.drop(f.laterI64(() => number))), /test: .*, told at the end, is out of range/);
    for (const number of [LARGEST + 1, -1])
      assert.throws(() => emit((f) => f.drop(f.load('i32.load', f.param(0), () => number))), /is out of range/);
  });
});

describe('the order of memory accesses', () => {
  const hazard = /consumed after a later store, call or loop: use let\(\)/;

  test('a load is refused after a store, a call, a loop, or an arm that stores', () => {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { initial: 1 });
    const callee = module.importFunction('env', 'callee', [], []);
    const counter = module.global('i32', 0);
    const changes: ((f: FunctionBuilder) => void)[] = [
      (f) => f.store('i32.store', f.i32(0), f.i32(1)),
      (f) => f.storeLane('v128.store8_lane', f.i32(0), f.variable('v128'), 0),
      (f) => f.atomic('i32.atomic.load', f.i32(0), []),
      (f) => f.memoryFill(f.i32(0), f.i32(0), f.i32(1)),
      (f) => f.memoryGrow(f.i32(1)),
      (f) => f.call(callee, []),
      (f) => f.globalSet(counter, f.i32(1)),
      (f) => f.loop(() => {}),
      (f) => f.if(f.param(0), () => f.call(callee, [])),
      (f) =>
        f.if(
          f.param(0),
          () => {},
          () => f.call(callee, []),
        ),
    ];
    changes.forEach((change, i) => {
      module.function(`change ${i}`, ['i32'], [], (f) => {
        const reads = [f.load('i32.load', f.i32(0)), f.globalGet(counter), f.memorySize()];
        const lane = f.loadLane('v128.load8_lane', f.i32(0), f.variable('v128'), 0);
        const kept = f.let(f.load('i32.load', f.i32(0)));
        change(f);
        for (const read of [...reads, lane]) assert.throws(() => f.drop(read), hazard);
        assert.throws(
          () => f.let(f.op['i32.clz'](f.load('i32.load', f.op['i32.add'](reads[0] as Value<'i32'>, kept)))),
          /consumed twice|later store/,
        );
        f.drop(kept);
      });
    });
  });

  test('a load is accepted where nothing came between', () => {
    emit((f) => {
      const first = f.load('i32.load', f.i32(0));
      f.if(f.param(0), () => f.drop(f.param(0)));
      f.block(() => f.variable('i32', f.param(0)));
      f.drop(first);
      const second = f.load('i32.load', f.i32(0));
      // Only one arm runs.
      f.if(
        f.param(0),
        () => f.store('i32.store', f.i32(0), f.i32(1)),
        () => f.drop(second),
      );
      f.store('i32.store', f.i32(4), f.load('i32.load', f.i32(0)));
    });
  });

  test('an arm that leaves does not count, until its branch arrives', () => {
    emit((f) => {
      const read = () => f.load('i32.load', f.i32(0));
      const change = () => f.store('i32.store', f.i32(0), f.i32(1));
      const first = read();
      f.if(f.param(0), () => {
        change();
        f.return();
      });
      f.drop(first);
      const [second, third] = [read(), read()];
      f.block((label) => {
        f.if(f.param(0), () => {
          change();
          f.br(label);
        });
        f.drop(second);
      });
      assert.throws(() => f.drop(third), hazard);
      const [fourth, fifth] = [read(), read()];
      f.block((label) => {
        f.brIf(label, f.param(0));
        f.drop(read());
        f.block((inner) => {
          f.brIf(label, f.param(0));
          change();
          f.brTable([inner, label], inner, f.param(0));
        });
        assert.throws(() => f.drop(fourth), hazard);
        f.return();
      });
      assert.throws(() => f.drop(fifth), hazard);
    });
  });

  test('let keeps what was there before the store', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const view = new DataView(memory.buffer);
    view.setInt32(0, 11, true);
    view.setInt32(4, 22, true);
    compile(
      [],
      [],
      (f) => {
        const first = f.let(f.load('i32.load', f.i32(0)));
        f.store('i32.store', f.i32(0), f.load('i32.load', f.i32(4)));
        f.store('i32.store', f.i32(4), first);
      },
      memory,
    )();
    assert.deepEqual([view.getInt32(0, true), view.getInt32(4, true)], [22, 11]);
  });
});
