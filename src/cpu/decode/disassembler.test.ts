/**
 * Round trips over every row: operands -> bytes -> the same row and operands -> text -> the same bytes. The assembler and
 * the decoder read the rows independently of each other.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  Assembler,
  assemble,
  type CodeBits,
  type EmitOptions,
  far,
  generalRegister,
  imm,
  mem,
  type Operand,
  reg,
} from '../../isa/assembler/index.ts';
import { type Encoding, operandBits, type Operand as RowOperand } from '../../isa/encoding.ts';
import { INSTRUCTION_TABLE } from '../../isa/index.ts';
import type { Feature } from '../../isa/instruction.ts';
import { Decoder } from './decoder.ts';
import { disassemble } from './disassembler.ts';

const FEATURES = new Set(
  INSTRUCTION_TABLE.encodings.map((e) => e.instruction.feature).filter((f): f is Feature => f !== undefined),
);

/** SplitMix32. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) % below;
  };
}
type Random = ReturnType<typeof generator>;
const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)];
const signed = (random: Random, bits: number): bigint => {
  const width = pick(
    random,
    [4, 8, 12, bits].filter((n) => n <= bits),
  );
  let value = 0n;
  for (let i = 0; i < 4; i++) value = (value << 16n) | BigInt(random(0x10000));
  return BigInt.asIntN(width, value);
};

const ORIGIN = 0x10_0000n;

/** Operand sizes of a row in a mode. */
function sizesOf(e: Encoding, bits: CodeBits): (16 | 32 | 64)[] {
  if (bits !== 64) {
    if (e.w === 1 || e.attributes.only64) return [];
    return e.dependsOnOperandSize && e.prefix !== 'NP' && e.prefix !== '66' ? [16, 32] : [bits];
  }
  if (e.attributes.no64) return [];
  if (e.attributes.f64 || e.w === 1) return [64];
  if (!e.dependsOnOperandSize) return [32];
  const all: (16 | 32 | 64)[] = e.attributes.d64 ? [16, 64] : e.w === 0 ? [16, 32] : [16, 32, 64];
  return e.prefix === 'NP' || e.prefix === '66' ? all.filter((n) => n !== 16) : all;
}

function randomMemory(random: Random, bits: CodeBits, size: number, isFar: boolean): Operand {
  const segment =
    random(4) === 0
      ? reg(bits === 64 ? pick(random, ['fs', 'gs']) : pick(random, ['es', 'cs', 'ss', 'ds', 'fs', 'gs']))
      : undefined;
  const common = { size: size || undefined, segment, far: isFar };
  const address =
    bits === 64 ? pick(random, [64, 64, 32] as const) : pick(random, [bits, bits, bits === 32 ? 16 : 32] as const);
  if (address === 16) {
    const [base, index] = pick(random, [
      ['bx', 'si'],
      ['bx', 'di'],
      ['bp', 'si'],
      ['bp', 'di'],
      ['si'],
      ['di'],
      ['bp'],
      ['bx'],
      [],
    ] as string[][]);
    const displacement = base ? signed(random, 16) : BigInt(random(0x10000));
    return mem({
      ...common,
      base: base ? reg(base) : undefined,
      index: index ? reg(index) : undefined,
      displacement,
      addressSize: 16,
    });
  }
  const registers = bits === 64 ? 16 : 8;
  const kind = random(8);
  if (kind === 0 && bits === 64)
    return mem({ ...common, base: reg(address === 64 ? 'rip' : 'eip'), displacement: ORIGIN + signed(random, 20) });
  if (kind === 1) return mem({ ...common, displacement: BigInt.asUintN(30, signed(random, 32)), addressSize: address });
  const general = (n: number) => generalRegister(n, address);
  const base = kind === 2 ? undefined : general(random(registers));
  let index = kind > 4 ? undefined : general(random(registers));
  if (index?.number === 4) index = undefined;
  if (!base && !index) return mem({ ...common, base: general(3) });
  return mem({
    ...common,
    base,
    index,
    scale: index ? pick(random, [1, 2, 4, 8] as const) : 1,
    displacement: signed(random, 32),
    addressSize: address,
  });
}

