import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CS, DS, SS, TR } from '../context.ts';
import { writeFlags } from '../flags.ts';
import { longMode, type Machine, machine, P, Tables, U, W } from '../memory/testing.ts';
import { computeMode } from '../mode.ts';
import { cpuModel } from '../model.ts';
import type { DeliveredEvent } from './hooks.ts';
import { deliverLong } from './interrupt-gates.ts';
import { popf, pushf } from './interrupt-instructions.ts';
import { deliverLongShortcut, iretLongShortcut } from './long-mode-shortcuts.ts';
import { FLAG } from './registers.ts';
import { iret } from './returns.ts';
import { loadSegmentRaw } from './segments.ts';

const KERNEL = 0xffff_8000_0000_0000n;
const GDT = 0x1000;
const IDT = 0x2000;
const TSS = 0x4000;
const PAGES = 16;
const GATE = 14;
/** Selectors as Linux lays them out: kernel code and data, user 32-bit code, data, 64-bit code. */
const Selector = { CODE: 0x10, DATA: 0x18, USER_CODE32: 0x20, USER_DATA: 0x28, USER_CODE: 0x30, SMALL: 0x38 } as const;

function kernel(level: 0 | 3): Machine {
  const m = machine({ computeMode });
  const tables = new Tables(m, 0x40_0000);
  const root = tables.page();
  for (let i = 0; i < PAGES; i++) {
    tables.map(root, BigInt(i << 12), i << 12, P | W | U);
    tables.map(root, KERNEL + BigInt(i << 12), i << 12, P | W);
  }
  longMode(m, root);
  const { cpu } = m;
  cpu.model = cpuModel('amd');
  Object.assign(cpu, { apic: { pending: () => -1 } });
  const descriptor = (selector: number, attributes: number, limit = 0xf_ffff) => {
    m.dma.writeU32(GDT + selector, limit & 0xffff);
    m.dma.writeU32(GDT + selector + 4, (limit & 0xf_0000) | ((attributes & 0xff) << 8) | ((attributes & 0xf00) << 12));
  };
  descriptor(Selector.CODE, 0xa9b);
  descriptor(Selector.DATA, 0xc93);
  descriptor(Selector.USER_CODE32, 0xcfb);
  descriptor(Selector.USER_DATA, 0xcf3);
  descriptor(Selector.USER_CODE, 0xafb);
  descriptor(Selector.SMALL, 0x293, 0xfff);
  cpu.gdtrBase = KERNEL + BigInt(GDT);
  cpu.gdtrLimit = 0x3f;
  cpu.idtrBase = KERNEL + BigInt(IDT);
  cpu.idtrLimit = 0xfff;
  loadSegmentRaw(cpu, TR, 0x40, KERNEL + BigInt(TSS), 0x67, 0x8b);
  m.dma.writeU64(TSS + 4, KERNEL + 0x9008n);
  m.dma.writeU64(TSS + 36, KERNEL + 0xa000n);
  enter(m, level);
  writeFlags(cpu, FLAG.IF | FLAG.CF | FLAG.SF);
  cpu.rip = 0x5000n;
  cpu.nextRip = 0x5002n;
  // whatever the shortcuts need is in the TLB
  cpu.cpl = 0;
  cpu.translation.stateChanged();
  for (let i = 0; i < PAGES; i++) {
    cpu.linear.probe(KERNEL + BigInt(i << 12), 1, 'w');
    cpu.linear.probe(KERNEL + BigInt(i << 12), 1, 'r');
  }
  cpu.cpl = level;
  cpu.translation.stateChanged();
  return m;
}

function enter({ cpu }: Machine, level: 0 | 3): void {
  cpu.cpl = level;
  loadSegmentRaw(
    cpu,
    CS,
    level === 3 ? Selector.USER_CODE | 3 : Selector.CODE,
    0n,
    0xffff_ffff,
    level === 3 ? 0xafb : 0xa9b,
  );
  loadSegmentRaw(
    cpu,
    SS,
    level === 3 ? Selector.USER_DATA | 3 : Selector.DATA,
    0n,
    0xffff_ffff,
    level === 3 ? 0xcf3 : 0xc93,
  );
  loadSegmentRaw(cpu, DS, level === 3 ? Selector.USER_DATA | 3 : 0, 0n, 0xffff_ffff, level === 3 ? 0xcf3 : 0);
  cpu.gpr[4] = (level === 3 ? 0n : KERNEL) + 0x8810n;
  cpu.translation.stateChanged();
}

