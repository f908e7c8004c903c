import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CS, DS, ES, FS, GS, SS } from '../context.ts';
import { InterruptShadow } from '../state.ts';
import { Attribute } from './descriptors.ts';
import { CR0, FLAG } from './registers.ts';
import { loadSegment } from './segment-instructions.ts';
import { checkSegment, linearAddress, loadSegmentRaw, SegmentAccess } from './segments.ts';
import { bed, CODE, DATA, dpl, faultOf, GDT, longBed, protectedBed, Selector, setDescriptor } from './testing.ts';

describe('real-address mode', () => {
  test('a load sets the base and keeps the limit', () => {
    const { cpu } = bed();
    cpu.segments[ES].limit = 0xffff_ffff;
    loadSegment(cpu, ES, 0x1234);
    assert.equal(cpu.segments[ES].base, 0x12340n);
    assert.equal(cpu.segments[ES].limit, 0xffff_ffff);
    assert.equal(cpu.segments[ES].readEnd, 0x1_0000_0000n);
  });

  test('writes through CS are allowed', () => {
    const { cpu } = bed();
    assert.equal(cpu.segments[CS].writeEnd, 0x10000n);
  });
});

describe('virtual-8086 mode', () => {
  test('a load forces limit and rights', () => {
    const { cpu } = protectedBed(3);
    cpu.rflags |= BigInt(FLAG.VM);
    loadSegment(cpu, DS, 0x100);
    assert.deepEqual(
      [cpu.segments[DS].base, cpu.segments[DS].limit, cpu.segments[DS].attributes],
      [0x1000n, 0xffff, 0xf3],
    );
  });
});

describe('protected mode data segments', () => {
  const cases: [string, number, number, string | undefined][] = [
    ['data', DATA, 0, undefined],
    ['readable code', CODE, 0, undefined],
    ['execute-only code', Attribute.P | Attribute.S | Attribute.CODE, 0, '#GP(60)'],
    ['system segment', Attribute.P | 2, 0, '#GP(60)'],
    ['not present', DATA & ~Attribute.P, 0, '#NP(60)'],
    ['RPL above DPL', DATA, 1, '#GP(60)'],
    ['conforming code whatever the RPL', CODE | Attribute.CONFORMING, 3, undefined],
  ];
  for (const [name, attributes, rpl, expected] of cases) {
    test(name, () => {
      const b = protectedBed();
      setDescriptor(b, Selector.FREE, 0x1000, 0xfff, attributes);
      assert.equal(
        faultOf(b, () => loadSegment(b.cpu, DS, Selector.FREE | rpl)),
        expected,
      );
      if (expected === undefined) assert.equal(b.cpu.segments[DS].base, 0x1000n);
      else assert.equal(b.cpu.segments[DS].selector, Selector.DATA32, 'nothing changed');
    });
  }

  test('privilege level 3 may not load what belongs to level 0', () => {
    const b = protectedBed(3);
    assert.equal(
      faultOf(b, () => loadSegment(b.cpu, DS, Selector.DATA32)),
      '#GP(10)',
    );
  });

  test('beyond the table, and in an LDT that is not there', () => {
    const b = protectedBed();
    assert.equal(
      faultOf(b, () => loadSegment(b.cpu, DS, 0x1000)),
      '#GP(1000)',
    );
    assert.equal(
      faultOf(b, () => loadSegment(b.cpu, DS, 0x0c)),
      '#GP(c)',
    );
  });

  test('a null selector loads and cannot be used', () => {
    const b = protectedBed();
    loadSegmentRaw(b.cpu, ES, Selector.DATA32, 0x1000n, 0xffff_ffff, DATA);
    loadSegment(b.cpu, ES, 3);
    const { selector, base, limit, attributes, readEnd } = b.cpu.segments[ES];
    assert.deepEqual([selector, base, limit, attributes, readEnd], [3, 0n, 0, 0, 0n]);
    assert.equal(checkSegment(b.cpu, ES, 0, 0, 1, SegmentAccess.READ), 1);
    assert.equal(
      faultOf(b, () => linearAddress(b.cpu, ES, 0n, 1, SegmentAccess.READ)),
      '#GP(0)',
    );
  });

  test('the accessed bit is set in memory, once', () => {
    const b = protectedBed();
    setDescriptor(b, Selector.FREE, 0, 0xfff, DATA);
    loadSegment(b.cpu, DS, Selector.FREE);
    assert.equal(b.memory.view.getUint8(GDT + Selector.FREE + 5) & 1, 1);
    assert.equal(b.cpu.segments[DS].attributes & 1, 1);
  });

  test('CS and numbers above GS are undefined', () => {
    const b = protectedBed();
    assert.equal(
      faultOf(b, () => loadSegment(b.cpu, CS, Selector.CODE32)),
      '#UD',
    );
    assert.equal(
      faultOf(b, () => loadSegment(b.cpu, 6, Selector.DATA32)),
      '#UD',
    );
  });
});

