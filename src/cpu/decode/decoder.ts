/** Decodes one instruction by the rows of src/isa (SDM vol. 2 chapter 2: prefixes, ModRM, SIB, displacement, immediates). */
import type { Encoding, Operand } from '../../isa/encoding.ts';
import type { Feature } from '../../isa/instruction.ts';
import type { InstructionTable } from '../../isa/table.ts';
import { DS, SS } from '../context.ts';

/** Longest instruction (SDM vol. 2 2.3.11); a longer one is #GP(0). */
export const MAX_INSTRUCTION_LENGTH = 15;

export type DecodeResult =
  | 'ok'
  /** #UD. */
  | 'undefined'
  /** More than 15 bytes: #GP(0). */
  | 'too-long'
  /** The bytes given end before the instruction does. */
  | 'short';

/** Code segment size in bits. */
export type CodeBits = 16 | 32 | 64;

export const NO_REGISTER = -1;
/** `base` value for RIP-relative addressing. */
export const RIP_RELATIVE = -2;

/** A decoded instruction; one object is filled again and again. */
export class Decoded {
  encoding!: Encoding;
  length = 0;
  operandSize: 16 | 32 | 64 = 32;
  addressSize: 16 | 32 | 64 = 32;
  form: 'register' | 'memory' | 'none' = 'none';
  opcode = 0;
  modrm = 0;
  /** reg field with REX.R, rm field with REX.B (register form), low opcode bits with REX.B. */
  reg = 0;
  rm = 0;
  opcodeRegister = 0;
  base = NO_REGISTER;
  index = NO_REGISTER;
  scale = 0;
  /** Halves of the displacement, sign-extended, or of the offset of an `O` operand, zero-extended. Signed numbers. */
  displacementLow = 0;
  displacementHigh = 0;
  /** Segment of the memory operand after defaults and override. */
  segment = DS;
  segmentOverridden = false;
  rex = false;
  lock = false;
  repeat: 'none' | 'rep' | 'repne' = 'none';
  /** Halves of the first immediate, sign- or zero-extended to 64 bits. Signed numbers. */
  immediateLow = 0;
  immediateHigh = 0;
  /** The second one, of 16 bits at most. */
  immediate2 = 0;

  /** The displacement as a signed number, the offset of an `O` operand as an unsigned one. */
  get displacement(): bigint {
    const value = join(this.displacementLow, this.displacementHigh);
    return this.hasOffset ? BigInt.asUintN(64, value) : value;
  }
  get immediate(): bigint {
    return join(this.immediateLow, this.immediateHigh);
  }
  private get hasOffset(): boolean {
    return this.encoding.operands.some(({ letter }) => letter === 'O');
  }
}

/** A signed number from its halves. */
const join = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low >>> 0);

const REX_W = 8;
const REX_R = 4;
const REX_X = 2;
const REX_B = 1;

/** Operand of the ModRM rm field. */
export function isRmOperand(operand: Operand): boolean {
  return 'EMRWUQN'.includes(operand.letter);
}

export class Decoder {
  private readonly table: InstructionTable;
  private readonly features: ReadonlySet<Feature>;
  private bytes!: Uint8Array;
  private at = 0;
  private end = 0;
  private overrun = false;
  private ripRelativeAllowed = false;
  out = new Decoded();

  /** Hands the last result over: the next one goes into a fresh object. */
  take(): Decoded {
    const taken = this.out;
    this.out = new Decoded();
    return taken;
  }

  constructor(table: InstructionTable, features: ReadonlySet<Feature>) {
    this.table = table;
    this.features = features;
  }

  private next(): number {
    if (this.at >= this.end) {
      this.overrun = true;
      return 0;
    }
    return this.bytes[this.at++];
  }
  private signed8(): number {
    return (this.next() << 24) >> 24;
  }
  private signed16(): number {
    return ((this.next() | (this.next() << 8)) << 16) >> 16;
  }
  private signed32(): number {
    return this.next() | (this.next() << 8) | (this.next() << 16) | (this.next() << 24);
  }

  private unsigned(size: number): number {
    return size === 2 ? this.signed16() & 0xffff : this.signed32();
  }

  /**
   * Decodes at `bytes[start]`, looking no further than `end`. The result is in `out`; `realOrV86` rejects the rows marked
   * `prot`. A `short` result may become any other once more bytes are given.
   */
  decode(bytes: Uint8Array, start: number, end: number, codeBits: CodeBits, realOrV86: boolean): DecodeResult {
    const limit = start + MAX_INSTRUCTION_LENGTH;
    this.bytes = bytes;
    this.at = start;
    this.end = Math.min(end, limit);
    this.overrun = false;
    this.ripRelativeAllowed = codeBits === 64;
    const result = this.decodeInto(this.out, start, codeBits, realOrV86);
    if (this.overrun) return end < limit ? 'short' : 'too-long';
    return result;
  }

