/** AMD-V: nested paging, ASIDs, the time stamp counter (APM vol. 2 15.16, 15.25, 15.30.5, 15.5.1). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ExitCode, TlbControl } from '../../src/cpu/svm/vmcb.ts';
import { INTERCEPT_EXIT_CODE } from '../../src/isa/intercepts.ts';
import { PAGE } from './library.ts';
import { HYPERVISOR, type VirtualMachineOptions, virtualMachine } from './virtual-machine.ts';

const { HLT, VMMCALL } = INTERCEPT_EXIT_CODE;
const { P, W, U, A, D, NX } = PAGE;
const { NPF } = ExitCode;
/** EXITINFO1 of a nested page fault (APM vol. 2 15.25.6). */
const PRESENT = 1n;
const WRITE = 2n;
const USER = 4n;
const RESERVED = 8n;
const FETCH = 16n;
const FINAL = 1n << 32n;
const TABLE = 1n << 33n;

const SPARE = 0x1c_0000;
const define = { SPARE };
const nested = (text: string, options: VirtualMachineOptions = {}) =>
  virtualMachine(text, { nested: true, define, ...options });

describe('nested page faults', () => {
  test('reading, writing and running what is not mapped', () => {
    const cases: readonly (readonly [string, bigint])[] = [
      ['here: mov al, [SPARE+8]', 0n],
      ['here: mov [SPARE+8], al', WRITE],
      ['here: add byte ptr [SPARE+8], 1', WRITE],
    ];
    for (const [text, info] of cases) {
      const vm = nested(text);
      vm.nestedPages.set(SPARE, 0n);
      vm.expectExit(NPF, { info1: FINAL | USER | info, info2: BigInt(SPARE + 8), at: 'here' });
    }
    const vm = nested('mov eax, SPARE+8\njmp rax');
    vm.nestedPages.set(SPARE, 0n);
    vm.expectExit(NPF, { info1: FINAL | USER | FETCH, info2: BigInt(SPARE + 8) });
    assert.equal(vm.vmcb.save('RIP'), BigInt(SPARE + 8));
  });
  test('protection: read-only, supervisor, no-execute', () => {
    const fault = (text: string, flags: bigint, info: bigint) => {
      const vm = nested(text);
      vm.nestedPages.set(SPARE, flags);
      vm.expectExit(NPF, { info1: FINAL | USER | PRESENT | info, info2: BigInt(SPARE) });
    };
    fault('mov [SPARE], al', P | U, WRITE);
    fault('mov al, [SPARE]', P | W, 0n);
    fault('mov eax, SPARE\njmp rax', P | W | U | NX, FETCH);
  });
  test('a reserved bit', () => {
    const vm = nested('mov al, [SPARE]');
    vm.nestedPages.map(BigInt(SPARE), 1n << 45n, P | W | U);
    vm.expectExit(NPF, { info1: FINAL | USER | PRESENT | RESERVED, info2: BigInt(SPARE) });
  });
  test("the guest's page tables: a table fault, a write even for a read, for A and D", () => {
    const vm = nested('here: mov al, [0x400000]');
    vm.host.pages.map(0x40_0000n, HYPERVISOR.GUEST_DATA, P | W);
    const table = vm.host.pages.entry(0x40_0000n) & ~0xfff;
    vm.nestedPages.set(table, 0n);
    vm.expectExit(NPF, { info1: TABLE | USER | WRITE, info2: BigInt(table + 8 * 0), at: 'here' });
  });
  test("goes before the guest's own page fault of the same access", () => {
    const vm = nested('here: mov al, [SPARE]');
    vm.vmcb.interceptException(14);
    vm.host.pages.set(SPARE, 0n);
    vm.nestedPages.set(SPARE, 0n);
    // the guest has nothing there: its fault, no look at the nested tables
    vm.expectExit(ExitCode.EXCEPTION + 14, { info1: 0n, info2: BigInt(SPARE), at: 'here' });
  });
  test('without guest paging, addresses are guest-physical at once', () => {
    const vm = nested('here: mov [SPARE], eax', { mode: 'protected' });
    vm.nestedPages.set(SPARE, 0n);
    vm.expectExit(NPF, { info1: FINAL | USER | WRITE, info2: BigInt(SPARE), at: 'here' });
  });
  test('the bytes of the instruction are there for the hypervisor', () => {
    const vm = nested('here: mov [SPARE], eax\nhlt');
    vm.nestedPages.set(SPARE, 0n);
    vm.expectExit(NPF);
    const bytes = vm.memory.read(HYPERVISOR.VMCB + 0xd0, 8);
    assert.equal(bytes[0], 15);
    assert.deepEqual([...bytes.subarray(1)], [...vm.memory.read(HYPERVISOR.GUEST_CODE, 7)]);
  });
  test('during the delivery of an event: EXITINTINFO', () => {
    const vm = nested('here: ud2');
    vm.vmcb.setSave('RSP', SPARE + 0x1000);
    vm.nestedPages.set(SPARE, 0n);
    vm.expectExit(NPF, { info2: BigInt(SPARE + 0xff8), intInfo: 0x8000_0306n, at: 'here' });
  });
  test('the hypervisor maps the page, and the instruction is done', () => {
    const vm = nested('mov dword ptr [SPARE], 5\nmov ebx, [SPARE]\nhlt');
    vm.nestedPages.set(SPARE, 0n);
    vm.expectExit(NPF);
    vm.nestedPages.map(BigInt(SPARE), 0x1d_0000, P | W | U);
    vm.expectExit(HLT);
    assert.equal(vm.cpu.gpr[3], 5n);
    assert.equal(vm.memory.readU32(0x1d_0000), 5);
  });
  test('REP MOVS stops at the page and goes on', () => {
    const vm = nested('mov esi, GUEST_DATA\nmov edi, SPARE-8\nmov ecx, 16\nrep movsb\nhlt');
    vm.memory.write(
      HYPERVISOR.GUEST_DATA,
      Uint8Array.from({ length: 16 }, (_, i) => i + 1),
    );
    vm.nestedPages.set(SPARE, 0n);
    vm.expectExit(NPF, { info2: BigInt(SPARE) });
    assert.equal(vm.cpu.gpr[1], 8n);
    vm.nestedPages.set(SPARE, P | W | U);
    vm.expectExit(HLT);
    assert.equal(vm.memory.readU8(SPARE + 7), 16);
  });
});

