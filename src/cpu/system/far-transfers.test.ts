import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from '../context.ts';
import { readFlags, writeFlags } from '../flags.ts';
import { Attribute } from './descriptors.ts';
import { deliverException, deliverPendingFault } from './exceptions.ts';
import { farCall, farJump } from './far-transfers.ts';
import { CR0, FLAG } from './registers.ts';
import { farReturn, iret } from './returns.ts';
import { loadSegmentRaw } from './segments.ts';
import {
  type Bed,
  bed,
  CODE,
  DATA,
  dpl,
  enterLevel32,
  faultOf,
  GDT,
  IDT,
  longBed,
  protectedBed,
  Selector,
  setDescriptor,
  setGate,
  TSS,
  words16,
  words32,
  words64,
} from './testing.ts';

const CALL_GATE16 = 4;
const CALL_GATE32 = 12;
const BIG = 0xc00;

/** Fills the stack upwards from the pointer. */
function stack32(b: Bed, ...values: number[]): void {
  for (const [i, value] of values.entries()) b.memory.view.setUint32(Number(b.cpu.gpr[4]) + 4 * i, value, true);
}
function stack64(b: Bed, ...values: (number | bigint)[]): void {
  for (const [i, value] of values.entries())
    b.memory.view.setBigUint64(Number(b.cpu.gpr[4]) + 8 * i, BigInt(value), true);
}

describe('real-address mode', () => {
  test('far jump, call and return', () => {
    const b = bed();
    b.cpu.gpr[4] = 0x8000n;
    b.cpu.nextRip = 0xfff5n;
    farCall(b.cpu, 16, 0x1234, 0x10, 0);
    assert.deepEqual([b.cpu.segments[CS].base, b.cpu.nextRip], [0x12340n, 0x10n]);
    assert.deepEqual(words16(b, 0x7ffc, 2), [0xfff5, 0xf000]);
    farReturn(b.cpu, 16, 4);
    assert.deepEqual([b.cpu.segments[CS].selector, b.cpu.nextRip, b.cpu.gpr[4]], [0xf000, 0xfff5n, 0x8004n]);
    farJump(b.cpu, 32, 0x100, 0x20, 0);
    assert.equal(b.cpu.nextRip, 0x20n);
    assert.equal(
      faultOf(b, () => farJump(b.cpu, 32, 0x100, 0x10000, 0)),
      '#GP(0)',
    );
  });

  test('IRET takes flags but VM, VIF and VIP', () => {
    const b = bed();
    b.cpu.gpr[4] = 0x8000n;
    stack32(b, 0x10, 0x2000, 0xffff_ffff);
    iret(b.cpu, 32);
    assert.equal(readFlags(b.cpu), 0x0025_7fd7);
    assert.deepEqual([b.cpu.segments[CS].base, b.cpu.nextRip, b.cpu.gpr[4]], [0x20000n, 0x10n, 0x800cn]);
  });
});

describe('protected mode, direct', () => {
  const cases: [string, number, number, 0 | 3, string | undefined][] = [
    ['same level', CODE | BIG, 0, 0, undefined],
    ['RPL above CPL', CODE | BIG, 3, 0, '#GP(60)'],
    ['outer code', CODE | BIG | dpl(3), 0, 0, '#GP(60)'],
    ['inner code', CODE | BIG, 3, 3, '#GP(60)'],
    ['inner conforming code', CODE | BIG | Attribute.CONFORMING, 3, 3, undefined],
    ['outer conforming code', CODE | BIG | Attribute.CONFORMING | dpl(3), 0, 0, '#GP(60)'],
    ['data', DATA | BIG, 0, 0, '#GP(60)'],
    ['not present', (CODE & ~0x80) | BIG, 0, 0, '#NP(60)'],
    ['offset beyond the limit', CODE, 0, 0, '#GP(0)'],
  ];
  for (const [name, attributes, rpl, level, expected] of cases) {
    test(name, () => {
      const b = protectedBed(level);
      setDescriptor(b, Selector.FREE, 0, attributes & 0x800 ? 0xf_ffff : 0xfff, attributes);
      for (const transfer of [farJump, farCall]) {
        b.cpu.nextRip = 0x4002n;
        assert.equal(
          faultOf(b, () => transfer(b.cpu, 32, Selector.FREE | rpl, 0x5000, 0)),
          expected,
        );
        if (expected === undefined) {
          assert.deepEqual(
            [b.cpu.segments[CS].selector, b.cpu.cpl, b.cpu.nextRip],
            [Selector.FREE | level, level, 0x5000n],
          );
        } else assert.equal(b.cpu.gpr[4], 0x8000n);
      }
    });
  }

  test('null and missing selectors', () => {
    const b = protectedBed();
    assert.equal(
      faultOf(b, () => farJump(b.cpu, 32, 3, 0, 0)),
      '#GP(0)',
    );
    assert.equal(
      faultOf(b, () => farJump(b.cpu, 32, 0x1000, 0, 0)),
      '#GP(1000)',
    );
  });

  test('a call pushes with the operand size', () => {
    const b = protectedBed();
    farCall(b.cpu, 16, Selector.CODE16, 0x1234, 0);
    assert.deepEqual(words16(b, 0x7ffc, 2), [0x4002, Selector.CODE32]);
  });
});

