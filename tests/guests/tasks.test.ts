/** Hardware task switching (SDM vol. 3A chapter 7). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CR0, FLAG } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import {
  ACCESS,
  dpl,
  type Guest,
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
} from './library.ts';

const { DB, TS, GP, NP } = Vector;
const { FREE, TASK, TASK2 } = SELECTOR;

/** Fills TSS2 with a task that begins at a label. */
function secondTask(guest: Guest, entry: string, eflags = 2): Guest {
  const { memory } = guest;
  const set = (offset: number, value: number) => memory.writeU32(PLACE.TSS2 + offset, value);
  set(TSS32.EIP, Number(guest.address(entry)));
  set(TSS32.EFLAGS, eflags);
  set(TSS32.ESP, PLACE.STACK1);
  set(TSS32.ESP0, PLACE.STACK2);
  set(TSS32.SS0, SELECTOR.DATA32);
  set(TSS32.CS, SELECTOR.CODE32);
  for (const offset of [TSS32.ES, TSS32.SS, TSS32.DS]) set(offset, SELECTOR.DATA32);
  set(TSS32.EBX, 0x1234_5678);
  set(TSS32.LDT, SELECTOR.LOCAL);
  return guest;
}
const busy = (guest: Guest, selector: number): boolean => (guest.memory.readU8(PLACE.GDT + selector + 5) & 2) !== 0;
const tss = (guest: Guest, place: number, offset: number): number => guest.memory.readU32(place + offset);

describe('a task switch by JMP', () => {
  const guest = () => secondTask(protectedMode('mov esi, 77\njmp TASK2:0\nback: nop\nother: hlt'), 'other').halt();
  test('saves the old task and loads the new one', () => {
    const g = guest();
    assert.equal(g.register('ebx'), 0x1234_5678n);
    assert.equal(g.register('esp'), BigInt(PLACE.STACK1));
    assert.equal(g.selector('tr'), TASK2);
    assert.equal(tss(g, PLACE.TSS, TSS32.ESI), 77);
    assert.equal(tss(g, PLACE.TSS, TSS32.EIP), Number(g.address('back')));
    assert.equal(tss(g, PLACE.TSS, TSS32.ESP), PLACE.STACK);
  });
  test('moves the busy flag and sets CR0.TS, without NT and link', () => {
    const g = guest();
    assert.deepEqual([busy(g, TASK), busy(g, TASK2)], [false, true]);
    assert.notEqual(g.cpu.cr0 & BigInt(CR0.TS), 0n);
    assert.equal(g.rflags & FLAG.NT, 0);
    assert.equal(tss(g, PLACE.TSS2, TSS32.LINK), 0);
  });
});

describe('a task switch by CALL', () => {
  test('nests: NT, link, both busy', () => {
    const g = secondTask(protectedMode('call TASK2:0\nback: nop\nother: hlt'), 'other').halt();
    assert.ok(g.rflags & FLAG.NT);
    assert.equal(tss(g, PLACE.TSS2, TSS32.LINK) & 0xffff, TASK);
    assert.deepEqual([busy(g, TASK), busy(g, TASK2)], [true, true]);
  });
  test('IRET goes back', () => {
    const g = secondTask(
      protectedMode('mov esi, 5\ncall TASK2:0\nmov edi, esi\nhlt\nother: mov esi, 6\niretd'),
      'other',
    ).halt();
    assert.equal(g.register('edi'), 5n);
    assert.equal(g.selector('tr'), TASK);
    assert.deepEqual([busy(g, TASK), busy(g, TASK2)], [true, false]);
    assert.equal(g.rflags & FLAG.NT, 0);
    assert.equal(tss(g, PLACE.TSS2, TSS32.ESI), 6);
  });
  test('through a task gate', () => {
    const g = secondTask(protectedMode('call FREE:0x1234\nother: hlt'), 'other');
    setDescriptor(g.bench, FREE, gate(TASK2, 0, ACCESS.TASK_GATE));
    assert.equal(g.halt().selector('tr'), TASK2);
  });
  test('to a busy task: #GP', () => {
    protectedMode('here: call TASK:0').expectException({ vector: GP, errorCode: TASK, at: 'here' });
  });
  test('to a TSS that is not present: #NP', () => {
    const g = protectedMode('here: call FREE:0');
    setDescriptor(g.bench, FREE, segment(PLACE.TSS2, 0x67, ACCESS.TSS32 & ~0x80));
    g.expectException({ vector: NP, errorCode: FREE, at: 'here' });
  });
  test('to a TSS that is too short: #TS', () => {
    const g = protectedMode('here: call FREE:0');
    setDescriptor(g.bench, FREE, segment(PLACE.TSS2, 0x66, ACCESS.TSS32));
    g.expectException({ vector: TS, errorCode: FREE, at: 'here' });
  });
  test('user code needs a TSS of DPL 3', () => {
    protectedMode(`${toUser32()}here: call TASK2+3:0`).expectException({ vector: GP, errorCode: TASK2, at: 'here' });
    const g = secondTask(protectedMode(`${toUser32()}call FREE+3:0\nother: hlt`), 'other');
    setDescriptor(g.bench, FREE, segment(PLACE.TSS2, 0x67, ACCESS.TSS32 | dpl(3)));
    g.halt();
    assert.equal(g.cpu.cpl, 0);
  });
});

