/** Changes of privilege: gates, far calls and returns, IRET, SYSCALL and SYSENTER (SDM vol. 3A chapters 5 and 6; APM vol. 2 chapters 4, 6, 8). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CR4, EFER, FLAG } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import {
  ACCESS,
  DESCRIPTOR,
  dpl,
  gate,
  longMode,
  PLACE,
  protectedMode,
  SELECTOR,
  segment,
  setDescriptor,
  setVector,
  TSS32,
  toUser32,
  toUser64,
} from './library.ts';

const { UD, NP, GP, PF } = Vector;
const { FREE } = SELECTOR;

describe('interrupts from user code', () => {
  test('take the stack from the TSS and save the old one', () => {
    const frame = longMode(`${toUser64()}int 0x80\nnext: nop`).expectException({
      vector: 0x80,
      at: 'next',
      cs: SELECTOR.USER_CODE64 + 3,
      ss: SELECTOR.USER_DATA32 + 3,
      rsp: BigInt(PLACE.USER_STACK),
    });
    assert.equal(frame.rflags & FLAG.RF, 0);
  });
  test('begin at RSP0 with a null SS in long mode', () => {
    const guest = longMode(`${toUser64()}int 0x80`).halt();
    assert.equal(guest.register('rsp'), BigInt(PLACE.STACK0 - 40));
    assert.equal(guest.selector('ss'), 0);
    assert.equal(guest.cpu.cpl, 0);
  });
  test('begin at SS0:ESP0 in protected mode', () => {
    const guest = protectedMode(`${toUser32()}int 0x80\nnext: nop`);
    guest.expectException({
      vector: 0x80,
      at: 'next',
      cs: SELECTOR.USER_CODE32 + 3,
      ss: SELECTOR.USER_DATA32 + 3,
      rsp: BigInt(PLACE.USER_STACK),
    });
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK0 - 20));
    assert.equal(guest.selector('ss'), SELECTOR.DATA32);
  });
  test('from compatibility mode push 64-bit frames', () => {
    longMode(`push USER_DATA32+3\npush USER_STACK\npush 2\npush USER_CODE32+3\npush USER_CODE\niretq
      org USER_CODE
      bits 32
      int 0x80
      next: nop`).expectException({
      vector: 0x80,
      at: 'next',
      cs: SELECTOR.USER_CODE32 + 3,
      rsp: BigInt(PLACE.USER_STACK),
    });
  });
  test('align the stack to 16 bytes in long mode', () => {
    const guest = longMode('sub rsp, 5\nint 0x80').halt();
    assert.equal(guest.register('rsp'), BigInt(((PLACE.STACK - 5) & ~15) - 40));
  });
});

describe('the interrupt stack table', () => {
  const withIst = (text: string, vector: number) => {
    const guest = longMode(text);
    setVector(
      guest.bench,
      'long',
      vector,
      gate(SELECTOR.CODE64, PLACE.HANDLERS + 16 * vector, ACCESS.INTERRUPT_GATE32 | dpl(3), 1),
    );
    return guest;
  };
  test('is used even without a change of privilege', () => {
    const guest = withIst('int 0x80', 0x80);
    guest.expectException({ vector: 0x80, rsp: BigInt(PLACE.STACK), ss: SELECTOR.DATA32 });
    assert.equal(guest.register('rsp'), BigInt(PLACE.IST1 - 40));
  });
  test('goes before RSP0', () => {
    const guest = withIst(`${toUser64()}int 0x80`, 0x80).halt();
    assert.equal(guest.register('rsp'), BigInt(PLACE.IST1 - 40));
  });
  test('rescues a page fault on a broken stack', () => {
    const guest = withIst('mov rsp, 0x700000\nhere: push rax', PF);
    guest.expectException({ vector: PF, errorCode: 2, at: 'here', rsp: 0x70_0000n });
    assert.equal(guest.cpu.cr2, 0x70_0000n - 8n);
  });
});

describe('IRET', () => {
  test('to the same level pops RSP and SS in 64-bit mode all the same', () => {
    const guest = longMode(
      'push DATA32\npush STACK-0x100\npush 2\npush CODE64\npush there\niretq\nud2\nthere: hlt',
    ).halt();
    assert.equal(guest.register('rsp'), BigInt(PLACE.STACK - 0x100));
  });
  test('to the same level in protected mode does not', () => {
    const guest = protectedMode('push 2\npush CODE32\npush there\niretd\nud2\nthere: hlt').halt();
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK));
  });
  test('to user code makes data segments of inner levels null', () => {
    const guest = protectedMode(`${toUser32()}int 0x80`).halt();
    assert.equal(guest.selector('ds'), SELECTOR.USER_DATA32 + 3);
    assert.equal(guest.selector('fs'), 0);
    assert.equal(guest.selector('gs'), 0);
  });
  test('to an inner level: #GP with the selector', () => {
    const text = `${toUser64()}push USER_DATA32+3\npush USER_STACK\npush 2\npush CODE64\npush USER_CODE\nhere: iretq`;
    longMode(text).expectException({ vector: GP, errorCode: SELECTOR.CODE64, at: 'here' });
  });
  test('to a code segment with both L and D: #GP', () => {
    const guest = longMode('push DATA32\npush STACK\npush 2\npush FREE\npush CODE\nhere: iretq');
    setDescriptor(guest.bench, FREE, segment(0, 0xffff_ffff, ACCESS.CODE, 6));
    guest.expectException({ vector: GP, errorCode: FREE, at: 'here' });
  });
  test('to a non-canonical RIP: #GP(0)', () => {
    longMode(
      'mov rax, 0x800000000000\npush DATA32\npush STACK\npush 2\npush CODE64\npush rax\nhere: iretq',
    ).expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
  test('with NT in long mode: #GP(0)', () => {
    longMode('pushfq\nbts qword ptr [rsp], 14\npopfq\nhere: iretq').expectException({
      vector: GP,
      errorCode: 0,
      at: 'here',
    });
  });
  test('from user code changes neither IOPL nor IF', () => {
    const guest = longMode(
      `${toUser64()}push USER_DATA32+3\npush USER_STACK\npush 0x3202\npush USER_CODE64+3\npush there\niretq\nthere: int 0x80`,
    );
    const { rflags } = guest.expectException({ vector: 0x80 });
    assert.equal(rflags & (FLAG.IOPL | FLAG.IF), 0);
  });
  test('with 16-bit operand size', () => {
    const near = protectedMode('o16 push 2\no16 push FREE\no16 push 0x10\niretw');
    setDescriptor(near.bench, FREE, DESCRIPTOR.code16(0, PLACE.DATA));
    near.memory.writeU8(PLACE.DATA + 0x10, 0xf4);
    near.halt();
    assert.equal(near.cpu.rip, 0x11n);
    assert.equal(near.register('esp'), BigInt(PLACE.STACK));
  });
});

describe('far calls', () => {
  test('to another segment of the same level, and back', () => {
    const guest = protectedMode(`call CONFORMING32:sub
      mov ebx, cs
      hlt
      sub: mov ecx, cs
      retf`).halt();
    assert.equal(guest.register('ecx'), BigInt(SELECTOR.CONFORMING32));
    assert.equal(guest.register('ebx'), BigInt(SELECTOR.CODE32));
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK));
  });
  test('RETF n drops parameters', () => {
    const guest = protectedMode('push 1\npush 2\ncall CODE32:sub\nhlt\nsub: retf 8').halt();
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK));
  });
  test('to a nonconforming segment of an outer level: #GP', () => {
    protectedMode('here: call USER_CODE32:0').expectException({
      vector: GP,
      errorCode: SELECTOR.USER_CODE32,
      at: 'here',
    });
  });
  test('user code may call conforming code and stays at its level', () => {
    const guest = protectedMode(`${toUser32()}call CONFORMING32:sub\nsub: mov ecx, cs\nint 0x80`);
    guest.expectException({ vector: 0x80, cs: SELECTOR.CONFORMING32 + 3 });
    assert.equal(guest.register('ecx'), BigInt(SELECTOR.CONFORMING32 + 3));
  });
  test('beyond the limit of the target: #GP(0)', () => {
    protectedMode('here: jmp CODE16:0x10000').expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
  test('direct far transfers are undefined in 64-bit mode, indirect ones are not', () => {
    longMode('here: db 0xea, 0, 0, 0, 0, 8, 0').expectException({ vector: UD, at: 'here' });
    const guest = longMode(`jmp far dword ptr [pointer]
      pointer: dd there
      dw CODE32
      bits 32
      there: mov eax, cs
      hlt`).halt();
    assert.equal(guest.register('eax'), BigInt(SELECTOR.CODE32));
  });
});

describe('call gates', () => {
  const callGate = (text: string, descriptor: bigint) => {
    const guest = protectedMode(text);
    setDescriptor(guest.bench, FREE, descriptor);
    return guest;
  };
  test('lead to inner levels, copying parameters', () => {
    const guest = protectedMode(`${toUser32()}
      push 0x11111111
      push 0x22222222
      call FREE+3:0
      next: nop
      org 0x118000
      hlt`);
    setDescriptor(guest.bench, FREE, gate(SELECTOR.CODE32, 0x11_8000, ACCESS.CALL_GATE32 | dpl(3), 2));
    guest.halt();
    const at = PLACE.STACK0 - 24;
    assert.equal(guest.register('esp'), BigInt(at));
    const stack = Array.from({ length: 6 }, (_, i) => guest.memory.readU32(at + 4 * i));
    assert.deepEqual(stack, [
      Number(guest.address('next')),
      SELECTOR.USER_CODE32 + 3,
      0x2222_2222,
      0x1111_1111,
      PLACE.USER_STACK - 8,
      SELECTOR.USER_DATA32 + 3,
    ]);
    assert.equal(guest.cpu.cpl, 0);
  });
  test('RETF goes back, dropping the parameters from both stacks', () => {
    const guest = protectedMode(`${toUser32()}
      push 1
      push 2
      call FREE+3:0
      mov ebx, esp
      int 0x80
      org 0x118000
      retf 8`);
    setDescriptor(guest.bench, FREE, gate(SELECTOR.CODE32, 0x11_8000, ACCESS.CALL_GATE32 | dpl(3), 2));
    guest.expectException({ vector: 0x80, cs: SELECTOR.USER_CODE32 + 3 });
    assert.equal(guest.register('ebx'), BigInt(PLACE.USER_STACK));
  });
  test('need a DPL at least that of the caller', () => {
    callGate(`${toUser32()}here: call FREE+3:0`, gate(SELECTOR.CODE32, PLACE.CODE, ACCESS.CALL_GATE32)).expectException(
      { vector: GP, errorCode: FREE, at: 'here' },
    );
  });
  test('must be present', () => {
    callGate('here: call FREE:0', gate(SELECTOR.CODE32, PLACE.CODE, ACCESS.CALL_GATE32 & ~0x80)).expectException({
      vector: NP,
      errorCode: FREE,
      at: 'here',
    });
  });
  test('must lead to code', () => {
    callGate('here: call FREE:0', gate(SELECTOR.DATA32, PLACE.CODE, ACCESS.CALL_GATE32)).expectException({
      vector: GP,
      errorCode: SELECTOR.DATA32,
      at: 'here',
    });
  });
  test('a jump may not change the privilege level', () => {
    callGate(
      `${toUser32()}here: jmp FREE+3:0`,
      gate(SELECTOR.CODE32, PLACE.CODE, ACCESS.CALL_GATE32 | dpl(3)),
    ).expectException({ vector: GP, errorCode: SELECTOR.CODE32, at: 'here' });
  });
  test('of 16 bits push words', () => {
    const guest = callGate('call FREE:0\nnext: nop', gate(SELECTOR.CODE32, PLACE.HANDLERS, ACCESS.CALL_GATE16)).halt();
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK - 4));
    assert.equal(guest.memory.readU16(PLACE.STACK - 4), Number(guest.address('next') & 0xffffn));
  });
  test('of 64 bits take 16 bytes of the table', () => {
    const guest = longMode(`${toUser64()}call far qword ptr [pointer]
      next: nop
      pointer: dq 0
      dw FREE+3`);
    setDescriptor(guest.bench, FREE, gate(SELECTOR.CODE64, PLACE.HANDLERS, ACCESS.CALL_GATE32 | dpl(3)), 0n);
    guest.halt();
    assert.equal(guest.register('rsp'), BigInt(PLACE.STACK0 - 32));
    assert.equal(guest.memory.readU64(PLACE.STACK0 - 32), guest.address('next'));
    assert.equal(guest.memory.readU64(PLACE.STACK0 - 8), BigInt(SELECTOR.USER_DATA32 + 3));
  });
  test('of 64 bits lead to 64-bit code only', () => {
    const guest = longMode(`here: call far qword ptr [pointer]\npointer: dq 0\ndw FREE`);
    setDescriptor(guest.bench, FREE, gate(SELECTOR.CODE32, PLACE.HANDLERS, ACCESS.CALL_GATE32), 0n);
    guest.expectException({ vector: GP, errorCode: SELECTOR.CODE32, at: 'here' });
  });
});

/** MSR numbers (APM vol. 2 appendix A). */
const MSRS = { STAR: 0xc000_0081, LSTAR: 0xc000_0082, CSTAR: 0xc000_0083, SFMASK: 0xc000_0084 };
const setup = `
  mov ecx, STAR
  xor eax, eax
  mov edx, 0x00230008          ; user base 23h, kernel base 8
  wrmsr
  mov ecx, LSTAR
  mov eax, entry
  xor edx, edx
  wrmsr
  mov ecx, CSTAR
  mov eax, compatible
  wrmsr
  mov ecx, SFMASK
  mov eax, 0x600
  wrmsr
`;
const ENTRIES = '\nentry: mov r15d, 1\nhlt\ncompatible: mov r15d, 2\nhlt';

