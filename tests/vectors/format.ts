/**
 * Stored sets of vectors. A file is the magic, a version byte and a brotli-compressed payload:
 *
 *     varint length, header as JSON
 *     varint count, base states (registers in full)
 *     varint count, vectors
 *
 * A vector stores its input state as differences from one of the base states, its output state as differences from its
 * input state, and memory as differences from {@link windowBackground} and from the input. Varints are little-endian
 * base
 * 128; fields are written and read by the same sequence of calls on a {@link Writer} or {@link Reader}.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import type { Case, Outcome, ProcessorState, Result, Span } from './case.ts';
import { copyState, DATA_BASE, FX, hasErrorCode, initialState } from './case.ts';
import type { Approximation } from './encoding.ts';

const MAGIC = 'TESTUDO-VECTORS';
export const FORMAT_VERSION = 1;
const VECTOR_PAGE_FAULT = 14;

export interface EncodingEntry {
  name: string;
  approximate?: Approximation;
}

export interface VectorSetHeader {
  /** Name of the processor the results come from. */
  processor: string;
  /** Day they were made, YYYY-MM-DD. */
  date: string;
  /** What made them: seed and other generator arguments. */
  generator: string;
}

export interface Vector {
  /** Encodings executed, in order. */
  encodings: readonly EncodingEntry[];
  testCase: Case;
  result: Result;
  /** RFLAGS bits that need not agree. */
  undefinedFlags: number;
}

export interface VectorSet {
  header: VectorSetHeader;
  /** States the vectors' inputs resemble; only their compactness depends on the choice. */
  bases: ProcessorState[];
  vectors: Vector[];
}

class Writer {
  private bytes = new Uint8Array(1 << 16);
  private length = 0;

  byte(value: number): void {
    if (this.length === this.bytes.length) this.grow(1);
    this.bytes[this.length++] = value;
  }
  raw(bytes: Uint8Array): void {
    this.grow(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
  /** An unsigned integer below 2^53. */
  varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80);
    this.byte(rest);
  }
  /** A 64-bit value: its length when sign-extended, then that many bytes. */
  word(value: bigint): void {
    const signed = BigInt.asIntN(64, value);
    let length = 0;
    while (BigInt.asIntN(8 * length, signed) !== signed) length++;
    this.byte(length);
    for (let i = 0; i < length; i++) this.byte(Number((signed >> BigInt(8 * i)) & 0xffn));
  }
  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
  private grow(extra: number): void {
    if (this.length + extra <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length + extra));
    larger.set(this.bytes);
    this.bytes = larger;
  }
}

class Reader {
  private readonly bytes: Uint8Array;
  private at = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  byte(): number {
    if (this.at >= this.bytes.length) throw new Error('vector set ends early');
    return this.bytes[this.at++];
  }
  raw(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) throw new Error('vector set ends early');
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }
  word(): bigint {
    const length = this.byte();
    let value = 0n;
    for (let i = 0; i < length; i++) value |= BigInt(this.byte()) << BigInt(8 * i);
    return BigInt.asUintN(64, BigInt.asIntN(8 * length, value));
  }
}

/**
 * Parts of the FXSAVE image and the width of one entry; each entry is stored as a mask of changed bytes and the bytes.
 */
const FX_PARTS = [
  { start: 0, entries: 2, width: 16 },
  { start: FX.st, entries: 8, width: 16 },
  { start: FX.xmm, entries: 16, width: 16 },
] as const;

function writeFx(writer: Writer, from: Uint8Array, to: Uint8Array): void {
  for (const { start, entries, width } of FX_PARTS) {
    let changed = 0;
    const masks: number[] = [];
    for (let entry = 0; entry < entries; entry++) {
      let mask = 0;
      const at = start + entry * width;
      for (let i = 0; i < width; i++) if (from[at + i] !== to[at + i]) mask |= 1 << i;
      if (mask) changed |= 1 << entry;
      masks.push(mask);
    }
    writer.varint(changed);
    masks.forEach((mask, entry) => {
      if (!mask) return;
      writer.byte(mask & 0xff);
      writer.byte(mask >> 8);
      for (let i = 0; i < width; i++) if (mask & (1 << i)) writer.byte(to[start + entry * width + i]);
    });
  }
}

