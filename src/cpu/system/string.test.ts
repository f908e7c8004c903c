import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { StringOperation } from '../../isa/helpers.ts';
import { RAX, RCX, RDI, RDX, RSI } from '../../isa/stage.ts';
import { DS, ES } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { guestExit } from '../fault.ts';
import { arithmeticFlags } from '../flags.ts';
import { longMode, machine, P, Tables, W } from '../memory/testing.ts';
import { NO_HOOKS, type PortAccess, plugHooks } from './hooks.ts';
import { input, output } from './io.ts';
import { CR0, FLAG, writeRegister } from './registers.ts';
import { loadSegmentRaw } from './segments.ts';
import { stringOperation } from './string.ts';
import { bed, DATA, faultOf, longBed, protectedBed, TSS } from './testing.ts';

const REP = 1;
const REPNE = 2;

/** Runs until the instruction is finished; how many calls it took. */
function finish(
  cpu: Cpu,
  operation: number,
  bits: number,
  repeat: number,
  addressBits = 64,
  segment: number = DS,
): number {
  for (let calls = 1; ; calls++) {
    cpu.nextRip = cpu.rip + 2n;
    stringOperation(cpu, operation, bits, addressBits, segment, repeat);
    if (cpu.nextRip !== cpu.rip) return calls;
    assert.ok(calls < 1000);
  }
}

