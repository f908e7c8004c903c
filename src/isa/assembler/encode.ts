/** Fits operands to one row and gives its bytes. */
import { type Encoding, operandBits, type Operand as RowOperand } from '../encoding.ts';
import type { InstructionTable } from '../table.ts';
import { addressSizeOf, type CodeBits, type EncodedAddress, encodeAddress, segmentPrefix } from './memory-operand.ts';
import { type Meaning, memoryBits } from './mnemonics.ts';
import type { Immediate, Memory, Operand, Register, Sum } from './operands.ts';

/** What an instruction may be given besides operands. */
export interface EmitOptions {
  readonly operandSize?: 16 | 32 | 64;
  /** For instructions without a memory operand (strings, LOOP, JrCXZ) and for bare addresses. */
  readonly addressSize?: 16 | 32 | 64;
  /** Segment override of instructions without a memory operand (strings, XLAT). */
  readonly segment?: Register;
  readonly lock?: boolean;
  readonly repeat?: 'rep' | 'repne';
  /** Bytes put in front as they are. */
  readonly prefixes?: readonly number[];
  /** Only the row of this text. */
  readonly row?: string;
}

export interface Request {
  readonly bits: CodeBits;
  /** Address of the instruction's first byte. */
  readonly address: bigint;
  readonly options: EmitOptions;
  value(sum: Sum): bigint;
}

/** Why a row does not take the operands. */
export class Misfit {
  /** Index of the first operand that does not fit; -1 if something else does not. */
  readonly operand: number;
  readonly why: string;
  /** The operand is of the right kind: the better explanation among several. */
  readonly close: boolean;
  constructor(operand: number, why: string, close = true) {
    this.operand = operand;
    this.why = why;
    this.close = close;
  }
  /** Whether this explains more than another row's misfit. */
  betterThan(other: Misfit): boolean {
    return this.operand !== other.operand ? this.operand > other.operand : this.close && !other.close;
  }
}

export interface Fit {
  readonly bytes: Uint8Array;
  /** Width the row gives a memory operand of unspecified width; 0 if there is none. */
  readonly impliedBits: number;
}

const OPERAND_SIZE_PREFIX = 0x66;
const ADDRESS_SIZE_PREFIX = 0x67;
const LOCK_PREFIX = 0xf0;
const REPNE_PREFIX = 0xf2;
const REP_PREFIX = 0xf3;
const REX = 0x40;
const REX_W = 8;
const REX_R = 4;
const REX_X = 2;
const REX_B = 1;
const MOD_REGISTER = 0xc0;

type OperandSize = 16 | 32 | 64;

/** Operand sizes a row can have in this code, the one without prefixes first. */
function operandSizes(encoding: Encoding, bits: CodeBits): readonly OperandSize[] {
  const { attributes, prefix, w } = encoding;
  const fixedPrefix = prefix === '66' || prefix === 'NP';
  if (bits !== 64) return fixedPrefix || !encoding.dependsOnOperandSize ? [bits] : bits === 32 ? [32, 16] : [16, 32];
  if (attributes.f64 || w === 1) return [64];
  if (!encoding.dependsOnOperandSize) return [attributes.d64 ? 64 : 32];
  const sizes: OperandSize[] = attributes.d64 ? [64, 16] : w === 0 ? [32, 16] : [32, 16, 64];
  return fixedPrefix ? sizes.filter((size) => size !== 16) : sizes;
}

/** Tries a row. */
export function fit(
  table: InstructionTable,
  meaning: Meaning,
  operands: readonly Operand[],
  request: Request,
): Fit | Misfit {
  const { encoding } = meaning;
  const { bits, options } = request;
  const { attributes } = encoding;
  if (options.row !== undefined && options.row !== encoding.text)
    return new Misfit(-1, `only '${options.row}' was allowed`);
  if (attributes[bits === 64 ? 'no64' : 'only64']) return new Misfit(-1, `it does not exist in ${bits}-bit code`);
  if (bits !== 64 && encoding.w === 1) return new Misfit(-1, 'it needs REX.W');
  if (operands.length !== encoding.operands.length)
    return new Misfit(-1, `it takes ${encoding.operands.length} operands`);
  if (options.lock && !(attributes.lock && operands[0]?.kind === 'memory')) return new Misfit(-1, 'it takes no LOCK');
  if (options.repeat && !attributes.rep) return new Misfit(-1, 'it takes no REP');
  const wanted = options.operandSize ?? meaning.operandSize;
  const sizes = operandSizes(encoding, bits);
  let best: Misfit = new Misfit(-1, `it has no operand size of ${wanted} bits`);
  for (const size of sizes) {
    if (wanted !== undefined && wanted !== size) continue;
    const result = new RowEncoder(table, meaning, request, size).encode(
      operands,
      wanted !== undefined || size === sizes[0],
    );
    if (!(result instanceof Misfit)) return result;
    if (best.operand < 0 || result.betterThan(best)) best = result;
  }
  return best;
}

