/**
 * The seam between the generator and whoever knows instructions: an {@link EncodingSource} gives encodings, an encoding
 * gives bytes and says which registers and memory they use, and the generator makes a state in which running them is
 * worth while. rows.ts makes encodings from instruction rows in the manual's notation.
 */
import type { Case, Mode } from './case.ts';
import type { Random } from './random.ts';
import type { ValueKind } from './values.ts';

/** How a memory operand's address is formed, and where the generator wants it to point. */
export interface MemoryOperand {
  /** General register numbers. */
  base?: number;
  index?: number;
  scale: number;
  /** Sign-extended displacement, the address itself without base and index, or relative to the next instruction. */
  displacement: bigint;
  addressBits: 64 | 32 | 16;
  /** A prefix that matters: 64-bit mode has bases in FS and GS only. */
  segment?: 'fs' | 'gs';
  /** Linear address the operand is meant to have. */
  target: bigint;
  /** Bytes accessed; 0 where nothing is (LEA). */
  size: number;
}

/** A register operand other than those inside a memory operand. */
export interface RegisterOperand {
  file: 'gpr' | 'xmm' | 'mmx' | 'x87';
  /** Register number; for x87 the stack position. */
  number: number;
  values: ValueKind;
}

/** What the generator must arrange beyond operands. */
export type Family =
  | 'plain'
  /** Uses RSI, RDI and, with REP, RCX. */
  | 'string'
  /** Pushes or pops. */
  | 'stack'
  /** Pops its target from the stack. */
  | 'return'
  /** Takes its target from its operand. */
  | 'indirect-branch'
  /** Divides RDX:RAX or AX. */
  | 'divide';

export interface EncodedInstruction {
  bytes: Uint8Array;
  family: Family;
  registers: RegisterOperand[];
  memory?: MemoryOperand & { values: ValueKind };
  /** Operand size in bits of general-register instructions; of string instructions and divisions 8 too. */
  operandBits: number;
  repeat: boolean;
}

/** Results that no manual fixes bit by bit. */
export type Approximation =
  /** RCPPS and the like: relative error below 1.5 * 2^-12 (SDM vol. 2B "RCPPS"). */
  | 'reciprocal'
  /** x87 transcendental instructions: error below 1 ulp (SDM vol. 1 8.3.10). */
  | 'transcendental';

/** Where the generated code is allowed to look for operands. */
export interface EncodingRequest {
  mode: Mode;
  /** Address of the instruction's first byte, for RIP-relative operands. */
  rip: bigint;
  /**
   * Only operands that need no register set up for them: one instruction of a sequence must not spoil the next one's.
   */
  selfContained: boolean;
}

export interface Encoding {
  /** Mnemonic and row, for instance `ADD 01 Ev,Gv`. */
  name: string;
  modes: readonly Mode[];
  /** Which state matters: x87 and MMX cases get an FPU stack, SSE cases an MXCSR. */
  unit?: 'x87' | 'mmx' | 'sse';
  approximate?: Approximation;
  encode(random: Random, request: EncodingRequest): EncodedInstruction;
  /** RFLAGS bits the manual leaves undefined after this case of the encoding. */
  undefinedFlags(instruction: EncodedInstruction, testCase: Case): number;
  /** True where even the result is undefined, so that the case is not worth keeping. */
  undefinedResult?(instruction: EncodedInstruction, testCase: Case): boolean;
}

export interface EncodingSource {
  encodings(): Iterable<Encoding>;
}
