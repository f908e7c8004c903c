/** The light helpers (src/isa/helpers.ts): computations too long for emitted code. */
import type { LightHelper } from '../isa/helpers.ts';
import { Vector } from '../isa/stage.ts';
import { setFault } from './fault.ts';
import type { CpuState } from './state.ts';

type Light = (cpu: CpuState, ...args: number[]) => number;

const MASK_64 = (1n << 64n) - 1n;

/** Stores a quotient and remainder if the quotient lies within the bounds, else describes #DE. */
function divided(cpu: CpuState, quotient: bigint, remainder: bigint, lowest: bigint, highest: bigint): number {
  if (quotient < lowest || quotient > highest) {
    setFault(cpu, Vector.DE);
    return 1;
  }
  cpu.scratch[0] = BigInt.asUintN(64, quotient);
  cpu.scratch[1] = BigInt.asUintN(64, remainder);
  return 0;
}

/** Reflected polynomial of CRC-32C (SDM vol. 2 CRC32). */
const CRC32C_POLYNOMIAL = 0x82f63b78;
const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ CRC32C_POLYNOMIAL : crc >>> 1;
  return crc;
});

export const divideU128: Light = (cpu) => {
  const dividend = (cpu.scratch[1] << 64n) | cpu.scratch[0];
  const divisor = cpu.scratch[2];
  return divided(cpu, dividend / divisor, dividend % divisor, 0n, MASK_64);
};

export const divideS128: Light = (cpu) => {
  const dividend = BigInt.asIntN(128, (cpu.scratch[1] << 64n) | cpu.scratch[0]);
  const divisor = BigInt.asIntN(64, cpu.scratch[2]);
  return divided(cpu, dividend / divisor, dividend % divisor, -(1n << 63n), (1n << 63n) - 1n);
};

/** (crc, value lo, hi, bits). */
export const crc32: Light = (_cpu, crc, low, high, bits) => {
  let c = crc >>> 0;
  for (let i = 0; i < bits; i += 8) {
    const byte = (i < 32 ? low >>> i : high >>> (i - 32)) & 0xff;
    c = CRC32C_TABLE[(c ^ byte) & 0xff] ^ (c >>> 8);
  }
  return c | 0;
};

export type { LightHelper };
