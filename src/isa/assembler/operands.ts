/** What the test assembler takes as operands: registers, memory, immediates, far pointers, and values known only later. */

export type RegisterFile = 'general' | 'segment' | 'control' | 'debug' | 'xmm' | 'mmx' | 'x87' | 'ip';

/** A register as instructions name it. */
export interface Register {
  readonly kind: 'register';
  readonly name: string;
  readonly file: RegisterFile;
  /** Number as encoded, 0-15. AH, CH, DH and BH have 4-7 and `high`. */
  readonly number: number;
  /** Width in bits; of a segment register 16, of an x87 register 80. Control and debug registers take the code's width: 0. */
  readonly bits: 0 | 8 | 16 | 32 | 64 | 80 | 128;
  /** AH, CH, DH, BH: cannot be encoded with a REX prefix. */
  readonly high: boolean;
  /** SPL, BPL, SIL, DIL: need one. */
  readonly rex: boolean;
}

const CLASSIC = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;

function register(
  name: string,
  file: RegisterFile,
  number: number,
  bits: Register['bits'],
  high = false,
  rex = false,
): Register {
  return { kind: 'register', name, file, number, bits, high, rex };
}

function allRegisters(): Map<string, Register> {
  const list: Register[] = [];
  CLASSIC.forEach((name, n) => {
    list.push(
      register(name, 'general', n, 16),
      register(`e${name}`, 'general', n, 32),
      register(`r${name}`, 'general', n, 64),
    );
    if (n < 4) {
      list.push(register(`${name[0]}l`, 'general', n, 8), register(`${name[0]}h`, 'general', n + 4, 8, true));
    } else {
      list.push(register(`${name}l`, 'general', n, 8, false, true));
    }
  });
  for (let n = 8; n < 16; n++) {
    list.push(register(`r${n}`, 'general', n, 64), register(`r${n}d`, 'general', n, 32));
    list.push(register(`r${n}w`, 'general', n, 16), register(`r${n}b`, 'general', n, 8));
  }
  for (const [n, name] of SEGMENTS.entries()) list.push(register(name, 'segment', n, 16));
  for (let n = 0; n < 16; n++) {
    list.push(
      register(`cr${n}`, 'control', n, 0),
      register(`dr${n}`, 'debug', n, 0),
      register(`xmm${n}`, 'xmm', n, 128),
    );
  }
  for (let n = 0; n < 8; n++) list.push(register(`mm${n}`, 'mmx', n, 64), register(`st${n}`, 'x87', n, 80));
  list.push(register('eip', 'ip', 0, 32), register('rip', 'ip', 0, 64));
  return new Map(list.map((r) => [r.name, r]));
}

/** Every register by its lower-case name; x87 registers are `st0`-`st7`. */
export const REGISTERS: ReadonlyMap<string, Register> = allRegisters();

/** A register by name. @throws Error if there is none. */
export function reg(name: string): Register {
  const found = REGISTERS.get(name.toLowerCase());
  if (!found) throw new Error(`no register '${name}'`);
  return found;
}

/** The general register of a number and width; 8-bit numbers 4-7 are SPL-DIL. */
export function generalRegister(number: number, bits: 8 | 16 | 32 | 64): Register {
  for (const candidate of REGISTERS.values()) {
    if (candidate.file === 'general' && candidate.number === number && candidate.bits === bits && !candidate.high)
      return candidate;
  }
  throw new Error(`no general register ${number} of ${bits} bits`);
}

/** A number plus and minus labels: known once the labels are. */
export class Sum {
  readonly constant: bigint;
  readonly labels: readonly { readonly name: string; readonly sign: 1 | -1 }[];