describe('stack segment', () => {
  const cases: [string, number, number, string | undefined][] = [
    ['writable data of the same level', DATA, 0, undefined],
    ['read-only data', Attribute.P | Attribute.S, 0, '#GP(60)'],
    ['code', CODE, 0, '#GP(60)'],
    ['other DPL', DATA | dpl(3), 0, '#GP(60)'],
    ['other RPL', DATA, 3, '#GP(60)'],
    ['not present', DATA & ~Attribute.P, 0, '#SS(60)'],
  ];
  for (const [name, attributes, rpl, expected] of cases) {
    test(name, () => {
      const b = protectedBed();
      setDescriptor(b, Selector.FREE, 0, 0xfff, attributes);
      assert.equal(
        faultOf(b, () => loadSegment(b.cpu, SS, Selector.FREE | rpl)),
        expected,
      );
    });
  }

  test('null is for 64-bit mode below level 3', () => {
    const b = protectedBed();
    assert.equal(
      faultOf(b, () => loadSegment(b.cpu, SS, 0)),
      '#GP(0)',
    );
    const long = longBed(0);
    assert.equal(
      faultOf(long, () => loadSegment(long.cpu, SS, 0)),
      undefined,
    );
    assert.equal(
      faultOf(long, () => loadSegment(long.cpu, SS, 1)),
      '#GP(0)',
    );
    const user = longBed(3);
    assert.equal(
      faultOf(user, () => loadSegment(user.cpu, SS, 3)),
      '#GP(0)',
    );
  });

  test('loading SS holds interrupts off; the stack mask follows B and 64-bit mode', () => {
    const b = protectedBed();
    assert.equal(b.cpu.stackMask, 0xffff_ffffn);
    loadSegment(b.cpu, SS, Selector.DATA16);
    assert.equal(b.cpu.interruptShadow, InterruptShadow.MOV_SS);
    assert.equal(b.cpu.stackMask, 0xffffn);
    assert.equal(longBed().cpu.stackMask, 0xffff_ffff_ffff_ffffn);
  });
});

describe('limits', () => {
  const at = (b: ReturnType<typeof bed>, offset: number, bytes: number, access: number = SegmentAccess.READ) =>
    checkSegment(b.cpu, DS, offset | 0, 0, bytes, access);

  test('expand-up segments end after the limit', () => {
    const b = protectedBed();
    loadSegmentRaw(b.cpu, DS, 8, 0n, 0xfff, DATA);
    assert.equal(b.cpu.segments[DS].readEnd, 0x1000n);
    assert.equal(b.cpu.segments[DS].writeEnd, 0x1000n);
    assert.equal(at(b, 0xffc, 4), 0);
    assert.equal(at(b, 0xffd, 4), 1);
    assert.equal(b.cpu.faultVector, 13);
    assert.equal(checkSegment(b.cpu, SS, 0xffff_fffc, 1, 4, 0), 1, 'above 4 GiB');
    assert.equal(b.cpu.faultVector, 12);
  });

  test('read-only data and execute-only code', () => {
    const b = protectedBed();
    loadSegmentRaw(b.cpu, DS, 8, 0n, 0xfff, Attribute.P | Attribute.S);
    assert.deepEqual([b.cpu.segments[DS].readEnd, b.cpu.segments[DS].writeEnd], [0x1000n, 0n]);
    assert.equal(at(b, 0, 1, SegmentAccess.WRITE), 1);
    loadSegmentRaw(b.cpu, DS, 8, 0n, 0xfff, Attribute.P | Attribute.S | Attribute.CODE);
    assert.equal(b.cpu.segments[DS].readEnd, 0n);
    assert.equal(at(b, 0, 1), 1);
  });

  test('expand-down segments lie above the limit', () => {
    const b = protectedBed();
    loadSegmentRaw(b.cpu, DS, 8, 0n, 0xfff, DATA | Attribute.EXPAND_DOWN);
    assert.equal(b.cpu.segments[DS].readEnd, 0n);
    assert.equal(at(b, 0xfff, 1), 1);
    assert.equal(at(b, 0x1000, 4), 0);
    assert.equal(at(b, 0xfffc, 4), 0);
    assert.equal(at(b, 0xfffd, 4), 1, 'B clear: up to 64 KiB');
    loadSegmentRaw(b.cpu, DS, 8, 0n, 0xfff, DATA | Attribute.EXPAND_DOWN | Attribute.DB);
    assert.equal(at(b, 0xfffd, 4), 0);
  });

  test('64-bit mode has bases for FS and GS only', () => {
    const b = longBed();
    b.cpu.segments[FS].base = 0x1_0000_0000n;
    b.cpu.segments[DS].base = 0x5000n;
    assert.equal(linearAddress(b.cpu, FS, 8n, 1, SegmentAccess.READ), 0x1_0000_0008n);
    assert.equal(linearAddress(b.cpu, DS, 8n, 1, SegmentAccess.READ), 8n);
    loadSegment(b.cpu, GS, 0);
    assert.equal(b.cpu.segments[GS].base, 0n);
  });

  test('leaving protected mode makes every segment usable again', () => {
    const b = protectedBed();
    loadSegment(b.cpu, DS, 0);
    b.cpu.cr0 &= ~BigInt(CR0.PE);
    loadSegment(b.cpu, DS, 0x10);
    assert.equal(at(b, 0xffff, 1), 0);
  });
});
