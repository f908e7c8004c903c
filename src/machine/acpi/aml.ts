/**
 * Writes ACPI Machine Language (ACPI 6.5 chapter 20). Every builder returns the encoding of one term; terms nest as function
 * calls do, so a definition block reads like its source in ASL.
 */

/** One encoded term. */
export type Aml = Uint8Array;

/** Opcodes and prefixes (section 20.3, "AML Byte Stream Byte Values"). */
const OP = {
  ZERO: 0x00,
  ONE: 0x01,
  NAME: 0x08,
  BYTE_PREFIX: 0x0a,
  WORD_PREFIX: 0x0b,
  DWORD_PREFIX: 0x0c,
  STRING_PREFIX: 0x0d,
  QWORD_PREFIX: 0x0e,
  SCOPE: 0x10,
  BUFFER: 0x11,
  PACKAGE: 0x12,
  METHOD: 0x14,
  DUAL_NAME_PREFIX: 0x2e,
  MULTI_NAME_PREFIX: 0x2f,
  EXTENDED: 0x5b,
  LOCAL0: 0x60,
  ARG0: 0x68,
  STORE: 0x70,
  AND: 0x7b,
  OR: 0x7d,
  SHIFT_LEFT: 0x79,
  FIND_SET_RIGHT_BIT: 0x82,
  SUBTRACT: 0x74,
  CREATE_DWORD_FIELD: 0x8a,
  LNOT: 0x92,
  LEQUAL: 0x93,
  IF: 0xa0,
  ELSE: 0xa1,
  RETURN: 0xa4,
} as const;

/** Second bytes after the extended opcode prefix. */
const EXTENDED_OP = { OPERATION_REGION: 0x80, FIELD: 0x81, DEVICE: 0x82 } as const;

const SEGMENT_LENGTH = 4;

function concat(...parts: readonly (ArrayLike<number> | number)[]): Aml {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : Array.from(part))));
}

