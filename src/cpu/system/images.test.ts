import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONTEXT } from '../context.ts';
import { longMode, machine, P, Tables, W } from '../memory/testing.ts';
import { cpuModel } from '../model.ts';
import { fxrstor, fxsave, initializeX87, ldmxcsr, xrstor, xrstors, xsave, xsavec, xsaves } from './images.ts';
import { CR0, CR4, setEdxEax } from './registers.ts';
import { type Bed, faultOf, longBed, protectedBed } from './testing.ts';
import { HEADER, LEGACY } from './xsave-layout.ts';

const AREA = 0x5000;
const COMPACTED = 1n << 63n;

/** A processor with recognisable x87 and SSE state; TOP is 5, ST(0) to ST(2) in use. */
function stateBed(b = longBed()): Bed {
  const { cpu } = b;
  cpu.cr4 |= BigInt(CR4.OSFXSR | CR4.OSXSAVE);
  cpu.xcr0 = 3n;
  cpu.x87Control = 0x037f;
  cpu.x87Status = 5 << 11;
  cpu.x87Tag = 0x03ff;
  cpu.x87Opcode = 0x123;
  cpu.x87Ip = 0x1122_3344_5566_7788n;
  cpu.x87Dp = 0x99aa_bbcc_ddee_ff00n;
  cpu.x87Cs = 0x10;
  cpu.x87Ds = 0x18;
  cpu.mxcsr = 0x1fa0;
  for (let r = 0; r < 8; r++)
    for (let i = 0; i < 10; i++) cpu.bytes[cpu.base + CONTEXT.x87.offset + 16 * r + i] = 16 * r + i + 1;
  for (let i = 0; i < 256; i++) cpu.xmm[i] = 255 - i;
  setEdxEax(cpu, 0xffff_ffff_ffff_ffffn);
  return b;
}

const x87Of = (b: Bed) => {
  const { cpu } = b;
  const start = cpu.base + CONTEXT.x87.offset;
  const registers = [...cpu.bytes.subarray(start, start + 128)];
  return [
    cpu.x87Control,
    cpu.x87Status,
    cpu.x87Tag,
    cpu.x87Opcode,
    cpu.x87Ip,
    cpu.x87Dp,
    cpu.x87Cs,
    cpu.x87Ds,
    registers,
  ];
};
const sseOf = (b: Bed) => [b.cpu.mxcsr, ...b.cpu.xmm];

function clear(b: Bed): void {
  initializeX87(b.cpu);
  b.cpu.mxcsr = 0x1f80;
  b.cpu.xmm.fill(0);
}

describe('FXSAVE and FXRSTOR', () => {
  test('layout', () => {
    const b = stateBed();
    fxsave(b.cpu, AREA, 0, 64);
    const { view, bytes } = b.memory;
    assert.equal(view.getUint16(AREA + LEGACY.FCW, true), 0x37f);
    assert.equal(view.getUint8(AREA + LEGACY.FTW), 0b1110_0000, 'abridged tags by physical register');
    assert.equal(view.getBigUint64(AREA + LEGACY.FIP, true), 0x1122_3344_5566_7788n);
    assert.equal(view.getUint32(AREA + LEGACY.MXCSR_MASK, true), 0xffff);
    assert.equal(bytes[AREA + LEGACY.ST], 16 * 5 + 1, 'ST(0) is physical register 5');
    assert.equal(bytes[AREA + LEGACY.ST + 3 * 16], 1, 'ST(3) is physical register 0');
    assert.equal(bytes[AREA + LEGACY.XMM + 255], 0);
    assert.equal(bytes[AREA + LEGACY.XMM], 255);
  });

  test('the last bytes are left to software', () => {
    const b = stateBed();
    b.memory.bytes.fill(0xcc, AREA, AREA + 512);
    fxsave(b.cpu, AREA, 0, 64);
    assert.ok(b.memory.bytes.subarray(AREA + 416, AREA + 512).every((byte) => byte === 0xcc));
  });

  test('32-bit pointers with selectors, eight XMM registers outside 64-bit mode', () => {
    const b = stateBed(protectedBed());
    b.memory.bytes.fill(0xcc, AREA, AREA + 512);
    fxsave(b.cpu, AREA, 0, 32);
    assert.equal(b.memory.view.getUint32(AREA + LEGACY.FCS, true), 0x10);
    assert.equal(b.memory.view.getUint32(AREA + LEGACY.FIP, true), 0x5566_7788);
    assert.equal(b.memory.bytes[AREA + LEGACY.XMM + 127], 128);
    assert.equal(b.memory.bytes[AREA + LEGACY.XMM + 128], 0xcc);
  });

  test('round trip', () => {
    const b = stateBed();
    b.cpu.x87Cs = 0;
    b.cpu.x87Ds = 0;
    const before = [...x87Of(b), sseOf(b)];
    fxsave(b.cpu, AREA, 0, 64);
    clear(b);
    fxrstor(b.cpu, AREA, 0, 64);
    const after = [...x87Of(b), sseOf(b)];
    // only whether a register is empty is kept of the tags
    assert.deepEqual(after, before);
  });

  test('an unmasked exception in the image sets the summary', () => {
    const b = stateBed();
    fxsave(b.cpu, AREA, 0, 64);
    b.memory.view.setUint16(AREA + LEGACY.FCW, 0x37e, true);
    b.memory.view.setUint16(AREA + LEGACY.FSW, 1, true);
    fxrstor(b.cpu, AREA, 0, 64);
    assert.equal(b.cpu.x87Status, 0x8081);
  });

  test('faults', () => {
    const b = stateBed();
    assert.equal(
      faultOf(b, () => fxsave(b.cpu, AREA + 8, 0, 64)),
      '#GP(0)',
    );
    fxsave(b.cpu, AREA, 0, 64);
    b.memory.view.setUint32(AREA + LEGACY.MXCSR, 0x1_0000, true);
    const before = sseOf(b);
    assert.equal(
      faultOf(b, () => fxrstor(b.cpu, AREA, 0, 64)),
      '#GP(0)',
    );
    assert.deepEqual(sseOf(b), before);
    b.cpu.cr0 |= BigInt(CR0.TS);
    assert.equal(
      faultOf(b, () => fxsave(b.cpu, AREA, 0, 64)),
      '#NM',
    );
  });

  test('without CR4.OSFXSR the XMM registers are not saved', () => {
    const b = stateBed();
    b.cpu.cr4 &= ~BigInt(CR4.OSFXSR);
    b.memory.bytes.fill(0xcc, AREA, AREA + 512);
    fxsave(b.cpu, AREA, 0, 64);
    assert.equal(b.memory.bytes[AREA + LEGACY.XMM], 0xcc);
  });
});

