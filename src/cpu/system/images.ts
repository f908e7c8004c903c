/**
 * Images of x87 and SSE state: FXSAVE, FXRSTOR, the XSAVE family, LDMXCSR (SDM vol. 1 10.5, chapter 13; vol. 2). Both
 * components always count as in use, so the init and modified optimizations never leave anything out.
 *
 * An image is worked on in place where it lies in plain memory, else in a scratch copy; either way as 32-bit words.
 */
import { RAX, Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { word } from '../state.ts';
import { arenaOf, fillPlainAddress, READ, WRITE } from './plain-memory.ts';
import { CR0, CR4, cr0, cr4, is64BitMode, join, low32 } from './registers.ts';
import { HEADER, LEGACY, XCR0_SUPPORTED, XSAVE_STANDARD_SIZE, XSTATE } from './xsave-layout.ts';

/** MXCSR after reset, and the bits it has (SDM vol. 1 10.2.3); the mask is also stored with every image. */
export const MXCSR_RESET = 0x1f80;
export const MXCSR_MASK = 0xffff;

/** x87 state after FNINIT (SDM vol. 1 8.1.5). */
const INITIAL_CONTROL = 0x037f;
const ALL_EMPTY = 0xffff;
const CONTROL_WRITABLE = 0x1f3f;
const CONTROL_ALWAYS_ONE = 0x40;
const STATUS_EXCEPTIONS = 0x3f;
/** ES and B follow the unmasked exceptions. */
const STATUS_SUMMARY = 0x8080;
const STATUS_TOP_SHIFT = 11;
const TAG_VALID = 0;
const TAG_EMPTY = 3;
const REGISTERS = 8;
const OPCODE_MASK = 0x7ff;

const FXSAVE_ALIGNMENT = 15;
const XSAVE_ALIGNMENT = 63;
/** XCOMP_BV bit 63, as bit 31 of its upper word. */
const COMPACTED_UPPER = 1 << 31;
const PAGE_SIZE = 0x1000;

const X87_REGISTERS = word('x87');
const X87_IP = word('x87Ip');
const X87_DP = word('x87Dp');
const XMM = word('xmm');
const XCR0 = word('xcr0');
const WORDS_PER_SLOT = LEGACY.SLOT >> 2;
/** Exponent and sign of an 80-bit register: the low half of its third word. */
const THIRD_WORD = 0xffff;

/** Places of the image in words. */
const W = {
  POINTERS: LEGACY.FIP >> 2,
  MXCSR: LEGACY.MXCSR >> 2,
  MXCSR_MASK: LEGACY.MXCSR_MASK >> 2,
  ST: LEGACY.ST >> 2,
  XMM: LEGACY.XMM >> 2,
  XSTATE_BV: HEADER.XSTATE_BV >> 2,
  XCOMP_BV: HEADER.XCOMP_BV >> 2,
  HEADER_RESERVED: (HEADER.XCOMP_BV + 8) >> 2,
} as const;

/** XMM0-7, or all sixteen in 64-bit mode, in bytes. */
const xmmBytes = (cpu: Cpu): number => (is64BitMode(cpu) ? 16 : 8) * LEGACY.SLOT;

const scratch = new Int32Array(XSAVE_STANDARD_SIZE >> 2);
const scratchBytes = new Uint8Array(scratch.buffer);

/** Word index in the arena of an image that lies in plain memory, or -1. Faults like an access. */
function inPlace(cpu: Cpu, low: number, high: number, bytes: number, access: number): number {
  if ((low & (PAGE_SIZE - 1)) + bytes > PAGE_SIZE) return -1;
  const address = fillPlainAddress(cpu, arenaOf(cpu).words, low | 0, high | 0, access);
  return address === 0 ? -1 : address >>> 2;
}

// --- between image and context; `at` is the word the image begins with

/** Fills bytes 0-23 and 32-159. */
function composeX87(cpu: Cpu, words: Int32Array, at: number, bits: number): void {
  const { u32 } = cpu;
  const status = cpu.x87Status;
  const tagWord = cpu.x87Tag;
  let tags = 0;
  for (let i = 0; i < REGISTERS; i++) if (((tagWord >> (2 * i)) & TAG_EMPTY) !== TAG_EMPTY) tags |= 1 << i;
  words[at] = cpu.x87Control | (status << 16);
  words[at + 1] = tags | ((cpu.x87Opcode & OPCODE_MASK) << 16);
  const pointers = at + W.POINTERS;
  words[pointers] = u32[X87_IP];
  words[pointers + 1] = bits === 64 ? u32[X87_IP + 1] : cpu.x87Cs;
  words[pointers + 2] = u32[X87_DP];
  words[pointers + 3] = bits === 64 ? u32[X87_DP + 1] : cpu.x87Ds;
  const top = status >> STATUS_TOP_SHIFT;
  for (let i = 0; i < REGISTERS; i++) {
    const from = X87_REGISTERS + ((top + i) & (REGISTERS - 1)) * WORDS_PER_SLOT;
    const to = at + W.ST + i * WORDS_PER_SLOT;
    words[to] = u32[from];
    words[to + 1] = u32[from + 1];
    words[to + 2] = u32[from + 2] & THIRD_WORD;
    words[to + 3] = 0;
  }
}

function composeMxcsr(cpu: Cpu, words: Int32Array, at: number): void {
  words[at + W.MXCSR] = cpu.mxcsr;
  words[at + W.MXCSR_MASK] = MXCSR_MASK;
}

function composeXmm(cpu: Cpu, words: Int32Array, at: number): void {
  const { u32 } = cpu;
  const count = xmmBytes(cpu) >> 2;
  for (let i = 0; i < count; i++) words[at + W.XMM + i] = u32[XMM + i];
}

function loadX87(cpu: Cpu, words: Int32Array, at: number, bits: number): void {
  const { u32 } = cpu;
  const control = (words[at] & CONTROL_WRITABLE) | CONTROL_ALWAYS_ONE;
  const image = words[at] >>> 16;
  const status = image & ~STATUS_SUMMARY;
  cpu.x87Control = control;
  cpu.x87Status = (status & ~control & STATUS_EXCEPTIONS) !== 0 ? status | STATUS_SUMMARY : status;
  let tags = 0;
  for (let i = 0; i < REGISTERS; i++) tags |= (((words[at + 1] >> i) & 1) !== 0 ? TAG_VALID : TAG_EMPTY) << (2 * i);
  cpu.x87Tag = tags;
  cpu.x87Opcode = (words[at + 1] >>> 16) & OPCODE_MASK;
  const pointers = at + W.POINTERS;
  const wide = bits === 64;
  u32[X87_IP] = words[pointers];
  u32[X87_IP + 1] = wide ? words[pointers + 1] : 0;
  cpu.x87Cs = wide ? 0 : words[pointers + 1] & 0xffff;
  u32[X87_DP] = words[pointers + 2];
  u32[X87_DP + 1] = wide ? words[pointers + 3] : 0;
  cpu.x87Ds = wide ? 0 : words[pointers + 3] & 0xffff;
  const top = status >> STATUS_TOP_SHIFT;
  for (let i = 0; i < REGISTERS; i++) {
    const to = X87_REGISTERS + ((top + i) & (REGISTERS - 1)) * WORDS_PER_SLOT;
    const from = at + W.ST + i * WORDS_PER_SLOT;
    u32[to] = words[from];
    u32[to + 1] = words[from + 1];
    u32[to + 2] = words[from + 2] & THIRD_WORD;
  }
}

/** x87 state as FNINIT leaves it, with cleared registers and pointers (SDM vol. 1 13.6). */
export function initializeX87(cpu: Cpu): void {
  cpu.x87Control = INITIAL_CONTROL;
  cpu.x87Status = 0;
  cpu.x87Tag = ALL_EMPTY;
  cpu.x87Opcode = 0;
  cpu.x87Ip = 0n;
  cpu.x87Dp = 0n;
  cpu.x87Cs = 0;
  cpu.x87Ds = 0;
  cpu.u32.fill(0, X87_REGISTERS, X87_REGISTERS + REGISTERS * WORDS_PER_SLOT);
}

function loadXmm(cpu: Cpu, words: Int32Array, at: number): void {
  const { u32 } = cpu;
  const count = xmmBytes(cpu) >> 2;
  for (let i = 0; i < count; i++) u32[XMM + i] = words[at + W.XMM + i];
}

/** Reserved bits set in MXCSR: #GP(0). */
function requireMxcsr(cpu: Cpu, value: number): number {
  if ((value & ~MXCSR_MASK) !== 0) throw fault(cpu, Vector.GP, 0);
  return value;
}

// --- FXSAVE, FXRSTOR, LDMXCSR

function checkFx(cpu: Cpu, low: number): void {
  if ((cr0(cpu) & (CR0.EM | CR0.TS)) !== 0) throw fault(cpu, Vector.NM);
  if ((low & FXSAVE_ALIGNMENT) !== 0) throw fault(cpu, Vector.GP, 0);
}

const savesSse = (cpu: Cpu): boolean => (cr4(cpu) & CR4.OSFXSR) !== 0;

/** (linear lo, hi, operand bits). */
export function fxsave(cpu: Cpu, low: number, high: number, bits: number): void {
  checkFx(cpu, low);
  const place = inPlace(cpu, low, high, LEGACY.SIZE, WRITE);
  const words = place < 0 ? scratch : arenaOf(cpu).words;
  const at = place < 0 ? 0 : place;
  composeX87(cpu, words, at, bits);
  composeMxcsr(cpu, words, at);
  if (savesSse(cpu)) composeXmm(cpu, words, at);
  if (place >= 0) return;
  // The access is to all 512 bytes, though the last are left to software.
  const linear = join(low, high);
  cpu.linear.probe(linear, LEGACY.SIZE, 'w');
  const end = LEGACY.XMM + (savesSse(cpu) ? xmmBytes(cpu) : 0);
  cpu.linear.writeBytes(linear, scratchBytes.subarray(0, end));
}

export function fxrstor(cpu: Cpu, low: number, high: number, bits: number): void {
  checkFx(cpu, low);
  const place = inPlace(cpu, low, high, LEGACY.SIZE, READ);
  if (place < 0) scratchBytes.set(cpu.linear.readBytes(join(low, high), LEGACY.SIZE));
  const words = place < 0 ? scratch : arenaOf(cpu).words;
  const at = place < 0 ? 0 : place;
  const mxcsr = requireMxcsr(cpu, words[at + W.MXCSR]);
  loadX87(cpu, words, at, bits);
  cpu.mxcsr = mxcsr;
  if (savesSse(cpu)) loadXmm(cpu, words, at);
}

/** (linear lo, hi). */
export function ldmxcsr(cpu: Cpu, low: number, high: number): void {
  if ((cr0(cpu) & CR0.EM) !== 0 || !savesSse(cpu)) throw fault(cpu, Vector.UD);
  if ((cr0(cpu) & CR0.TS) !== 0) throw fault(cpu, Vector.NM);
  cpu.mxcsr = requireMxcsr(cpu, cpu.linear.readU32(join(low, high)));
}

// --- the XSAVE family

function checkExtended(cpu: Cpu, low: number): void {
  if ((cr4(cpu) & CR4.OSXSAVE) === 0) throw fault(cpu, Vector.UD);
  if ((cr0(cpu) & CR0.TS) !== 0) throw fault(cpu, Vector.NM);
  if ((low & XSAVE_ALIGNMENT) !== 0) throw fault(cpu, Vector.GP, 0);
}

/** Requested-feature bitmap: EDX:EAX AND XCR0 (SDM vol. 1 13.6). */
const requested = (cpu: Cpu): number => cpu.u32[XCR0] & low32(cpu, RAX) & XCR0_SUPPORTED;

/** Puts the requested components into the legacy area of an image. */
function composeComponents(cpu: Cpu, words: Int32Array, at: number, components: number, bits: number): void {
  if ((components & XSTATE.X87) !== 0) composeX87(cpu, words, at, bits);
  if ((components & XSTATE.SSE) === 0) return;
  composeMxcsr(cpu, words, at);
  composeXmm(cpu, words, at);
}

/** Writes those parts of the scratch image that belong to the requested components. */
function storeComponents(cpu: Cpu, linear: bigint, components: number): void {
  const x87 = (components & XSTATE.X87) !== 0;
  const sse = (components & XSTATE.SSE) !== 0;
  const put = (from: number, to: number) =>
    cpu.linear.writeBytes(linear + BigInt(from), scratchBytes.subarray(from, to));
  if (x87) {
    put(LEGACY.FCW, LEGACY.MXCSR);
    put(LEGACY.ST, LEGACY.XMM);
  }
  if (sse) {
    put(LEGACY.MXCSR, LEGACY.ST);
    put(LEGACY.XMM, LEGACY.XMM + xmmBytes(cpu));
  }
}

function save(cpu: Cpu, low: number, high: number, bits: number, compacted: boolean): void {
  checkExtended(cpu, low);
  const components = requested(cpu);
  const place = inPlace(cpu, low, high, XSAVE_STANDARD_SIZE, WRITE);
  if (place >= 0) {
    const { words } = arenaOf(cpu);
    composeComponents(cpu, words, place, components, bits);
    const header = place + W.XSTATE_BV;
    if (compacted) {
      words[header] = components;
      words[header + 1] = 0;
      words[place + W.XCOMP_BV] = components;
      words[place + W.XCOMP_BV + 1] = COMPACTED_UPPER;
    } else words[header] |= components;
    return;
  }
  const linear = join(low, high);
  const header = linear + BigInt(HEADER.XSTATE_BV);
  cpu.linear.probe(linear, XSAVE_STANDARD_SIZE, 'w');
  const others = compacted ? 0n : cpu.linear.readU64(header);
  composeComponents(cpu, scratch, 0, components, bits);
  storeComponents(cpu, linear, components);
  cpu.linear.writeU64(header, others | BigInt(components));
  if (compacted) cpu.linear.writeU64(linear + BigInt(HEADER.XCOMP_BV), (1n << 63n) | BigInt(components));
}

/** XSAVE, and XSAVEOPT, which may save everything. */
export const xsave = (cpu: Cpu, low: number, high: number, bits: number): void => save(cpu, low, high, bits, false);
export const xsaveopt = xsave;
/** XSAVEC, and XSAVES, since there are no supervisor components. Nothing lies in the extended region to compact. */
export const xsavec = (cpu: Cpu, low: number, high: number, bits: number): void => save(cpu, low, high, bits, true);
export const xsaves = xsavec;

/** Checks the XSAVE header (SDM vol. 1 13.8.1, 13.8.2); true for the compacted form. */
function checkHeader(cpu: Cpu, words: Int32Array, at: number): boolean {
  const saved = at + W.XSTATE_BV;
  const layout = at + W.XCOMP_BV;
  const upper = words[layout + 1];
  const compacted = (upper & COMPACTED_UPPER) !== 0;
  const enabled = cpu.u32[XCR0];
  const allowed = compacted ? words[layout] : enabled;
  const strayLayout = compacted ? words[layout] & ~enabled : words[layout];
  let reserved = (words[saved] & ~allowed) | words[saved + 1] | strayLayout | (upper & ~COMPACTED_UPPER);
  // The standard form leaves bytes 63:24 alone, the compacted form demands zeros there too.
  const end = at + ((compacted ? XSAVE_STANDARD_SIZE : HEADER.XCOMP_BV + 16) >> 2);
  for (let i = at + W.HEADER_RESERVED; i < end; i++) reserved |= words[i];
  if (reserved !== 0 || (compacted && !cpu.model.flags.has('xsavec'))) throw fault(cpu, Vector.GP, 0);
  return compacted;
}

function restore(cpu: Cpu, low: number, high: number, bits: number, mustBeCompacted: boolean): void {
  checkExtended(cpu, low);
  const components = requested(cpu);
  const place = inPlace(cpu, low, high, XSAVE_STANDARD_SIZE, READ);
  if (place < 0) scratchBytes.set(cpu.linear.readBytes(join(low, high), XSAVE_STANDARD_SIZE));
  const words = place < 0 ? scratch : arenaOf(cpu).words;
  const at = place < 0 ? 0 : place;
  const compacted = checkHeader(cpu, words, at);
  if (mustBeCompacted && !compacted) throw fault(cpu, Vector.GP, 0);
  const saved = words[at + W.XSTATE_BV];
  const sse = (components & XSTATE.SSE) !== 0;
  const loadsSse = (saved & XSTATE.SSE) !== 0;
  // The standard form takes MXCSR from memory even where it initializes the XMM registers.
  const mxcsr = !sse ? cpu.mxcsr : loadsSse || !compacted ? requireMxcsr(cpu, words[at + W.MXCSR]) : MXCSR_RESET;
  if ((components & XSTATE.X87) !== 0) {
    if ((saved & XSTATE.X87) !== 0) loadX87(cpu, words, at, bits);
    else initializeX87(cpu);
  }
  cpu.mxcsr = mxcsr;
  if (!sse) return;
  if (loadsSse) loadXmm(cpu, words, at);
  else cpu.u32.fill(0, XMM, XMM + (xmmBytes(cpu) >> 2));
}

export const xrstor = (cpu: Cpu, low: number, high: number, bits: number): void => restore(cpu, low, high, bits, false);
export const xrstors = (cpu: Cpu, low: number, high: number, bits: number): void => restore(cpu, low, high, bits, true);