describe('element by element', () => {
  test('MOVS forward and backward', () => {
    const { cpu, memory } = longBed();
    memory.bytes.set([1, 2, 3, 4, 5, 6, 7, 8], 0x100);
    cpu.gpr.set([0x100n], RSI);
    cpu.gpr.set([0x200n], RDI);
    cpu.gpr.set([4n], RCX);
    finish(cpu, StringOperation.MOVS, 16, REP);
    assert.deepEqual([...memory.bytes.subarray(0x200, 0x208)], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual([cpu.gpr[RSI], cpu.gpr[RDI], cpu.gpr[RCX]], [0x108n, 0x208n, 0n]);
    cpu.rflags |= BigInt(FLAG.DF);
    cpu.gpr[RCX] = 2n;
    cpu.gpr[RSI] = 0x104n;
    cpu.gpr[RDI] = 0x304n;
    finish(cpu, StringOperation.MOVS, 32, REP);
    assert.deepEqual([...memory.bytes.subarray(0x300, 0x308)], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual([cpu.gpr[RSI], cpu.gpr[RDI]], [0xfcn, 0x2fcn]);
  });

  test('a count of zero does nothing', () => {
    const { cpu } = longBed();
    finish(cpu, StringOperation.STOS, 8, REP);
    assert.equal(cpu.gpr[RDI], 0n);
  });

  test('registers follow up to the element that faults', () => {
    const b = longBed();
    const { cpu, memory } = b;
    memory.absent.add(0x21);
    cpu.gpr[RAX] = 0x55n;
    cpu.gpr[RDI] = 0x20ffcn;
    cpu.gpr[RCX] = 8n;
    stringOperation(cpu, StringOperation.STOS, 8, 64, DS, REP);
    assert.equal(cpu.nextRip, cpu.rip, 'the page end is a boundary');
    assert.equal(
      faultOf(b, () => stringOperation(cpu, StringOperation.STOS, 8, 64, DS, REP)),
      '#PF(2)',
    );
    assert.deepEqual([cpu.gpr[RDI], cpu.gpr[RCX], cpu.faultAddress], [0x21000n, 4n, 0x21000n]);
  });

  test('16-bit addresses wrap', () => {
    const b = protectedBed();
    const { cpu, memory } = b;
    cpu.gpr[RDI] = 0x1234_fffen;
    cpu.gpr[RCX] = 0x5678_0004n;
    cpu.gpr[RAX] = 0xaan;
    finish(cpu, StringOperation.STOS, 8, REP, 16);
    assert.deepEqual([cpu.gpr[RDI], cpu.gpr[RCX]], [0x1234_0002n, 0x5678_0000n]);
    assert.deepEqual([memory.bytes[0xffff], memory.bytes[0], memory.bytes[1], memory.bytes[2]], [0xaa, 0xaa, 0xaa, 0]);
  });

  test('segment limits', () => {
    const b = protectedBed();
    loadSegmentRaw(b.cpu, ES, 8, 0x1000n, 0xf, DATA);
    b.cpu.gpr[RDI] = 0xcn;
    b.cpu.gpr[RCX] = 8n;
    finishOne(b.cpu);
    assert.equal(b.cpu.gpr[RDI], 0x10n);
    assert.equal(
      faultOf(b, () => finishOne(b.cpu)),
      '#GP(0)',
    );
    assert.equal(b.cpu.gpr[RCX], 4n);
    function finishOne(cpu: Cpu) {
      stringOperation(cpu, StringOperation.STOS, 8, 32, DS, REP);
    }
  });

  test('LODS keeps the last element', () => {
    const { cpu, memory } = longBed();
    memory.bytes.set([1, 2, 3, 4], 0x100);
    cpu.gpr[RSI] = 0x100n;
    cpu.gpr[RCX] = 3n;
    cpu.gpr[RAX] = 0xff00n;
    finish(cpu, StringOperation.LODS, 8, REP);
    assert.deepEqual([cpu.gpr[RAX], cpu.gpr[RSI]], [0xff03n, 0x103n]);
  });

  test('CMPS and SCAS stop at the condition, flags from the last pair', () => {
    const { cpu, memory } = longBed();
    memory.bytes.set([1, 2, 3, 9], 0x100);
    memory.bytes.set([1, 2, 4, 9], 0x200);
    cpu.gpr[RSI] = 0x100n;
    cpu.gpr[RDI] = 0x200n;
    cpu.gpr[RCX] = 4n;
    finish(cpu, StringOperation.CMPS, 8, REP);
    assert.deepEqual([cpu.gpr[RCX], cpu.gpr[RSI]], [1n, 0x103n]);
    assert.equal(arithmeticFlags(cpu), FLAG.CF | FLAG.SF | FLAG.AF | FLAG.PF);
    cpu.gpr[RDI] = 0x200n;
    cpu.gpr[RCX] = 10n;
    cpu.gpr[RAX] = 4n;
    finish(cpu, StringOperation.SCAS, 8, REPNE);
    assert.deepEqual([cpu.gpr[RDI], cpu.gpr[RCX]], [0x203n, 7n]);
    assert.equal(arithmeticFlags(cpu), FLAG.ZF | FLAG.PF);
  });
});

describe('in place, through the TLB', () => {
  const BASE = 0x10_0000;
  /** A machine in 64-bit mode with 64 KiB at BASE and a read-only page behind. */
  function bulkMachine() {
    const m = machine();
    const tables = new Tables(m, 0x1_0000);
    const root = tables.page();
    for (let i = 0; i < 16; i++) tables.map(root, BigInt(BASE + 0x1000 * i), BASE + 0x1000 * i, P | W);
    tables.map(root, BigInt(BASE + 0x10000), BASE + 0x10000, P);
    // a second view of the first page
    tables.map(root, BigInt(BASE + 0x20000), BASE, P | W);
    longMode(m, root);
    m.cpu.rflags = 2n;
    return m;
  }
  const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + 3) & 0xff);

  /** What the manual says: element after element. */
  function reference(
    memory: Uint8Array,
    from: number,
    to: number,
    count: number,
    bytes: number,
    backward: boolean,
  ): void {
    for (let i = 0; i < count; i++) {
      const step = (backward ? -i : i) * bytes;
      const element = memory.slice(from + step, from + step + bytes);
      memory.set(element, to + step);
    }
  }

  for (const bytes of [1, 2, 4, 8]) {
    for (const backward of [false, true]) {
      test(`MOVS of ${bytes}, ${backward ? 'down' : 'up'}, at every kind of overlap`, () => {
        const m = bulkMachine();
        const { cpu } = m;
        for (const distance of [-5000, -9, -bytes, -1, 0, 1, bytes, bytes + 1, 17, 4096, 5000]) {
          const start = 0x3000 + (backward ? 600 * bytes : 0);
          const expected = pattern(0x8000);
          m.dma.write(BASE, expected);
          reference(expected, start, start + distance, 600, bytes, backward);
          cpu.rflags = backward ? BigInt(FLAG.DF) | 2n : 2n;
          cpu.gpr[RSI] = BigInt(BASE + start);
          cpu.gpr[RDI] = BigInt(BASE + start + distance);
          cpu.gpr[RCX] = 600n;
          finish(cpu, StringOperation.MOVS, 8 * bytes, REP);
          assert.deepEqual(m.dma.read(BASE, 0x8000), expected, `distance ${distance}`);
          assert.equal(cpu.gpr[RDI], BigInt(BASE + start + distance + (backward ? -1 : 1) * 600 * bytes));
        }
      });
    }
  }

  test('aliases of one page overlap too', () => {
    const m = bulkMachine();
    m.dma.write(BASE, pattern(4096));
    m.cpu.gpr[RSI] = BigInt(BASE);
    m.cpu.gpr[RDI] = BigInt(BASE + 0x20001);
    m.cpu.gpr[RCX] = 100n;
    finish(m.cpu, StringOperation.MOVS, 8, REP);
    assert.deepEqual(new Set(m.dma.read(BASE, 101)), new Set([3]));
  });

  for (const bytes of [1, 2, 4, 8]) {
    test(`STOS of ${bytes}`, () => {
      const m = bulkMachine();
      const value = 0x8877_6655_4433_2211n;
      m.cpu.gpr[RAX] = value;
      for (const [start, backward] of [
        [0x1003, false],
        [0x2fff - bytes, true],
      ] as const) {
        m.dma.write(BASE, new Uint8Array(0x4000));
        m.cpu.rflags = backward ? BigInt(FLAG.DF) | 2n : 2n;
        m.cpu.gpr[RDI] = BigInt(BASE + start);
        m.cpu.gpr[RCX] = 700n;
        finish(m.cpu, StringOperation.STOS, 8 * bytes, REP);
        const expected = new Uint8Array(0x4000);
        const view = new DataView(expected.buffer);
        for (let i = 0; i < 700; i++) {
          for (let k = 0; k < bytes; k++) {
            view.setUint8(start + (backward ? -i : i) * bytes + k, Number((value >> BigInt(8 * k)) & 0xffn));
          }
        }
        assert.deepEqual(m.dma.read(BASE, 0x4000), expected);
      }
    });
  }

  test('a page at a time', () => {
    const m = bulkMachine();
    m.cpu.gpr[RDI] = BigInt(BASE);
    m.cpu.gpr[RCX] = 3n * 512n;
    assert.equal(finish(m.cpu, StringOperation.STOS, 64, REP), 3);
  });

  test('a page that cannot be written stops precisely', () => {
    const m = bulkMachine();
    m.cpu.gpr[RDI] = BigInt(BASE + 0xfff0);
    m.cpu.gpr[RCX] = 32n;
    m.cpu.gpr[RAX] = 0x99n;
    stringOperation(m.cpu, StringOperation.STOS, 8, 64, DS, REP);
    assert.throws(() => stringOperation(m.cpu, StringOperation.STOS, 8, 64, DS, REP));
    assert.deepEqual(
      [m.cpu.gpr[RDI], m.cpu.gpr[RCX], m.cpu.faultAddress],
      [BigInt(BASE + 0x10000), 16n, BigInt(BASE + 0x10000)],
    );
  });

  test('CMPS and SCAS', () => {
    const m = bulkMachine();
    m.dma.write(BASE, pattern(0x2000));
    m.dma.write(BASE + 0x4000, pattern(0x2000));
    m.dma.write(BASE + 0x4000 + 5004, Uint8Array.of(0));
    m.cpu.gpr[RSI] = BigInt(BASE);
    m.cpu.gpr[RDI] = BigInt(BASE + 0x4000);
    m.cpu.gpr[RCX] = 0x800n;
    finish(m.cpu, StringOperation.CMPS, 32, REP);
    assert.equal(m.cpu.gpr[RSI], BigInt(BASE + 5008));
    assert.equal(arithmeticFlags(m.cpu) & FLAG.ZF, 0);
    m.dma.write(BASE, new Uint8Array(0x2000));
    m.dma.writeU64(BASE + 0x1238, 0x1122_3344_5566_7788n);
    m.cpu.gpr[RDI] = BigInt(BASE);
    m.cpu.gpr[RCX] = 0x400n;
    m.cpu.gpr[RAX] = 0x1122_3344_5566_7788n;
    finish(m.cpu, StringOperation.SCAS, 64, REPNE);
    assert.equal(m.cpu.gpr[RDI], BigInt(BASE + 0x1240));
    assert.equal(arithmeticFlags(m.cpu) & FLAG.ZF, FLAG.ZF);
  });
});

