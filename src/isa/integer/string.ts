/** String instructions. Without REP they are ordinary loads and stores; with it a helper works page by page. */
import { StringOperation } from '../helpers.ts';
import { instruction } from '../instruction.ts';
import { type Address, type Bits, type I32, type I64, type Int, RAX, RDI, RSI, type Stage } from '../stage.ts';

const ES_SEGMENT = 0;

function wrapAddress(x: Stage, value: I64): I64 {
  return x.addressBits === 64 ? value : x.and(value, x.addressBits === 32 ? 0xffffffff : 0xffff);
}
function source(x: Stage, bits: Bits): Address {
  return x.throughOperandSegment(wrapAddress(x, x.gpr(RSI, 64) as I64), bits / 8, 'r');
}
function destination(x: Stage, bits: Bits, access: 'r' | 'w'): Address {
  return x.linear(ES_SEGMENT, wrapAddress(x, x.gpr(RDI, 64) as I64), bits / 8, access);
}
/** Moves an index register by one element in the direction of DF. */
function advance(x: Stage, register: number, bits: Bits): void {
  const moved = x.add(x.gpr(register, 64) as I64, x.mul(x.direction() as I64, bits / 8));
  x.setGpr(register, x.addressBits, x.addressBits === 64 ? moved : x.wrap(moved));
}

type Name = keyof typeof StringOperation;

/** A string instruction's byte and operand-size forms; `once` does a single element. */
function string(name: Name, byteOpcode: string, opcode: string, once: ((x: Stage, bits: Bits) => void) | undefined) {
  const define = (suffix: string, encoding: string, width: (x: Stage) => Bits) =>
    instruction(`${name}${suffix}`, {
      encodings: [encoding],
      execute(x) {
        const bits = width(x);
        if (x.repeat === 'none' && once) {
          once(x, bits);
          return;
        }
        const repeat = x.repeat === 'none' ? 0 : x.repeat === 'rep' ? 1 : 2;
        x.system('stringOperation', StringOperation[name], bits, x.addressBits, x.segment, repeat);
      },
    });
  return [define('B', `${byteOpcode} rep as`, () => 8), define('', `${opcode} rep as os`, (x) => x.bits)] as const;
}

export const MOVS = string('MOVS', 'A4', 'A5', (x, bits) => {
  const value = x.load(bits, source(x, bits)) as Int;
  x.store(bits, destination(x, bits, 'w'), value);
  advance(x, RSI, bits);
  advance(x, RDI, bits);
});

export const STOS = string('STOS', 'AA', 'AB', (x, bits) => {
  x.store(bits, destination(x, bits, 'w'), x.gpr(RAX, bits) as Int);
  advance(x, RDI, bits);
});

export const LODS = string('LODS', 'AC', 'AD', (x, bits) => {
  x.setGpr(RAX, bits, x.load(bits, source(x, bits)) as Int);
  advance(x, RSI, bits);
});

function compare(x: Stage, a: Int, b: Int, bits: Bits): void {
  x.flags('sub', a, b, x.let(x.sub(a, b)) as Int, bits);
}

export const CMPS = string('CMPS', 'A6', 'A7', (x, bits) => {
  // the order in which page faults show: rDI first
  const b = x.load(bits, destination(x, bits, 'r')) as Int;
  const a = x.load(bits, source(x, bits)) as Int;
  compare(x, a, b, bits);
  advance(x, RSI, bits);
  advance(x, RDI, bits);
});

export const SCAS = string('SCAS', 'AE', 'AF', (x, bits) => {
  const b = x.load(bits, destination(x, bits, 'r')) as Int;
  compare(x, x.gpr(RAX, bits) as Int, b, bits);
  advance(x, RDI, bits);
});

/** INS and OUTS always go through the helper: permissions, intercepts and device accesses. 64-bit operands do not exist. */
function portString(name: 'INS' | 'OUTS', byteOpcode: string, opcode: string) {
  const define = (suffix: string, encoding: string, width: (x: Stage) => number) =>
    instruction(`${name}${suffix}`, {
      encodings: [encoding],
      execute(x) {
        const repeat = x.repeat === 'none' ? 0 : x.repeat === 'rep' ? 1 : 2;
        x.system('stringOperation', StringOperation[name], width(x), x.addressBits, x.segment as I32, repeat);
      },
    });
  return [
    define('B', `${byteOpcode} rep as`, () => 8),
    define('', `${opcode} rep as os`, (x) => Math.min(x.bits, 32)),
  ] as const;
}
export const INS = portString('INS', '6C', '6D');
export const OUTS = portString('OUTS', '6E', '6F');
