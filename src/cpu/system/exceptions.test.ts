import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { Vector } from '../../isa/stage.ts';
import { CS, DS, ES, FS, GS, SS } from '../context.ts';
import { fault, guestExit } from '../fault.ts';
import { readFlags, writeFlags } from '../flags.ts';
import { Activity, Pending } from '../state.ts';
import { deliverDebugTrap, deliverException, deliverPendingFault } from './exceptions.ts';
import { type DeliveredEvent, NO_HOOKS, plugHooks } from './hooks.ts';
import { int1, int3, into, softwareInterrupt } from './interrupt-instructions.ts';
import { DR6, DR7, FLAG } from './registers.ts';
import { loadSegmentRaw, refreshSegments } from './segments.ts';
import {
  type Bed,
  bed,
  CODE,
  DATA,
  dpl,
  faultOf,
  IDT,
  longBed,
  protectedBed,
  Selector,
  setDescriptor,
  setGate,
  setLongGate,
  TSS,
  words16,
  words32,
  words64,
} from './testing.ts';

const INTERRUPT32 = 14;
const TRAP32 = 15;
const INTERRUPT16 = 6;
const HANDLER = 0x0005_1234;

/** 32-bit interrupt gate for a vector. */
function gate(b: Bed, vector: number, type = INTERRUPT32, level = 0, selector: number = Selector.CODE32): void {
  setGate(b, IDT, vector * 8, type, level, selector, HANDLER);
}

describe('real-address mode', () => {
  function realBed(): Bed {
    const b = bed();
    b.cpu.rip = 0x100n;
    b.cpu.nextRip = 0x102n;
    b.cpu.gpr[4] = 0x8000n;
    loadSegmentRaw(b.cpu, CS, 0x1000, 0x10000n, 0xffff, 0x9b);
    b.memory.view.setUint32(4 * 0x21, 0x2000_0345, true);
    writeFlags(b.cpu, FLAG.IF | FLAG.TF | FLAG.CF);
    return b;
  }

  test('pushes flags, CS and IP and clears IF and TF', () => {
    const b = realBed();
    softwareInterrupt(b.cpu, 0x21);
    assert.deepEqual(words16(b, 0x7ffa, 3), [0x102, 0x1000, FLAG.IF | FLAG.TF | FLAG.CF | FLAG.FIXED]);
    assert.equal(b.cpu.gpr[4], 0x7ffan);
    assert.deepEqual([b.cpu.segments[CS].base, b.cpu.nextRip], [0x20000n, 0x345n]);
    assert.equal(readFlags(b.cpu), FLAG.CF | FLAG.FIXED);
  });

  test('faults return to the instruction and push no error code', () => {
    const b = realBed();
    b.memory.view.setUint32(4 * Vector.GP, 0x2000_0345, true);
    deliverException(b.cpu, Vector.GP, 0, 'fault');
    assert.deepEqual(words16(b, 0x7ffa, 1), [0x100]);
    assert.equal(b.cpu.gpr[4], 0x7ffan);
  });

  test('a vector table too short for a double fault shuts down', () => {
    const b = realBed();
    b.cpu.idtrLimit = 3;
    softwareInterrupt(b.cpu, 0x21);
    assert.equal(b.shutdowns.length, 1);
    assert.equal(b.cpu.activity, Activity.SHUTDOWN);
  });
});

