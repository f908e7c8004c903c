/** INT n, INT3, INTO, INT1; CLI, STI, PUSHF, POPF; HLT and its kin; the flags CLAC and STAC change. */
import { RSP, Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { arithmeticFlags, readFlags } from '../flags.ts';
import { Activity, InterruptShadow, word } from '../state.ts';
import { reportDebugCauses } from './debug-registers.ts';
import { deliverException } from './exceptions.ts';
import { hooks, interceptInstruction } from './hooks.ts';
import { deliverTo8086 } from './interrupt-gates.ts';
import { arenaOf, plainAddress, READ, WRITE } from './plain-memory.ts';
import {
  CR4,
  cr4,
  FLAG,
  ioPrivilegeLevel,
  isProtected,
  isVirtual8086,
  setSystemFlags,
  systemFlags,
} from './registers.ts';
import { applyFlags, applyVirtualFlags, changeableFlags, changeableRealFlags } from './returns.ts';
import { Stack, type StackBits } from './stack.ts';
import { interruptRedirected } from './task-state.ts';

const instructionLength = (cpu: Cpu): number => Number(BigInt.asUintN(4, cpu.nextRip - cpu.rip));

/** INT n. In virtual-8086 mode it may belong to the 8086 program's own table (SDM vol. 3B table 20-2). */
export function softwareInterrupt(cpu: Cpu, vector: number): void {
  if (cpu.guestMode !== 0) hooks.softwareInterrupt(cpu, vector);
  if (isVirtual8086(cpu)) {
    if ((cr4(cpu) & CR4.VME) !== 0 && interruptRedirected(cpu, vector)) {
      deliverTo8086(cpu, vector);
      return;
    }
    if (ioPrivilegeLevel(cpu) !== 3) throw fault(cpu, Vector.GP, 0);
  }
  deliverException(cpu, vector, undefined, 'software', instructionLength(cpu));
}

export function int3(cpu: Cpu): void {
  deliverException(cpu, Vector.BP, undefined, 'softwareException', instructionLength(cpu));
}

export function into(cpu: Cpu): void {
  if ((arithmeticFlags(cpu) & FLAG.OF) === 0) return;
  deliverException(cpu, Vector.OF, undefined, 'softwareException', instructionLength(cpu));
}

export function int1(cpu: Cpu): void {
  // A breakpoint met behind MOV SS is reported along with it.
  if (cpu.dr6Pending !== 0) reportDebugCauses(cpu, cpu.dr6Pending);
  cpu.dr6Pending = 0;
  deliverException(cpu, Vector.DB, undefined, 'privilegedSoftware', instructionLength(cpu));
}

// --- the interrupt flag

/**
 * Which flag CLI and STI mean: IF with I/O privilege, VIF for a virtual-8086 task under CR4.VME or a protected-mode task
 * of privilege level 3 under CR4.PVI (SDM vol. 2 "CLI", "STI"). #GP(0) otherwise.
 */
function interruptFlag(cpu: Cpu): number {
  if (!isProtected(cpu) || cpu.cpl <= ioPrivilegeLevel(cpu)) {
    // A virtual-8086 task has privilege level 3, so IOPL 3 is what it needs.
    return FLAG.IF;
  }
  const virtual = isVirtual8086(cpu) ? CR4.VME : cpu.cpl === 3 ? CR4.PVI : 0;
  if ((cr4(cpu) & virtual) === 0) throw fault(cpu, Vector.GP, 0);
  return FLAG.VIF;
}

export function cli(cpu: Cpu): void {
  setSystemFlags(cpu, systemFlags(cpu) & ~interruptFlag(cpu));
}

export function sti(cpu: Cpu): void {
  const flag = interruptFlag(cpu);
  const flags = systemFlags(cpu);
  if (flag === FLAG.VIF && (flags & FLAG.VIP) !== 0) throw fault(cpu, Vector.GP, 0);
  setSystemFlags(cpu, flags | flag);
  if (flag === FLAG.IF && (flags & FLAG.IF) === 0) {
    cpu.interruptShadow = InterruptShadow.STI;
  }
}

// --- PUSHF and POPF

const RSP_WORD = word('gpr', RSP);
const PAGE_SIZE = 0x1000;
const QUADWORD = 8;

/**
 * Word index of a quadword of a 64-bit stack that lies in plain memory, or 0: PUSHFQ and POPFQ surround every section of
 * a kernel that masks interrupts.
 */
function stackWord(cpu: Cpu, low: number, access: number): number {
  const high = cpu.u32[RSP_WORD + 1] | 0;
  if ((low & 3) !== 0 || (low & (PAGE_SIZE - 1)) > PAGE_SIZE - QUADWORD) return 0;
  return plainAddress(cpu, arenaOf(cpu).words, low | 0, high, access) >>> 2;
}

function pushfPlain(cpu: Cpu): boolean {
  const { u32 } = cpu;
  const low = u32[RSP_WORD] - QUADWORD;
  const place = low < 0 ? 0 : stackWord(cpu, low, WRITE);
  if (place === 0) return false;
  const { words } = arenaOf(cpu);
  words[place] = readFlags(cpu) & ~(FLAG.RF | FLAG.VM);
  words[place + 1] = 0;
  u32[RSP_WORD] = low;
  return true;
}

function popfPlain(cpu: Cpu): boolean {
  const { u32 } = cpu;
  const after = u32[RSP_WORD] + QUADWORD;
  const place = after > 0xffff_ffff ? 0 : stackWord(cpu, u32[RSP_WORD], READ);
  if (place === 0) return false;
  const flags = arenaOf(cpu).words[place] & ~FLAG.RF;
  u32[RSP_WORD] = after;
  applyFlags(cpu, flags, changeableFlags(cpu, 64, cpu.cpl) | FLAG.RF);
  return true;
}

export function pushf(cpu: Cpu, bits: number): void {
  if (bits === 64 && pushfPlain(cpu)) return;
  let flags = readFlags(cpu) & ~(FLAG.RF | FLAG.VM);
  if (isVirtual8086(cpu) && ioPrivilegeLevel(cpu) !== 3) {
    if ((cr4(cpu) & CR4.VME) === 0 || bits !== 16) throw fault(cpu, Vector.GP, 0);
    flags = (flags & ~FLAG.IF) | FLAG.IOPL | ((flags & FLAG.VIF) !== 0 ? FLAG.IF : 0);
  }
  const stack = Stack.current(cpu);
  stack.push(bits as StackBits, flags);
  stack.commit();
}

export function popf(cpu: Cpu, bits: number): void {
  if (bits === 64 && popfPlain(cpu)) return;
  const virtual = isVirtual8086(cpu);
  const unprivileged = virtual && ioPrivilegeLevel(cpu) !== 3;
  if (unprivileged && ((cr4(cpu) & CR4.VME) === 0 || bits !== 16)) throw fault(cpu, Vector.GP, 0);
  const stack = Stack.current(cpu);
  const flags = Number(BigInt.asUintN(32, stack.pop(bits as StackBits)));
  if (unprivileged) applyVirtualFlags(cpu, flags);
  else {
    let mask = isProtected(cpu) ? changeableFlags(cpu, bits, cpu.cpl) : changeableRealFlags(bits);
    if (virtual) mask &= ~FLAG.IOPL;
    // RF is cleared whatever was popped (SDM vol. 2 "POPF").
    applyFlags(cpu, flags & ~FLAG.RF, mask | FLAG.RF);
  }
  stack.commit();
}

function changeAlignmentCheck(cpu: Cpu, set: boolean): void {
  if (cpu.cpl !== 0) throw fault(cpu, Vector.UD);
  setSystemFlags(cpu, set ? systemFlags(cpu) | FLAG.AC : systemFlags(cpu) & ~FLAG.AC);
  cpu.translation.stateChanged();
}
export const clac = (cpu: Cpu): void => changeAlignmentCheck(cpu, false);
export const stac = (cpu: Cpu): void => changeAlignmentCheck(cpu, true);

// --- activity

export function hlt(cpu: Cpu): void {
  cpu.activity = Activity.HALTED;
}

export function pause(cpu: Cpu): void {
  if (cpu.guestMode !== 0) hooks.pause(cpu);
}

/**
 * MONITOR: the address range is not watched, so MWAIT ends at once, which the architecture allows at any time. No model
 * claims the feature.
 */
export function monitor(cpu: Cpu): void {
  if (cpu.cpl !== 0) throw fault(cpu, Vector.UD);
  interceptInstruction(cpu, 'MONITOR');
  if ((cpu.gpr[1] & 0xffff_ffffn) !== 0n) throw fault(cpu, Vector.GP, 0);
}

/** ECX bit 0: interrupts end the wait even while masked. */
const MWAIT_EXTENSIONS = 1n;

export function mwait(cpu: Cpu): void {
  if (cpu.cpl !== 0) throw fault(cpu, Vector.UD);
  interceptInstruction(cpu, 'MWAIT');
  if ((cpu.gpr[1] & 0xffff_ffffn & ~MWAIT_EXTENSIONS) !== 0n) throw fault(cpu, Vector.GP, 0);
}

/** There is no system management mode. */
export function rsm(cpu: Cpu): void {
  throw fault(cpu, Vector.UD);
}
