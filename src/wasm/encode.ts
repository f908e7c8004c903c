/**
 * Writing the values of the WebAssembly binary format (WebAssembly Core Specification 3.0, section 5.2 "Values")
 * straight into a growing byte array.
 */

const INITIAL_CAPACITY = 256;
const TWO_TO_THE_32 = 0x1_0000_0000;

/** A byte array that grows as it is written. */
export class ByteWriter {
  /** The storage; only the first `length` bytes are written. Replaced when it grows. */
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;

  constructor(capacity = INITIAL_CAPACITY) {
    this.bytes = new Uint8Array(capacity);
  }

  private grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes);
    this.bytes = larger;
  }

  /** Writes one byte. */
  byte(value: number): void {
    if (this.length === this.bytes.length) this.grow(this.length + 1);
    this.bytes[this.length++] = value;
  }

  /** Writes an unsigned LEB128 number: an integer from 0 to 2^53 - 1. */
  unsigned(value: number): void {
    while (value >= TWO_TO_THE_32) {
      this.byte((value % 0x80) | 0x80);
      value = Math.floor(value / 0x80);
    }
    while (value >= 0x80) {
      this.byte((value & 0x7f) | 0x80);
      value >>>= 7;
    }
    this.byte(value);
  }

  /** Writes a signed LEB128 number of 32 bits. */
  signed32(value: number): void {
    while (value < -0x40 || value >= 0x40) {
      this.byte((value & 0x7f) | 0x80);
      value >>= 7;
    }
    this.byte(value & 0x7f);
  }

  /** Writes a signed LEB128 number of 64 bits, given as two signed halves so that no BigInt is made. */
  signed64(low: number, high: number): void {
    while (high !== low >> 31 || low < -0x40 || low >= 0x40) {
      this.byte((low & 0x7f) | 0x80);
      low = (low >>> 7) | (high << 25);
      high >>= 7;
    }
    this.byte(low & 0x7f);
  }

  /** Writes a LEB128 number of three bytes, from -2^20 to 2^20 - 1, at `position` instead of what is there; signed, or unsigned if it is not negative. */
  replaceSigned21(position: number, value: number): void {
    this.bytes[position] = (value & 0x7f) | 0x80;
    this.bytes[position + 1] = ((value >> 7) & 0x7f) | 0x80;
    this.bytes[position + 2] = (value >> 14) & 0x7f;
  }

  /** Writes 32 bits, least significant byte first. */
  fixed32(value: number): void {
    this.byte(value & 0xff);
    this.byte((value >>> 8) & 0xff);
    this.byte((value >>> 16) & 0xff);
    this.byte(value >>> 24);
  }

  /** Writes the first `length` bytes of `source` from `start` on. */
  copy(source: Uint8Array, start = 0, end = source.length): void {
    const needed = this.length + end - start;
    if (needed > this.bytes.length) this.grow(needed);
    this.bytes.set(source.subarray(start, end), this.length);
    this.length = needed;
  }

  /** Writes a name: its length in bytes and its UTF-8 encoding (section 5.2.4). */
  name(text: string): void {
    const bytes = encodeUtf8(text);
    this.unsigned(bytes.length);
    this.copy(bytes);
  }

  /** A copy of what has been written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}

/** UTF-8 without a host's TextEncoder; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    let code = character.codePointAt(0) ?? 0;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) {
      bytes.push(code);
    } else if (code < 0x800) {
      bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    } else if (code < 0x1_0000) {
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    } else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    }
  }
  return Uint8Array.from(bytes);
}