describe('call gates', () => {
  test('to an inner level: new stack, copied parameters', () => {
    const b = protectedBed(3);
    setGate(b, GDT, Selector.FREE, CALL_GATE32, 3, Selector.CODE32, 0x5678, 2);
    stack32(b, 0x1111, 0x2222);
    farCall(b.cpu, 32, Selector.FREE | 3, 0xdead, 0);
    assert.deepEqual(words32(b, 0x9000 - 24, 6), [
      0x4002,
      Selector.USER_CODE32 | 3,
      0x1111,
      0x2222,
      0x8000,
      Selector.USER_DATA32 | 3,
    ]);
    assert.deepEqual(
      [b.cpu.cpl, b.cpu.nextRip, b.cpu.segments[SS].selector, b.cpu.gpr[4]],
      [0, 0x5678n, Selector.DATA32, 0x9000n - 24n],
    );

    // and back, releasing the parameters on both stacks
    loadSegmentRaw(b.cpu, DS, Selector.DATA32, 0n, 0xffff_ffff, DATA | BIG);
    farReturn(b.cpu, 32, 8);
    assert.deepEqual(
      [b.cpu.cpl, b.cpu.nextRip, b.cpu.segments[SS].selector, b.cpu.gpr[4]],
      [3, 0x4002n, Selector.USER_DATA32 | 3, 0x8008n],
    );
    assert.equal(b.cpu.segments[DS].selector, 0, 'level 0 data is taken away');
    assert.equal(b.cpu.segments[ES].selector, Selector.USER_DATA32 | 3);
  });

  test('16-bit gate', () => {
    const b = protectedBed(3);
    setGate(b, GDT, Selector.FREE, CALL_GATE16, 3, Selector.CODE16, 0x5678, 1);
    b.memory.view.setUint16(0x8000, 0x1111, true);
    farCall(b.cpu, 32, Selector.FREE, 0, 0);
    assert.deepEqual(words16(b, 0x9000 - 10, 5), [
      0x4002,
      Selector.USER_CODE32 | 3,
      0x1111,
      0x8000,
      Selector.USER_DATA32 | 3,
    ]);
  });

  test('same level pushes on the current stack; a jump may not change the level', () => {
    const b = protectedBed(0);
    setGate(b, GDT, Selector.FREE, CALL_GATE32, 0, Selector.CODE32, 0x5678, 2);
    farCall(b.cpu, 16, Selector.FREE, 0, 0);
    assert.deepEqual(words32(b, 0x7ff8, 2), [0x4002, Selector.CODE32]);
    farJump(b.cpu, 16, Selector.FREE, 0, 0);
    assert.equal(b.cpu.nextRip, 0x5678n);
    const user = protectedBed(3);
    setGate(user, GDT, Selector.FREE, CALL_GATE32, 3, Selector.CODE32, 0x5678, 0);
    assert.equal(
      faultOf(user, () => farJump(user.cpu, 32, Selector.FREE, 0, 0)),
      '#GP(8)',
    );
  });

  const cases: [string, string, (b: Bed) => void, number][] = [
    ['gate DPL below CPL', '#GP(60)', (b) => setGate(b, GDT, Selector.FREE, CALL_GATE32, 0, Selector.CODE32, 0), 0],
    ['gate not present', '#NP(60)', (b) => b.memory.view.setUint8(GDT + Selector.FREE + 5, 0x6c), 0],
    ['null target', '#GP(0)', (b) => setGate(b, GDT, Selector.FREE, CALL_GATE32, 3, 0, 0), 0],
    ['target not code', '#GP(10)', (b) => setGate(b, GDT, Selector.FREE, CALL_GATE32, 3, Selector.DATA32, 0), 0],
    [
      'target not present',
      '#NP(68)',
      (b) => {
        setDescriptor(b, Selector.FREE2, 0, 0xf_ffff, (CODE & ~0x80) | BIG);
        setGate(b, GDT, Selector.FREE, CALL_GATE32, 3, Selector.FREE2, 0);
      },
      0,
    ],
    ['bad stack', '#TS(8)', (b) => b.memory.view.setUint32(TSS + 8, Selector.CODE32, true), 0],
    [
      'no room on the stack',
      '#SS(68)',
      (b) => {
        setDescriptor(b, Selector.FREE2, 0, 4, DATA);
        b.memory.view.setUint32(TSS + 8, Selector.FREE2, true);
      },
      0,
    ],
  ];
  for (const [name, expected, change] of cases) {
    test(name, () => {
      const b = protectedBed(3);
      setGate(b, GDT, Selector.FREE, CALL_GATE32, 3, Selector.CODE32, 0x5678, 0);
      change(b);
      assert.equal(
        faultOf(b, () => farCall(b.cpu, 32, Selector.FREE, 0, 0)),
        expected,
      );
      assert.deepEqual([b.cpu.cpl, b.cpu.gpr[4]], [3, 0x8000n]);
    });
  }

  test('64-bit gate', () => {
    const b = longBed(3);
    setGate(b, GDT, Selector.FREE, CALL_GATE32, 3, Selector.CODE64, 0x1234_5678);
    b.memory.view.setUint32(GDT + Selector.FREE + 8, 0xffff_8000, true);
    farCall(b.cpu, 32, Selector.FREE, 0, 0);
    assert.equal(b.cpu.nextRip, 0xffff_8000_1234_5678n);
    assert.deepEqual(words64(b, 0x9000 - 32, 4), [
      0x4002n,
      BigInt(Selector.USER_CODE64 | 3),
      0x8000n,
      BigInt(Selector.USER_DATA32 | 3),
    ]);
    assert.deepEqual([b.cpu.segments[SS].selector, b.cpu.cpl], [0, 0]);
    farReturn(b.cpu, 64, 0);
    assert.deepEqual([b.cpu.cpl, b.cpu.nextRip, b.cpu.gpr[4]], [3, 0x4002n, 0x8000n]);
  });

  test('long mode knows no 16-bit gates, task gates or TSS switches, and checks the upper half', () => {
    const b = longBed(0);
    setGate(b, GDT, Selector.FREE, CALL_GATE16, 3, Selector.CODE64, 0);
    assert.equal(
      faultOf(b, () => farCall(b.cpu, 32, Selector.FREE, 0, 0)),
      '#GP(60)',
    );
    assert.equal(
      faultOf(b, () => farCall(b.cpu, 32, Selector.TSS, 0, 0)),
      '#GP(50)',
    );
    setGate(b, GDT, Selector.FREE, CALL_GATE32, 3, Selector.CODE64, 0);
    b.memory.view.setUint32(GDT + Selector.FREE + 12, 0x100, true);
    assert.equal(
      faultOf(b, () => farCall(b.cpu, 32, Selector.FREE, 0, 0)),
      '#GP(60)',
    );
  });
});

