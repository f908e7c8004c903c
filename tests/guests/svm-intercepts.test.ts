/** AMD-V: every intercept, and what it reports (APM vol. 2 15.7-15.14, appendix C). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ExitCode } from '../../src/cpu/svm/vmcb.ts';
import { CR4 } from '../../src/cpu/system/registers.ts';
import { assemble } from '../../src/isa/assembler/index.ts';
import type { Intercept } from '../../src/isa/instruction.ts';
import { INTERCEPT_EXIT_CODE } from '../../src/isa/intercepts.ts';
import { Vector } from '../../src/isa/stage.ts';
import { ACCESS, gate, PLACE, SELECTOR, segment, setDescriptor, setVector, TSS32 } from './library.ts';
import { HYPERVISOR, virtualMachine } from './virtual-machine.ts';

const { DB, BP, UD, NP, GP, PF, DF } = Vector;
const { HLT } = INTERCEPT_EXIT_CODE;

/** Text that meets each instruction intercept, or why there is none. */
const INSTRUCTIONS = {
  IDTR_READ: 'sidt [GUEST_DATA]',
  GDTR_READ: 'sgdt [GUEST_DATA]',
  LDTR_READ: 'sldt eax',
  TR_READ: 'str eax',
  IDTR_WRITE: 'lidt [GUEST_DATA]',
  GDTR_WRITE: 'lgdt [GUEST_DATA]',
  LDTR_WRITE: 'lldt ax',
  TR_WRITE: 'ltr ax',
  RDTSC: 'rdtsc',
  RDPMC: 'rdpmc',
  PUSHF: 'pushfq',
  POPF: 'popfq',
  CPUID: 'cpuid',
  RSM: 'rsm',
  IRET: 'iretq',
  SWINT: 'int 0x33',
  INVD: 'invd',
  PAUSE: 'pause',
  HLT: 'hlt',
  INVLPG: 'invlpg [GUEST_DATA]',
  INVLPGA: 'invlpga',
  IOIO: 'in al, 0x60',
  MSR: 'xor ecx, ecx\nhere: rdmsr',
  VMRUN: 'vmrun',
  VMMCALL: 'vmmcall',
  VMLOAD: 'vmload',
  VMSAVE: 'vmsave',
  STGI: 'stgi',
  CLGI: 'clgi',
  SKINIT: { absent: 'CPUID does not announce it: #UD' },
  RDTSCP: 'rdtscp',
  ICEBP: 'int1',
  WBINVD: 'wbinvd',
  MONITOR: { absent: 'CPUID does not announce it: #UD' },
  MWAIT: { absent: 'CPUID does not announce it: #UD' },
  XSETBV: 'xor ecx, ecx\nxor edx, edx\nmov eax, 1\nhere: xsetbv',
  RDPRU: { absent: 'CPUID does not announce it: #UD' },
  INVLPGB: { absent: 'CPUID does not announce it: #UD' },
  INVPCID: 'here: invpcid rcx, [GUEST_DATA]',
  MCOMMIT: { absent: 'CPUID does not announce it: #UD' },
} as const satisfies Record<Intercept, string | { absent: string }>;

describe('every instruction intercept', () => {
  for (const [name, text] of Object.entries(INSTRUCTIONS) as [Intercept, string | { absent: string }][]) {
    if (typeof text !== 'string') continue;
    test(`${name}: '${text.split('\n').at(-1)}'`, () => {
      const labelled = text.includes('here:') ? text : `here: ${text}`;
      const vm = virtualMachine(`nop\n${labelled}\nnext: nop`, { intercepts: [name], cr4: CR4.OSXSAVE });
      if (name === 'IOIO') vm.memory.writeU8(HYPERVISOR.IO_MAP + (0x60 >> 3), 1);
      if (name === 'MSR') vm.memory.writeU8(HYPERVISOR.MSR_MAP, 1);
      vm.expectExit(INTERCEPT_EXIT_CODE[name], { at: 'here', next: 'next' });
    });
  }
});