  constructor(constant: bigint, labels: Sum['labels'] = []) {
    this.constant = constant;
    this.labels = labels;
  }
  plus(other: Value): Sum {
    const sum = toSum(other);
    return new Sum(this.constant + sum.constant, [...this.labels, ...sum.labels]);
  }
  negated(): Sum {
    return new Sum(
      -this.constant,
      this.labels.map(({ name, sign }) => ({ name, sign: sign === 1 ? -1 : 1 })),
    );
  }
  minus(other: Value): Sum {
    return this.plus(toSum(other).negated());
  }
  toString(): string {
    const parts = this.labels.map(({ name, sign }) => `${sign === 1 ? '+' : '-'}${name}`);
    if (this.constant !== 0n || parts.length === 0)
      parts.push(`${this.constant < 0n ? '' : '+'}${hexadecimal(this.constant)}`);
    return parts.join('').replace(/^\+/, '');
  }
}

/** A number, the name of a label, or a sum of them. */
export type Value = number | bigint | string | Sum;

export function toSum(value: Value): Sum {
  if (value instanceof Sum) return value;
  return typeof value === 'string' ? new Sum(0n, [{ name: value, sign: 1 }]) : new Sum(BigInt(value));
}

export interface Immediate {
  readonly kind: 'immediate';
  readonly value: Sum;
  /** Width the encoding must give it; absent: the shortest that holds it. */
  readonly bits: number | undefined;
}

export interface FarPointer {
  readonly kind: 'far';
  readonly selector: Sum;
  readonly offset: Sum;
}

export interface MemoryOptions {
  /** General register, or RIP/EIP: then the displacement is the address meant, not the distance to it. */
  readonly base?: Register;
  readonly index?: Register;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly displacement?: Value;
  /** Width of the operand in bits; of a far pointer that of its offset. Absent: whatever the instruction allows. */
  readonly size?: number;
  readonly segment?: Register;
  /** A far pointer, for JMP and CALL. */
  readonly far?: boolean;
  /** Forces a displacement of this width. */
  readonly displacementBits?: 8 | 16 | 32 | 64;
  /** Without registers: width of the address. */
  readonly addressSize?: 16 | 32 | 64;
}

export interface Memory extends MemoryOptions {
  readonly kind: 'memory';
  readonly displacement: Sum;
}

export type Operand = Register | Memory | Immediate | FarPointer;

export function mem(options: MemoryOptions): Memory {
  return { ...options, kind: 'memory', displacement: toSum(options.displacement ?? 0) };
}

/** An immediate or branch target. `bits` forces the width of its encoding. */
export function imm(value: Value, bits?: number): Immediate {
  return { kind: 'immediate', value: toSum(value), bits };
}

export function far(selector: Value, offset: Value): FarPointer {
  return { kind: 'far', selector: toSum(selector), offset: toSum(offset) };
}

/** A number as the assembler reads and the disassembler writes it. */
export function hexadecimal(value: bigint): string {
  const magnitude = value < 0n ? -value : value;
  return `${value < 0n ? '-' : ''}${magnitude < 10n ? magnitude.toString() : `0x${magnitude.toString(16)}`}`;
}

const SIZE_NAMES: Readonly<Record<number, string>> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  48: 'fword',
  64: 'qword',
  80: 'tbyte',
  128: 'xmmword',
};
/** `qword ptr` and so on; empty without a width. */
export function sizeName(bits: number): string {
  return bits === 0 ? '' : `${SIZE_NAMES[bits] ?? `${bits} bits`} ptr `;
}
export const SIZE_OF_NAME: ReadonlyMap<string, number> = new Map(
  Object.entries(SIZE_NAMES).map(([bits, name]) => [name, Number(bits)]),
);

/** An operand as text, for messages. */
export function describe(operand: Operand): string {
  switch (operand.kind) {
    case 'register':
      return operand.name;
    case 'immediate':
      return operand.value.toString();
    case 'far':
      return `${operand.selector}:${operand.offset}`;
    case 'memory': {
      const { base, index, scale, displacement, size, segment } = operand;
      const terms: string[] = [];
      if (base) terms.push(base.name);
      if (index) terms.push(`${index.name}${scale && scale > 1 ? `*${scale}` : ''}`);
      const rest = displacement.toString();
      if (terms.length === 0 || rest !== '0') terms.push(rest);
      return `${sizeName(size ?? 0)}${segment ? `${segment.name}:` : ''}[${terms.join('+').replaceAll('+-', '-')}]`;
    }
  }
}
