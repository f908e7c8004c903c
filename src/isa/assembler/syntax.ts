/**
 * Intel syntax for the test assembler, one instruction a line:
 *
 *     loop:   lock add qword ptr [rbx + rcx*4 + table], -5    ; comment
 *             jne short loop
 *
 * Operands: registers, `[...]` with a size in front (`byte`, `word`, `dword`, `qword`, `tbyte`, `xmmword`, with or without
 * `ptr`), `far` before far pointers in memory, `selector:offset`, and sums of numbers and labels, `$` being the
 * instruction's own address. `short` and `near` choose a branch's form. Prefixes: `lock`, `rep`, `repe`, `repne`,
 * `o16`-`o64` and `a16`-`a64` for sizes, a segment register for instructions without memory operand.
 * Directives: `bits`, `org`, `align`, `db`, `dw`, `dd`, `dq`, `ascii`, `space`, `name equ number`.
 */
import { type Argument, Assembler, type AssemblerOptions, type Program } from './assembler.ts';
import type { EmitOptions } from './encode.ts';
import type { CodeBits } from './memory-operand.ts';
import {
  far,
  imm,
  type MemoryOptions,
  mem,
  type Operand,
  REGISTERS,
  type Register,
  SIZE_OF_NAME,
  Sum,
} from './operands.ts';

const TOKEN = /\s*(0x[0-9a-f_]+|0b[01_]+|[0-9][0-9_]*|st\s*\(\s*[0-7]\s*\)|[a-z_.$?@][\w.$?@]*|'[^']'|[-+*:,[\]()])/iy;

function tokens(text: string): string[] {
  const list: string[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`cannot read '${text.slice(at).trim()}'`);
    list.push(match[1]);
  }
  return list;
}

function number(token: string): bigint | undefined {
  if (/^'.'$/.test(token)) return BigInt(token.charCodeAt(1));
  return /^[0-9]/.test(token) ? BigInt(token.replaceAll('_', '')) : undefined;
}
function register(token: string): Register | undefined {
  return REGISTERS.get(token.toLowerCase().replace(/[\s()]/g, ''));
}

/** Reads one operand's tokens from left to right. */
class OperandReader {
  private readonly list: readonly string[];
  private at = 0;
  constructor(list: readonly string[]) {
    this.list = list;
  }
  private get token(): string {
    return (this.list[this.at] ?? '').toLowerCase();
  }
  private take(token: string): boolean {
    if (this.token !== token) return false;
    this.at++;
    return true;
  }
  private expect(token: string): void {
    if (!this.take(token)) throw new Error(`'${token}' expected${this.token ? ` before '${this.token}'` : ''}`);
  }
  private finished(): void {
    if (this.at < this.list.length) throw new Error(`unexpected '${this.list[this.at]}'`);
  }

  read(): Operand {
    const operand = this.operand();
    this.finished();
    return operand;
  }

  private operand(): Operand {
    if (this.take('short')) return imm(this.sum(), 8);
    if (this.take('near')) return this.token === '[' ? this.memory({}) : this.nearTarget();
    const isFar = this.take('far');
    const size = SIZE_OF_NAME.get(this.token);
    if (size !== undefined) {
      this.at++;
      this.take('ptr');
    }
    const named = register(this.token);
    if (named && this.list[this.at + 1] === ':') {
      this.at += 2;
      return this.memory({ size, segment: named, far: isFar });
    }
    if (this.token === '[') return this.memory({ size, far: isFar });
    if (named) {
      this.at++;
      return named;
    }
    const first = this.sum();
    return this.take(':') ? far(first, this.sum()) : imm(first, size);
  }

  private nearTarget(): Operand {
    return imm(this.sum());
  }

  /** Terms of numbers and labels. */
  private sum(): Sum {
    let total = new Sum(0n);
    let negative = this.take('-');
    for (;;) {
      const term = this.term();
      total = negative ? total.minus(term) : total.plus(term);
      if (this.take('+')) negative = false;
      else if (this.take('-')) negative = true;
      else return total;
    }
  }
  private term(): Sum {
    const token = this.list[this.at++] ?? '';
    const value = number(token);
    if (value !== undefined) return new Sum(value);
    if (!/^[a-z_.$?@]/i.test(token) || register(token))
      throw new Error(token ? `a number or label expected instead of '${token}'` : 'a number or label expected');
    return new Sum(0n, [{ name: token, sign: 1 }]);
  }

  private memory(start: MemoryOptions): Operand {
    this.expect('[');
    let options: MemoryOptions = start;
    let displacement = new Sum(0n);
    let negative = this.take('-');
    for (;;) {
      if (this.token === 'a16' || this.token === 'a32' || this.token === 'a64') {
        options = { ...options, addressSize: Number(this.token.slice(1)) as CodeBits };
        this.at++;
        continue;
      }
      const scaledFirst = /^[1248]$/.test(this.token) && this.list[this.at + 1] === '*';
      const named = register(scaledFirst ? (this.list[this.at + 2] ?? '') : this.token);
      if (named) {
        if (negative) throw new Error(`'${named.name}' cannot be subtracted`);
        const scale = this.scale(scaledFirst);
        options = withRegister(options, named, scale);
      } else {
        const term = this.term();
        displacement = negative ? displacement.minus(term) : displacement.plus(term);
      }
      if (this.take('+')) negative = false;
      else if (this.take('-')) negative = true;
      else break;
    }
    this.expect(']');
    return mem({ ...options, displacement });
  }