function littleEndian(value: number, bytes: number): Aml {
  const result = new Uint8Array(bytes);
  let rest = value;
  for (let index = 0; index < bytes; index++) {
    result[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return result;
}

/**
 * PkgLength (section 20.2.4): counts itself. One byte up to 63, else a lead byte with the low four bits and the number of
 * bytes that follow.
 */
function packageLength(contentLength: number): Aml {
  if (contentLength + 1 < 0x40) return Uint8Array.of(contentLength + 1);
  for (let following = 1; following <= 3; following++) {
    const total = contentLength + 1 + following;
    if (total < 2 ** (4 + 8 * following)) {
      return concat((following << 6) | (total & 0xf), littleEndian(Math.floor(total / 16), following));
    }
  }
  throw new RangeError(`AML package of ${contentLength} bytes is too long`);
}

/** An opcode, the length of what follows, and what follows. */
function packaged(opcode: readonly number[], ...content: readonly (ArrayLike<number> | number)[]): Aml {
  const body = concat(...content);
  return concat(opcode, packageLength(body.length), body);
}

/**
 * NameString (section 20.2.2): optional root (`\`) or parent (`^`) prefixes, then segments of up to four characters
 * separated by dots, each padded with underscores.
 */
export function path(text: string): Aml {
  const prefix = /^[\\^]*/.exec(text)![0];
  const rest = text.slice(prefix.length);
  const segments = rest === '' ? [] : rest.split('.');
  for (const segment of segments) {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new RangeError(`'${segment}' is not an AML name segment`);
  }
  const names = segments.map((segment) => ascii(segment.padEnd(SEGMENT_LENGTH, '_')));
  const lead =
    segments.length === 0
      ? [OP.ZERO] // NullName
      : segments.length === 1
        ? []
        : segments.length === 2
          ? [OP.DUAL_NAME_PREFIX]
          : [OP.MULTI_NAME_PREFIX, segments.length];
  return concat(ascii(prefix), lead, ...names);
}

function ascii(text: string): Aml {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The shortest encoding of an unsigned integer up to 2^53. */
export function integer(value: number): Aml {
  if (value === 0) return Uint8Array.of(OP.ZERO);
  if (value === 1) return Uint8Array.of(OP.ONE);
  if (value < 2 ** 8) return concat(OP.BYTE_PREFIX, value);
  if (value < 2 ** 16) return concat(OP.WORD_PREFIX, littleEndian(value, 2));
  if (value < 2 ** 32) return concat(OP.DWORD_PREFIX, littleEndian(value, 4));
  return concat(OP.QWORD_PREFIX, littleEndian(value, 8));
}

export function string(text: string): Aml {
  return concat(OP.STRING_PREFIX, ascii(text), 0);
}

export function buffer(bytes: ArrayLike<number>): Aml {
  return packaged([OP.BUFFER], integer(bytes.length), bytes);
}

/** A package; numbers stand for integers. */
export function pkg(...elements: readonly (Aml | number)[]): Aml {
  if (elements.length > 255) throw new RangeError(`AML package of ${elements.length} elements is too long`);
  return packaged([OP.PACKAGE], elements.length, ...elements.map(term));
}

/** Numbers among terms stand for integers. */
function term(value: Aml | number): Aml {
  return typeof value === 'number' ? integer(value) : value;
}

/** An EISA identifier such as `PNP0A08` as the compressed integer that _HID and _CID hold (section 19.6.37, EISAID). */
export function eisaId(text: string): Aml {
  const match = /^([A-Z])([A-Z])([A-Z])([0-9A-F]{4})$/.exec(text);
  if (!match) throw new RangeError(`'${text}' is not an EISA identifier`);
  const letter = (index: number) => match[index].charCodeAt(0) - 0x40;
  const vendor = (letter(1) << 10) | (letter(2) << 5) | letter(3);
  const product = Number.parseInt(match[4], 16);
  return concat(OP.DWORD_PREFIX, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff);
}

/** A UUID as the 16-byte buffer that ToUUID makes: the first three fields little-endian (section 19.6.142). */
export function uuid(text: string): Aml {
  const digits = text.replaceAll('-', '');
  const bytes = Array.from({ length: 16 }, (_, index) => Number.parseInt(digits.slice(index * 2, index * 2 + 2), 16));
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return buffer(order.map((index) => bytes[index]));
}

export function name(at: string, value: Aml | number): Aml {
  return concat(OP.NAME, path(at), term(value));
}

export function scope(at: string, ...terms: readonly Aml[]): Aml {
  return packaged([OP.SCOPE], path(at), ...terms);
}

export function device(at: string, ...terms: readonly Aml[]): Aml {
  return packaged([OP.EXTENDED, EXTENDED_OP.DEVICE], path(at), ...terms);
}

/** A method with 0 to 7 arguments; serialized ones may create named objects. */
export function method(at: string, shape: { arguments: number; serialized?: boolean }, ...terms: readonly Aml[]): Aml {
  const SERIALIZED = 0x08;
  return packaged([OP.METHOD], path(at), shape.arguments | (shape.serialized ? SERIALIZED : 0), ...terms);
}

/** Region spaces (section 20.2.5.2, RegionSpace). */
export const REGION = { SYSTEM_MEMORY: 0, SYSTEM_IO: 1, PCI_CONFIG: 2 } as const;

export function operationRegion(
  at: string,
  space: (typeof REGION)[keyof typeof REGION],
  offset: number,
  length: number,
): Aml {
  return concat(OP.EXTENDED, EXTENDED_OP.OPERATION_REGION, path(at), space, integer(offset), integer(length));
}

/** Field flags (section 20.2.5.2, FieldFlags): access width in bits 3:0, no lock, preserve. */
export const FIELD_ACCESS = { ANY: 0, BYTE: 1, WORD: 2, DWORD: 3 } as const;

/** Units of a region: name and width in bits; `null` as a name skips. */
export function field(
  region: string,
  access: (typeof FIELD_ACCESS)[keyof typeof FIELD_ACCESS],
  units: readonly (readonly [string | null, number])[],
): Aml {
  // In a field list PkgLength encodes a width in bits that does not count its own bytes.
  const width = (bits: number) => (bits < 0x40 ? Uint8Array.of(bits) : concat(0x40 | (bits & 0xf), bits >> 4));
  const list = units.map(([unit, bits]) => concat(unit === null ? Uint8Array.of(0) : path(unit), width(bits)));
  return packaged([OP.EXTENDED, EXTENDED_OP.FIELD], path(region), access, ...list);
}

export function local(index: number): Aml {
  return Uint8Array.of(OP.LOCAL0 + index);
}

export function argument(index: number): Aml {
  return Uint8Array.of(OP.ARG0 + index);
}

export function store(value: Aml | number, target: Aml): Aml {
  return concat(OP.STORE, term(value), target);
}

/** Binary operators with a target; without one the result is only the expression's value. */
const NO_TARGET = Uint8Array.of(OP.ZERO);

export function and(a: Aml | number, b: Aml | number, target: Aml = NO_TARGET): Aml {
  return concat(OP.AND, term(a), term(b), target);
}

export function or(a: Aml | number, b: Aml | number, target: Aml = NO_TARGET): Aml {
  return concat(OP.OR, term(a), term(b), target);
}

export function subtract(a: Aml | number, b: Aml | number, target: Aml = NO_TARGET): Aml {
  return concat(OP.SUBTRACT, term(a), term(b), target);
}

export function shiftLeft(value: Aml | number, count: Aml | number, target: Aml = NO_TARGET): Aml {
  return concat(OP.SHIFT_LEFT, term(value), term(count), target);
}

/** One plus the number of the lowest set bit, or zero. */
export function findSetRightBit(value: Aml | number, target: Aml = NO_TARGET): Aml {
  return concat(OP.FIND_SET_RIGHT_BIT, term(value), target);
}

export function equal(a: Aml | number, b: Aml | number): Aml {
  return concat(OP.LEQUAL, term(a), term(b));
}

export function not(value: Aml): Aml {
  return concat(OP.LNOT, value);
}

export function when(condition: Aml, ...terms: readonly Aml[]): Aml {
  return packaged([OP.IF], condition, ...terms);
}

/** Directly follows {@link when}. */
export function otherwise(...terms: readonly Aml[]): Aml {
  return packaged([OP.ELSE], ...terms);
}

export function giveBack(value: Aml | number): Aml {
  return concat(OP.RETURN, term(value));
}

/** Names the dword at a byte offset of a buffer. */
export function createDwordField(source: Aml, offset: number, at: string): Aml {
  return concat(OP.CREATE_DWORD_FIELD, source, integer(offset), path(at));
}