describe('ports', () => {
  test('IN and OUT by width', () => {
    const b = bed();
    b.input = 0x1122_3344;
    b.cpu.gpr[RAX] = 0xffff_ffff_ffff_ffffn;
    input(b.cpu, 8, 0x60, 32);
    assert.equal(b.cpu.gpr[RAX], 0xffff_ffff_ffff_ff44n);
    input(b.cpu, 32, 0x60, 32);
    assert.equal(b.cpu.gpr[RAX], 0x1122_3344n);
    output(b.cpu, 16, 0x70, 32);
    assert.deepEqual(b.ports.at(-1), { port: 0x70, size: 2, value: 0x3344 });
  });

  test('IOPL, and the I/O permission bitmap', () => {
    const b = protectedBed(3);
    const view = b.memory.view;
    view.setUint16(TSS + 102, 0x100, true);
    view.setUint8(TSS + 0x100 + (0x60 >> 3), 0xfe);
    assert.equal(
      faultOf(b, () => input(b.cpu, 8, 0x60, 32)),
      undefined,
    );
    assert.equal(
      faultOf(b, () => input(b.cpu, 8, 0x61, 32)),
      '#GP(0)',
    );
    assert.equal(
      faultOf(b, () => input(b.cpu, 16, 0x60, 32)),
      '#GP(0)',
      'all ports of the access',
    );
    assert.equal(
      faultOf(b, () => input(b.cpu, 8, 0xfff8, 32)),
      '#GP(0)',
      'beyond the TSS limit',
    );
    writeRegister(b.cpu, RDX, 16, 0x61n);
    assert.equal(
      faultOf(b, () => stringOperation(b.cpu, StringOperation.INS, 8, 32, DS, 0)),
      '#GP(0)',
    );
    b.cpu.rflags |= BigInt(FLAG.IOPL);
    assert.equal(
      faultOf(b, () => input(b.cpu, 8, 0x61, 32)),
      undefined,
    );
    b.cpu.rflags |= BigInt(FLAG.VM);
    assert.equal(
      faultOf(b, () => input(b.cpu, 8, 0x61, 32)),
      '#GP(0)',
      'virtual-8086 mode always asks the bitmap',
    );
    b.cpu.cr0 &= ~BigInt(CR0.PE);
    b.cpu.rflags = 2n;
    assert.equal(
      faultOf(b, () => input(b.cpu, 8, 0x61, 32)),
      undefined,
    );
  });

  test('INS and OUTS', () => {
    const b = longBed();
    b.input = 0x1234;
    b.cpu.gpr[RDX] = 0x1f0n;
    b.cpu.gpr[RDI] = 0x500n;
    b.cpu.gpr[RCX] = 3n;
    finish(b.cpu, StringOperation.INS, 16, REP);
    assert.equal(b.memory.view.getUint32(0x502, true), 0x1234_1234);
    assert.equal(b.ports.length, 3);
    b.cpu.gpr[RSI] = 0x500n;
    b.cpu.gpr[RCX] = 1n;
    finish(b.cpu, StringOperation.OUTS, 32, REP);
    assert.deepEqual(b.ports.at(-1), { port: 0x1f0, size: 4, value: 0x1234_1234 });
  });

  test('INS does not read the port when the destination faults', () => {
    const b = longBed();
    b.memory.absent.add(0);
    assert.equal(
      faultOf(b, () => stringOperation(b.cpu, StringOperation.INS, 8, 64, DS, 0)),
      '#PF(2)',
    );
    assert.deepEqual(b.ports, []);
  });

  afterEach(() => plugHooks(NO_HOOKS));
  test('a hypervisor inside sees the access described', () => {
    const b = longBed();
    const seen: PortAccess[] = [];
    plugHooks({
      port(cpu, access) {
        seen.push(access);
        throw guestExit(cpu, 0x7bn);
      },
    });
    b.cpu.guestMode = 1;
    b.cpu.gpr[RDX] = 0x3f8n;
    b.cpu.gpr[RCX] = 2n;
    assert.equal(
      faultOf(b, () => output(b.cpu, 8, 0x80, 32)),
      'exit 7b',
    );
    assert.equal(
      faultOf(b, () => stringOperation(b.cpu, StringOperation.OUTS, 8, 32, 5, REP)),
      'exit 7b',
    );
    assert.deepEqual(seen[1], {
      port: 0x3f8,
      bytes: 1,
      input: false,
      string: true,
      repeat: true,
      segment: 5,
      addressBits: 32,
    });
    assert.deepEqual(b.ports, []);
  });
});
