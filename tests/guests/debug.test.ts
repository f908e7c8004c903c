/** Single stepping and breakpoints (SDM vol. 3B chapter 18, APM vol. 2 chapter 13). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CR4, FLAG } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import { type Guest, longMode, PLACE, protectedMode, realMode, toUser64 } from './library.ts';

const { DB, GP } = Vector;
const B0 = 1n;
const BD = 1n << 13n;
const BS = 1n << 14n;
/** DR6 bits that say why, without those that always read as one. */
const causes = (guest: Guest): bigint => guest.cpu.dr6 & (0xfn | BD | BS | (1n << 15n));

const TRACE = 'pushfq\nbts qword ptr [rsp], 8\npopfq\n';

describe('single step', () => {
  test('traps after the instruction that follows POPF', () => {
    const guest = longMode(`${TRACE}nop\nnext: nop`);
    guest.expectException({ vector: DB, errorCode: undefined, at: 'next' });
    assert.equal(causes(guest), BS);
    assert.equal(guest.rflags & FLAG.TF, 0);
  });
  test('the saved flags still have TF, so that IRET goes on stepping', () => {
    const frame = longMode(`${TRACE}nop`).expectException({ vector: DB });
    assert.ok(frame.rflags & FLAG.TF);
  });
  test('steps into a taken branch', () => {
    longMode(`${TRACE}jmp there\nnop\nthere: nop`).expectException({ vector: DB, at: 'there' });
  });
  test('steps one iteration of a repeated string instruction', () => {
    const guest = longMode(`mov ecx, 3\nmov edi, DATA\n${TRACE}here: rep stosb`);
    guest.expectException({ vector: DB, at: 'here' });
    assert.equal(guest.register('rcx'), 2n);
  });
  test('an instruction that faults does not trap', () => {
    longMode(`${TRACE}here: ud2`).expectException({ vector: Vector.UD, at: 'here' });
  });
  test('INT n clears TF before the handler starts', () => {
    longMode(`${TRACE}int 0x80\nnext: nop`).expectException({ vector: 0x80, at: 'next' });
  });
  test('MOV SS delays the trap by one instruction', () => {
    const guest = protectedMode('mov eax, DATA32\npushfd\nbts dword ptr [esp], 8\npopfd\nmov ss, ax\nnop\nnext: nop');
    guest.expectException({ vector: DB, at: 'next' });
  });
  test('works in real-address mode', () => {
    realMode('pushfw\npop ax\nbts ax, 8\npush ax\npopfw\nnop\nnext: nop').expectException({ vector: DB, at: 'next' });
  });
  test('a whole program, instruction by instruction', () => {
    const guest = longMode(
      `mov ecx, 3
       ${TRACE}
       again: dec ecx
       jnz again
       pushfq
       btr qword ptr [rsp], 8
       popfq           ; the last one: TF was set when it began
       hlt`,
    );
    // a handler that counts in R8 and returns
    guest.memory.write(PLACE.HANDLERS + 16 * DB, Uint8Array.from([0x49, 0xff, 0xc0, 0x48, 0xcf]));
    guest.halt();
    assert.equal(guest.register('r8'), 9n);
  });
});

describe('breakpoints on instructions', () => {
  const atLabel = (text: string): Guest => longMode(`mov eax, here\nmov dr0, rax\nmov eax, 1\nmov dr7, rax\n${text}`);
  test('fault before the instruction', () => {
    const guest = atLabel('nop\nhere: inc ebx\nhlt');
    guest.expectException({ vector: DB, at: 'here' });
    assert.equal(causes(guest), B0);
    assert.equal(guest.register('ebx'), 0n);
  });
  test('RF passes one', () => {
    const guest = atLabel(
      'push DATA32\npush STACK\npush 0x10002\npush CODE64\npush here\niretq\nhere: inc ebx\nhlt',
    ).halt();
    assert.equal(guest.register('ebx'), 1n);
  });
  test('RF is used up by the instruction it passed', () => {
    const guest = atLabel(
      'push DATA32\npush STACK\npush 0x10002\npush CODE64\npush here\niretq\nhere: inc ebx\ncmp ebx, 2\njne here\nhlt',
    );
    guest.expectException({ vector: DB, at: 'here' });
    assert.equal(guest.register('ebx'), 1n);
  });
  test('a disabled one does nothing', () => {
    longMode('mov eax, here\nmov dr0, rax\nhere: hlt').halt();
  });
  test('fire in code that has run before', () => {
    const guest = longMode(
      'mov esi, 2\nagain: inc ebx\ndec esi\njz armed\nmov eax, again\nmov dr0, rax\nmov eax, 2\nmov dr7, rax\njmp again\narmed: hlt',
    );
    guest.expectException({ vector: DB, at: 'again' });
    assert.equal(guest.register('ebx'), 1n);
  });
});