describe('nested tables', () => {
  test('get A and D as ordinary ones do', () => {
    const vm = nested('mov al, [SPARE]\nmov [SPARE+0x1000], al\nhlt').run();
    assert.equal(vm.nestedPages.get(SPARE) & (A | D), A);
    assert.equal(vm.nestedPages.get(SPARE + 0x1000) & (A | D), A | D);
  });
  test('translate what the guest maps', () => {
    const vm = nested('mov eax, [0x400004]\nhlt');
    vm.host.pages.map(0x40_0000n, SPARE, P | W);
    vm.nestedPages.map(BigInt(SPARE), 0x1d_0000, P | W | U);
    vm.memory.writeU32(0x1d_0004, 0x777);
    vm.expectExit(HLT);
    assert.equal(vm.vmcb.save('RAX'), 0x777n);
  });
  test('large pages', () => {
    const vm = nested('mov eax, [0x80000004]\nhlt', { mode: 'protected' });
    vm.nestedPages.map(0x8000_0000n, 0, P | W | U, 1);
    vm.memory.writeU32(4, 0x888);
    vm.expectExit(HLT);
    assert.equal(vm.vmcb.save('RAX'), 0x888n);
  });
  test('code in pages the hypervisor exchanges is the new code', () => {
    const vm = nested('again: call SPARE\nvmmcall\njmp again', { intercepts: ['VMMCALL'] });
    vm.memory.write(SPARE, Uint8Array.from([0xb3, 1, 0xc3])); // mov bl, 1; ret
    vm.memory.write(0x1d_0000, Uint8Array.from([0xb3, 2, 0xc3]));
    vm.expectExit(VMMCALL);
    assert.equal(vm.cpu.gpr[3] & 0xffn, 1n);
    vm.nestedPages.map(BigInt(SPARE), 0x1d_0000, P | W | U);
    vm.vmcb.setControl('TLB_CONTROL', TlbControl.FLUSH_GUEST, 1);
    vm.skip().expectExit(VMMCALL);
    assert.equal(vm.cpu.gpr[3] & 0xffn, 2n);
  });
  test("the guest's CR3 changes without an exit", () => {
    const vm = nested('mov rax, cr3\nmov cr3, rax\nmov ebx, [GUEST_DATA]\nhlt');
    vm.memory.writeU32(HYPERVISOR.GUEST_DATA, 9);
    vm.expectExit(HLT);
    assert.equal(vm.cpu.gpr[3], 9n);
  });
});

