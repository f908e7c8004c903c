import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { INSTRUCTION_TABLE } from '../../isa/index.ts';
import { CPU_MODEL_NAMES, cpuModel } from '../model.ts';
import { cr4Mask } from './control-registers.ts';
import { cpuid, query } from './cpuid.ts';
import { CPUID_FLAGS, type CpuidFlag } from './cpuid-flags.ts';
import { MSR } from './msr-numbers.ts';
import { KNOWN_MSRS, readMsr, writeMsr } from './msrs.ts';
import { CR4, EFER, setEdxEax } from './registers.ts';
import { type Bed, bed } from './testing.ts';

const exposed = { exposeVirtualization: true };

function claimed(b: Bed, flag: CpuidFlag): boolean {
  const [leaf, subleaf, register, bit] = CPUID_FLAGS[flag];
  return ((query(b.cpu, leaf, subleaf)[register] >>> bit) & 1) !== 0;
}

describe('CPUID', () => {
  test('every flag of the model shows, and no other', () => {
    for (const options of [{}, exposed]) {
      const b = bed(options);
      for (const flag of Object.keys(CPUID_FLAGS) as CpuidFlag[]) {
        assert.equal(claimed(b, flag), b.cpu.model.flags.has(flag), flag);
      }
    }
  });

  test('no two flags share a bit', () => {
    const places = Object.values(CPUID_FLAGS).map((place) => place.join());
    assert.equal(new Set(places).size, places.length);
  });

  test('the decoder is gated by the same flags, and every gate has instructions', () => {
    const model = cpuModel('amd', exposed);
    const gates = new Set(INSTRUCTION_TABLE.encodings.map((encoding) => encoding.instruction.feature));
    for (const feature of model.features) {
      assert.ok(model.flags.has(feature));
      // instructions that exist anyway, or do nothing where they do not
      const withoutInstructions = ['fpu', 'mmx', 'fxsr', 'umip', 'lahf64', 'prefetchw'];
      assert.ok(gates.has(feature) || withoutInstructions.includes(feature), `no instruction needs ${feature}`);
    }
  });

  test('vendor, brand, signature', () => {
    const { cpu } = bed();
    const { ebx, ecx, edx } = query(cpu, 0, 0);
    const text = (...values: number[]) =>
      String.fromCharCode(...values.flatMap((v) => [v & 255, (v >> 8) & 255, (v >> 16) & 255, v >>> 24]));
    assert.equal(text(ebx, edx, ecx), 'AuthenticAMD');
    const brand = [2, 3, 4].flatMap((n) => Object.values(query(cpu, 0x8000_0000 + n, 0)));
    assert.equal(text(...brand).replace(/\0+$/, ''), cpu.model.brand);
    const signature = query(cpu, 1, 0).eax;
    assert.equal(((signature >> 8) & 0xf) + ((signature >> 20) & 0xff), cpu.model.family);
    assert.equal(((signature >> 4) & 0xf) | ((signature >> 12) & 0xf0), cpu.model.model);
    assert.equal(query(cpu, 0x8000_0001, 0).eax, signature);
  });

  test('leaves beyond the maximum are zero, also the hypervisor range', () => {
    const { cpu } = bed();
    for (const leaf of [0xe, 0x20, 0x4000_0000, 0x8000_0022, 0x8fff_ffff, 0xffff_ffff]) {
      assert.deepEqual(query(cpu, leaf, 0), { eax: 0, ebx: 0, ecx: 0, edx: 0 }, leaf.toString(16));
    }
  });

  test('OSXSAVE follows CR4, APIC follows its enable bit', () => {
    const b = bed();
    assert.equal(query(b.cpu, 1, 0).ecx & (1 << 27), 0);
    b.cpu.cr4 = BigInt(CR4.OSXSAVE);
    assert.notEqual(query(b.cpu, 1, 0).ecx & (1 << 27), 0);
    b.apic.apicBase = 0xfee0_0000n;
    assert.equal(claimed(b, 'apic'), false);
    assert.equal(query(b.cpu, 0x8000_0001, 0).edx & (1 << 9), 0);
  });

  test('extended state: x87 and SSE only, in the legacy area', () => {
    const { cpu } = bed();
    assert.deepEqual(query(cpu, 0xd, 0), { eax: 3, ebx: 576, ecx: 576, edx: 0 });
    assert.equal(query(cpu, 0xd, 1).eax, 7);
    assert.equal(query(cpu, 0xd, 2).eax, 0);
  });

  test('topology agrees with itself', () => {
    const b = bed({ processors: 6 });
    b.cpu.apicId = 5;
    assert.equal(query(b.cpu, 1, 0).ebx >>> 24, 5);
    assert.equal((query(b.cpu, 1, 0).ebx >> 16) & 0xff, 8);
    assert.notEqual(query(b.cpu, 1, 0).edx & (1 << 28), 0);
    assert.deepEqual(query(b.cpu, 0xb, 1), { eax: 3, ebx: 6, ecx: 0x201, edx: 5 });
    assert.equal(query(b.cpu, 0x8000_0008, 0).ecx, 5 | (3 << 12));
    assert.equal(query(b.cpu, 0x8000_001e, 0).eax, 5);
    assert.equal(query(bed().cpu, 0xb, 1).eax, 0);
    assert.equal(query(bed().cpu, 1, 0).edx & (1 << 28), 0, 'a single processor has no siblings');
  });

  test('AMD-V shows only when exposed', () => {
    const hidden = bed();
    assert.deepEqual(query(hidden.cpu, 0x8000_000a, 0), { eax: 0, ebx: 0, ecx: 0, edx: 0 });
    const { cpu } = bed(exposed);
    const { eax, ebx } = query(cpu, 0x8000_000a, 0);
    assert.equal(eax, 1);
    assert.ok(ebx >= 64);
  });

  test('the instruction fills four registers and clears their upper halves', () => {
    const { cpu } = bed();
    cpu.gpr.fill(0xffff_ffff_0000_0000n);
    setEdxEax(cpu, 0n);
    cpu.gpr[1] = 0xffff_ffff_0000_0000n;
    cpuid(cpu);
    assert.equal(cpu.gpr[0], 0xdn);
    assert.ok(cpu.gpr.subarray(0, 4).every((value) => value >> 32n === 0n));
  });

  test('options add and withhold flags', () => {
    assert.ok(cpuModel('amd', { flags: { hypervisor: true } }).flags.has('hypervisor'));
    const without = cpuModel('amd', { flags: { rdrand: false } });
    assert.ok(!without.flags.has('rdrand') && !without.features.has('rdrand'));
    assert.deepEqual(CPU_MODEL_NAMES, ['amd']);
  });
});

