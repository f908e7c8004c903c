/** AMD-V: event injection, physical and virtual interrupts, GIF (APM vol. 2 15.13, 15.17, 15.20, 15.21, 15.33). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventType, ExitCode, VirtualInterrupt } from '../../src/cpu/svm/vmcb.ts';
import { FLAG } from '../../src/cpu/system/registers.ts';
import { INTERCEPT_EXIT_CODE } from '../../src/isa/intercepts.ts';
import { Vector } from '../../src/isa/stage.ts';
import { ACCESS, dpl, gate, PLACE, SELECTOR, setVector } from './library.ts';
import { HYPERVISOR, type VirtualMachine, virtualMachine } from './virtual-machine.ts';

const { BP, UD, GP, PF } = Vector;
const { HLT, VMMCALL, IRET, STGI, CLGI } = INTERCEPT_EXIT_CODE;
const VALID = 0x8000_0000n;
const ERROR_CODE = 0x800n;
const event = (type: number, vector: number, errorCode?: number): bigint =>
  VALID | BigInt(type << 8) | BigInt(vector) | (errorCode === undefined ? 0n : ERROR_CODE | (BigInt(errorCode) << 32n));
const handler = (vector: number): bigint => BigInt(PLACE.HANDLERS + 16 * vector);

/** The guest must have halted in a handler; gives what it found on its stack. */
function handled(vm: VirtualMachine, vector: number, withErrorCode = false) {
  vm.expectExit(HLT);
  assert.equal(vm.vmcb.save('RIP').toString(16), handler(vector).toString(16));
  let at = Number(vm.vmcb.save('RSP'));
  const pop = (): bigint => {
    at += 8;
    return vm.memory.readU64(at - 8);
  };
  const errorCode = withErrorCode ? pop() : undefined;
  return { errorCode, rip: pop(), cs: Number(pop()), rflags: Number(pop()), rsp: pop() };
}

