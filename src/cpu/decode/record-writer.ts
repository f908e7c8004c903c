/** Writes the records of decoded instructions, of one mode class. */

import type { Encoding, Operand } from '../../isa/encoding.ts';
import { BEYOND_32_BITS, CONTEXT, FS, offsetOf, segmentOffset } from '../context.ts';
import { type Handler, type Handlers, SpecialHandler } from '../interpreter/handlers.ts';
import { RECORD, RECORD_SIZE } from '../interpreter/record.ts';
import { MODE_EM, MODE_MP, MODE_OSFXSR, MODE_TS } from '../mode.ts';
import { type Decoded, type DecodeResult, NO_REGISTER, RIP_RELATIVE } from './decoder.ts';
import { formIndex, formOf } from './forms.ts';

const UD = 6;
const NM = 7;
const GP = 13;

/** Which field names an operand's register; NONE if it is in memory, or no register. */
const Source = { NONE: 0, REG: 1, RM: 2, OPCODE: 3, SEGMENT: 4 } as const;
type Source = (typeof Source)[keyof typeof Source];

/** Where the registers of an operand are. */
const File = { GENERAL: 0, BYTE: 1, XMM: 2, MMX: 3 } as const;
type File = (typeof File)[keyof typeof File];

interface RegisterOperand {
  readonly source: Source;
  readonly file: File;
  /** Only if the ModRM byte names a register. */
  readonly either: boolean;
}

/** What the records of an encoding have in common. */
interface Plan {
  readonly registers: readonly RegisterOperand[];
  readonly relative: boolean;
  /** Has an `O` operand. */
  readonly offset: boolean;
  /** Has an immediate of 64 bits with 64-bit operand size. */
  readonly wide: boolean;
  readonly isX87: boolean;
  readonly hasSegment: boolean;
  /** Has an operand whose register may not exist. */
  readonly special: boolean;
  /** Handlers by {@link formIndex}. */
  readonly handlers: Handler[];
}

const NO_OPERAND: RegisterOperand = { source: Source.NONE, file: File.GENERAL, either: false };
const SOURCES: Readonly<Record<string, RegisterOperand>> = {
  G: { source: Source.REG, file: File.GENERAL, either: false },
  E: { source: Source.RM, file: File.GENERAL, either: true },
  R: { source: Source.RM, file: File.GENERAL, either: false },
  Z: { source: Source.OPCODE, file: File.GENERAL, either: false },
  V: { source: Source.REG, file: File.XMM, either: false },
  W: { source: Source.RM, file: File.XMM, either: true },
  U: { source: Source.RM, file: File.XMM, either: false },
  P: { source: Source.REG, file: File.MMX, either: false },
  Q: { source: Source.RM, file: File.MMX, either: true },
  N: { source: Source.RM, file: File.MMX, either: false },
  S: { source: Source.SEGMENT, file: File.GENERAL, either: false },
};

function registerOperand({ letter, width }: Operand): RegisterOperand {
  const operand = SOURCES[letter] ?? NO_OPERAND;
  return operand.file === File.GENERAL && width === 'b' ? { ...operand, file: File.BYTE } : operand;
}

function planOf(encoding: Encoding): Plan {
  const { operands } = encoding;
  const registers = operands.map(registerOperand);
  if (registers.slice(2).some(({ source }) => source !== Source.NONE))
    throw new Error(`${encoding.text}: records have no field for a third register`);
  const letters = new Set(operands.map(({ letter }) => letter));
  return {
    registers: registers.slice(0, 2),
    relative: letters.has('J'),
    offset: letters.has('O'),
    wide: operands.some(({ letter, width }) => letter === 'I' && width === 'v'),
    isX87: encoding.map === 0 && encoding.opcode >= 0xd8 && encoding.opcode <= 0xdf,
    hasSegment: letters.has('S'),
    special: letters.has('S') || letters.has('C') || letters.has('D'),
    handlers: [],
  };
}

