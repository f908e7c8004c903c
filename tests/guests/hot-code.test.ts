/** The same rules in code that has run often enough to be compiled: faults, breakpoints, interrupts and changes of code and mappings in hot loops. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TLB_ENTRIES } from '../../src/cpu/memory/tlb.ts';
import { CR4 } from '../../src/cpu/system/registers.ts';
import { INTERCEPT_EXIT_CODE } from '../../src/isa/intercepts.ts';
import { Vector } from '../../src/isa/stage.ts';
import { freshBench, useEngine } from './harness.ts';
import {
  ACCESS,
  type Guest,
  gate,
  longMode,
  PAGE,
  PLACE,
  protectedMode,
  realMode,
  SELECTOR,
  segment,
  setDescriptor,
  setVector,
  toUser64,
} from './library.ts';
import { virtualMachine } from './virtual-machine.ts';

useEngine('regions');

const { DB, UD, GP, PF } = Vector;
const { P, W } = PAGE;
/** More than any threshold for compiling. */
const MANY = 20_000;
const LIMIT = 5_000_000;
/** Bytes from one page to the next one that has the same place in the TLB. */
const TLB_REACH = TLB_ENTRIES * 4096;

/** Lets a vector lead to a label of the guest. */
function handle(guest: Guest, vector: number, label: string): Guest {
  const mode = guest.mode === 'long' ? 'long' : 'protected';
  setVector(
    guest.bench,
    mode,
    vector,
    gate(mode === 'long' ? SELECTOR.CODE64 : SELECTOR.CODE32, guest.address(label), ACCESS.INTERRUPT_GATE32),
  );
  return guest;
}

