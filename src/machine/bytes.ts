/** Little-endian structures in memory: what boot protocols and ACPI tables are made of. */

/** Grows as fields are appended; fields may also be patched in place. Values outside a field's width are a caller's bug. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length: number;

  /** `length` zero bytes to begin with. */
  constructor(length = 0) {
    this.#bytes = new Uint8Array(Math.max(length, 64));
    this.#view = new DataView(this.#bytes.buffer);
    this.#length = length;
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes written so far, without copying. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  u8(value: number): this {
    return this.u8At(this.#grow(1), value);
  }

  u16(value: number): this {
    return this.u16At(this.#grow(2), value);
  }

  u32(value: number): this {
    return this.u32At(this.#grow(4), value);
  }

  /** A 64-bit field from a non-negative number up to 2^53. */
  u64(value: number): this {
    return this.u64At(this.#grow(8), value);
  }

  u8At(offset: number, value: number): this {
    this.#view.setUint8(offset, value);
    return this;
  }

  u16At(offset: number, value: number): this {
    this.#view.setUint16(offset, value, true);
    return this;
  }

  u32At(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }

  u64At(offset: number, value: number): this {
    this.#view.setBigUint64(offset, BigInt(value), true);
    return this;
  }

  append(bytes: ArrayLike<number>): this {
    const offset = this.#grow(bytes.length);
    this.#bytes.set(bytes, offset);
    return this;
  }

  bytesAt(offset: number, bytes: ArrayLike<number>): this {
    this.#bytes.set(bytes, offset);
    return this;
  }

  zeros(count: number): this {
    this.#grow(count);
    return this;
  }

  /** Pads with zeros to a multiple of `alignment`. */
  align(alignment: number): this {
    return this.zeros((alignment - (this.#length % alignment)) % alignment);
  }

  /** ASCII text padded with `fill` to exactly `length` bytes, or cut there. */
  text(text: string, length: number = text.length, fill = 0): this {
    for (let index = 0; index < length; index++) this.u8(index < text.length ? text.charCodeAt(index) & 0xff : fill);
    return this;
  }

  #grow(count: number): number {
    const offset = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, offset));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return offset;
  }
}

/** A view for reading fields of `bytes`, wherever in its buffer it lies. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a 64-bit field as a number, rounding above 2^53 (callers bound the value before they use it). */
export function readU64(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, true));
}

/** UTF-8 with a terminating zero, as every boot protocol wants its strings. */
export function zeroTerminated(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x1_0000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
  }
  bytes.push(0);
  return Uint8Array.from(bytes);
}

/** Rounds down and up to a multiple of `alignment`; exact for numbers up to 2^53. */
export function alignDown(value: number, alignment: number): number {
  return value - (value % alignment);
}

export function alignUp(value: number, alignment: number): number {
  return alignDown(value + alignment - 1, alignment);
}