describe('IRET in protected mode', () => {
  test('to the same level', () => {
    const b = protectedBed(0);
    stack32(b, 0x5000, Selector.CODE32, 0xffff_ffff & ~(FLAG.VM | FLAG.NT));
    b.cpu.nmiBlocked = 1;
    iret(b.cpu, 32);
    assert.deepEqual([b.cpu.nextRip, b.cpu.gpr[4], b.cpu.nmiBlocked], [0x5000n, 0x800cn, 0]);
    assert.equal(readFlags(b.cpu), 0x003f_7fd7 & ~(FLAG.VM | FLAG.NT));
  });

  test('to level 3, and what level 3 may change of the flags', () => {
    const b = protectedBed(0);
    stack32(b, 0x5000, Selector.USER_CODE32 | 3, FLAG.IF, 0x7000, Selector.USER_DATA32 | 3);
    iret(b.cpu, 32);
    assert.deepEqual([b.cpu.cpl, b.cpu.nextRip, b.cpu.gpr[4], b.cpu.segments[DS].selector], [3, 0x5000n, 0x7000n, 0]);
    stack32(b, 0x6000, Selector.USER_CODE32 | 3, FLAG.IOPL | FLAG.CF | FLAG.AC | FLAG.VIP);
    iret(b.cpu, 32);
    assert.equal(readFlags(b.cpu), FLAG.IF | FLAG.CF | FLAG.AC | 2);
  });

  const cases: [string, string, number[]][] = [
    ['null CS', '#GP(0)', [0, 0, 2]],
    ['inward', '#GP(8)', [0, Selector.CODE32, 2]],
    ['data as code', '#GP(20)', [0, Selector.USER_DATA32 | 3, 2]],
  ];
  for (const [name, expected, frame] of cases) {
    test(name, () => {
      const b = protectedBed(3);
      stack32(b, ...frame);
      assert.equal(
        faultOf(b, () => iret(b.cpu, 32)),
        expected,
      );
      assert.equal(b.cpu.gpr[4], 0x8000n);
    });
  }

  const outward: [string, string, number][] = [
    ['null SS', '#GP(0)', 0],
    ['SS of another level', '#GP(10)', Selector.DATA32],
    ['SS not present', '#SS(68)', Selector.FREE2 | 3],
  ];
  for (const [name, expected, selector] of outward) {
    test(name, () => {
      const b = protectedBed(0);
      setDescriptor(b, Selector.FREE2, 0, 0xf_ffff, (DATA & ~0x80) | BIG | dpl(3));
      stack32(b, 0x5000, Selector.USER_CODE32 | 3, 2, 0x7000, selector);
      assert.equal(
        faultOf(b, () => iret(b.cpu, 32)),
        expected,
      );
      assert.equal(b.cpu.cpl, 0);
    });
  }

  test('into virtual-8086 mode and back by an interrupt', () => {
    const b = protectedBed(0);
    stack32(b, 0x1_0100, 0x1000, FLAG.VM | FLAG.IF | FLAG.IOPL, 0xfff0, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000);
    iret(b.cpu, 32);
    assert.deepEqual(
      [CS, SS, ES, DS, FS, GS].map((s) => b.cpu.segments[s].base),
      [0x10000n, 0x20000n, 0x30000n, 0x40000n, 0x50000n, 0x60000n],
    );
    assert.deepEqual([b.cpu.nextRip, b.cpu.gpr[4], b.cpu.cpl, b.cpu.stackMask], [0x100n, 0xfff0n, 3, 0xffffn]);
    assert.equal(b.cpu.segments[DS].writeEnd, 0x10000n);
    setGate(b, IDT, 0x40 * 8, 14, 0, Selector.CODE32, 0x777);
    b.cpu.rip = b.cpu.nextRip;
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.deepEqual(words32(b, b.cpu.gpr[4], 3), [0x100, 0x1000, FLAG.VM | FLAG.IF | FLAG.IOPL | 2]);
  });
});