describe('faults in hot loops', () => {
  test('a handler that skips the instruction', () => {
    const guest = longMode(`mov ecx, ${MANY}
      again: add rbx, rcx
      ud2
      add rsi, 1
      dec ecx
      jnz again
      hlt
      handler: add qword ptr [rsp], 2
      inc rdi
      iretq`);
    handle(guest, UD, 'handler').halt(LIMIT);
    assert.equal(guest.register('rbx'), (BigInt(MANY) * BigInt(MANY + 1)) / 2n);
    assert.deepEqual([guest.register('rsi'), guest.register('rdi')], [BigInt(MANY), BigInt(MANY)]);
  });
  test('flags and registers are exact at a fault that comes late', () => {
    const guest = longMode(`mov ecx, ${MANY}
      mov esi, DATA
      again: mov eax, ecx
      add eax, 0xfffffff0
      adc rdx, 0
      cmp ecx, 7
      here: mov r8b, [rsi]
      dec ecx
      cmovz rsi, r9
      mov edi, ecx
      cmp ecx, 0
      jns again`);
    guest.cpu.gpr[9] = 0x8000_0000_0000_0000n;
    guest.halt(LIMIT);
    const frame = guest.frame();
    assert.equal(frame.vector, GP);
    assert.equal(frame.rip, guest.address('here'));
    assert.equal(guest.register('rcx'), 0n);
    // cmp 0, 7: CF, SF, AF set, ZF and OF clear
    assert.equal(frame.rflags & 0x8d5, 0x91 | (frame.rflags & 4));
    assert.equal(guest.register('eax'), 0xffff_fff0n);
  });
  test('accesses through one register on a page, across its end, and behind it', () => {
    const guest = longMode(`mov ecx, ${MANY}
      mov r9, DATA
      mov eax, 0x11111111
      mov [DATA+0x2000], eax
      mov [DATA+0x3000], eax
      mov [DATA+0xff8], rax
      mov [DATA+0xffc], eax
      again: mov rsi, r9
      mov rdi, r9
      mov rax, [rsi+0xff0]
      add rbx, [rdi+0x1000]
      add rbx, [rdi+0xffc]
      mov rdx, [rsi+0xffc]
      add rbx, rdx
      mov dx, [rsi+0xfff]
      add bx, dx
      mov edx, [rsi+0x1000]
      add rbx, rdx
      mov [rsi+0xff0], eax
      mov [rsi+0xffe], ecx
      mov [rdi+0x1004], ecx
      mov [rdi+0xffd], cl
      inc word ptr [rsi+0xfff]
      mov [rsi+0x1000], cx
      dec ecx
      jnz again
      hlt`);
    // the page behind DATA is not its neighbour in memory, nor in the arena, where pages lie in the order of their first use
    const data = BigInt(PLACE.DATA);
    const frame = PLACE.DATA + 0x2000;
    guest.pages.map(data + 0x1000n, frame, P | W);
    guest.halt(LIMIT);
    const memory = new Uint8Array(16);
    let rbx = 0n;
    const view = new DataView(memory.buffer);
    for (const [at, value] of [
      [0, 0x11111111],
      [4, 0x11111111],
      [8, 0x11111111],
    ])
      view.setUint32(at, value, true);
    for (let ecx = MANY; ecx > 0; ecx--) {
      rbx += view.getBigUint64(8, true) + view.getBigUint64(4, true);
      rbx += view.getBigUint64(4, true);
      rbx = (rbx & ~0xffffn) | ((rbx + BigInt(view.getUint16(7, true))) & 0xffffn);
      rbx += BigInt(view.getUint32(8, true));
      view.setUint32(6, ecx, true);
      view.setUint32(12, ecx, true);
      view.setUint8(5, ecx);
      view.setUint16(7, view.getUint16(7, true) + 1, true);
      view.setUint16(8, ecx, true);
    }
    assert.equal(guest.register('rbx'), BigInt.asUintN(64, rbx));
  });
  test('accesses that push each other out of the TLB, between flags and vector registers that wait to be made', () => {
    const guest = longMode(`mov ecx, ${MANY}
      mov esi, DATA
      mov edi, DATA + ${TLB_REACH}
      mov r8d, 1
      movq xmm1, r8
      again: paddq xmm0, xmm1
      mov eax, ecx
      shl eax, 31
      mov r9, [rsi]
      adc rbx, 0
      mov eax, ecx
      shr eax, 1
      mov r10, [rdi]
      adc rdx, 0
      dec ecx
      jnz again
      movq rax, xmm0
      hlt`);
    guest.pages!.map(BigInt(PLACE.DATA + TLB_REACH), PLACE.DATA, P | W);
    guest.halt(LIMIT);
    assert.equal(guest.register('rax'), BigInt(MANY));
    // bits 1 and 0 of 1 to MANY
    assert.deepEqual([guest.register('rbx'), guest.register('rdx')], [BigInt(MANY / 2), BigInt(MANY / 2)]);
  });
  test('demand paging', () => {
    const BASE = 0x4000_0000;
    const PAGES = 512;
    const text = (table: number) => `mov edi, ${BASE}
      mov ecx, ${PAGES * 512}
      again: mov [rdi], rdi
      add rdi, 8
      dec ecx
      jnz again
      hlt
      handler: mov rax, cr2
      sub rax, ${BASE}
      shr rax, 12
      mov rdx, rax
      shl rdx, 12
      add rdx, 0x200003
      mov [${table}+rax*8], rdx
      inc r8
      add rsp, 8
      iretq`;
    // the tables behind BASE come right after those of the identity map
    const probe = longMode('hlt');
    const table = probe.pages.entry(BigInt(BASE)) & ~0xfff;
    const real = longMode(text(table));
    assert.equal(real.pages.entry(BigInt(BASE)) & ~0xfff, table);
    handle(real, PF, 'handler').halt(LIMIT);
    assert.equal(real.register('r8'), BigInt(PAGES));
    assert.equal(real.memory.readU64(0x20_0000 + PAGES * 4096 - 8), BigInt(BASE + PAGES * 4096 - 8));
  });
  test('system calls by SYSCALL and SYSRET', () => {
    const guest = longMode(
      `mov ecx, 0xc0000081
      xor eax, eax
      mov edx, 0x00230008
      wrmsr
      inc ecx
      mov eax, entry
      xor edx, edx
      wrmsr
      ${toUser64()}
      mov ebx, ${MANY}
      again: syscall
      dec ebx
      jnz again
      int 0x80
      entry: inc r8
      sysretq`,
      { efer: 1 },
    );
    guest.halt(LIMIT);
    assert.equal(guest.frame().vector, 0x80);
    assert.equal(guest.register('r8'), BigInt(MANY));
  });
  test('the first bytes of the address space, unaligned, behind an access that had no page', () => {
    const guest = protectedMode(`mov ecx, ${MANY}
      again: mov esi, 0xffe
      mov eax, [esi]
      sub esi, 0xffd
      add ebx, [esi]
      dec ecx
      jnz again
      hlt`);
    guest.memory.writeU32(1, 3);
    guest.halt(LIMIT);
    assert.equal(guest.register('ebx'), BigInt(3 * MANY));
  });
  /** Runs an access through ESI many times, the last time around the end of 4 GiB; EDX is 0 if that faults. */
  function around4GiB(access: string, last: number): Guest {
    const text = `mov edx, 1
      mov eax, 5
      mov ecx, ${MANY}
      mov esi, DATA
      again: cmp ecx, 1
      jne inside
      mov esi, ${last}
      inside: ${access}
      dec ecx
      jnz again
      hlt
      handler: mov edx, [esp]
      hlt`;
    const guest = protectedMode(text, { paging: '32-bit' });
    guest.pages!.map(0xffff_f000n, PLACE.DATA, P | W);
    guest.memory.writeU32(PLACE.DATA, 3);
    guest.memory.writeU32(PLACE.DATA + 4, 7);
    return handle(guest, GP, 'handler').halt(LIMIT);
  }
  test('an access around the end of 4 GiB, through a flat segment', () => {
    const guest = around4GiB('add ebx, [esi]', 0xffff_fffe);
    assert.equal(guest.register('ebx'), BigInt(3 * (MANY - 1)));
    assert.equal(guest.register('edx'), 0n);
  });
  test('a range around the end of 4 GiB that is accessed in two parts', () => {
    const guest = around4GiB('bound eax, [esi]', 0xffff_fffc);
    assert.equal(guest.register('ecx'), 1n);
    assert.equal(guest.register('edx'), 0n);
  });
  test('the same code with a segment that is flat and with others', () => {
    const guest = protectedMode(`mov esi, DATA
      call many
      mov ax, ${SELECTOR.FREE}
      mov ds, ax
      mov esi, 8
      call many
      mov esi, 0x100
      call many
      hlt
      handler: hlt
      many: mov ecx, ${MANY}
      again: add ebx, [esi]
      dec ecx
      jnz again
      ret`);
    setDescriptor(guest.bench, SELECTOR.FREE, segment(PLACE.DATA, 0xff, ACCESS.DATA));
    guest.memory.writeU32(PLACE.DATA, 3);
    guest.memory.writeU32(PLACE.DATA + 8, 5);
    handle(guest, GP, 'handler').halt(LIMIT);
    assert.equal(guest.register('ebx'), BigInt(8 * MANY));
    assert.equal(guest.register('ecx'), BigInt(MANY));
  });
  test('in real-address mode, a software interrupt', () => {
    const guest = realMode(`mov cx, ${MANY}\nagain: int 0x60\ndec cx\njnz again\nhlt\norg 0x7e00\ninc ebx\niretw`);
    guest.memory.writeU32(4 * 0x60, 0x7e00);
    guest.halt(LIMIT);
    assert.equal(guest.register('ebx'), BigInt(MANY));
  });
  test('in protected mode, near calls and segment loads', () => {
    const guest = protectedMode(
      `mov ecx, ${MANY}\nagain: call sub\nmov ax, ds\nmov es, ax\ndec ecx\njnz again\nhlt\nsub: add ebx, ecx\nret`,
    ).halt(LIMIT);
    assert.equal(guest.register('ebx'), (BigInt(MANY) * BigInt(MANY + 1)) / 2n);
  });
});

