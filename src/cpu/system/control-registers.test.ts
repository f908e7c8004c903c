import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { CS } from '../context.ts';
import { guestExit } from '../fault.ts';
import { clts, lmsw, movFromCr, movToCr, xgetbv, xsetbv } from './control-registers.ts';
import { movFromDr, movToDr } from './debug-registers.ts';
import { NO_HOOKS, plugHooks } from './hooks.ts';
import { CR0, CR4, DR7, EFER, edxEax, setEdxEax } from './registers.ts';
import { loadSegmentRaw } from './segments.ts';
import { type Bed, bed, CODE, faultOf, longBed, protectedBed } from './testing.ts';

function set(b: Bed, number: number, value: bigint | number): string | undefined {
  b.cpu.gpr[3] = BigInt.asUintN(64, BigInt(value));
  return faultOf(b, () => movToCr(b.cpu, number, 3));
}
const bits = (...values: number[]) => BigInt(values.reduce((all, value) => all | value, 0) >>> 0);

describe('CR0', () => {
  test('protected mode on and off', () => {
    const b = bed();
    assert.equal(set(b, 0, CR0.PE), undefined);
    assert.equal(b.cpu.cr0, bits(CR0.PE, CR0.ET));
    assert.equal(b.cpu.segments[CS].writeEnd, 0n, 'code is not writable any more');
    assert.equal(set(b, 0, 0), undefined);
    assert.equal(b.cpu.segments[CS].writeEnd, 0x10000n);
  });

  test('impossible combinations', () => {
    const b = bed();
    assert.equal(set(b, 0, bits(CR0.PG)), '#GP(0)');
    assert.equal(set(b, 0, bits(CR0.NW)), '#GP(0)');
    const long = longBed();
    assert.equal(set(long, 0, (1n << 32n) | bits(CR0.PE, CR0.PG)), '#GP(0)');
    assert.equal(set(b, 0, bits(CR0.PE, 1 << 6)), undefined, 'reserved low bits are ignored');
    assert.equal(b.cpu.cr0, bits(CR0.PE, CR0.ET));
  });

  test('long mode is entered with paging', () => {
    const b = protectedBed();
    b.cpu.efer = bits(EFER.LME);
    assert.equal(set(b, 0, bits(CR0.PE, CR0.PG)), '#GP(0)', 'without PAE');
    b.cpu.cr4 = bits(CR4.PAE);
    assert.equal(set(b, 0, bits(CR0.PE, CR0.PG)), undefined);
    assert.equal(b.cpu.efer, bits(EFER.LME, EFER.LMA));
    assert.deepEqual(b.translation.calls, ['flush false']);
    assert.equal(set(b, 0, bits(CR0.PE)), undefined, 'and left, from compatibility mode');
    assert.equal(b.cpu.efer, bits(EFER.LME));
  });

  test('not with a 64-bit code segment at hand, and not left from 64-bit mode', () => {
    const b = protectedBed();
    b.cpu.efer = bits(EFER.LME);
    b.cpu.cr4 = bits(CR4.PAE);
    loadSegmentRaw(b.cpu, CS, 8, 0n, 0xffff_ffff, CODE | 0x200);
    assert.equal(set(b, 0, bits(CR0.PE, CR0.PG)), '#GP(0)');
    assert.equal(set(longBed(), 0, bits(CR0.PE)), '#GP(0)');
  });

  test('paging cannot end while PCIDs are on', () => {
    const b = longBed();
    loadSegmentRaw(b.cpu, CS, 8, 0n, 0xffff_ffff, CODE | 0xc00);
    b.cpu.cr4 |= bits(CR4.PCIDE);
    assert.equal(set(b, 0, bits(CR0.PE)), '#GP(0)');
  });

  test('CLTS and LMSW', () => {
    const b = protectedBed();
    b.cpu.cr0 |= bits(CR0.TS);
    clts(b.cpu);
    assert.equal(b.cpu.cr0 & bits(CR0.TS), 0n);
    lmsw(b.cpu, CR0.TS | CR0.MP);
    assert.equal(b.cpu.cr0, bits(CR0.PE, CR0.ET, CR0.TS, CR0.MP), 'PE stays');
  });
});

