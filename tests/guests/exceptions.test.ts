/** Which exception, with which error code, with which return address (SDM vol. 3A chapter 6, APM vol. 2 chapter 8). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CR0, CR4, FLAG } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import {
  ACCESS,
  gate,
  longMode,
  PLACE,
  protectedMode,
  SELECTOR,
  segment,
  setDescriptor,
  setVector,
  toUser32,
  toUser64,
} from './library.ts';

const { DE, DB, BP, OF, BR, UD, NM, DF, TS, NP, SS, GP, PF } = Vector;
/** Error code bits (SDM vol. 3A figure 6-6). */
const EXT = 1;
const IDT = 2;

describe('faults return to the instruction, traps to the next one', () => {
  test('a division by zero', () => {
    longMode('xor ecx, ecx\nhere: div ecx').expectException({
      vector: DE,
      errorCode: undefined,
      at: 'here',
      cs: SELECTOR.CODE64,
    });
  });
  test('a quotient that does not fit', () => {
    protectedMode('mov edx, 1\nmov ecx, 1\nhere: div ecx').expectException({ vector: DE, at: 'here' });
  });
  test('AAM with base 0', () => {
    protectedMode('here: aam 0').expectException({ vector: DE, at: 'here' });
  });
  test('INT3', () => {
    longMode('int3\nnext: nop').expectException({ vector: BP, at: 'next' });
  });
  test('INTO with OF set', () => {
    protectedMode('mov al, 0x7f\nadd al, 1\ninto\nnext: nop').expectException({ vector: OF, at: 'next' });
  });
  test('INTO with OF clear does nothing', () => {
    const guest = protectedMode('xor eax, eax\ninto\nhlt\nend:').halt();
    assert.equal(guest.cpu.rip, guest.address('end'));
  });
  test('BOUND', () => {
    protectedMode('mov eax, 9\nhere: bound eax, [range]\nrange: dd 1, 8').expectException({ vector: BR, at: 'here' });
  });
  test('INT n pushes no error code even for a vector whose exception has one', () => {
    // the frame helper takes the error code for granted, so look at the stack itself
    const guest = longMode('int 13\nnext: nop').halt();
    assert.equal(guest.memory.readU64(Number(guest.cpu.gpr[4])), guest.address('next'));
  });
  test('a fault saves RF set, a trap does not', () => {
    assert.ok(longMode('ud2').expectException({ vector: UD }).rflags & FLAG.RF);
    assert.ok(!(longMode('int3').expectException({ vector: BP }).rflags & FLAG.RF));
  });
  test('ICEBP raises #DB without DR6.BS', () => {
    const guest = longMode('int1\nnext: nop');
    guest.expectException({ vector: DB, at: 'next' });
    assert.equal(guest.cpu.dr6 & 0x4000n, 0n);
  });
});

describe('#UD', () => {
  const UNDEFINED: readonly (readonly [string, string])[] = [
    ['UD2', 'ud2'],
    ['PUSH ES', 'db 0x06'],
    ['LOCK on a register', 'db 0xf0, 0x01, 0xc0'],
    ['LOCK MOV', 'db 0xf0, 0x89, 0x00'],
    ['MOV to CS', 'db 0x8e, 0xc8'],
    ['MOV from CR1', 'db 0x0f, 0x20, 0xc8'],
    ['LEA of a register', 'db 0x8d, 0xc0'],
    ['RSM outside SMM', 'rsm'],
    ['VMCALL', 'vmcall'],
    ['VMMCALL outside a guest', 'vmmcall'],
    ['VMRUN without EFER.SVME', 'vmrun'],
    ['SYSCALL without EFER.SCE', 'syscall'],
    ['CMPXCHG8B on a register', 'db 0x0f, 0xc7, 0xc8'],
    ['SALC', 'db 0xd6'],
  ];
  for (const [name, text] of UNDEFINED) {
    test(`${name} in 64-bit mode`, () => {
      longMode(`here: ${text}`).expectException({ vector: UD, at: 'here' });
    });
  }
  test('SLDT in real-address mode is undefined, in protected mode it is not', () => {
    const guest = protectedMode('sldt eax\nhlt').halt();
    assert.equal(guest.register('eax'), BigInt(SELECTOR.LOCAL));
  });
  test('SSE with CR0.EM', () => {
    longMode('here: xorps xmm0, xmm0', { cr0: CR0.EM }).expectException({ vector: UD, at: 'here' });
  });
  test('DR4 with CR4.DE', () => {
    longMode('here: mov rax, dr4', { cr4: CR4.DE }).expectException({ vector: UD, at: 'here' });
  });
});

