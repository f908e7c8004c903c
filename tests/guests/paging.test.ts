/** Address translation as programs see it (SDM vol. 3A chapter 4). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CR0, CR4 } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import { type Guest, longMode, PAGE, PLACE, protectedMode, toUser32, toUser64 } from './library.ts';

const { GP, PF } = Vector;
/** Page-fault error code (SDM vol. 3A figure 4-12). */
const PRESENT = 1;
const WRITE = 2;
const USER = 4;
const RESERVED = 8;
const FETCH = 16;

const { P, W, U, A, D, PS, G, NX } = PAGE;
/** A page of no other use. */
const SPARE = 0x14_0000;

/** Runs to a page fault at `here` and checks error code and address. */
function expectPageFault(guest: Guest, errorCode: number, address: bigint | number): void {
  guest.expectException({ vector: PF, errorCode, at: 'here' });
  assert.equal(guest.cpu.cr2, BigInt(address));
}

describe('page faults', () => {
  test('reading, writing and running what is not present', () => {
    expectPageFault(longMode('here: mov al, [0x500010]'), 0, 0x50_0010);
    expectPageFault(longMode('here: mov [0x500010], al'), WRITE, 0x50_0010);
    const fetch = longMode('mov eax, 0x500010\njmp rax');
    fetch.expectException({ vector: PF, errorCode: FETCH, rip: 0x50_0010n });
  });
  test('the same from user code', () => {
    expectPageFault(longMode(`${toUser64()}here: mov al, [0x500010]`), USER, 0x50_0010);
    expectPageFault(longMode(`${toUser64()}here: mov [0x500010], al`), USER | WRITE, 0x50_0010);
  });
  test('supervisor pages are closed to user code', () => {
    expectPageFault(longMode(`${toUser64()}here: mov al, [DATA]`), PRESENT | USER, PLACE.DATA);
    expectPageFault(longMode(`${toUser64()}here: mov [DATA], al`), PRESENT | USER | WRITE, PLACE.DATA);
  });
  test('a supervisor flag anywhere above the page is enough', () => {
    const guest = longMode(`${toUser64('user')}
      mov cl, [0x200000]
      here: mov al, [USER_DATA]
      user: mov al, 1
      jmp here`);
    const { pages } = guest;
    pages.write(pages.entry(0n, 2), pages.get(0n, 2) & ~U);
    guest.expectException({ vector: PF, errorCode: PRESENT | USER | FETCH });
  });
  test('an implicit supervisor access from user code is no user access', () => {
    // the IDT entry is on a page that goes away
    const guest = longMode(`${toUser64()}int 0x80`);
    guest.pages.set(0x2000, 0n);
    assert.equal(guest.run(), 'shutdown');
  });
  test('CR0.WP decides whether supervisor writes heed W', () => {
    const text = 'here: mov [SPARE], al\nhlt';
    const strict = longMode(text, { define: { SPARE } });
    strict.pages.set(SPARE, P);
    expectPageFault(strict, PRESENT | WRITE, SPARE);
    const lax = longMode(`mov rax, cr0\nbtr rax, 16\nmov cr0, rax\n${text}`, { define: { SPARE } });
    lax.pages.set(SPARE, P);
    lax.halt();
  });
  test('NX', () => {
    const guest = longMode('mov eax, SPARE\njmp rax', { define: { SPARE } });
    guest.pages.set(SPARE, P | W | NX);
    guest.expectException({ vector: PF, errorCode: PRESENT | FETCH, rip: BigInt(SPARE) });
  });
  test('bit 63 is reserved without EFER.NXE', () => {
    const guest = longMode(`mov ecx, 0xc0000080\nrdmsr\nbtr eax, 11\nwrmsr\nhere: mov al, [SPARE]`, {
      define: { SPARE },
    });
    guest.pages.set(SPARE, P | W | NX);
    expectPageFault(guest, PRESENT | RESERVED, SPARE);
  });
  test('an address bit beyond the physical ones is reserved', () => {
    const guest = longMode('here: mov [SPARE], al', { define: { SPARE } });
    guest.pages.map(BigInt(SPARE), 1n << 45n, P | W);
    expectPageFault(guest, PRESENT | RESERVED | WRITE, SPARE);
  });
  test('PS is reserved in a PML4E', () => {
    const guest = longMode('mov rax, 0x8000000000\nhere: mov al, [rax]');
    guest.pages.write(guest.pages.entry(0x80_0000_0000n, 3), BigInt(PLACE.PAGES) | P | W | PS);
    expectPageFault(guest, PRESENT | RESERVED, 0x80_0000_0000n);
  });
  test('an operand across two pages faults with the address in the second', () => {
    const guest = longMode('here: mov eax, [SPARE-2]', { define: { SPARE } });
    guest.pages.set(SPARE, 0n);
    expectPageFault(guest, 0, SPARE);
  });
  test('a store across two pages writes nothing if the second one faults', () => {
    const guest = longMode('mov eax, -1\nhere: mov [SPARE-2], eax', { define: { SPARE } });
    guest.pages.set(SPARE, P);
    expectPageFault(guest, PRESENT | WRITE, SPARE);
    assert.equal(guest.memory.readU16(SPARE - 2), 0);
  });
  test('an instruction across two pages faults with the address in the second', () => {
    const guest = longMode('mov eax, SPARE-1\njmp rax\norg SPARE-1\nhere: mov ebx, 0x12345678', { define: { SPARE } });
    guest.pages.set(SPARE, 0n);
    expectPageFault(guest, FETCH, SPARE);
  });
  test('a read-modify-write of a read-only page is a write fault', () => {
    const guest = longMode('here: add dword ptr [SPARE], 1', { define: { SPARE } });
    guest.pages.set(SPARE, P);
    expectPageFault(guest, PRESENT | WRITE, SPARE);
  });
  test('REP MOVS keeps what it has done and resumes at the element that faulted', () => {
    const guest = longMode('mov esi, DATA\nmov edi, SPARE-16\nmov ecx, 6\nhere: rep movsq', { define: { SPARE } });
    guest.pages.set(SPARE, 0n);
    expectPageFault(guest, WRITE, SPARE);
    assert.equal(guest.register('rcx'), 4n);
    assert.equal(guest.register('rdi'), BigInt(SPARE));
    assert.equal(guest.register('rsi'), BigInt(PLACE.DATA + 16));
  });
  test('the handler may map the page and return', () => {
    const entry = PLACE.PAGES + 3 * 0x1000 + 8 * (SPARE >> 12);
    const guest = longMode(
      `mov eax, 7
      mov [SPARE], eax
      mov ebx, [SPARE]
      hlt
      org 0x108000
      or qword ptr [ENTRY], 3
      add rsp, 8
      iretq`,
      { define: { SPARE, ENTRY: entry } },
    );
    guest.pages.set(SPARE, 0n);
    guest.pages.write(entry, BigInt(SPARE));
    guest.memory.write(PLACE.HANDLERS + 16 * PF, Uint8Array.from([0xe9]));
    guest.memory.writeU32(PLACE.HANDLERS + 16 * PF + 1, 0x10_8000 - (PLACE.HANDLERS + 16 * PF + 5));
    guest.halt();
    assert.equal(guest.register('ebx'), 7n);
  });
});

