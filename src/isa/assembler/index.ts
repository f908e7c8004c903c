/** The test assembler. */
export { type Argument, Assembler, type AssemblerOptions, type Program } from './assembler.ts';
export type { EmitOptions } from './encode.ts';
export type { CodeBits } from './memory-operand.ts';
export {
  far, type FarPointer, generalRegister, imm, type Immediate, mem, type Memory, type MemoryOptions, type Operand, reg, type Register, REGISTERS, Sum,
  type Value,
} from './operands.ts';
export { assemble, assembleText } from './syntax.ts';