  /** Steps over a register and its scale, either way round; 0 where there is none. */
  private scale(first: boolean): 0 | 1 | 2 | 4 | 8 {
    if (first) {
      const scale = Number(this.token) as 1 | 2 | 4 | 8;
      this.at += 3;
      return scale;
    }
    this.at++;
    if (!this.take('*')) return 0;
    const scale = Number(this.token);
    if (![1, 2, 4, 8].includes(scale)) throw new Error(`'${this.token}' is no scale`);
    this.at++;
    return scale as 1 | 2 | 4 | 8;
  }
}

function withRegister(options: MemoryOptions, named: Register, scale: 0 | 1 | 2 | 4 | 8): MemoryOptions {
  if (scale === 0 && !options.base) return { ...options, base: named };
  if (options.index) throw new Error('more than two registers in an address');
  return { ...options, index: named, scale: scale === 0 ? 1 : scale };
}

/** Splits at commas outside brackets and quotes. */
function splitOperands(list: readonly string[]): string[][] {
  const parts: string[][] = [[]];
  for (const token of list) {
    if (token === ',') parts.push([]);
    else parts.at(-1)!.push(token);
  }
  return parts.length === 1 && parts[0].length === 0 ? [] : parts;
}

const REPEATS: Readonly<Record<string, 'rep' | 'repne'>> = {
  rep: 'rep',
  repe: 'rep',
  repz: 'rep',
  repne: 'repne',
  repnz: 'repne',
};

/** Takes prefix words off the front. */
function prefixes(list: string[]): EmitOptions {
  let options: EmitOptions = {};
  for (; list.length > 1; list.shift()) {
    const word = list[0].toLowerCase();
    const sized = /^([oa])(16|32|64)$/.exec(word);
    const segment = register(word);
    if (word === 'lock') options = { ...options, lock: true };
    else if (word in REPEATS) options = { ...options, repeat: REPEATS[word] };
    else if (sized) options = { ...options, [sized[1] === 'o' ? 'operandSize' : 'addressSize']: Number(sized[2]) };
    else if (segment?.file === 'segment') options = { ...options, segment };
    else break;
  }
  return options;
}

/** The number of a directive. */
function constant(assembler: Assembler, list: readonly string[]): bigint {
  const operand = new OperandReader(list).read();
  if (operand.kind !== 'immediate') throw new Error('a number expected');
  return assembler.constant(operand.value);
}
function values(list: readonly string[]): Sum[] {
  return splitOperands(list).map((part) => {
    const operand = new OperandReader(part).read();
    if (operand.kind !== 'immediate') throw new Error('a number or label expected');
    return operand.value;
  });
}

type Directive = (assembler: Assembler, list: readonly string[], rest: string) => void;
const DIRECTIVES: Readonly<Record<string, Directive>> = {
  bits(assembler, list) {
    const bits = constant(assembler, list);
    if (bits !== 16n && bits !== 32n && bits !== 64n) throw new Error('code has 16, 32 or 64 bits');
    assembler.code(Number(bits) as CodeBits);
  },
  org: (assembler, list) => void assembler.org(constant(assembler, list)),
  align: (assembler, list) => void assembler.align(Number(constant(assembler, list))),
  space: (assembler, list) => void assembler.space(Number(constant(assembler, list))),
  db: (assembler, list) => void assembler.bytes(...values(list)),
  dw: (assembler, list) => void assembler.dw(...values(list)),
  dd: (assembler, list) => void assembler.dd(...values(list)),
  dq: (assembler, list) => void assembler.dq(...values(list)),
  ascii(assembler, _list, rest) {
    const match = /^\s*"([^"]*)"\s*$/.exec(rest);
    if (!match) throw new Error('text in double quotes expected');
    assembler.ascii(match[1]);
  },
};

function line(assembler: Assembler, text: string): void {
  let rest = text.replace(/;.*$/, '').trim();
  for (
    let label = /^([a-z_.?@][\w.$?@]*):(?!\s*\[)/i.exec(rest);
    label && !register(label[1]);
    label = /^([a-z_.?@][\w.$?@]*):/i.exec(rest)
  ) {
    assembler.label(label[1]);
    rest = rest.slice(label[0].length).trim();
  }
  if (rest === '') return;
  const equals = /^([a-z_.?@][\w.$?@]*)\s+equ\s+(.*)$/i.exec(rest);
  if (equals) {
    assembler.define(equals[1], constant(assembler, tokens(equals[2])));
    return;
  }
  const word = /^\S+/.exec(rest)![0];
  const directive = DIRECTIVES[word.toLowerCase()];
  if (directive) {
    const operands = rest.slice(word.length);
    directive(assembler, word.toLowerCase() === 'ascii' ? [] : tokens(operands), operands);
    return;
  }
  const list = tokens(rest);
  const options = prefixes(list);
  const mnemonic = list.shift()!;
  const operands: Argument[] = splitOperands(list).map((part) => new OperandReader(part).read());
  assembler.emit(mnemonic, ...operands, options);
}

/** Assembles lines of text into an assembler. @throws Error naming the line */
export function assembleText(assembler: Assembler, text: string): void {
  text.split('\n').forEach((one, i) => {
    try {
      line(assembler, one);
    } catch (error) {
      throw new Error(`line ${i + 1} '${one.trim()}': ${(error as Error).message}`, { cause: error });
    }
  });
}

/** A program from text. */
export function assemble(options: AssemblerOptions, text: string): Program {
  const assembler = new Assembler(options);
  assembleText(assembler, text);
  return assembler.assemble();
}
