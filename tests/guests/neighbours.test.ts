/** Hot code with accesses near each other, which one look into the TLB is for: each program does the same in both stages. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EngineKind } from '../../src/cpu/processor.ts';
import { useLimits } from './harness.ts';
import {
  ACCESS,
  type Guest,
  longMode,
  PAGE,
  PLACE,
  protectedMode,
  SELECTOR,
  segment,
  setDescriptor,
} from './library.ts';

const { P, W } = PAGE;
/** More than any threshold for compiling. */
const MANY = 20_000;
const LIMIT = 5_000_000;
const DATA_BYTES = 0x3000;

interface Result {
  readonly registers: readonly bigint[];
  readonly rip: bigint;
  readonly data: Uint8Array;
}

function resultOf(guest: Guest): Result {
  const { cpu, memory } = guest;
  const data = new Uint8Array(DATA_BYTES);
  for (let at = 0; at < DATA_BYTES; at += 4)
    new DataView(data.buffer).setUint32(at, memory.readU32(PLACE.DATA + at), true);
  return { registers: Array.from(cpu.gpr), rip: cpu.rip, data };
}

/** Runs a guest that halts in either stage, and gives it as it is after the latter. */
function sameInBoth(make: () => Guest): Guest {
  const results = (['interpreter', 'regions'] satisfies EngineKind[]).map((engine) => {
    useLimits(engine, {});
    const guest = make();
    for (let at = 0; at < DATA_BYTES; at += 4) guest.memory.writeU32(PLACE.DATA + at, at * 0x1001);
    guest.halt(LIMIT);
    return { guest, result: resultOf(guest) };
  });
  const [expected, { guest, result }] = results;
  assert.deepEqual(result, expected.result);
  return guest;
}

/** A loop of MANY rounds around some instructions; RSI, RDI and R8 are at DATA in each. */
const loop = (text: string, behind = 'hlt') => `mov r15d, ${MANY}
  again: mov rsi, DATA
  mov rdi, DATA + 0x40
  mov r8, DATA + 0x80
  ${text}
  dec r15d
  jnz again
  ${behind}`;

const PROGRAMS: Record<string, string> = {
  'above and below the first': `mov rax, [rsi+0x50]
    add [rsi+0x40], rax
    add rax, [rsi+0x30]
    mov [rsi+0x8], r15
    add ax, [rsi+0x7f]
    movups xmm0, [rsi+0x44]
    movups [rsi+0x14], xmm0`,
  'nearer and farther than one look reaches': `mov rax, [rsi]
    add rax, [rsi+0xf8]
    add rax, [rsi+0xf9]
    add rax, [rsi+0x100]
    add rax, [rsi+0x1f8]
    add [rsi+0x80], rax
    mov [rsi+0x180], r15`,
  'registers that move by constants': `mov rax, [rsi]
    add rsi, 8
    add rax, [rsi]
    inc rsi
    sub rsi, -7
    mov [rsi+8], rax
    lea rsi, [rsi-0x10]
    mov [rsi+0x20], r15
    dec rsi
    add rax, [rsi+1]
    mov rcx, 1
    add rcx, 2
    mov rdx, [r8+rcx*8]
    add rcx, 1
    add [r8+rcx*8], rdx`,
  'registers of which half moves, and which wrap': `mov rax, [rsi+8]
    add esi, 8
    add rax, [rsi]
    mov r9d, -8
    mov rdx, [r12+r9]
    add r9d, 8
    add rdx, [r12+r9]
    inc si
    add rax, [rsi]
    mov [rsi+0x30], rax`,
  copies: `mov rbp, rsi
    mov rax, [rsi+0x10]
    add rsi, 0x10
    add rax, [rbp+0x18]
    mov r9, rbp
    mov ebp, edi
    add rax, [rbp]
    mov [r9+0x28], rax
    xchg r9, rdi
    mov [rdi+8], r15
    add rax, [r9+8]`,
  'a stack that calls, and is changed by other instructions': `push r15
    push rax
    call sub
    pop rdx
    pop rcx
    lea rsp, [rsp-0x40]
    mov [rsp+8], rcx
    and rsp, -64
    mov [rsp+16], rcx
    add rax, [rsp+16]
    mov rsp, STACK
    push rsp
    pop rsp
    push qword ptr [rsp-8]
    pop qword ptr [rsp+8]
    jmp behind
    sub: push rbp
    mov rbp, rsp
    sub rsp, 0x20
    mov [rbp-8], r15
    add rax, [rsp+0x18]
    leave
    ret
    behind: nop`,
  'registers that change on one way only': `mov rax, [rsi]
    test r15d, 1
    jz even
    add rsi, 8
    mov [rsi+0x10], r15
    jmp both
    even: mov [rsi], r15
    both: add rax, [rsi+8]
    test r15d, 2
    jz none
    add rax, [rsi+0x20]
    none: add [rsi+0x28], rax
    mov ecx, 3
    inner: add rax, [rdi]
    mov [rdi+0x18], rax
    add rdi, 8
    dec ecx
    jnz inner
    mov [rdi], rax`,
  'instructions that write a register in some cases': `mov rax, [rsi]
    mov rcx, [rsi+8]
    mov rbx, rsi
    lock cmpxchg [rsi+8], r15
    mov rax, rdi
    cmpxchg rbx, rdi
    add rdx, [rbx]
    bsf rbx, r15
    lea rbx, [rsi+rbx*8]
    mov [rbx], rdx
    mov rbx, rsi
    xadd [rsi+0x70], rcx
    xadd rbx, rcx
    mov rbx, rsi
    mov r9d, r15d
    and r9d, 1
    cmovz rbx, rdi
    mov [rbx+0x18], r15`,
  'behind a string instruction': `mov rax, [rsi+0x10]
    mov ecx, 3
    rep movsq
    add rax, [rsi+0x10]
    mov [rdi-8], rax
    lodsb
    mov [rsi], r15
    stosd
    mov [rdi], eax`,
  'addresses of 32 bits': `mov rax, [esi+8]
    add rax, [rsi+0x10]
    add rsi, 8
    add rax, [esi+8]
    mov r9, 0x100000000
    or rsi, r9
    mov [esi], rax
    add rax, [esi+0x18]`,
};