function gate(m: Machine, vector: number, type = GATE, ist = 0, selector: number = Selector.CODE): void {
  const at = IDT + 16 * vector;
  m.dma.writeU32(at, 0x5678 | (selector << 16));
  m.dma.writeU32(at + 4, 0x1234_0000 | ((0x80 | type) << 8) | ist);
  m.dma.writeU32(at + 8, 0xffff_8000);
}

/** Registers and memory afterwards; the engine's own fields (TLB bank, scratch) are left out. */
function outcome(m: Machine) {
  const { cpu } = m;
  return {
    gpr: [...cpu.gpr],
    rip: cpu.rip,
    nextRip: cpu.nextRip,
    flags: [cpu.rflags, cpu.flagResult === 0n],
    cpl: cpu.cpl,
    mode: cpu.mode,
    segments: cpu.segments.map((s) => [s.selector, s.attributes, s.base, s.readEnd, s.writeEnd]),
    stackMask: cpu.stackMask,
    memory: m.dma.read(0, PAGES << 12),
  };
}

const event = (vector: number, errorCode?: number, kind: DeliveredEvent['kind'] = 'fault'): DeliveredEvent => ({
  vector,
  errorCode,
  kind,
  instructionLength: 0,
});

describe('events', () => {
  const cases: [string, 0 | 3, DeliveredEvent, (m: Machine) => void][] = [
    ['page fault from user mode', 3, event(14, 6), (m) => gate(m, 14)],
    ['page fault in the kernel', 0, event(14, 2), (m) => gate(m, 14)],
    ['external interrupt', 3, event(0x40, undefined, 'external'), (m) => gate(m, 0x40)],
    ['trap gate', 0, event(3, undefined, 'softwareException'), (m) => gate(m, 3, GATE + 1)],
    ['interrupt stack table', 0, event(2, undefined, 'nmi'), (m) => gate(m, 2, GATE, 1)],
    [
      'from compatibility mode',
      3,
      event(0x40, undefined, 'external'),
      (m) => {
        gate(m, 0x40);
        loadSegmentRaw(m.cpu, CS, Selector.USER_CODE32 | 3, 0n, 0xffff_ffff, 0xcfb);
        m.cpu.translation.stateChanged();
      },
    ],
    ['debug trap', 0, event(1, undefined, 'trap'), (m) => gate(m, 1)],
  ];
  for (const [name, level, what, prepare] of cases) {
    test(name, () => {
      const short = kernel(level);
      prepare(short);
      assert.equal(deliverLongShortcut(short.cpu, what), true);
      const long = kernel(level);
      prepare(long);
      deliverLong(long.cpu, what);
      assert.deepEqual(outcome(short), outcome(long));
    });
  }

  const declined: [string, 0 | 3, DeliveredEvent, (m: Machine) => void][] = [
    [
      'gate beyond the IDT',
      0,
      event(14, 0),
      (m) => {
        m.cpu.idtrLimit = 0x10;
      },
    ],
    ['gate not present', 0, event(14, 0), () => {}],
    ['gate privilege', 3, event(0x80, undefined, 'software'), (m) => gate(m, 0x80)],
    ['data as code', 0, event(14, 0), (m) => gate(m, 14, GATE, 0, Selector.DATA)],
    ['user code', 0, event(14, 0), (m) => gate(m, 14, GATE, 0, Selector.USER_CODE)],
    [
      'stack not mapped',
      0,
      event(14, 0),
      (m) => {
        gate(m, 14);
        m.cpu.gpr[4] = KERNEL + 0x2_0000n;
      },
    ],
    [
      'stack not canonical',
      0,
      event(14, 0),
      (m) => {
        gate(m, 14);
        m.cpu.gpr[4] = 0x8000_0000_1000n;
      },
    ],
    [
      'TSS too small',
      3,
      event(14, 0),
      (m) => {
        gate(m, 14);
        m.cpu.segments[TR].limit = 10;
      },
    ],
  ];
  for (const [name, level, what, prepare] of declined) {
    test(`nothing changes: ${name}`, () => {
      const m = kernel(level);
      prepare(m);
      const before = outcome(m);
      assert.equal(deliverLongShortcut(m.cpu, what), false);
      assert.deepEqual(outcome(m), before);
    });
  }

  test('a frame across two pages goes the long way', () => {
    const m = kernel(0);
    gate(m, 14);
    m.cpu.gpr[4] = KERNEL + 0x8020n;
    assert.equal(deliverLongShortcut(m.cpu, event(14, 0)), false);
  });
});

