/** Memory operands: ModRM, SIB and displacement in every form, aimed at a chosen place in or around the data window. */
import { CODE_BASE, DATA_BASE, DATA_SIZE } from './case.ts';
import type { EncodedInstruction } from './encoding.ts';
import type { Random } from './random.ts';
import type { Assembly } from './rows.ts';
import type { ValueKind } from './values.ts';

const PREFIX_ADDRESS_SIZE = 0x67;
const REX_X = 2;
const REX_B = 1;
const RSP = 4;
const RBP = 5;
/** ModRM.rm that asks for a SIB byte, and the SIB.index that means none. */
const SIB_FOLLOWS = 4;
const NO_INDEX = 4;

const PAGE = 0x1000;

/**
 * A linear address for an operand of `size` bytes: mostly inside the data window, often aligned, sometimes across its
 * middle page boundary or one of its ends, now and then in the read-only code page, unmapped or (`wild`) not canonical.
 */
export function addressTarget(random: Random, size: number, wild: boolean): bigint {
  const room = DATA_SIZE - Math.max(size, 1);
  // Most 16-byte operands must be aligned: half the unaligned places would be too many.
  if (size >= 16 && random.oneIn(2)) return BigInt(DATA_BASE + (random.below(room) & -16));
  const choice = random.below(100);
  let address: number;
  if (choice < 62) address = DATA_BASE + (random.below(room) & -16);
  else if (choice < 80) address = DATA_BASE + random.below(room + 1);
  else if (choice < 87) address = DATA_BASE + PAGE - random.between(0, size);
  else if (choice < 92) address = DATA_BASE + DATA_SIZE - random.between(0, size);
  else if (choice < 95) address = DATA_BASE - random.between(0, size);
  else if (choice < 97) address = CODE_BASE + random.below(PAGE - size);
  else if (choice < 98 || !wild) address = random.pick([0, 8, DATA_BASE - 0x1800, DATA_BASE + 0x5000, 0x7fff_f000]);
  else
    return random.pick(
      [0x8000_0000_0000n, 0x7fff_ffff_ffffn, 0xffff_7fff_ffff_fff8n, random.bits64() | (1n << 62n)].filter(
        (candidate) => BigInt.asIntN(48, candidate) !== BigInt.asIntN(64, candidate),
      ),
    );
  return BigInt(address);
}

/**
 * Chooses an addressing form and appends ModRM, SIB and displacement to the assembly. The base register is left for the
 * generator to set so that the operand falls on `target`; forms without registers get it encoded.
 */
export function encodeMemory(
  assembly: Assembly,
  reg: number,
  size: number,
  values: ValueKind,
): EncodedInstruction['memory'] {
  const { random, is64, request } = assembly;
  if (is64 && !request.selfContained && random.oneIn(10)) {
    assembly.prefixes.push(PREFIX_ADDRESS_SIZE);
    assembly.addressBits = 32;
  } else if (!is64 && !request.selfContained && random.oneIn(30)) {
    assembly.prefixes.push(PREFIX_ADDRESS_SIZE);
    assembly.addressBits = 16;
  }
  // A sequence whose first operand faults shows little.
  const inside = request.selfContained && !random.oneIn(12);
  const target = inside
    ? BigInt(DATA_BASE + (random.below(DATA_SIZE - size) & -16))
    : addressTarget(random, size, is64 && assembly.addressBits === 64 && !request.selfContained);
  if (assembly.addressBits === 16) return encode16(assembly, reg, size, values);
  const memory: NonNullable<EncodedInstruction['memory']> = {
    scale: 1,
    displacement: 0n,
    addressBits: assembly.addressBits,
    target,
    size,
    values,
  };
  if (is64 && !request.selfContained && random.oneIn(12)) memory.segment = random.pick(['fs', 'gs'] as const);
  const encodable = target < 0x8000_0000n && !memory.segment;
  const form = random.below(100);
  if ((form < 12 || request.selfContained) && encodable) return encodeAbsolute(assembly, memory, reg);
  if (form < 45) encodeBase(assembly, memory, reg);
  else encodeSib(assembly, memory, reg);
  return memory;
}