describe('accessed and dirty flags', () => {
  const flagsAfter = (text: string, level = 0): bigint => {
    const guest = longMode(`${text}\nhlt`, { define: { SPARE } }).halt();
    return guest.pages.get(SPARE, level) & (A | D);
  };
  test('nothing sets them without an access', () => assert.equal(flagsAfter('nop'), 0n));
  test('a read sets A', () => assert.equal(flagsAfter('mov al, [SPARE]'), A));
  test('a write sets both', () => assert.equal(flagsAfter('mov [SPARE], al'), A | D));
  test('a write after a read sets D', () =>
    assert.equal(flagsAfter('mov al, [SPARE]\nmov al, [SPARE]\nmov [SPARE], al'), A | D));
  test('the tables above get A only', () => assert.equal(flagsAfter('mov [SPARE], al', 1), A));
  test('an instruction fetch sets A', () => {
    const guest = longMode('mov eax, SPARE\njmp rax\norg SPARE\nhlt', { define: { SPARE } }).halt();
    assert.equal(guest.pages.get(SPARE) & (A | D), A);
  });
  test('a faulting write sets neither D nor, in the page, A', () => {
    const guest = longMode('here: mov [SPARE], al', { define: { SPARE } });
    guest.pages.set(SPARE, P);
    expectPageFault(guest, PRESENT | WRITE, SPARE);
    assert.equal(guest.pages.get(SPARE) & D, 0n);
  });
  test('clearing D and INVLPG makes the next write set it again', () => {
    const guest = longMode('mov [SPARE], al\nbtr qword ptr [ENTRY], 6\ninvlpg [SPARE]\nmov [SPARE], al\nhlt', {
      define: { SPARE, ENTRY: PLACE.PAGES + 3 * 0x1000 + 8 * (SPARE >> 12) },
    });
    assert.equal(guest.pages.entry(BigInt(SPARE)), PLACE.PAGES + 3 * 0x1000 + 8 * (SPARE >> 12));
    guest.halt();
    assert.equal(guest.pages.get(SPARE) & (A | D), A | D);
  });
});