/** Whether a value of `size` bits, given signed or unsigned, is what sign-extending its low `encoded` bits gives. */
function fitsExtended(value: bigint, encoded: number, size: number): boolean {
  if (!fitsEither(value, size)) return false;
  const signed = BigInt.asIntN(size, value);
  return BigInt.asIntN(encoded, signed) === signed;
}
function fitsEither(value: bigint, bits: number): boolean {
  return value >= -(1n << BigInt(bits - 1)) && value < 1n << BigInt(bits);
}

const FIXED_REGISTER: Readonly<Record<string, string>> = {
  AL: 'al',
  CL: 'cl',
  AX: 'ax',
  DX: 'dx',
  ES: 'es',
  CS: 'cs',
  SS: 'ss',
  DS: 'ds',
  FS: 'fs',
  GS: 'gs',
  ST0: 'st0',
  XMM0: 'xmm0',
};

/** Which register file an addressing letter takes. */
function fileOf(letter: RowOperand['letter']): Register['file'] | undefined {
  if ('EGRZ'.includes(letter)) return 'general';
  if ('VWU'.includes(letter)) return 'xmm';
  if ('PQN'.includes(letter)) return 'mmx';
  return letter === 'S' ? 'segment' : letter === 'C' ? 'control' : letter === 'D' ? 'debug' : undefined;
}

class RowEncoder {
  private readonly table: InstructionTable;
  private readonly meaning: Meaning;
  private readonly encoding: Encoding;
  private readonly request: Request;
  private readonly size: OperandSize;
  private readonly bits: CodeBits;
  private rex = 0;
  private rexNeeded = false;
  private rexForbidden = false;
  /** Some operand decides the operand size. */
  private pinned = false;
  private impliedBits = 0;
  private reg = 0;
  private rm = 0;
  private opcodeLow = 0;
  private addressSize: CodeBits;
  private segment: Register | undefined;
  private address: EncodedAddress | undefined;
  /** Width in bytes of a direct offset. */
  private directOffset: bigint | undefined;
  /** Bytes after ModRM, SIB and displacement. */
  private readonly immediates: { value: bigint; bytes: number }[] = [];
  private branch: { target: bigint; bytes: number } | undefined;

  constructor(table: InstructionTable, meaning: Meaning, request: Request, size: OperandSize) {
    this.table = table;
    this.meaning = meaning;
    this.encoding = meaning.encoding;
    this.request = request;
    this.bits = request.bits;
    this.size = size;
    this.addressSize = request.options.addressSize ?? meaning.addressSize ?? request.bits;
    this.segment = request.options.segment;
  }

  encode(operands: readonly Operand[], sizeAllowed: boolean): Fit | Misfit {
    const { encoding } = this;
    for (let i = 0; i < operands.length; i++) {
      const why = this.take(encoding.operands[i], operands[i]);
      if (why !== undefined) return new Misfit(i, why, !why.endsWith('needed'));
    }
    if (!sizeAllowed && !this.pinned) return new Misfit(-1, 'nothing says the operand size');
    if (encoding.span === 16) {
      const { condition } = this.meaning;
      if (condition === undefined) return new Misfit(-1, 'it needs a condition');
      this.opcodeLow = condition;
    }
    if (this.size === 64 && this.bits === 64 && !encoding.attributes.f64 && !encoding.attributes.d64) this.rex |= REX_W;
    if (encoding.w === 1) this.rex |= REX_W;
    if (this.rex || this.rexNeeded) {
      const last = operands.length - 1;
      if (this.bits !== 64) return new Misfit(last, 'it needs a REX prefix');
      if (this.rexForbidden) return new Misfit(last, 'AH, CH, DH and BH do not go with a REX prefix');
    }
    const opcode = encoding.opcode + this.opcodeLow;
    if (!(this.rex & REX_B) && !encoding.attributes.norexb) {
      const hidden = this.table
        .rows(encoding.map, opcode)
        .some((row) => row.attributes.norexb && row.prefix === encoding.prefix);
      if (hidden) return new Misfit(0, 'without REX.B this opcode is another instruction');
    }
    return this.bytes(opcode);
  }

  // ---- operands; each gives a reason if it does not fit