describe('EVENTINJ', () => {
  test('an interrupt, whatever IF says', () => {
    const vm = virtualMachine('here: nop');
    vm.vmcb.setControl('EVENTINJ', event(EventType.INTR, 0x31));
    const frame = handled(vm, 0x31);
    assert.equal(frame.rip, vm.address('here'));
    assert.equal(frame.rsp, BigInt(HYPERVISOR.GUEST_STACK));
  });
  test('happens once: the valid bit is clear afterwards', () => {
    const vm = virtualMachine('here: nop');
    vm.vmcb.setControl('EVENTINJ', event(EventType.INTR, 0x31));
    handled(vm, 0x31);
    assert.equal(vm.vmcb.control('EVENTINJ') & VALID, 0n);
  });
  test('an NMI blocks further ones until IRET', () => {
    const vm = virtualMachine('nop');
    vm.vmcb.setControl('EVENTINJ', event(EventType.NMI, 2));
    handled(vm, 2);
  });
  test('an exception with an error code', () => {
    const vm = virtualMachine('here: nop');
    vm.vmcb.setControl('EVENTINJ', event(EventType.EXCEPTION, GP, 0x1234));
    assert.equal(handled(vm, GP, true).errorCode, 0x1234n);
  });
  test('a page fault takes CR2 from the VMCB', () => {
    const vm = virtualMachine('nop');
    vm.vmcb.setControl('EVENTINJ', event(EventType.EXCEPTION, PF, 2));
    vm.vmcb.setSave('CR2', 0xdead000);
    assert.equal(handled(vm, PF, true).errorCode, 2n);
    assert.equal(vm.vmcb.save('CR2'), 0xdead000n);
  });
  test('the intercept of the injected exception itself does not matter', () => {
    const vm = virtualMachine('nop');
    vm.vmcb.interceptException(GP);
    vm.vmcb.setControl('EVENTINJ', event(EventType.EXCEPTION, GP, 0));
    handled(vm, GP, true);
  });
  test('but it does again for the next one', () => {
    const vm = virtualMachine('nop');
    vm.memory.write(PLACE.HANDLERS + 16 * UD, Uint8Array.from([0x0f, 0x0b]));
    vm.vmcb.interceptException(UD);
    vm.vmcb.setControl('EVENTINJ', event(EventType.EXCEPTION, UD));
    vm.expectExit(ExitCode.EXCEPTION + UD);
    assert.equal(vm.vmcb.save('RIP'), handler(UD));
  });
  test('a software interrupt pushes NRIP, and needs the gate to let it in', () => {
    const vm = virtualMachine('here: int 0x90\nnext: nop');
    vm.vmcb.setControl('EVENTINJ', event(EventType.SOFTWARE, 0x90));
    vm.vmcb.setControl('NRIP', vm.address('next'));
    assert.equal(handled(vm, 0x90).rip, vm.address('next'));
  });
  test('INT3 as an exception pushes the next RIP', () => {
    const vm = virtualMachine('here: int3\nnext: nop');
    vm.vmcb.setControl('EVENTINJ', event(EventType.EXCEPTION, BP));
    vm.vmcb.setControl('NRIP', vm.address('next'));
    assert.equal(handled(vm, BP).rip, vm.address('next'));
  });
  test("a fault on the way is the guest's, or is intercepted with EXITINTINFO", () => {
    const vm = virtualMachine('here: nop');
    setVector(vm.bench, 'long', 0x31, 0n);
    vm.vmcb.interceptException(GP);
    vm.vmcb.setControl('EVENTINJ', event(EventType.INTR, 0x31));
    vm.expectExit(ExitCode.EXCEPTION + GP, { info1: BigInt(0x31 * 8 + 3), at: 'here', intInfo: VALID | 0x31n });
  });
  test('EXITINTINFO put back into EVENTINJ delivers what was interrupted', () => {
    const vm = virtualMachine('here: nop');
    vm.vmcb.interceptException(PF);
    vm.vmcb.setControl('EVENTINJ', event(EventType.EXCEPTION, GP, 0x10));
    vm.vmcb.setSave('RSP', 0x70_0000);
    vm.expectExit(ExitCode.EXCEPTION + PF, { intInfo: event(EventType.EXCEPTION, GP, 0x10), info1: 2n });
    vm.vmcb.setSave('RSP', HYPERVISOR.GUEST_STACK);
    vm.vmcb.setControl('EVENTINJ', vm.vmcb.control('EXITINTINFO'));
    assert.equal(handled(vm, GP, true).errorCode, 0x10n);
  });
  test('into user code', () => {
    const vm = virtualMachine('nop');
    vm.vmcb.setSegment('CS', SELECTOR.USER_CODE64 + 3, 0x2fb, 0xffff_ffff);
    vm.vmcb.setSegment('SS', SELECTOR.USER_DATA32 + 3, 0xcf3, 0xffff_ffff);
    vm.memory.writeU8(HYPERVISOR.VMCB + 0x4cb, 3);
    vm.vmcb.setControl('EVENTINJ', event(EventType.INTR, 0x31));
    // RSP0 comes from the task register, which VMRUN leaves alone: it is the host's
    const frame = handled(vm, 0x31);
    assert.equal(frame.cs, SELECTOR.USER_CODE64 + 3);
    assert.equal(vm.vmcb.save('RSP'), BigInt(PLACE.STACK0 - 40));
  });
  test('in real-address mode', () => {
    const vm = virtualMachine('here: nop', { mode: 'real' });
    vm.memory.writeU32(4 * 8, 0x6000);
    vm.memory.write(0x6000, Uint8Array.from([0xf4]));
    vm.vmcb.setControl('EVENTINJ', event(EventType.INTR, 8));
    vm.expectExit(HLT);
    assert.equal(vm.vmcb.save('RIP'), 0x6000n);
    assert.equal(vm.memory.readU16(0x6800 - 6), Number(vm.address('here')));
  });
});

