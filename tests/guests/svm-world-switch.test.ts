/** AMD-V: VMRUN and #VMEXIT, what they swap, and what VMRUN refuses (APM vol. 2 15.3-15.6). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FS } from '../../src/cpu/context.ts';
import { ExitCode } from '../../src/cpu/svm/vmcb.ts';
import { CR0, CR4, EFER, FLAG } from '../../src/cpu/system/registers.ts';
import { INTERCEPT_EXIT_CODE } from '../../src/isa/intercepts.ts';
import { Vector } from '../../src/isa/stage.ts';
import { longMode, PLACE, protectedMode, SELECTOR, toUser64 } from './library.ts';
import { HYPERVISOR, Vmcb, virtualMachine } from './virtual-machine.ts';

const { UD, GP } = Vector;
const { HLT, VMMCALL, CPUID } = INTERCEPT_EXIT_CODE;

describe('the instructions', () => {
  const NAMES = ['vmrun', 'vmload', 'vmsave', 'stgi', 'clgi', 'invlpga'];
  for (const name of NAMES) {
    test(`${name} without EFER.SVME: #UD`, () => {
      longMode(`here: ${name}`).expectException({ vector: UD, at: 'here' });
    });
    test(`${name} at CPL 3: #GP(0)`, () => {
      longMode(`${toUser64()}here: ${name}`, { efer: EFER.SVME }).expectException({
        vector: GP,
        errorCode: 0,
        at: 'here',
      });
    });
  }
  test('an address that is not page-aligned: #GP(0)', () => {
    for (const name of ['vmrun', 'vmload', 'vmsave']) {
      longMode(`mov eax, 0x150010\nhere: ${name}`, { efer: EFER.SVME }).expectException({
        vector: GP,
        errorCode: 0,
        at: 'here',
      });
    }
  });
  test('an address beyond the physical ones: #GP(0)', () => {
    longMode('mov rax, 0x10000000000000\nhere: vmload', { efer: EFER.SVME }).expectException({
      vector: GP,
      errorCode: 0,
      at: 'here',
    });
  });
  test('VMLOAD and VMSAVE move FS, GS, TR, LDTR and the system call MSRs', () => {
    const guest = longMode(`mov eax, 0x150000\nvmload\nmov eax, 0x157000\nvmsave\nswapgs\nrdgsbase rbx\nhlt`, {
      efer: EFER.SVME,
      cr4: CR4.FSGSBASE,
    });
    const vmcb = new Vmcb(guest);
    vmcb.setSegment('FS', 0, 0xc93, 0xffff_ffff, 0x1111_0000);
    vmcb.setSegment('GS', 0, 0xc93, 0xffff_ffff, 0x2222_0000);
    vmcb.setSegment('TR', SELECTOR.TASK2, 0x8b, 0x67, PLACE.TSS2);
    vmcb.setSegment('LDTR', SELECTOR.LOCAL, 0x82, 0xff, PLACE.LDT);
    const MSRS = [
      'KERNEL_GS_BASE',
      'STAR',
      'LSTAR',
      'CSTAR',
      'SFMASK',
      'SYSENTER_CS',
      'SYSENTER_ESP',
      'SYSENTER_EIP',
    ] as const;
    for (const [i, name] of MSRS.entries()) vmcb.setSave(name, 0x1000 * (i + 1));
    guest.halt();
    assert.equal(guest.register('rbx'), 0x1000n);
    assert.equal(guest.selector('tr'), SELECTOR.TASK2);
    const saved = new Vmcb(guest, HYPERVISOR.SPARE_VMCB);
    const bytes = (at: number) => Buffer.from(guest.memory.read(at, 0x10)).toString('hex');
    for (const offset of [0x440, 0x450, 0x470, 0x490])
      assert.equal(bytes(saved.base + offset), bytes(vmcb.base + offset));
    for (const [i, name] of MSRS.entries()) assert.equal(saved.save(name), BigInt(0x1000 * (i + 1)), name);
  });
  test('VMLOAD makes base addresses canonical', () => {
    const guest = longMode('mov eax, 0x150000\nvmload\nmov eax, 0x157000\nvmsave\nhlt', { efer: EFER.SVME });
    const vmcb = new Vmcb(guest);
    vmcb.setSegment('FS', 0, 0xc93, 0xffff_ffff, 0xaaaa_8000_0000_0000n);
    vmcb.setSegment('TR', SELECTOR.TASK2, 0x8b, 0x67, PLACE.TSS2);
    vmcb.setSave('KERNEL_GS_BASE', 0xaaaa_7000_0000_0000n);
    guest.halt();
    assert.equal(guest.cpu.segments[FS].base, 0xffff_8000_0000_0000n);
    assert.equal(guest.cpu.kernelGsBase, 0x7000_0000_0000n);
  });
  test('LBR virtualization swaps DebugCtl and the last branch', () => {
    const vm = virtualMachine('from: jmp there\nnop\nthere: hlt');
    vm.vmcb.setControl('LBR_VIRTUALIZATION_ENABLE', 1);
    vm.vmcb.setSave('DBGCTL', 1);
    vm.cpu.lastBranchFrom = 0x1234n;
    vm.expectExit(HLT, { at: 'there' });
    assert.deepEqual(
      [vm.vmcb.save('DBGCTL'), vm.vmcb.save('BR_FROM'), vm.vmcb.save('BR_TO')],
      [1n, vm.address('from'), vm.address('there')],
    );
    assert.deepEqual([vm.cpu.debugCtl, vm.cpu.lastBranchFrom, vm.cpu.lbrVirtualization], [0n, 0x1234n, 0]);
  });
  test('in compatibility mode they take EAX', () => {
    const guest = longMode(
      'jmp far dword ptr [to]\nto: dd there\ndw CODE32\nbits 32\nthere: mov eax, 0x157000\nvmsave\nhlt',
      { efer: EFER.SVME },
    ).halt();
    assert.equal(guest.memory.readU64(HYPERVISOR.SPARE_VMCB + 0x490 + 8), BigInt(PLACE.TSS));
  });
  test('in real-address mode they are undefined', () => {
    const vm = virtualMachine('here: vmrun', { mode: 'real' });
    vm.vmcb.interceptException(UD);
    vm.expectExit(ExitCode.EXCEPTION + UD, { at: 'here' });
  });
});

describe('a round trip', () => {
  test('the guest runs with its state, and its state comes back', () => {
    const vm = virtualMachine(
      'mov ebx, 5\nadd rsp, 16\nstc\nmov cr2, rbx\nmov eax, 0x77\nmov cx, USER_DATA32\nmov es, cx\nhere: hlt',
    );
    vm.expectExit(HLT, { at: 'here' });
    const { vmcb } = vm;
    assert.equal(vmcb.save('RAX'), 0x77n);
    assert.equal(vmcb.save('RSP'), BigInt(HYPERVISOR.GUEST_STACK + 16));
    assert.equal(vmcb.save('CR2'), 5n);
    assert.equal(Number(vmcb.save('RFLAGS')) & FLAG.CF, FLAG.CF);
    assert.equal(vmcb.selector('ES'), SELECTOR.USER_DATA32);
    assert.equal(vmcb.cpl, 0);
    assert.equal(vm.cpu.gpr[3], 5n);
  });
  test('the host comes back with its own', () => {
    const vm = virtualMachine('std\nmov rsp, 0x1000\nxor eax, eax\nmov ax, USER_DATA32\nmov es, ax\nhlt');
    vm.expectExit(HLT);
    const { host, cpu } = vm;
    assert.equal(host.register('rax'), BigInt(HYPERVISOR.VMCB));
    assert.equal(host.register('rsp'), BigInt(PLACE.STACK));
    assert.equal(host.rflags & FLAG.DF, 0);
    assert.equal(host.selector('es'), SELECTOR.DATA32);
    assert.equal(cpu.rip, host.address('returned') + 1n);
    assert.equal(cpu.cr3, BigInt(host.pages.root));
    assert.equal(cpu.cpl, 0);
    assert.equal(cpu.dr7, 0x400n);
    assert.equal(cpu.guestMode, 0);
  });
  test('GIF is clear after #VMEXIT: interrupts and NMI wait for STGI', () => {
    const host = `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nmov rax, VMCB
      clgi\nsti\nvmrun\nnop\nnop\nmov ebx, 1\nstgi\nnext: nop`;
    const vm = virtualMachine('hlt', { host });
    vm.bench.apic.vector = 0x31;
    vm.vmcb.setControl('VIRTUAL_INTERRUPT', 1 << 24);
    vm.vmcb.intercept('INTR');
    vm.host.expectException({ vector: 0x31, at: 'next' });
    assert.equal(vm.exitCode, ExitCode.INTR);
    assert.equal(vm.host.register('ebx'), 1n);
  });
  test('resuming works as often as one likes', () => {
    const vm = virtualMachine('again: inc ebx\nvmmcall\njmp again', { intercepts: ['VMMCALL'] });
    for (let i = 1n; i < 20n; i++) {
      vm.expectExit(VMMCALL);
      assert.equal(vm.cpu.gpr[3], i);
      vm.skip();
    }
  });
  for (const mode of ['long', 'protected', 'real'] as const) {
    for (const nested of [false, true]) {
      test(`a guest in ${mode} mode ${nested ? 'with' : 'without'} nested paging`, () => {
        const vm = virtualMachine('mov eax, 0x12345678\npush ax\nmov bx, cs\nhere: cpuid', {
          mode,
          nested,
          intercepts: ['CPUID'],
        });
        vm.expectExit(CPUID, { at: 'here' });
        assert.equal(vm.vmcb.save('RAX'), 0x1234_5678n);
        assert.equal(Number(vm.cpu.gpr[3]), { long: SELECTOR.CODE64, protected: SELECTOR.CODE32, real: 0 }[mode]);
      });
    }
  }
  test('a guest at CPL 3', () => {
    const vm = virtualMachine('nop', { intercepts: ['CPUID'] });
    // its code is on a user page of the host's tables
    vm.memory.write(PLACE.USER_CODE, Uint8Array.from([0x0f, 0xa2]));
    vm.vmcb.setSegment('CS', SELECTOR.USER_CODE64 + 3, 0x2fb, 0xffff_ffff);
    vm.vmcb.setSegment('SS', SELECTOR.USER_DATA32 + 3, 0xcf3, 0xffff_ffff);
    vm.memory.writeU8(HYPERVISOR.VMCB + 0x4cb, 3);
    vm.vmcb.setSave('RIP', PLACE.USER_CODE);
    vm.expectExit(CPUID);
    assert.equal(vm.vmcb.cpl, 3);
    assert.equal(vm.cpu.cpl, 0);
  });
  test('a guest that goes to CPL 3 itself, and back through a gate', () => {
    const vm = virtualMachine(
      `mov eax, TASK
       push USER_DATA32+3
       push USER_STACK
       push 2
       push USER_CODE64+3
       push USER_CODE
       iretq`,
      { intercepts: ['CPUID'] },
    );
    vm.memory.write(PLACE.USER_CODE, Uint8Array.from([0x0f, 0xa2, 0xcd, 0x80])); // cpuid; int 80h
    vm.expectExit(CPUID);
    assert.equal(vm.vmcb.cpl, 3);
    assert.equal(vm.vmcb.selector('CS'), SELECTOR.USER_CODE64 + 3);
    vm.skip().expectExit(HLT);
    assert.equal(vm.vmcb.cpl, 0);
    assert.equal(vm.vmcb.save('RSP'), BigInt(PLACE.STACK0 - 40));
  });
  test('a guest that turns its own paging on', () => {
    const vm = virtualMachine(
      `mov eax, TABLES
       mov cr3, eax
       mov eax, 0x80000001
       mov cr0, eax
       mov ebx, [0x400000]
       hlt`,
      { mode: 'protected', nested: true, define: { TABLES: 0x1b_0000 } },
    );
    const { memory } = vm;
    memory.writeU32(0x1b_0000, 0x1b_1003);
    memory.writeU32(0x1b_0004, 0x1b_2003);
    for (let i = 0; i < 1024; i++) memory.writeU32(0x1b_1000 + 4 * i, (i << 12) | 3);
    memory.writeU32(0x1b_2000, HYPERVISOR.GUEST_DATA | 3);
    memory.writeU32(HYPERVISOR.GUEST_DATA, 321);
    vm.expectExit(HLT);
    assert.equal(vm.cpu.gpr[3], 321n);
    assert.equal(vm.vmcb.save('CR0'), BigInt((CR0.PG | CR0.PE | CR0.ET) >>> 0));
  });
  test('the host keeps running in compatibility mode, too', () => {
    const vm = virtualMachine('inc ebx\nhlt', {
      host: `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\njmp far dword ptr [to]\nto: dd there\ndw CODE32
        bits 32\nthere: mov eax, VMCB\nvmrun\nmov ecx, cs\nhlt`,
    });
    vm.expectExit(HLT);
    assert.equal(vm.host.register('ecx'), BigInt(SELECTOR.CODE32));
  });
});

describe('VMRUN refuses', () => {
  const refuses = (rule: string, change: (vm: ReturnType<typeof virtualMachine>) => void, options = {}) => {
    test(rule, () => {
      const vm = virtualMachine('hlt', options);
      change(vm);
      vm.expectInvalid(rule);
    });
  };
  const UPPER = 1n << 32n;
  refuses('EFER.SVME is zero', ({ vmcb }) => vmcb.setSave('EFER', vmcb.save('EFER') & ~BigInt(EFER.SVME)));
  refuses('CR0.CD is zero and CR0.NW is set', ({ vmcb }) => vmcb.setSave('CR0', vmcb.save('CR0') | BigInt(CR0.NW)));
  refuses('CR0[63:32] are not zero', ({ vmcb }) => vmcb.setSave('CR0', vmcb.save('CR0') | UPPER));
  refuses('CR3 has a reserved bit set', ({ vmcb }) => vmcb.setSave('CR3', 1n << 50n));
  refuses('CR4 has a reserved bit set', ({ vmcb }) => vmcb.setSave('CR4', vmcb.save('CR4') | (1n << 31n)));
  refuses('DR6[63:32] are not zero', ({ vmcb }) => vmcb.setSave('DR6', UPPER));
  refuses('DR7[63:32] are not zero', ({ vmcb }) => vmcb.setSave('DR7', UPPER));
  refuses('EFER has a reserved bit set', ({ vmcb }) => vmcb.setSave('EFER', vmcb.save('EFER') | UPPER));
  refuses('EFER.LME and CR0.PG are set and CR4.PAE is zero', ({ vmcb }) => vmcb.setSave('CR4', 0));
  refuses('EFER.LME and CR0.PG are set and CR0.PE is zero', ({ vmcb }) => vmcb.setSave('CR0', BigInt(CR0.PG >>> 0)));
  refuses('EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set', ({ vmcb }) =>
    vmcb.setSegment('CS', 8, 0x69b, 0xffff_ffff),
  );
  refuses('the VMRUN intercept is clear', ({ vmcb }) => vmcb.intercept('VMRUN', false));
  refuses('the MSR permission map lies beyond physical memory', ({ vmcb }) =>
    vmcb.setControl('MSRPM_BASE_PA', 1n << 45n),
  );
  refuses('the I/O permission map lies beyond physical memory', ({ vmcb }) =>
    vmcb.setControl('IOPM_BASE_PA', 1n << 45n),
  );
  refuses('EVENTINJ asks for an illegal event', ({ vmcb }) => vmcb.setControl('EVENTINJ', 0x8000_0100n));
  refuses('the guest ASID is zero', ({ vmcb }) => vmcb.setControl('GUEST_ASID', 0, 4));
  refuses('nested paging is on and N_CR3 has a reserved bit set', ({ vmcb }) => vmcb.setControl('N_CR3', 1n << 45n), {
    nested: true,
  });
  refuses('nested paging is on and G_PAT has an undefined type', ({ vmcb }) => vmcb.setSave('G_PAT', 2n), {
    nested: true,
  });

  test('every kind of event that does not exist', () => {
    const illegal: readonly (readonly [string, bigint])[] = [
      ['type 1', 0x8000_0130n],
      ['type 5', 0x8000_0530n],
      ['type 7', 0x8000_0730n],
      ['NMI as an exception', 0x8000_0302n],
      ['an exception above 31', 0x8000_0320n],
    ];
    for (const [, event] of illegal) {
      const vm = virtualMachine('hlt');
      vm.vmcb.setControl('EVENTINJ', event);
      vm.expectInvalid('EVENTINJ asks for an illegal event');
    }
    // not valid: not looked at
    const vm = virtualMachine('hlt');
    vm.vmcb.setControl('EVENTINJ', 0x0000_0730n);
    vm.expectExit(HLT);
  });
  test('and the host goes on behind it, with GIF clear', () => {
    const vm = virtualMachine('hlt');
    vm.vmcb.setControl('GUEST_ASID', 0, 4);
    vm.expectExit(ExitCode.INVALID);
    assert.equal(vm.vmcb.control('EXITCODE'), 0xffff_ffff_ffff_ffffn);
    assert.equal(vm.cpu.gif, 0);
    assert.equal(vm.cpu.rip, vm.host.address('returned') + 1n);
  });
});

describe('VM_CR', () => {
  test('SVMDIS keeps EFER.SVME from being set', () => {
    longMode(
      'mov ecx, 0xc0010114\nmov eax, 0x10\nxor edx, edx\nwrmsr\nmov ecx, 0xc0000080\nrdmsr\nbts eax, 12\nhere: wrmsr',
    ).expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
  test('SVM may be used from protected mode', () => {
    const guest = protectedMode('mov eax, 0x157000\nvmsave\nhlt', { efer: EFER.SVME }).halt();
    assert.equal(guest.memory.readU16(HYPERVISOR.SPARE_VMCB + 0x490), SELECTOR.TASK);
  });
});