  private take(row: RowOperand, operand: Operand): string | undefined {
    switch (row.letter) {
      case 'fixed':
        return this.takeFixed(row, operand);
      case 'I':
        return operand.kind === 'immediate' ? this.takeImmediate(row, operand) : 'an immediate is needed';
      case 'J':
        return operand.kind === 'immediate' ? this.takeBranch(row, operand) : 'a branch target is needed';
      case 'A': {
        if (operand.kind !== 'far') return 'a far pointer is needed';
        const offset = this.request.value(operand.offset);
        if (offset < 0n || offset >> BigInt(this.size)) return `the offset does not fit into ${this.size} bits`;
        this.immediates.push(
          { value: offset, bytes: this.size / 8 },
          { value: this.request.value(operand.selector), bytes: 2 },
        );
        return undefined;
      }
      case 'O':
        return operand.kind === 'memory' ? this.takeDirectOffset(row, operand) : 'a memory operand is needed';
      default:
        if (operand.kind === 'register') return this.takeRegister(row, operand);
        return operand.kind === 'memory' ? this.takeMemory(row, operand) : 'a register or memory operand is needed';
    }
  }

  private pin(row: RowOperand): void {
    if (['v', 'z', 'y', 'p'].includes(row.width)) this.pinned = true;
  }

  private takeFixed(row: RowOperand, operand: Operand): string | undefined {
    if (row.text === '1') {
      const one =
        operand.kind === 'immediate' && operand.bits === undefined && this.request.value(operand.value) === 1n;
      return one ? undefined : 'only 1 fits';
    }
    if (operand.kind !== 'register') return `only ${row.text} fits`;
    if (row.text === 'STi') {
      if (operand.file !== 'x87') return 'an x87 register is needed';
      this.rm = operand.number;
      return undefined;
    }
    if (row.text === 'rAX') {
      if (operand.file !== 'general' || operand.number !== 0 || operand.bits !== this.size)
        return `only rAX of ${this.size} bits fits`;
      this.pinned = true;
      return undefined;
    }
    return FIXED_REGISTER[row.text] === operand.name ? undefined : `only ${row.text} fits`;
  }

  private takeRegister(row: RowOperand, operand: Register): string | undefined {
    const file = fileOf(row.letter);
    if (file === undefined) return 'a memory operand is needed';
    if (operand.file !== file) return `a ${file} register is needed`;
    if (row.letter !== 'G' && 'EWQ'.includes(row.letter) && this.encoding.form === 'memory')
      return 'a memory operand is needed';
    if (file === 'general') {
      // MOV to and from control and debug registers takes the width of the code
      const expected =
        row.letter === 'R' && row.width === 'q' && this.bits !== 64 && this.encoding.w === undefined
          ? 32
          : operandBits(row, this.size);
      if (operand.bits !== expected) return `a register of ${expected} bits is needed`;
      this.pin(row);
    }
    if (operand.number > 7 && this.bits !== 64) return `${operand.name} exists in 64-bit code only`;
    if (operand.high) this.rexForbidden = true;
    if (operand.rex) this.rexNeeded = true;
    const extended = operand.number > 7;
    if ('GVPSCD'.includes(row.letter)) {
      this.reg = operand.number & 7;
      if (extended) this.rex |= REX_R;
    } else if (row.letter === 'Z') {
      this.opcodeLow = operand.number & 7;
      if (extended) this.rex |= REX_B;
    } else {
      this.rm = operand.number & 7;
      if (extended) this.rex |= REX_B;
    }
    return undefined;
  }

  private checkMemoryWidth(row: RowOperand, operand: Memory): string | undefined {
    const farTransfer = row.width === 'p' && this.encoding.operands.length === 1;
    if ((operand.far ?? false) !== farTransfer)
      return farTransfer ? 'a far pointer is needed' : 'a far pointer does not fit';
    const width = memoryBits(this.encoding, row, this.size);
    if (operand.size === undefined || operand.size === 0) this.impliedBits = width;
    else if (width !== 0 && operand.size !== width) return `a memory operand of ${width} bits is needed`;
    else this.pin(row);
    return undefined;
  }

  private takeMemory(row: RowOperand, operand: Memory): string | undefined {
    if (!'EMWQ'.includes(row.letter) || this.encoding.form === 'register') return 'a register is needed';
    const why = this.checkMemoryWidth(row, operand);
    if (why !== undefined) return why;
    const address = encodeAddress(operand, this.bits, this.request.options.addressSize, (sum) =>
      this.request.value(sum),
    );
    if (typeof address === 'string') return address;
    this.address = address;
    this.addressSize = address.addressSize;
    if (address.rexX) this.rex |= REX_X;
    if (address.rexB) this.rex |= REX_B;
    if (operand.segment && operand.segment.name !== address.defaultSegment) this.segment = operand.segment;
    return undefined;
  }

