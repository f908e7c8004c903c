/** Compares what the emulator made of a case with what the processor did, and shows the difference on one screen. */

import type { Case, Outcome, ProcessorState, Result, Span } from './case.ts';
import { AC, AF, CF, DF, FX, fxView, hexFromBytes, ID, IF, NT, OF, PF, SF, TF, ZF } from './case.ts';
import type { Approximation } from './encoding.ts';
import type { Vector } from './format.ts';

export interface CompareOptions {
  /** Compare FOP, FIP and FDP too. Off by default: processors differ in when they record them (APM vol. 1 6.4.5). */
  x87Pointers?: boolean;
  /** Units in the last place by which transcendental results may differ; two correct implementations can be 2 apart. */
  transcendentalUlps?: bigint;
  /** Text for the case's code, for the report. */
  disassemble?(testCase: Case): string;
}

/** One thing that differs. */
export interface Difference {
  what: string;
  expected: string;
  got: string;
}

const GPR_64 = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
const GPR_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const FLAG_NAMES: [string, number][] = [
  ['CF', CF],
  ['PF', PF],
  ['AF', AF],
  ['ZF', ZF],
  ['SF', SF],
  ['TF', TF],
  ['IF', IF],
  ['DF', DF],
  ['OF', OF],
  ['NT', NT],
  ['AC', AC],
  ['ID', ID],
];
const EXCEPTION_NAMES: Record<number, string> = {
  0: '#DE',
  1: '#DB',
  3: '#BP',
  4: '#OF',
  5: '#BR',
  6: '#UD',
  7: '#NM',
  8: '#DF',
  10: '#TS',
  11: '#NP',
  12: '#SS',
  13: '#GP',
  14: '#PF',
  16: '#MF',
  17: '#AC',
  19: '#XM',
};
/** x87 status word: C1 tells the direction of the last rounding; B mirrors ES. */
const FSW_C1 = 0x200;

const hex64 = (value: bigint, digits = 16): string => BigInt.asUintN(64, value).toString(16).padStart(digits, '0');

/** RFLAGS as names of the bits that are set. */
export function flagsText(rflags: number): string {
  return (
    FLAG_NAMES.filter(([, bit]) => rflags & bit)
      .map(([name]) => name)
      .join(' ') || '-'
  );
}

function outcomeText(outcome: Outcome, rip: bigint): string {
  if (outcome.kind !== 'exception') return `${outcome.kind} at ${hex64(rip, 8)}`;
  const name = EXCEPTION_NAMES[outcome.vector] ?? `vector ${outcome.vector}`;
  const code = outcome.errorCode === undefined ? '' : `(${outcome.errorCode.toString(16)})`;
  const cr2 = outcome.cr2 === undefined ? '' : ` cr2=${hex64(outcome.cr2, 8)}`;
  return `${name}${code}${cr2} at ${hex64(rip, 8)}`;
}

const ST_BYTES = 10;

/** ST0 of a stack slot as sign, exponent and significand. */
function extendedText(fx: Uint8Array, at: number): string {
  const digits = hexFromBytes(fx.slice(at, at + ST_BYTES).reverse(), '');
  return `${digits.slice(0, 4)}:${digits.slice(4)}`;
}

/** A vector register, most significant byte first. */
function xmmText(fx: Uint8Array, at: number): string {
  return hexFromBytes(fx.slice(at, at + 16).reverse(), '').replaceAll(/(.{8})(?!$)/g, '$1_');
}

/** Monotonic integer of an 80-bit pattern without sign. */
function magnitude(view: DataView, at: number): bigint {
  return (BigInt(view.getUint16(at + 8, true) & 0x7fff) << 64n) | view.getBigUint64(at, true);
}

function nearlyEqualExtended(a: ProcessorState, b: ProcessorState, at: number, ulps: bigint): boolean {
  const left = fxView(a);
  const right = fxView(b);
  const sameSign = (left.getUint16(at + 8, true) ^ right.getUint16(at + 8, true)) < 0x8000;
  const difference = magnitude(left, at) - magnitude(right, at);
  return sameSign && (difference < 0n ? -difference : difference) <= ulps;
}

/**
 * Each of two approximations may be off by 1.5 * 2^-12 (SDM vol. 2B "RCPPS"), so they by twice that from each other.
 */
const RECIPROCAL_ERROR = 2 * 1.5 * 2 ** -12;

function nearlyEqualReciprocals(a: ProcessorState, b: ProcessorState, at: number): boolean {
  for (let lane = 0; lane < 16; lane += 4) {
    const x = fxView(a).getFloat32(at + lane, true);
    const y = fxView(b).getFloat32(at + lane, true);
    if (fxView(a).getUint32(at + lane, true) === fxView(b).getUint32(at + lane, true)) continue;
    if (!(Math.abs(x - y) <= RECIPROCAL_ERROR * Math.abs(y))) return false;
  }
  return true;
}