describe('IRET in virtual-8086 mode', () => {
  function v86(iopl: number): Bed {
    const b = protectedBed(3);
    writeFlags(b.cpu, FLAG.VM | (iopl << 12));
    loadSegmentRaw(b.cpu, SS, 0, 0n, 0xffff, 0xf3);
    loadSegmentRaw(b.cpu, CS, 0, 0n, 0xffff, 0xf3);
    return b;
  }
  test('with IOPL 3 it changes IF and keeps IOPL', () => {
    const b = v86(3);
    b.memory.view.setUint16(0x8000, 0x10, true);
    b.memory.view.setUint16(0x8002, 0x200, true);
    b.memory.view.setUint16(0x8004, FLAG.IF, true);
    iret(b.cpu, 16);
    assert.equal(readFlags(b.cpu), FLAG.VM | FLAG.IF | FLAG.IOPL | 2);
  });
  test('without, it is #GP(0), or VIF under CR4.VME', () => {
    const b = v86(0);
    assert.equal(
      faultOf(b, () => iret(b.cpu, 16)),
      '#GP(0)',
    );
    b.cpu.cr4 = 1n;
    assert.equal(
      faultOf(b, () => iret(b.cpu, 32)),
      '#GP(0)',
    );
    b.memory.view.setUint16(0x8004, FLAG.IF, true);
    iret(b.cpu, 16);
    assert.equal(readFlags(b.cpu), FLAG.VM | FLAG.VIF | 2);
    b.memory.view.setUint16(Number(b.cpu.gpr[4]) + 4, FLAG.TF, true);
    assert.equal(
      faultOf(b, () => iret(b.cpu, 16)),
      '#GP(0)',
    );
  });
});

