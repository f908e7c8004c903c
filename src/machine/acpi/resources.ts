/** Resource descriptors: the contents of _CRS, _PRS and _SRS buffers (ACPI 6.5 section 6.4). */
import { ByteWriter } from '../bytes.ts';
import { type Aml, buffer } from './aml.ts';

/** One encoded descriptor. */
export type Resource = Uint8Array;

/** Small descriptors carry their length in the tag's low three bits; large ones in a word (sections 6.4.2, 6.4.3). */
const TAG = {
  IRQ: 0x22,
  IO_PORT: 0x47,
  END: 0x79,
  MEMORY32_FIXED: 0x86,
  DWORD_ADDRESS_SPACE: 0x87,
  WORD_ADDRESS_SPACE: 0x88,
  EXTENDED_INTERRUPT: 0x89,
  QWORD_ADDRESS_SPACE: 0x8a,
} as const;

/** A buffer of descriptors with its end tag; a zero checksum is taken as correct (section 6.4.2.9). */
export function resourceTemplate(...resources: readonly Resource[]): Aml {
  return buffer([...resources.flatMap((resource) => Array.from(resource)), TAG.END, 0]);
}

/** A fixed range of I/O ports, 16 bits decoded (section 6.4.2.5). */
export function ioPorts(first: number, count: number): Resource {
  const DECODE_16 = 1;
  return new ByteWriter().u8(TAG.IO_PORT).u8(DECODE_16).u16(first).u16(first).u8(1).u8(count).bytes;
}

/** ISA interrupts: edge-triggered, active high, exclusive (section 6.4.2.1). */
export function isaIrq(...irqs: readonly number[]): Resource {
  return new ByteWriter().u8(TAG.IRQ).u16(irqs.reduce((mask, irq) => mask | (1 << irq), 0)).bytes;
}

/** A fixed range of 32-bit memory (section 6.4.3.4). */
export function memory32(base: number, length: number, access: 'read-only' | 'read-write'): Resource {
  return new ByteWriter()
    .u8(TAG.MEMORY32_FIXED)
    .u16(9)
    .u8(access === 'read-write' ? 1 : 0)
    .u32(base)
    .u32(length).bytes;
}

/** Level-triggered, active-high, shared global system interrupts (section 6.4.3.6). */
export function sharedInterrupts(...interrupts: readonly number[]): Resource {
  const CONSUMER_LEVEL_HIGH_SHARED = 0x09;
  const writer = new ByteWriter()
    .u8(TAG.EXTENDED_INTERRUPT)
    .u16(2 + 4 * interrupts.length)
    .u8(CONSUMER_LEVEL_HIGH_SHARED)
    .u8(interrupts.length);
  for (const interrupt of interrupts) writer.u32(interrupt);
  return writer.bytes;
}

/** Resource types and flags of address space descriptors (section 6.4.3.5, tables 6.42 to 6.48). */
const SPACE = { MEMORY: 0, IO: 1, BUS: 2 } as const;
/** Minimum and maximum are fixed, positive decode, produced for the bus behind the bridge. */
const FIXED_PRODUCER = 0x0c;
const TYPE_FLAGS = { BUS: 0, ENTIRE_IO_RANGE: 3, CACHEABLE_READ_WRITE: 3 } as const;

/** The range of bus numbers behind a host bridge. */
export function busNumbers(first: number, last: number): Resource {
  return wordSpace(SPACE.BUS, TYPE_FLAGS.BUS, first, last);
}

/** A window of I/O ports that a host bridge passes on. */
export function ioWindow(first: number, last: number): Resource {
  return wordSpace(SPACE.IO, TYPE_FLAGS.ENTIRE_IO_RANGE, first, last);
}

function wordSpace(type: number, flags: number, first: number, last: number): Resource {
  const body = new ByteWriter().u8(type).u8(FIXED_PRODUCER).u8(flags);
  body
    .u16(0)
    .u16(first)
    .u16(last)
    .u16(0)
    .u16(last - first + 1); // granularity, minimum, maximum, translation, length
  return large(TAG.WORD_ADDRESS_SPACE, body.bytes);
}

/** A window of memory that a host bridge passes on, below 4 GiB. */
export function memoryWindow32(first: number, last: number): Resource {
  const body = new ByteWriter().u8(SPACE.MEMORY).u8(FIXED_PRODUCER).u8(TYPE_FLAGS.CACHEABLE_READ_WRITE);
  body
    .u32(0)
    .u32(first)
    .u32(last)
    .u32(0)
    .u32(last - first + 1);
  return large(TAG.DWORD_ADDRESS_SPACE, body.bytes);
}

/** The same anywhere. */
export function memoryWindow64(first: number, last: number): Resource {
  const body = new ByteWriter().u8(SPACE.MEMORY).u8(FIXED_PRODUCER).u8(TYPE_FLAGS.CACHEABLE_READ_WRITE);
  body
    .u64(0)
    .u64(first)
    .u64(last)
    .u64(0)
    .u64(last - first + 1);
  return large(TAG.QWORD_ADDRESS_SPACE, body.bytes);
}

function large(tag: number, body: Uint8Array): Resource {
  return new ByteWriter().u8(tag).u16(body.length).append(body).bytes;
}