  private takeDirectOffset(row: RowOperand, operand: Memory): string | undefined {
    if (operand.base || operand.index) return 'an address without registers is needed';
    const why = this.checkMemoryWidth(row, operand);
    if (why !== undefined) return why;
    const size = addressSizeOf(operand, this.bits, this.request.options.addressSize);
    if (typeof size === 'string') return size;
    if (operand.displacementBits !== undefined && operand.displacementBits !== size)
      return `the offset has ${size} bits`;
    this.directOffset = this.request.value(operand.displacement);
    if (this.directOffset < 0n || this.directOffset >> BigInt(size)) return `the offset does not fit into ${size} bits`;
    this.addressSize = size;
    if (operand.segment && operand.segment.name !== 'ds') this.segment = operand.segment;
    return undefined;
  }

  private takeImmediate(row: RowOperand, operand: Immediate): string | undefined {
    const value = this.request.value(operand.value);
    const bits =
      row.width === 'b' || row.width === 'bs'
        ? 8
        : row.width === 'w'
          ? 16
          : row.width === 'z'
            ? Math.min(this.size, 32)
            : operandBits(row, this.size);
    if (operand.bits !== undefined && operand.bits !== bits) return `the row has an immediate of ${bits} bits`;
    const fits =
      row.width === 'bs' || row.width === 'z' ? fitsExtended(value, bits, this.size) : fitsEither(value, bits);
    if (!fits) return `${value} does not fit into ${bits} bits`;
    this.immediates.push({ value, bytes: bits / 8 });
    return undefined;
  }

  private takeBranch(row: RowOperand, operand: Immediate): string | undefined {
    const bytes = row.width === 'b' ? 1 : this.size === 16 ? 2 : 4;
    if (operand.bits !== undefined && operand.bits !== 8 * bytes)
      return `the row has a displacement of ${8 * bytes} bits`;
    this.branch = { target: this.request.value(operand.value), bytes };
    return undefined;
  }

  // ---- bytes

  private bytes(opcode: number): Fit | Misfit {
    const { encoding, bits, size, address } = this;
    const { options } = this.request;
    const out: number[] = [...(options.prefixes ?? [])];
    if (this.segment) out.push(segmentPrefix(this.segment));
    if (this.addressSize !== bits) out.push(ADDRESS_SIZE_PREFIX);
    if (options.lock) out.push(LOCK_PREFIX);
    if (options.repeat) out.push(options.repeat === 'rep' ? REP_PREFIX : REPNE_PREFIX);
    const sized = encoding.dependsOnOperandSize && encoding.prefix !== '66';
    if (encoding.prefix === '66' || (sized && (bits === 16 ? size === 32 : size === 16))) out.push(OPERAND_SIZE_PREFIX);
    if (encoding.prefix === 'F2') out.push(REPNE_PREFIX);
    if (encoding.prefix === 'F3') out.push(REP_PREFIX);
    if (this.rex || this.rexNeeded) out.push(REX | this.rex);
    if (encoding.map > 0) out.push(0x0f);
    if (encoding.map > 1) out.push(encoding.map === 2 ? 0x38 : 0x3a);
    out.push(opcode);
    if (encoding.modrm !== undefined) out.push(encoding.modrm + this.rm);
    else if (encoding.hasModrm) {
      const reg = (encoding.digit ?? this.reg) << 3;
      if (!address) out.push(MOD_REGISTER | reg | this.rm);
      else {
        out.push(address.modrm | reg);
        if (address.sib !== undefined) out.push(address.sib);
      }
    }
    const rest = this.immediates.reduce((sum, { bytes }) => sum + bytes, 0) + (this.branch?.bytes ?? 0);
    if (address && address.displacementBytes > 0) {
      let { displacement } = address;
      if (address.relative) {
        displacement -= this.request.address + BigInt(out.length + address.displacementBytes + rest);
        if (address.addressSize === 32) displacement = BigInt.asIntN(32, displacement);
        if (BigInt.asIntN(32, displacement) !== displacement) return new Misfit(0, 'the target is too far away');
      }
      append(out, displacement, address.displacementBytes);
    }
    if (this.directOffset !== undefined) append(out, this.directOffset, this.addressSize / 8);
    for (const { value, bytes } of this.immediates) append(out, value, bytes);
    if (this.branch) {
      const { target, bytes } = this.branch;
      let distance = target - (this.request.address + BigInt(out.length + bytes));
      if (size !== 64) distance = BigInt.asIntN(size, distance);
      if (BigInt.asIntN(8 * bytes, distance) !== distance) return new Misfit(0, `the target is ${distance} bytes away`);
      append(out, distance, bytes);
    }
    return { bytes: Uint8Array.from(out), impliedBits: this.impliedBits };
  }
}

/** Appends a value's low bytes, least significant first. */
export function append(out: number[], value: bigint, bytes: number): void {
  for (let i = 0; i < bytes; i++) out.push(Number((value >> BigInt(8 * i)) & 0xffn));
}