describe('PAE page-directory pointers', () => {
  test('are checked when paging starts and when CR3 changes', () => {
    const b = protectedBed();
    b.cpu.cr4 = bits(CR4.PAE);
    b.memory.view.setBigUint64(0x6000, 0x7001n, true);
    b.memory.view.setBigUint64(0x6100, 0x7003n, true);
    b.memory.view.setBigUint64(0x6200, 0x7002n, true);
    b.cpu.cr3 = 0x6100n;
    assert.equal(set(b, 0, bits(CR0.PE, CR0.PG)), '#GP(0)', 'reserved bit 1');
    b.cpu.cr3 = 0x6000n;
    assert.equal(set(b, 0, bits(CR0.PE, CR0.PG)), undefined);
    assert.equal(set(b, 3, 0x6100), '#GP(0)');
    assert.equal(set(b, 3, 0x6200), undefined, 'entries that are not present are not checked');
  });
});

describe('CR3', () => {
  test('flushes but for global pages; PCIDs may be kept', () => {
    const b = longBed();
    set(b, 3, 0x5000);
    assert.deepEqual(b.translation.calls, ['flush true']);
    b.cpu.cr4 |= bits(CR4.PCIDE);
    set(b, 3, (1n << 63n) | 0x6001n);
    assert.deepEqual(b.translation.calls, ['flush true']);
    assert.equal(b.cpu.cr3, 0x6001n);
    set(b, 3, 0x7001n);
    assert.equal(b.translation.calls.length, 2);
  });

  test('addresses beyond the physical ones', () => {
    const b = longBed();
    assert.equal(set(b, 3, 1n << 40n), '#GP(0)');
    assert.equal(set(b, 3, 1n << 63n), '#GP(0)', 'bit 63 without PCIDs');
  });
});

describe('CR4', () => {
  test('unknown bits and changes long mode forbids', () => {
    const b = longBed();
    assert.equal(set(b, 4, bits(CR4.PAE, 1 << 12)), '#GP(0)', 'five-level paging is not claimed');
    assert.equal(set(b, 4, bits(CR4.PAE) | (1n << 32n)), '#GP(0)');
    assert.equal(set(b, 4, 0), '#GP(0)', 'PAE cannot go');
    assert.equal(set(protectedBed(), 4, bits(CR4.PCIDE)), '#GP(0)', 'PCIDs are for long mode');
    b.cpu.cr3 = 1n;
    assert.equal(set(b, 4, bits(CR4.PAE, CR4.PCIDE)), '#GP(0)');
    b.cpu.cr3 = 0x1000n;
    assert.equal(set(b, 4, bits(CR4.PAE, CR4.PCIDE)), undefined);
  });

  test('flushes', () => {
    const b = longBed();
    set(b, 4, bits(CR4.PAE, CR4.OSFXSR));
    assert.deepEqual(b.translation.calls, []);
    set(b, 4, bits(CR4.PAE, CR4.PGE));
    assert.deepEqual(b.translation.calls, ['flush false']);
  });
});