describe('protected mode, same level', () => {
  test('an interrupt gate pushes EFLAGS, CS, EIP and clears IF; a trap gate keeps it', () => {
    for (const [type, expected] of [
      [INTERRUPT32, 0],
      [TRAP32, FLAG.IF],
    ] as const) {
      const b = protectedBed();
      gate(b, 0x40, type);
      writeFlags(b.cpu, FLAG.IF | FLAG.TF | FLAG.NT);
      b.cpu.interruptShadow = 1;
      deliverException(b.cpu, 0x40, undefined, 'external');
      assert.deepEqual(words32(b, 0x7ff4, 3), [0x4000, Selector.CODE32, FLAG.IF | FLAG.TF | FLAG.NT | FLAG.FIXED]);
      assert.equal(b.cpu.rip, BigInt(HANDLER));
      assert.equal(readFlags(b.cpu), expected | FLAG.FIXED);
      assert.equal(b.cpu.interruptShadow, 0);
    }
  });

  test('16-bit gates push words and use 16 bits of the offset', () => {
    const b = protectedBed();
    gate(b, 0x40, INTERRUPT16, 0, Selector.CODE16);
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.deepEqual(words16(b, 0x7ffa, 3), [0x4000, Selector.CODE32, 2]);
    assert.equal(b.cpu.rip, 0x1234n);
  });

  test('a fault with an error code, with RF in the saved image', () => {
    const b = protectedBed();
    gate(b, Vector.GP);
    deliverException(b.cpu, Vector.GP, 0x58, 'fault');
    assert.deepEqual(words32(b, 0x7ff0, 4), [0x58, 0x4000, Selector.CODE32, FLAG.RF | FLAG.FIXED]);
  });

  test('a page fault sets CR2', () => {
    const b = protectedBed();
    gate(b, Vector.PF);
    b.cpu.faultAddress = 0x1234_5000n;
    b.cpu.faultVector = Vector.PF;
    b.cpu.faultErrorCode = 2;
    b.cpu.faultHasErrorCode = 1;
    b.cpu.pending = Pending.FAULT;
    deliverPendingFault(b.cpu);
    assert.equal(b.cpu.cr2, 0x1234_5000n);
    assert.equal(b.cpu.pending, Pending.NONE);
    assert.equal(words32(b, b.cpu.gpr[4], 1)[0], 2);
  });
});

describe('protected mode, to level 0', () => {
  test('the stack comes from the TSS', () => {
    const b = protectedBed(3);
    gate(b, 0x80, INTERRUPT32, 3);
    softwareInterrupt(b.cpu, 0x80);
    assert.deepEqual(words32(b, 0x8fec, 5), [0x4002, Selector.USER_CODE32 | 3, 2, 0x8000, Selector.USER_DATA32 | 3]);
    assert.deepEqual([b.cpu.cpl, b.cpu.segments[SS].selector, b.cpu.gpr[4]], [0, Selector.DATA32, 0x8fecn]);
  });

  test('software interrupts need the gate’s DPL, exceptions and INT1 do not', () => {
    const deliverTo = (vector: number, how: (b: Bed) => void) => {
      const b = protectedBed(3);
      gate(b, vector);
      setGate(b, IDT, Vector.GP * 8, INTERRUPT32, 0, Selector.CODE32, 0x777);
      how(b);
      return [b.cpu.rip, words32(b, b.cpu.gpr[4], 1)[0]];
    };
    // the error code names the IDT entry, without EXT since the program asked for it
    assert.deepEqual(
      deliverTo(0x80, (b) => softwareInterrupt(b.cpu, 0x80)),
      [0x777n, 0x80 * 8 + 2],
    );
    assert.deepEqual(
      deliverTo(Vector.BP, (b) => int3(b.cpu)),
      [0x777n, Vector.BP * 8 + 2],
    );
    assert.equal(deliverTo(Vector.DB, (b) => int1(b.cpu))[0], BigInt(HANDLER));
    assert.equal(deliverTo(0x80, (b) => deliverException(b.cpu, 0x80, undefined, 'external'))[0], BigInt(HANDLER));
  });

  test('INTO asks the overflow flag', () => {
    const b = protectedBed(3);
    gate(b, Vector.OF, TRAP32, 3);
    into(b.cpu);
    assert.equal(b.cpu.nextRip, 0x4002n);
    writeFlags(b.cpu, FLAG.OF);
    into(b.cpu);
    assert.equal(b.cpu.nextRip, BigInt(HANDLER));
  });

  test('conforming code keeps the level', () => {
    const b = protectedBed(3);
    gate(b, 0x40, INTERRUPT32, 0, Selector.CONFORMING32);
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.deepEqual([b.cpu.cpl, b.cpu.segments[CS].selector], [3, Selector.CONFORMING32 | 3]);
    assert.equal(b.cpu.gpr[4], 0x7ff4n);
  });
});