describe('exceptions go before intercepts', () => {
  const PRIVILEGED = [
    'hlt',
    'invd',
    'wbinvd',
    'invlpg [rax]',
    'lgdt [rax]',
    'lidt [rax]',
    'lldt ax',
    'ltr ax',
    'rdmsr',
    'wrmsr',
    'mov rax, cr0',
    'mov cr3, rax',
    'mov rax, dr0',
    'clts',
    'vmrun',
    'vmload',
    'stgi',
    'invlpga',
  ];
  const ALL: Intercept[] = [
    'INVD',
    'WBINVD',
    'INVLPG',
    'GDTR_WRITE',
    'IDTR_WRITE',
    'LDTR_WRITE',
    'TR_WRITE',
    'MSR',
    'VMLOAD',
    'STGI',
    'INVLPGA',
  ];
  for (const text of PRIVILEGED) {
    test(`'${text}' at CPL 3 is #GP(0)`, () => {
      const vm = virtualMachine(
        `push USER_DATA32+3\npush USER_STACK\npush 2\npush USER_CODE64+3\npush USER_CODE\niretq`,
        { intercepts: ALL },
      );
      const user = virtualMachineCode(text);
      vm.memory.write(PLACE.USER_CODE, user);
      vm.vmcb
        .interceptException(GP)
        .interceptControlRegister(0, false)
        .interceptControlRegister(3, true)
        .interceptDebugRegister(0, false);
      vm.expectExit(ExitCode.EXCEPTION + GP, { info1: 0n });
      assert.equal(vm.vmcb.save('RIP'), BigInt(PLACE.USER_CODE));
    });
  }
  test('MOV to CR3 with a reserved bit: the intercept first, as it needs no look at the value', () => {
    const vm = virtualMachine('mov rax, 0x10000000000000\nhere: mov cr3, rax');
    vm.vmcb.interceptControlRegister(3, true);
    vm.expectExit(ExitCode.CR_WRITE + 3, { at: 'here' });
  });
});

describe('control registers', () => {
  for (const number of [0, 3, 4, 8]) {
    test(`reading CR${number} names the general register`, () => {
      const vm = virtualMachine(`here: mov r9, cr${number}\nnext: hlt`);
      vm.vmcb.interceptControlRegister(number, false);
      vm.expectExit(ExitCode.CR_READ + number, { info1: (1n << 63n) | 9n, at: 'here', next: 'next' });
    });
    test(`writing CR${number}, too`, () => {
      const vm = virtualMachine(`mov rcx, cr${number}\nhere: mov cr${number}, rcx\nnext: hlt`);
      vm.vmcb.interceptControlRegister(number, true);
      vm.expectExit(ExitCode.CR_WRITE + number, { info1: (1n << 63n) | 1n, at: 'here', next: 'next' });
    });
  }
  test('CLTS, LMSW and SMSW count as CR0 without a register', () => {
    for (const [text, code] of [
      ['clts', ExitCode.CR_WRITE],
      ['lmsw ax', ExitCode.CR_WRITE],
      ['smsw eax', ExitCode.CR_READ],
    ] as const) {
      const vm = virtualMachine(`mov eax, 1\nhere: ${text}\nnext: hlt`);
      vm.vmcb.interceptControlRegister(0, code === ExitCode.CR_WRITE);
      vm.expectExit(code, { info1: 0n, at: 'here', next: 'next' });
    }
  });
  test('the selective CR0 intercept ignores TS and MP', () => {
    const vm = virtualMachine('mov rcx, cr0\nbts rcx, 3\nmov cr0, rcx\nbts rcx, 18\nhere: mov cr0, rcx');
    vm.vmcb.intercept('CR0_SEL_WRITE');
    vm.expectExit(ExitCode.CR0_SEL_WRITE, { at: 'here' });
  });
  test('the selective CR0 intercept takes every LMSW, but no CLTS', () => {
    const vm = virtualMachine('mov rax, cr0\nclts\nhere: lmsw ax\nnext: hlt');
    vm.vmcb.intercept('CR0_SEL_WRITE');
    vm.expectExit(ExitCode.CR0_SEL_WRITE, { at: 'here', next: 'next' });
  });
});

describe('debug registers', () => {
  for (const number of [0, 3, 6, 7]) {
    test(`DR${number}`, () => {
      const read = virtualMachine(`here: mov rdx, dr${number}\nnext: hlt`);
      read.vmcb.interceptDebugRegister(number, false);
      read.expectExit(ExitCode.DR_READ + number, { info1: 2n, at: 'here', next: 'next' });
      const write = virtualMachine(`here: mov dr${number}, rdi\nnext: hlt`);
      write.vmcb.interceptDebugRegister(number, true);
      write.expectExit(ExitCode.DR_WRITE + number, { info1: 7n, at: 'here', next: 'next' });
    });
  }
});