describe('LDMXCSR', () => {
  test('loads, and refuses reserved bits', () => {
    const b = stateBed();
    b.memory.view.setUint32(AREA, 0xffff, true);
    ldmxcsr(b.cpu, AREA, 0);
    assert.equal(b.cpu.mxcsr, 0xffff);
    b.memory.view.setUint32(AREA, 0x1_0000, true);
    assert.equal(
      faultOf(b, () => ldmxcsr(b.cpu, AREA, 0)),
      '#GP(0)',
    );
    b.cpu.cr4 = 0n;
    assert.equal(
      faultOf(b, () => ldmxcsr(b.cpu, AREA, 0)),
      '#UD',
    );
  });
});

describe('XSAVE and XRSTOR', () => {
  const header = (b: Bed) => [
    b.memory.view.getBigUint64(AREA + HEADER.XSTATE_BV, true),
    b.memory.view.getBigUint64(AREA + HEADER.XCOMP_BV, true),
  ];

  test('components are saved as requested', () => {
    const b = stateBed();
    b.memory.bytes.fill(0xcc, AREA, AREA + 576);
    b.memory.view.setBigUint64(AREA + HEADER.XSTATE_BV, 1n, true);
    setEdxEax(b.cpu, 2n);
    xsave(b.cpu, AREA, 0, 64);
    assert.equal(b.memory.bytes[AREA], 0xcc);
    assert.equal(b.memory.bytes[AREA + LEGACY.ST], 0xcc);
    assert.equal(b.memory.view.getUint32(AREA + LEGACY.MXCSR, true), 0x1fa0);
    assert.equal(header(b)[0], 3n, 'XSAVE leaves the bits of others');
    setEdxEax(b.cpu, 1n);
    b.memory.bytes.fill(0xcc, AREA, AREA + 576);
    b.memory.view.setBigUint64(AREA + HEADER.XSTATE_BV, 0n, true);
    xsave(b.cpu, AREA, 0, 64);
    assert.equal(b.memory.view.getUint32(AREA + LEGACY.MXCSR, true), 0xcccc_cccc);
    assert.equal(b.memory.bytes[AREA + LEGACY.XMM], 0xcc);
    assert.equal(header(b)[0], 1n);
  });

  for (const [name, save, restore, layout] of [
    ['standard', xsave, xrstor, 0n],
    ['compacted', xsavec, xrstor, COMPACTED | 3n],
    ['supervisor', xsaves, xrstors, COMPACTED | 3n],
  ] as const) {
    test(`round trip, ${name}`, () => {
      const b = stateBed();
      b.cpu.x87Cs = 0;
      b.cpu.x87Ds = 0;
      const before = [...x87Of(b), sseOf(b)];
      save(b.cpu, AREA, 0, 64);
      assert.deepEqual(header(b), [3n, layout]);
      clear(b);
      restore(b.cpu, AREA, 0, 64);
      assert.deepEqual([...x87Of(b), sseOf(b)], before);
    });
  }

  test('what is not in the image is initialized, what is not requested stays', () => {
    const b = stateBed();
    b.memory.view.setUint32(AREA + LEGACY.MXCSR, 0x1fbf, true);
    xrstor(b.cpu, AREA, 0, 64);
    assert.deepEqual(x87Of(b).slice(0, 3), [0x37f, 0, 0xffff]);
    assert.ok(b.cpu.xmm.every((byte) => byte === 0));
    assert.equal(b.cpu.mxcsr, 0x1fbf, 'the standard form always loads MXCSR');
    b.memory.view.setBigUint64(AREA + HEADER.XCOMP_BV, COMPACTED | 3n, true);
    xrstor(b.cpu, AREA, 0, 64);
    assert.equal(b.cpu.mxcsr, 0x1f80, 'the compacted form initializes it');
    const other = stateBed();
    setEdxEax(other.cpu, 1n);
    const before = sseOf(other);
    xrstor(other.cpu, AREA, 0, 64);
    assert.deepEqual(sseOf(other), before);
  });

  const bad: [string, number, bigint][] = [
    ['a component XCR0 lacks', HEADER.XSTATE_BV, 4n],
    ['layout without the compaction bit', HEADER.XCOMP_BV, 1n],
    ['layout with an unknown component', HEADER.XCOMP_BV, COMPACTED | 4n],
    ['reserved header bytes', HEADER.XCOMP_BV + 8, 1n],
  ];
  for (const [name, offset, value] of bad) {
    test(`#GP: ${name}`, () => {
      const b = stateBed();
      b.memory.view.setBigUint64(AREA + offset, value, true);
      assert.equal(
        faultOf(b, () => xrstor(b.cpu, AREA, 0, 64)),
        '#GP(0)',
      );
    });
  }

  test('alignment, CR4.OSXSAVE, CR0.TS, XRSTORS of a standard image', () => {
    const b = stateBed();
    assert.equal(
      faultOf(b, () => xsave(b.cpu, AREA + 16, 0, 64)),
      '#GP(0)',
    );
    assert.equal(
      faultOf(b, () => xrstors(b.cpu, AREA, 0, 64)),
      '#GP(0)',
    );
    b.cpu.cr0 |= BigInt(CR0.TS);
    assert.equal(
      faultOf(b, () => xsave(b.cpu, AREA, 0, 64)),
      '#NM',
    );
    b.cpu.cr4 = 0n;
    assert.equal(
      faultOf(b, () => xsave(b.cpu, AREA, 0, 64)),
      '#UD',
    );
  });
});