function readFx(reader: Reader, fx: Uint8Array): void {
  for (const { start, entries, width } of FX_PARTS) {
    const changed = reader.varint();
    for (let entry = 0; entry < entries; entry++) {
      if (!(changed & (1 << entry))) continue;
      const mask = reader.byte() | (reader.byte() << 8);
      for (let i = 0; i < width; i++) if (mask & (1 << i)) fx[start + entry * width + i] = reader.byte();
    }
  }
}

function writeState(writer: Writer, from: ProcessorState, to: ProcessorState): void {
  let changed = 0;
  for (let i = 0; i < 16; i++) if (from.gpr[i] !== to.gpr[i]) changed |= 1 << i;
  writer.varint(changed);
  for (let i = 0; i < 16; i++) if (changed & (1 << i)) writer.word(to.gpr[i]);
  writer.word(to.rip - from.rip);
  writer.varint((from.rflags ^ to.rflags) >>> 0);
  writer.word(to.fsBase - from.fsBase);
  writer.word(to.gsBase - from.gsBase);
  writeFx(writer, from.fx, to.fx);
}

function readState(reader: Reader, from: ProcessorState): ProcessorState {
  const state = copyState(from);
  const changed = reader.varint();
  for (let i = 0; i < 16; i++) if (changed & (1 << i)) state.gpr[i] = reader.word();
  state.rip = BigInt.asUintN(64, from.rip + reader.word());
  state.rflags = (from.rflags ^ reader.varint()) >>> 0;
  state.fsBase = BigInt.asUintN(64, from.fsBase + reader.word());
  state.gsBase = BigInt.asUintN(64, from.gsBase + reader.word());
  readFx(reader, state.fx);
  return state;
}

function writeSpans(writer: Writer, spans: readonly Span[]): void {
  writer.varint(spans.length);
  let at = 0;
  for (const { offset, bytes } of spans) {
    writer.varint(offset - at);
    writer.varint(bytes.length);
    writer.raw(bytes);
    at = offset + bytes.length;
  }
}

function readSpans(reader: Reader): Span[] {
  const spans: Span[] = [];
  let at = 0;
  for (let left = reader.varint(); left > 0; left--) {
    const offset = at + reader.varint();
    const bytes = reader.raw(reader.varint());
    spans.push({ offset, bytes });
    at = offset + bytes.length;
  }
  return spans;
}

/** 0 for the normal end, otherwise the vector plus one. */
function writeOutcome(writer: Writer, outcome: Outcome): void {
  if (outcome.kind === 'stopped') {
    writer.byte(0);
    return;
  }
  if (outcome.kind !== 'exception') throw new Error(`a vector cannot end with '${outcome.kind}'`);
  writer.byte(outcome.vector + 1);
  if (hasErrorCode(outcome.vector)) writer.varint(outcome.errorCode ?? 0);
  if (outcome.vector === VECTOR_PAGE_FAULT) writer.word((outcome.cr2 ?? 0n) - BigInt(DATA_BASE));
}

function readOutcome(reader: Reader): Outcome {
  const code = reader.byte();
  if (code === 0) return { kind: 'stopped' };
  const vector = code - 1;
  const outcome: Outcome = { kind: 'exception', vector };
  if (hasErrorCode(vector)) outcome.errorCode = reader.varint();
  if (vector === VECTOR_PAGE_FAULT) outcome.cr2 = BigInt.asUintN(64, reader.word() + BigInt(DATA_BASE));
  return outcome;
}

/** Registers and image bytes in which two states differ: the smaller, the better a base. */
function distance(a: ProcessorState, b: ProcessorState): number {
  let count = 0;
  for (let i = 0; i < 16; i++) if (a.gpr[i] !== b.gpr[i]) count += 4;
  for (let i = 0; i < FX.end; i++) if (a.fx[i] !== b.fx[i]) count++;
  return count;
}

