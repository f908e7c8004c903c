/** MOV to and from debug registers (SDM vol. 3B 18.2). */
import { Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { hooks } from './hooks.ts';
import { CR4, cr4, DR6, DR7, is64BitMode, MASK_32, writeRegister } from './registers.ts';

const BREAKPOINTS = 4;
const FIRST_ALIAS = 4;
const ALIAS_DISTANCE = 2;
const STATUS = 6;
const CONTROL = 7;

/** Resolves DR4 and DR5, which stand for DR6 and DR7 unless CR4.DE forbids them. */
function resolve(cpu: Cpu, number: number): number {
  if (number > CONTROL) throw fault(cpu, Vector.UD);
  if (number !== FIRST_ALIAS && number !== FIRST_ALIAS + 1) return number;
  if ((cr4(cpu) & CR4.DE) !== 0) throw fault(cpu, Vector.UD);
  return number + ALIAS_DISTANCE;
}

/** Sets DR6 for a #DB: of its bits only those of the breakpoints are cleared if they do not apply (SDM vol. 3B 18.2.3). */
export function reportDebugCauses(cpu: Cpu, causes: number): void {
  cpu.dr6 = (cpu.dr6 & ~BigInt(DR6.BREAKPOINTS)) | BigInt((causes & DR6.WRITABLE) >>> 0);
}

/** DR7.GD: any access raises #DB first, with DR6.BD set. */
function checkGeneralDetect(cpu: Cpu): void {
  if ((cpu.dr7 & BigInt(DR7.GD)) === 0n) return;
  reportDebugCauses(cpu, DR6.BD);
  throw fault(cpu, Vector.DB);
}

export function movFromDr(cpu: Cpu, number: number, register: number): void {
  const actual = resolve(cpu, number);
  checkGeneralDetect(cpu);
  if (cpu.guestMode !== 0) hooks.debugRegister(cpu, number, false, register);
  const value = actual < BREAKPOINTS ? cpu.dr[actual] : actual === STATUS ? cpu.dr6 : cpu.dr7;
  writeRegister(cpu, register, is64BitMode(cpu) ? 64 : 32, value);
}

/** Sets DR6; the fixed bits are put in. */
export function writeDr6(cpu: Cpu, value: bigint): void {
  cpu.dr6 = BigInt(((Number(value & MASK_32) & DR6.WRITABLE) | DR6.FIXED) >>> 0);
}

/** Sets DR7; the fixed bits are put in. */
export function writeDr7(cpu: Cpu, value: bigint): void {
  cpu.dr7 = BigInt(((Number(value & MASK_32) & DR7.WRITABLE) | DR7.FIXED) >>> 0);
}

export function movToDr(cpu: Cpu, number: number, register: number): void {
  const actual = resolve(cpu, number);
  checkGeneralDetect(cpu);
  const value = is64BitMode(cpu) ? cpu.gpr[register] : cpu.gpr[register] & MASK_32;
  if (cpu.guestMode !== 0) hooks.debugRegister(cpu, number, true, register);
  if (actual >= STATUS && value >> 32n !== 0n) throw fault(cpu, Vector.GP, 0);
  if (actual < BREAKPOINTS) cpu.dr[actual] = value;
  else if (actual === STATUS) writeDr6(cpu, value);
  else writeDr7(cpu, value);
  cpu.translation.stateChanged();
}