describe('in plain memory', () => {
  test('images are what they are elsewhere, also across pages', () => {
    const m = machine();
    const tables = new Tables(m, 0x1_0000);
    const root = tables.page();
    for (const page of [0x10_0000, 0x10_1000]) tables.map(root, BigInt(page), page, P | W);
    longMode(m, root);
    const flat = stateBed();
    const { cpu } = m;
    cpu.model = cpuModel('amd');
    cpu.u32.set(flat.cpu.u32.subarray(0, 16));
    for (const field of ['x87Control', 'x87Status', 'x87Tag', 'x87Opcode', 'x87Cs', 'x87Ds', 'mxcsr'] as const)
      cpu[field] = flat.cpu[field];
    for (const field of ['x87Ip', 'x87Dp', 'xcr0'] as const) cpu[field] = flat.cpu[field];
    cpu.cr4 |= BigInt(CR4.OSFXSR | CR4.OSXSAVE);
    cpu.xmm.set(flat.cpu.xmm);
    const registers = (from: typeof cpu) =>
      from.bytes.subarray(from.base + CONTEXT.x87.offset, from.base + CONTEXT.x87.offset + 128);
    registers(cpu).set(registers(flat.cpu));
    setEdxEax(cpu, 3n);
    setEdxEax(flat.cpu, 3n);
    for (const save of [xsave, xsavec]) {
      flat.memory.bytes.fill(0, AREA, AREA + 576);
      save(flat.cpu, AREA, 0, 64);
      const expected = flat.memory.bytes.slice(AREA, AREA + 576);
      for (const place of [0x10_0040, 0x10_0fc0]) {
        m.dma.write(place, new Uint8Array(576));
        save(cpu, place, 0, 64);
        assert.deepEqual(m.dma.read(place, 576), expected, place.toString(16));
        const before = registers(cpu).slice();
        initializeX87(cpu);
        cpu.xmm.fill(0);
        xrstor(cpu, place, 0, 64);
        assert.deepEqual(registers(cpu), before);
        assert.deepEqual(cpu.xmm, flat.cpu.xmm);
      }
    }
  });
});
