import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { INSTRUCTION_TABLE, INSTRUCTIONS } from '../../isa/index.ts';
import type { Feature } from '../../isa/instruction.ts';
import { DS, FS, SS } from '../context.ts';
import { formsOf } from '../interpreter/handlers.ts';
import { type CodeBits, type Decoded, Decoder, NO_REGISTER, RIP_RELATIVE } from './decoder.ts';

const FEATURES = new Set<Feature>(INSTRUCTIONS.flatMap(({ feature }) => feature ?? []));
const decoder = new Decoder(INSTRUCTION_TABLE, FEATURES);

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.split(' '), (digits) => Number.parseInt(digits, 16));

function decode(hex: string, mode: CodeBits, realOrV86 = false): string {
  const bytes = bytesOf(hex);
  return decoder.decode(bytes, 0, bytes.length, mode, realOrV86);
}

/** Bytes that are exactly one instruction, and some of what they decode to. */
type Expectation = [mode: CodeBits, hex: string, mnemonic: string, fields?: Partial<Decoded>];

const WHOLE: Expectation[] = [
  // operand sizes
  [64, '01 d8', 'ADD', { operandSize: 32, form: 'register', reg: 3, rm: 0 }],
  [64, '66 01 d8', 'ADD', { operandSize: 16 }],
  [64, '48 01 d8', 'ADD', { operandSize: 64 }],
  [64, '66 48 01 d8', 'ADD', { operandSize: 64 }],
  [32, '66 01 d8', 'ADD', { operandSize: 16 }],
  [16, '01 d8', 'ADD', { operandSize: 16 }],
  [16, '66 01 d8', 'ADD', { operandSize: 32 }],
  [64, '50', 'PUSH', { operandSize: 64, opcodeRegister: 0 }],
  [64, '66 41 57', 'PUSH', { operandSize: 16, opcodeRegister: 15 }],
  [64, 'e8 00 00 00 00', 'CALL', { operandSize: 64 }],
  [64, '66 e8 fb ff ff ff', 'CALL', { operandSize: 64, immediate: -5n }],
  [32, '66 e8 fb ff', 'CALL', { operandSize: 16, immediate: -5n }],
  // immediates
  [64, '48 b8 88 77 66 55 44 33 22 91', 'MOV', { immediate: BigInt.asIntN(64, 0x9122334455667788n) }],
  [64, '48 c7 c0 ff ff ff ff', 'MOV', { immediate: -1n }],
  [64, '83 c0 80', 'ADD', { immediate: -128n }],
  [64, '04 80', 'ADD', { immediate: 0x80n }],
  [32, '66 05 34 82', 'ADD', { immediate: -0x7dccn }],
  [64, 'c8 34 92 1f', 'ENTER', { immediate: 0x9234n, immediate2: 0x1f }],
  [32, '9a 78 56 34 92 cd ab', 'CALL', { immediate: 0x92345678n, immediate2: 0xabcd }],
  [16, 'ea 34 92 cd ab', 'JMP', { immediate: 0x9234n, immediate2: 0xabcd }],
  [64, 'c2 fe ff', 'RET', { immediate: 0xfffen }],
  // memory operands: 32- and 64-bit
  [
    64,
    '8b 04 25 78 56 34 12',
    'MOV',
    { base: NO_REGISTER, index: NO_REGISTER, displacement: 0x12345678n, segment: DS },
  ],
  [64, '8b 05 f8 ff ff ff', 'MOV', { base: RIP_RELATIVE, displacement: -8n }],
  [32, '8b 05 f8 ff ff ff', 'MOV', { base: NO_REGISTER, displacement: -8n }],
  [64, '67 8b 05 f8 ff ff ff', 'MOV', { base: RIP_RELATIVE, addressSize: 32 }],
  [64, '43 8b 44 ee f0', 'MOV', { base: 14, index: 13, scale: 3, displacement: -16n, segment: DS }],
  [64, '42 8b 04 20', 'MOV', { base: 0, index: 12, scale: 0 }],
  [64, '8b 04 20', 'MOV', { base: 0, index: NO_REGISTER }],
  [64, '8b 44 24 08', 'MOV', { base: 4, index: NO_REGISTER, segment: SS }],
  [64, '8b 45 00', 'MOV', { base: 5, segment: SS }],
  [64, '41 8b 45 00', 'MOV', { base: 13, segment: DS }],
  [64, '41 8b 04 24', 'MOV', { base: 12, segment: DS }],
  [64, '8b 04 ad 10 00 00 00', 'MOV', { base: NO_REGISTER, index: 5, scale: 2, segment: DS }],
  [64, '64 8b 45 00', 'MOV', { segment: FS }],
  [64, '36 8b 00', 'MOV', { segment: DS }],
  [32, '36 8b 00', 'MOV', { segment: SS }],
  [64, '64 2e 8b 00', 'MOV', { segment: FS }],
  // memory operands: 16-bit
  [16, '8b 40 05', 'MOV', { base: 3, index: 6, displacement: 5n, segment: DS }],
  [16, '8b 42 05', 'MOV', { base: 5, index: 6, segment: SS }],
  [16, '8b 06 34 92', 'MOV', { base: NO_REGISTER, index: NO_REGISTER, displacement: -0x6dccn, segment: DS }],
  [16, '8b 86 00 01', 'MOV', { base: 5, index: NO_REGISTER, displacement: 0x100n, segment: SS }],
  [32, '67 8b 47 fe', 'MOV', { base: 3, index: NO_REGISTER, displacement: -2n, addressSize: 16 }],
  // direct offsets
  [64, 'a0 88 77 66 55 44 33 22 91', 'MOV', { displacement: 0x9122334455667788n, form: 'memory' }],
  [64, '67 a1 44 33 22 91', 'MOV', { displacement: 0x91223344n }],
  [32, 'a3 44 33 22 91', 'MOV', { displacement: 0x91223344n }],
  [16, 'a3 22 91', 'MOV', { displacement: 0x9122n }],
  // prefixes
  [64, 'f0 48 ff 00', 'INC', { lock: true }],
  [64, '48 66 01 d8', 'ADD', { operandSize: 16, rex: false }],
  [64, '48 40 01 d8', 'ADD', { operandSize: 32, rex: true }],
  [64, 'f3 a4', 'MOVSB', { repeat: 'rep' }],
  [64, 'f2 f3 a6', 'CMPSB', { repeat: 'rep' }],
  [64, 'f3 f2 a6', 'CMPSB', { repeat: 'repne' }],
  [64, 'f3 c3', 'RET', { repeat: 'none' }],
  [64, '90', 'NOP'],
  [64, '41 90', 'XCHG', { opcodeRegister: 8 }],
  [64, 'f3 90', 'PAUSE'],
  [64, 'f3 0f b8 c1', 'POPCNT'],
  [64, '66 f2 48 0f 38 f1 c1', 'CRC32', { operandSize: 64 }],
  [64, 'f3 0f 1e fa', 'NOP'],
  [64, '66 2e 0f 1f 84 00 00 00 00 00', 'NOP'],
  // what the mode decides
  [64, '63 c8', 'MOVSXD'],
  [32, '63 c8', 'ARPL'],
  [32, '40', 'INC'],
  [32, '62 00', 'BOUND'],
  [32, 'd5 0a', 'AAD'],
  [64, '0f 20 40', 'MOV', { form: 'register', reg: 0, rm: 0 }],
  [64, '44 0f 22 c0', 'MOV', { reg: 8 }],
  // ModRM as opcode
  [64, '0f 01 f8', 'SWAPGS'],
  [64, '0f 01 38', 'INVLPG'],
  [64, '0f 01 d0', 'XGETBV'],
  [64, '0f ae e8', 'LFENCE'],
  [64, '0f ae f0', 'MFENCE'],
  [64, '0f ae 38', 'CLFLUSH'],
  [64, '66 0f ae 38', 'CLFLUSHOPT'],
  [64, 'f3 48 0f ae c0', 'RDFSBASE'],
  // the longest
  [64, '66 66 66 66 66 66 66 66 66 66 66 66 66 01 d8', 'ADD', { length: 15 }],
  [64, '64 f0 67 48 81 84 00 00 00 00 00 00 00 00 00', 'ADD', { length: 15 }],
];