describe('breakpoints on data', () => {
  /** R/W and LEN fields of breakpoint 0. */
  const WRITES = 1 << 16;
  const ACCESSES = 3 << 16;
  const BYTES_4 = 3 << 18;
  const watch = (kind: number, text: string): Guest =>
    longMode(`mov eax, DATA\nmov dr0, rax\nmov eax, ${1 | kind}\nmov dr7, rax\n${text}`);
  test('trap after the write', () => {
    const guest = watch(WRITES | BYTES_4, 'mov [DATA+2], al\nnext: nop');
    guest.expectException({ vector: DB, at: 'next' });
    assert.equal(causes(guest), B0);
  });
  test('writes only, or reads too', () => {
    watch(WRITES | BYTES_4, 'mov al, [DATA]\nhlt').halt();
    watch(ACCESSES | BYTES_4, 'mov al, [DATA]\nnext: nop').expectException({ vector: DB, at: 'next' });
  });
  test('only the bytes watched', () => {
    watch(WRITES, 'mov [DATA+1], al\nhlt').halt();
    watch(WRITES, 'mov [DATA-1], ax\nnext: nop').expectException({ vector: DB, at: 'next' });
  });
  test('a match shows in DR6 together with a single step', () => {
    const guest = watch(WRITES | BYTES_4, `${TRACE}mov [DATA], al\nnext: nop`);
    guest.expectException({ vector: DB, at: 'next' });
    assert.equal(causes(guest), B0 | BS);
  });
  test('MOV SS delays the trap by one instruction', () => {
    const guest = watch(
      ACCESSES | BYTES_4,
      'mov dword ptr [DATA+0x1000], DATA32\nmov eax, DATA+0x1000\nmov dr0, rax\nmov ss, [DATA+0x1000]\ninc ebx\nnext: nop',
    );
    guest.expectException({ vector: DB, at: 'next' });
    assert.equal(causes(guest), B0);
    assert.equal(guest.register('ebx'), 1n);
  });
  test('INT1 reports a breakpoint that MOV SS held back', () => {
    const guest = watch(
      ACCESSES | BYTES_4,
      'mov dword ptr [DATA+0x1000], DATA32\nmov eax, DATA+0x1000\nmov dr0, rax\nmov ss, [DATA+0x1000]\nint1\nnext: nop',
    );
    guest.expectException({ vector: DB, at: 'next' });
    assert.equal(causes(guest), B0);
    assert.equal(guest.cpu.dr6Pending, 0);
  });
  test('a push is a write', () => {
    const guest = longMode(
      `mov eax, STACK-8\nmov dr0, rax\nmov eax, ${1 | WRITES | (2 << 18)}\nmov dr7, rax\npush rax\nnext: nop`,
    );
    guest.expectException({ vector: DB, at: 'next' });
  });
  test('the second of a repeated store traps behind it', () => {
    const guest = watch(WRITES, 'mov edi, DATA-1\nmov ecx, 4\nhere: rep stosb');
    guest.expectException({ vector: DB, at: 'here' });
    assert.equal(guest.register('rcx'), 2n);
  });
});

describe('last branch', () => {
  const record = (text: string): Guest =>
    longMode(
      `mov ecx, 0x1d9\nxor edx, edx\nmov eax, 1\nwrmsr\n${text}\nxor eax, eax\nmov ecx, 0x1d9\nwrmsr\nhlt`,
    ).halt();
  test('of branches that are taken', () => {
    const guest = record('xor eax, eax\nfrom: jz there\nnop\nthere: jnz there\nnop');
    assert.deepEqual(
      [guest.cpu.lastBranchFrom, guest.cpu.lastBranchTo],
      [guest.address('from'), guest.address('there')],
    );
  });
  test('a repeated string instruction is none', () => {
    const guest = record('from: jmp there\nnop\nthere: mov edi, DATA\nmov ecx, 3\nrep stosb');
    assert.deepEqual(
      [guest.cpu.lastBranchFrom, guest.cpu.lastBranchTo],
      [guest.address('from'), guest.address('there')],
    );
  });
  test('an exception keeps the branch before it', () => {
    const guest = longMode('mov ecx, 0x1d9\nxor edx, edx\nmov eax, 1\nwrmsr\nfrom: jmp here\nnop\nhere: ud2');
    guest.expectException({ vector: Vector.UD, at: 'here' });
    assert.deepEqual(
      [guest.cpu.lastExceptionFrom, guest.cpu.lastExceptionTo],
      [guest.address('from'), guest.address('here')],
    );
    assert.equal(guest.cpu.lastBranchFrom, guest.address('here'));
  });
  test('#DB ends the recording; BTF makes single steps wait for branches', () => {
    const guest = longMode(
      `mov ecx, 0x1d9\nxor edx, edx\nmov eax, 3\nwrmsr\n${TRACE}nop\nnop\njmp there\nnop\nthere: nop`,
    );
    guest.expectException({ vector: DB, at: 'there' });
    assert.equal(guest.cpu.debugCtl, 0n);
  });
});

describe('access to the debug registers', () => {
  test('DR7.GD: #DB before the access, and GD is cleared', () => {
    const guest = longMode('mov eax, 0x2000\nmov dr7, rax\nhere: mov rax, dr0');
    guest.expectException({ vector: DB, at: 'here' });
    assert.equal(causes(guest), BD);
    assert.equal(guest.cpu.dr7 & (1n << 13n), 0n);
  });
  test('DR4 and DR5 stand for DR6 and DR7 without CR4.DE', () => {
    const guest = longMode('mov rax, dr4\nmov rbx, dr5\nhlt').halt();
    assert.equal(guest.register('rax'), 0xffff0ff0n);
    assert.equal(guest.register('rbx'), 0x400n);
    longMode('here: mov rax, dr5', { cr4: CR4.DE }).expectException({ vector: Vector.UD, at: 'here' });
  });
  test('need CPL 0', () => {
    longMode(`${toUser64()}here: mov rax, dr6`).expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
});