describe('what is wrong with the new task is found in the new task', () => {
  test('a bad SS: #TS', () => {
    const g = secondTask(protectedMode('jmp TASK2:0\nother: hlt'), 'other');
    g.memory.writeU32(PLACE.TSS2 + TSS32.SS, SELECTOR.CODE32);
    g.memory.writeU32(PLACE.TSS2 + TSS32.ESP, PLACE.STACK1);
    // delivery needs a stack: #TS goes to a task of its own
    setDescriptor(g.bench, FREE, segment(PLACE.DATA, 0x67, ACCESS.TSS32));
    setVector(g.bench, 'protected', TS, gate(FREE, 0, ACCESS.TASK_GATE));
    const { memory } = g;
    const set = (offset: number, value: number) => memory.writeU32(PLACE.DATA + offset, value);
    set(TSS32.EIP, Number(g.address('other')));
    set(TSS32.EFLAGS, 2);
    set(TSS32.ESP, PLACE.STACK2);
    set(TSS32.CS, SELECTOR.CODE32);
    set(TSS32.SS, SELECTOR.DATA32);
    g.halt();
    assert.equal(g.selector('tr'), FREE);
    assert.equal(tss(g, PLACE.DATA, TSS32.LINK) & 0xffff, TASK2);
    assert.equal(memory.readU32(PLACE.STACK2 - 4), SELECTOR.CODE32);
  });
  test('the debug trap of its T flag', () => {
    const g = secondTask(protectedMode('jmp TASK2:0\nother: hlt'), 'other');
    g.memory.writeU16(PLACE.TSS2 + TSS32.TRAP, 1);
    g.expectException({ vector: DB, at: 'other' });
    assert.notEqual(g.cpu.dr6 & (1n << 15n), 0n);
  });
});

describe('an exception through a task gate', () => {
  test('switches tasks, links, and pushes the error code on the new stack', () => {
    const g = secondTask(protectedMode('mov ax, 0x1000\nhere: mov ds, ax\nother: pop edx\nhlt'), 'other');
    setVector(g.bench, 'protected', GP, gate(TASK2, 0, ACCESS.TASK_GATE));
    g.halt();
    assert.equal(g.register('edx'), 0x1000n);
    assert.equal(tss(g, PLACE.TSS, TSS32.EIP), Number(g.address('here')));
    assert.ok(g.rflags & FLAG.NT);
  });
});

test('there is no hardware task switching in long mode', () => {
  longMode('here: jmp far dword ptr [pointer]\npointer: dd 0\ndw TASK2').expectException({
    vector: GP,
    errorCode: TASK2,
    at: 'here',
  });
});
test('a 16-bit TSS', () => {
  const g = protectedMode('call FREE:0\nback: nop\nother: hlt');
  setDescriptor(g.bench, FREE, segment(PLACE.TSS2, 0x2b, ACCESS.TSS16));
  const set = (offset: number, value: number) => g.memory.writeU16(PLACE.TSS2 + offset, value);
  // SDM vol. 3A figure 7-10; code and stack in the first 64 KiB
  g.memory.writeU8(0x7000, 0xf4);
  set(0x0e, 0x7000);
  set(0x10, 2);
  set(0x1a, PLACE.STACK);
  set(0x18, 0x4321);
  set(0x22, SELECTOR.DATA32);
  set(0x24, SELECTOR.CODE32);
  set(0x26, SELECTOR.DATA32);
  set(0x28, SELECTOR.DATA32);
  g.halt();
  assert.equal(g.selector('tr'), FREE);
  assert.equal(g.register('bx') | g.register('dx') | g.register('cx'), 0x4321n);
});
