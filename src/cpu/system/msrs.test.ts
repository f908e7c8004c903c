import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { FS } from '../context.ts';
import { guestExit } from '../fault.ts';
import { NO_HOOKS, plugHooks } from './hooks.ts';
import { MSR } from './msr-numbers.ts';
import { rdmsr, readMsr, VM_CR, writeMsr, wrmsr } from './msrs.ts';
import { CR0, CR4, EFER, edxEax, setEdxEax } from './registers.ts';
import { type Bed, bed, faultOf, longBed, protectedBed } from './testing.ts';
import { rdpmc, rdrand, rdtsc, rdtscp } from './time.ts';

function write(b: Bed, index: number, value: bigint): string | undefined {
  b.cpu.gpr[1] = BigInt(index);
  setEdxEax(b.cpu, value);
  return faultOf(b, () => wrmsr(b.cpu));
}
function read(b: Bed, index: number): bigint | string {
  b.cpu.gpr[1] = BigInt(index);
  return faultOf(b, () => rdmsr(b.cpu)) ?? edxEax(b.cpu);
}

describe('reserved bits and bad values are #GP(0)', () => {
  const cases: [string, number, bigint, boolean][] = [
    ['PAT type 2', MSR.PAT, 0x2n, false],
    ['PAT', MSR.PAT, 0x0007_0105_0007_0106n, true],
    ['MTRR default type', MSR.MTRR_DEF_TYPE, 0xc06n, true],
    ['MTRR default type 2', MSR.MTRR_DEF_TYPE, 0xc02n, false],
    ['MTRR default type reserved', MSR.MTRR_DEF_TYPE, 0x100n, false],
    ['MTRR base', 0x200, 0x1_0000_0006n, true],
    ['MTRR base beyond the physical addresses', 0x200, 1n << 40n, false],
    ['MTRR base type 7', 0x200, 7n, false],
    ['MTRR mask', 0x201, 0xff_c000_0800n, true],
    ['MTRR mask reserved', 0x201, 1n, false],
    ['fixed MTRR', 0x268, 0x0606_0606_0505_0505n, true],
    ['fixed MTRR type 3', 0x268, 0x03n, false],
    ['fixed MTRR with RdMem while hidden', 0x268, 0x18n, false],
    ['LSTAR not canonical', MSR.LSTAR, 0x8000_0000_0000n, false],
    ['FS base not canonical', MSR.FS_BASE, 0x8000_0000_0000n, false],
    ['EFER reserved', MSR.EFER, 2n, false],
    ['TSC_AUX upper half', MSR.TSC_AUX, 1n << 32n, false],
    ['SPEC_CTRL.IBRS', MSR.SPEC_CTRL, 1n, true],
    ['SPEC_CTRL reserved', MSR.SPEC_CTRL, 8n, false],
    ['PRED_CMD.IBPB', MSR.PRED_CMD, 1n, true],
    ['PRED_CMD reserved', MSR.PRED_CMD, 2n, false],
    ['VM_HSAVE_PA not aligned', MSR.VM_HSAVE_PA, 0x1001n, false],
    ['VM_HSAVE_PA', MSR.VM_HSAVE_PA, 0x1000n, true],
    ['TSC_RATIO reserved', MSR.TSC_RATIO, 1n << 40n, false],
    ['MCi_CTL', 0x400, 0xffff_ffff_ffff_ffffn, true],
    ['MCi_STATUS', 0x401, 1n, false],
    ['MCi_STATUS cleared', 0x401, 0n, true],
    ['read-only', MSR.MTRRCAP, 0x508n, false],
    ['ARCH_CAPABILITIES', MSR.ARCH_CAPABILITIES, 0n, false],
    ['unknown', 0x1234, 0n, false],
  ];
  for (const [name, index, value, accepted] of cases) {
    test(name, () =>
      assert.equal(write(bed({ exposeVirtualization: true }), index, value), accepted ? undefined : '#GP(0)'),
    );
  }
});

