/** ModRM, SIB and displacement of a memory operand (SDM vol. 2 tables 2-1 to 2-3, section 2.2.1). */
import type { Memory, Register, Sum } from './operands.ts';

export type CodeBits = 16 | 32 | 64;

/** A memory operand ready to be put behind an opcode. */
export interface EncodedAddress {
  readonly addressSize: CodeBits;
  /** ModRM without the reg field. */
  readonly modrm: number;
  readonly sib: number | undefined;
  readonly displacement: bigint;
  readonly displacementBytes: 0 | 1 | 2 | 4 | 8;
  /** The displacement is a target still to be made relative to the next instruction. */
  readonly relative: boolean;
  readonly rexX: boolean;
  readonly rexB: boolean;
  /** Segment the processor uses without an override: SS or DS. */
  readonly defaultSegment: 'ss' | 'ds';
}

/** rm field: a SIB byte follows. */
const MODRM_SIB = 4;
/** rm or SIB base field with mod 0: no base, a 32-bit displacement. */
const NO_BASE = 5;
/** rm field with mod 0 of 16-bit addressing: a displacement alone. */
const DISPLACEMENT_ONLY_16 = 6;
const BX = 3;
const BP = 5;
const SI = 6;
const DI = 7;
const STACK_POINTER = 4;
const FRAME_POINTER = 5;
const ADDRESS_SIZES: Readonly<Record<CodeBits, readonly CodeBits[]>> = { 16: [16, 32], 32: [32, 16], 64: [64, 32] };

function inSigned(value: bigint, bits: number): boolean {
  return BigInt.asIntN(bits, value) === value;
}

/** Address size an operand asks for. @returns a reason if the code cannot have it */
export function addressSizeOf(memory: Memory, code: CodeBits, fallback: CodeBits | undefined): CodeBits | string {
  const registers = [memory.base, memory.index].filter((r) => r !== undefined);
  for (const r of registers) {
    if (r.file !== 'general' && r.file !== 'ip') return `${r.name} cannot be part of an address`;
  }
  const size = (registers[0]?.bits ?? memory.addressSize ?? fallback ?? code) as CodeBits;
  if (registers.some((r) => r.bits !== size)) return 'base and index differ in width';
  if (!ADDRESS_SIZES[code].includes(size)) return `no ${size}-bit addresses in ${code}-bit code`;
  return size;
}

/** Encodes an address. @returns a reason if it has no encoding */
export function encodeAddress(
  memory: Memory,
  code: CodeBits,
  fallback: CodeBits | undefined,
  value: (sum: Sum) => bigint,
): EncodedAddress | string {
  const addressSize = addressSizeOf(memory, code, fallback);
  if (typeof addressSize === 'string') return addressSize;
  const displacement = value(memory.displacement);
  if (memory.base?.file === 'ip') {
    if (memory.index) return 'RIP takes no index';
    if (code !== 64) return 'RIP-relative addresses exist in 64-bit code only';
    return {
      addressSize,
      modrm: NO_BASE,
      sib: undefined,
      displacement,
      displacementBytes: 4,
      relative: true,
      rexX: false,
      rexB: false,
      defaultSegment: 'ds',
    };
  }
  return addressSize === 16 ? encode16(memory, displacement) : encodeSib(memory, code, addressSize, displacement);
}

/** Bits of the displacement: as forced, else the fewest that hold it; 0 where none is needed. */
function displacementWidth(
  memory: Memory,
  displacement: bigint,
  full: 16 | 32,
  needed: boolean,
): 0 | 8 | 16 | 32 | string {
  const { displacementBits } = memory;
  if (displacementBits !== undefined) {
    if (displacementBits !== 8 && displacementBits !== full) return `no ${displacementBits}-bit displacement here`;
    if (displacementBits === 8 && !inSigned(displacement, 8)) return 'the displacement does not fit into 8 bits';
    return displacementBits;
  }
  if (displacement === 0n && !needed) return 0;
  return inSigned(displacement, 8) ? 8 : full;
}

/** ModRM mod field of a displacement width. */
const modOf = (width: number): number => (width === 0 ? 0 : width === 8 ? 1 : 2) << 6;