describe('what goes wrong in delivery', () => {
  const GP_HANDLER = 0x777n;
  /** Delivers vector 40h after a change to the tables; the error code the handler of `vector` gets. */
  function error(vector: number, change: (b: Bed) => void, level: 0 | 3 = 3): number {
    const b = protectedBed(level);
    gate(b, 0x40, INTERRUPT32, 0, Selector.FREE);
    setDescriptor(b, Selector.FREE, 0, 0xf_ffff, CODE | 0xc00);
    setGate(b, IDT, vector * 8, INTERRUPT32, 0, Selector.CONFORMING32, Number(GP_HANDLER));
    change(b);
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.deepEqual(b.shutdowns, []);
    assert.equal(b.cpu.rip, GP_HANDLER, 'the expected handler runs');
    return words32(b, b.cpu.gpr[4], 1)[0];
  }
  const EXT = 1;

  const cases: [string, number, number, (b: Bed) => void][] = [
    [
      'gate beyond the IDT',
      Vector.GP,
      0x40 * 8 + 2 + EXT,
      (b) => {
        b.cpu.idtrLimit = 0x1ff;
      },
    ],
    ['no gate type', Vector.GP, 0x40 * 8 + 2 + EXT, (b) => setGate(b, IDT, 0x40 * 8, 12, 0, Selector.FREE, 0)],
    ['gate not present', Vector.NP, 0x40 * 8 + 2 + EXT, (b) => b.memory.view.setUint8(IDT + 0x40 * 8 + 5, INTERRUPT32)],
    ['null code selector', Vector.GP, EXT, (b) => setGate(b, IDT, 0x40 * 8, INTERRUPT32, 0, 0, 0)],
    ['code beyond the GDT', Vector.GP, 0x1000 + EXT, (b) => setGate(b, IDT, 0x40 * 8, INTERRUPT32, 0, 0x1000, 0)],
    [
      'not code',
      Vector.GP,
      Selector.DATA32 + EXT,
      (b) => setGate(b, IDT, 0x40 * 8, INTERRUPT32, 0, Selector.DATA32, 0),
    ],
    [
      'code not present',
      Vector.NP,
      Selector.FREE + EXT,
      (b) => setDescriptor(b, Selector.FREE, 0, 0xf_ffff, (CODE & ~0x80) | 0xc00),
    ],
    [
      'TSS too small',
      Vector.TS,
      Selector.TSS + EXT,
      (b) => {
        b.cpu.segments[7].limit = 8;
      },
    ],
    ['null stack selector', Vector.TS, EXT, (b) => b.memory.view.setUint32(TSS + 8, 0, true)],
    ['stack RPL', Vector.TS, Selector.DATA32 + EXT, (b) => b.memory.view.setUint32(TSS + 8, Selector.DATA32 | 1, true)],
    [
      'stack not writable',
      Vector.TS,
      Selector.CODE32 + EXT,
      (b) => b.memory.view.setUint32(TSS + 8, Selector.CODE32, true),
    ],
    [
      'stack not present',
      Vector.SS,
      Selector.FREE2 + EXT,
      (b) => {
        setDescriptor(b, Selector.FREE2, 0, 0xf_ffff, (DATA & ~0x80) | 0xc00);
        b.memory.view.setUint32(TSS + 8, Selector.FREE2, true);
      },
    ],
    [
      'stack too small',
      Vector.SS,
      Selector.FREE2 + EXT,
      (b) => {
        setDescriptor(b, Selector.FREE2, 0, 0x10, DATA);
        b.memory.view.setUint32(TSS + 8, Selector.FREE2, true);
      },
    ],
    ['offset beyond the limit', Vector.GP, EXT, (b) => setDescriptor(b, Selector.FREE, 0, 0xfff, CODE)],
  ];
  for (const [name, vector, expected, change] of cases) {
    test(name, () => assert.equal(error(vector, change), expected));
  }

  test('a page fault on the way keeps its own error code', () => {
    const b = protectedBed(3);
    gate(b, 0x40);
    setGate(b, IDT, Vector.PF * 8, INTERRUPT32, 0, Selector.CONFORMING32, 0x777);
    b.memory.absent.add(0x8);
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.equal(words32(b, b.cpu.gpr[4], 1)[0], 2, 'a write, made as the supervisor');
    assert.equal(b.cpu.cr2, 0x8ffcn);
  });
});