describe('#NM', () => {
  test('SSE with CR0.TS', () => {
    longMode('here: xorps xmm0, xmm0', { cr0: CR0.TS }).expectException({
      vector: NM,
      errorCode: undefined,
      at: 'here',
    });
  });
  test('x87 with CR0.TS, and CLTS ends it', () => {
    longMode('here: fnop', { cr0: CR0.TS }).expectException({ vector: NM, at: 'here' });
    longMode('clts\nfnop\nhlt', { cr0: CR0.TS }).halt();
  });
  test('WAIT needs CR0.MP besides CR0.TS', () => {
    longMode('fwait\nhlt', { cr0: CR0.TS }).halt();
    longMode('here: fwait', { cr0: CR0.TS | CR0.MP }).expectException({ vector: NM, at: 'here' });
  });
});

describe('#GP(0)', () => {
  const PROTECTED: readonly (readonly [string, string])[] = [
    ['a non-canonical address', 'mov rax, 0x8000000000000000\nhere: mov [rax], cl'],
    ['an unknown MSR', 'mov ecx, 0x12345678\nhere: rdmsr'],
    ['a reserved bit of CR4', 'mov rax, cr4\nbts rax, 31\nhere: mov cr4, rax'],
    ['CR0.PG without CR0.PE', 'mov eax, 0x80000000\nhere: mov cr0, rax'],
    ['CR0.NW without CR0.CD', 'mov rax, cr0\nbts rax, 29\nhere: mov cr0, rax'],
    ['clearing CR4.PAE in long mode', 'mov rax, cr4\nbtr rax, 5\nhere: mov cr4, rax'],
    ['a reserved bit of EFER', 'mov ecx, 0xc0000080\nrdmsr\nbts eax, 31\nhere: wrmsr'],
    ['a non-canonical LSTAR', 'mov ecx, 0xc0000082\nmov edx, 0x800000\nhere: wrmsr'],
    ['the upper half of DR7', 'mov rax, 0x100000000\nhere: mov dr7, rax'],
    ['a null SS at CPL 0 with RPL 3', 'mov eax, 3\nhere: mov ss, ax'],
    ['an unaligned SSE operand', 'here: movaps xmm0, [DATA+1]'],
    ['a branch to a non-canonical address', 'mov rax, 0x800000000000\nhere: jmp rax'],
  ];
  for (const [name, text] of PROTECTED) {
    test(name, () => {
      longMode(text).expectException({ vector: GP, errorCode: 0, at: 'here' });
    });
  }
  const PRIVILEGED = [
    'hlt',
    'cli',
    'mov rax, cr0',
    'mov cr3, rax',
    'mov rax, dr7',
    'clts',
    'wbinvd',
    'invlpg [rax]',
    'lgdt [rax]',
    'ltr ax',
    'rdmsr',
    'wrmsr',
    'in al, 0x60',
    'swapgs',
    'sysretq',
  ];
  for (const text of PRIVILEGED) {
    test(`'${text}' at CPL 3`, () => {
      longMode(`${toUser64()}here: ${text}`).expectException({
        vector: GP,
        errorCode: 0,
        at: 'here',
        cs: SELECTOR.USER_CODE64 + 3,
        ss: SELECTOR.USER_DATA32 + 3,
      });
    });
  }
  test('a read past the limit of a segment', () => {
    const guest = protectedMode('mov ax, FREE\nmov es, ax\nmov eax, es:[0xffc]\nhere: mov eax, es:[0xffd]');
    setDescriptor(guest.bench, SELECTOR.FREE, segment(PLACE.DATA, 0xfff, ACCESS.DATA));
    guest.expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
  test('a write to a code segment', () => {
    protectedMode('here: mov cs:[DATA], eax').expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
  test('a use of a null segment', () => {
    protectedMode('xor eax, eax\nmov es, ax\nhere: mov al, es:[0]').expectException({
      vector: GP,
      errorCode: 0,
      at: 'here',
    });
  });
  test('an expand-down segment grows from its limit upwards', () => {
    const guest = protectedMode('mov ax, FREE\nmov es, ax\nmov eax, es:[0x1000]\nhere: mov eax, es:[0xfff]');
    setDescriptor(guest.bench, SELECTOR.FREE, segment(PLACE.DATA, 0xfff, ACCESS.EXPAND_DOWN, 4));
    guest.expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
});

describe('faults with a selector', () => {
  test('loading DS beyond the limit of the GDT', () => {
    protectedMode('mov ax, 0x1000\nhere: mov ds, ax').expectException({ vector: GP, errorCode: 0x1000, at: 'here' });
  });
  test('loading DS with a system segment', () => {
    protectedMode('mov ax, TASK\nhere: mov ds, ax').expectException({
      vector: GP,
      errorCode: SELECTOR.TASK,
      at: 'here',
    });
  });
  test('the error code has no RPL', () => {
    protectedMode('mov ax, 0x1003\nhere: mov ds, ax').expectException({ vector: GP, errorCode: 0x1000, at: 'here' });
  });
  test('the error code tells the LDT', () => {
    protectedMode('mov ax, 0x204\nhere: mov ds, ax').expectException({ vector: GP, errorCode: 0x204, at: 'here' });
  });
  test('a segment that is not present: #NP', () => {
    protectedMode('here: jmp ABSENT:0').expectException({ vector: NP, errorCode: SELECTOR.ABSENT, at: 'here' });
  });
  test('a stack segment that is not present: #SS', () => {
    const guest = protectedMode('mov ax, FREE\nhere: mov ss, ax');
    setDescriptor(guest.bench, SELECTOR.FREE, segment(0, 0xfffff, ACCESS.DATA & ~0x80));
    guest.expectException({ vector: SS, errorCode: SELECTOR.FREE, at: 'here' });
  });
  test('SS with code, or with a DPL other than CPL: #GP', () => {
    protectedMode('mov ax, CODE32\nhere: mov ss, ax').expectException({ vector: GP, errorCode: SELECTOR.CODE32 });
    protectedMode('mov ax, USER_DATA32\nhere: mov ss, ax').expectException({
      vector: GP,
      errorCode: SELECTOR.USER_DATA32,
    });
  });
  test('a stack access past the limit: #SS(0)', () => {
    const guest = protectedMode('mov ax, FREE\nmov ss, ax\nmov esp, 0x1000\nmov eax, ss:[0xffe]');
    // the handler needs a stack, too: let it have one of its own
    setDescriptor(guest.bench, SELECTOR.FREE, segment(PLACE.DATA, 0xffd, ACCESS.DATA, 4));
    setDescriptor(guest.bench, SELECTOR.FREE + 8, segment(PLACE.TSS2, 0x67, ACCESS.TSS32));
    assert.equal(guest.run(), 'shutdown');
  });
  test('LTR marks its descriptor busy, and refuses a busy one', () => {
    const guest = protectedMode('mov ax, TASK2\nltr ax\nhere: ltr ax');
    guest.expectException({ vector: GP, errorCode: SELECTOR.TASK2, at: 'here' });
    assert.equal(guest.memory.readU8(PLACE.GDT + SELECTOR.TASK2 + 5), ACCESS.TSS32_BUSY);
  });
  test('loading a segment sets its accessed bit', () => {
    const guest = protectedMode('mov ax, USER_DATA32\nmov ds, ax\nhlt').halt();
    assert.equal(guest.memory.readU8(PLACE.GDT + SELECTOR.USER_DATA32 + 5) & 1, 1);
  });
});

describe('the interrupt descriptor table', () => {
  test('a vector beyond its limit: #GP with the vector and IDT', () => {
    const guest = longMode('here: int 0x80');
    guest.cpu.idtrLimit = 0x7ff;
    guest.expectException({ vector: GP, errorCode: 0x80 * 8 + IDT, at: 'here' });
  });
  test('a gate that is not present: #NP', () => {
    const guest = longMode('here: int 0x40');
    setVector(guest.bench, 'long', 0x40, gate(SELECTOR.CODE64, PLACE.HANDLERS, ACCESS.INTERRUPT_GATE32 & ~0x80));
    guest.expectException({ vector: NP, errorCode: 0x40 * 8 + IDT, at: 'here' });
  });
  test('no gate at all: #GP', () => {
    const guest = protectedMode('here: int 0x40');
    setVector(guest.bench, 'protected', 0x40, gate(SELECTOR.CODE32, 0, ACCESS.CALL_GATE32));
    guest.expectException({ vector: GP, errorCode: 0x40 * 8 + IDT, at: 'here' });
  });
  test('INT n from CPL 3 needs a gate of DPL 3', () => {
    longMode(`${toUser64()}here: int 0x20`).expectException({ vector: GP, errorCode: 0x20 * 8 + IDT, at: 'here' });
    longMode(`${toUser64()}int 0x80\nnext: nop`).expectException({
      vector: 0x80,
      at: 'next',
      cs: SELECTOR.USER_CODE64 + 3,
    });
  });
  test('so does INT3, but not the exception of an instruction', () => {
    longMode(`${toUser64()}here: int3`).expectException({ vector: GP, errorCode: BP * 8 + IDT, at: 'here' });
    longMode(`${toUser64()}here: ud2`).expectException({ vector: UD, at: 'here' });
  });
  test('a gate to a segment that is not code: #GP with its selector', () => {
    const guest = protectedMode('here: int 0x40');
    setVector(guest.bench, 'protected', 0x40, gate(SELECTOR.DATA32, 0, ACCESS.INTERRUPT_GATE32));
    guest.expectException({ vector: GP, errorCode: SELECTOR.DATA32, at: 'here' });
  });
  test('the same on behalf of an exception has EXT set', () => {
    const guest = protectedMode('here: ud2');
    setVector(guest.bench, 'protected', UD, gate(SELECTOR.DATA32, 0, ACCESS.INTERRUPT_GATE32));
    guest.expectException({ vector: GP, errorCode: SELECTOR.DATA32 | EXT, at: 'here' });
  });
  test('an interrupt gate clears IF, a trap gate leaves it', () => {
    const through = (access: number): number => {
      const guest = longMode('sti\nint 0x80');
      setVector(guest.bench, 'long', 0x80, gate(SELECTOR.CODE64, PLACE.HANDLERS + 0x800, access));
      return guest.halt().rflags & FLAG.IF;
    };
    assert.equal(through(ACCESS.INTERRUPT_GATE32), 0);
    assert.equal(through(ACCESS.TRAP_GATE32), FLAG.IF);
  });
  test('a 16-bit gate pushes words', () => {
    const guest = protectedMode('int 0x40\nnext: nop');
    setVector(guest.bench, 'protected', 0x40, gate(SELECTOR.CODE32, PLACE.HANDLERS + 0x400, ACCESS.INTERRUPT_GATE16));
    guest.halt();
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK - 6));
    assert.equal(guest.memory.readU16(PLACE.STACK - 6), Number(guest.address('next') & 0xffffn));
    assert.equal(guest.memory.readU16(PLACE.STACK - 4), SELECTOR.CODE32);
  });
});

describe('double and triple faults', () => {
  test('#GP while a #NP is delivered: a double fault with error code 0', () => {
    const guest = protectedMode('here: jmp ABSENT:0');
    setVector(guest.bench, 'protected', NP, 0n);
    guest.expectException({ vector: DF, errorCode: 0, at: 'here' });
  });
  test('#GP while a #UD is delivered is delivered itself: #UD is benign', () => {
    const guest = protectedMode('here: ud2');
    setVector(guest.bench, 'protected', UD, 0n);
    guest.expectException({ vector: GP, errorCode: UD * 8 + IDT + EXT, at: 'here' });
  });
  test('a page fault while a page fault is delivered: a double fault', () => {
    const guest = longMode('mov rsp, 0x700000\nhere: mov al, [0x500000]');
    setVector(guest.bench, 'long', DF, gate(SELECTOR.CODE64, PLACE.HANDLERS + 16 * DF, ACCESS.INTERRUPT_GATE32, 1));
    guest.expectException({ vector: DF, errorCode: 0, at: 'here', rsp: 0x700000n });
  });
  test('a fault while a double fault is delivered shuts down', () => {
    const guest = longMode('ud2');
    guest.cpu.idtrLimit = 0;
    assert.equal(guest.run(), 'shutdown');
    assert.match(guest.bench.shutdowns.join(), /triple fault/);
  });
  test('a stack that does not exist, at an inner level: #TS of the TSS', () => {
    const guest = protectedMode(`${toUser32()}here: int 0x80`);
    guest.memory.writeU16(PLACE.TSS + 8, SELECTOR.USER_DATA32);
    // SS0 of the wrong privilege level; delivering #TS meets it again, and so does #DF
    assert.equal(guest.run(), 'shutdown');
    void TS;
  });
  test('a page fault leaves the address in CR2', () => {
    const guest = longMode('here: mov al, [0x500123]');
    guest.expectException({ vector: PF, errorCode: 0, at: 'here' });
    assert.equal(guest.cpu.cr2, 0x500123n);
  });
});
