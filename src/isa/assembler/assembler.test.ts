import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Assembler, assemble, type CodeBits, far, imm, mem, reg } from './index.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const code = (bits: CodeBits, text: string, origin = 0) => hex(assemble({ bits, origin }, text).bytes);

describe('shortest forms', () => {
  // expected bytes as GNU as gives them
  const CASES: readonly (readonly [CodeBits, string, string])[] = [
    [64, 'add rax, 5', '4883c005'],
    [64, 'add rax, 0x12345', '480545230100'],
    [64, 'add qword ptr [rbx+rcx*4+8], 5', '4883448b0805'],
    [64, 'mov rax, -1', '48c7c0ffffffff'],
    [64, 'mov eax, 0xffffffff', 'b8ffffffff'],
    [64, 'mov rax, 0x123456789abcdef0', '48b8f0debc9a78563412'],
    [64, 'mov al, [0x123456789abcdef0]', 'a0f0debc9a78563412'],
    [64, 'mov r8b, sil', '4188f0'],
    [64, 'mov ah, bh', '88fc'],
    [64, 'mov [r13], r12', '4d896500'],
    [64, 'mov [r12], r13d', '45892c24'],
    [64, 'lea rsi, [rip+0x1000]', '488d35f90f0000'],
    [64, 'xchg eax, eax', '87c0'],
    [64, 'xchg r8, rax', '4990'],
    [64, 'push r9', '4151'],
    [64, 'push -1', '6aff'],
    [64, 'push word ptr [rax]', '66ff30'],
    [64, 'push qword ptr [rax]', 'ff30'],
    [64, 'jmp far qword ptr [rax]', '48ff28'],
    [64, 'jmp far dword ptr [rax]', 'ff28'],
    [64, 'iretq', '48cf'],
    [64, 'fs movsb', '64a4'],
    [64, 'rep stosq', 'f348ab'],
    [64, 'lock cmpxchg [rdi], ecx', 'f00fb10f'],
    [64, 'mov cr8, rax', '440f22c0'],
    [64, 'jecxz $+4', '67e301'],
    [64, 'call $+5', 'e800000000'],
    [32, 'mov eax, [0x1234]', 'a134120000'],
    [32, 'mov eax, es:[ebp]', '268b4500'],
    [32, 'mov ax, [bx+si+4]', '67668b4004'],
    [32, 'push es', '06'],
    [32, 'jmp 8:0x1234', 'ea341200000800'],
    [32, 'inc eax', '40'],
    [16, 'mov eax, [bp+di]', '668b03'],
    [16, 'mov ax, [ebx*2]', '678b045d00000000'],
    [16, 'jmp 0xf000:0xfff0', 'eaf0ff00f0'],
    [16, 'o32 jmp 8:0x12345678', '66ea785634120800'],
    [16, 'mov eax, 1', '66b801000000'],
    [16, 'lgdt [0x600]', '0f01160006'],
    [16, 'out 0xe9, al', 'e6e9'],
    [16, 'rep insw', 'f36d'],
  ];
  for (const [bits, text, bytes] of CASES) {
    test(`${text} (${bits}-bit)`, () => assert.equal(code(bits, text), bytes));
  }
});

describe('labels', () => {
  test('branches grow when their target is far away', () => {
    const near = (distance: number) => code(64, `jne there\nspace ${distance}\nthere:`).slice(0, 2);
    assert.equal(near(127), '75');
    assert.equal(near(128), '0f');
  });
  test('growing one branch may push the next one out of reach', () => {
    const text = 'a: jmp c\njmp d\nspace 124\nc: nop\nspace 200\nd:';
    const { bytes } = assemble({ bits: 32 }, text);
    assert.equal(hex(bytes.subarray(0, 10)), 'e981000000e945010000');
  });
  test('a form can be forced', () => {
    assert.equal(
      hex(new Assembler({ bits: 64 }).label('here').emit('JMP', imm('here', 32)).assemble().bytes),
      'e9fbffffff',
    );
    assert.throws(() => code(64, 'jmp short there\nspace 200\nthere:'), /operand 1 \(there\) fits no row/);
  });
  test('values may be sums of labels', () => {
    assert.equal(code(32, 'start: dw end-start-1\ndd start+2\nend:', 0x1000), '050002100000');
  });
  test('an unknown label is named', () => assert.throws(() => code(64, 'jmp nowhere'), /no label 'nowhere'/));
  test('addresses of labels are known afterwards', () => {
    const program = assemble({ bits: 16, origin: 0x7c00 }, 'nop\nhere: hlt\nalign 4\nthere:');
    assert.equal(program.address('here'), 0x7c01n);
    assert.equal(program.address('there'), 0x7c04n);
  });
});

describe('the programming interface', () => {
  test('operands, conditions and options', () => {
    const rax = reg('rax');
    const program = new Assembler({ bits: 64, origin: 0x1000 })
      .label('loop')
      .emit('ADD', rax, mem({ base: reg('rbx'), index: reg('rcx'), scale: 4, displacement: 8 }))
      .emit('Jcc', 'NE', 'loop')
      .emit('ADD', mem({ base: rax, size: 8 }), 1, { lock: true })
      .emit('ADD', rax, 1, { row: '81 /0 Ev,Iz lock' })
      .code(32)
      .emit('CALL', far(8, 'loop'))
      .assemble();
    assert.equal(hex(program.bytes), '4803448b0875f9f08000014881c0010000009a001000000800');
  });
});

describe('messages', () => {
  const fails = (bits: CodeBits, text: string, message: RegExp) =>
    test(text, () => assert.throws(() => code(bits, text), message));
  fails(64, 'add eax, rbx', /operand 2 \(rbx\) fits no row: a register of 32 bits is needed/);
  fails(64, 'add al, 0x1234', /operand 2 \(0x1234\) fits no row: 4660 does not fit into 8 bits/);
  fails(64, 'add rax', /no row fits: it takes 2 operands/);
  fails(64, 'inc [rax]', /the memory operand could have 8 or 32 bits/);
  fails(64, 'mov ah, r8b', /AH, CH, DH and BH do not go with a REX prefix/);
  fails(64, 'push es', /no row fits|fits no row/);
  fails(32, 'mov rax, 1', /operand 1 \(rax\) fits no row/);
  fails(64, 'frobnicate eax', /unknown mnemonic 'frobnicate'/);
  fails(64, 'mov eax, [rax+esi]', /base and index differ in width/);
});