describe('in 64-bit mode', () => {
  for (const [name, text] of Object.entries(PROGRAMS))
    test(name, () => {
      const guest = sameInBoth(() => {
        const made = longMode(loop(text));
        // with an offset of 2^32 - 8 R12 leads to DATA, with 0 to the page behind it
        made.cpu.gpr[12] = BigInt.asUintN(64, BigInt(PLACE.DATA) - 0xffff_fff8n);
        made.pages.map(made.cpu.gpr[12] & ~0xfffn, PLACE.DATA + 0x1000, P | W);
        return made;
      });
      assert.ok(guest.bench.processor.regions!.statistics.regions > 0);
    });

  const BASES = `mov ecx, 0xc0000101
    mov eax, DATA + 1
    xor edx, edx
    wrmsr
    inc ecx
    mov eax, DATA + 0x1000
    wrmsr`;
  test('GS and its other base', () => {
    const text = `${BASES}
      ${loop(`mov rax, gs:[0x17]
        add [rsi+0x18], rax
        swapgs
        add rax, gs:[0x18]
        mov gs:[0x20], r15
        swapgs
        mov gs:[0x2f], rax
        mov rbx, gs:[0x27]`)}`;
    sameInBoth(() => longMode(text));
  });
  test('another base of GS in each round of an inner loop, behind an access outside', () => {
    // the outer loop comes round first, so that its code is the region that holds both
    const text = `${BASES}
      ${loop(`add rbx, gs:[0x10]
        mov ecx, r15d
        and ecx, 1
        inc ecx
        inner: add rbx, gs:[0x18]
        mov gs:[0x20], rbx
        swapgs
        dec ecx
        jnz inner`)}`;
    sameInBoth(() => longMode(text));
  });

  test('a write to a page that may only be read, behind a read', () => {
    const text = loop(`mov rax, [rsi+0x1000]
      add rbx, rax
      mov rcx, [rsi+0x1008]
      cmp r15d, 5
      jne around
      add rbx, 7
      here: mov [rsi+0x1004], eax
      around: mov [rsi+0x20], rbx`);
    const guest = sameInBoth(() => {
      const made = longMode(text);
      made.pages.map(BigInt(PLACE.DATA + 0x1000), PLACE.DATA + 0x1000, P);
      return made;
    });
    assert.equal(guest.frame().rip, guest.address('here'));
    assert.equal(guest.frame().errorCode, 3);
  });

  test('on two pages again and again: each access then looks for itself', () => {
    const regionsWhere = (offset: number) => {
      const made = (): Guest => {
        const guest = longMode(loop(`mov rax, [rsi+${offset}]\nadd rax, [rsi+${offset + 8}]\nadd [rsi+8], rax`));
        // the second page lies elsewhere in the arena
        guest.pages.map(BigInt(PLACE.DATA + 0x1000), PLACE.DATA + 0x2000, P | W);
        return guest;
      };
      const guest = sameInBoth(made);
      return guest.bench.processor.regions!.statistics.regions;
    };
    // one of the block that the interpreter enters where the look fails, and one that is made anew
    assert.equal(regionsWhere(0xff8), regionsWhere(0xff0) + 2);
  });
});

describe('in protected mode', () => {
  const loop32 = (text: string) => `mov ebp, ${MANY}
    again: mov esi, DATA
    mov edi, DATA + 0x40
    ${text}
    dec ebp
    jnz again
    hlt`;
  const text = `mov eax, [esi+8]
    add esi, 4
    add eax, [esi+8]
    push eax
    push ebp
    add eax, [esp+4]
    pop edx
    mov [esi], edx
    pop ebx
    mov ecx, -4
    add eax, [edi+ecx]
    add ecx, 4
    mov [edi+ecx], eax
    mov bx, si
    add bx, 2
    mov ss:[edi+8], eax
    add ax, [bx]`;

  test('flat segments', () => void sameInBoth(() => protectedMode(loop32(text))));
  test('segments that begin and end elsewhere', () => {
    const moved = `mov ax, ${SELECTOR.FREE}\nmov ds, ax\n${loop32(text.replace('add ax, [bx]', ''))}`;
    sameInBoth(() => {
      const guest = protectedMode(moved);
      setDescriptor(guest.bench, SELECTOR.FREE, segment(9, 0xffff_ffff, ACCESS.DATA));
      return guest;
    });
  });
  test('a stack of 16 bits, which wraps', () => {
    // ESP stays above 64 KiB: what is pushed goes elsewhere than what is addressed through it
    const wraps = `mov ax, ${SELECTOR.FREE}
      mov ss, ax
      ${loop32(`mov esp, 0x20004
        push ebp
        push ebp
        mov eax, [DATA]
        mov ds:[esp+0x100000], eax
        pop edx
        add ds:[esp+0x100008], edx
        pop ecx
        add [DATA+4], ecx`)}`;
    sameInBoth(() => {
      const guest = protectedMode(wraps);
      setDescriptor(guest.bench, SELECTOR.FREE, segment(0, 0xffff_ffff, ACCESS.DATA));
      return guest;
    });
  });
});
