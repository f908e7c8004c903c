/**
 * The helpers instructions may call: functions of src/cpu, written in TypeScript. Their names and signatures are declared
 * here so that instruction definitions stay below the processor; src/cpu/system implements every one (a missing one does
 * not compile).
 *
 * Two kinds:
 * - **system** helpers run with the architectural state committed: `cpu.rip` is the current instruction, `cpu.nextRip`
 *   the following one (assign it to branch). They may raise a fault (throw `Fault`), exit to a hypervisor, change mode.
 *   The instruction ends with them: nothing may follow the call in `execute`.
 * - **light** helpers compute with their arguments and the context's scratch fields; registers may still be in locals of
 *   the emitted code, so they must not look at general registers, flags or RIP. A `status` result other than 0 means
 *   that the helper set the context's pending fault and the instruction must end.
 *
 * Every argument is a 32-bit integer; an i64 value given at the call is passed as two arguments, low half first.
 */
export interface HelperDeclaration {
  readonly kind: 'system' | 'light';
  /** What comes back (light helpers): nothing, a 32-bit integer, or a status (0 = go on, otherwise fault). */
  readonly result: 'none' | 'i32' | 'status';
}

const SYSTEM = { kind: 'system', result: 'none' } as const;

export const HELPERS = {
  // --- processor identification, registers, time
  cpuid: SYSTEM,
  rdmsr: SYSTEM,
  wrmsr: SYSTEM,
  rdtsc: SYSTEM,
  rdtscp: SYSTEM,
  rdpmc: SYSTEM,
  rdpid: SYSTEM,
  /** (bits, register): RDRAND / RDSEED. */
  rdrand: SYSTEM,
  rdseed: SYSTEM,
  /** (control register number, general register number). */
  movFromCr: SYSTEM,
  movToCr: SYSTEM,
  movFromDr: SYSTEM,
  movToDr: SYSTEM,
  clts: SYSTEM,
  /** (16-bit value). */
  lmsw: SYSTEM,
  /** (bits): flags to and from the stack with the operand size. */
  pushf: SYSTEM,
  popf: SYSTEM,
  cli: SYSTEM,
  sti: SYSTEM,
  clac: SYSTEM,
  stac: SYSTEM,
  hlt: SYSTEM,
  pause: SYSTEM,
  monitor: SYSTEM,
  mwait: SYSTEM,
  /** (operation: 0 INVD, 1 WBINVD). */
  invalidateCaches: SYSTEM,
  /** (linear address lo, hi). */
  invlpg: SYSTEM,
  /** (type lo, type hi, descriptor linear lo, hi). */
  invpcid: SYSTEM,
  xgetbv: SYSTEM,
  xsetbv: SYSTEM,
  /** (register number, operand bits): RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
  rdfsbase: SYSTEM,
  rdgsbase: SYSTEM,
  wrfsbase: SYSTEM,
  wrgsbase: SYSTEM,

  // --- descriptor tables and segments
  /** (linear lo, hi, operand bits). */
  lgdt: SYSTEM,
  lidt: SYSTEM,
  sgdt: SYSTEM,
  sidt: SYSTEM,
  /** (selector). */
  lldt: SYSTEM,
  ltr: SYSTEM,
  /** (segment register number, selector): MOV to segment register, POP segment after the stack read. */
  loadSegment: SYSTEM,
  /** (segment register number, operand bits): PUSH / POP of a segment register. */
  pushSegment: SYSTEM,
  popSegment: SYSTEM,
  /** (segment, general register, operand bits, selector, offset lo, hi): LDS LES LFS LGS LSS. */
  loadFarPointer: SYSTEM,
  /** (kind 0 SLDT, 1 STR, 2 SMSW; register number or -1; operand bits; linear lo, hi). */
  storeSystemRegister: SYSTEM,
  /** (kind 0 LAR, 1 LSL; destination register; operand bits; selector). */
  larLsl: SYSTEM,
  /** (kind 0 VERR, 1 VERW; selector). */
  verify: SYSTEM,

  /** (bytes to allocate, nesting level 0-31, operand bits). */
  enter: SYSTEM,
  /** (destination address kind: register number or -1, source selector, linear lo, hi): ARPL on a register or memory word. */
  arpl: SYSTEM,

  // --- far control transfers, interrupts, tasks
  /** (operand bits, selector, offset lo, hi). */
  farJump: SYSTEM,
  farCall: SYSTEM,
  /** (operand bits, bytes to release). */
  farReturn: SYSTEM,
  /** (operand bits). */
  iret: SYSTEM,
  /** (vector): INT n. */
  softwareInterrupt: SYSTEM,
  int3: SYSTEM,
  int1: SYSTEM,
  into: SYSTEM,
  syscall: SYSTEM,
  /** (operand bits). */
  sysret: SYSTEM,
  sysenter: SYSTEM,
  sysexit: SYSTEM,
  rsm: SYSTEM,

  // --- input and output
  /** (bits, port, address bits): result to AL/AX/EAX. */
  in: SYSTEM,
  out: SYSTEM,
  /**
   * (operation: StringOperation, element bits, address bits, segment of the source, repeat: 0 none 1 REP/REPE 2 REPNE).
   * One call does one element, or with REP as many as lie on the current pages, then either finishes the instruction or
   * leaves nextRip at the instruction itself.
   */
  stringOperation: SYSTEM,

  // --- processor state images
  /** (linear lo, hi, operand bits, 0). Register image instructions of x87, MMX, SSE and extended state. */
  fxsave: SYSTEM,
  fxrstor: SYSTEM,
  xsave: SYSTEM,
  xsaveopt: SYSTEM,
  xsavec: SYSTEM,
  xsaves: SYSTEM,
  xrstor: SYSTEM,
  xrstors: SYSTEM,
  ldmxcsr: SYSTEM,
  /**
   * (opcode: low 3 bits of D8-DF << 8 | ModRM, linear lo, hi, operand bits, segment register number). Every x87
   * instruction: the x87 unit decodes the rest. The linear address is 0 for register forms.
   */
  x87: SYSTEM,

  // --- AMD-V
  /** (address in rAX, lo, hi). */
  vmrun: SYSTEM,
  vmload: SYSTEM,
  vmsave: SYSTEM,
  vmmcall: SYSTEM,
  vmcall: SYSTEM,
  stgi: SYSTEM,
  clgi: SYSTEM,
  skinit: SYSTEM,
  /** (address lo, hi, ASID). */
  invlpga: SYSTEM,
  /** (exit code): an intercept of the row's column fired. */
  intercepted: SYSTEM,

  // --- light
  /** 128/64 division: scratch[0] low, scratch[1] high, scratch[2] divisor -> scratch[0] quotient, scratch[1] remainder. Status: #DE. */
  divideU128: { kind: 'light', result: 'status' },
  divideS128: { kind: 'light', result: 'status' },
  /**
   * (SseOperation, SseFormat, immediate), see sse/operations.ts: operands scratch[0..1] (first) and scratch[2..3] (second),
   * result scratch[4..5], MXCSR flags updated. Status: unmasked SIMD floating-point exception.
   */
  sseFloat: { kind: 'light', result: 'status' },
  /** An x87 exception is pending and a waiting instruction comes: status #MF, or with CR0.NE clear none. */
  x87Pending: { kind: 'light', result: 'status' },
  /** Turns the context's flag words, left by a region, into the settled form. */
  settleFlags: { kind: 'light', result: 'none' },
  /**
   * The time stamp counter -> scratch[0], with `budget` saying how many instructions of the slice have not completed. Status:
   * the interpreter has to do it, for a fault perhaps.
   */
  timeStamp: { kind: 'light', result: 'status' },
  /** CRC32 step: (crc, value lo, hi, bits) -> crc. */
  crc32: { kind: 'light', result: 'i32' },
  /**
   * (bits 7:0 imm8, 8 explicit lengths, 9 mask result): PCMPxSTRx on scratch[0..3], lengths in scratch[4] and [5]; index or
   * mask in scratch[6..7]; gives CF, ZF, SF, OF in bits 0 to 3.
   */
  compareStrings: { kind: 'light', result: 'i32' },
} as const satisfies Record<string, HelperDeclaration>;

export type HelperName = keyof typeof HELPERS;
export type SystemHelper = { [K in HelperName]: (typeof HELPERS)[K]['kind'] extends 'system' ? K : never }[HelperName];
export type LightHelper = Exclude<HelperName, SystemHelper>;

/** Operations of the `stringOperation` helper. */
export const StringOperation = { MOVS: 0, STOS: 1, LODS: 2, CMPS: 3, SCAS: 4, INS: 5, OUTS: 6 } as const;