describe('physical interrupts', () => {
  const waiting = (text: string, prepare: (vm: VirtualMachine) => void): VirtualMachine => {
    const vm = virtualMachine(text);
    vm.bench.apic.vector = 0x31;
    prepare(vm);
    return vm;
  };
  test('the INTR intercept: an exit, and the interrupt stays pending', () => {
    const vm = waiting('here: nop\nhlt', ({ vmcb }) => vmcb.intercept('INTR').setSave('RFLAGS', 0x202));
    vm.expectExit(ExitCode.INTR, { at: 'here' });
    assert.equal(vm.bench.apic.vector, 0x31);
  });
  test("without masking, the guest's IF decides", () => {
    const vm = waiting('nop\nsti\nnop\nhere: nop', ({ vmcb }) => vmcb.intercept('INTR'));
    vm.expectExit(ExitCode.INTR, { at: 'here' });
  });
  test("with V_INTR_MASKING, the host's IF at VMRUN decides", () => {
    const host = (flags: string) =>
      `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nmov rax, VMCB\nclgi\n${flags}\nvmrun\nhlt`;
    const enter = (flags: string) => {
      const vm = virtualMachine('here: nop\nhlt', { host: host(flags) });
      vm.bench.apic.vector = 0x31;
      vm.vmcb.intercept('INTR').setControl('VIRTUAL_INTERRUPT', VirtualInterrupt.INTR_MASKING);
      return vm;
    };
    enter('sti').expectExit(ExitCode.INTR, { at: 'here' });
    enter('cli').expectExit(HLT);
  });
  test('without the intercept the guest takes it', () => {
    const vm = waiting('here: nop', ({ vmcb }) => vmcb.setSave('RFLAGS', 0x202));
    handled(vm, 0x31);
    assert.equal(vm.bench.apic.vector, -1);
  });
  test('an interrupt ends HLT without a HLT intercept', () => {
    const vm = virtualMachine('sti\nhlt\nhere: nop');
    vm.vmcb.intercept('HLT', false).intercept('INTR');
    vm.host.run(50);
    vm.bench.apic.vector = 0x31;
    vm.bench.run(10);
    assert.equal(vm.exitCode, ExitCode.INTR);
    assert.equal(vm.vmcb.save('RIP'), vm.address('here'));
  });
  test("NMI: intercepted, or the guest's", () => {
    const vm = virtualMachine('here: nop\nhlt');
    vm.bench.apic.nmiPending = true;
    vm.vmcb.intercept('NMI');
    const host = `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nmov rax, VMCB\nclgi\nvmrun\nhlt`;
    const late = virtualMachine('here: nop\nhlt', { host });
    late.vmcb.intercept('NMI');
    late.bench.step(6);
    late.bench.apic.nmiPending = true;
    late.expectExit(ExitCode.NMI, { at: 'here' });
    assert.equal(late.bench.apic.nmiPending, true);
  });
  test('SMI: intercepted, it stays pending; else it is dropped', () => {
    const host = `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nmov rax, VMCB\nclgi\nvmrun\nhlt`;
    for (const intercepted of [true, false]) {
      const vm = virtualMachine('here: nop\nend: hlt', { host });
      vm.vmcb.intercept('SMI', intercepted);
      vm.bench.step(6);
      vm.bench.apic.smiPending = true;
      vm.expectExit(intercepted ? ExitCode.SMI : INTERCEPT_EXIT_CODE.HLT, { at: intercepted ? 'here' : 'end' });
      assert.equal(vm.bench.apic.smiPending, intercepted);
    }
  });
  test('VMRUN under TF: the trap comes with the #VMEXIT, and not in the guest', () => {
    const host = `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nmov rax, VMCB\npushfq\nbts qword ptr [rsp], 8\npopfq\nvmrun\nback: nop`;
    const vm = virtualMachine('inc ebx\ninc ebx\nhlt', { host });
    vm.host.expectException({ vector: Vector.DB, at: 'back' });
    assert.equal(vm.exitCode, INTERCEPT_EXIT_CODE.HLT);
    assert.equal(vm.cpu.gpr[3], 2n);
  });
  test('TF of the guest leads to no trap if its first instruction is intercepted', () => {
    const vm = virtualMachine('here: hlt');
    vm.vmcb.setSave('RFLAGS', 0x102);
    vm.expectExit(INTERCEPT_EXIT_CODE.HLT, { at: 'here' });
    assert.equal(vm.cpu.singleStep, 0);
  });
  test('the interrupt shadow of the guest is in the VMCB, both ways', () => {
    const vm = virtualMachine('sti\nhere: vmmcall', { intercepts: ['VMMCALL'] });
    vm.expectExit(VMMCALL, { at: 'here' });
    assert.equal(vm.vmcb.control('INTERRUPT_SHADOW') & 1n, 1n);
    const shadowed = waiting('inc ebx\nhere: nop', ({ vmcb }) => {
      vmcb.intercept('INTR').setSave('RFLAGS', 0x202);
      vmcb.setControl('INTERRUPT_SHADOW', 1);
    });
    shadowed.expectExit(ExitCode.INTR, { at: 'here' });
  });
  test('the shadow of STI shows in an exit of the instruction behind it, and of no later one', () => {
    for (const [between, shadow] of [
      ['', 1n],
      ['nop', 0n],
    ] as const) {
      const vm = virtualMachine(`sti\n${between}\nhere: mov eax, [0x300000]`, { nested: true });
      vm.nestedPages.map(0x30_0000n, 0, 0n);
      vm.expectExit(ExitCode.NPF, { at: 'here' });
      assert.equal(vm.vmcb.control('INTERRUPT_SHADOW') & 1n, shadow);
    }
  });
  test('even where VMRUN is in the shadow of STI', () => {
    const host = `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nmov rax, VMCB\nclgi\nsti\nvmrun\nhlt`;
    const vm = virtualMachine('inc ebx\nhere: nop', { host });
    vm.bench.apic.vector = 0x31;
    vm.vmcb.intercept('INTR').setSave('RFLAGS', 0x202);
    vm.vmcb.setControl('INTERRUPT_SHADOW', 1);
    vm.expectExit(ExitCode.INTR, { at: 'here' });
  });
});