describe('code that changes', () => {
  test('an instruction rewrites one of its own loop', () => {
    const guest = longMode(`mov ecx, ${MANY}
      again: mov eax, 0x01010101
      patch: add rbx, 1
      dec ecx
      cmp ecx, ${MANY / 2}
      jne skip
      mov byte ptr [patch+3], 3
      skip: test ecx, ecx
      jnz again
      hlt`).halt(LIMIT);
    assert.equal(guest.register('rbx'), BigInt(MANY / 2 + 3 * (MANY / 2)));
  });
  test('the very next instruction', () => {
    const guest = longMode(`mov ecx, ${MANY}
      again: mov byte ptr [patch+1], cl
      patch: mov al, 0
      movzx eax, al
      add rbx, rax
      dec ecx
      jnz again
      hlt`).halt(LIMIT);
    let sum = 0n;
    for (let i = 1; i <= MANY; i++) sum += BigInt(i & 0xff);
    assert.equal(guest.register('rbx'), sum);
  });
  test('a page of code is exchanged by a mapping', () => {
    const CODE = 0x14_0000;
    const OTHER = 0x14_1000;
    const guest = longMode(
      `mov ecx, ${MANY}
       again: call CODE_PAGE
       dec ecx
       cmp ecx, ${MANY / 2}
       jne skip
       mov qword ptr [ENTRY], OTHER+3
       invlpg [CODE_PAGE]
       skip: test ecx, ecx
       jnz again
       hlt
       org CODE_PAGE
       add rbx, 1
       ret
       org OTHER
       add rbx, 2
       ret`,
      { define: { CODE_PAGE: CODE, OTHER, ENTRY: PLACE.PAGES + 3 * 0x1000 + 8 * (CODE >> 12) } },
    ).halt(LIMIT);
    assert.equal(guest.register('rbx'), BigInt((MANY / 2) * 3));
  });
  test('an instruction across two pages, of which the second is exchanged', () => {
    const FIRST = 0x14_0000;
    const OTHER = 0x14_2000;
    const guest = longMode(
      `mov ecx, ${MANY}
       again: call FIRST+0xffe
       dec ecx
       cmp ecx, ${MANY / 2}
       jne skip
       mov qword ptr [ENTRY], OTHER+3
       invlpg [FIRST+0x1000]
       skip: test ecx, ecx
       jnz again
       hlt
       org FIRST+0xffe
       db 0x48, 0x83, 0xc3, 1     ; add rbx, 1
       ret
       org OTHER
       db 0xc3, 2                 ; the second half of add rbx, 2
       ret`.replace('org FIRST+0xffe', 'org 0x140ffe'),
      { define: { FIRST, OTHER, ENTRY: PLACE.PAGES + 3 * 0x1000 + 8 * ((FIRST >> 12) + 1) } },
    ).halt(LIMIT);
    assert.equal(guest.register('rbx'), BigInt((MANY / 2) * 3));
  });
  test('REP MOVSB copies new code over old', () => {
    const guest = longMode(`mov ecx, 2000
      again: call sub
      mov rdx, rcx
      mov esi, one
      test dl, 1
      mov eax, two
      cmovz esi, eax
      mov edi, sub
      mov ecx, 5
      rep movsb
      mov rcx, rdx
      dec ecx
      jnz again
      hlt
      one: add rbx, 1
      ret
      two: add rbx, 2
      ret
      align 16
      sub: add rbx, 2
      ret`).halt(LIMIT);
    // the first call adds 2, then one (after odd counts) and two alternate
    let sum = 2;
    for (let n = 2000; n > 1; n--) sum += n & 1 ? 1 : 2;
    assert.equal(guest.register('rbx'), BigInt(sum));
  });
});