describe('SYSCALL and SYSRET', () => {
  const options = { efer: EFER.SCE, define: MSRS };
  test('SYSCALL saves RIP and RFLAGS in registers and masks flags', () => {
    const guest = longMode(`${setup}${toUser64('USER_CODE', 0x602)}std\nsyscall\nnext: nop${ENTRIES}`, options).halt();
    assert.equal(guest.register('rcx'), guest.address('next'));
    assert.equal(guest.register('r11') & 0x600n, 0x600n);
    assert.equal(guest.rflags & (FLAG.IF | FLAG.DF), 0);
    assert.equal(guest.selector('cs'), 8);
    assert.equal(guest.selector('ss'), 0x10);
    assert.equal(guest.cpu.cpl, 0);
    assert.equal(guest.register('r15'), 1n);
    assert.equal(guest.register('rsp'), BigInt(PLACE.USER_STACK));
  });
  test('SYSCALL from compatibility mode goes to CSTAR', () => {
    const guest = longMode(
      `${setup}push USER_DATA32+3\npush USER_STACK\npush 2\npush USER_CODE32+3\npush USER_CODE\niretq
       org USER_CODE\nbits 32\nsyscall\nbits 64${ENTRIES}`,
      options,
    ).halt();
    assert.equal(guest.register('r15'), 2n);
  });
  test('SYSRET to 64-bit code', () => {
    const guest = longMode(
      `${setup}mov rcx, USER_CODE\nmov r11, 0x3202\nsysretq\norg USER_CODE\nint 0x80${ENTRIES}`,
      options,
    );
    const frame = guest.expectException({ vector: 0x80, cs: SELECTOR.USER_CODE64 + 3, ss: SELECTOR.USER_DATA32 + 3 });
    assert.equal(frame.rflags & (FLAG.IF | FLAG.IOPL), 0x3200);
  });
  test('SYSRET that sets TF traps before the first instruction', () => {
    const guest = longMode(
      `${setup}mov rcx, USER_CODE\nmov r11, 0x102\nsysretq\norg USER_CODE\nhere: nop${ENTRIES}`,
      options,
    );
    guest.expectException({ vector: Vector.DB, at: 'here', cs: SELECTOR.USER_CODE64 + 3 });
  });
  test('SYSRET to compatibility mode', () => {
    longMode(
      `${setup}mov rcx, USER_CODE\nmov r11, 2\nsysret\norg USER_CODE\nbits 32\nint 0x80${ENTRIES.replace('\n', '\nbits 64\n')}`,
      options,
    ).expectException({ vector: 0x80, cs: SELECTOR.USER_CODE32 + 3, ss: SELECTOR.USER_DATA32 + 3 });
  });
  test('SYSRET at CPL 3: #GP(0)', () => {
    longMode(`${setup}${toUser64()}here: sysretq${ENTRIES}`, options).expectException({
      vector: GP,
      errorCode: 0,
      at: 'here',
    });
  });
  test('both need EFER.SCE', () => {
    longMode('here: syscall').expectException({ vector: UD, at: 'here' });
    longMode('here: sysretq').expectException({ vector: UD, at: 'here' });
  });
});