function sameSlot(a: ProcessorState, b: ProcessorState, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (a.fx[i] !== b.fx[i]) return false;
  return true;
}

/** Differences between two sets of changed bytes, as one entry per run of bytes. */
function compareMemory(
  before: readonly Span[],
  expected: readonly Span[],
  got: readonly Span[],
  list: Difference[],
): void {
  const bytesOf = (spans: readonly Span[]): Map<number, number> =>
    new Map(spans.flatMap(({ offset, bytes }) => Array.from(bytes, (byte, i) => [offset + i, byte] as const)));
  const wanted = bytesOf(expected);
  const found = bytesOf(got);
  const given = bytesOf(before);
  // A byte written with the value it had is no change, whether reported or not.
  const text = (map: Map<number, number>, at: number): string => map.get(at)?.toString(16).padStart(2, '0') ?? '..';
  const offsets = [...new Set([...wanted.keys(), ...found.keys()])]
    .filter(
      (at) => wanted.get(at) !== found.get(at) && !(wanted.get(at) === undefined && found.get(at) === given.get(at)),
    )
    .sort((a, b) => a - b);
  for (let i = 0; i < offsets.length; ) {
    const first = i;
    while (i < offsets.length && offsets[i] === offsets[first] + (i - first)) i++;
    const run = offsets.slice(first, i);
    list.push({
      what: `window+${run[0].toString(16)}`,
      expected: run.map((at) => text(wanted, at)).join(' '),
      got: run.map((at) => text(found, at)).join(' '),
    });
  }
}

function compareX87(
  vector: Vector,
  got: ProcessorState,
  approximate: Approximation | undefined,
  options: CompareOptions,
  list: Difference[],
): void {
  const expected = vector.result.state;
  const [left, right] = [fxView(expected), fxView(got)];
  const word = (what: string, at: number, ignored = 0): void => {
    const [a, b] = [left.getUint16(at, true) & ~ignored, right.getUint16(at, true) & ~ignored];
    if (a !== b) list.push({ what, expected: a.toString(16).padStart(4, '0'), got: b.toString(16).padStart(4, '0') });
  };
  word('fcw', FX.fcw);
  word('fsw', FX.fsw, approximate === 'transcendental' ? FSW_C1 : 0);
  if (expected.fx[FX.ftw] !== got.fx[FX.ftw]) {
    list.push({ what: 'ftw', expected: expected.fx[FX.ftw].toString(16), got: got.fx[FX.ftw].toString(16) });
  }
  if (options.x87Pointers) {
    word('fop', FX.fop);
    for (const name of ['fip', 'fdp'] as const) {
      const [a, b] = [left.getBigUint64(FX[name], true), right.getBigUint64(FX[name], true)];
      if (a !== b) list.push({ what: name, expected: hex64(a), got: hex64(b) });
    }
  }
  for (let i = 0; i < 8; i++) {
    const at = FX.st + 16 * i;
    if (sameSlot(expected, got, at, ST_BYTES)) continue;
    if (approximate === 'transcendental' && nearlyEqualExtended(expected, got, at, options.transcendentalUlps ?? 2n))
      continue;
    list.push({ what: `st${i}`, expected: extendedText(expected.fx, at), got: extendedText(got.fx, at) });
  }
}

/** Everything in which a result differs from the vector's; empty when the emulator is right. */
export function compareResult(vector: Vector, got: Result, options: CompareOptions = {}): Difference[] {
  const list: Difference[] = [];
  const { testCase, result: expected } = vector;
  const approximate = vector.encodings.find((entry) => entry.approximate)?.approximate;
  const wanted = outcomeText(expected.outcome, expected.state.rip);
  const found = outcomeText(got.outcome, got.state.rip);
  if (wanted !== found) list.push({ what: 'outcome', expected: wanted, got: found });
  const names = testCase.mode === 32 ? GPR_32 : GPR_64;
  const bits = testCase.mode === 32 ? 32 : 64;
  names.forEach((what, i) => {
    const [a, b] = [BigInt.asUintN(bits, expected.state.gpr[i]), BigInt.asUintN(bits, got.state.gpr[i])];
    if (a !== b) list.push({ what, expected: hex64(a, bits / 4), got: hex64(b, bits / 4) });
  });
  const flags = ~vector.undefinedFlags;
  if ((expected.state.rflags ^ got.state.rflags) & flags) {
    const note = vector.undefinedFlags ? ` (undefined: ${flagsText(vector.undefinedFlags)})` : '';
    list.push({
      what: 'rflags',
      expected: flagsText(expected.state.rflags & flags),
      got: flagsText(got.state.rflags & flags) + note,
    });
  }
  for (const what of ['fsBase', 'gsBase'] as const) {
    if (expected.state[what] !== got.state[what])
      list.push({ what, expected: hex64(expected.state[what]), got: hex64(got.state[what]) });
  }
  compareX87(vector, got.state, approximate, options, list);
  const [a, b] = [fxView(expected.state).getUint32(FX.mxcsr, true), fxView(got.state).getUint32(FX.mxcsr, true)];
  if (a !== b) list.push({ what: 'mxcsr', expected: a.toString(16), got: b.toString(16) });
  for (let i = 0; i < names.length; i++) {
    const at = FX.xmm + 16 * i;
    if (sameSlot(expected.state, got.state, at, 16)) continue;
    if (approximate === 'reciprocal' && nearlyEqualReciprocals(expected.state, got.state, at)) continue;
    list.push({ what: `xmm${i}`, expected: xmmText(expected.state.fx, at), got: xmmText(got.state.fx, at) });
  }
  compareMemory(testCase.memory, expected.memory, got.memory, list);
  return list;
}