function wrapDisplacement(displacement: bigint, bits: 16 | 32, wrap: boolean): bigint | string {
  if (inSigned(displacement, bits)) return displacement;
  if (wrap && displacement >= 0n && displacement < 1n << BigInt(bits)) return BigInt.asIntN(bits, displacement);
  return `the displacement does not fit into ${bits} bits`;
}

/** Base and index numbers of the eight 16-bit forms. */
const FORMS_16: readonly (readonly [base: number, index: number | undefined])[] = [
  [BX, SI],
  [BX, DI],
  [BP, SI],
  [BP, DI],
  [SI, undefined],
  [DI, undefined],
  [BP, undefined],
  [BX, undefined],
];

function encode16(memory: Memory, raw: bigint): EncodedAddress | string {
  const displacement = wrapDisplacement(raw, 16, true);
  if (typeof displacement === 'string') return displacement;
  const common = { addressSize: 16, sib: undefined, displacement, relative: false, rexX: false, rexB: false } as const;
  if ((memory.scale ?? 1) !== 1) return '16-bit addresses have no scale';
  const [first, second] = [memory.base, memory.index].filter((r) => r !== undefined).map((r) => r.number);
  if (first === undefined)
    return { ...common, modrm: DISPLACEMENT_ONLY_16, displacementBytes: 2, defaultSegment: 'ds' };
  const rm = FORMS_16.findIndex(
    ([base, index]) => (base === first && index === second) || (base === second && index === first),
  );
  if (rm < 0) return 'no such 16-bit address';
  const width = displacementWidth(memory, displacement, 16, rm === DISPLACEMENT_ONLY_16);
  if (typeof width === 'string') return width;
  const onFrame = FORMS_16[rm][0] === BP;
  return {
    ...common,
    modrm: modOf(width) | rm,
    displacementBytes: (width / 8) as 0 | 1 | 2,
    defaultSegment: onFrame ? 'ss' : 'ds',
  };
}

function encodeSib(memory: Memory, code: CodeBits, addressSize: 32 | 64, raw: bigint): EncodedAddress | string {
  const displacement = wrapDisplacement(raw, 32, addressSize === 32);
  if (typeof displacement === 'string') return displacement;
  let { base, index } = memory;
  const scale = memory.scale ?? 1;
  if (index?.number === STACK_POINTER) {
    if (scale !== 1 || base?.number === STACK_POINTER) return `${index.name} cannot be an index`;
    [base, index] = [index, base];
  }
  for (const r of [base, index]) {
    if (r && r.number > 7 && code !== 64) return `${r.name} exists in 64-bit code only`;
  }
  const common = {
    addressSize,
    displacement,
    relative: false,
    rexX: (index?.number ?? 0) > 7,
    rexB: (base?.number ?? 0) > 7,
  } as const;
  const scaleBits = [1, 2, 4, 8].indexOf(scale) << 6;
  const indexBits = ((index ? index.number : STACK_POINTER) & 7) << 3;
  if (!base) {
    if (memory.displacementBits !== undefined && memory.displacementBits !== 32)
      return 'an address without base has a 32-bit displacement';
    // in 64-bit code the form without SIB is relative to RIP
    const bare = !index && code !== 64;
    return {
      ...common,
      modrm: bare ? NO_BASE : MODRM_SIB,
      sib: bare ? undefined : scaleBits | indexBits | NO_BASE,
      displacementBytes: 4,
      defaultSegment: 'ds',
    };
  }
  const width = displacementWidth(memory, displacement, 32, (base.number & 7) === FRAME_POINTER);
  if (typeof width === 'string') return width;
  const needsSib = index !== undefined || (base.number & 7) === STACK_POINTER;
  return {
    ...common,
    modrm: modOf(width) | (needsSib ? MODRM_SIB : base.number & 7),
    sib: needsSib ? scaleBits | indexBits | (base.number & 7) : undefined,
    displacementBytes: (width / 8) as 0 | 1 | 4,
    defaultSegment: base.number === STACK_POINTER || base.number === FRAME_POINTER ? 'ss' : 'ds',
  };
}

/** Prefix byte of a segment override. */
export function segmentPrefix(segment: Register): number {
  return [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65][segment.number];
}
