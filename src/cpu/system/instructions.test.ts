import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { HELPERS } from '../../isa/helpers.ts';
import { INTERCEPT_EXIT_CODE, interceptBit } from '../../isa/intercepts.ts';
import { CS, DS, FS, GS, LDTR, SS, TR } from '../context.ts';
import { arithmeticFlags, readFlags, writeFlags } from '../flags.ts';
import { Activity, InterruptShadow } from '../state.ts';
import { arpl, larLsl, lgdt, lidt, lldt, ltr, sgdt, storeSystemRegister, verify } from './descriptor-instructions.ts';
import { hooks, NO_HOOKS, plugHooks } from './hooks.ts';
import { systemHelpers } from './index.ts';
import { clac, cli, hlt, monitor, mwait, popf, pushf, rsm, stac, sti } from './interrupt-instructions.ts';
import { pollInterrupts, wakeEventPending } from './interrupts.ts';
import { invlpg, invpcid } from './invalidation.ts';
import { CR0, CR4, EFER, FLAG } from './registers.ts';
import { resetCpu, startCpu } from './reset.ts';
import { enter, loadFarPointer, popSegment, pushSegment, rdfsbase, wrgsbase } from './segment-instructions.ts';
import { loadSegmentRaw } from './segments.ts';
import { syscall, sysenter, sysexit, sysret } from './syscall.ts';
import {
  type Bed,
  bed,
  CODE,
  DATA,
  dpl,
  faultOf,
  GDT,
  IDT,
  longBed,
  protectedBed,
  Selector,
  setDescriptor,
  setGate,
  words32,
  words64,
} from './testing.ts';

const flagsOf = (b: Bed) => readFlags(b.cpu) & ~FLAG.FIXED;
const zero = (b: Bed) => (arithmeticFlags(b.cpu) & FLAG.ZF) !== 0;

test('every system helper has an implementation, none is unknown', () => {
  const others = [
    'x87',
    'vmrun',
    'vmload',
    'vmsave',
    'vmmcall',
    'vmcall',
    'stgi',
    'clgi',
    'skinit',
    'invlpga',
    'intercepted',
  ];
  const system = Object.entries(HELPERS)
    .filter(([, declaration]) => declaration.kind === 'system')
    .map(([name]) => name);
  assert.deepEqual([...Object.keys(systemHelpers), ...others].sort(), system.sort());
});

