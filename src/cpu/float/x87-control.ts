/** x87 control instructions and the memory images of the x87 state (SDM vol. 1 sections 8.1.10, 8.3.11, 10.5). */
import {
  CONTROL_ALWAYS_ONE,
  CONTROL_MASKS,
  CONTROL_WRITABLE,
  INITIAL_CONTROL,
  INITIAL_STATUS,
  INITIAL_TAGS,
  REGISTER_COUNT,
  STATUS_BUSY,
  STATUS_ERROR_SUMMARY,
  STATUS_EXCEPTIONS,
  STATUS_STACK_FAULT,
  TAG_EMPTY,
  TAG_VALID,
  type X87State,
} from './x87-state.ts';

/** The last non-control instruction, kept by the caller. */
export interface X87Pointers {
  /** Low three bits of the first opcode byte and the ModRM byte: 11 bits. */
  opcode: number;
  instructionPointer: bigint;
  codeSelector: number;
  dataPointer: bigint;
  dataSelector: number;
}

const noPointers = (): X87Pointers => ({
  opcode: 0,
  instructionPointer: 0n,
  codeSelector: 0,
  dataPointer: 0n,
  dataSelector: 0,
});

/** FNINIT; the caller clears its pointers. */
export function initialise(fpu: X87State): void {
  fpu.control = INITIAL_CONTROL;
  fpu.status = INITIAL_STATUS;
  fpu.tags = INITIAL_TAGS;
}

/** FNCLEX. */
export function clearExceptions(fpu: X87State): void {
  fpu.status &= ~(STATUS_EXCEPTIONS | STATUS_STACK_FAULT | STATUS_ERROR_SUMMARY | STATUS_BUSY);
}

/** FLDCW: exceptions already flagged may become pending. */
export function loadControl(fpu: X87State, control: number): void {
  fpu.control = (control & CONTROL_WRITABLE) | CONTROL_ALWAYS_ONE;
  fpu.summarise();
}

/** EMMS: all registers empty; TOP is cleared as by every MMX instruction. */
export function emptyRegisters(fpu: X87State): void {
  fpu.top = 0;
  fpu.tags = INITIAL_TAGS;
}

/** Every MMX instruction but EMMS: TOP zero, all registers in use (SDM vol. 1 section 9.5.1). */
export function enterMmx(fpu: X87State): void {
  fpu.top = 0;
  fpu.tags = 0;
}

/** Formats of the environment image: the operand size and whether the processor is in protected mode (SDM vol. 1 figures 8-9 to 8-12). */
export interface ImageFormat {
  readonly operandSize: 16 | 32;
  /** False in real-address and virtual-8086 mode. */
  readonly protectedMode: boolean;
}

/** Bytes in an environment image (FNSTENV, FLDENV). */
export const environmentSize = (format: ImageFormat): number => (format.operandSize === 16 ? 14 : 28);
/** Bytes in a whole state image (FNSAVE, FRSTOR). */
export const stateSize = (format: ImageFormat): number => environmentSize(format) + REGISTER_COUNT * EXTENDED_SIZE;

const EXTENDED_SIZE = 10;
/** Fields of an environment image, in order, each of operand size. */
const FIELD_CONTROL = 0;
const FIELD_STATUS = 1;
const FIELD_TAGS = 2;
const FIELD_INSTRUCTION = 3;
const FIELD_CODE = 4;
const FIELD_DATA = 5;
const FIELD_DATA_HIGH = 6;
const OPCODE_MASK = 0x7ff;
const RESERVED_HIGH = 0xffff_0000;
/** In real mode, linear addresses are split: 16 bits, then the rest from bit 12 of the next field. */
const REAL_HIGH_SHIFT = 12;