describe('MSRs', () => {
  const CASES: readonly (readonly [number, number])[] = [
    // MSR and the bit offset of its read bit (APM vol. 2 15.11)
    [0x10, 2 * 0x10],
    [0x1fff, 2 * 0x1fff],
    [0xc000_0080, 0x800 * 8 + 2 * 0x80],
    [0xc001_0015, 0x1000 * 8 + 2 * 0x15],
  ];
  for (const [msr, bit] of CASES) {
    test(`${msr.toString(16)}h`, () => {
      const prepare = (text: string, shift: number) => {
        const vm = virtualMachine(`mov ecx, ${msr}\nhere: ${text}\nnext: hlt`, { intercepts: ['MSR'] });
        vm.memory.writeU8(HYPERVISOR.MSR_MAP + ((bit + shift) >> 3), 1 << ((bit + shift) & 7));
        return vm;
      };
      prepare('rdmsr', 0).expectExit(ExitCode.MSR, { info1: 0n, at: 'here', next: 'next' });
      prepare('wrmsr', 1).expectExit(ExitCode.MSR, { info1: 1n, at: 'here', next: 'next' });
    });
  }
  test('outside the three ranges they are always intercepted', () => {
    virtualMachine('mov ecx, 0x2000\nhere: rdmsr', { intercepts: ['MSR'] }).expectExit(ExitCode.MSR, {
      info1: 0n,
      at: 'here',
    });
    virtualMachine('mov ecx, 0x40000000\nhere: wrmsr', { intercepts: ['MSR'] }).expectExit(ExitCode.MSR, {
      info1: 1n,
      at: 'here',
    });
  });
  test('a clear bit lets them through', () => {
    virtualMachine('mov ecx, 0xc0000080\nrdmsr\nhlt', { intercepts: ['MSR'] }).expectExit(HLT);
  });
  test('without the intercept the map means nothing', () => {
    const vm = virtualMachine('mov ecx, 0xc0000080\nrdmsr\nhlt');
    vm.memory.write(HYPERVISOR.MSR_MAP, new Uint8Array(0x2000).fill(0xff));
    vm.expectExit(HLT);
  });
});