describe('double and triple faults', () => {
  /** Vectors with a working gate; all others are absent. */
  function outcome(first: number, working: number[]): number | 'shutdown' | 'other' {
    const b = protectedBed();
    for (const vector of working) setGate(b, IDT, vector * 8, INTERRUPT32, 0, Selector.CODE32, 0x1000 + vector);
    deliverException(b.cpu, first, first === Vector.DE ? undefined : 0, 'fault');
    if (b.shutdowns.length > 0) return 'shutdown';
    return Number(b.cpu.rip) - 0x1000;
  }
  test('contributory upon contributory is a double fault', () =>
    assert.equal(outcome(Vector.GP, [Vector.DF]), Vector.DF));
  test('contributory during a page fault is a double fault', () =>
    assert.equal(outcome(Vector.PF, [Vector.DF]), Vector.DF));
  test('benign exceptions are replaced', () => assert.equal(outcome(Vector.UD, [Vector.GP, Vector.DF]), Vector.GP));
  test('a page fault during a contributory exception is delivered', () => {
    const b = protectedBed(3);
    setGate(b, IDT, Vector.GP * 8, INTERRUPT32, 0, Selector.CODE32, 0x1000);
    setGate(b, IDT, Vector.PF * 8, INTERRUPT32, 0, Selector.CONFORMING32, 0x1111);
    b.memory.absent.add(0x8);
    deliverException(b.cpu, Vector.GP, 0, 'fault');
    assert.equal(b.cpu.rip, 0x1111n);
  });
  test('a fault during a double fault shuts down', () => assert.equal(outcome(Vector.GP, []), 'shutdown'));
  test('a double fault pushes a zero error code', () => {
    const b = protectedBed();
    gate(b, Vector.DF);
    deliverException(b.cpu, Vector.GP, 0x1234, 'fault');
    assert.deepEqual(words32(b, 0x7ff0, 2), [0, 0x4000]);
  });
});

describe('from virtual-8086 mode', () => {
  function v86Bed(iopl = 3): Bed {
    const b = protectedBed(3);
    const { cpu } = b;
    writeFlags(cpu, FLAG.VM | FLAG.IF | (iopl << 12));
    for (const segment of [ES, CS, SS, DS, FS, GS])
      loadSegmentRaw(cpu, segment, 0x100 + segment, 0x1000n, 0xffff, 0xf3);
    cpu.segments[SS].base = 0n;
    refreshSegments(cpu);
    return b;
  }

  test('the frame holds all segments, and the data segments become null', () => {
    const b = v86Bed();
    gate(b, 0x40);
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.deepEqual(words32(b, 0x8fdc, 9), [
      0x4000,
      0x101,
      FLAG.VM | FLAG.IF | FLAG.IOPL | 2,
      0x8000,
      0x102,
      0x100,
      0x103,
      0x104,
      0x105,
    ]);
    assert.equal(b.cpu.cpl, 0);
    assert.deepEqual(
      [ES, DS, FS, GS].map((s) => b.cpu.segments[s].selector),
      [0, 0, 0, 0],
    );
    assert.equal(b.cpu.segments[DS].readEnd, 0n);
    assert.equal(readFlags(b.cpu) & FLAG.VM, 0);
  });

  test('the handler must run at level 0', () => {
    const b = v86Bed();
    setGate(b, IDT, 0x40 * 8, INTERRUPT32, 0, Selector.CONFORMING32, 0);
    gate(b, Vector.GP);
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.equal(words32(b, b.cpu.gpr[4], 1)[0], Selector.CONFORMING32 | 1);
  });

  test('INT n needs IOPL 3', () => {
    const b = v86Bed(0);
    assert.equal(
      faultOf(b, () => softwareInterrupt(b.cpu, 0x21)),
      '#GP(0)',
    );
  });

  test('with CR4.VME INT n may go to the program’s own table, which sees VIF as IF', () => {
    const b = v86Bed(0);
    b.cpu.cr4 = 1n;
    b.memory.view.setUint16(TSS + 102, 0x100, true);
    b.memory.view.setUint32(4 * 0x21, 0x0200_0333, true);
    b.cpu.rflags = (b.cpu.rflags & ~BigInt(FLAG.IF)) | BigInt(FLAG.VIF);
    softwareInterrupt(b.cpu, 0x21);
    assert.equal(words16(b, 0x7ffe, 1)[0], FLAG.IF | FLAG.IOPL | 2);
    assert.deepEqual([b.cpu.segments[CS].selector, b.cpu.nextRip, readFlags(b.cpu) & FLAG.VIF], [0x200, 0x333n, 0]);
    // the redirection bitmap ends at the I/O map: bit 21h set keeps the interrupt from the program
    b.memory.view.setUint8(TSS + 0x100 - 32 + (0x21 >> 3), 1 << (0x21 & 7));
    assert.equal(
      faultOf(b, () => softwareInterrupt(b.cpu, 0x21)),
      '#GP(0)',
    );
  });
});