/** RIP-relative in 64-bit mode, else (and now and then through SIB) a plain 32-bit address. */
function encodeAbsolute(
  assembly: Assembly,
  memory: NonNullable<EncodedInstruction['memory']>,
  reg: number,
): typeof memory {
  const { is64, random } = assembly;
  const throughSib = is64 ? random.oneIn(3) : random.oneIn(6);
  assembly.operandBytes.push((reg << 3) | (throughSib ? SIB_FOLLOWS : RBP));
  if (throughSib) assembly.operandBytes.push((random.below(4) << 6) | (NO_INDEX << 3) | RBP);
  memory.displacement = memory.target;
  pushDisplacement(assembly, memory.target, 4);
  // The instruction's length is not known yet: rows.ts replaces the displacement.
  return is64 && !throughSib ? Object.assign(memory, { ripRelative: true }) : memory;
}

function pushDisplacement(assembly: Assembly, value: bigint, bytes: number): void {
  for (let i = 0; i < bytes; i++) assembly.operandBytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
}

/** A displacement for a base form: ModRM.mod and its bytes. RBP and R13 have no form without one. */
function chooseDisplacement(assembly: Assembly, base: number): { mod: number; displacement: bigint } {
  const { random } = assembly;
  const mod = (base & 7) === RBP ? random.between(1, 2) : random.pick([0, 0, 1, 1, 2]);
  if (mod === 0) return { mod, displacement: 0n };
  if (mod === 1) return { mod, displacement: BigInt(random.between(-128, 127)) };
  return {
    mod,
    displacement: random.oneIn(3) ? BigInt.asIntN(32, random.bits64()) : BigInt(random.between(-0x10000, 0x10000)),
  };
}

function encodeBase(assembly: Assembly, memory: NonNullable<EncodedInstruction['memory']>, reg: number): void {
  let base: number;
  do base = assembly.random.below(assembly.is64 ? 16 : 8);
  while ((base & 7) === RSP);
  if (base >= 8) assembly.rex |= REX_B;
  const { mod, displacement } = chooseDisplacement(assembly, base);
  assembly.operandBytes.push((mod << 6) | (reg << 3) | (base & 7));
  pushDisplacement(assembly, displacement, [0, 1, 4][mod]);
  memory.base = base;
  memory.displacement = displacement;
}

function encodeSib(assembly: Assembly, memory: NonNullable<EncodedInstruction['memory']>, reg: number): void {
  const { random } = assembly;
  const base = assembly.register(REX_B);
  const index = assembly.register(REX_X);
  const scaleBits = random.below(4);
  memory.scale = 1 << scaleBits;
  // SIB.index 4 without REX.X means no index.
  if (index !== NO_INDEX) memory.index = index;
  const withoutBase = (base & 7) === RBP && random.oneIn(3);
  const { mod, displacement } = withoutBase
    ? { mod: 0, displacement: BigInt(random.between(-0x10000, 0x10000)) }
    : chooseDisplacement(assembly, base);
  assembly.operandBytes.push((mod << 6) | (reg << 3) | SIB_FOLLOWS, (scaleBits << 6) | ((index & 7) << 3) | (base & 7));
  if (withoutBase) {
    // Without base only the displacement can aim, unless the target is out of its reach.
    memory.displacement = memory.target < 0x8000_0000n && !memory.segment ? memory.target - displacement : displacement;
    pushDisplacement(assembly, memory.displacement, 4);
    return;
  }
  memory.base = base;
  memory.displacement = displacement;
  pushDisplacement(assembly, displacement, [0, 1, 4][mod]);
}

/** 16-bit forms reach only the unmapped first 64 KiB: they fault, or compute addresses (LEA). */
function encode16(assembly: Assembly, reg: number, size: number, values: ValueKind): EncodedInstruction['memory'] {
  const { random } = assembly;
  const mod = random.below(3);
  const rm = random.below(8);
  assembly.operandBytes.push((mod << 6) | (reg << 3) | rm);
  const bytes = mod === 0 ? (rm === 6 ? 2 : 0) : mod;
  const displacement = BigInt.asIntN(8 * bytes, random.bits64());
  pushDisplacement(assembly, displacement, bytes);
  return { scale: 1, displacement, addressBits: 16, target: 0n, size, values };
}
