/** Writes a program's code byte by byte: instructions as text or bytes, branches and addresses through labels. */
import { assemble, type CodeBits } from '../../src/isa/assembler/index.ts';
import { CODE_BYTES } from './flavours.ts';

/** What fills the gaps: an INT3 anywhere in them leads back to the start. */
const FILLER = 0xcc;
/** Bytes kept free for what ends a program. */
const RESERVE = 0x100;

interface Fixup {
  readonly at: number;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly label: string;
  /** Added to the label's offset in the code; NaN: relative to the end of the field. */
  readonly addend: number;
}

const OPERAND_SIZE = 0x66;
const REX_W = 0x48;
/** Keeps addresses aligned. */
const OTHER_NUMBER = 0x10;

/** Texts that have been assembled: most occur again and again. */
const assembled = new Map<string, Uint8Array>();
const MOST_ASSEMBLED = 20_000;

export class Emitter {
  readonly bits: CodeBits;
  readonly bytes = new Uint8Array(CODE_BYTES).fill(FILLER);
  /** Offset of the next byte. */
  at = 0;
  /** Gives the next branch an operand-size prefix, except in 64-bit code. */
  otherOperandSize = false;
  /** End of each instruction by its start. */
  private readonly instructions = new Map<number, number>();
  /** Offsets of the numbers that {@link load} emitted. */
  private readonly numbers: number[] = [];
  private readonly labels = new Map<string, number>();
  private readonly fixups: Fixup[] = [];

  constructor(bits: CodeBits) {
    this.bits = bits;
  }

  /** Whether so many more bytes fit. */
  hasRoom(bytes = 0): boolean {
    return this.at + bytes < CODE_BYTES - RESERVE;
  }

  /** Goes on at a later offset. */
  moveTo(offset: number): void {
    this.at = Math.max(this.at, offset);
  }

  label(name: string): void {
    this.labels.set(name, this.at);
  }

  /** Offset of a label that has been placed. */
  offsetOf(label: string): number {
    const offset = this.labels.get(label);
    if (offset === undefined) throw new Error(`no label '${label}'`);
    return offset;
  }

  /** One instruction. */
  emit(bytes: ArrayLike<number>): void {
    if (this.at + bytes.length > CODE_BYTES) throw new Error('the code does not fit its pages');
    this.instructions.set(this.at, this.at + bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Instructions as text, one a line, without labels. */
  text(lines: string): void {
    for (const line of lines.split('\n')) if (line.trim()) this.emit(assembleLine(line.trim(), this.bits));
  }

  private withField(opcode: readonly number[], bytes: Fixup['bytes'], label: string, addend: number): void {
    this.emit([...opcode, ...new Uint8Array(bytes)]);
    this.fixups.push({ at: this.at - bytes, bytes, label, addend });
  }

  /** A branch with the displacement of its code size, or a short one. */
  private branch(opcode: readonly number[], label: string, short: boolean): void {
    const prefixed = this.otherOperandSize && this.bits !== 64;
    this.otherOperandSize = false;
    const bytes = short ? 1 : (this.bits === 16) !== prefixed ? 2 : 4;
    this.withField(prefixed ? [OPERAND_SIZE, ...opcode] : opcode, bytes, label, Number.NaN);
  }
  /** `short` only where the target is known to be near. */
  jump(label: string, short = false): void {
    this.branch([short ? 0xeb : 0xe9], label, short);
  }
  jumpIf(condition: number, label: string, short = false): void {
    this.branch(short ? [0x70 + condition] : [0x0f, 0x80 + condition], label, short);
  }
  call(label: string): void {
    this.branch([0xe8], label, false);
  }
  /** LOOPNE, LOOPE, LOOP, JCXZ by number from 0. */
  loop(kind: number, label: string): void {
    this.branch([0xe0 + kind], label, true);
  }
  /** Whether a label already placed can be reached by a short branch from here. */
  isNear(label: string): boolean {
    const offset = this.labels.get(label);
    return offset !== undefined && this.at - offset < 120;
  }

  /** MOV of `addend` plus a label's offset into a register (one of the first eight). */
  address(register: number, label: string, addend: number): void {
    const bytes = this.bits === 64 ? 8 : this.bits === 32 ? 4 : 2;
    this.withField([...(this.bits === 64 ? [REX_W] : []), 0xb8 + register], bytes, label, addend);
  }

  /** MOV of a number into a register, which is another one in the twin unless it must be the `same`. */
  load(register: number, value: bigint, same = false): void {
    const { bits } = this;
    if (!same) this.numbers.push(this.at + (bits === 32 ? 1 : 2));
    if (bits === 64) {
      this.emit([register < 8 ? REX_W : REX_W + 1, 0xb8 + (register & 7), ...littleEndian(value, 8)]);
    } else {
      // also in 16-bit code all 32 bits
      this.emit([
        ...(bits === 16 ? [OPERAND_SIZE] : []),
        0xb8 + register,
        ...littleEndian(BigInt.asUintN(32, value), 4),
      ]);
    }
  }

  /** Fills in all labels. Returns the code. */
  finish(): Uint8Array {
    for (const { at, bytes, label, addend } of this.fixups) {
      const offset = this.offsetOf(label);
      const relative = Number.isNaN(addend);
      const value = relative ? offset - (at + bytes) : offset + addend;
      if (relative && bytes === 1 && (value < -128 || value > 127)) throw new Error(`'${label}' is not near`);
      this.bytes.set(littleEndian(BigInt(value), bytes), at);
    }
    return this.bytes;
  }

  /** The same code with other numbers: the same steps with different effects. */
  twin(): Uint8Array {
    const twin = this.bytes.slice();
    for (const at of this.numbers) twin[at] ^= OTHER_NUMBER;
    return twin;
  }

  /** For each byte of code the offset of the next instruction, or `elsewhere` where there is none. */
  resumeTable(elsewhere: number): Uint16Array {
    const table = new Uint16Array(CODE_BYTES).fill(elsewhere);
    for (const [start, end] of this.instructions) if (this.instructions.has(end)) table.fill(end, start, end);
    return table;
  }
}

function littleEndian(value: bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

function assembleLine(line: string, bits: CodeBits): Uint8Array {
  const key = `${bits} ${line}`;
  let bytes = assembled.get(key);
  if (!bytes) {
    if (assembled.size >= MOST_ASSEMBLED) assembled.clear();
    bytes = assemble({ bits }, line).bytes;
    assembled.set(key, bytes);
  }
  return bytes;
}