describe('ports', () => {
  /** EXITINFO1 (APM vol. 2 15.10.2). */
  const IN = 1n;
  const STRING = 4n;
  const REP = 8n;
  const SIZE = { 1: 0x10n, 2: 0x20n, 4: 0x40n } as const;
  const A16 = 0x80n;
  const A32 = 0x100n;
  const A64 = 0x200n;
  const PORT = 0x3f8n;
  const withPort = (text: string, port = Number(PORT), options = {}) => {
    const vm = virtualMachine(
      `mov edx, ${port}\nmov esi, GUEST_DATA\nmov edi, GUEST_DATA\nmov ecx, 4\nhere: ${text}\nnext: hlt`,
      { intercepts: ['IOIO'], ...options },
    );
    vm.memory.writeU8(HYPERVISOR.IO_MAP + (0x3f8 >> 3), 1 << (0x3f8 & 7));
    return vm;
  };
  const CASES: readonly (readonly [text: string, info: bigint, mode?: 'protected' | 'real'])[] = [
    ['in al, dx', IN | SIZE[1] | A64],
    ['in ax, dx', IN | SIZE[2] | A64],
    ['in eax, dx', IN | SIZE[4] | A64],
    ['out dx, al', SIZE[1] | A64],
    ['out dx, eax', SIZE[4] | A64],
    ['db 0x67\nin al, dx', IN | SIZE[1] | A32],
    ['in al, dx', IN | SIZE[1] | A32, 'protected'],
    ['db 0x67\nout dx, al', SIZE[1] | A16, 'protected'],
    ['out dx, al', SIZE[1] | A16, 'real'],
  ];
  for (const [text, info, mode = 'long'] of CASES) {
    test(`${text.replace('\n', ': ')} in ${mode} mode`, () => {
      const vm = withPort(text, Number(PORT), { mode });
      vm.expectExit(ExitCode.IOIO, {
        at: 'here',
        next: 'next',
        info1: (PORT << 16n) | info,
        info2: vm.address('next'),
      });
    });
  }
  test('string instructions tell segment, address size and REP', () => {
    const out = withPort('rep fs outsb');
    out.expectExit(ExitCode.IOIO, {
      at: 'here',
      info1: (PORT << 16n) | STRING | REP | SIZE[1] | A64 | (4n << 10n),
      info2: out.address('next'),
    });
    withPort('insw').expectExit(ExitCode.IOIO, { at: 'here', info1: (PORT << 16n) | STRING | IN | SIZE[2] | A64 });
  });
  test('any byte of a wide access counts', () => {
    withPort('in eax, dx', 0x3f6).expectExit(ExitCode.IOIO, { at: 'here' });
    withPort('in ax, dx', 0x3f6).expectExit(HLT);
  });
  test('a clear bit lets them through', () => {
    const vm = withPort('in al, dx', 0x60);
    vm.bench.inputs.set(0x60, 0x5a);
    vm.expectExit(HLT);
    assert.equal(vm.vmcb.save('RAX') & 0xffn, 0x5an);
  });
  test('port FFFFh with a wide access looks at the third page of the map', () => {
    const vm = withPort('in ax, dx', 0xffff);
    vm.memory.writeU8(HYPERVISOR.IO_MAP + 0x2000, 1);
    vm.expectExit(ExitCode.IOIO, { at: 'here' });
  });
  test('the permission map of the guest goes first', () => {
    const vm = virtualMachine(
      `push USER_DATA32+3\npush USER_STACK\npush 2\npush USER_CODE64+3\npush USER_CODE\niretq`,
      { intercepts: ['IOIO'] },
    );
    vm.memory.write(PLACE.USER_CODE, virtualMachineCode('in al, 0x60'));
    vm.memory.write(HYPERVISOR.IO_MAP, new Uint8Array(0x3000).fill(0xff));
    vm.vmcb.interceptException(GP);
    vm.expectExit(ExitCode.EXCEPTION + GP);
  });
});

describe('exceptions', () => {
  test('#UD has no error code', () => {
    const vm = virtualMachine('here: ud2');
    vm.vmcb.interceptException(UD);
    vm.expectExit(ExitCode.EXCEPTION + UD, { info1: 0n, info2: 0n, at: 'here', intInfo: 0n });
  });
  test('#GP has one', () => {
    const vm = virtualMachine('mov eax, 0x1000\nhere: mov ds, ax');
    vm.vmcb.interceptException(GP);
    vm.expectExit(ExitCode.EXCEPTION + GP, { info1: 0x1000n, at: 'here' });
  });
  test('#PF reports the address in EXITINFO2 and leaves CR2 alone', () => {
    const vm = virtualMachine('mov eax, 0x111\nmov cr2, rax\nhere: mov [0x500020], al');
    vm.vmcb.interceptException(PF);
    vm.expectExit(ExitCode.EXCEPTION + PF, { info1: 2n, info2: 0x50_0020n, at: 'here' });
    assert.equal(vm.vmcb.save('CR2'), 0x111n);
  });
  test('the bytes of the instruction come with #PF', () => {
    const vm = virtualMachine('here: mov [0x500020], al\nhlt');
    vm.vmcb.interceptException(PF);
    vm.expectExit(ExitCode.EXCEPTION + PF);
    const bytes = vm.memory.read(HYPERVISOR.VMCB + 0xd0, 16);
    assert.equal(bytes[0], 15);
    assert.deepEqual([...bytes.subarray(1, 8)], [...vm.memory.read(HYPERVISOR.GUEST_CODE, 7)]);
  });
  test('#BP: RIP is the INT3, NRIP the next instruction', () => {
    const vm = virtualMachine('here: int3\nnext: hlt');
    vm.vmcb.interceptException(BP);
    vm.expectExit(ExitCode.EXCEPTION + BP, { at: 'here', next: 'next' });
  });
  test('#DB of a single step: RIP is already the next one', () => {
    const vm = virtualMachine('pushfq\nbts qword ptr [rsp], 8\npopfq\nnop\nnext: nop');
    vm.vmcb.interceptException(DB);
    vm.expectExit(ExitCode.EXCEPTION + DB, { at: 'next' });
    assert.equal(vm.vmcb.save('DR6') & 0x4000n, 0x4000n);
  });
  test('without an intercept the guest handles it', () => {
    const vm = virtualMachine('ud2');
    vm.expectExit(HLT);
    assert.equal(vm.vmcb.save('RIP'), BigInt(PLACE.HANDLERS + 16 * UD));
  });
  test('INT n of a vector below 32 is no exception', () => {
    const vm = virtualMachine('int 13\nhlt');
    vm.vmcb.interceptException(GP);
    vm.expectExit(HLT);
    assert.equal(vm.vmcb.save('RIP'), BigInt(PLACE.HANDLERS + 16 * GP));
  });
  test('a triple fault is a shutdown intercept', () => {
    const vm = virtualMachine('ud2');
    vm.vmcb.setSegment('IDTR', 0, 0, 0, 0);
    vm.expectExit(ExitCode.SHUTDOWN);
  });
  test('without that intercept the machine goes down', () => {
    const vm = virtualMachine('ud2');
    vm.vmcb.intercept('SHUTDOWN', false);
    vm.vmcb.setSegment('IDTR', 0, 0, 0, 0);
    assert.equal(vm.host.run(), 'shutdown');
  });
  test('a double fault can be intercepted', () => {
    const vm = virtualMachine('mov rsp, 0x700000\nhere: push rax');
    vm.vmcb.interceptException(DF);
    vm.expectExit(ExitCode.EXCEPTION + DF, { info1: 0n, at: 'here' });
  });
});