describe('long mode', () => {
  const ENTRY = 0xffff_8000_1234_5678n;
  test('five quadwords on an aligned stack, SS null for an inner level', () => {
    const b = longBed(3);
    setLongGate(b, 0x40, INTERRUPT32, 0, Selector.CODE64, ENTRY);
    b.memory.view.setBigUint64(TSS + 4, 0x9008n, true);
    writeFlags(b.cpu, FLAG.IF);
    deliverException(b.cpu, 0x40, undefined, 'external');
    assert.deepEqual(words64(b, 0x8fd8, 5), [
      0x4000n,
      BigInt(Selector.USER_CODE64 | 3),
      BigInt(FLAG.IF | 2),
      0x8000n,
      BigInt(Selector.USER_DATA32 | 3),
    ]);
    assert.deepEqual([b.cpu.rip, b.cpu.cpl, b.cpu.segments[SS].selector, b.cpu.gpr[4]], [ENTRY, 0, 0, 0x8fd8n]);
  });

  test('an error code makes six, and RF is saved set', () => {
    const b = longBed(0);
    setLongGate(b, Vector.PF, INTERRUPT32, 0, Selector.CODE64, ENTRY);
    b.cpu.faultAddress = 0xdead_0000_1234n;
    deliverException(b.cpu, Vector.PF, 7, 'fault');
    assert.deepEqual(words64(b, 0x7fd0, 4), [7n, 0x4000n, BigInt(Selector.CODE64), BigInt(FLAG.RF | 2)]);
    assert.equal(b.cpu.segments[SS].selector, Selector.DATA32, 'SS stays at the same level');
    assert.equal(b.cpu.cr2, 0xdead_0000_1234n);
  });

  test('the interrupt stack table', () => {
    const b = longBed(0);
    setLongGate(b, Vector.DF, INTERRUPT32, 0, Selector.CODE64, ENTRY, 1);
    deliverException(b.cpu, Vector.DF, 0, 'fault');
    assert.equal(b.cpu.gpr[4], 0xa000n - 48n);
  });

  const cases: [string, number, number, (b: Bed) => void][] = [
    ['16-bit gate', Vector.GP, 0x40 * 8 + 3, (b) => setLongGate(b, 0x40, INTERRUPT16, 0, Selector.CODE64, ENTRY)],
    ['task gate', Vector.GP, 0x40 * 8 + 3, (b) => setLongGate(b, 0x40, 5, 0, Selector.TSS, ENTRY)],
    [
      '32-bit code',
      Vector.GP,
      Selector.CODE32 + 1,
      (b) => setLongGate(b, 0x40, INTERRUPT32, 0, Selector.CODE32, ENTRY),
    ],
    [
      'offset not canonical',
      Vector.GP,
      1,
      (b) => setLongGate(b, 0x40, INTERRUPT32, 0, Selector.CODE64, 0x8000_0000_0000n),
    ],
    [
      'beyond the IDT',
      Vector.GP,
      0x40 * 8 + 3,
      (b) => {
        b.cpu.idtrLimit = 0x400;
      },
    ],
    ['stack not canonical', Vector.SS, 1, (b) => b.memory.view.setBigUint64(TSS + 4, 0x8000_0000_1000n, true)],
    [
      'TSS too small',
      Vector.TS,
      Selector.TSS + 1,
      (b) => {
        b.cpu.segments[7].limit = 10;
      },
    ],
  ];
  for (const [name, vector, expected, change] of cases) {
    test(name, () => {
      const b = longBed(3);
      setLongGate(b, 0x40, INTERRUPT32, 0, Selector.CODE64, ENTRY);
      // the handler's stack comes from the interrupt stack table, behind what the cases break
      setLongGate(b, vector, INTERRUPT32, 0, Selector.FREE, 0x777n);
      setDescriptor(b, Selector.FREE, 0, 0xf_ffff, CODE | 0xa00 | dpl(3));
      change(b);
      deliverException(b.cpu, 0x40, undefined, 'external');
      assert.equal(b.cpu.rip, 0x777n);
      assert.equal(words64(b, b.cpu.gpr[4], 1)[0], BigInt(expected));
    });
  }

  test('a system call number by INT 80h from compatibility mode', () => {
    const b = longBed(3);
    const { cpu } = b;
    loadSegmentRaw(cpu, CS, Selector.USER_CODE32 | 3, 0n, 0xffff_ffff, CODE | 0xc00 | dpl(3));
    setLongGate(b, 0x80, TRAP32, 3, Selector.CODE64, 0x5000n);
    softwareInterrupt(cpu, 0x80);
    assert.equal(cpu.nextRip, 0x5000n);
    assert.equal(cpu.stackMask, 0xffff_ffff_ffff_ffffn);
    assert.equal(words64(b, cpu.gpr[4], 2)[1], BigInt(Selector.USER_CODE32 | 3));
  });
});