describe('CLI, STI, PUSHF, POPF', () => {
  test('CLI and STI with I/O privilege', () => {
    const b = protectedBed(0);
    sti(b.cpu);
    assert.deepEqual([flagsOf(b), b.cpu.interruptShadow], [FLAG.IF, 1]);
    b.cpu.interruptShadow = 0;
    sti(b.cpu);
    assert.equal(b.cpu.interruptShadow, 0, 'no shadow where interrupts were enabled already');
    cli(b.cpu);
    assert.equal(flagsOf(b), 0);
  });

  test('without it they are #GP(0), or mean VIF', () => {
    const b = protectedBed(3);
    assert.equal(
      faultOf(b, () => cli(b.cpu)),
      '#GP(0)',
    );
    b.cpu.cr4 = BigInt(CR4.PVI);
    sti(b.cpu);
    assert.equal(flagsOf(b), FLAG.VIF);
    b.cpu.rflags |= BigInt(FLAG.VIP);
    assert.equal(
      faultOf(b, () => sti(b.cpu)),
      '#GP(0)',
    );
    cli(b.cpu);
    assert.equal(flagsOf(b), FLAG.VIP);
    const v86 = protectedBed(3);
    v86.cpu.rflags |= BigInt(FLAG.VM);
    v86.cpu.cr4 = BigInt(CR4.PVI);
    assert.equal(
      faultOf(v86, () => sti(v86.cpu)),
      '#GP(0)',
      'PVI is not for virtual-8086 mode',
    );
  });

  const popped: [string, () => Bed, number, number, number][] = [
    ['level 0', () => protectedBed(0), 32, 0xffff_ffff, (0x0025_7fd5 & ~(FLAG.RF | FLAG.FIXED)) | (FLAG.AC | FLAG.ID)],
    ['level 3', () => protectedBed(3), 32, 0xffff_ffff, (0x0024_4dd5 | FLAG.NT) & ~FLAG.IF],
    ['16 bits', () => protectedBed(0), 16, 0xffff, 0x7fd5],
    ['real-address mode', () => bed(), 16, 0xffff, 0x7fd5],
  ];
  for (const [name, make, bits, value, expected] of popped) {
    test(`POPF at ${name}`, () => {
      const b = make();
      b.cpu.gpr[4] = 0x8000n;
      b.memory.view.setUint32(0x8000, value, true);
      popf(b.cpu, bits);
      assert.equal(flagsOf(b).toString(16), expected.toString(16));
      assert.equal(b.cpu.gpr[4], 0x8000n + BigInt(bits / 8));
    });
  }

  test('PUSHF hides RF and VM', () => {
    const b = longBed();
    writeFlags(b.cpu, FLAG.RF | FLAG.IF | FLAG.ID);
    pushf(b.cpu, 64);
    assert.deepEqual(words64(b, 0x7ff8, 1), [BigInt(FLAG.IF | FLAG.ID | 2)]);
  });

  test('in virtual-8086 mode they need IOPL 3 or CR4.VME', () => {
    const b = protectedBed(3);
    b.cpu.rflags |= BigInt(FLAG.VM | FLAG.VIF);
    loadSegmentRaw(b.cpu, SS, 0, 0n, 0xffff, 0xf3);
    assert.equal(
      faultOf(b, () => pushf(b.cpu, 16)),
      '#GP(0)',
    );
    assert.equal(
      faultOf(b, () => popf(b.cpu, 16)),
      '#GP(0)',
    );
    b.cpu.cr4 = BigInt(CR4.VME);
    pushf(b.cpu, 16);
    assert.equal(b.memory.view.getUint16(0x7ffe, true), FLAG.IF | FLAG.IOPL | 2);
    assert.equal(
      faultOf(b, () => pushf(b.cpu, 32)),
      '#GP(0)',
    );
    b.memory.view.setUint16(0x7ffe, 0, true);
    popf(b.cpu, 16);
    assert.equal(flagsOf(b), FLAG.VM);
  });

  test('CLAC and STAC', () => {
    const b = protectedBed(0);
    stac(b.cpu);
    assert.equal(flagsOf(b), FLAG.AC);
    clac(b.cpu);
    assert.equal(flagsOf(b), 0);
    const user = protectedBed(3);
    assert.equal(
      faultOf(user, () => stac(user.cpu)),
      '#UD',
    );
  });
});