interface Sample {
  readonly operands: Operand[];
  readonly options: EmitOptions;
}

function randomOperand(
  random: Random,
  e: Encoding,
  row: RowOperand,
  size: 16 | 32 | 64,
  bits: CodeBits,
  memory: boolean,
): Operand {
  const width = operandBits(row, size);
  const registers = bits === 64 ? 16 : 8;
  const general = (bitsOf: number): Operand => {
    if (bitsOf === 8 && bits !== 64) return reg(pick(random, ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh']));
    return generalRegister(random(registers), bitsOf as 8 | 16 | 32 | 64);
  };
  const special = e.operands.some((o) => o.letter === 'C' || o.letter === 'D');
  switch (row.letter) {
    case 'fixed':
      if (row.text === '1') return imm(1);
      if (row.text === 'rAX') return generalRegister(0, size);
      if (row.text === 'STi') return reg(`st${random(8)}`);
      return reg(row.text.toLowerCase());
    case 'G':
    case 'Z':
      return general(width);
    case 'R':
      return general(special && bits !== 64 ? 32 : width);
    case 'E':
      return memory ? randomMemory(random, bits, width, false) : general(width);
    case 'M':
      return randomMemory(random, bits, row.width === 'p' ? size : width, row.width === 'p' && e.operands.length === 1);
    case 'W':
    case 'Q':
      if (memory) return randomMemory(random, bits, width, false);
      return reg(row.letter === 'W' ? `xmm${random(registers)}` : `mm${random(8)}`);
    case 'V':
    case 'U':
      return reg(`xmm${random(registers)}`);
    case 'P':
    case 'N':
      return reg(`mm${random(8)}`);
    case 'S':
      return reg(
        pick(random, row.access === 'r' ? ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] : ['es', 'ss', 'ds', 'fs', 'gs']),
      );
    case 'C':
      return reg(pick(random, bits === 64 ? ['cr0', 'cr2', 'cr3', 'cr4', 'cr8'] : ['cr0', 'cr2', 'cr3', 'cr4']));
    case 'D':
      return reg(`dr${random(8)}`);
    case 'I': {
      const encoded =
        row.width === 'b' || row.width === 'bs'
          ? 8
          : row.width === 'w'
            ? 16
            : row.width === 'z'
              ? Math.min(size, 32)
              : width;
      return imm(signed(random, encoded));
    }
    case 'J':
      return imm(ORIGIN + signed(random, row.width === 'b' ? 6 : size === 16 ? 15 : 20));
    case 'A':
      return far(random(0x10000), BigInt.asUintN(size, signed(random, size)));
    case 'O': {
      const address = bits === 64 ? pick(random, [64, 32] as const) : pick(random, [16, 32] as const);
      return mem({ size: width, displacement: BigInt.asUintN(address, signed(random, address)), addressSize: address });
    }
  }
}

function sample(random: Random, e: Encoding, size: 16 | 32 | 64, bits: CodeBits): Sample {
  const memory = e.form === 'memory' || (e.form === 'any' && random(2) === 0);
  const operands = e.operands.map((row) => randomOperand(random, e, row, size, bits, memory));
  // direct offsets, far pointers and branches have the width their address or operand size says
  const options: Record<string, unknown> = { row: e.text };
  if (e.dependsOnOperandSize) options.operandSize = size;
  if (e.attributes.lock && memory && random(3) === 0) options.lock = true;
  if (e.attributes.rep && random(2) === 0) options.repeat = pick(random, ['rep', 'repne']);
  if (e.attributes.as && !operands.some((o) => o.kind === 'memory')) {
    options.addressSize = bits === 64 ? pick(random, [64, 32]) : pick(random, [16, 32]);
    if (e.attributes.rep && random(4) === 0) options.segment = reg(pick(random, ['fs', 'gs']));
  }
  return { operands, options };
}

/** An unsigned number of some bits. */
const unsigned = (value: bigint, bits: number) => BigInt.asUintN(bits, value);

/** Checks that what was decoded is what was meant. */
function sameOperand(operand: Operand, row: RowOperand, out: Decoder['out'], immediate: bigint): void {
  const width = operandBits(row, out.operandSize);
  switch (operand.kind) {
    case 'register': {
      if (row.letter === 'fixed') return;
      const number = 'GVPSCD'.includes(row.letter) ? out.reg : row.letter === 'Z' ? out.opcodeRegister : out.rm;
      assert.equal(number & (operand.file === 'mmx' || operand.file === 'segment' ? 7 : 15), operand.number, row.text);
      if (operand.bits === 8) assert.equal(out.rex && operand.high, false);
      return;
    }
    case 'immediate': {
      if (row.letter === 'fixed') return;
      if (row.letter === 'J') {
        assert.equal(
          unsigned(ORIGIN + BigInt(out.length) + out.immediate, out.operandSize),
          unsigned(operand.value.constant, out.operandSize),
        );
        return;
      }
      const bits = row.width === 'b' ? 8 : row.width === 'w' ? 16 : width;
      assert.equal(unsigned(immediate, bits), unsigned(operand.value.constant, bits), row.text);
      return;
    }
    case 'far':
      assert.equal(out.immediate, operand.offset.constant);
      assert.equal(BigInt(out.immediate2), operand.selector.constant);
      return;
    case 'memory': {
      assert.equal(out.form, 'memory');
      let displacement = out.displacement;
      const size = operand.base?.bits ?? operand.index?.bits ?? operand.addressSize;
      if (size !== undefined) assert.equal(out.addressSize, size);
      if (operand.base?.file === 'ip') displacement += ORIGIN + BigInt(out.length);
      assert.equal(
        unsigned(displacement, out.addressSize),
        unsigned(operand.displacement.constant, out.addressSize),
        'displacement',
      );
      if (operand.base?.file !== 'ip') {
        const meant = [operand.base, operand.index].filter((r) => r !== undefined).map((r) => r.number);
        const decoded = [out.base, out.index].filter((n) => n >= 0);
        assert.deepEqual(new Set(decoded), new Set(meant));
        if (operand.index && out.index === operand.index.number) assert.equal(1 << out.scale, operand.scale ?? 1);
      }
      if (operand.segment) assert.equal(out.segment, operand.segment.number, 'segment');
      return;
    }
  }
}

test('no row is defined twice', () => {
  const seen = new Set<string>();
  for (const { instruction, text } of INSTRUCTION_TABLE.encodings) {
    const name = `${instruction.mnemonic} '${text}'`;
    assert.ok(!seen.has(name), name);
    seen.add(name);
  }
});

describe('every row', () => {
  const decoder = new Decoder(INSTRUCTION_TABLE, FEATURES);
  const SAMPLES = 6;
  for (const bits of [16, 32, 64] as const) {
    test(`assembles, decodes and disassembles in ${bits}-bit code`, () => {
      const random = generator(bits);
      let count = 0;
      for (const e of INSTRUCTION_TABLE.encodings) {
        for (const size of sizesOf(e, bits)) {
          for (let n = 0; n < SAMPLES; n++) {
            const { operands, options } = sample(random, e, size, bits);
            const condition = e.span === 16 ? [random(16)] : [];
            const what = () => `${e.instruction.mnemonic} '${e.text}' size ${size}`;
            let bytes: Uint8Array;
            try {
              bytes = new Assembler({ bits, origin: ORIGIN })
                .emit(e.instruction.mnemonic, ...condition, ...operands, options)
                .assemble().bytes;
            } catch (error) {
              // the one opcode that is another instruction without REX.B
              if (e.text === '90+r Zv,rAX' && /another instruction/.test((error as Error).message)) continue;
              throw error;
            }
            const hex = Buffer.from(bytes).toString('hex');
            assert.equal(decoder.decode(bytes, 0, bytes.length, bits, false), 'ok', `${what()}: ${hex}`);
            const { out } = decoder;
            assert.ok(
              out.encoding === e,
              `${what()}: ${hex} decodes as ${out.encoding.instruction.mnemonic} '${out.encoding.text}'`,
            );
            assert.equal(out.length, bytes.length, what());
            if (e.dependsOnOperandSize) assert.equal(out.operandSize, size, what());
            if (options.lock !== undefined) assert.equal(out.lock, options.lock);
            if (e.span === 16) assert.equal(out.opcode & 15, condition[0]);
            let immediates = 0;
            operands.forEach((operand, i) => {
              const immediate =
                e.operands[i].letter === 'I' && immediates++ === 1 ? BigInt(out.immediate2) : out.immediate;
              try {
                sameOperand(operand, e.operands[i], out, immediate);
              } catch (error) {
                throw new Error(`${what()}: ${hex}: operand ${i + 1}: ${(error as Error).message}`, { cause: error });
              }
            });
            // hints: many rows, one name
            if (e.instruction.mnemonic === 'PREFETCH' || e.instruction.mnemonic === 'NOP') continue;
            // text, and back to an instruction that means the same
            const text = disassemble(out, { address: ORIGIN, codeBits: bits });
            const { length } = bytes;
            let again: Uint8Array;
            try {
              again = assemble({ bits, origin: ORIGIN }, text).bytes;
            } catch (error) {
              throw new Error(`${what()}: ${hex}: '${text}': ${(error as Error).message}`);
            }
            assert.equal(decoder.decode(again, 0, again.length, bits, false), 'ok', text);
            assert.equal(
              disassemble(decoder.out, { address: ORIGIN, codeBits: bits }),
              text,
              `${what()}: ${hex}, again ${Buffer.from(again).toString('hex')}`,
            );
            assert.ok(again.length <= length, `'${text}': ${again.length} bytes, it had ${length}`);
            count++;
          }
        }
      }
      assert.ok(count > INSTRUCTION_TABLE.encodings.length);
    });
  }
});

describe('text', () => {
  const decoder = new Decoder(INSTRUCTION_TABLE, FEATURES);
  const text = (hex: string, bits: CodeBits, address?: bigint) => {
    const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
    assert.equal(decoder.decode(bytes, 0, bytes.length, bits, false), 'ok');
    return disassemble(decoder.out, { codeBits: bits, address });
  };
  const CASES: readonly (readonly [string, CodeBits, string])[] = [
    ['4803448b08', 64, 'add rax, qword ptr [rbx+rcx*4+8]'],
    ['4883c0f0', 64, 'add rax, -0x10'],
    ['64488b042528000000', 64, 'mov rax, qword ptr fs:[0x28]'],
    ['f0480fb10f', 64, 'lock cmpxchg qword ptr [rdi], rcx'],
    ['f3a4', 64, 'rep movsb'],
    ['f2ae', 64, 'repne scasb'],
    ['48cf', 64, 'iretq'],
    ['ea5be0000000f0', 32, 'jmp 0xf000:0xe05b'],
    ['ff2d00100000', 32, 'jmp far dword ptr [0x1000]'],
    ['0f20c0', 32, 'mov eax, cr0'],
    ['eb0e', 64, 'jmp $+0x10'],
    ['488d05f9ffffff', 64, 'lea rax, [rip+$+0]'],
    ['67e2fe', 64, 'a32 loop $+1'],
  ];
  for (const [hex, bits, expected] of CASES) test(expected, () => assert.equal(text(hex, bits), expected));
  test('branch targets are absolute where the address is known', () =>
    assert.equal(text('ebfe', 64, 0x1000n), 'jmp 0x1000'));
});