describe('EXITINTINFO: what was being delivered', () => {
  const VALID = 1n << 31n;
  const ERROR_CODE = 1n << 11n;
  const EXCEPTION = 3n << 8n;
  const SOFTWARE = 4n << 8n;
  test('a page fault at the IDT while #GP(0) is delivered', () => {
    const vm = virtualMachine('mov rax, 0x8000000000000000\nhere: mov al, [rax]');
    vm.vmcb.interceptException(PF);
    vm.vmcb.setSegment('IDTR', 0, 0, 0xfff, 0x50_0000);
    vm.expectExit(ExitCode.EXCEPTION + PF, {
      at: 'here',
      info1: 0n,
      info2: BigInt(0x50_0000 + 16 * GP),
      intInfo: VALID | ERROR_CODE | EXCEPTION | BigInt(GP),
    });
  });
  test('a #NP while INT n is delivered, with the NRIP of INT n', () => {
    const vm = virtualMachine('here: int 0x40\nnext: nop');
    setVector(vm.bench, 'long', 0x40, gate(SELECTOR.CODE64, 0, ACCESS.INTERRUPT_GATE32 & ~0x80));
    vm.vmcb.interceptException(NP);
    vm.expectExit(ExitCode.EXCEPTION + NP, {
      at: 'here',
      info1: BigInt(0x40 * 8 + 2),
      intInfo: VALID | SOFTWARE | 0x40n,
    });
  });
  test('an interrupt', () => {
    const vm = virtualMachine('sti\nnop\nhere: nop');
    setVector(vm.bench, 'long', 0x31, 0n);
    vm.vmcb.interceptException(GP);
    vm.bench.apic.vector = 0x31;
    vm.expectExit(ExitCode.EXCEPTION + GP, { at: 'here', info1: BigInt(0x31 * 8 + 2 + 1), intInfo: VALID | 0x31n });
  });
  test('nothing on an ordinary exit', () => {
    virtualMachine('hlt').expectExit(HLT, { intInfo: 0n });
  });
});

describe('INVLPG and INT n with decode assists', () => {
  test('INVLPG reports the linear address', () => {
    virtualMachine('mov ebx, 0x1234000\nhere: invlpg [rbx+8]\nnext: nop', { intercepts: ['INVLPG'] }).expectExit(
      ExitCode.INVLPG,
      { info1: 0x123_4008n, at: 'here', next: 'next' },
    );
  });
  test('INT n reports the vector', () => {
    virtualMachine('here: int 0x81\nnext: nop', { intercepts: ['SWINT'] }).expectExit(ExitCode.SWINT, {
      info1: 0x81n,
      at: 'here',
      next: 'next',
    });
  });
});