describe('descriptor tables', () => {
  test('LGDT, LIDT, SGDT by mode', () => {
    const b = protectedBed();
    b.memory.bytes.set([0x34, 0x12, 0x78, 0x56, 0x34, 0x12], 0x5000);
    lgdt(b.cpu, 0x5000, 0, 32);
    assert.deepEqual([b.cpu.gdtrLimit, b.cpu.gdtrBase], [0x1234, 0x1234_5678n]);
    lidt(b.cpu, 0x5000, 0, 16);
    assert.deepEqual([b.cpu.idtrLimit, b.cpu.idtrBase], [0x1234, 0x34_5678n]);
    sgdt(b.cpu, 0x5010, 0);
    assert.deepEqual([...b.memory.bytes.subarray(0x5010, 0x5017)], [0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 0]);
    const long = longBed();
    long.memory.view.setBigUint64(0x5002, 0xffff_8000_0000_1000n, true);
    lgdt(long.cpu, 0x5000, 0, 64);
    assert.equal(long.cpu.gdtrBase, 0xffff_8000_0000_1000n);
    long.memory.view.setBigUint64(0x5002, 0x8000_0000_1000n, true);
    assert.equal(
      faultOf(long, () => lgdt(long.cpu, 0x5000, 0, 64)),
      '#GP(0)',
    );
  });

  test('UMIP', () => {
    const b = protectedBed(3);
    assert.equal(
      faultOf(b, () => sgdt(b.cpu, 0x5000, 0)),
      undefined,
    );
    b.cpu.cr4 = BigInt(CR4.UMIP);
    assert.equal(
      faultOf(b, () => sgdt(b.cpu, 0x5000, 0)),
      '#GP(0)',
    );
    for (const kind of [0, 1, 2])
      assert.equal(
        faultOf(b, () => storeSystemRegister(b.cpu, kind, 0, 32, 0, 0)),
        '#GP(0)',
      );
  });

  test('SLDT, STR, SMSW', () => {
    const b = longBed();
    b.cpu.gpr[3] = 0xffff_ffff_ffff_ffffn;
    storeSystemRegister(b.cpu, 1, 3, 16, 0, 0);
    assert.equal(b.cpu.gpr[3], 0xffff_ffff_ffff_0000n | BigInt(Selector.TSS));
    storeSystemRegister(b.cpu, 2, 3, 64, 0, 0);
    assert.equal(b.cpu.gpr[3], b.cpu.cr0);
    storeSystemRegister(b.cpu, 0, -1, 16, 0x5000, 0);
    assert.equal(b.memory.view.getUint16(0x5000, true), 0);
  });

  test('LLDT', () => {
    const b = protectedBed();
    setDescriptor(b, Selector.FREE, 0x6800, 0xff, 0x82);
    lldt(b.cpu, Selector.FREE);
    assert.deepEqual([b.cpu.segments[LDTR].base, b.cpu.segments[LDTR].limit], [0x6800n, 0xff]);
    lldt(b.cpu, 0);
    assert.equal(b.cpu.segments[LDTR].attributes, 0);
    assert.equal(
      faultOf(b, () => lldt(b.cpu, Selector.DATA32)),
      '#GP(10)',
    );
    assert.equal(
      faultOf(b, () => lldt(b.cpu, Selector.FREE | 4)),
      '#GP(64)',
    );
    setDescriptor(b, Selector.FREE, 0x6800, 0xff, 0x02);
    assert.equal(
      faultOf(b, () => lldt(b.cpu, Selector.FREE)),
      '#NP(60)',
    );
  });

  test('LTR marks the task busy; in long mode the descriptor has 16 bytes', () => {
    const b = protectedBed();
    setDescriptor(b, Selector.FREE, 0x6000, 0x67, 0x89);
    ltr(b.cpu, Selector.FREE);
    assert.equal(b.memory.view.getUint8(GDT + Selector.FREE + 5), 0x8b);
    assert.equal(b.cpu.segments[TR].attributes & 0xf, 11);
    assert.equal(
      faultOf(b, () => ltr(b.cpu, Selector.FREE)),
      '#GP(60)',
      'busy',
    );
    assert.equal(
      faultOf(b, () => ltr(b.cpu, 0)),
      '#GP(0)',
    );
    const long = longBed();
    setDescriptor(long, Selector.FREE, 0x6000, 0x67, 0x89);
    long.memory.view.setUint32(GDT + Selector.FREE + 8, 0xffff_8000, true);
    ltr(long.cpu, Selector.FREE);
    assert.equal(long.cpu.segments[TR].base, 0xffff_8000_0000_6000n);
    setDescriptor(long, Selector.FREE, 0x6000, 0x67, 0x81);
    assert.equal(
      faultOf(long, () => ltr(long.cpu, Selector.FREE)),
      '#GP(60)',
      'no 16-bit TSS',
    );
  });

  test('LAR and LSL', () => {
    const b = protectedBed(3);
    larLsl(b.cpu, 0, 3, 32, Selector.USER_DATA32);
    assert.deepEqual([zero(b), b.cpu.gpr[3]], [true, 0x00c0_f200n]);
    larLsl(b.cpu, 1, 3, 32, Selector.USER_DATA32);
    assert.equal(b.cpu.gpr[3], 0xffff_ffffn);
    b.cpu.gpr[3] = 7n;
    for (const selector of [0, Selector.DATA32, 0x1000]) {
      larLsl(b.cpu, 0, 3, 32, selector);
      assert.deepEqual([zero(b), b.cpu.gpr[3]], [false, 7n]);
    }
    larLsl(b.cpu, 0, 3, 32, Selector.CONFORMING32 | 3);
    assert.equal(zero(b), true, 'conforming code is visible to all');
    setGate(b, GDT, Selector.FREE, 12, 3, Selector.CODE32, 0);
    larLsl(b.cpu, 0, 3, 32, Selector.FREE);
    assert.equal(zero(b), true);
    larLsl(b.cpu, 1, 3, 32, Selector.FREE);
    assert.equal(zero(b), false, 'a call gate has no limit');
    setGate(b, GDT, Selector.FREE, 14, 3, Selector.CODE32, 0);
    larLsl(b.cpu, 0, 3, 32, Selector.FREE);
    assert.equal(zero(b), false);
  });

  test('VERR and VERW', () => {
    const b = protectedBed(3);
    const results = (selector: number) =>
      [0, 1].map((kind) => {
        verify(b.cpu, kind, selector);
        return zero(b);
      });
    assert.deepEqual(results(Selector.USER_DATA32), [true, true]);
    assert.deepEqual(results(Selector.USER_CODE32), [true, false]);
    assert.deepEqual(results(Selector.DATA32), [false, false]);
    assert.deepEqual(results(Selector.TSS), [false, false]);
  });

  test('ARPL raises the privilege level of a selector', () => {
    const b = protectedBed(3);
    b.cpu.gpr[3] = 0xffff_0010n;
    arpl(b.cpu, 3, 0x23, 0, 0);
    assert.deepEqual([zero(b), b.cpu.gpr[3]], [true, 0xffff_0013n]);
    arpl(b.cpu, 3, 0x21, 0, 0);
    assert.equal(zero(b), false);
    b.memory.view.setUint16(0x5000, 0x20, true);
    arpl(b.cpu, -1, 2, 0x5000, 0);
    assert.equal(b.memory.view.getUint16(0x5000, true), 0x22);
  });
});

