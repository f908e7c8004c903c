import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { INSTRUCTIONS } from '../../isa/index.ts';
import { Vector } from '../../isa/stage.ts';
import { MEMORY_BASE, MEMORY_SIZE, TestMachine } from '../interpreter/testing.ts';

const X87 = INSTRUCTIONS.filter(({ unit }) => unit === 'x87');

/** A machine whose RAX points at memory. */
function machine(): TestMachine {
  const m = new TestMachine(X87);
  m.cpu.gpr[0] = BigInt(MEMORY_BASE);
  return m;
}
const view = (m: TestMachine) => new DataView(m.memory.buffer);
const top = (m: TestMachine) => (m.cpu.x87Status >> 11) & 7;

describe('x87 helper', () => {
  test('loads, computes, stores and pops', () => {
    const m = machine();
    view(m).setFloat64(0, 2.5, true);
    view(m).setInt16(8, -4, true);
    assert.equal(m.run(0xdd, 0x00), undefined); // FLD m64
    assert.equal(m.run(0xde, 0x48, 0x08), undefined); // FIMUL m16 [rax+8]
    assert.equal(m.run(0xd9, 0x58, 0x10), undefined); // FSTP m32 [rax+16]
    assert.equal(view(m).getFloat32(16, true), -10);
    assert.equal(top(m), 0);
    assert.equal(m.cpu.x87Tag, 0xffff);
  });

  test('the destination of DC and DE forms is ST(i), with subtractions swapped', () => {
    const m = machine();
    view(m).setFloat64(0, 7, true);
    m.run(0xdd, 0x00);
    view(m).setFloat64(0, 2, true);
    m.run(0xdd, 0x00);
    m.run(0xde, 0xe9); // FSUBP: ST(1) = 7 - 2
    m.run(0xdd, 0x18);
    assert.equal(view(m).getFloat64(0, true), 5);
  });

  test('FCOMI sets RFLAGS, FNSTSW AX the low word of RAX', () => {
    const m = machine();
    m.run(0xd9, 0xee); // FLDZ
    m.run(0xd9, 0xe8); // FLD1
    m.rflags = 0x8d5;
    m.run(0xdb, 0xf1);
    assert.equal(m.rflags & 0x8d5, 0);
    m.cpu.gpr[0] = 0xffff_ffff_ffff_ffffn;
    m.run(0xdf, 0xe0);
    assert.equal(m.cpu.gpr[0], 0xffff_ffff_ffff_0000n | BigInt(m.cpu.x87Status));
  });

  test('a page fault leaves the stack as it was', () => {
    const m = machine();
    m.run(0xd9, 0xe8);
    m.cpu.gpr[0] = BigInt(MEMORY_BASE + MEMORY_SIZE - 4);
    assert.equal(m.run(0xdd, 0x18)?.vector, Vector.PF);
    assert.equal(m.run(0xdd, 0x00)?.vector, Vector.PF);
    assert.equal(top(m), 7);
    assert.equal(m.cpu.x87Tag, 0x3fff);
  });

  test('an unmasked exception is reported by the next waiting instruction, not by FNSTSW', () => {
    const m = machine();
    m.cpu.x87Control = 0x37e; // invalid operation unmasked
    assert.equal(m.run(0xd9, 0xe1), undefined); // FABS of an empty register
    assert.equal(m.run(0xdd, 0x38), undefined); // FNSTSW m16
    // B, ES, SF and IE
    assert.equal(view(m).getUint16(0, true) & 0x80c1, 0x80c1);
    assert.equal(m.run(0xd9, 0xe8)?.vector, Vector.MF);
    assert.equal(m.run(0x9b)?.vector, Vector.MF);
    assert.equal(m.run(0xdb, 0xe2), undefined); // FNCLEX
    assert.equal(m.run(0x9b), undefined);
  });

  test('with CR0.NE clear nothing is raised', () => {
    const m = machine();
    m.cpu.cr0 = 1n;
    m.cpu.x87Status = 0x8081;
    m.cpu.x87Control = 0x37e;
    assert.equal(m.run(0x9b), undefined);
    assert.equal(m.run(0xd9, 0xe8), undefined);
  });

  test('notes the last instruction and its operand', () => {
    const m = machine();
    m.run(0xdd, 0x40, 0x20);
    assert.equal(m.cpu.x87Opcode, 0x540);
    assert.equal(m.cpu.x87Dp, BigInt(MEMORY_BASE + 0x20));
    m.run(0xd9, 0x6d, 0x00); // FLDCW faults: RBP is 0
    m.run(0xd9, 0xe8);
    assert.equal(m.cpu.x87Opcode, 0x1e8);
    assert.equal(m.cpu.x87Dp, BigInt(MEMORY_BASE + 0x20));
    m.run(0xdb, 0xe3); // FNINIT
    assert.equal(m.cpu.x87Opcode, 0);
  });

  test('FNSAVE and FRSTOR', () => {
    const m = machine();
    m.run(0xd9, 0xeb); // FLDPI
    m.run(0xd9, 0xe8);
    const { x87Status, x87Tag } = m.cpu;
    m.run(0xdd, 0x30);
    assert.equal(m.cpu.x87Tag, 0xffff);
    m.run(0xdd, 0x20);
    assert.equal(m.cpu.x87Status, x87Status);
    assert.equal(m.cpu.x87Tag, x87Tag);
  });

  test('reserved encodings are undefined', () => {
    const m = machine();
    for (const code of [
      [0xd9, 0x08],
      [0xd9, 0xd1],
      [0xd9, 0xe2],
      [0xda, 0xe0],
      [0xdb, 0xe5],
      [0xdb, 0x20],
      [0xdd, 0x28],
      [0xde, 0xd8],
      [0xdf, 0xe1],
    ]) {
      assert.equal(m.run(...code)?.vector, Vector.UD, code.join(' '));
    }
  });
});
