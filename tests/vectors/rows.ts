/**
 * Encodings from instruction rows: chooses prefixes, registers, addressing forms, displacements and immediates for a
 * row
 * and notes which registers and memory the outcome depends on.
 */
import type { Instruction } from '../../src/isa/instruction.ts';
import { addressTarget, encodeMemory } from './addressing.ts';
import type { Mode } from './case.ts';
import { AF, CF, OF, PF, SF, ZF } from './case.ts';
import type {
  Approximation,
  EncodedInstruction,
  Encoding,
  EncodingRequest,
  EncodingSource,
  RegisterOperand,
} from './encoding.ts';
import { exclusionOf } from './exclusions.ts';
import {
  ADDRESS_SIZED,
  familyOf,
  IMPLICIT_REGISTERS,
  IMPLICITLY_SIZED,
  immediateValue,
  implicitMemory,
  memorySize,
  valuesOf,
} from './implicit.ts';
import type { EncodingRow, OperandCode } from './notation.ts';
import { hasModrm, isSized, isWidened, opcodeNumber, parseRow } from './notation.ts';
import type { Random } from './random.ts';
import { undefinedShiftFlags, undefinedShiftResult } from './shifts.ts';

/** What is used of an instruction definition; `execute` is not. */
export type InstructionRows = Pick<Instruction, 'mnemonic' | 'encodings' | 'undefinedFlags' | 'unit' | 'feature'> & {
  readonly approximate?: Approximation;
};

const PREFIX_OPERAND_SIZE = 0x66;
const PREFIX_ADDRESS_SIZE = 0x67;
const PREFIX_LOCK = 0xf0;
const PREFIX_REPNE = 0xf2;
const PREFIX_REP = 0xf3;
const REX = 0x40;
const REX_W = 8;
const REX_R = 4;
const REX_B = 1;
/** ES CS SS DS: without effect on addresses, in 64-bit mode as in flat compatibility mode. */
const PREFIX_SEGMENTS = [0x26, 0x2e, 0x36, 0x3e];
const PREFIX_FS = 0x64;
const PREFIX_GS = 0x65;

const FLAG_BITS: Record<string, number> = { C: CF, P: PF, A: AF, Z: ZF, S: SF, O: OF };

/** An instruction under construction. */
export class Assembly {
  readonly random: Random;
  readonly request: EncodingRequest;
  readonly row: EncodingRow;
  readonly prefixes: number[] = [];
  rex = 0;
  rexPresent = false;
  operandBits = 32;
  addressBits: 64 | 32 | 16;
  /** Bytes behind the opcode: ModRM, SIB, displacement. */
  operandBytes: number[] = [];
  immediate: number[] = [];
  registers: RegisterOperand[] = [];
  memory?: EncodedInstruction['memory'];
  opcode: number[];

  constructor(row: EncodingRow, random: Random, request: EncodingRequest) {
    this.row = row;
    this.random = random;
    this.request = request;
    this.opcode = [...row.opcode];
    this.addressBits = request.mode;
  }

  get is64(): boolean {
    return this.request.mode === 64;
  }

  /** A register number, extended by a REX bit in 64-bit mode. */
  register(rexBit: number): number {
    const number = this.random.below(this.is64 ? 16 : 8);
    if (number >= 8) this.rex |= rexBit;
    return number;
  }

  /** Length from the first prefix to the last immediate byte. */
  get length(): number {
    return (
      this.prefixes.length +
      (this.hasRex ? 1 : 0) +
      this.opcode.length +
      this.operandBytes.length +
      this.immediate.length
    );
  }

  get hasRex(): boolean {
    return this.rex !== 0 || this.rexPresent;
  }
}

const GENERAL = 'EGRZ';
const XMM = 'VWU';
const MMX = 'PQN';

function fileOf(letter: string): 'gpr' | 'xmm' | 'mmx' | undefined {
  if (GENERAL.includes(letter)) return 'gpr';
  if (XMM.includes(letter)) return 'xmm';
  return MMX.includes(letter) ? 'mmx' : undefined;
}

function chooseSizes(assembly: Assembly): void {
  const { row, random, is64 } = assembly;
  const opcode = opcodeNumber(row);
  const sized = isSized(row) || IMPLICITLY_SIZED.has(opcode);
  const widened = isWidened(row) || IMPLICITLY_SIZED.has(opcode);
  if (row.prefix && row.prefix !== 'NP') assembly.prefixes.push(Number.parseInt(row.prefix, 16));
  if (is64) {
    if (row.rexW === 1 || (row.rexW === undefined && random.below(10) < (widened ? 4 : 1))) assembly.rex |= REX_W;
    assembly.rexPresent = random.oneIn(6);
  }
  // A second meaning of 66 (row.prefix 66) cannot be an operand size; near branches differ between vendors in 64-bit
  // mode.
  const mayShrink = row.prefix !== '66' && row.prefix !== 'NP' && !(row.attributes.has('f64') && is64);
  if (mayShrink && sized && random.below(10) < (row.attributes.has('f64') ? 1 : 3))
    assembly.prefixes.push(PREFIX_OPERAND_SIZE);
  const by64 = row.attributes.has('d64') || row.attributes.has('f64');
  assembly.operandBits =
    assembly.rex & REX_W ? 64 : assembly.prefixes.includes(PREFIX_OPERAND_SIZE) ? 16 : is64 && by64 ? 64 : 32;
}