describe('IRET in long mode', () => {
  test('to level 3 with a stack', () => {
    const b = longBed(0);
    b.cpu.segments[FS].base = 0x1234_5678_9000n;
    stack64(b, 0x7fff_0000_1000n, Selector.USER_CODE64 | 3, FLAG.IF, 0x7fff_0000_2000n, Selector.USER_DATA32 | 3);
    iret(b.cpu, 64);
    assert.deepEqual([b.cpu.cpl, b.cpu.nextRip, b.cpu.gpr[4]], [3, 0x7fff_0000_1000n, 0x7fff_0000_2000n]);
    assert.equal(b.cpu.segments[FS].base, 0x1234_5678_9000n, 'the base of a null segment survives');
  });

  test('at the same level the stack is popped too, and SS may be null', () => {
    const b = longBed(0);
    stack64(b, 0x5000, Selector.CODE64, 0, 0x7000, 0);
    iret(b.cpu, 64);
    assert.deepEqual([b.cpu.gpr[4], b.cpu.segments[SS].selector], [0x7000n, 0]);
  });

  test('to compatibility mode', () => {
    const b = longBed(0);
    stack64(b, 0x5000, Selector.USER_CODE32 | 3, 0, 0x7000, Selector.USER_DATA32 | 3);
    iret(b.cpu, 64);
    assert.equal(b.cpu.stackMask, 0xffff_ffffn);
  });

  const cases: [string, string, (number | bigint)[]][] = [
    ['target not canonical', '#GP(0)', [0x8000_0000_0000n, Selector.CODE64, 0, 0x7000, 0]],
    ['null SS for level 3', '#GP(0)', [0x5000, Selector.USER_CODE64 | 3, 0, 0x7000, 3]],
    ['null SS for 32-bit code', '#GP(0)', [0x5000, Selector.CODE32, 0, 0x7000, 0]],
  ];
  for (const [name, expected, frame] of cases) {
    test(name, () => {
      const b = longBed(0);
      stack64(b, ...frame);
      assert.equal(
        faultOf(b, () => iret(b.cpu, 64)),
        expected,
      );
    });
  }

  test('with NT set there is no task to return to', () => {
    const b = longBed(0);
    b.cpu.rflags |= BigInt(FLAG.NT);
    assert.equal(
      faultOf(b, () => iret(b.cpu, 64)),
      '#GP(0)',
    );
  });

  test('far jump to 64-bit code from compatibility mode', () => {
    const b = longBed(0);
    loadSegmentRaw(b.cpu, CS, Selector.CODE32, 0n, 0xffff_ffff, CODE | BIG);
    farJump(b.cpu, 32, Selector.CODE64, 0x9000_0000 | 0, 0);
    assert.equal(b.cpu.nextRip, 0x9000_0000n);
    assert.equal(b.cpu.stackMask, 0xffff_ffff_ffff_ffffn);
    setDescriptor(b, Selector.FREE, 0, 0xf_ffff, CODE | 0xe00);
    assert.equal(
      faultOf(b, () => farJump(b.cpu, 64, Selector.FREE, 0, 0)),
      '#GP(60)',
      'L and D both set',
    );
  });
});