describe('translations are cached until told otherwise', () => {
  const ENTRY = PLACE.PAGES + 3 * 0x1000 + 8 * (SPARE >> 12);
  const define = { SPARE, ENTRY, OTHER: PLACE.DATA };
  const remap = (flush: string, flags = 3n): bigint => {
    const guest = longMode(
      `mov dword ptr [OTHER], 2
       mov dword ptr [SPARE], 1
       mov eax, [SPARE]
       mov rcx, OTHER+${flags}
       mov [ENTRY], rcx
       ${flush}
       mov eax, [SPARE]
       hlt`,
      { define, cr4: CR4.PGE },
    );
    guest.pages.set(SPARE, flags);
    return guest.halt().register('eax');
  };
  test('INVLPG', () => assert.equal(remap('invlpg [SPARE]'), 2n));
  test('MOV to CR3', () => assert.equal(remap('mov rcx, cr3\nmov cr3, rcx'), 2n));
  test('MOV to CR3 leaves global pages alone; INVLPG does not', () => {
    assert.equal(remap('mov rcx, cr3\nmov cr3, rcx', P | W | G), 1n);
    assert.equal(remap('invlpg [SPARE]', P | W | G), 2n);
  });
  test('changing CR4.PGE drops global pages too', () => {
    assert.equal(remap('mov rcx, cr4\nbtc rcx, 7\nmov cr4, rcx', P | W | G), 2n);
  });
  test('INVPCID of everything', () => {
    assert.equal(
      remap('sub rsp, 16\nmov qword ptr [rsp], 0\nmov qword ptr [rsp+8], 0\nmov ecx, 2\ninvpcid rcx, [rsp]', P | W | G),
      2n,
    );
  });
  test('PCIDs keep address spaces apart', () => {
    const guest = longMode(
      `mov rcx, cr3
       or rcx, 1
       mov cr3, rcx              ; address space 1
       mov dword ptr [OTHER], 2
       mov dword ptr [SPARE], 1  ; cached for 1
       mov rdx, OTHER+3
       mov [ENTRY], rdx
       mov rdx, rcx
       inc rdx
       mov cr3, rdx              ; 2 sees the new page
       mov eax, [SPARE]
       bts rcx, 63
       mov cr3, rcx              ; 1 again, kept
       mov ebx, [SPARE]
       btr rcx, 63
       mov cr3, rcx              ; 1 again, dropped
       mov esi, [SPARE]
       hlt`,
      { define, cr4: CR4.PCIDE },
    ).halt();
    assert.deepEqual([guest.register('eax'), guest.register('ebx'), guest.register('esi')], [2n, 1n, 2n]);
  });
});

describe('SMEP and SMAP', () => {
  test('supervisor code on user pages: a fetch fault', () => {
    longMode('mov eax, USER_CODE\njmp rax', { cr4: CR4.SMEP }).expectException({
      vector: PF,
      errorCode: PRESENT | FETCH,
      rip: BigInt(PLACE.USER_CODE),
    });
  });
  test('without SMEP it runs', () => {
    longMode('mov eax, USER_CODE\njmp rax\norg USER_CODE\nhlt').halt();
  });
  test('supervisor data accesses to user pages: faults unless AC is set', () => {
    expectPageFault(longMode('here: mov al, [USER_DATA]', { cr4: CR4.SMAP }), PRESENT, PLACE.USER_DATA);
    expectPageFault(longMode('here: mov [USER_DATA], al', { cr4: CR4.SMAP }), PRESENT | WRITE, PLACE.USER_DATA);
    longMode('stac\nmov al, [USER_DATA]\nhlt', { cr4: CR4.SMAP }).halt();
    expectPageFault(
      longMode('stac\nmov al, [USER_DATA]\nclac\nhere: mov al, [USER_DATA]', { cr4: CR4.SMAP }),
      PRESENT,
      PLACE.USER_DATA,
    );
  });
  test('an implicit supervisor access to a user page faults whatever AC says', () => {
    const guest = longMode(`${toUser64('USER_CODE', 0x40002)}here: int 0x80`, { cr4: CR4.SMAP });
    guest.pages.set(0x2000, P | W | U);
    // neither #PF nor #DF finds its gate
    assert.equal(guest.run(), 'shutdown');
  });
  test('user code does not notice either', () => {
    longMode(`${toUser64()}mov al, [USER_DATA]\nint 0x80`, { cr4: CR4.SMAP | CR4.SMEP }).expectException({
      vector: 0x80,
    });
  });
  test('turning SMAP on works at once', () => {
    expectPageFault(
      longMode('mov al, [USER_DATA]\nmov rcx, cr4\nbts rcx, 21\nmov cr4, rcx\nhere: mov al, [USER_DATA]'),
      PRESENT,
      PLACE.USER_DATA,
    );
  });
});

