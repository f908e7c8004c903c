/**
 * Images of x87 and SSE state: FXSAVE, FXRSTOR, the XSAVE family, LDMXCSR (SDM vol. 1 10.5, chapter 13; vol. 2). Both
 * components always count as in use, so the init and modified optimizations never leave anything out.
 */
import { RAX, RDX, Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { CONTEXT } from '../context.ts';
import { fault } from '../fault.ts';
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
const EXTENDED_BYTES = 10;
const OPCODE_MASK = 0x7ff;

const FXSAVE_ALIGNMENT = 15n;
const XSAVE_ALIGNMENT = 63n;
const COMPACTED = 1n << 63n;

/** End of what is stored: XMM0-7, or all sixteen in 64-bit mode. */
const xmmBytes = (cpu: Cpu): number => (is64BitMode(cpu) ? 16 : 8) * LEGACY.SLOT;

const image = new Uint8Array(LEGACY.SIZE);
const view = new DataView(image.buffer);

// --- the legacy area and the context

function x87Register(cpu: Cpu, stackIndex: number): Uint8Array {
  const top = (cpu.x87Status >> STATUS_TOP_SHIFT) & (REGISTERS - 1);
  const offset = cpu.base + CONTEXT.x87.offset + ((top + stackIndex) & (REGISTERS - 1)) * LEGACY.SLOT;
  return cpu.bytes.subarray(offset, offset + EXTENDED_BYTES);
}

/** Fills bytes 0-23 and 32-159 of the image. */
function composeX87(cpu: Cpu, bits: number): void {
  image.fill(0, LEGACY.FCW, LEGACY.MXCSR);
  view.setUint16(LEGACY.FCW, cpu.x87Control, true);
  view.setUint16(LEGACY.FSW, cpu.x87Status, true);
  let tags = 0;
  for (let i = 0; i < REGISTERS; i++) if (((cpu.x87Tag >> (2 * i)) & TAG_EMPTY) !== TAG_EMPTY) tags |= 1 << i;
  image[LEGACY.FTW] = tags;
  view.setUint16(LEGACY.FOP, cpu.x87Opcode & OPCODE_MASK, true);
  view.setBigUint64(LEGACY.FIP, cpu.x87Ip, true);
  view.setBigUint64(LEGACY.FDP, cpu.x87Dp, true);
  if (bits !== 64) {
    view.setUint32(LEGACY.FCS, cpu.x87Cs, true);
    view.setUint32(LEGACY.FDS, cpu.x87Ds, true);
  }
  for (let i = 0; i < REGISTERS; i++) {
    const slot = LEGACY.ST + i * LEGACY.SLOT;
    image.fill(0, slot + EXTENDED_BYTES, slot + LEGACY.SLOT);
    image.set(x87Register(cpu, i), slot);
  }
}

function composeMxcsr(cpu: Cpu): void {
  view.setUint32(LEGACY.MXCSR, cpu.mxcsr, true);
  view.setUint32(LEGACY.MXCSR_MASK, MXCSR_MASK, true);
}

function composeXmm(cpu: Cpu): void {
  image.set(cpu.xmm.subarray(0, xmmBytes(cpu)), LEGACY.XMM);
}

/** Takes x87 state from the image. */
function loadX87(cpu: Cpu, bits: number): void {
  const control = (view.getUint16(LEGACY.FCW, true) & CONTROL_WRITABLE) | CONTROL_ALWAYS_ONE;
  const status = view.getUint16(LEGACY.FSW, true) & ~STATUS_SUMMARY;
  cpu.x87Control = control;
  cpu.x87Status = (status & ~control & STATUS_EXCEPTIONS) !== 0 ? status | STATUS_SUMMARY : status;
  let tags = 0;
  for (let i = 0; i < REGISTERS; i++) {
    tags |= (((image[LEGACY.FTW] >> i) & 1) !== 0 ? TAG_VALID : TAG_EMPTY) << (2 * i);
  }
  cpu.x87Tag = tags;
  cpu.x87Opcode = view.getUint16(LEGACY.FOP, true) & OPCODE_MASK;
  if (bits === 64) {
    cpu.x87Ip = view.getBigUint64(LEGACY.FIP, true);
    cpu.x87Dp = view.getBigUint64(LEGACY.FDP, true);
    cpu.x87Cs = 0;
    cpu.x87Ds = 0;
  } else {
    cpu.x87Ip = BigInt(view.getUint32(LEGACY.FIP, true));
    cpu.x87Dp = BigInt(view.getUint32(LEGACY.FDP, true));
    cpu.x87Cs = view.getUint16(LEGACY.FCS, true);
    cpu.x87Ds = view.getUint16(LEGACY.FDS, true);
  }
  for (let i = 0; i < REGISTERS; i++) {
    const slot = LEGACY.ST + i * LEGACY.SLOT;
    x87Register(cpu, i).set(image.subarray(slot, slot + EXTENDED_BYTES));
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
  const start = cpu.base + CONTEXT.x87.offset;
  cpu.bytes.fill(0, start, start + REGISTERS * LEGACY.SLOT);
}

function loadXmm(cpu: Cpu): void {
  const length = xmmBytes(cpu);
  cpu.xmm.set(image.subarray(LEGACY.XMM, LEGACY.XMM + length));
}

/** Reserved bits set in MXCSR: #GP(0). */
function requireMxcsr(cpu: Cpu, value: number): number {
  if ((value & ~MXCSR_MASK) !== 0) throw fault(cpu, Vector.GP, 0);
  return value;
}

const imageMxcsr = (cpu: Cpu): number => requireMxcsr(cpu, view.getUint32(LEGACY.MXCSR, true));

// --- FXSAVE, FXRSTOR, LDMXCSR

function checkFx(cpu: Cpu, linear: bigint): void {
  if ((cr0(cpu) & (CR0.EM | CR0.TS)) !== 0) throw fault(cpu, Vector.NM);
  if ((linear & FXSAVE_ALIGNMENT) !== 0n) throw fault(cpu, Vector.GP, 0);
}

const savesSse = (cpu: Cpu): boolean => (cr4(cpu) & CR4.OSFXSR) !== 0;

/** (linear lo, hi, operand bits). */
export function fxsave(cpu: Cpu, low: number, high: number, bits: number): void {
  const linear = join(low, high);
  checkFx(cpu, linear);
  composeX87(cpu, bits);
  composeMxcsr(cpu);
  let end: number = LEGACY.XMM;
  if (savesSse(cpu)) {
    composeXmm(cpu);
    end += xmmBytes(cpu);
  }
  // The access is to all 512 bytes, though the last are left to software.
  cpu.linear.probe(linear, LEGACY.SIZE, 'w');
  cpu.linear.writeBytes(linear, image.subarray(0, end));
}

export function fxrstor(cpu: Cpu, low: number, high: number, bits: number): void {
  const linear = join(low, high);
  checkFx(cpu, linear);
  image.set(cpu.linear.readBytes(linear, LEGACY.SIZE));
  const mxcsr = imageMxcsr(cpu);
  loadX87(cpu, bits);
  cpu.mxcsr = mxcsr;
  if (savesSse(cpu)) loadXmm(cpu);
}

/** (linear lo, hi). */
export function ldmxcsr(cpu: Cpu, low: number, high: number): void {
  if ((cr0(cpu) & CR0.EM) !== 0 || !savesSse(cpu)) throw fault(cpu, Vector.UD);
  if ((cr0(cpu) & CR0.TS) !== 0) throw fault(cpu, Vector.NM);
  cpu.mxcsr = requireMxcsr(cpu, cpu.linear.readU32(join(low, high)));
}

// --- the XSAVE family

function checkExtended(cpu: Cpu, linear: bigint): void {
  if ((cr4(cpu) & CR4.OSXSAVE) === 0) throw fault(cpu, Vector.UD);
  if ((cr0(cpu) & CR0.TS) !== 0) throw fault(cpu, Vector.NM);
  if ((linear & XSAVE_ALIGNMENT) !== 0n) throw fault(cpu, Vector.GP, 0);
}

/** Requested-feature bitmap: EDX:EAX AND XCR0 (SDM vol. 1 13.6). */
const requested = (cpu: Cpu): number => Number(cpu.xcr0 & join(low32(cpu, RAX), low32(cpu, RDX)));

/** Writes the parts of the legacy area that belong to the requested components. */
function storeComponents(cpu: Cpu, linear: bigint, components: number, bits: number): void {
  const x87 = (components & XSTATE.X87) !== 0;
  const sse = (components & XSTATE.SSE) !== 0;
  const put = (from: number, to: number) => cpu.linear.writeBytes(linear + BigInt(from), image.subarray(from, to));
  if (x87) composeX87(cpu, bits);
  if (sse) {
    composeMxcsr(cpu);
    composeXmm(cpu);
  }
  const end = LEGACY.XMM + xmmBytes(cpu);
  if (x87 && sse) put(0, end);
  else if (x87) {
    put(LEGACY.FCW, LEGACY.MXCSR);
    put(LEGACY.ST, LEGACY.XMM);
  } else if (sse) {
    put(LEGACY.MXCSR, LEGACY.ST);
    put(LEGACY.XMM, end);
  }
}

/** XSAVE, and XSAVEOPT, which may save everything. */
export function xsave(cpu: Cpu, low: number, high: number, bits: number): void {
  const linear = join(low, high);
  checkExtended(cpu, linear);
  const components = requested(cpu);
  cpu.linear.probe(linear, XSAVE_STANDARD_SIZE, 'w');
  const saved = cpu.linear.readU64(linear + BigInt(HEADER.XSTATE_BV));
  storeComponents(cpu, linear, components, bits);
  cpu.linear.writeU64(linear + BigInt(HEADER.XSTATE_BV), saved | BigInt(components));
}
export const xsaveopt = xsave;

/** XSAVEC, and XSAVES, since there are no supervisor components. Nothing lies in the extended region to compact. */
export function xsavec(cpu: Cpu, low: number, high: number, bits: number): void {
  const linear = join(low, high);
  checkExtended(cpu, linear);
  const components = requested(cpu);
  cpu.linear.probe(linear, XSAVE_STANDARD_SIZE, 'w');
  storeComponents(cpu, linear, components, bits);
  cpu.linear.writeU64(linear + BigInt(HEADER.XSTATE_BV), BigInt(components));
  cpu.linear.writeU64(linear + BigInt(HEADER.XCOMP_BV), COMPACTED | BigInt(components));
}
export const xsaves = xsavec;

interface Header {
  readonly saved: number;
  readonly compacted: boolean;
}

/** Checks the XSAVE header (SDM vol. 1 13.8.1, 13.8.2). */
function requireHeader(cpu: Cpu, linear: bigint): Header {
  const header = new DataView(cpu.linear.readBytes(linear + BigInt(LEGACY.SIZE), HEADER.SIZE).buffer);
  const saved = header.getBigUint64(0, true);
  const layout = header.getBigUint64(HEADER.XCOMP_BV - LEGACY.SIZE, true);
  const compacted = (layout & COMPACTED) !== 0n;
  if (compacted && !cpu.model.flags.has('xsavec')) throw fault(cpu, Vector.GP, 0);
  const allowed = compacted ? layout & ~COMPACTED : cpu.xcr0;
  const strayLayout = compacted ? layout & ~COMPACTED & ~cpu.xcr0 : layout;
  let reserved = (saved & ~allowed) | strayLayout;
  // The standard form leaves bytes 63:24 alone, the compacted form demands zeros there too.
  const checkedEnd = compacted ? HEADER.SIZE : 24;
  for (let offset = 16; offset < checkedEnd; offset += 8) reserved |= header.getBigUint64(offset, true);
  if (reserved !== 0n) throw fault(cpu, Vector.GP, 0);
  return { saved: Number(saved & BigInt(XCR0_SUPPORTED)), compacted };
}

function restore(cpu: Cpu, linear: bigint, bits: number, mustBeCompacted: boolean): void {
  checkExtended(cpu, linear);
  const components = requested(cpu);
  const { saved, compacted } = requireHeader(cpu, linear);
  if (mustBeCompacted && !compacted) throw fault(cpu, Vector.GP, 0);
  image.set(cpu.linear.readBytes(linear, LEGACY.SIZE));
  const sse = (components & XSTATE.SSE) !== 0;
  const loadsSse = (saved & XSTATE.SSE) !== 0;
  // The standard form takes MXCSR from memory even where it initializes the XMM registers.
  const mxcsr = !sse ? cpu.mxcsr : loadsSse || !compacted ? imageMxcsr(cpu) : MXCSR_RESET;
  if ((components & XSTATE.X87) !== 0) {
    if ((saved & XSTATE.X87) !== 0) loadX87(cpu, bits);
    else initializeX87(cpu);
  }
  cpu.mxcsr = mxcsr;
  if (!sse) return;
  if (loadsSse) loadXmm(cpu);
  else cpu.xmm.fill(0, 0, xmmBytes(cpu));
}

export function xrstor(cpu: Cpu, low: number, high: number, bits: number): void {
  restore(cpu, join(low, high), bits, false);
}
export function xrstors(cpu: Cpu, low: number, high: number, bits: number): void {
  restore(cpu, join(low, high), bits, true);
}
