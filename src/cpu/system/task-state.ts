/** Task state segments: layouts, inner stacks, interrupt stack table, I/O permission (SDM vol. 3A 7.2, 7.6, 7.7; vol. 1 19.5.2). */
import { Vector } from '../../isa/stage.ts';
import { TR } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { Attribute, SystemType, selectorErrorCode, TSS_BUSY, TYPE_32BIT } from './descriptors.ts';
import { isLongMode, MASK_32, MASK_64 } from './registers.ts';

/** 32-bit TSS (SDM vol. 3A figure 7-2). */
export const TSS32 = {
  LINK: 0,
  STACKS: 4,
  STACK_SIZE: 8,
  CR3: 28,
  EIP: 32,
  EFLAGS: 36,
  /** EAX ECX EDX EBX ESP EBP ESI EDI. */
  REGISTERS: 40,
  /** ES CS SS DS FS GS, a doubleword each. */
  SEGMENTS: 72,
  LDT: 96,
  /** Bit 0: debug trap. */
  TRAP: 100,
  IO_MAP_BASE: 102,
  SIZE: 104,
} as const;

/** 16-bit TSS (SDM vol. 3A figure 7-10). */
export const TSS16 = {
  LINK: 0,
  STACKS: 2,
  STACK_SIZE: 4,
  IP: 14,
  FLAGS: 16,
  /** AX CX DX BX SP BP SI DI. */
  REGISTERS: 18,
  /** ES CS SS DS. */
  SEGMENTS: 34,
  LDT: 42,
  SIZE: 44,
} as const;

/** 64-bit TSS (SDM vol. 3A figure 7-11). */
const TSS64 = { STACKS: 4, IST: 36 } as const;

const IO_BITMAP_BITS_PER_BYTE = 8;
/** The software interrupt redirection bitmap lies right below the I/O permission bitmap (SDM vol. 3B 20.3.3). */
const REDIRECTION_BITMAP_SIZE = 32;

/** Whether TR holds a 32-bit (or 64-bit) TSS. */
export const isTss32 = (cpu: Cpu): boolean => (cpu.segments[TR].attributes & TYPE_32BIT) !== 0;

/** Linear address of a place in the current TSS. */
export const tssAddress = (cpu: Cpu, offset: number): bigint =>
  (cpu.segments[TR].base + BigInt(offset)) & (isLongMode(cpu) ? MASK_64 : MASK_32);

/** Stack of a privilege level from a 16-bit or 32-bit TSS. #TS(TSS) when its limit is too small. */
export function readInnerStack(cpu: Cpu, cpl: number): { selector: number; pointer: bigint } {
  const { limit, selector } = cpu.segments[TR];
  const wide = isTss32(cpu);
  const layout = wide ? TSS32 : TSS16;
  const offset = layout.STACKS + cpl * layout.STACK_SIZE;
  // The last byte read is that of the selector, two bytes wide behind the pointer.
  const pointerSize = layout.STACK_SIZE / 2;
  if (offset + pointerSize + 1 > limit) throw fault(cpu, Vector.TS, selectorErrorCode(selector));
  const address = tssAddress(cpu, offset);
  const pointer = wide ? cpu.linear.readU32(address, true) : cpu.linear.readU16(address, true);
  return { selector: cpu.linear.readU16(address + BigInt(pointerSize), true), pointer: BigInt(pointer) };
}

/** RSP0-RSP2, or with `ist` 1-7 that entry of the interrupt stack table, from a 64-bit TSS. */
export function readLongModeStack(cpu: Cpu, cpl: number, ist: number): bigint {
  const { limit, selector } = cpu.segments[TR];
  const offset = ist === 0 ? TSS64.STACKS + 8 * cpl : TSS64.IST + 8 * (ist - 1);
  if (offset + 7 > limit) throw fault(cpu, Vector.TS, selectorErrorCode(selector));
  return cpu.linear.readU64(tssAddress(cpu, offset), true);
}

/** Whether TR holds a TSS with an I/O map base field, and where the map begins; -1 without one. */
function ioMapBase(cpu: Cpu): number {
  const { attributes, limit } = cpu.segments[TR];
  const available = (attributes & Attribute.P) !== 0 && (attributes & Attribute.S) === 0;
  const type = attributes & Attribute.TYPE & ~TSS_BUSY;
  if (!available || type !== SystemType.TSS32_AVAILABLE || limit < TSS32.SIZE - 1) return -1;
  return cpu.linear.readU16(tssAddress(cpu, TSS32.IO_MAP_BASE), true);
}

/** Whether the I/O permission bitmap allows `bytes` ports from `port` on. */
export function ioPermitted(cpu: Cpu, port: number, bytes: number): boolean {
  const base = ioMapBase(cpu);
  const offset = base + Math.floor(port / IO_BITMAP_BITS_PER_BYTE);
  // Two bytes are always read, so that an access may cross a byte of the map (SDM vol. 1 19.5.2).
  if (base < 0 || offset + 1 > cpu.segments[TR].limit) return false;
  const bits = cpu.linear.readU16(tssAddress(cpu, offset), true) >> (port % IO_BITMAP_BITS_PER_BYTE);
  return (bits & ((1 << bytes) - 1)) === 0;
}

/** Whether INT n in virtual-8086 mode goes to the interrupt table of the 8086 program. */
export function interruptRedirected(cpu: Cpu, vector: number): boolean {
  const offset = ioMapBase(cpu) - REDIRECTION_BITMAP_SIZE + (vector >> 3);
  if (offset < 0 || offset > cpu.segments[TR].limit) throw fault(cpu, Vector.GP, 0);
  return ((cpu.linear.readU8(tssAddress(cpu, offset), true) >> (vector & 7)) & 1) === 0;
}
