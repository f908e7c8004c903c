/**
 * Instruction definitions: rows in the manual's notation and one `execute`. Everything else (decoder, disassembler, test
 * assembler, fuzzer, intercepts, CPUID gating, coverage page) derives from these rows.
 *
 * An encoding is one line:
 *
 *     [prefix] opcode bytes [/digit | (ModRM)] [operands] [attributes]
 *
 * - prefix: `NP` (no 66/F2/F3), `66`, `F2`, `F3`: mandatory prefix; absent: prefixes have their usual meaning.
 *   `W0`/`W1`: REX.W must be clear/set.
 * - opcode bytes: hexadecimal, `0F`, `0F 38`, `0F 3A` select the map; `+r` (low 3 bits are a register), `+cc` (low 4 bits
 *   are a condition).
 * - `/0`-`/7`: the reg field of ModRM extends the opcode. `(C8)`: the whole ModRM byte is fixed; `(C0+i)`: a register form
 *   with the low three bits free.
 * - operands: SDM vol. 2 appendix A codes, an addressing letter and a width:
 *   E general register or memory, G general register (reg), M memory only, R general register only (rm), Z register in the opcode,
 *   I immediate, J relative branch, A far pointer, O direct offset, S segment register (reg), C control, D debug register,
 *   V XMM (reg), W XMM or memory, U XMM only (rm), P MMX (reg), Q MMX or memory, N MMX only (rm);
 *   widths b w d q dq, v (16/32/64 by operand size), z (16/32), y (32/64), ss sd (scalar float), ps pd x (128), p (far pointer),
 *   none (address only); `Ibs` a byte sign-extended to the operand size. Fixed: AL AX rAX CL DX 1 ES CS SS DS FS GS.
 * - attributes: `lock` (LOCK allowed with a memory destination), `d64` (operand size defaults to 64 bits in 64-bit mode),
 *   `f64` (is 64 bits there), `no64` (#UD in 64-bit mode), `only64`, `cpl0` (#GP(0) unless CPL is 0), `rep` (takes REP/REPNE),
 *   `prot` (#UD in real-address and virtual-8086 mode), `reg`/`mem` (E/W/Q only as register/memory).
 */
import type { Stage } from './stage.ts';

/** CPUID features that gate rows; absent means always there. */
export type Feature =
  | 'fpu'
  | 'cx8'
  | 'cmov'
  | 'mmx'
  | 'fxsr'
  | 'sse'
  | 'sse2'
  | 'sse3'
  | 'ssse3'
  | 'sse4.1'
  | 'sse4.2'
  | 'popcnt'
  | 'cx16'
  | 'clflush'
  | 'clflushopt'
  | 'clwb'
  | 'xsave'
  | 'xsaveopt'
  | 'xsavec'
  | 'xsaves'
  | 'fsgsbase'
  | 'rdtscp'
  | 'rdrand'
  | 'rdseed'
  | 'rdpid'
  | 'monitor'
  | 'smap'
  | 'invpcid'
  | 'umip'
  | 'svm'
  | 'vmx'
  | 'syscall'
  | 'sysenter'
  | 'lahf64'
  | 'movbe'
  | 'msr'
  | 'tsc'
  | 'prefetchw'
  | 'skinit'
  | 'clzero';

/** SVM instruction intercepts by name (APM vol. 2 table 15-7); see cpu/svm/intercepts.ts for bits and exit codes. */
export type Intercept =
  | 'IDTR_READ'
  | 'GDTR_READ'
  | 'LDTR_READ'
  | 'TR_READ'
  | 'IDTR_WRITE'
  | 'GDTR_WRITE'
  | 'LDTR_WRITE'
  | 'TR_WRITE'
  | 'RDTSC'
  | 'RDPMC'
  | 'PUSHF'
  | 'POPF'
  | 'CPUID'
  | 'RSM'
  | 'IRET'
  | 'SWINT'
  | 'INVD'
  | 'PAUSE'
  | 'HLT'
  | 'INVLPG'
  | 'INVLPGA'
  | 'IOIO'
  | 'MSR'
  | 'VMRUN'
  | 'VMMCALL'
  | 'VMLOAD'
  | 'VMSAVE'
  | 'STGI'
  | 'CLGI'
  | 'SKINIT'
  | 'RDTSCP'
  | 'ICEBP'
  | 'WBINVD'
  | 'MONITOR'
  | 'MWAIT'
  | 'XSETBV'
  | 'RDPRU'
  | 'INVPCID'
  | 'INVLPGB'
  | 'MCOMMIT';

export type FlagLetter = 'C' | 'P' | 'A' | 'Z' | 'S' | 'O';

export interface InstructionOptions {
  readonly encodings: readonly string[];
  /** Access to each operand; default `rw` for the first of several, `r` for the rest; a single operand is `rw`. */
  readonly access?: readonly ('r' | 'w' | 'rw')[];
  readonly feature?: Feature;
  /** Checked after privilege, before `execute`; omit where the helper must look at operands or order first. */
  readonly intercept?: Intercept;
  /** Arithmetic flags the manual leaves undefined, for comparisons (e.g. 'OA'). */
  readonly undefinedFlags?: string;
  /** Which unit must be usable: #NM on CR0.TS / #UD on CR0.EM or without CR4.OSFXSR, as SDM vol. 3A 2.5 says. */
  readonly unit?: 'x87' | 'mmx' | 'sse';
  execute(x: Stage): void;
}

export interface Instruction extends InstructionOptions {
  readonly mnemonic: string;
}

export function instruction(mnemonic: string, options: InstructionOptions): Instruction {
  return { mnemonic, ...options };
}