describe('segment instructions', () => {
  test('PUSH and POP', () => {
    const b = protectedBed();
    pushSegment(b.cpu, DS, 32);
    assert.deepEqual(words32(b, 0x7ffc, 1), [Selector.DATA32]);
    popSegment(b.cpu, FS, 32);
    assert.deepEqual([b.cpu.segments[FS].selector, b.cpu.gpr[4]], [Selector.DATA32, 0x8000n]);
    b.memory.view.setUint32(0x8000, 0x1000, true);
    assert.equal(
      faultOf(b, () => popSegment(b.cpu, FS, 32)),
      '#GP(1000)',
    );
    assert.equal(b.cpu.gpr[4], 0x8000n);
  });

  test('POP SS moves the old stack pointer and holds interrupts off', () => {
    const b = protectedBed();
    b.memory.view.setUint32(0x8000, Selector.DATA16, true);
    popSegment(b.cpu, SS, 32);
    assert.deepEqual(
      [b.cpu.gpr[4], b.cpu.stackMask, b.cpu.interruptShadow],
      [0x8004n, 0xffffn, InterruptShadow.MOV_SS],
    );
  });

  test('LFS loads both or nothing', () => {
    const b = protectedBed();
    loadFarPointer(b.cpu, FS, 3, 32, Selector.DATA32, 0x1234, 0);
    assert.deepEqual([b.cpu.gpr[3], b.cpu.segments[FS].selector], [0x1234n, Selector.DATA32]);
    assert.equal(
      faultOf(b, () => loadFarPointer(b.cpu, FS, 3, 32, 0x1000, 0x5678, 0)),
      '#GP(1000)',
    );
    assert.equal(b.cpu.gpr[3], 0x1234n);
  });

  test('ENTER builds nested frames', () => {
    const b = protectedBed();
    b.cpu.gpr[5] = 0x9000n;
    b.memory.view.setUint32(0x8ffc, 0x1111, true);
    b.memory.view.setUint32(0x8ff8, 0x2222, true);
    enter(b.cpu, 0x20, 3, 32);
    assert.deepEqual(words32(b, 0x7ff0, 4), [0x7ffc, 0x2222, 0x1111, 0x9000]);
    assert.deepEqual([b.cpu.gpr[5], b.cpu.gpr[4]], [0x7ffcn, 0x7ff0n - 0x20n]);
    const long = longBed();
    long.cpu.gpr[5] = 0x1234n;
    enter(long.cpu, 0x10, 0, 64);
    assert.deepEqual([long.cpu.gpr[5], long.cpu.gpr[4]], [0x7ff8n, 0x7fe8n]);
    long.memory.absent.add(7);
    assert.equal(
      faultOf(long, () => enter(long.cpu, 0x10, 0, 64)),
      '#PF(2)',
    );
  });

  test('FS and GS bases', () => {
    const b = longBed();
    assert.equal(
      faultOf(b, () => rdfsbase(b.cpu, 0, 64)),
      '#UD',
    );
    b.cpu.cr4 |= BigInt(CR4.FSGSBASE);
    b.cpu.gpr[3] = 0xffff_8000_1234_5678n;
    wrgsbase(b.cpu, 3, 64);
    assert.equal(b.cpu.segments[GS].base, 0xffff_8000_1234_5678n);
    b.cpu.gpr[3] = 0x8000_0000_0000n;
    assert.equal(
      faultOf(b, () => wrgsbase(b.cpu, 3, 64)),
      '#GP(0)',
    );
  });
});

