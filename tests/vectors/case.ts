/**
 * One test vector: a processor state, a few instruction bytes and a data window before, and what the real processor
 * made
 * of them. Shared by the native runner, the generator, the stored format and whoever replays vectors on the emulator.
 *
 * The world of a case is fixed:
 * - the *code page* at {@link CODE_BASE}, 4 KiB, readable and executable, filled with INT3 (CC) except for the code;
 * - the *data window* at {@link DATA_BASE}, 8 KiB, readable and writable, not executable, holding {@link
 * windowBackground}
 *   except for the case's own spans;
 * - nothing else is mapped below 4 GiB; code runs at CPL 3 with IOPL 0, CR0.AM, CR0.NE, CR4.OSFXSR, CR4.OSXMMEXCPT and
 *   CR4.FSGSBASE set, CR0.TS and CR0.EM clear;
 * - 64-bit mode: null DS ES FS GS with the given FS and GS bases; compatibility mode: all data segments flat, 32-bit
 * code.
 * A case ends at the first exception; #BP is the normal end.
 */

export const DATA_BASE = 0x1000_0000;
export const DATA_SIZE = 0x2000;
export const CODE_BASE = 0x2000_0000;
export const CODE_SIZE = 0x1000;
/** Longest code of a case in bytes. */
export const CODE_MAXIMUM = 64;
/** INT3. */
export const CODE_FILLER = 0xcc;

/** Code segment of the case: 64-bit mode, or compatibility mode with a 32-bit code segment. */
export type Mode = 64 | 32;

/** RFLAGS bits (SDM vol. 1 figure 3-8). */
export const CF = 1 << 0;
export const PF = 1 << 2;
export const AF = 1 << 4;
export const ZF = 1 << 6;
export const SF = 1 << 7;
export const TF = 1 << 8;
export const IF = 1 << 9;
export const DF = 1 << 10;
export const OF = 1 << 11;
export const NT = 1 << 14;
export const AC = 1 << 18;
export const ID = 1 << 21;
export const ARITHMETIC_FLAGS = CF | PF | AF | ZF | SF | OF;
/** Bits that are set in user mode whatever a case does: bit 1 and IF. */
export const RFLAGS_FIXED = 2 | IF;

/** Offsets in an FXSAVE image (SDM vol. 1 table 10-2, 64-bit form with REX.W). */
export const FX = {
  fcw: 0,
  fsw: 2,
  /** Abridged tag word: one bit a physical register, 1 = not empty. */
  ftw: 4,
  fop: 6,
  fip: 8,
  fdp: 16,
  mxcsr: 24,
  /** ST0-ST7 (by stack position), 10 bytes in 16-byte slots. */
  st: 32,
  /** XMM0-XMM15. */
  xmm: 160,
  /** Reserved and software bytes follow; they are always zero here, as is MXCSR_MASK at 28. */
  end: 416,
} as const;
export const FXSAVE_SIZE = 512;

/** Values after FNINIT and power-up (SDM vol. 1 8.1.5, 10.2.3). */
export const FCW_DEFAULT = 0x37f;
export const MXCSR_DEFAULT = 0x1f80;

/** User-visible registers of the processor. */
export interface ProcessorState {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 as encoded; only the low 32 bits of the first eight count in mode 32. */
  gpr: BigUint64Array;
  rip: bigint;
  /** Low 32 bits of RFLAGS; RF reads as 0. */
  rflags: number;
  fsBase: bigint;
  gsBase: bigint;
  /** FXSAVE image of 512 bytes, reserved bytes zero. */
  fx: Uint8Array;
}

/** Bytes at an offset of the data window. */
export interface Span {
  offset: number;
  bytes: Uint8Array;
}

export interface Case {
  mode: Mode;
  /** At `state.rip`, which lies in the code page together with the whole code. */
  code: Uint8Array;
  state: ProcessorState;
  /** Contents of the data window where it differs from the background; ascending, not overlapping. */
  memory: Span[];
}