describe('RDMSR and WRMSR', () => {
  test('unknown registers are logged once each', () => {
    const b = bed();
    for (let i = 0; i < 3; i++) assert.equal(read(b, 0x1234), '#GP(0)');
    assert.equal(write(b, 0x1235, 7n), '#GP(0)');
    assert.equal(b.log.length, 2);
    assert.match(b.log[0], /^unimplemented: read of MSR 1234h/);
  });

  test('values come back', () => {
    const b = bed({ exposeVirtualization: true });
    for (const [index, value] of [
      [MSR.STAR, 0x0023_0010_0000_0000n],
      [MSR.LSTAR, 0xffff_8000_0000_1000n],
      [MSR.SYSENTER_EIP, 5n],
      [MSR.KERNEL_GS_BASE, 0x7fff_ffff_ffffn],
      [0x203, 0xff_0000_0800n],
      [0x26f, 0x0606_0606_0606_0606n],
      [0x404, 7n],
      [MSR.NB_CFG, 1n << 46n],
      [MSR.HWCR, (1n << 24n) | (1n << 18n)],
    ] as const) {
      assert.equal(write(b, index, value), undefined);
      assert.equal(read(b, index), value, index.toString(16));
    }
  });

  test('segment bases', () => {
    const b = longBed();
    write(b, MSR.FS_BASE, 0xffff_8000_0000_0000n);
    assert.equal(b.cpu.segments[FS].base, 0xffff_8000_0000_0000n);
  });

  test('the local APIC answers for its registers', () => {
    const b = bed();
    b.apic.msrs.set(0x802, 5n);
    assert.equal(read(b, 0x802), 5n);
    assert.equal(read(b, 0x803), '#GP(0)');
    assert.equal(write(b, MSR.TSC_DEADLINE, 9n), undefined);
    assert.equal(b.apic.msrs.get(MSR.TSC_DEADLINE), 9n);
  });

  test('EFER.LME cannot change under paging, LMA is not writable', () => {
    const b = longBed();
    assert.equal(write(b, MSR.EFER, BigInt(EFER.SCE)), '#GP(0)');
    assert.equal(write(b, MSR.EFER, BigInt(EFER.LME)), undefined);
    assert.equal(b.cpu.efer, BigInt(EFER.LME | EFER.LMA));
  });

  test('fixed MTRRs hide RdMem and WrMem until SYSCFG shows them', () => {
    const b = bed();
    write(b, MSR.SYSCFG, 1n << 19n);
    assert.equal(write(b, 0x268, 0x1en), undefined);
    assert.equal(read(b, 0x268), 0x1en);
    write(b, MSR.SYSCFG, 0n);
    assert.equal(read(b, 0x268), 0x06n);
  });

  test('VM_CR is locked with SVM disabled unless AMD-V is exposed', () => {
    const b = bed();
    assert.equal(read(b, MSR.VM_CR), VM_CR.LOCK | VM_CR.SVMDIS);
    write(b, MSR.VM_CR, 0n);
    assert.equal(read(b, MSR.VM_CR), VM_CR.LOCK | VM_CR.SVMDIS);
    const open = bed({ exposeVirtualization: true });
    assert.equal(read(open, MSR.VM_CR), 0n);
    assert.equal(write(open, MSR.VM_CR, VM_CR.SVMDIS), undefined);
    assert.equal(write(open, MSR.EFER, BigInt(EFER.SVME)), '#GP(0)');
    assert.equal(write(open, MSR.VM_CR, 0x20n), '#GP(0)');
  });

  test('SVM_KEY unlocks VM_CR', () => {
    const b = bed({ exposeVirtualization: true });
    write(b, MSR.SVM_KEY, 0x1234n);
    write(b, MSR.VM_CR, VM_CR.LOCK | VM_CR.SVMDIS);
    write(b, MSR.SVM_KEY, 1n);
    assert.equal(read(b, MSR.VM_CR), VM_CR.LOCK | VM_CR.SVMDIS);
    write(b, MSR.SVM_KEY, 0x1234n);
    assert.equal(read(b, MSR.VM_CR), VM_CR.SVMDIS);
    assert.equal(read(b, MSR.SVM_KEY), 0n);
  });

  test('SVME cannot be disabled away while in use', () => {
    const b = bed({ exposeVirtualization: true });
    write(b, MSR.EFER, BigInt(EFER.SVME));
    assert.equal(write(b, MSR.VM_CR, VM_CR.SVMDIS), '#GP(0)');
  });
});