describe('fast system calls', () => {
  function callBed(level: 0 | 3): Bed {
    const b = longBed(level);
    b.cpu.star = 0x0023_0010_0000_0000n;
    b.cpu.lstar = 0xffff_8000_0000_5000n;
    b.cpu.cstar = 0xffff_8000_0000_6000n;
    b.cpu.sfmask = BigInt(FLAG.IF | FLAG.TF);
    return b;
  }

  test('SYSCALL from 64-bit mode', () => {
    const b = callBed(3);
    writeFlags(b.cpu, FLAG.IF | FLAG.CF | FLAG.RF);
    syscall(b.cpu);
    const { cpu } = b;
    assert.deepEqual(
      [cpu.nextRip, cpu.gpr[1], cpu.gpr[11], cpu.cpl],
      [0xffff_8000_0000_5000n, 0x4002n, BigInt(FLAG.IF | FLAG.CF | 2), 0],
    );
    assert.equal(flagsOf(b), FLAG.CF);
    assert.deepEqual(
      [CS, SS].map((s) => [cpu.segments[s].selector, cpu.segments[s].attributes]),
      [
        [0x10, 0xa9b],
        [0x18, 0xc93],
      ],
    );
  });

  test('from compatibility mode through CSTAR; without EFER.SCE undefined', () => {
    const b = callBed(3);
    loadSegmentRaw(b.cpu, CS, Selector.USER_CODE32 | 3, 0n, 0xffff_ffff, CODE | 0xc00 | dpl(3));
    syscall(b.cpu);
    assert.equal(b.cpu.nextRip, 0xffff_8000_0000_6000n);
    const off = callBed(3);
    off.cpu.efer &= ~BigInt(EFER.SCE);
    assert.equal(
      faultOf(off, () => syscall(off.cpu)),
      '#UD',
    );
    assert.equal(
      faultOf(off, () => sysret(off.cpu, 64)),
      '#UD',
    );
  });

  test('SYSRET to both sizes', () => {
    const b = callBed(0);
    b.cpu.gpr[1] = 0x7fff_ffff_f000n;
    b.cpu.gpr[11] = 0xffff_ffffn;
    sysret(b.cpu, 64);
    const { cpu } = b;
    assert.deepEqual(
      [cpu.nextRip, cpu.cpl, cpu.segments[CS].selector, cpu.segments[SS].selector],
      [0x7fff_ffff_f000n, 3, 0x33, 0x2b],
    );
    assert.equal(readFlags(cpu), 0x003c_7fd7);
    const narrow = callBed(0);
    narrow.cpu.gpr[1] = 0x1_2345_6789n;
    sysret(narrow.cpu, 32);
    assert.deepEqual(
      [narrow.cpu.nextRip, narrow.cpu.segments[CS].selector, narrow.cpu.segments[CS].attributes],
      [0x2345_6789n, 0x23, 0xcfb],
    );
  });

  test('SYSRET at level 3', () => {
    const b = callBed(3);
    assert.equal(
      faultOf(b, () => sysret(b.cpu, 64)),
      '#GP(0)',
    );
  });

  test('SYSENTER and SYSEXIT are for legacy mode on AMD processors', () => {
    const b = protectedBed(3);
    b.cpu.sysenterCs = BigInt(Selector.CODE32);
    b.cpu.sysenterEsp = 0x9000n;
    b.cpu.sysenterEip = 0x5000n;
    writeFlags(b.cpu, FLAG.IF);
    sysenter(b.cpu);
    assert.deepEqual([b.cpu.nextRip, b.cpu.gpr[4], b.cpu.cpl, flagsOf(b)], [0x5000n, 0x9000n, 0, 0]);
    b.cpu.gpr[1] = 0x8000n;
    b.cpu.gpr[2] = 0x4002n;
    sysexit(b.cpu, 32);
    assert.deepEqual(
      [b.cpu.nextRip, b.cpu.gpr[4], b.cpu.cpl, b.cpu.segments[CS].selector],
      [0x4002n, 0x8000n, 3, 0x1b],
    );
    b.cpu.sysenterCs = 0n;
    assert.equal(
      faultOf(b, () => sysenter(b.cpu)),
      '#GP(0)',
    );
    const long = longBed(3);
    assert.equal(
      faultOf(long, () => sysenter(long.cpu)),
      '#UD',
    );
  });
});