describe('NMI and debug exceptions', () => {
  test('an NMI blocks the next', () => {
    const b = protectedBed();
    gate(b, 2);
    deliverException(b.cpu, 2, undefined, 'nmi');
    assert.equal(b.cpu.nmiBlocked, 1);
  });

  test('#DB reports causes and turns general detect off', () => {
    const b = protectedBed();
    gate(b, Vector.DB);
    b.cpu.dr7 |= BigInt(DR7.GD);
    deliverDebugTrap(b.cpu, DR6.BS);
    assert.equal(b.cpu.dr6, BigInt(0xffff_0ff0 | 0x4000) & 0xffff_ffffn);
    assert.equal(b.cpu.dr7 & BigInt(DR7.GD), 0n);
    assert.equal(words32(b, 0x7ffc, 1)[0] & FLAG.RF, 0, 'a trap does not set RF');
  });
});

describe('a hypervisor inside', () => {
  afterEach(() => plugHooks(NO_HOOKS));

  test('sees exceptions but not INT n, and what was being delivered', () => {
    const seen: [number, number | undefined][] = [];
    plugHooks({
      exception: (_cpu, event, delivering) => void seen.push([event.vector, delivering?.vector]),
    });
    const b = protectedBed();
    b.cpu.guestMode = 1;
    gate(b, Vector.DF);
    deliverException(b.cpu, Vector.GP, 0, 'fault');
    assert.deepEqual(seen, [
      [Vector.GP, undefined],
      [Vector.GP, Vector.GP],
      [Vector.DF, Vector.GP],
    ]);
    seen.length = 0;
    gate(b, 0x40, INTERRUPT32, 3);
    softwareInterrupt(b.cpu, 0x40);
    assert.deepEqual(seen, []);
  });

  test('an exit during delivery reports the event, an exit before it does not', () => {
    const abandoned: DeliveredEvent[] = [];
    plugHooks({
      exception(cpu, event) {
        if (event.vector === Vector.GP) throw guestExit(cpu, 0x4bn);
      },
      deliveryAbandoned: (_cpu, event) => void abandoned.push(event),
    });
    const b = protectedBed();
    b.cpu.guestMode = 1;
    assert.equal(
      faultOf(b, () => deliverException(b.cpu, 0x40, undefined, 'external')),
      'exit 4b',
    );
    assert.deepEqual(
      abandoned.map((event) => [event.vector, event.kind]),
      [[0x40, 'external']],
    );
    abandoned.length = 0;
    assert.equal(
      faultOf(b, () => deliverException(b.cpu, Vector.GP, 0, 'fault')),
      'exit 4b',
    );
    assert.deepEqual(abandoned, []);
  });

  test('CR2 stays when the page fault is intercepted', () => {
    plugHooks({
      exception(cpu) {
        throw guestExit(cpu, 0x4en);
      },
    });
    const b = protectedBed();
    b.cpu.guestMode = 1;
    b.cpu.cr2 = 1n;
    b.cpu.faultAddress = 0x5000n;
    faultOf(b, () => deliverException(b.cpu, Vector.PF, 0, 'fault'));
    assert.equal(b.cpu.cr2, 1n);
  });

  test('may catch a triple fault', () => {
    plugHooks({
      shutdown(cpu) {
        throw guestExit(cpu, 0x7fn);
      },
    });
    const b = protectedBed();
    b.cpu.guestMode = 1;
    b.cpu.idtrLimit = 0;
    assert.equal(
      faultOf(b, () => deliverException(b.cpu, Vector.GP, 0, 'fault')),
      'exit 7f',
    );
    assert.deepEqual(b.shutdowns, []);
  });
});

test('faults thrown by anything but the processor pass through', () => {
  const b = protectedBed();
  b.memory.readU32 = () => {
    throw new Error('bug');
  };
  assert.throws(() => deliverException(b.cpu, 0x40, undefined, 'external'), /bug/);
  assert.ok(fault(b.cpu, Vector.GP, 0));
});