describe('instructions', () => {
  for (const [mode, hex, mnemonic, fields] of WHOLE) {
    test(`${mode}-bit ${hex} is ${mnemonic}`, () => {
      const bytes = bytesOf(hex);
      assert.equal(decode(hex, mode), 'ok');
      const { out } = decoder;
      assert.equal(out.encoding.instruction.mnemonic, mnemonic);
      assert.equal(out.length, bytes.length);
      for (const [name, value] of Object.entries(fields ?? {})) assert.equal(out[name as keyof Decoded], value, name);
    });
  }

  test('every beginning of one is short', () => {
    for (const [mode, hex] of WHOLE) {
      const bytes = bytesOf(hex);
      for (let end = 0; end < bytes.length; end++) {
        assert.equal(decoder.decode(bytes, 0, end, mode, false), 'short', `${mode}-bit ${hex} up to ${end}`);
      }
    }
  });
});

describe('undefined instructions', () => {
  const CASES: [mode: CodeBits, hex: string, why: string][] = [
    [64, '06', 'PUSH ES in 64-bit mode'],
    [64, '27', 'DAA in 64-bit mode'],
    [64, '9a 00 00 00 00 00 00', 'far CALL in 64-bit mode'],
    [64, 'ea 00 00 00 00 00 00', 'far JMP in 64-bit mode'],
    [32, '0f 01 f8', 'SWAPGS outside 64-bit mode'],
    [32, 'f3 0f ae c0', 'RDFSBASE outside 64-bit mode'],
    [64, 'f0 01 d8', 'LOCK with a register destination'],
    [64, 'f0 8b 00', 'LOCK with an instruction that cannot'],
    [64, 'f0 90', 'LOCK NOP'],
    [64, 'f0 39 00', 'LOCK CMP'],
    [64, '8d c0', 'LEA of a register'],
    [64, '0f c7 c8', 'CMPXCHG8B of a register'],
    [64, 'fe f0', 'group 4 /6'],
    [64, 'ff f8', 'group 5 /7'],
    [64, 'ff d8', 'far CALL through a register'],
    [64, '8f c8', 'group 1A /1'],
  ];
  for (const [mode, hex, why] of CASES) {
    test(`${mode}-bit ${hex}: ${why}`, () => assert.equal(decode(hex, mode), 'undefined'));
  }

  test('what needs protected mode is undefined in real-address mode', () => {
    assert.equal(decode('0f 00 d8', 16), 'ok');
    assert.equal(decode('0f 00 d8', 16, true), 'undefined');
    assert.equal(decode('63 c8', 16, true), 'undefined');
  });

  test('a feature the processor lacks', () => {
    const plain = new Decoder(INSTRUCTION_TABLE, new Set());
    const bytes = bytesOf('f3 0f b8 c1');
    assert.equal(plain.decode(bytes, 0, bytes.length, 64, false), 'undefined');
  });
});