describe('ASIDs', () => {
  const TEXT = 'again: mov ebx, [SPARE]\nvmmcall\njmp again';
  /** Runs once, changes the mapping of SPARE to a page with 2 in it, runs again. */
  const second = (between: (vm: ReturnType<typeof nested>) => void): bigint => {
    const vm = nested(TEXT, { intercepts: ['VMMCALL'] });
    vm.memory.writeU32(SPARE, 1);
    vm.memory.writeU32(0x1d_0000, 2);
    vm.expectExit(VMMCALL);
    assert.equal(vm.cpu.gpr[3], 1n);
    vm.nestedPages.map(BigInt(SPARE), 0x1d_0000, P | W | U);
    between(vm);
    vm.skip().expectExit(VMMCALL);
    return vm.cpu.gpr[3];
  };
  test('a translation lasts as long as its ASID, if nobody flushes', () =>
    assert.equal(
      second(() => {}),
      1n,
    ));
  test('TLB_CONTROL flushes all', () =>
    assert.equal(
      second(({ vmcb }) => vmcb.setControl('TLB_CONTROL', TlbControl.FLUSH_ALL, 1)),
      2n,
    ));
  test('TLB_CONTROL flushes this guest', () =>
    assert.equal(
      second(({ vmcb }) => vmcb.setControl('TLB_CONTROL', TlbControl.FLUSH_GUEST, 1)),
      2n,
    ));
  test('another ASID has other translations', () =>
    assert.equal(
      second(({ vmcb }) => vmcb.setControl('GUEST_ASID', 2, 4)),
      2n,
    ));
  test('the host has its own', () => {
    const vm = virtualMachine('mov ebx, [SPARE]\nhlt', {
      define,
      nested: true,
      host: `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nmov esi, [SPARE]\nmov rax, VMCB\nvmrun\nmov edi, [SPARE]\nhlt`,
    });
    vm.memory.writeU32(SPARE, 1);
    vm.memory.writeU32(0x1d_0000, 2);
    vm.nestedPages.map(BigInt(SPARE), 0x1d_0000, P | W | U);
    vm.expectExit(HLT);
    assert.deepEqual([vm.host.register('esi'), vm.cpu.gpr[3], vm.host.register('edi')], [1n, 2n, 1n]);
  });
  test('INVLPGA drops one translation of an ASID', () => {
    const vm = virtualMachine('again: mov ebx, [SPARE]\nvmmcall\njmp again', {
      define: { ...define, ENTRY: 0 },
      intercepts: ['VMMCALL'],
      host: `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr
        again: mov rax, VMCB\nvmrun\nhlt
        mov eax, SPARE\nmov ecx, 1\ninvlpga\njmp again`,
    });
    // shadow paging: the guest runs on the host's tables
    vm.memory.writeU32(SPARE, 1);
    vm.memory.writeU32(0x1d_0000, 2);
    vm.expectExit(VMMCALL);
    vm.host.pages.map(BigInt(SPARE), 0x1d_0000, P | W);
    vm.skip().expectExit(VMMCALL);
    assert.equal(vm.cpu.gpr[3], 2n);
  });
});

describe('time', () => {
  const tsc = (vm: ReturnType<typeof virtualMachine>): bigint => (vm.cpu.gpr[2] << 32n) | vm.vmcb.save('RAX');
  test('TSC_OFFSET is added', () => {
    const vm = virtualMachine('rdtsc\nhlt');
    vm.vmcb.setControl('TSC_OFFSET', 1n << 40n);
    vm.expectExit(HLT);
    const now = tsc(vm);
    assert.ok(now > 1n << 40n && now < (1n << 40n) + 1_000_000_000n, `${now}`);
  });
  test('a negative offset is no problem', () => {
    const vm = virtualMachine('rdtsc\nhlt');
    vm.vmcb.setControl('TSC_OFFSET', BigInt.asUintN(64, -(1n << 41n)));
    vm.expectExit(HLT);
    assert.ok(BigInt.asIntN(64, tsc(vm)) < 0n);
  });
  test('RDTSCP and the TSC MSR see it too', () => {
    for (const text of ['rdtscp', 'mov ecx, 0x10\nrdmsr']) {
      const vm = virtualMachine(`${text}\nhlt`);
      vm.vmcb.setControl('TSC_OFFSET', 1n << 40n);
      vm.expectExit(HLT);
      assert.equal(tsc(vm) >> 40n, 1n, text);
    }
  });
  test('TSC_RATIO scales', () => {
    const vm = virtualMachine('rdtsc\nhlt', {
      host: `mov ecx, 0xc0000104\nxor eax, eax\nmov edx, 0x10\nwrmsr
        mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr\nrdtsc\nmov esi, eax\nmov rax, VMCB\nvmrun\nhlt`,
    });
    vm.expectExit(HLT);
    const host = vm.host.register('esi');
    assert.ok(tsc(vm) > 15n * host, `${tsc(vm)} against ${host}`);
  });
});