/** The operand in ModRM.rm or, failing that, in memory only. */
function rmOperand(row: EncodingRow): OperandCode | undefined {
  return row.operands.find((operand) => operand.letter && 'EMRWUQN'.includes(operand.letter));
}

function addRegister(assembly: Assembly, file: RegisterOperand['file'], number: number, operand: OperandCode): void {
  const highByte = file === 'gpr' && operand.width === 'b' && !assembly.hasRex && number >= 4 && number < 8;
  const values = valuesOf(assembly.row, operand, assembly.memory !== undefined);
  assembly.registers.push({ file, number: highByte ? number - 4 : file === 'mmx' ? number & 7 : number, values });
}

function chooseModrm(assembly: Assembly): void {
  const { row, random } = assembly;
  if (row.modrm !== undefined) {
    const free = row.freeRm ? random.below(8) : 0;
    assembly.operandBytes.push(row.modrm + free);
    if (row.freeRm) assembly.registers.push({ file: 'x87', number: free, values: 'extended' });
    return;
  }
  const rm = rmOperand(row);
  const regOperand = row.operands.find(
    (operand) => operand.letter && 'GVPSCD'.includes(operand.letter) && operand !== rm,
  );
  const reg = row.digit ?? (regOperand ? assembly.register(REX_R) : 0);
  const letter = rm?.letter ?? 'E';
  const onlyMemory = letter === 'M' || row.attributes.has('mem');
  const onlyRegister = 'RUN'.includes(letter) || row.attributes.has('reg');
  const inMemory = onlyMemory || (!onlyRegister && random.below(100) < 55);
  if (inMemory) {
    const size = memorySize(row, rm, assembly.operandBits, assembly.is64);
    assembly.memory = encodeMemory(assembly, reg & 7, size, rm ? valuesOf(row, rm, true) : 'integer');
  } else {
    const number = assembly.register(REX_B);
    assembly.operandBytes.push(0xc0 | ((reg & 7) << 3) | (number & 7));
    const file = fileOf(letter);
    if (file && rm) addRegister(assembly, file, number, rm);
  }
  if (regOperand) {
    const file = fileOf(regOperand.letter ?? '');
    if (file) addRegister(assembly, file, reg, regOperand);
  }
}