/** Register numbers that do not exist: control, debug and segment registers. */
export function namesNoRegister(out: Decoded): boolean {
  for (const { letter, access } of out.encoding.operands) {
    if (letter === 'S') {
      const segment = out.reg & 7;
      if (segment > 5 || (access !== 'r' && segment === 1)) return true;
    } else if (letter === 'C') {
      if (out.reg !== 0 && out.reg !== 2 && out.reg !== 3 && out.reg !== 4 && out.reg !== 8) return true;
    } else if (letter === 'D') {
      if (out.reg > 7) return true;
    }
  }
  return false;
}

/** Vector an instruction raises whatever its operands, or -1. */
export function unavailable(out: Decoded, mode: number): number {
  const { unit, mnemonic } = out.encoding.instruction;
  switch (unit) {
    case 'x87':
      // WAIT looks at MP and TS only
      if (mnemonic === 'FWAIT') return mode & MODE_TS && mode & MODE_MP ? NM : -1;
      return mode & (MODE_EM | MODE_TS) ? NM : -1;
    case 'mmx':
      return mode & MODE_EM ? UD : mode & MODE_TS ? NM : -1;
    case 'sse':
      return mode & MODE_EM || !(mode & MODE_OSFXSR) ? UD : mode & MODE_TS ? NM : -1;
    default:
      return -1;
  }
}

const GPR = offsetOf('gpr');
const XMM = offsetOf('xmm');
const XMM_SIZE = offsetOf('xmm', 1) - XMM;
const X87 = offsetOf('x87');
const X87_SIZE = offsetOf('x87', 1) - X87;
const ZERO = CONTEXT.zero.offset;
const LIMIT_32 = 2 ** 31;
const WORDS = RECORD_SIZE / 4;

export class RecordWriter {
  private readonly bytes: Uint8Array;
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;
  private readonly long: boolean;
  private readonly handlers: Pick<Handlers, 'find'>;
  /** Table index of the class's first special handler. */
  private readonly specials: number;
  /** By the encoding's id. */
  private readonly plans: (Plan | undefined)[] = [];

  /** @param long whether the records are of 64-bit code */
  constructor(buffer: ArrayBufferLike, long: boolean, handlers: Pick<Handlers, 'find'>, specials: number) {
    this.bytes = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.long = long;
    this.handlers = handlers;
    this.specials = specials;
  }

  /** A record of no instruction's: the handler, and where it stands. */
  special(at: number, handler: number, delta: number): void {
    const { i32 } = this;
    for (let i = 0, word = at >> 2; i < WORDS; i++) i32[word + i] = 0;
    i32[(at + RECORD.handler) >> 2] = this.specials + handler;
    this.u16[(at + RECORD.delta) >> 1] = delta;
  }

  /** Writes one record; true if nothing of the block can follow it. */
  instruction(at: number, result: DecodeResult, out: Decoded, delta: number, mode: number): boolean {
    if (result !== 'ok') {
      this.raise(at, result === 'undefined' ? UD : GP, result !== 'undefined', delta);
      return true;
    }
    const { encoding } = out;
    const plan = this.planOf(encoding);
    const vector = plan.special && namesNoRegister(out) ? UD : unavailable(out, mode);
    if (vector >= 0) {
      this.raise(at, vector, false, delta);
      this.bytes[at + RECORD.length] = out.length;
      return true;
    }
    const handler = this.handlerOf(plan, out);
    const { i32, u16, bytes } = this;
    for (let i = 0, word = at >> 2; i < WORDS; i++) i32[word + i] = 0;
    i32[(at + RECORD.handler) >> 2] = handler.index;
    u16[(at + RECORD.delta) >> 1] = delta;
    bytes[at + RECORD.length] = out.length;
    const { registers } = plan;
    for (let i = 0; i < registers.length; i++) {
      const { source } = registers[i];
      if (source !== Source.NONE) u16[(at + RECORD.register0 + 2 * i) >> 1] = registerOffset(registers[i], out);
    }
    u16[(at + RECORD.extra) >> 1] = plan.isX87
      ? ((out.opcode & 7) << 8) | out.modrm
      : plan.hasSegment
        ? out.reg & 7
        : out.reg;
    const behind = delta + out.length;
    if (plan.relative) {
      const displacement = out.immediateLow + behind;
      this.wide(at, displacement, displacement < 0 ? -1 : 0);
      return handler.ends;
    }
    const narrow = out.addressSize < (this.long ? 64 : 32);
    bytes[at + RECORD.narrow] = narrow ? 1 : 0;
    bytes[at + RECORD.segment] = out.segment;
    u16[(at + RECORD.segmentCache) >> 1] = this.long && out.segment < FS ? ZERO : segmentOffset(out.segment, 'base');
    i32[(at + RECORD.immediate) >> 2] = out.immediateLow;
    if (plan.offset) this.wide(at, out.displacementLow, out.displacementHigh);
    else if (out.form === 'memory') this.memoryOperand(at, out, behind);
    else if (plan.wide) this.wide(at, out.immediateLow, out.immediateHigh);
    else i32[(at + RECORD.immediate2) >> 2] = out.immediate2;
    return handler.ends;
  }