/** How a case ended. */
export type Outcome =
  /** Reached an INT3; `state.rip` is its address. */
  | { kind: 'stopped' }
  /**
   * Raised a fault. Error code only for vectors that have one, CR2 only for #PF. `state` is what the handler was given.
   */
  | { kind: 'exception'; vector: number; errorCode?: number; cr2?: bigint }
  /** Did not end in time. State and memory mean nothing. */
  | { kind: 'timeout' }
  /** Made a system call; a generator's mistake. */
  | { kind: 'system-call' }
  /** Not runnable natively (invalid MXCSR, RIP outside the code page...). */
  | { kind: 'rejected' };

export interface Result {
  outcome: Outcome;
  state: ProcessorState;
  /** Bytes of the data window the case changed; ascending, not overlapping. */
  memory: Span[];
}

/** Runs one case: sets the state, executes until #BP or another exception, reports. Implemented over the emulator. */
export interface VectorMachine {
  run(testCase: Case): Result;
}

/** Exception vectors that push an error code (SDM vol. 3A table 6-1), as far as user-mode code can raise them. */
export function hasErrorCode(vector: number): boolean {
  return vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;
}

let background: Uint8Array | undefined;

/**
 * What the data window holds where a case does not say otherwise: 8 KiB of xorshift32 output with runs of zeros and
 * ones,
 * so that stray reads see all kinds of values. Part of the stored format: changing it needs a new format version.
 */
export function windowBackground(): Uint8Array {
  if (background) return background;
  const words = new Uint32Array(DATA_SIZE / 4);
  let x = 0x9e37_79b9;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    const kind = (x >>> 8) & 15;
    words[i] = kind === 0 ? 0 : kind === 1 ? 0xffff_ffff : x;
  }
  background = new Uint8Array(words.buffer);
  return background;
}

/** The whole data window at the start of a case. */
export function initialWindow(testCase: Case): Uint8Array {
  return applySpans(windowBackground().slice(), testCase.memory);
}

/** The code page of a case. */
export function codePage(testCase: Case): Uint8Array {
  const page = new Uint8Array(CODE_SIZE).fill(CODE_FILLER);
  page.set(testCase.code, Number(testCase.state.rip) - CODE_BASE);
  return page;
}

/** Writes spans into a window and returns it. */
export function applySpans(window: Uint8Array, spans: readonly Span[]): Uint8Array {
  for (const span of spans) window.set(span.bytes, span.offset);
  return window;
}

/** The spans in which two windows differ, with the bytes of `after`. */
export function changedSpans(before: Uint8Array, after: Uint8Array): Span[] {
  const spans: Span[] = [];
  for (let at = 0; at < after.length; at++) {
    if (before[at] === after[at]) continue;
    const offset = at;
    while (at < after.length && before[at] !== after[at]) at++;
    spans.push({ offset, bytes: after.slice(offset, at) });
  }
  return spans;
}

/** A state with all registers zero, FPU and SSE as initialised, at the start of the code page. */
export function initialState(): ProcessorState {
  const fx = new Uint8Array(FXSAVE_SIZE);
  const view = new DataView(fx.buffer);
  view.setUint16(FX.fcw, FCW_DEFAULT, true);
  view.setUint32(FX.mxcsr, MXCSR_DEFAULT, true);
  return { gpr: new BigUint64Array(16), rip: BigInt(CODE_BASE), rflags: RFLAGS_FIXED, fsBase: 0n, gsBase: 0n, fx };
}

/** A deep copy. */
export function copyState(state: ProcessorState): ProcessorState {
  return { ...state, gpr: state.gpr.slice(), fx: state.fx.slice() };
}

/** A view of a state's FXSAVE image, for fields of more than a byte. */
export function fxView(state: ProcessorState): DataView {
  return new DataView(state.fx.buffer, state.fx.byteOffset, FXSAVE_SIZE);
}

/** Bytes from hexadecimal text; blanks are ignored. */
export function bytesFromHex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, '');
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Two digits a byte, separated by `separator`. */
export function hexFromBytes(bytes: Uint8Array, separator = ' '): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(separator);
}