describe('task switches', () => {
  const NEW = 0x6000;
  /** A second task, 32-bit, in the GDT at FREE. */
  function taskBed(busy = false): Bed {
    const b = protectedBed(0);
    setDescriptor(b, Selector.FREE, NEW, 0x67, Attribute.P | (busy ? 11 : 9));
    const { view } = b.memory;
    view.setUint32(NEW + 32, 0x5555, true);
    view.setUint32(NEW + 36, FLAG.IF, true);
    for (let i = 0; i < 8; i++) view.setUint32(NEW + 40 + 4 * i, 0x100 * (i + 1), true);
    view.setUint32(NEW + 40 + 16, 0x7000, true);
    const selectors = [Selector.DATA32, Selector.CODE32, Selector.DATA32, Selector.DATA32, 0, 0];
    for (const [i, selector] of selectors.entries()) view.setUint32(NEW + 72 + 4 * i, selector, true);
    b.cpu.gpr[0] = 0xaaaan;
    return b;
  }
  const busyBit = (b: Bed, selector: number) => (b.memory.view.getUint8(GDT + selector + 5) >> 1) & 1;

  test('by a jump', () => {
    const b = taskBed();
    farJump(b.cpu, 32, Selector.FREE, 0, 0);
    assert.deepEqual(words32(b, TSS + 32, 3), [0x4002, 2, 0xaaaa]);
    assert.equal(words16(b, TSS + 76, 1)[0], Selector.CODE32);
    assert.deepEqual(
      [b.cpu.nextRip, b.cpu.gpr[0], b.cpu.gpr[4], readFlags(b.cpu)],
      [0x5555n, 0x100n, 0x7000n, FLAG.IF | 2],
    );
    assert.deepEqual(
      [b.cpu.segments[TR].selector, busyBit(b, Selector.FREE), busyBit(b, Selector.TSS)],
      [Selector.FREE, 1, 0],
    );
    assert.notEqual(b.cpu.cr0 & BigInt(CR0.TS), 0n);
  });

  test('by a call, and back with IRET', () => {
    const b = taskBed();
    farCall(b.cpu, 32, Selector.FREE, 0, 0);
    assert.equal(words16(b, NEW, 1)[0], Selector.TSS);
    assert.equal(readFlags(b.cpu), FLAG.IF | FLAG.NT | 2);
    assert.deepEqual([busyBit(b, Selector.FREE), busyBit(b, Selector.TSS)], [1, 1]);
    b.cpu.rip = 0x5555n;
    b.cpu.nextRip = 0x5556n;
    iret(b.cpu, 32);
    assert.deepEqual([b.cpu.nextRip, b.cpu.gpr[0], b.cpu.segments[TR].selector], [0x4002n, 0xaaaan, Selector.TSS]);
    assert.deepEqual([busyBit(b, Selector.FREE), busyBit(b, Selector.TSS)], [0, 1]);
    assert.equal(words32(b, NEW + 36, 1)[0] & FLAG.NT, 0, 'NT of the task left is cleared');
    assert.equal(words32(b, NEW + 32, 1)[0], 0x5556);
  });

  test('through a task gate by an exception, with its error code', () => {
    const b = taskBed();
    setGate(b, IDT, 10 * 8, 5, 0, Selector.FREE, 0);
    deliverException(b.cpu, 10, 0x28, 'fault');
    assert.deepEqual([b.cpu.rip, b.cpu.gpr[4], words32(b, 0x6ffc, 1)[0]], [0x5555n, 0x6ffcn, 0x28]);
    assert.equal(words32(b, TSS + 32, 1)[0], 0x4000);
    assert.equal(words16(b, NEW, 1)[0], Selector.TSS);
  });

  test('to a 16-bit task', () => {
    const b = taskBed();
    setDescriptor(b, Selector.FREE, NEW, 0x2b, Attribute.P | 1);
    const { view } = b.memory;
    for (let i = 0; i < 44; i += 2) view.setUint16(NEW + i, 0, true);
    view.setUint16(NEW + 14, 0x1234, true);
    view.setUint16(NEW + 26, 0x7000, true);
    for (const [i, selector] of [Selector.DATA16, Selector.CODE16, Selector.DATA16, Selector.DATA16].entries()) {
      view.setUint16(NEW + 34 + 2 * i, selector, true);
    }
    farJump(b.cpu, 32, Selector.FREE, 0, 0);
    assert.deepEqual([b.cpu.nextRip, b.cpu.gpr[4], b.cpu.stackMask], [0x1234n, 0x7000n, 0xffffn]);
  });

  test('a task with its own LDT', () => {
    const b = taskBed();
    setDescriptor(b, Selector.FREE2, 0x6800, 0xff, Attribute.P | 2);
    b.memory.view.setUint32(NEW + 96, Selector.FREE2, true);
    farJump(b.cpu, 32, Selector.FREE, 0, 0);
    assert.equal(b.cpu.segments[LDTR].base, 0x6800n);
  });

  const before: [string, string, (b: Bed) => void][] = [
    ['busy', '#GP(60)', (b) => setDescriptor(b, Selector.FREE, NEW, 0x67, Attribute.P | 11)],
    ['not present', '#NP(60)', (b) => setDescriptor(b, Selector.FREE, NEW, 0x67, 9)],
    ['too small', '#TS(60)', (b) => setDescriptor(b, Selector.FREE, NEW, 0x66, Attribute.P | 9)],
    ['page absent', '#PF(0)', (b) => b.memory.absent.add(NEW >> 12)],
  ];
  for (const [name, expected, change] of before) {
    test(`nothing changes: ${name}`, () => {
      const b = taskBed();
      change(b);
      assert.equal(
        faultOf(b, () => farJump(b.cpu, 32, Selector.FREE, 0, 0)),
        expected,
      );
      assert.deepEqual([b.cpu.segments[TR].selector, b.cpu.rip, busyBit(b, Selector.TSS)], [Selector.TSS, 0x4000n, 1]);
    });
  }

  const after: [string, string, (b: Bed) => void][] = [
    ['null CS', '#TS(0)', (b) => b.memory.view.setUint32(NEW + 76, 0, true)],
    ['data as code', '#TS(10)', (b) => b.memory.view.setUint32(NEW + 76, Selector.DATA32, true)],
    ['bad stack', '#TS(8)', (b) => b.memory.view.setUint32(NEW + 80, Selector.CODE32, true)],
    ['bad LDT', '#TS(10)', (b) => b.memory.view.setUint32(NEW + 96, Selector.DATA32, true)],
    ['DS beyond the table', '#TS(1000)', (b) => b.memory.view.setUint32(NEW + 84, 0x1000, true)],
    [
      'EIP beyond the limit',
      '#GP(0)',
      (b) => {
        setDescriptor(b, Selector.FREE2, 0, 0xfff, CODE);
        b.memory.view.setUint32(NEW + 76, Selector.FREE2, true);
      },
    ],
    ['debug trap', '#DB', (b) => b.memory.view.setUint16(NEW + 100, 1, true)],
  ];
  for (const [name, expected, change] of after) {
    test(`in the new task: ${name}`, () => {
      const b = taskBed();
      change(b);
      assert.equal(
        faultOf(b, () => farJump(b.cpu, 32, Selector.FREE, 0, 0)),
        expected,
      );
      assert.deepEqual([b.cpu.segments[TR].selector, b.cpu.rip], [Selector.FREE, 0x5555n]);
    });
  }

  test('a fault of the new task is delivered there', () => {
    const b = taskBed();
    b.memory.view.setUint32(NEW + 84, 0x1000, true);
    setGate(b, IDT, 10 * 8, 14, 0, Selector.CODE32, 0x777);
    try {
      farJump(b.cpu, 32, Selector.FREE, 0, 0);
      assert.fail('no fault');
    } catch {
      deliverPendingFault(b.cpu);
    }
    assert.deepEqual(words32(b, b.cpu.gpr[4], 2), [0x1000, 0x5555]);
  });
});