describe('length limit', () => {
  const prefixed = (prefixes: number) => `${'66 '.repeat(prefixes)}01 d8`;
  test('15 bytes are an instruction, 16 are too long', () => {
    assert.equal(decode(prefixed(13), 64), 'ok');
    assert.equal(decode(prefixed(14), 64), 'too-long');
    assert.equal(decode('66 '.repeat(16).trim(), 64), 'too-long');
  });
  test('more bytes are asked for before a length is judged', () => {
    assert.equal(decode('66 '.repeat(14).trim(), 64), 'short');
  });
});

describe('any bytes', () => {
  /** xorshift32: the same bytes in every run. */
  function* randomBytes(): Generator<number, never> {
    let x = 0x2545_f491;
    for (;;) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      yield x & 0xff;
    }
  }
  const PREFIXES = [0x66, 0xf2, 0xf3, 0x67, 0x48, 0x41];
  const COUNT = 30_000;

  test('decode to a form that has a handler', () => {
    const source = randomBytes();
    const next = () => source.next().value;
    const known = new Map<string, boolean>();
    let decoded = 0;
    for (let i = 0; i < COUNT; i++) {
      const bytes = Uint8Array.from({ length: 15 }, next);
      let at = 0;
      while (next() < 100 && at < 3) bytes[at++] = PREFIXES[next() % PREFIXES.length];
      const map = next() & 3;
      if (map > 0) bytes[at++] = 0x0f;
      if (map > 1) bytes[at++] = map === 2 ? 0x38 : 0x3a;
      const mode = ([16, 32, 64] as const)[next() % 3];
      if (decoder.decode(bytes, 0, bytes.length, mode, false) !== 'ok') continue;
      decoded++;
      const { out } = decoder;
      const { encoding } = out;
      const wanted = {
        operandSize: encoding.dependsOnOperandSize ? out.operandSize : 32,
        addressSize: encoding.attributes.as ? out.addressSize : mode === 64 ? 64 : 32,
        memory: out.form === 'memory',
        repeat: out.repeat,
      };
      const key = `${encoding.id} ${mode === 64} ${JSON.stringify(wanted)}`;
      let found = known.get(key);
      if (found === undefined) {
        found = formsOf(encoding, mode === 64).some(
          (form) =>
            form.operandSize === wanted.operandSize &&
            form.addressSize === wanted.addressSize &&
            form.memory === wanted.memory &&
            form.repeat === wanted.repeat,
        );
        known.set(key, found);
      }
      assert.ok(found, `${mode}-bit ${Array.from(bytes, (b) => b.toString(16)).join(' ')}: ${encoding.text}, ${key}`);
    }
    assert.ok(decoded > COUNT / 4);
  });
});