describe('virtual interrupts', () => {
  const VIRTUAL = 0x55;
  const pending = (priority: number, tpr: number, extra = 0): bigint =>
    BigInt(
      VirtualInterrupt.IRQ |
        (priority << VirtualInterrupt.PRIORITY_SHIFT) |
        tpr |
        VirtualInterrupt.INTR_MASKING |
        extra,
    ) |
    (BigInt(VIRTUAL) << 32n);
  const withVirtual = (text: string, control: bigint): VirtualMachine => {
    const vm = virtualMachine(text);
    vm.vmcb.setControl('VIRTUAL_INTERRUPT', control);
    return vm;
  };
  test('are taken when IF is set, and V_IRQ is cleared', () => {
    const vm = withVirtual('nop\nsti\nnop\nhere: nop', pending(5, 0));
    assert.equal(handled(vm, VIRTUAL).rip, vm.address('here'));
    assert.equal(Number(vm.vmcb.control('VIRTUAL_INTERRUPT') & 0xffff_ffffn) & VirtualInterrupt.IRQ, 0);
  });
  test('wait while IF is clear', () => {
    const vm = withVirtual('nop\nhere: hlt', pending(5, 0));
    vm.expectExit(HLT, { at: 'here' });
    assert.notEqual(Number(vm.vmcb.control('VIRTUAL_INTERRUPT') & 0xffff_ffffn) & VirtualInterrupt.IRQ, 0);
  });
  test('must exceed V_TPR unless told to ignore it', () => {
    withVirtual('sti\nnop\nhere: hlt', pending(5, 5)).expectExit(HLT, { at: 'here' });
    handled(withVirtual('sti\nnop\nnop', pending(5, 4)), VIRTUAL);
    handled(withVirtual('sti\nnop\nnop', pending(5, 15, VirtualInterrupt.IGNORE_TPR)), VIRTUAL);
  });
  test('the guest lowers V_TPR with CR8', () => {
    const vm = withVirtual('sti\nnop\nmov rbx, cr8\nxor eax, eax\nmov cr8, rax\nhere: nop', pending(5, 9));
    assert.equal(handled(vm, VIRTUAL).rip, vm.address('here'));
    assert.equal(vm.cpu.gpr[3], 9n);
    assert.equal(vm.bench.apic.cr8, 0);
  });
  test('V_TPR comes back in the VMCB', () => {
    const vm = withVirtual('mov eax, 7\nmov cr8, rax\nhlt', BigInt(VirtualInterrupt.INTR_MASKING));
    vm.expectExit(HLT);
    assert.equal(vm.vmcb.control('VIRTUAL_INTERRUPT') & 0xffn, 7n);
  });
  test('the VINTR intercept comes before delivery', () => {
    const vm = withVirtual('sti\nnop\nhere: nop', pending(5, 0));
    vm.vmcb.intercept('VINTR');
    vm.expectExit(ExitCode.VINTR, { at: 'here' });
    assert.notEqual(Number(vm.vmcb.control('VIRTUAL_INTERRUPT') & 0xffff_ffffn) & VirtualInterrupt.IRQ, 0);
  });
  test('a fault while one is delivered names it in EXITINTINFO', () => {
    const vm = withVirtual('sti\nnop\nhere: nop', pending(5, 0));
    setVector(vm.bench, 'long', VIRTUAL, 0n);
    vm.vmcb.interceptException(GP);
    vm.expectExit(ExitCode.EXCEPTION + GP, { at: 'here', intInfo: VALID | BigInt(VIRTUAL) });
  });
});