describe('what interrupts a hot loop', () => {
  test('an interrupt at an exact instruction count', () => {
    const at = (count: number): bigint => {
      const guest = longMode('sti\nnop\nagain: inc rbx\ninc rsi\ninc rdi\njmp again');
      guest.bench.step(count);
      guest.bench.apic.vector = 0x31;
      guest.halt();
      assert.equal(guest.frame().vector, 0x31);
      return guest.register('rbx') + guest.register('rsi') + guest.register('rdi');
    };
    // two instructions before the loop, then three of four count
    for (const n of [50_000, 50_001, 50_002, 50_003]) assert.equal(at(n + 2), BigInt(Math.floor(n / 4) * 3 + (n % 4)));
  });
  test('STI, CLI and POPF let interrupts in and out at exact counts', () => {
    const text = `again: sti
      inc rbx
      behind_sti: cli
      pushfq
      or dword ptr [rsp], 0x200
      popfq
      behind_popf: inc rsi
      last: cli
      jmp again`;
    /** Where an interrupt is taken that comes before the n-th instruction of the loop. */
    const taken = [
      'behind_sti',
      'behind_sti',
      'behind_sti',
      'behind_popf',
      'behind_popf',
      'behind_popf',
      'behind_popf',
      'last',
      'behind_sti',
    ];
    for (const [n, label] of taken.entries()) {
      const guest = longMode(text);
      guest.bench.step(taken.length * MANY + n);
      guest.bench.apic.vector = 0x31;
      guest.expectException({ vector: 0x31, at: label });
    }
  });
  test('a breakpoint set while it runs', () => {
    const guest = longMode(`mov ecx, ${MANY}
      again: inc rbx
      here: inc rsi
      dec ecx
      cmp ecx, 100
      jne skip
      mov eax, here
      mov dr0, rax
      mov eax, 2
      mov dr7, rax
      skip: test ecx, ecx
      jnz again`);
    guest.halt(LIMIT);
    assert.equal(guest.frame().vector, DB);
    assert.equal(guest.frame().rip, guest.address('here'));
    assert.equal(guest.register('ecx'), 100n);
    assert.equal(guest.register('rbx'), BigInt(MANY - 100 + 1));
  });
  test('a data breakpoint set while it runs', () => {
    const guest = longMode(`mov ecx, ${MANY}
      again: mov [DATA], ecx
      next: dec ecx
      cmp ecx, 100
      jne skip
      mov eax, DATA
      mov dr0, rax
      mov eax, 0x000d0002
      mov dr7, rax
      skip: test ecx, ecx
      jnz again`);
    guest.halt(LIMIT);
    assert.equal(guest.frame().vector, DB);
    assert.equal(guest.frame().rip, guest.address('next'));
    assert.equal(guest.memory.readU32(PLACE.DATA), 100);
  });
  test('single stepping turned on while it runs', () => {
    const guest = longMode(`mov ecx, ${MANY}
      again: inc rbx
      dec ecx
      jnz again
      pushfq
      bts qword ptr [rsp], 8
      popfq
      mov ecx, 10
      jmp again`);
    guest.halt(LIMIT);
    assert.equal(guest.frame().vector, DB);
    assert.equal(guest.register('ecx'), 10n);
  });
  test('SMAP turned on while it runs', () => {
    const guest = longMode(`mov ecx, ${MANY}
      again: mov al, [USER_DATA]
      dec ecx
      jnz again
      mov rax, cr4
      or eax, ${CR4.SMAP}
      mov cr4, rax
      jmp again`);
    guest.halt(LIMIT);
    assert.equal(guest.frame().vector, PF);
    assert.equal(guest.frame().rip, guest.address('again'));
  });
  test('a page made read-only while it runs', () => {
    const SPARE = 0x14_0000;
    const guest = longMode(
      `mov ecx, ${MANY}
       again: mov [SPARE], ecx
       dec ecx
       cmp ecx, 100
       jne skip
       btr qword ptr [ENTRY], 1
       invlpg [SPARE]
       skip: test ecx, ecx
       jnz again`,
      { define: { SPARE, ENTRY: PLACE.PAGES + 3 * 0x1000 + 8 * (SPARE >> 12) } },
    );
    guest.halt(LIMIT);
    assert.equal(guest.frame().vector, PF);
    assert.equal(guest.frame().errorCode, 3);
    assert.equal(guest.memory.readU32(SPARE), 101);
    assert.equal(guest.pages.get(SPARE) & (P | W), P);
  });
});