describe('IRETQ', () => {
  const frame = (m: Machine, ...values: (number | bigint)[]) => {
    for (const [i, value] of values.entries()) m.dma.writeU64(0x8810 + 8 * i, BigInt.asUintN(64, BigInt(value)));
  };
  const frames: [string, (number | bigint)[]][] = [
    [
      'to user mode',
      [0x7fff_0000_1000n, Selector.USER_CODE | 3, 0x3f_ffff & ~FLAG.VM, 0x7fff_0000_2000n, Selector.USER_DATA | 3],
    ],
    ['to the kernel', [KERNEL + 0x1234n, Selector.CODE, FLAG.IF | FLAG.ZF, KERNEL + 0x8ff0n, Selector.DATA]],
    ['to the kernel with a null SS', [KERNEL, Selector.CODE, FLAG.OF, KERNEL + 0x8ff0n, 0]],
  ];
  for (const [name, values] of frames) {
    test(name, () => {
      const short = kernel(0);
      frame(short, ...values);
      assert.equal(iretLongShortcut(short.cpu), true);
      const long = kernel(0);
      frame(long, ...values);
      // a breakpoint on the stack keeps the shortcut away
      long.cpu.dr[0] = KERNEL + 0x8810n;
      long.cpu.dr7 = 0x3_0003n;
      long.cpu.translation.stateChanged();
      iret(long.cpu, 64);
      assert.deepEqual(outcome(short), outcome(long));
    });
  }

  const declined: [string, (number | bigint)[]][] = [
    ['32-bit code', [0x1000, Selector.USER_CODE32 | 3, 2, 0x2000, Selector.USER_DATA | 3]],
    ['target not canonical', [0x8000_0000_0000n, Selector.CODE, 2, 0x2000, 0]],
    ['null code', [0x1000, 0, 2, 0x2000, 0]],
    ['null stack for user mode', [0x1000, Selector.USER_CODE | 3, 2, 0x2000, 3]],
    ['stack of another level', [0x1000, Selector.USER_CODE | 3, 2, 0x2000, Selector.DATA]],
    ['a small stack segment', [0x1000, Selector.CODE, 2, 0x2000, Selector.SMALL]],
  ];
  for (const [name, values] of declined) {
    test(`nothing changes: ${name}`, () => {
      const m = kernel(0);
      frame(m, ...values);
      const before = outcome(m);
      assert.equal(iretLongShortcut(m.cpu), false);
      assert.deepEqual(outcome(m), before);
    });
  }

  test('from user mode and with NT set', () => {
    assert.equal(iretLongShortcut(kernel(3).cpu), false);
    const m = kernel(0);
    frame(m, ...frames[1][1]);
    m.cpu.rflags |= BigInt(FLAG.NT);
    assert.equal(iretLongShortcut(m.cpu), false);
  });
});

test('PUSHFQ and POPFQ in plain memory', () => {
  const m = kernel(3);
  writeFlags(m.cpu, FLAG.IF | FLAG.CF | FLAG.RF);
  pushf(m.cpu, 64);
  assert.equal(m.dma.readU64(0x8808), BigInt(FLAG.IF | FLAG.CF | FLAG.FIXED));
  m.dma.writeU64(0x8808, BigInt(FLAG.ZF | FLAG.ID | FLAG.IOPL));
  popf(m.cpu, 64);
  assert.equal(m.cpu.gpr[4], 0x8810n);
  assert.equal(m.cpu.rflags, BigInt(FLAG.IF | FLAG.ID | FLAG.FIXED), 'IF and IOPL are not for level 3');
  assert.equal(m.cpu.flagResult, 0n);
});
