/** Real-address mode, virtual-8086 mode, 16-bit code and the ways between the modes (SDM vol. 3B chapter 20, vol. 3A 9.8, 9.9). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CR4, FLAG } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import { freshBench } from './harness.ts';
import {
  ACCESS,
  dpl,
  gate,
  IO_MAP_OFFSET,
  PLACE,
  protectedMode,
  realMode,
  SELECTOR,
  setVector,
  TSS32,
} from './library.ts';

const { DE, UD, GP, SS } = Vector;

describe('after power-on', () => {
  test('the first instruction is fetched 16 bytes below 4 GiB', () => {
    const { cpu } = freshBench();
    assert.equal(cpu.rip + cpu.segments[1].base, 0xffff_fff0n);
    assert.equal(cpu.segments[1].selector, 0xf000);
  });
});

describe('real-address mode', () => {
  test('interrupts go through the table at 0 with three words on the stack', () => {
    const guest = realMode('stc\nint 0x21\nnext: nop');
    const frame = guest.expectException({ vector: 0x21, at: 'next', cs: 0 });
    assert.ok(frame.rflags & FLAG.CF);
    assert.equal(guest.register('sp'), BigInt((PLACE.STACK - 6) & 0xffff));
  });
  test('IRET returns with the flags', () => {
    const guest = realMode('int 0x21\nsetc al\nhlt\norg 0x7d00\niretw');
    guest.memory.writeU32(4 * 0x21, 0x7d00);
    guest.halt();
    assert.equal(guest.register('al'), 0n);
  });
  test('a division by zero pushes the address of the division', () => {
    realMode('here: div cl').expectException({ vector: DE, at: 'here' });
  });
  test('the table may lie elsewhere', () => {
    const guest = realMode('lidt [table]\nint 1\ntable: dw 7\ndd 0x6000');
    guest.memory.writeU32(0x6004, PLACE.HANDLERS + 16 * 1);
    guest.expectException({ vector: 1 });
  });
  test('a vector beyond the limit of the table: #GP, and here shutdown', () => {
    const guest = realMode('lidt [table]\nint 2\ntable: dw 7\ndd 0');
    assert.equal(guest.run(), 'shutdown');
  });
  test('segments are selectors times 16, and 64 KiB long', () => {
    const guest = realMode(
      'mov ax, 0x1234\nmov es, ax\nmov byte ptr es:[0x10], 7\nmov eax, 0x10000\nhere: mov cl, es:[eax]',
    );
    guest.expectException({ vector: GP, at: 'here' });
    assert.equal(guest.memory.readU8(0x12350), 7);
  });
  test('a word at offset FFFFh: #GP, on the stack #SS', () => {
    realMode('here: mov ax, [0xffff]').expectException({ vector: GP, at: 'here' });
    realMode('mov bp, 0xffff\nhere: mov ax, [bp]').expectException({ vector: SS, at: 'here' });
  });
  test('16-bit addresses wrap', () => {
    const guest = realMode('mov bx, 0xfff0\nmov al, [bx+0x20]\nhlt');
    guest.memory.writeU8(0x10, 0x5a);
    assert.equal(guest.halt().register('al'), 0x5an);
  });
  test('the stack pointer wraps at 64 KiB', () => {
    const guest = realMode('xor sp, sp\npush 0x1234\nhlt').halt();
    assert.equal(guest.register('sp'), 0xfffen);
    assert.equal(guest.memory.readU16(0xfffe), 0x1234);
  });
  test('far calls push CS:IP', () => {
    const guest = realMode('call 0x700:0x100\nnext: hlt');
    guest.memory.write(0x7100, Uint8Array.from([0x8c, 0xc8, 0xcb]));
    guest.halt();
    assert.equal(guest.register('ax'), 0x700n);
    assert.equal(guest.cpu.rip, guest.address('next') + 1n);
  });
  test('protected-mode instructions are undefined', () => {
    for (const text of ['sldt ax', 'str ax', 'lldt ax', 'ltr ax', 'verr ax', 'lar ax, cx', 'arpl ax, cx']) {
      realMode(`here: ${text}`).expectException({ vector: UD, at: 'here' });
    }
  });
  test('HLT, LGDT and MOV to CR0 need no privilege', () => {
    realMode('lgdt [table]\nmov eax, cr0\nmov cr0, eax\nhlt\ntable: dw 0xff\ndd GDT').halt();
  });
  test('32-bit operands and addresses by prefix', () => {
    const guest = realMode('mov eax, 0x12345678\nmov ecx, 0x6000\nmov [ecx*1+4], eax\nhlt').halt();
    assert.equal(guest.memory.readU32(0x6004), 0x1234_5678);
  });
});

describe('between the modes', () => {
  const TABLE = '\ngdtr: dw 0x1ff\ndd GDT';
  test('to protected mode: CS keeps its meaning until the far jump', () => {
    const guest = realMode(`lgdt [gdtr]
      mov eax, cr0
      inc eax
      mov cr0, eax
      mov bx, cs
      jmp CODE32:there
      bits 32
      there: mov eax, DATA32
      mov ds, ax
      mov ecx, [DATA]
      hlt${TABLE}`);
    guest.memory.writeU32(PLACE.DATA, 42);
    guest.halt();
    assert.equal(guest.register('ecx'), 42n);
    assert.equal(guest.selector('cs'), SELECTOR.CODE32);
  });
  test('unreal mode: a 4 GiB limit survives the return', () => {
    const guest = realMode(`lgdt [gdtr]
      mov eax, cr0
      inc eax
      mov cr0, eax
      mov bx, DATA32
      mov ds, bx
      dec eax
      mov cr0, eax
      jmp 0:there
      there: xor bx, bx
      mov ds, bx
      mov ecx, DATA
      mov eax, [ecx]
      hlt${TABLE}`);
    guest.memory.writeU32(PLACE.DATA, 43);
    assert.equal(guest.halt().register('eax'), 43n);
  });
  test('to long mode and back down again', () => {
    const guest = realMode(`
      lgdt [gdtr]
      mov eax, cr4
      or eax, 0x20
      mov cr4, eax
      mov eax, PAGES
      mov cr3, eax
      mov ecx, 0xc0000080
      rdmsr
      or eax, 0x100
      wrmsr
      mov eax, 0x80000001
      mov cr0, eax                 ; straight into compatibility mode
      rdmsr
      mov esi, eax
      jmp CODE64:long
      bits 64
      long: mov rbx, 0x123456789a
      mov r9, rbx
      jmp far dword ptr [down]
      down: dd compatible
      dw CODE32
      bits 32
      compatible: mov eax, cr0
      btr eax, 31
      mov cr0, eax                 ; leaves long mode
      rdmsr
      hlt${TABLE}`);
    const { memory } = guest;
    memory.writeU64(PLACE.PAGES, BigInt(PLACE.PAGES + 0x1003));
    memory.writeU64(PLACE.PAGES + 0x1000, BigInt(PLACE.PAGES + 0x2003));
    memory.writeU64(PLACE.PAGES + 0x2000, 0x83n);
    guest.halt();
    assert.equal(guest.register('rbx'), 0x12_3456_789an);
    assert.equal(guest.register('esi') & 0x400n, 0x400n);
    assert.equal(guest.register('eax') & 0x400n, 0n);
  });
});

/** Protected-mode text that enters virtual-8086 mode at 0:7C00h with the given flags. */
const to8086 = (eflags = 0): string => `
  push 0            ; GS FS DS ES
  push 0
  push 0
  push 0
  push 0            ; SS
  push 0x8000
  push ${0x2_0002 | eflags}
  push 0
  push 0x7c00
  iretd
`;
describe('virtual-8086 mode', () => {
  const run8086 = (code: readonly number[], eflags = 0, options = {}) => {
    const guest = protectedMode(to8086(eflags), { paging: '32-bit', ...options });
    for (let page = 0; page < 0x1_0000; page += 0x1000) guest.pages.set(page, 7n);
    guest.memory.write(0x7c00, Uint8Array.from(code));
    return guest;
  };
  const IOPL3 = 3 << 12;
  test('exceptions leave to level 0, with the segment registers on the stack', () => {
    const guest = run8086([0x0f, 0x0b]);
    const frame = guest.expectException({ vector: UD, rip: 0x7c00n, cs: 0, ss: 0, rsp: 0x8000n });
    assert.ok(frame.rflags & FLAG.VM);
    assert.equal(guest.rflags & FLAG.VM, 0);
    assert.equal(guest.register('esp'), BigInt(PLACE.STACK0 - 36));
    assert.deepEqual(
      ['ds', 'es', 'fs', 'gs'].map((name) => guest.selector(name as 'ds')),
      [0, 0, 0, 0],
    );
  });
  test('segments are selectors times 16', () => {
    // mov ax, 0x1234; mov ds, ax; mov al, [0x10]; ud2
    const guest = run8086([0xb8, 0x34, 0x02, 0x8e, 0xd8, 0xa0, 0x10, 0x00, 0x0f, 0x0b]);
    guest.memory.writeU8(0x2350, 0x66);
    guest.expectException({ vector: UD });
    assert.equal(guest.register('al'), 0x66n);
    assert.equal(guest.memory.readU32(PLACE.STACK0 - 12), 0x234);
  });
  const SENSITIVE: readonly (readonly [string, readonly number[]])[] = [
    ['CLI', [0xfa]],
    ['STI', [0xfb]],
    ['PUSHF', [0x9c]],
    ['POPF', [0x9d]],
    ['INT n', [0xcd, 0x21]],
    ['IRET', [0xcf]],
  ];
  for (const [name, code] of SENSITIVE) {
    test(`${name} with IOPL below 3: #GP(0)`, () => {
      run8086(code).expectException({ vector: GP, errorCode: 0, rip: 0x7c00n });
    });
  }
  test('with IOPL 3 they work', () => {
    const guest = run8086([0xfb, 0x9c, 0x58, 0xfa, 0x0f, 0x0b], IOPL3);
    const frame = guest.expectException({ vector: UD });
    assert.equal(guest.register('ax') & 0x200n, 0x200n);
    assert.equal(frame.rflags & FLAG.IF, 0);
  });
  test('INT n with IOPL 3 goes through the protected-mode table, which must let level 3 in', () => {
    run8086([0xcd, 0x90], IOPL3).expectException({ vector: 0x90, rip: 0x7c02n });
    run8086([0xcd, 0x21], IOPL3).expectException({ vector: GP, errorCode: 0x21 * 8 + 2 });
  });
  test('a gate to a conforming segment: #GP', () => {
    const guest = run8086([0xcd, 0x90], IOPL3);
    setVector(
      guest.bench,
      'protected',
      0x90,
      gate(SELECTOR.CONFORMING32, PLACE.HANDLERS, ACCESS.INTERRUPT_GATE32 | dpl(3)),
    );
    guest.expectException({ vector: GP, errorCode: SELECTOR.CONFORMING32 });
  });
  test('IRETD returns into it', () => {
    // the handler of UD steps over the two bytes
    const guest = run8086([0x0f, 0x0b, 0xb3, 0x2a, 0xcd, 0x90], IOPL3);
    guest.memory.write(PLACE.HANDLERS + 16 * UD, Uint8Array.from([0x83, 0x04, 0x24, 0x02, 0xcf]));
    guest.expectException({ vector: 0x90, rip: 0x7c06n });
    assert.equal(guest.register('bl'), 0x2an);
  });
  test('protected-mode instructions are undefined, privileged ones are #GP(0)', () => {
    run8086([0x0f, 0x00, 0xc0]).expectException({ vector: UD });
    run8086([0xf4]).expectException({ vector: GP, errorCode: 0 });
    run8086([0x0f, 0x20, 0xc0]).expectException({ vector: GP, errorCode: 0 });
  });
  test('ports ask the I/O permission map even with IOPL 3', () => {
    run8086([0xe4, 0x60], IOPL3).expectException({ vector: GP, errorCode: 0 });
  });
  test('page faults are user faults', () => {
    const guest = run8086([0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xa0, 0x00, 0x00]);
    guest.expectException({ vector: 14, errorCode: 5, rip: 0x7c05n });
    assert.equal(guest.cpu.cr2, 0x2_0000n);
  });

  describe('with CR4.VME', () => {
    const withVme = (code: readonly number[], eflags = 0) => {
      const guest = run8086(code, eflags, { cr4: CR4.VME });
      // an I/O map behind an interrupt redirection map of zeros: every INT n stays with the 8086 program
      guest.memory.writeU16(PLACE.TSS + TSS32.IO_MAP, IO_MAP_OFFSET);
      guest.memory.write(PLACE.TSS + 0x68, new Uint8Array(0x20));
      return guest;
    };
    test('CLI and STI change VIF', () => {
      const frame = withVme([0xfb, 0x0f, 0x0b]).expectException({ vector: UD });
      assert.equal(frame.rflags & (FLAG.VIF | FLAG.IF), FLAG.VIF);
    });
    test('STI with VIP pending: #GP(0)', () => {
      withVme([0xfb], FLAG.VIP).expectException({ vector: GP, errorCode: 0, rip: 0x7c00n });
    });
    test('PUSHF shows VIF as IF, and IOPL 3', () => {
      const guest = withVme([0xfb, 0x9c, 0x58, 0x0f, 0x0b]);
      guest.expectException({ vector: UD });
      assert.equal(guest.register('ax') & 0x3200n, 0x3200n);
    });
    test("INT n goes to the program's own table", () => {
      const guest = withVme([0xcd, 0x21]);
      guest.memory.writeU32(4 * 0x21, 0x7d00);
      guest.memory.write(0x7d00, Uint8Array.from([0x0f, 0x0b]));
      guest.expectException({ vector: UD, rip: 0x7d00n, rsp: 0x7ffan });
      assert.equal(guest.memory.readU16(0x7ffa), 0x7c02);
    });
    test('unless the redirection map says otherwise', () => {
      const guest = withVme([0xcd, 0x21]);
      guest.memory.writeU8(PLACE.TSS + 0x68 + (0x21 >> 3), 1 << (0x21 & 7));
      guest.expectException({ vector: GP, errorCode: 0 });
    });
  });
});