function nearest(bases: readonly ProcessorState[], state: ProcessorState): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  bases.forEach((base, i) => {
    const count = distance(base, state);
    if (count < least) {
      least = count;
      best = i;
    }
  });
  return best;
}

/** A set as a file's bytes. @throws Error for vectors that end in anything but #BP or another exception. */
export function encodeVectors(set: VectorSet): Uint8Array {
  const entries = new Map<string, { index: number; entry: EncodingEntry }>();
  for (const { encodings } of set.vectors) {
    for (const entry of encodings)
      if (!entries.has(entry.name)) entries.set(entry.name, { index: entries.size, entry });
  }
  const bases = set.bases.length > 0 ? set.bases : [initialState()];
  const writer = new Writer();
  const header = new TextEncoder().encode(
    JSON.stringify({
      ...set.header,
      encodings: [...entries.values()].map(({ entry: { name, approximate } }) => ({ name, approximate })),
    }),
  );
  writer.varint(header.length);
  writer.raw(header);
  writer.varint(bases.length);
  for (const base of bases) writeState(writer, initialState(), base);
  writer.varint(set.vectors.length);
  for (const { encodings, testCase, result, undefinedFlags } of set.vectors) {
    writer.byte((testCase.mode === 32 ? 1 : 0) | (encodings.length << 1));
    for (const { name } of encodings) writer.varint(entries.get(name)?.index ?? 0);
    writer.varint(testCase.code.length);
    writer.raw(testCase.code);
    const base = nearest(bases, testCase.state);
    writer.varint(base);
    writeState(writer, bases[base], testCase.state);
    writeSpans(writer, testCase.memory);
    writeOutcome(writer, result.outcome);
    writeState(writer, testCase.state, result.state);
    writeSpans(writer, result.memory);
    writer.varint(undefinedFlags);
  }
  const payload = writer.finish();
  const compressed = brotliCompressSync(payload, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 22,
      [constants.BROTLI_PARAM_SIZE_HINT]: payload.length,
    },
  });
  const start = new TextEncoder().encode(MAGIC);
  const file = new Uint8Array(start.length + 1 + compressed.length);
  file.set(start);
  file[start.length] = FORMAT_VERSION;
  file.set(compressed, start.length + 1);
  return file;
}

/** Reads a file made by {@link encodeVectors}. @throws Error when it is none, of another version, or damaged. */
export function decodeVectors(file: Uint8Array): VectorSet {
  const magic = new TextDecoder('latin1').decode(file.subarray(0, MAGIC.length));
  if (magic !== MAGIC) throw new Error('not a vector set');
  const version = file[MAGIC.length];
  if (version !== FORMAT_VERSION)
    throw new Error(`vector set of version ${version}, expected ${FORMAT_VERSION}: generate it again`);
  const payload = brotliDecompressSync(file.subarray(MAGIC.length + 1));
  const reader = new Reader(new Uint8Array(payload.buffer, payload.byteOffset, payload.length));
  const json = JSON.parse(new TextDecoder().decode(reader.raw(reader.varint()))) as VectorSetHeader & {
    encodings: EncodingEntry[];
  };
  const { encodings: entries, ...header } = json;
  const bases = Array.from({ length: reader.varint() }, () => readState(reader, initialState()));
  const vectors = Array.from({ length: reader.varint() }, (): Vector => {
    const first = reader.byte();
    const encodings = Array.from({ length: first >> 1 }, () => entries[reader.varint()]);
    const code = reader.raw(reader.varint());
    const state = readState(reader, bases[reader.varint()]);
    const testCase: Case = { mode: first & 1 ? 32 : 64, code, state, memory: readSpans(reader) };
    const outcome = readOutcome(reader);
    const result: Result = { outcome, state: readState(reader, state), memory: readSpans(reader) };
    return { encodings, testCase, result, undefinedFlags: reader.varint() };
  });
  return { header, bases, vectors };
}