describe('large pages', () => {
  test('2 MiB', () => {
    const guest = longMode('mov dword ptr [0x40012345], 9\nhlt');
    guest.pages.map(0x4000_0000n, 0x20_0000, P | W, 1);
    guest.halt();
    assert.equal(guest.memory.readU32(0x21_2345), 9);
    assert.equal(guest.pages.get(0x4000_0000n, 1) & (A | D), A | D);
  });
  test('1 GiB', () => {
    const guest = longMode('mov rax, 0x8000000000\nmov ecx, [rax+0x123000]\nhlt');
    guest.memory.writeU32(0x12_3000, 77);
    guest.pages.map(0x80_0000_0000n, 0, P | W, 2);
    assert.equal(guest.halt().register('ecx'), 77n);
  });
  test('an address bit inside a 2 MiB page is reserved', () => {
    const guest = longMode('mov ecx, 0x40000000\nhere: mov al, [rcx]');
    guest.pages.map(0x4000_0000n, 0x20_2000, P | W, 1);
    expectPageFault(guest, PRESENT | RESERVED, 0x4000_0000);
  });
});

describe('32-bit paging', () => {
  test('faults as in long mode, without the fetch bit', () => {
    expectPageFault(protectedMode('here: mov al, [0x500010]', { paging: '32-bit' }), 0, 0x50_0010);
    expectPageFault(
      protectedMode(`${toUser32()}here: mov [DATA], al`, { paging: '32-bit' }),
      PRESENT | USER | WRITE,
      PLACE.DATA,
    );
    protectedMode('mov eax, 0x500010\njmp eax', { paging: '32-bit' }).expectException({
      vector: PF,
      errorCode: 0,
      rip: 0x50_0010n,
    });
  });
  test('sets A and D', () => {
    const guest = protectedMode('mov [SPARE], eax\nhlt', { paging: '32-bit', define: { SPARE } }).halt();
    assert.equal(guest.pages.get(SPARE) & (A | D), A | D);
  });
  test('4 MiB pages with CR4.PSE', () => {
    const guest = protectedMode('mov dword ptr [0x40012345], 9\nhlt', { paging: '32-bit', cr4: CR4.PSE });
    guest.pages.map(0x4000_0000n, 0, P | W, 1);
    guest.halt();
    assert.equal(guest.memory.readU32(0x1_2345), 9);
  });
  test('without CR4.PSE the flag means nothing', () => {
    const guest = protectedMode('here: mov eax, [0x40012000]\nhlt', { paging: '32-bit' });
    guest.pages.map(0x4000_0000n, PLACE.PAGES + 0x1000, P | W, 1);
    guest.memory.writeU32(0x1_2000, 5);
    assert.equal(guest.halt().register('eax'), 5n);
  });
});

describe('PAE paging', () => {
  test('maps, faults and sets A and D', () => {
    const guest = protectedMode('mov [SPARE], eax\nhere: mov al, [0x500010]', { paging: 'pae', define: { SPARE } });
    expectPageFault(guest, 0, 0x50_0010);
    assert.equal(guest.pages.get(SPARE) & (A | D), A | D);
  });
  test('a reserved bit in a PDPTE: #GP(0) on MOV to CR3', () => {
    const guest = protectedMode('mov eax, cr3\nhere: mov cr3, eax', { paging: 'pae' });
    guest.memory.writeU64(PLACE.PAGES + 24, P | W | U);
    guest.expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
});

describe('turning paging on and off', () => {
  test('in protected mode', () => {
    const guest = protectedMode(
      `mov eax, TABLES
       mov cr3, eax
       mov eax, cr0
       bts eax, 31
       mov cr0, eax
       mov ebx, [0x400000]   ; mapped to DATA
       mov eax, cr0
       btr eax, 31
       mov cr0, eax
       hlt`,
      { define: { TABLES: PLACE.PAGES } },
    );
    const { memory } = guest;
    memory.writeU32(PLACE.PAGES, (PLACE.PAGES + 0x1000) | 3);
    memory.writeU32(PLACE.PAGES + 4, (PLACE.PAGES + 0x2000) | 3);
    for (let i = 0; i < 1024; i++) memory.writeU32(PLACE.PAGES + 0x1000 + 4 * i, (i << 12) | 3);
    memory.writeU32(PLACE.PAGES + 0x2000, PLACE.DATA | 3);
    memory.writeU32(PLACE.DATA, 0xabcd);
    assert.equal(guest.halt().register('ebx'), 0xabcdn);
    assert.equal(guest.cpu.cr0 & BigInt(CR0.PG >>> 0), 0n);
  });
});
