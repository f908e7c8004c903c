/** INVLPG, INVPCID, INVD and WBINVD (SDM vol. 3A 4.10.4.1). */
import { Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { hooks, interceptInstruction } from './hooks.ts';
import { CR4, cr4, isCanonical, join } from './registers.ts';

const INVPCID_TYPES = 4;
const INVPCID_ADDRESS = 0;
const INVPCID_CONTEXT = 1;
const PCID_RESERVED = ~0xfffn;

/** (linear address lo, hi). */
export function invlpg(cpu: Cpu, low: number, high: number): void {
  const linear = join(low, high);
  if (cpu.guestMode !== 0) hooks.invalidatePage(cpu, linear);
  // An address that is not canonical has no translations.
  if (isCanonical(linear)) cpu.translation.invalidatePage(linear);
}

/** (type lo, hi, descriptor linear lo, hi). */
export function invpcid(cpu: Cpu, typeLow: number, typeHigh: number, low: number, high: number): void {
  interceptInstruction(cpu, 'INVPCID');
  const type = typeLow >>> 0;
  if (typeHigh !== 0 || type >= INVPCID_TYPES) throw fault(cpu, Vector.GP, 0);
  const address = join(low, high);
  const pcid = cpu.linear.readU64(address);
  const linear = cpu.linear.readU64(address + 8n);
  const selective = type === INVPCID_ADDRESS || type === INVPCID_CONTEXT;
  const badPcid = (pcid & PCID_RESERVED) !== 0n || (selective && pcid !== 0n && (cr4(cpu) & CR4.PCIDE) === 0);
  if (badPcid || (type === INVPCID_ADDRESS && !isCanonical(linear))) throw fault(cpu, Vector.GP, 0);
  cpu.translation.invalidatePcid(type, Number(pcid), linear);
}

/** INVD and WBINVD: there are no caches, so memory is always current. */
export function invalidateCaches(_cpu: Cpu): void {}