describe('the permission map of a hypervisor inside', () => {
  afterEach(() => plugHooks(NO_HOOKS));
  test('comes before the register is looked up', () => {
    const b = bed();
    plugHooks({
      modelSpecificRegister(cpu, index, isWrite) {
        throw guestExit(cpu, BigInt(index), isWrite ? 1n : 0n);
      },
    });
    b.cpu.guestMode = 1;
    assert.equal(read(b, 0x1234), 'exit 1234');
    assert.equal(write(b, 0x1235, 0n), 'exit 1235');
  });
});

describe('time', () => {
  test('the counter runs at the model’s frequency and can be set', () => {
    const b = bed({ tscFrequency: 3_000_000_000 });
    b.now = 1000;
    rdtsc(b.cpu);
    assert.equal(edxEax(b.cpu), 3000n);
    write(b, MSR.TSC, 0x1_0000_0000n);
    assert.equal(read(b, MSR.TSC), 0x1_0000_0000n);
    b.now = 2000;
    assert.equal(read(b, MSR.TSC), 0x1_0000_0bb8n);
    b.cpu.tscAux = 7n;
    rdtscp(b.cpu);
    assert.equal(b.cpu.gpr[1], 7n);
  });

  test('TSC_ADJUST, where claimed, moves with the counter and moves it', () => {
    const b = bed({ flags: { tscAdjust: true } });
    write(b, MSR.TSC, 100n);
    assert.equal(read(b, MSR.TSC_ADJUST), 100n);
    write(b, MSR.TSC_ADJUST, 0n);
    assert.equal(read(b, MSR.TSC), 0n);
  });

  test('CR4.TSD keeps it from user mode', () => {
    const b = protectedBed(3);
    assert.equal(
      faultOf(b, () => rdtsc(b.cpu)),
      undefined,
    );
    b.cpu.cr4 = BigInt(CR4.TSD);
    assert.equal(
      faultOf(b, () => rdtsc(b.cpu)),
      '#GP(0)',
    );
    assert.equal(
      faultOf(b, () => rdtscp(b.cpu)),
      '#GP(0)',
    );
    b.cpu.cr0 &= ~BigInt(CR0.PE);
    assert.equal(
      faultOf(b, () => rdtsc(b.cpu)),
      undefined,
    );
  });

  test('legacy performance counters count cycles', () => {
    const b = bed({ tscFrequency: 1_000_000_000 });
    write(b, MSR.PERF_COUNTER0, 0xffffn);
    assert.equal(read(b, MSR.PERF_COUNTER0), 0xffffn);
    write(b, MSR.PERF_EVENT_SELECT0, 0x43_0076n);
    b.now = 5;
    assert.equal(read(b, MSR.PERF_COUNTER0), 0xffffn + 5n);
    write(b, MSR.PERF_EVENT_SELECT0, 0n);
    b.now = 50;
    b.cpu.gpr[1] = 0n;
    rdpmc(b.cpu);
    assert.equal(edxEax(b.cpu), 0xffffn + 5n);
    b.cpu.gpr[1] = 4n;
    assert.equal(
      faultOf(b, () => rdpmc(b.cpu)),
      '#GP(0)',
    );
  });

  test('random numbers fill the operand and set CF', () => {
    const { cpu } = bed();
    cpu.gpr[3] = 0xffff_ffff_ffff_0000n;
    rdrand(cpu, 16, 3);
    assert.equal(cpu.gpr[3], 0xffff_ffff_ffff_5a5an);
    rdrand(cpu, 32, 3);
    assert.equal(cpu.gpr[3], 0x5a5a_5a5an);
    rdrand(cpu, 64, 3);
    assert.equal(cpu.gpr[3], 0x5a5a_5a5a_5a5a_5a5an);
  });
});

test('readMsr and writeMsr agree with the instructions', () => {
  const { cpu } = bed();
  assert.equal(writeMsr(cpu, MSR.SYSENTER_CS, 8n), true);
  assert.equal(readMsr(cpu, MSR.SYSENTER_CS), 8n);
});
