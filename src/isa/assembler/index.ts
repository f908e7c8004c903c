/** The test assembler. */
export { type Argument, Assembler, type AssemblerOptions, type Program } from './assembler.ts';
export type { EmitOptions } from './encode.ts';
export type { CodeBits } from './memory-operand.ts';
export {
  type FarPointer,
  far,
  generalRegister,
  type Immediate,
  imm,
  type Memory,
  type MemoryOptions,
  mem,
  type Operand,
  REGISTERS,
  type Register,
  reg,
  Sum,
  type Value,
} from './operands.ts';
export { assemble, assembleText } from './syntax.ts';
