/**
 * The `x87` system helper: decodes opcode and ModRM, fetches and stores memory operands, and lets the x87 unit
 * (src/cpu/float) work on the context. Memory faults come before any change of state.
 */
import { Vector } from '../../isa/stage.ts';
import { CS, SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { ABORTED, fault } from '../fault.ts';
import { arithmeticFlags, setArithmeticFlags } from '../flags.ts';
import { fromInteger } from '../float/arithmetic.ts';
import { decode32, decode64 } from '../float/encoding.ts';
import type { Float } from '../float/number.ts';
import * as arithmetic from '../float/x87-arithmetic.ts';
import * as comparison from '../float/x87-compare.ts';
import * as control from '../float/x87-control.ts';
import type { X87State } from '../float/x87-state.ts';
import * as transcendental from '../float/x87-transcendental.ts';
import * as transfer from '../float/x87-transfer.ts';
import { FLAG } from '../system/registers.ts';
import { segmentBase } from '../system/segments.ts';
import { x87Pending } from './x87-pending.ts';
import { EXTENDED_BYTES, type Unit, unitOf } from './x87-unit.ts';

type Work = (unit: Unit, index: number) => void;

/** How an instruction relates to pending exceptions and to the last-instruction pointers. */
interface Action {
  readonly work: Work;
  /** Reports a pending exception first. */
  readonly waits: boolean;
  /** Becomes the last non-control instruction (SDM vol. 1 8.1.8). */
  readonly noted: boolean;
}
const action = (work: Work): Action => ({ work, waits: true, noted: true });
const controlAction = (work: Work): Action => ({ work, waits: true, noted: false });
const nonWaiting = (work: Work): Action => ({ work, waits: false, noted: false });

// ---- memory operands

const readers: Readonly<Record<string, (unit: Unit) => Float>> = {
  binary32: ({ cpu, address }) => decode32(cpu.linear.readU32(address)),
  binary64: ({ cpu, address }) => decode64(cpu.linear.readU64(address)),
  int16: (unit) => fromInteger(readInt16(unit)),
  int32: (unit) => fromInteger(readInt32(unit)),
};
const readInt16 = ({ cpu, address }: Unit): bigint => BigInt.asIntN(16, BigInt(cpu.linear.readU16(address)));
const readInt32 = ({ cpu, address }: Unit): bigint => BigInt.asIntN(32, BigInt(cpu.linear.readU32(address)));
const readInt64 = ({ cpu, address }: Unit): bigint => BigInt.asIntN(64, cpu.linear.readU64(address));

/** Memory forms of arithmetic and comparison in the order of their digits. */
function arithmeticForms(read: (unit: Unit) => Float): Action[] {
  const arithmeticForm = (operation: arithmetic.X87Operation) =>
    action((unit) => arithmetic.arithmeticMemory(unit.fpu, operation, read(unit)));
  const compareForm = (pop: boolean) => action((unit) => comparison.compareMemory(unit.fpu, read(unit), pop));
  const { FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR } = arithmetic;
  return [
    arithmeticForm(FADD),
    arithmeticForm(FMUL),
    compareForm(false),
    compareForm(true),
    arithmeticForm(FSUB),
    arithmeticForm(FSUBR),
    arithmeticForm(FDIV),
    arithmeticForm(FDIVR),
  ];
}

const loadFloat = (read: (unit: Unit) => Float) => action((unit) => transfer.loadFloat(unit.fpu, read(unit)));
const loadInteger = (read: (unit: Unit) => bigint) => action((unit) => transfer.loadInteger(unit.fpu, read(unit)));
const storeSingle = (pop: boolean) =>
  action((unit) => unit.store(4, (image) => transfer.storeBinary32(unit.fpu, image, 0, pop)));
const storeDouble = (pop: boolean) =>
  action((unit) => unit.store(8, (image) => transfer.storeBinary64(unit.fpu, image, 0, pop)));
const storeInteger = (bits: 16 | 32 | 64, pop: boolean, truncate = false) =>
  action((unit) => unit.store(bits / 8, (image) => transfer.storeInteger(unit.fpu, image, 0, bits, pop, truncate)));

const storeWord = (value: (unit: Unit) => number) =>
  nonWaiting((unit) => unit.cpu.linear.writeU16(unit.address, value(unit)));

const loadExtended = action((unit) => {
  const image = unit.fetch(EXTENDED_BYTES);
  transfer.loadExtended(unit.fpu, image.getUint16(8, true), image.getBigUint64(0, true));
});
const loadDecimal = action((unit) => {
  const image = unit.fetch(EXTENDED_BYTES);
  transfer.loadDecimal(unit.fpu, image.getBigUint64(0, true), image.getUint16(8, true));
});
const storeExtended = action((unit) =>
  unit.store(EXTENDED_BYTES, (image) => transfer.storeExtended(unit.fpu, image, 0)),
);
const storeDecimal = action((unit) => unit.store(EXTENDED_BYTES, (image) => transfer.storeDecimal(unit.fpu, image, 0)));

const loadEnvironment = controlAction((unit) => {
  const { format } = unit;
  const image = unit.fetch(control.environmentSize(format));
  unit.pointers = control.loadEnvironment(unit.fpu, format, image, 0);
});
const storeEnvironment = nonWaiting((unit) => {
  const { format } = unit;
  unit.store(control.environmentSize(format), (image) => {
    control.storeEnvironment(unit.fpu, unit.pointers, format, image, 0);
    return true;
  });
});
const restoreState = controlAction((unit) => {
  const { format } = unit;
  const image = unit.fetch(control.stateSize(format));
  unit.pointers = control.restoreState(unit.fpu, format, image, 0);
});
const saveState = nonWaiting((unit) => {
  const { format } = unit;
  unit.store(control.stateSize(format), (image) => {
    control.saveState(unit.fpu, unit.pointers, format, image, 0);
    unit.clearPointers();
    return true;
  });
});
const loadControl = controlAction((unit) => control.loadControl(unit.fpu, unit.cpu.linear.readU16(unit.address)));

/** By the low three opcode bits and the digit; holes are undefined opcodes. */
const MEMORY_FORMS: readonly (readonly (Action | undefined)[])[] = [
  arithmeticForms(readers.binary32),
  [
    loadFloat(readers.binary32),
    undefined,
    storeSingle(false),
    storeSingle(true),
    loadEnvironment,
    loadControl,
    storeEnvironment,
    storeWord(({ fpu }) => fpu.control),
  ],
  arithmeticForms(readers.int32),
  [
    loadInteger(readInt32),
    storeInteger(32, true, true),
    storeInteger(32, false),
    storeInteger(32, true),
    undefined,
    loadExtended,
    undefined,
    storeExtended,
  ],
  arithmeticForms(readers.binary64),
  [
    loadFloat(readers.binary64),
    storeInteger(64, true, true),
    storeDouble(false),
    storeDouble(true),
    restoreState,
    undefined,
    saveState,
    storeWord(({ fpu }) => fpu.status),
  ],
  arithmeticForms(readers.int16),
  [
    loadInteger(readInt16),
    storeInteger(16, true, true),
    storeInteger(16, false),
    storeInteger(16, true),
    loadDecimal,
    loadInteger(readInt64),
    storeDecimal,
    storeInteger(64, true),
  ],
];

// ---- register operands

type StackWork = (fpu: X87State, index: number) => void;
const onStack = (work: StackWork) => action(({ fpu }, index) => work(fpu, index));

/** ST(0) op= ST(i), or ST(i) op= ST(0) with `reversed`. */
const stackArithmetic = (operation: arithmetic.X87Operation, reversed: boolean, pop = false) =>
  onStack((fpu, index) => arithmetic.arithmeticStack(fpu, operation, reversed ? index : 0, reversed ? 0 : index, pop));
const stackCompare = (pops: number) => onStack((fpu, index) => comparison.compareStack(fpu, index, pops));
const stackUnordered = (pops: number) => onStack((fpu, index) => comparison.compareUnordered(fpu, index, pops));
const conditionalMove = (flags: number, wanted: boolean) =>
  action(({ cpu, fpu }, index) =>
    transfer.conditionalMove(fpu, index, ((arithmeticFlags(cpu) & flags) !== 0) === wanted),
  );
const compareToFlags = (signalQuiet: boolean, pop: boolean) =>
  action(({ cpu, fpu }, index) => setArithmeticFlags(cpu, comparison.compareToFlags(fpu, index, signalQuiet, pop)));
const exchange = onStack(transfer.exchange);
const storeAndPop = onStack((fpu, index) => transfer.storeStack(fpu, index, true));
/** D9 D8+i: an empty ST(0) is popped without a stack fault. */
const storeAndPopSilently = onStack((fpu, index) => {
  if (!fpu.isEmpty(0)) {
    transfer.storeStack(fpu, index, true);
    return;
  }
  fpu.begin();
  fpu.pop();
});
const freeAndPop = onStack((fpu, index) => {
  transfer.free(fpu, index);
  fpu.pop();
});
const storeStatus = nonWaiting(({ cpu, fpu }) => {
  cpu.gpr[0] = (cpu.gpr[0] & ~0xffffn) | BigInt(fpu.status);
});
const nothing = () => {};

/** Eight entries that differ by ST(i), or single ones where a byte of the table stands alone. */
type Group = Action | undefined | readonly (Action | undefined)[];

const D9_E0: Group = [
  onStack(arithmetic.changeSignSt0),
  onStack(arithmetic.absoluteSt0),
  undefined,
  undefined,
  onStack(comparison.testSt0),
  onStack(comparison.examineSt0),
  undefined,
  undefined,
];
const D9_E8: Group = [
  onStack(transcendental.loadOne),
  onStack(transcendental.loadLog2Ten),
  onStack(transcendental.loadLog2E),
  onStack(transcendental.loadPi),
  onStack(transcendental.loadLog10Two),
  onStack(transcendental.loadLnTwo),
  onStack(transcendental.loadZero),
  undefined,
];
const D9_F0: Group = [
  onStack(transcendental.exponentialSt0),
  onStack(transcendental.logarithmSt1),
  onStack(transcendental.tangentSt0),
  onStack(transcendental.arctangentSt1),
  onStack(arithmetic.extractSt0),
  onStack(arithmetic.ieeeRemainderSt0),
  onStack(transfer.decrementTop),
  onStack(transfer.incrementTop),
];
const D9_F8: Group = [
  onStack(arithmetic.partialRemainderSt0),
  onStack(transcendental.logarithmPlusOneSt1),
  onStack(arithmetic.squareRootSt0),
  onStack(transcendental.sineCosineSt0),
  onStack(arithmetic.roundSt0),
  onStack(arithmetic.scaleSt0),
  onStack(transcendental.sineSt0),
  onStack(transcendental.cosineSt0),
];
const DB_E0: Group = [
  nonWaiting(nothing),
  nonWaiting(nothing),
  nonWaiting(({ fpu }) => control.clearExceptions(fpu)),
  nonWaiting((unit) => {
    control.initialise(unit.fpu);
    unit.clearPointers();
  }),
  nonWaiting(nothing),
  undefined,
  undefined,
  undefined,
];
const alone = (work: Action, at: number): Group => Array.from({ length: 8 }, (_, i) => (i === at ? work : undefined));
const { FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR } = arithmetic;
const { CF, ZF, PF } = FLAG;

/** By the low three opcode bits and bits 5:3 of ModRM. */
const REGISTER_FORMS: readonly (readonly Group[])[] = [
  [
    stackArithmetic(FADD, false),
    stackArithmetic(FMUL, false),
    stackCompare(0),
    stackCompare(1),
    stackArithmetic(FSUB, false),
    stackArithmetic(FSUBR, false),
    stackArithmetic(FDIV, false),
    stackArithmetic(FDIVR, false),
  ],
  [
    onStack(transfer.loadStack),
    exchange,
    alone(controlAction(nothing), 0),
    storeAndPopSilently,
    D9_E0,
    D9_E8,
    D9_F0,
    D9_F8,
  ],
  [
    conditionalMove(CF, true),
    conditionalMove(ZF, true),
    conditionalMove(CF | ZF, true),
    conditionalMove(PF, true),
    undefined,
    alone(stackUnordered(2), 1),
    undefined,
    undefined,
  ],
  [
    conditionalMove(CF, false),
    conditionalMove(ZF, false),
    conditionalMove(CF | ZF, false),
    conditionalMove(PF, false),
    DB_E0,
    compareToFlags(false, false),
    compareToFlags(true, false),
    undefined,
  ],
  [
    stackArithmetic(FADD, true),
    stackArithmetic(FMUL, true),
    stackCompare(0),
    stackCompare(1),
    stackArithmetic(FSUBR, true),
    stackArithmetic(FSUB, true),
    stackArithmetic(FDIVR, true),
    stackArithmetic(FDIV, true),
  ],
  [
    onStack(transfer.free),
    exchange,
    onStack((fpu, index) => transfer.storeStack(fpu, index, false)),
    storeAndPop,
    stackUnordered(0),
    stackUnordered(1),
    undefined,
    undefined,
  ],
  [
    stackArithmetic(FADD, true, true),
    stackArithmetic(FMUL, true, true),
    stackCompare(1),
    alone(stackCompare(2), 1),
    stackArithmetic(FSUBR, true, true),
    stackArithmetic(FSUB, true, true),
    stackArithmetic(FDIVR, true, true),
    stackArithmetic(FDIV, true, true),
  ],
  [
    freeAndPop,
    exchange,
    storeAndPop,
    storeAndPop,
    alone(storeStatus, 0),
    compareToFlags(false, true),
    compareToFlags(true, true),
    undefined,
  ],
];

/** Everything above by opcode: bits 10:8 of the index low opcode bits, bits 7:0 ModRM. */
const ACTIONS: readonly (Action | undefined)[] = Array.from({ length: 0x800 }, (_, opcode) => {
  const digit = (opcode >> 3) & 7;
  if ((opcode & 0xc0) !== 0xc0) return MEMORY_FORMS[opcode >> 8][digit];
  const group = REGISTER_FORMS[opcode >> 8][digit];
  return Array.isArray(group) ? (group as readonly (Action | undefined)[])[opcode & 7] : (group as Action | undefined);
});

/**
 * Executes an x87 instruction.
 * @param opcode low three bits of D8-DF << 8 | ModRM
 * @param lo linear address of the memory operand (0 without one), checked against its segment
 * @param operandBits effective operand size, for the environment images
 * @param segment number of the segment register the operand was reached through
 */
export function x87(cpu: Cpu, opcode: number, lo: number, hi: number, operandBits: number, segment: number): void {
  const found = ACTIONS[opcode];
  if (!found) throw fault(cpu, Vector.UD);
  const unit = unitOf(cpu);
  if (found.waits && unit.fpu.exceptionPending && x87Pending(cpu) !== 0) throw ABORTED;
  const memory = (opcode & 0xc0) !== 0xc0;
  if (memory) unit.address = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
  unit.operandSize = operandBits === 16 ? 16 : 32;
  try {
    found.work(unit, opcode & 7);
  } catch (reason) {
    // a non-canonical address through SS
    if (reason === ABORTED && segment === SS && cpu.faultVector === Vector.GP) cpu.faultVector = Vector.SS;
    throw reason;
  }
  if (!found.noted) return;
  cpu.x87Opcode = opcode;
  cpu.x87Ip = cpu.rip;
  cpu.x87Cs = cpu.segments[CS].selector;
  if (!memory) return;
  cpu.x87Dp = BigInt.asUintN(64, unit.address - segmentBase(cpu, segment));
  cpu.x87Ds = cpu.segments[segment].selector;
}