describe('translations', () => {
  test('INVLPG and INVPCID', () => {
    const b = longBed();
    invlpg(b.cpu, 0x5000, 0);
    invlpg(b.cpu, 0, 0x8000);
    assert.deepEqual(b.translation.calls, ['page 5000'], 'an address that is not canonical has no translation');
    const descriptor = (pcid: bigint, linear: bigint, type = 0) => {
      b.memory.view.setBigUint64(0x5000, pcid, true);
      b.memory.view.setBigUint64(0x5008, linear, true);
      return faultOf(b, () => invpcid(b.cpu, type, 0, 0x5000, 0));
    };
    assert.equal(descriptor(0n, 0x6000n), undefined);
    assert.equal(descriptor(1n, 0x6000n), '#GP(0)', 'PCIDs are off');
    b.cpu.cr4 |= BigInt(CR4.PCIDE);
    assert.equal(descriptor(1n, 0x6000n), undefined);
    assert.equal(descriptor(0x1000n, 0x6000n), '#GP(0)');
    assert.equal(descriptor(0n, 0x8000_0000_0000n), '#GP(0)');
    assert.equal(descriptor(0n, 0x8000_0000_0000n, 3), undefined);
    assert.equal(descriptor(0n, 0n, 4), '#GP(0)');
    assert.deepEqual(b.translation.calls.slice(1, 3), ['pcid 0 0 6000', 'pcid 0 1 6000']);
  });
});

describe('activity', () => {
  test('HLT, MONITOR, MWAIT, RSM', () => {
    const b = protectedBed(0);
    hlt(b.cpu);
    assert.equal(b.cpu.activity, Activity.HALTED);
    b.cpu.gpr[1] = 1n;
    assert.equal(
      faultOf(b, () => monitor(b.cpu)),
      '#GP(0)',
    );
    assert.equal(
      faultOf(b, () => mwait(b.cpu)),
      undefined,
    );
    assert.equal(
      faultOf(b, () => rsm(b.cpu)),
      '#UD',
    );
    const user = protectedBed(3);
    assert.equal(
      faultOf(user, () => monitor(user.cpu)),
      '#UD',
    );
  });
});

describe('interrupts at instruction boundaries', () => {
  function waiting(): Bed {
    const b = protectedBed(0);
    for (const vector of [2, 0x30, 0x40]) setGate(b, IDT, vector * 8, 14, 0, Selector.CODE32, 0x1000 + vector);
    b.cpu.activity = Activity.HALTED;
    return b;
  }
  afterEach(() => plugHooks(NO_HOOKS));

  test('IF, the shadow and GIF hold them off', () => {
    const b = waiting();
    b.apic.vector = 0x40;
    assert.equal(pollInterrupts(b.cpu), false);
    assert.equal(wakeEventPending(b.cpu), false);
    b.cpu.rflags |= BigInt(FLAG.IF);
    b.cpu.interruptShadow = 1;
    assert.equal(pollInterrupts(b.cpu), false);
    b.cpu.interruptShadow = 0;
    b.cpu.gif = 0;
    assert.equal(pollInterrupts(b.cpu), false);
    b.cpu.gif = 1;
    assert.equal(wakeEventPending(b.cpu), true);
    assert.equal(pollInterrupts(b.cpu), true);
    assert.deepEqual([b.cpu.rip, b.cpu.activity, b.apic.vector], [0x1040n, Activity.RUNNING, -1]);
  });

  test('NMI comes first and once until IRET', () => {
    const b = waiting();
    b.cpu.rflags |= BigInt(FLAG.IF);
    b.apic.vector = 0x40;
    b.apic.nmiPending = true;
    assert.equal(pollInterrupts(b.cpu), true);
    assert.equal(b.cpu.rip, 0x1002n);
    b.apic.nmiPending = true;
    b.cpu.rflags &= ~BigInt(FLAG.IF);
    assert.equal(pollInterrupts(b.cpu), false);
  });

  test('the 8259 pair is acknowledged on its own', () => {
    const b = waiting();
    b.cpu.rflags |= BigInt(FLAG.IF);
    b.apic.external = 0x30;
    b.apic.vector = 0x40;
    pollInterrupts(b.cpu);
    assert.deepEqual([b.cpu.rip, b.apic.external, b.apic.vector], [0x1030n, -1, 0x40]);
  });

  test('a guest’s virtual interrupt follows physical ones', () => {
    const b = waiting();
    b.cpu.guestMode = 1;
    let taken = false;
    plugHooks({
      physicalInterruptsEnabled: () => false,
      virtualInterrupt: () => 0x30,
      acknowledgeVirtualInterrupt() {
        taken = true;
      },
    });
    b.apic.vector = 0x40;
    assert.equal(pollInterrupts(b.cpu), true);
    assert.deepEqual([b.cpu.rip, taken, b.apic.vector], [0x1030n, true, 0x40]);
    assert.equal(hooks.physicalInterruptsEnabled(b.cpu), false);
  });
});