test('returning to level 3 makes null selectors zero, and keeps their bases', () => {
  const b = protectedBed(0);
  enterLevel32(b, 0);
  loadSegmentRaw(b.cpu, FS, 3, 0x1234n, 0xffff, 0);
  loadSegmentRaw(b.cpu, GS, 0, 0x5678n, 0xffff, 0);
  stack32(b, 0x5000, Selector.USER_CODE32 | 3, 0x7000, Selector.USER_DATA32 | 3);
  farReturn(b.cpu, 32, 0);
  assert.deepEqual(
    [FS, GS].map((s) => [b.cpu.segments[s].selector, b.cpu.segments[s].base]),
    [
      [0, 0x1234n],
      [0, 0x5678n],
    ],
  );
});

test('returning to level 3 keeps what level 3 may use', () => {
  const b = protectedBed(0);
  enterLevel32(b, 0);
  loadSegmentRaw(b.cpu, FS, Selector.CONFORMING32, 0n, 0xffff_ffff, CODE | BIG | Attribute.CONFORMING);
  loadSegmentRaw(b.cpu, GS, Selector.USER_DATA32, 0n, 0xffff_ffff, DATA | BIG | dpl(3));
  stack32(b, 0x5000, Selector.USER_CODE32 | 3, 0x7000, Selector.USER_DATA32 | 3);
  farReturn(b.cpu, 32, 0);
  assert.deepEqual(
    [DS, ES, FS, GS].map((s) => b.cpu.segments[s].selector),
    [0, 0, Selector.CONFORMING32, Selector.USER_DATA32],
  );
});