describe('what CPUID implies exists', () => {
  test('control register bits', () => {
    const mask = cr4Mask(bed().cpu);
    for (const [name, flag] of [
      ['SMEP', 'smep'],
      ['SMAP', 'smap'],
      ['PCIDE', 'pcid'],
      ['UMIP', 'umip'],
      ['FSGSBASE', 'fsgsbase'],
    ] as const) {
      assert.equal((mask & CR4[name]) !== 0, true, flag);
    }
    assert.equal((cr4Mask(bed({ flags: { umip: false } }).cpu) & CR4.UMIP) !== 0, false);
  });

  const implied: [CpuidFlag, number[]][] = [
    ['tsc', [MSR.TSC]],
    ['mtrr', [MSR.MTRRCAP, MSR.MTRR_DEF_TYPE, 0x200, 0x20f, 0x250, 0x258, 0x259, 0x268, 0x26f]],
    ['pat', [MSR.PAT]],
    ['mca', [MSR.MCG_CAP, MSR.MCG_STATUS, MSR.MCG_CTL, 0x400, 0x40f]],
    ['sysenter', [MSR.SYSENTER_CS, MSR.SYSENTER_ESP, MSR.SYSENTER_EIP]],
    ['syscall', [MSR.STAR, MSR.EFER]],
    ['longMode', [MSR.LSTAR, MSR.CSTAR, MSR.SFMASK, MSR.FS_BASE, MSR.GS_BASE, MSR.KERNEL_GS_BASE]],
    ['rdtscp', [MSR.TSC_AUX]],
    ['archCapabilities', [MSR.ARCH_CAPABILITIES]],
    ['amdIbrs', [MSR.SPEC_CTRL]],
    ['osvw', [MSR.OSVW_ID_LENGTH, MSR.OSVW_STATUS]],
    ['svm', [MSR.VM_CR, MSR.VM_HSAVE_PA]],
    ['tscRateMsr', [MSR.TSC_RATIO]],
    ['svmLock', [MSR.SVM_KEY]],
    ['tscDeadline', [MSR.TSC_DEADLINE]],
    ['apic', [MSR.APIC_BASE]],
  ];
  for (const [flag, registers] of implied) {
    test(`MSRs of ${flag}`, () => {
      const { cpu } = bed(exposed);
      assert.ok(cpu.model.flags.has(flag));
      for (const index of registers) assert.notEqual(readMsr(cpu, index), undefined, index.toString(16));
    });
  }

  test('what is not claimed is #GP: AMD-V registers, MPERF, extended performance counters', () => {
    const { cpu } = bed();
    for (const index of [
      MSR.VM_HSAVE_PA,
      MSR.TSC_RATIO,
      MSR.SVM_KEY,
      0xe7,
      0xe8,
      0xc001_0200,
      MSR.XSS,
      MSR.TSC_ADJUST,
      MSR.MISC_ENABLE,
    ]) {
      assert.equal(readMsr(cpu, index), undefined, index.toString(16));
    }
  });

  test('every known MSR either reads or is write-only', () => {
    const { cpu } = bed(exposed);
    const writeOnly = KNOWN_MSRS.filter((index) => readMsr(cpu, index) === undefined);
    const expected = [MSR.PRED_CMD, MSR.TSC_ADJUST, MSR.FEATURE_CONTROL, MSR.MISC_ENABLE, MSR.XSS] as number[];
    assert.deepEqual(
      writeOnly.filter((index) => index < MSR.X2APIC_FIRST || index > MSR.X2APIC_LAST).sort(),
      expected.sort(),
    );
    assert.equal(writeMsr(cpu, MSR.PRED_CMD, 1n), true);
  });

  test('EFER bits', () => {
    const without = bed();
    assert.equal(writeMsr(without.cpu, MSR.EFER, BigInt(EFER.SVME)), false);
    const { cpu } = bed(exposed);
    assert.equal(writeMsr(cpu, MSR.EFER, BigInt(EFER.SVME | EFER.NXE | EFER.SCE | EFER.LME)), true);
  });
});