describe('intercepts of a hypervisor inside', () => {
  const cases = [
    ['RDTSC', (b: Bed) => systemHelpers.rdtsc(b.cpu)],
    ['RDPMC', (b: Bed) => systemHelpers.rdpmc(b.cpu)],
    ['GDTR_READ', (b: Bed) => sgdt(b.cpu, 0x5000, 0)],
    ['TR_WRITE', (b: Bed) => ltr(b.cpu, 0)],
    ['MWAIT', (b: Bed) => mwait(b.cpu)],
    ['INVPCID', (b: Bed) => invpcid(b.cpu, 9, 0, 0, 0)],
  ] as const;
  for (const [name, run] of cases) {
    test(name, () => {
      const b = protectedBed(0);
      const { word, bit } = interceptBit(name);
      b.cpu.intercepts[word] = (1 << bit) >>> 0;
      assert.notEqual(faultOf(b, () => run(b))?.slice(0, 4), 'exit', 'not outside guest mode');
      b.cpu.guestMode = 1;
      assert.equal(
        faultOf(b, () => run(b)),
        `exit ${INTERCEPT_EXIT_CODE[name].toString(16)}`,
      );
    });
  }
});

describe('reset', () => {
  test('power-on', () => {
    const { cpu } = bed();
    assert.deepEqual([cpu.rip, cpu.segments[CS].base, cpu.segments[CS].selector], [0xfff0n, 0xffff_0000n, 0xf000]);
    assert.deepEqual(
      [cpu.cr0, cpu.efer, cpu.dr6, cpu.dr7, cpu.mxcsr],
      [0x6000_0010n, 0n, 0xffff_0ff0n, 0x400n, 0x1f80],
    );
    assert.equal(cpu.gpr[2], BigInt(0x00c00f10));
    assert.equal(readFlags(cpu), 2);
  });

  test('INIT keeps caches’ control, MSRs and SSE state; SIPI starts a waiting processor', () => {
    const b = longBed(3);
    const { cpu } = b;
    cpu.star = 5n;
    cpu.xmm[0] = 7;
    cpu.tscOffset = 9n;
    resetCpu(cpu, 'init');
    assert.deepEqual(
      [cpu.cr0, cpu.star, cpu.xmm[0], cpu.tscOffset, cpu.cpl, cpu.efer],
      [BigInt(CR0.ET), 5n, 7, 9n, 0, 0n],
    );
    startCpu(cpu, 0x12);
    assert.equal(cpu.rip, 0xfff0n, 'not waiting');
    cpu.activity = Activity.WAIT_FOR_SIPI;
    startCpu(cpu, 0x12);
    assert.deepEqual([cpu.segments[CS].base, cpu.rip, cpu.activity], [0x12000n, 0n, Activity.RUNNING]);
  });
});

test('a data segment descriptor with every attribute decodes', () => {
  const b = protectedBed();
  setDescriptor(b, Selector.FREE, 0x1234_5678, 0xa_bcde, DATA | 0xd00);
  popAfter(b, Selector.FREE);
  const segment = b.cpu.segments[FS];
  assert.deepEqual([segment.base, segment.limit, segment.attributes], [0x1234_5678n, 0xabcd_efff, DATA | 0xd00 | 1]);
});

function popAfter(b: Bed, selector: number): void {
  b.memory.view.setUint32(0x8000, selector, true);
  popSegment(b.cpu, FS, 32);
}