/** True where two results are the same bit for bit. */
export function resultsEqual(a: Result, b: Result): boolean {
  if (outcomeText(a.outcome, a.state.rip) !== outcomeText(b.outcome, b.state.rip)) return false;
  if (a.state.rflags !== b.state.rflags || a.state.fsBase !== b.state.fsBase || a.state.gsBase !== b.state.gsBase)
    return false;
  if (a.state.gpr.some((value, i) => value !== b.state.gpr[i]) || !sameSlot(a.state, b.state, 0, FX.end)) return false;
  if (a.memory.length !== b.memory.length) return false;
  return a.memory.every((span, i) => {
    const other = b.memory[i];
    return (
      span.offset === other.offset &&
      span.bytes.length === other.bytes.length &&
      span.bytes.every((byte, k) => byte === other.bytes[k])
    );
  });
}

function inputLines(testCase: Case): string[] {
  const { state, mode } = testCase;
  const names = mode === 32 ? GPR_32 : GPR_64;
  const digits = mode / 4;
  const perLine = 4;
  const lines: string[] = [];
  for (let i = 0; i < names.length; i += perLine) {
    lines.push(
      `  ${names
        .slice(i, i + perLine)
        .map((name, k) => `${name.padStart(3)} ${hex64(state.gpr[i + k], digits)}`)
        .join('  ')}`,
    );
  }
  const view = fxView(state);
  const word = (name: 'fcw' | 'fsw'): string => `${name} ${view.getUint16(FX[name], true).toString(16)}`;
  const mxcsr = view.getUint32(FX.mxcsr, true).toString(16);
  const ftw = state.fx[FX.ftw].toString(16);
  lines.push(`  rflags ${flagsText(state.rflags)}  mxcsr ${mxcsr}  ${word('fcw')}  ${word('fsw')}  ftw ${ftw}`);
  for (const { offset, bytes } of testCase.memory.slice(0, 3)) {
    lines.push(
      `  window+${offset.toString(16)}: ${hexFromBytes(bytes.slice(0, 32))}${bytes.length > 32 ? ' ...' : ''}`,
    );
  }
  return lines;
}

/** XMM registers or the x87 stack, where the instructions may use them. */
function vectorInputs({ testCase, encodings }: Vector): string[] {
  const { fx } = testCase.state;
  const operands = encodings.map(({ name }) => name).join(' ');
  const lines: string[] = [];
  const columns = (count: number, cell: (i: number) => string): void => {
    for (let i = 0; i < count; i += 2) lines.push(`  ${cell(i)}  ${cell(i + 1)}`);
  };
  if (/ [VWU](ss|sd|ps|pd|dq|x|q)/.test(operands)) {
    columns(testCase.mode === 32 ? 8 : 16, (i) => `${`xmm${i}`.padStart(5)} ${xmmText(fx, FX.xmm + 16 * i)}`);
  }
  if (/ D[89A-F] | [PQN]q/.test(operands)) columns(8, (i) => `st${i} ${extendedText(fx, FX.st + 16 * i)}`);
  return lines;
}

const SHOWN_DIFFERENCES = 12;

/** A report of what differs: name, code, inputs and a table of expected and got. */
export function mismatchText(vector: Vector, differences: readonly Difference[], options: CompareOptions = {}): string {
  const { testCase } = vector;
  const { mode, code, state } = testCase;
  const text = options.disassemble?.(testCase) ?? '';
  const width = Math.max(...differences.map(({ expected }) => expected.length), 8);
  const rows = differences
    .slice(0, SHOWN_DIFFERENCES)
    .map(({ what, expected, got }) => `  ${what.padEnd(12)} ${expected.padEnd(width)}  ${got}`);
  if (differences.length > SHOWN_DIFFERENCES) rows.push(`  and ${differences.length - SHOWN_DIFFERENCES} more`);
  return [
    vector.encodings.map(({ name }) => name).join('; '),
    `  ${mode}-bit code at ${hex64(state.rip, 8)}: ${hexFromBytes(code)}   ${text}`.trimEnd(),
    'input',
    ...inputLines(testCase),
    ...vectorInputs(vector),
    `${'  '.padEnd(15)}${'expected'.padEnd(width)}  got`,
    ...rows,
  ].join('\n');
}