describe('SYSENTER and SYSEXIT', () => {
  test('exist in protected mode', () => {
    const guest = protectedMode(`
      mov ecx, 0x174
      mov eax, CODE32
      xor edx, edx
      wrmsr
      inc ecx
      mov eax, STACK1
      wrmsr
      inc ecx
      mov eax, entry
      wrmsr
      ${toUser32()}
      sysenter
      entry: mov ebx, cs
      hlt`);
    guest.halt();
    assert.equal(guest.register('ebx'), BigInt(SELECTOR.CODE32));
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK1));
    assert.equal(guest.selector('ss'), SELECTOR.CODE32 + 8);
  });
  test('are undefined in long mode on AMD processors', () => {
    longMode('here: sysenter').expectException({ vector: UD, at: 'here' });
  });
  test('SYSENTER with a null selector: #GP(0)', () => {
    protectedMode('here: sysenter').expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
});

describe('what user code may do', () => {
  test('CLI and STI with enough IOPL', () => {
    longMode(`${toUser64('USER_CODE', 0x3002)}sti\ncli\nint 0x80`).expectException({ vector: 0x80 });
    longMode(`${toUser64()}here: sti`).expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
  test('POPF without privilege leaves IF and IOPL alone', () => {
    const frame = longMode(`${toUser64()}push 0x3202\npopfq\nint 0x80`).expectException({ vector: 0x80 });
    assert.equal(frame.rflags & (FLAG.IF | FLAG.IOPL), 0);
  });
  test('ports that the I/O permission map opens', () => {
    const guest = protectedMode(`${toUser32()}in al, 0x60\nhere: in al, 0x61`);
    guest.memory.writeU16(PLACE.TSS + TSS32.IO_MAP, 0x68);
    guest.memory.write(PLACE.TSS + 0x68, new Uint8Array(0x20).fill(0xff));
    guest.memory.writeU8(PLACE.TSS + 0x68 + 0xc, 0xfe);
    guest.bench.inputs.set(0x60, 0x42);
    guest.expectException({ vector: GP, errorCode: 0, at: 'here' });
    assert.equal(guest.register('al'), 0x42n);
  });
  test('RDTSC unless CR4.TSD, and CR4.UMIP hides SIDT and its kin', () => {
    longMode(`${toUser64()}rdtsc\nhere: sidt [USER_DATA]`, { cr4: CR4.UMIP }).expectException({
      vector: GP,
      errorCode: 0,
      at: 'here',
    });
    longMode(`${toUser64()}here: rdtsc`, { cr4: CR4.TSD }).expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
  test('alignment checks with AC and CR0.AM', () => {
    const options = { cr0: 1 << 18 };
    longMode(
      `${toUser64('USER_CODE', 0x40002)}mov eax, [USER_DATA]\nhere: mov eax, [USER_DATA+2]`,
      options,
    ).expectException({ vector: Vector.AC, errorCode: 0, at: 'here' });
    longMode(`${toUser64()}mov eax, [USER_DATA+2]\nint 0x80`, options).expectException({ vector: 0x80 });
  });
});

describe('SWAPGS and segment bases', () => {
  test('SWAPGS exchanges GS.base with KernelGSbase', () => {
    const guest = longMode(
      'mov ecx, 0xc0000102\nmov eax, DATA\nxor edx, edx\nwrmsr\nswapgs\nmov eax, gs:[0x10]\nrdgsbase rbx\nhlt',
      { cr4: CR4.FSGSBASE },
    );
    guest.memory.writeU32(PLACE.DATA + 0x10, 99);
    guest.halt();
    assert.equal(guest.register('eax'), 99n);
    assert.equal(guest.register('rbx'), BigInt(PLACE.DATA));
  });
  test('WRFSBASE of a non-canonical address: #GP(0)', () => {
    longMode('mov rax, 0x800000000000\nhere: wrfsbase rax', { cr4: CR4.FSGSBASE }).expectException({
      vector: GP,
      errorCode: 0,
      at: 'here',
    });
  });
  test('without CR4.FSGSBASE they are undefined', () => {
    longMode('here: rdfsbase rax').expectException({ vector: UD, at: 'here' });
  });
});