describe('PAUSE filter', () => {
  const LOOP = 'again: inc ebx\npause\njmp again';
  test('counts PAUSEs', () => {
    const vm = virtualMachine(LOOP, { intercepts: ['PAUSE'] });
    vm.memory.writeU16(HYPERVISOR.VMCB + 0x3e, 10);
    vm.expectExit(ExitCode.PAUSE);
    assert.equal(vm.cpu.gpr[3], 10n);
  });
  test('with a threshold it counts PAUSEs that are close, to below zero', () => {
    const vm = virtualMachine(LOOP, { intercepts: ['PAUSE'] });
    vm.memory.writeU16(HYPERVISOR.VMCB + 0x3e, 10);
    vm.memory.writeU16(HYPERVISOR.VMCB + 0x3c, 1000);
    vm.expectExit(ExitCode.PAUSE);
    assert.equal(vm.cpu.gpr[3], 11n);
  });
  test('PAUSEs far apart do not count', () => {
    const vm = virtualMachine('mov ebx, 5\nagain: pause\nmov ecx, 100\nwait: loop wait\ndec ebx\njnz again\nhlt', {
      intercepts: ['PAUSE', 'HLT'],
    });
    vm.memory.writeU16(HYPERVISOR.VMCB + 0x3e, 1);
    vm.memory.writeU16(HYPERVISOR.VMCB + 0x3c, 10);
    vm.expectExit(HLT);
  });
  test('without a count every one is intercepted', () => {
    const vm = virtualMachine(LOOP, { intercepts: ['PAUSE'] });
    vm.expectExit(ExitCode.PAUSE);
    assert.equal(vm.cpu.gpr[3], 1n);
  });
});

describe('task switches', () => {
  const FROM_JUMP = 1n << 38n;
  const FROM_IRET = 1n << 36n;
  const taskSwitch = (text: string, setup: (vm: ReturnType<typeof virtualMachine>) => void = () => {}) => {
    const vm = virtualMachine(text, { mode: 'protected' });
    setDescriptor(vm.bench, SELECTOR.FREE, segment(PLACE.TSS2, 0x67, ACCESS.TSS32));
    vm.vmcb.intercept('TASK_SWITCH');
    setup(vm);
    return vm;
  };
  test('by JMP', () => {
    taskSwitch('here: jmp FREE:0').expectExit(ExitCode.TASK_SWITCH, {
      info1: BigInt(SELECTOR.FREE),
      info2: FROM_JUMP,
      at: 'here',
    });
  });
  test('by CALL', () => {
    taskSwitch('here: call FREE:0').expectExit(ExitCode.TASK_SWITCH, {
      info1: BigInt(SELECTOR.FREE),
      info2: 0n,
      at: 'here',
    });
  });
  test('by IRET', () => {
    const vm = taskSwitch('pushfd\nbts dword ptr [esp], 14\npopfd\nhere: iretd', ({ memory, bench }) => {
      memory.writeU32(PLACE.TSS + TSS32.LINK, SELECTOR.FREE);
      setDescriptor(bench, SELECTOR.FREE, segment(PLACE.TSS2, 0x67, ACCESS.TSS32_BUSY));
    });
    vm.expectExit(ExitCode.TASK_SWITCH, { info1: BigInt(SELECTOR.FREE), info2: FROM_IRET, at: 'here' });
  });
  test('by a task gate, on behalf of an exception with an error code', () => {
    const vm = taskSwitch('mov ax, 0x1000\nhere: mov ds, ax', ({ bench }) => {
      setVector(bench, 'protected', GP, gate(SELECTOR.FREE, 0, ACCESS.TASK_GATE));
      // the tables of the host are for long mode; a protected-mode guest has its own layout there
    });
    vm.expectExit(ExitCode.TASK_SWITCH, { info1: BigInt(SELECTOR.FREE), at: 'here' });
    const info2 = vm.vmcb.control('EXITINFO2');
    assert.equal(info2 & ((1n << 44n) | 0xffff_ffffn), (1n << 44n) | 0x1000n);
    assert.equal(vm.vmcb.control('EXITINTINFO') & 0x8000_07ffn, 0x8000_0300n | BigInt(GP));
  });
});

/** Assembles one instruction for user code. */
function virtualMachineCode(text: string): Uint8Array {
  return assemble({ bits: 64, origin: PLACE.USER_CODE }, text).bytes;
}