describe('a hypervisor with a hot guest', () => {
  test('thousands of exits, counted on both sides', () => {
    const vm = virtualMachine(`mov ecx, ${MANY}\nagain: add rbx, rcx\nvmmcall\ndec ecx\njnz again\nhlt`, {
      nested: true,
      intercepts: ['VMMCALL'],
      host: `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr
        mov rax, VMCB
        xor ebx, ebx
        again: vmrun
        cmp dword ptr [rax+0x70], ${INTERCEPT_EXIT_CODE.VMMCALL}
        jne done
        inc r12
        mov rdx, [rax+0xc8]
        mov [rax+0x578], rdx
        jmp again
        done: hlt`,
    });
    vm.host.halt(LIMIT);
    assert.equal(vm.exitCode, INTERCEPT_EXIT_CODE.HLT);
    assert.equal(vm.host.register('r12'), BigInt(MANY));
    assert.equal(vm.cpu.gpr[3], (BigInt(MANY) * BigInt(MANY + 1)) / 2n);
  });
  test('host and guest run the same code at the same address', () => {
    // both loop over the same page: once on the host's tables, once on nested ones
    const vm = virtualMachine('mov ecx, 5000\nloop: call SHARED\ndec ecx\njnz loop\nhlt', {
      nested: true,
      define: { SHARED: 0x1d_0000 },
      host: `mov ecx, 0xc0010117\nmov eax, HOST_SAVE\nxor edx, edx\nwrmsr
        mov ecx, 5000
        first: call SHARED
        dec ecx
        jnz first
        mov rax, VMCB
        vmrun
        mov ecx, 5000
        second: call SHARED
        dec ecx
        jnz second
        hlt`,
    });
    vm.memory.write(0x1d_0000, Uint8Array.from([0x48, 0xff, 0xc3, 0xc3])); // inc rbx; ret
    vm.host.halt(LIMIT);
    assert.equal(vm.cpu.gpr[3], 15_000n);
  });
  test('nested page faults in a hot loop', () => {
    const BASE = 0x30_0000;
    const vm = virtualMachine(
      `mov edi, ${BASE}\nagain: mov [rdi], rdi\nadd rdi, 8\ncmp edi, ${BASE + 128 * 4096}\njb again\nhlt`,
      { nested: true },
    );
    for (let page = 0; page < 128; page++) vm.nestedPages.set(BASE + page * 4096, 0n);
    let faults = 0;
    for (;;) {
      vm.run();
      if (vm.exitCode !== 0x400) break;
      const address = vm.vmcb.control('EXITINFO2');
      assert.equal(address, BigInt(BASE + faults * 4096));
      vm.nestedPages.set(address & ~0xfffn, 7n);
      faults++;
    }
    assert.equal(faults, 128);
    assert.equal(vm.memory.readU64(BASE + 128 * 4096 - 8), BigInt(BASE + 128 * 4096 - 8));
    assert.equal(
      vm.vmcb.save('RIP'),
      vm.address('again') + BigInt(vm.program.bytes.length - Number(vm.address('again') - vm.program.origin) - 1),
    );
  });
});

test('all this has been compiled', () => {
  const { regions } = freshBench().processor;
  // with GUEST_ENGINE=interpreter there is nothing to compile
  assert.ok(regions === undefined || regions.statistics.regions > 20);
});
