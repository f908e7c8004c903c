/** External interrupts, NMI, HLT and the interrupt shadow (SDM vol. 3A 6.6-6.8, vol. 2 STI, MOV SS). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FLAG } from '../../src/cpu/system/registers.ts';
import { ACCESS, gate, longMode, PLACE, protectedMode, realMode, SELECTOR, setVector, toUser64 } from './library.ts';

const VECTOR = 0x31;
const NMI = 2;

describe('maskable interrupts', () => {
  test('wait for IF', () => {
    const guest = longMode('nop\nnop\nsti\nnop\nnext: nop');
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'next' });
  });
  test('are acknowledged when taken', () => {
    const guest = longMode('sti\nnop\nnop');
    guest.bench.apic.vector = VECTOR;
    guest.halt();
    assert.equal(guest.bench.apic.vector, -1);
    assert.equal(guest.rflags & FLAG.IF, 0);
  });
  test('STI lets one more instruction through', () => {
    const guest = longMode('sti\ninc ebx\nnext: inc ebx');
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'next' });
    assert.equal(guest.register('ebx'), 1n);
  });
  test('STI after STI gives no second shadow', () => {
    const guest = longMode('sti\nsti\nnext: nop');
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'next' });
  });
  test('STI and CLI: nothing gets in between', () => {
    const guest = longMode('sti\ncli\nnop\nhlt');
    guest.bench.apic.vector = VECTOR;
    guest.halt();
    assert.equal(guest.bench.apic.vector, VECTOR);
  });
  test('MOV SS shuts out interrupts for one instruction', () => {
    const guest = protectedMode('mov eax, DATA32\nsti\nnop\nmov ss, ax\nmov esp, STACK\nnext: nop');
    guest.bench.step(4);
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'next' });
  });
  test('POPF lets them in at once', () => {
    const guest = longMode('push 0x202\npopfq\nnext: nop');
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'next' });
  });
  test('an ExtINT is acknowledged at the 8259', () => {
    const guest = longMode('sti\nnop\nnext: nop');
    guest.bench.apic.external = 0x38;
    guest.expectException({ vector: 0x38, at: 'next' });
    assert.equal(guest.bench.apic.external, -1);
  });
  test('CR8 holds back lower ones', () => {
    const guest = longMode('mov eax, 4\nmov cr8, rax\nsti\nnop\nnop\nxor eax, eax\nmov cr8, rax\nnext: nop');
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'next' });
  });
  test('reach user code', () => {
    const guest = longMode(`${toUser64('USER_CODE', 0x202)}first: nop\njmp first`);
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, cs: SELECTOR.USER_CODE64 + 3, at: 'first' });
  });
  test('come between the iterations of a string instruction', () => {
    const guest = longMode('mov ecx, 1000\nmov edi, DATA\nsti\nnop\nhere: rep stosb');
    guest.bench.step(4);
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'here' });
  });
});

describe('HLT', () => {
  test('ends with an interrupt, which returns behind it', () => {
    const guest = longMode('sti\nhlt\nnext: nop');
    assert.equal(guest.run(), 'halted');
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: VECTOR, at: 'next' });
  });
  test('does not end with a masked interrupt', () => {
    const guest = longMode('hlt\nnop\nud2').halt();
    guest.bench.apic.vector = VECTOR;
    guest.halt();
    assert.equal(guest.bench.apic.vector, VECTOR);
  });
});

describe('NMI', () => {
  test('needs no IF', () => {
    const guest = longMode('first: nop');
    guest.bench.apic.nmiPending = true;
    guest.expectException({ vector: NMI, at: 'first' });
  });
  test('is held back until IRET', () => {
    const guest = longMode('first: nop\nhlt');
    // the handler raises another one through the test: two halts, then IRET
    guest.memory.write(PLACE.HANDLERS + 16 * NMI, Uint8Array.from([0xf4, 0x48, 0xcf]));
    guest.bench.apic.nmiPending = true;
    guest.halt();
    guest.bench.apic.nmiPending = true;
    assert.equal(guest.cpu.nmiBlocked, 1);
    guest.bench.step();
    assert.equal(guest.bench.apic.nmiPending, true);
  });
  test('goes before a maskable interrupt', () => {
    const guest = longMode('sti\nnop\nnext: nop');
    guest.bench.step(1);
    guest.bench.apic.vector = VECTOR;
    guest.bench.apic.nmiPending = true;
    guest.expectException({ vector: NMI });
  });
});

describe('in other modes', () => {
  test('real-address mode', () => {
    const guest = realMode('sti\nnop\nnext: nop');
    guest.bench.apic.external = 8;
    guest.expectException({ vector: 8, at: 'next' });
  });
  test('a gate that is not present: #NP with EXT', () => {
    const guest = longMode('sti\nnop\nnext: nop');
    setVector(guest.bench, 'long', VECTOR, gate(SELECTOR.CODE64, 0, ACCESS.INTERRUPT_GATE32 & ~0x80));
    guest.bench.apic.vector = VECTOR;
    guest.expectException({ vector: 11, errorCode: VECTOR * 8 + 2 + 1, at: 'next' });
  });
});
