/** Cases of several instructions, and loops over them. */

import type { Case, Mode, ProcessorState } from './case.ts';
import { AF, CODE_MAXIMUM, copyState, DATA_BASE, DATA_SIZE } from './case.ts';
import { fillMemory, littleEndian, narrow, Setup, setRegister } from './cases.ts';
import type { EncodedInstruction, Encoding } from './encoding.ts';
import type { Random } from './random.ts';
import { CODE_START, randomFlags } from './states.ts';

const RSP = 4;

/** Leaves a sequence, faults too often, moves what others address, or shows flags an earlier one left undefined. */
const NOT_IN_SEQUENCES = new RegExp(
  `^(${[
    'J\\w+',
    'LOOP\\w*',
    'CALL',
    'RET',
    'UD\\d',
    'CLI',
    'STI',
    'LLDT',
    'LTR',
    'SWAPGS',
    'INTO',
    'BOUND',
    'DIV',
    'IDIV',
    'LAHF',
    'PUSHF',
    'POPF',
    'AAA',
    'AAS',
    'DAA',
    'DAS',
    'FXRSTOR',
    'LDMXCSR',
    'POPA',
    'WRFSBASE',
    'WRGSBASE',
    'STD',
    'XLAT',
    'MASKMOV\\w+',
  ].join('|')}) `,
);

/**
 * Encodings that can be part of a sequence. Not shifts by CL: their count, and with it what they leave undefined, is
 * not known beforehand.
 */
export function sequenceable(encodings: readonly Encoding[], mode: Mode): Encoding[] {
  return encodings.filter(
    ({ name, modes, approximate, unit }) =>
      modes.includes(mode) &&
      !approximate &&
      unit !== 'x87' &&
      unit !== 'mmx' &&
      !NOT_IN_SEQUENCES.test(name) &&
      !name.endsWith(' cpl0') &&
      !name.endsWith(',CL'),
  );
}

/** Where a loop keeps its counter, apart from most operands. */
const LOOP_COUNTER = DATA_BASE + DATA_SIZE - 0x10;

/** DEC of the counter in memory and JNZ to the start of the code: `FF /1` with a plain address, `75 cb`. */
function loopTail(mode: Mode, bodyLength: number): number[] {
  const address = [...littleEndian(BigInt(LOOP_COUNTER), 4)];
  const decrement = mode === 64 ? [0xff, 0x0c, 0x25, ...address] : [0xff, 0x0d, ...address];
  return [...decrement, 0x75, -(bodyLength + decrement.length + 2) & 0xff];
}

/** What one attempt to extend a sequence gives. */
interface Step {
  encoding: Encoding;
  setup: Setup;
  undefinedFlags: number;
}

const ATTEMPTS = 1000;

/** An instruction that needs no set-up of its own and leaves at most AF undefined, which no other one here looks at. */
function nextStep(usable: readonly Encoding[], random: Random, mode: Mode, state: ProcessorState, at: number): Step {
  for (let attempt = 0; attempt < ATTEMPTS && usable.length > 0; attempt++) {
    const encoding = random.pick(usable);
    const encoded = encoding.encode(random, { mode, rip: CODE_START + BigInt(at), selfContained: true });
    const testCase: Case = { mode, code: encoded.bytes, state, memory: [] };
    const undefinedFlags = encoding.undefinedFlags(encoded, testCase);
    if (encoded.family !== 'plain' || undefinedFlags & ~AF || encoding.undefinedResult?.(encoded, testCase)) continue;
    return { encoding, setup: new Setup(random, mode, encoded, state), undefinedFlags };
  }
  throw new Error('no encoding that matches can be part of a sequence');
}

export interface SequenceOptions {
  /** Instructions. */
  length: number;
  /** More than 1 makes the instructions the body of a loop. */
  iterations: number;
}

/**
 * A case of several of the encodings (see {@link sequenceable}), for stages that carry flags and registers from one
 * instruction to the next. Memory operands are addressed absolutely, so that no instruction moves another's. The
 * counter of a loop is in memory, where only a stray store can reach it.
 */
export function generateSequence(
  usable: readonly Encoding[],
  random: Random,
  mode: Mode,
  base: ProcessorState,
  options: SequenceOptions,
): { testCase: Case; encodings: Encoding[]; undefinedFlags: number } {
  for (;;) {
    const state = copyState(base);
    state.rip = CODE_START;
    state.rflags = randomFlags(random);
    const code: number[] = [];
    const whole = new Setup(random, mode, NO_INSTRUCTION, state);
    const encodings: Encoding[] = [];
    let undefinedFlags = 0;
    for (let i = 0; i < options.length; i++) {
      const { encoding, setup, undefinedFlags: flags } = nextStep(usable, random, mode, state, code.length);
      const { registers, memory, bytes } = setup.encoded;
      for (const register of registers) if (register.number !== RSP) setRegister(setup, register);
      if (memory) fillMemory(setup, memory);
      for (const [at, byte] of setup.memory) whole.memory.set(at, byte);
      code.push(...bytes);
      encodings.push(encoding);
      undefinedFlags |= flags;
    }
    if (options.iterations > 1) {
      whole.write(BigInt(LOOP_COUNTER), littleEndian(BigInt(options.iterations), 4));
      code.push(...loopTail(mode, code.length));
    }
    if (code.length > CODE_MAXIMUM) continue;
    if (mode === 32) narrow(state);
    return { testCase: { mode, code: Uint8Array.from(code), state, memory: whole.spans() }, encodings, undefinedFlags };
  }
}

const NO_INSTRUCTION: EncodedInstruction = {
  bytes: new Uint8Array(0),
  family: 'plain',
  registers: [],
  operandBits: 32,
  repeat: false,
};