  private planOf(encoding: Encoding): Plan {
    const known = this.plans[encoding.id];
    if (known) return known;
    const plan = planOf(encoding);
    this.plans[encoding.id] = plan;
    return plan;
  }

  private handlerOf({ handlers }: Plan, out: Decoded): Handler {
    const form = formIndex(out, this.long);
    const known = handlers[form];
    if (known) return known;
    const handler = this.handlers.find(formOf(out, this.long));
    handlers[form] = handler;
    return handler;
  }

  private raise(at: number, vector: number, hasErrorCode: boolean, delta: number): void {
    this.special(at, hasErrorCode ? SpecialHandler.RAISE_ZERO : SpecialHandler.RAISE, delta);
    this.u16[(at + RECORD.extra) >> 1] = vector;
  }

  private wide(at: number, low: number, high: number): void {
    this.i32[(at + RECORD.wide) >> 2] = low;
    this.i32[(at + RECORD.wide + 4) >> 2] = high;
  }

  private memoryOperand(at: number, out: Decoded, behind: number): void {
    const { u16 } = this;
    const { base, index } = out;
    const ripRelative = base === RIP_RELATIVE;
    u16[(at + RECORD.base) >> 1] = ripRelative ? CONTEXT.rip.offset : base === NO_REGISTER ? ZERO : GPR + 8 * base;
    u16[(at + RECORD.index) >> 1] = index === NO_REGISTER ? ZERO : GPR + 8 * index;
    this.bytes[at + RECORD.scale] = out.scale;
    let displacement = out.displacementLow;
    if (ripRelative) {
      displacement += behind;
      if (displacement >= LIMIT_32) {
        // an index that is a constant brings it back into 32 bits
        u16[(at + RECORD.index) >> 1] = CONTEXT.beyond.offset;
        displacement -= BEYOND_32_BITS;
      }
    }
    this.i32[(at + RECORD.displacement) >> 2] = displacement;
  }
}

/** Context offset of a register operand; 0, which nobody looks at, if it is in memory. */
function registerOffset({ source, file, either }: RegisterOperand, out: Decoded): number {
  if (either && out.form !== 'register') return 0;
  if (source === Source.SEGMENT) return segmentOffset(out.reg & 7, 'selector');
  const n = source === Source.REG ? out.reg : source === Source.RM ? out.rm : out.opcodeRegister;
  switch (file) {
    case File.XMM:
      return XMM + XMM_SIZE * n;
    case File.MMX:
      return X87 + X87_SIZE * (n & 7);
    case File.BYTE:
      // AH CH DH BH
      return !out.rex && n >= 4 && n < 8 ? GPR + 8 * (n - 4) + 1 : GPR + 8 * n;
    default:
      return GPR + 8 * n;
  }
}