/** The environment image, without the masking that FNSTENV does afterwards. */
function writeEnvironment(
  fpu: X87State,
  pointers: X87Pointers,
  { operandSize, protectedMode }: ImageFormat,
  memory: DataView,
  offset: number,
): void {
  const put = (field: number, value: number, reserved = 0): void => {
    if (operandSize === 16) memory.setUint16(offset + 2 * field, value, true);
    else memory.setUint32(offset + 4 * field, value | reserved, true);
  };
  const instruction = Number(BigInt.asUintN(32, pointers.instructionPointer));
  const data = Number(BigInt.asUintN(32, pointers.dataPointer));
  put(FIELD_CONTROL, fpu.control, RESERVED_HIGH);
  put(FIELD_STATUS, fpu.status, RESERVED_HIGH);
  put(FIELD_TAGS, fpu.tagWord, RESERVED_HIGH);
  if (protectedMode) {
    put(FIELD_INSTRUCTION, instruction);
    put(FIELD_CODE, pointers.codeSelector, (pointers.opcode & OPCODE_MASK) << 16);
    put(FIELD_DATA, data);
    put(FIELD_DATA_HIGH, pointers.dataSelector, RESERVED_HIGH);
    return;
  }
  // The pointers are offsets; real mode images hold linear addresses.
  const linearInstruction = (instruction + 16 * pointers.codeSelector) >>> 0;
  const linearData = (data + 16 * pointers.dataSelector) >>> 0;
  put(FIELD_INSTRUCTION, linearInstruction & 0xffff, RESERVED_HIGH);
  put(FIELD_CODE, ((linearInstruction >>> 16) << REAL_HIGH_SHIFT) | (pointers.opcode & OPCODE_MASK));
  put(FIELD_DATA, linearData & 0xffff, RESERVED_HIGH);
  put(FIELD_DATA_HIGH, (linearData >>> 16) << REAL_HIGH_SHIFT);
}

function readEnvironment(
  fpu: X87State,
  { operandSize, protectedMode }: ImageFormat,
  memory: DataView,
  offset: number,
): X87Pointers {
  const get = (field: number): number =>
    operandSize === 16 ? memory.getUint16(offset + 2 * field, true) : memory.getUint32(offset + 4 * field, true);
  fpu.status = get(FIELD_STATUS) & 0xffff;
  fpu.tags = get(FIELD_TAGS) & 0xffff;
  loadControl(fpu, get(FIELD_CONTROL) & 0xffff);
  const pointers = noPointers();
  if (protectedMode) {
    pointers.instructionPointer = BigInt(get(FIELD_INSTRUCTION));
    pointers.codeSelector = get(FIELD_CODE) & 0xffff;
    pointers.opcode = operandSize === 32 ? (get(FIELD_CODE) >>> 16) & OPCODE_MASK : 0;
    pointers.dataPointer = BigInt(get(FIELD_DATA));
    pointers.dataSelector = get(FIELD_DATA_HIGH) & 0xffff;
    return pointers;
  }
  const linear = (low: number, high: number): bigint =>
    BigInt(((low & 0xffff) | ((high >>> REAL_HIGH_SHIFT) << 16)) >>> 0);
  pointers.opcode = get(FIELD_CODE) & OPCODE_MASK;
  pointers.instructionPointer = linear(get(FIELD_INSTRUCTION), get(FIELD_CODE));
  pointers.dataPointer = linear(get(FIELD_DATA), get(FIELD_DATA_HIGH));
  return pointers;
}

/** FNSTENV: writes the environment image, then masks all exceptions. */
export function storeEnvironment(
  fpu: X87State,
  pointers: X87Pointers,
  format: ImageFormat,
  memory: DataView,
  offset: number,
): void {
  writeEnvironment(fpu, pointers, format, memory, offset);
  fpu.control |= CONTROL_MASKS;
  fpu.summarise();
}

/** FLDENV: reads the environment image; the pointers it held are returned. */
export const loadEnvironment = (fpu: X87State, format: ImageFormat, memory: DataView, offset: number): X87Pointers =>
  readEnvironment(fpu, format, memory, offset);

/** FNSAVE: writes the environment and ST(0)..ST(7), then initialises; the caller clears its pointers. */
export function saveState(
  fpu: X87State,
  pointers: X87Pointers,
  format: ImageFormat,
  memory: DataView,
  offset: number,
): void {
  writeEnvironment(fpu, pointers, format, memory, offset);
  let at = offset + environmentSize(format);
  for (let index = 0; index < REGISTER_COUNT; index++, at += EXTENDED_SIZE) {
    memory.setBigUint64(at, fpu.significand(index), true);
    memory.setUint16(at + 8, fpu.signExponent(index), true);
  }
  initialise(fpu);
}

/** FRSTOR: reads the environment and ST(0)..ST(7). */
export function restoreState(fpu: X87State, format: ImageFormat, memory: DataView, offset: number): X87Pointers {
  const pointers = readEnvironment(fpu, format, memory, offset);
  const { tags } = fpu;
  let at = offset + environmentSize(format);
  for (let index = 0; index < REGISTER_COUNT; index++, at += EXTENDED_SIZE) {
    fpu.setBits(index, memory.getUint16(at + 8, true), memory.getBigUint64(at, true));
  }
  fpu.tags = tags;
  return pointers;
}