describe('CR2, CR8 and others', () => {
  test('read and write', () => {
    const b = longBed();
    set(b, 2, 0xdead_beef_0000_0000n);
    movFromCr(b.cpu, 2, 5);
    assert.equal(b.cpu.gpr[5], 0xdead_beef_0000_0000n);
    set(b, 8, 5);
    assert.equal(b.apic.cr8, 5);
    movFromCr(b.cpu, 8, 5);
    assert.equal(b.cpu.gpr[5], 5n);
    assert.equal(set(b, 8, 16), '#GP(0)');
    assert.equal(set(b, 1, 0), '#UD');
    assert.equal(
      faultOf(b, () => movFromCr(b.cpu, 5, 0)),
      '#UD',
    );
  });

  test('a hypervisor inside sees accesses', () => {
    const b = longBed();
    const seen: unknown[] = [];
    plugHooks({
      controlRegister(cpu, ...access) {
        seen.push(access);
        throw guestExit(cpu, 0x10n);
      },
    });
    b.cpu.guestMode = 1;
    assert.equal(set(b, 3, 0x5000), 'exit 10');
    assert.equal(
      faultOf(b, () => movFromCr(b.cpu, 0, 7)),
      'exit 10',
    );
    assert.equal(
      faultOf(b, () => clts(b.cpu)),
      'exit 10',
    );
    assert.deepEqual(
      seen.map((access) => (access as unknown[]).slice(0, 3)),
      [
        [3, true, 3],
        [0, false, 7],
        [0, true, -1],
      ],
    );
    assert.equal(b.cpu.cr3, 0n);
  });
  afterEach(() => plugHooks(NO_HOOKS));
});

describe('XCR0', () => {
  test('needs CR4.OSXSAVE, x87, and only what exists', () => {
    const b = bed();
    assert.equal(
      faultOf(b, () => xgetbv(b.cpu)),
      '#UD',
    );
    b.cpu.cr4 = bits(CR4.OSXSAVE);
    const write = (value: bigint, index = 0n) => {
      b.cpu.gpr[1] = index;
      setEdxEax(b.cpu, value);
      return faultOf(b, () => xsetbv(b.cpu));
    };
    assert.equal(write(3n), undefined);
    assert.equal(write(2n), '#GP(0)');
    assert.equal(write(7n), '#GP(0)');
    assert.equal(write(3n, 1n), '#GP(0)');
    b.cpu.gpr[1] = 0n;
    xgetbv(b.cpu);
    assert.equal(edxEax(b.cpu), 3n);
    b.cpu.gpr[1] = 2n;
    assert.equal(
      faultOf(b, () => xgetbv(b.cpu)),
      '#GP(0)',
    );
  });
  test('is for level 0', () => {
    const b = protectedBed(3);
    b.cpu.cr4 = bits(CR4.OSXSAVE);
    setEdxEax(b.cpu, 3n);
    assert.equal(
      faultOf(b, () => xsetbv(b.cpu)),
      '#GP(0)',
    );
  });
});

describe('debug registers', () => {
  const put = (b: Bed, number: number, value: bigint) => {
    b.cpu.gpr[3] = value;
    return faultOf(b, () => movToDr(b.cpu, number, 3));
  };
  const get = (b: Bed, number: number) => faultOf(b, () => movFromDr(b.cpu, number, 3)) ?? b.cpu.gpr[3];

  test('fixed bits', () => {
    const b = longBed();
    put(b, 6, 0n);
    assert.equal(get(b, 6), 0xffff_0ff0n);
    put(b, 7, 0xffff_dfffn);
    assert.equal(get(b, 7), 0xffff_07ffn);
    put(b, 3, 0xffff_8000_0000_0000n);
    assert.equal(get(b, 3), 0xffff_8000_0000_0000n);
    assert.equal(put(b, 6, 1n << 32n), '#GP(0)');
  });

  test('DR4 and DR5 are aliases unless CR4.DE is set', () => {
    const b = longBed();
    assert.equal(get(b, 5), 0x400n);
    b.cpu.cr4 |= bits(CR4.DE);
    assert.equal(get(b, 5), '#UD');
    assert.equal(get(b, 8), '#UD');
  });

  test('general detect', () => {
    const b = longBed();
    put(b, 7, bits(DR7.GD));
    assert.equal(get(b, 0), '#DB');
    assert.notEqual(b.cpu.dr6 & (1n << 13n), 0n);
  });
});