describe('GIF', () => {
  test('CLGI holds interrupts back, STGI lets them in', () => {
    const vm = virtualMachine('hlt', { host: 'sti\nclgi\nnop\nnop\nmov ebx, 1\nstgi\nnext: nop' });
    vm.bench.step(2);
    vm.bench.apic.vector = 0x31;
    vm.host.expectException({ vector: 0x31, at: 'next' });
    assert.equal(vm.host.register('ebx'), 1n);
  });
  test('and NMIs', () => {
    const vm = virtualMachine('hlt', { host: 'clgi\nnop\nmov ebx, 1\nstgi\nnext: nop' });
    vm.bench.step(1);
    vm.bench.apic.nmiPending = true;
    vm.host.expectException({ vector: 2, at: 'next' });
  });
  test('virtual GIF: STGI and CLGI of the guest change V_GIF', () => {
    const control = (vm: VirtualMachine) => Number(vm.vmcb.control('VIRTUAL_INTERRUPT') & 0xffff_ffffn);
    const vm = virtualMachine('stgi\nvmmcall\nclgi\nvmmcall', { intercepts: ['VMMCALL'] });
    vm.vmcb.setControl('VIRTUAL_INTERRUPT', VirtualInterrupt.GIF_ENABLE);
    vm.expectExit(VMMCALL);
    assert.notEqual(control(vm) & VirtualInterrupt.GIF, 0);
    vm.skip().expectExit(VMMCALL);
    assert.equal(control(vm) & VirtualInterrupt.GIF, 0);
  });
  test('the intercepts of STGI and CLGI go before virtual GIF', () => {
    const vm = virtualMachine('stgi\nclgi', { intercepts: ['STGI', 'CLGI'] });
    vm.vmcb.setControl('VIRTUAL_INTERRUPT', VirtualInterrupt.GIF_ENABLE);
    vm.expectExit(STGI);
    vm.skip().expectExit(CLGI);
  });
  test('V_GIF clear holds virtual interrupts back', () => {
    const vm = virtualMachine('sti\nnop\nstgi\nhere: nop');
    vm.vmcb.setControl(
      'VIRTUAL_INTERRUPT',
      BigInt(VirtualInterrupt.IRQ | (5 << 16) | VirtualInterrupt.GIF_ENABLE | VirtualInterrupt.INTR_MASKING) |
        (0x55n << 32n),
    );
    assert.equal(handled(vm, 0x55).rip, vm.address('here'));
  });
});

describe("the guest's own handlers", () => {
  test('return with IRET, which may be intercepted', () => {
    const vm = virtualMachine('int 0x90\nhlt', { intercepts: ['IRET'] });
    vm.memory.write(PLACE.HANDLERS + 16 * 0x90, Uint8Array.from([0x48, 0xcf]));
    setVector(
      vm.bench,
      'long',
      0x90,
      gate(SELECTOR.CODE64, PLACE.HANDLERS + 16 * 0x90, ACCESS.INTERRUPT_GATE32 | dpl(3)),
    );
    vm.expectExit(IRET);
    assert.equal(vm.vmcb.save('RIP'), handler(0x90));
    vm.vmcb.intercept('IRET', false);
    vm.expectExit(HLT);
    assert.equal(Number(vm.vmcb.save('RFLAGS')) & FLAG.IF, 0);
  });
});