/** The x87 part of the FXSAVE image (SDM vol. 1 table 10-2). */
const FXSAVE_CONTROL = 0;
const FXSAVE_STATUS = 2;
const FXSAVE_TAGS = 4;
const FXSAVE_OPCODE = 6;
const FXSAVE_INSTRUCTION = 8;
const FXSAVE_CODE = 12;
const FXSAVE_DATA = 16;
const FXSAVE_DATA_SELECTOR = 20;
const FXSAVE_REGISTERS = 32;
const FXSAVE_REGISTER_STRIDE = 16;

/** FXSAVE, XSAVE: writes the x87 fields and ST(0)..ST(7); MXCSR and XMM are the caller's. `wide` is the REX.W form. */
export function storeFxsave(
  fpu: X87State,
  pointers: X87Pointers,
  wide: boolean,
  memory: DataView,
  offset: number,
): void {
  memory.setUint16(offset + FXSAVE_CONTROL, fpu.control, true);
  memory.setUint16(offset + FXSAVE_STATUS, fpu.status, true);
  memory.setUint16(offset + FXSAVE_TAGS, abridgedTags(fpu), true);
  memory.setUint16(offset + FXSAVE_OPCODE, pointers.opcode & OPCODE_MASK, true);
  if (wide) {
    memory.setBigUint64(offset + FXSAVE_INSTRUCTION, pointers.instructionPointer, true);
    memory.setBigUint64(offset + FXSAVE_DATA, pointers.dataPointer, true);
  } else {
    memory.setUint32(offset + FXSAVE_INSTRUCTION, Number(BigInt.asUintN(32, pointers.instructionPointer)), true);
    memory.setUint32(offset + FXSAVE_CODE, pointers.codeSelector, true);
    memory.setUint32(offset + FXSAVE_DATA, Number(BigInt.asUintN(32, pointers.dataPointer)), true);
    memory.setUint32(offset + FXSAVE_DATA_SELECTOR, pointers.dataSelector, true);
  }
  for (let index = 0; index < REGISTER_COUNT; index++) {
    const at = offset + FXSAVE_REGISTERS + index * FXSAVE_REGISTER_STRIDE;
    memory.setBigUint64(at, fpu.significand(index), true);
    memory.setBigUint64(at + 8, BigInt(fpu.signExponent(index)), true);
  }
}

/** FXRSTOR, XRSTOR: reads the x87 fields and ST(0)..ST(7); the pointers are returned. */
export function loadFxsave(fpu: X87State, wide: boolean, memory: DataView, offset: number): X87Pointers {
  fpu.status = memory.getUint16(offset + FXSAVE_STATUS, true);
  loadControl(fpu, memory.getUint16(offset + FXSAVE_CONTROL, true));
  for (let index = 0; index < REGISTER_COUNT; index++) {
    const at = offset + FXSAVE_REGISTERS + index * FXSAVE_REGISTER_STRIDE;
    fpu.setBits(index, memory.getUint16(at + 8, true), memory.getBigUint64(at, true));
  }
  fpu.tags = expandTags(memory.getUint8(offset + FXSAVE_TAGS));
  const pointers = noPointers();
  pointers.opcode = memory.getUint16(offset + FXSAVE_OPCODE, true) & OPCODE_MASK;
  if (wide) {
    pointers.instructionPointer = memory.getBigUint64(offset + FXSAVE_INSTRUCTION, true);
    pointers.dataPointer = memory.getBigUint64(offset + FXSAVE_DATA, true);
  } else {
    pointers.instructionPointer = BigInt(memory.getUint32(offset + FXSAVE_INSTRUCTION, true));
    pointers.codeSelector = memory.getUint16(offset + FXSAVE_CODE, true);
    pointers.dataPointer = BigInt(memory.getUint32(offset + FXSAVE_DATA, true));
    pointers.dataSelector = memory.getUint16(offset + FXSAVE_DATA_SELECTOR, true);
  }
  return pointers;
}

/** One bit per physical register, set where it is in use. */
export function abridgedTags(fpu: X87State): number {
  let bits = 0;
  for (let physical = 0; physical < REGISTER_COUNT; physical++) {
    if (((fpu.tags >> (2 * physical)) & TAG_EMPTY) !== TAG_EMPTY) bits |= 1 << physical;
  }
  return bits;
}

/** A tag word from its abridged form; `tagWord` derives zero and special from the contents. */
export function expandTags(abridged: number): number {
  let word = 0;
  for (let physical = 0; physical < REGISTER_COUNT; physical++) {
    word |= ((abridged >> physical) & 1 ? TAG_VALID : TAG_EMPTY) << (2 * physical);
  }
  return word;
}