function littleEndian(value: bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** A branch displacement that does not lead back into the instruction, where it would loop. */
function branchDisplacement(assembly: Assembly, bytes: number): bigint {
  const { random } = assembly;
  for (;;) {
    const near = bytes === 1 ? random.between(-128, 127) : random.between(-1500, 1500);
    const displacement = bytes > 1 && random.oneIn(12) ? BigInt.asIntN(8 * bytes, random.bits64()) : BigInt(near);
    if (displacement >= 0n || displacement < -16n) return displacement;
  }
}

function chooseImmediates(assembly: Assembly): void {
  const { row, operandBits, is64 } = assembly;
  row.operands.forEach((operand, position) => {
    const { letter, width } = operand;
    if (letter === 'I') {
      const bits = width === 'v' ? operandBits : width === 'z' ? Math.min(operandBits, 32) : width === 'w' ? 16 : 8;
      assembly.immediate.push(...littleEndian(immediateValue(row, assembly.random, bits, position), bits / 8));
    } else if (letter === 'J') {
      const bytes = width === 'b' ? 1 : operandBits === 16 && !is64 ? 2 : 4;
      assembly.immediate.push(...littleEndian(branchDisplacement(assembly, bytes), bytes));
    } else if (letter === 'O') {
      const size = width === 'b' ? 1 : operandBits / 8;
      const target = addressTarget(assembly.random, size, false);
      assembly.memory = {
        scale: 1,
        displacement: target,
        addressBits: assembly.addressBits,
        target,
        size,
        values: 'integer',
      };
      assembly.immediate.push(...littleEndian(target, assembly.addressBits / 8));
    }
  });
}

const FIXED_REGISTER: Record<string, number> = { AL: 0, AX: 0, EAX: 0, RAX: 0, rAX: 0, CL: 1, DX: 2 };

function chooseFixedRegisters(assembly: Assembly): void {
  const { row } = assembly;
  for (const operand of row.operands) {
    const number = FIXED_REGISTER[operand.text];
    if (number !== undefined) addRegister(assembly, 'gpr', number, { ...operand, width: 'v' });
  }
  for (const register of IMPLICIT_REGISTERS[opcodeNumber(row)]?.(row) ?? []) assembly.registers.push(register);
}

function choosePrefixes(assembly: Assembly): { repeat: boolean } {
  const { row, random, prefixes, memory } = assembly;
  let repeat = false;
  if (row.attributes.has('rep') && random.below(3) > 0) {
    prefixes.push(random.oneIn(2) ? PREFIX_REP : PREFIX_REPNE);
    repeat = true;
  }
  if (row.attributes.has('lock') && memory && random.oneIn(5)) prefixes.push(PREFIX_LOCK);
  else if (!row.prefix && random.oneIn(200)) prefixes.push(PREFIX_LOCK);
  if (memory?.segment) prefixes.push(memory.segment === 'fs' ? PREFIX_FS : PREFIX_GS);
  else if (random.oneIn(40)) prefixes.push(random.pick(PREFIX_SEGMENTS));
  // The order of legacy prefixes is free.
  for (let i = prefixes.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [prefixes[i], prefixes[j]] = [prefixes[j], prefixes[i]];
  }
  return { repeat };
}

function encodeRow(row: EncodingRow, random: Random, request: EncodingRequest): EncodedInstruction {
  const assembly = new Assembly(row, random, request);
  chooseSizes(assembly);
  if (ADDRESS_SIZED.has(opcodeNumber(row)) && random.oneIn(assembly.is64 ? 6 : 30)) {
    assembly.prefixes.push(PREFIX_ADDRESS_SIZE);
    assembly.addressBits = assembly.is64 ? 32 : 16;
  }
  if (row.freeOpcodeBits === 3) {
    const number = assembly.register(REX_B);
    assembly.opcode[assembly.opcode.length - 1] |= number & 7;
    const operand = row.operands.find(({ letter }) => letter === 'Z');
    if (operand) addRegister(assembly, 'gpr', number, operand);
  } else if (row.freeOpcodeBits === 4) assembly.opcode[assembly.opcode.length - 1] |= random.below(16);
  if (hasModrm(row)) chooseModrm(assembly);
  chooseImmediates(assembly);
  chooseFixedRegisters(assembly);
  assembly.memory ??= implicitMemory(row, random, assembly);
  const { repeat } = choosePrefixes(assembly);
  if (assembly.memory && 'ripRelative' in assembly.memory) fixRipRelative(assembly);
  const bytes = Uint8Array.from([
    ...assembly.prefixes,
    ...(assembly.hasRex ? [REX | assembly.rex] : []),
    ...assembly.opcode,
    ...assembly.operandBytes,
    ...assembly.immediate,
  ]);
  const family = familyOf(row);
  const byteSized = (family === 'string' || family === 'divide') && (opcodeNumber(row) & 1) === 0;
  const operandBits = byteSized ? 8 : assembly.operandBits;
  return { bytes, family, registers: assembly.registers, memory: assembly.memory, operandBits, repeat };
}

/**
 * The displacement counts from the end of the instruction, which is known only now; it is the last of the ModRM bytes.
 */
function fixRipRelative(assembly: Assembly): void {
  const { memory, request, operandBytes } = assembly;
  if (!memory) return;
  memory.displacement = memory.target - (request.rip + BigInt(assembly.length));
  operandBytes.splice(-4, 4, ...littleEndian(memory.displacement, 4));
}

function rowEncoding(instruction: InstructionRows, row: EncodingRow): Encoding {
  const modes: Mode[] = row.attributes.has('no64')
    ? [32]
    : row.attributes.has('only64') || row.rexW === 1
      ? [64]
      : [64, 32];
  let fixedUndefined = 0;
  for (const letter of instruction.undefinedFlags ?? '') fixedUndefined |= FLAG_BITS[letter] ?? 0;
  return {
    name: `${instruction.mnemonic} ${row.text}`,
    modes,
    unit: instruction.unit,
    approximate: instruction.approximate ?? APPROXIMATE[instruction.mnemonic],
    encode: (random, request) => encodeRow(row, random, request),
    undefinedFlags: (encoded, testCase) => undefinedShiftFlags(row, encoded, testCase) ?? fixedUndefined,
    undefinedResult: (encoded, testCase) => undefinedShiftResult(row, encoded, testCase),
  };
}

const APPROXIMATE: Record<string, Approximation> = {
  RCPPS: 'reciprocal',
  RCPSS: 'reciprocal',
  RSQRTPS: 'reciprocal',
  RSQRTSS: 'reciprocal',
  FSIN: 'transcendental',
  FCOS: 'transcendental',
  FSINCOS: 'transcendental',
  FPTAN: 'transcendental',
  FPATAN: 'transcendental',
  F2XM1: 'transcendental',
  FYL2X: 'transcendental',
  FYL2XP1: 'transcendental',
};

/** Encodings of instruction definitions, without those that cannot be run natively; see exclusions.ts. */
export function encodingsOf(instructions: Iterable<InstructionRows>): EncodingSource {
  return {
    *encodings() {
      for (const instruction of instructions) {
        for (const text of instruction.encodings) {
          const row = parseRow(text);
          if (exclusionOf(instruction.mnemonic, row) === undefined) yield rowEncoding(instruction, row);
        }
      }
    },
  };
}