  private decodeInto(out: Decoded, start: number, codeBits: CodeBits, realOrV86: boolean): DecodeResult {
    let operandPrefix = false;
    let addressPrefix = false;
    let segment = NO_REGISTER;
    let rep = 0;
    let rex = 0;
    let opcode: number;
    out.lock = false;
    prefixes: for (;;) {
      opcode = this.next();
      if (this.overrun) return 'short';
      switch (opcode) {
        case 0x66:
          operandPrefix = true;
          break;
        case 0x67:
          addressPrefix = true;
          break;
        case 0xf0:
          out.lock = true;
          break;
        case 0xf2:
        case 0xf3:
          rep = opcode;
          break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
          if (codeBits !== 64) segment = (opcode >> 3) & 3;
          break;
        case 0x64:
        case 0x65:
          segment = opcode & 7;
          break;
        default:
          if (codeBits === 64 && (opcode & 0xf0) === 0x40) {
            rex = opcode;
            continue prefixes;
          }
          break prefixes;
      }
      rex = 0; // a REX prefix counts only right before the opcode
    }
    let map = 0;
    if (opcode === 0x0f) {
      opcode = this.next();
      map = 1;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        opcode = this.next();
      }
    }
    if (this.overrun) return 'short';
    const rows = this.table.rows(map, opcode);
    if (rows.length === 0) return 'undefined';
    let modrm = -1;
    for (let i = 0; i < rows.length; i++) {
      if (rows[i].hasModrm) {
        modrm = this.next();
        if (this.overrun) return 'short';
        break;
      }
    }
    const registerForm = modrm >= 0xc0 || (modrm >= 0 && rows[0].ignoresMod);
    const encoding = this.match(rows, modrm, registerForm, operandPrefix, rep, rex, codeBits, realOrV86);
    out.opcode = opcode;
    out.modrm = modrm < 0 ? 0 : modrm;
    out.rex = rex !== 0;
    out.addressSize = codeBits === 64 ? (addressPrefix ? 32 : 64) : (codeBits === 32) !== addressPrefix ? 32 : 16;
    if (!encoding) {
      if (modrm >= 0 && !registerForm) this.memoryOperand(out, modrm, rex);
      return 'undefined';
    }
    const attributes = encoding.attributes;
    out.encoding = encoding;
    const mandatory66 = encoding.prefix === '66';
    const operand16 = operandPrefix && !mandatory66;
    if (codeBits === 64) {
      out.operandSize = rex & REX_W ? 64 : attributes.f64 ? 64 : operand16 ? 16 : attributes.d64 ? 64 : 32;
    } else {
      out.operandSize = (codeBits === 32) !== operand16 ? 32 : 16;
    }
    out.repeat = attributes.rep ? (rep === 0xf3 ? 'rep' : rep === 0xf2 ? 'repne' : 'none') : 'none';
    out.opcodeRegister = (opcode & 7) | (rex & REX_B ? 8 : 0);
    out.segment = DS;
    out.segmentOverridden = segment !== NO_REGISTER;
    out.displacementLow = 0;
    out.displacementHigh = 0;
    out.base = NO_REGISTER;
    out.index = NO_REGISTER;
    out.scale = 0;
    out.form = 'none';
    if (modrm >= 0) {
      out.reg = ((modrm >> 3) & 7) | (rex & REX_R ? 8 : 0);
      if (registerForm) {
        out.form = 'register';
        out.rm = (modrm & 7) | (rex & REX_B ? 8 : 0);
      } else {
        this.memoryOperand(out, modrm, rex);
      }
    }
    out.immediateLow = 0;
    out.immediateHigh = 0;
    out.immediate2 = 0;
    let immediates = 0;
    const { operands } = encoding;
    for (let i = 0; i < operands.length; i++) {
      const operand = operands[i];
      if (operand.letter === 'I' || operand.letter === 'J') {
        if (immediates++ === 0) this.firstImmediate(out, operand);
        else out.immediate2 = this.immediateOperand(operand, out.operandSize);
      } else if (operand.letter === 'O') {
        out.displacementLow = this.unsigned(Math.min(4, out.addressSize / 8));
        if (out.addressSize === 64) out.displacementHigh = this.signed32();
        out.form = 'memory';
      } else if (operand.letter === 'A') {
        out.immediateLow = this.unsigned(out.operandSize / 8);
        out.immediate2 = this.signed16() & 0xffff;
      }
    }
    if (out.segmentOverridden) out.segment = segment;
    out.length = this.at - start;
    if (out.lock && !(attributes.lock && out.form === 'memory')) return 'undefined';
    return 'ok';
  }

  private firstImmediate(out: Decoded, operand: Operand): void {
    const low = this.immediateOperand(operand, out.operandSize);
    out.immediateLow = low;
    out.immediateHigh = operand.width === 'v' && out.operandSize === 64 ? this.signed32() : low >> 31;
  }

  /** An immediate, or the low half of one of 64 bits. */
  private immediateOperand(operand: Operand, operandSize: 16 | 32 | 64): number {
    switch (operand.width) {
      case 'b':
        return operand.letter === 'J' ? this.signed8() : this.next();
      case 'bs':
        return this.signed8();
      case 'w':
        return this.signed16() & 0xffff;
      default:
        return operandSize === 16 ? this.signed16() : this.signed32();
    }
  }

  private match(
    rows: readonly Encoding[],
    modrm: number,
    registerForm: boolean,
    operandPrefix: boolean,
    rep: number,
    rex: number,
    codeBits: CodeBits,
    realOrV86: boolean,
  ): Encoding | undefined {
    for (let i = 0; i < rows.length; i++) {
      const e = rows[i];
      if (e.digit !== undefined && e.digit !== ((modrm >> 3) & 7)) continue;
      if (e.modrm !== undefined && (modrm < e.modrm || modrm >= e.modrm + e.modrmSpan)) continue;
      if (e.form !== 'any' && e.hasModrm && (e.form === 'register') !== registerForm) continue;
      if (e.prefix !== undefined) {
        if (e.prefix === 'F2' ? rep !== 0xf2 : e.prefix === 'F3' ? rep !== 0xf3 : rep !== 0) continue;
        if (e.prefix === '66' ? !operandPrefix : e.prefix === 'NP' ? operandPrefix : false) continue;
      }
      if (e.w !== undefined && (e.w === 1) !== ((rex & REX_W) !== 0)) continue;
      const attributes = e.attributes;
      if (codeBits === 64 ? attributes.no64 : attributes.only64) continue;
      if (attributes.norexb && rex & REX_B) continue;
      if (realOrV86 && attributes.prot) continue;
      const feature = e.instruction.feature;
      if (feature !== undefined && !this.features.has(feature)) continue;
      return e;
    }
    return undefined;
  }

  private memoryOperand(out: Decoded, modrm: number, rex: number): void {
    out.form = 'memory';
    out.base = NO_REGISTER;
    out.index = NO_REGISTER;
    out.scale = 0;
    out.segment = DS;
    const mod = modrm >> 6;
    const rm = modrm & 7;
    let displacement = 0;
    if (out.addressSize === 16) {
      // SDM vol. 2 table 2-1
      const base = [3, 3, 5, 5, 6, 7, 5, 3][rm];
      const index = [6, 7, 6, 7, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER][rm];
      if (mod === 0 && rm === 6) {
        displacement = this.signed16();
      } else {
        out.base = base;
        out.index = index;
        if (base === 5) out.segment = SS;
        if (mod === 1) displacement = this.signed8();
        else if (mod === 2) displacement = this.signed16();
      }
      out.displacementLow = displacement;
      out.displacementHigh = displacement >> 31;
      return;
    }
    let base = rm | (rex & REX_B ? 8 : 0);
    let noBase = mod === 0 && rm === 5;
    if (rm === 4) {
      const sib = this.next();
      const index = ((sib >> 3) & 7) | (rex & REX_X ? 8 : 0);
      if (index !== 4) {
        out.index = index;
        out.scale = sib >> 6;
      }
      base = (sib & 7) | (rex & REX_B ? 8 : 0);
      noBase = mod === 0 && (sib & 7) === 5;
      out.base = noBase ? NO_REGISTER : base;
    } else if (noBase && this.ripRelativeAllowed) {
      out.base = RIP_RELATIVE;
    } else {
      out.base = noBase ? NO_REGISTER : base;
    }
    if (!noBase && (base === 4 || base === 5)) out.segment = SS;
    if (mod === 1) displacement = this.signed8();
    else if (mod === 2 || noBase) displacement = this.signed32();
    out.displacementLow = displacement;
    out.displacementHigh = displacement >> 31;
  }
}
