/** SYSCALL, SYSRET, SYSENTER, SYSEXIT (APM vol. 2 6.1; SDM vol. 3A 5.8.7, 5.8.8). */
import { RCX, RDX, RSP, Vector } from '../../isa/stage.ts';
import { CS, SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { readFlags, writeFlags } from '../flags.ts';
import { word } from '../state.ts';
import { Attribute, isNullSelector } from './descriptors.ts';
import {
  EFER,
  efer,
  FLAG,
  is64BitMode,
  isCanonical,
  isCanonicalHigh,
  isLongMode,
  isProtected,
  low32,
  MASK_32,
  setLow32,
  setSystemFlags,
  systemFlags,
} from './registers.ts';
import { loadFlatSegment, refreshStackMask } from './segments.ts';

const R11 = 11;
const RCX_WORD = word('gpr', RCX);
const NEXT_RIP = word('nextRip');
const LSTAR = word('lstar');
const CSTAR = word('cstar');
const SFMASK = word('sfmask');
const SELECTOR_MASK = 0xfffc;

const CODE_TYPE = Attribute.CODE | Attribute.READABLE | Attribute.ACCESSED;
const DATA_TYPE = Attribute.WRITABLE | Attribute.ACCESSED;
const FLAT = Attribute.S | Attribute.P | Attribute.G;
const CODE64 = FLAT | CODE_TYPE | Attribute.L;
const CODE32 = FLAT | CODE_TYPE | Attribute.DB;
const DATA32 = FLAT | DATA_TYPE | Attribute.DB;

/** STAR[47:32] and STAR[63:48]: selector bases of SYSCALL and SYSRET, both in its upper word. */
const STAR_UPPER = word('star') + 1;
const STAR_SYSRET_SHIFT = 16;
/** Distances from those bases (APM vol. 2 table 6-1). */
const SYSCALL_SS = 8;
const SYSRET_SS = 8;
const SYSRET_CS64 = 16;
/** Distances from SYSENTER_CS (SDM vol. 2 "SYSENTER", "SYSEXIT"). */
const SYSENTER_SS = 8;
const SYSEXIT_CS32 = 16;
const SYSEXIT_SS32 = 24;
const SYSEXIT_CS64 = 32;
const SYSEXIT_SS64 = 40;

/** The segments are not read from memory: they are taken to be flat. */
function enterFlat(cpu: Cpu, codeSelector: number, code: number, stackSelector: number, cpl: number): void {
  const privilege = cpl << Attribute.DPL_SHIFT;
  cpu.cpl = cpl;
  loadFlatSegment(cpu, CS, codeSelector | cpl, code | privilege);
  loadFlatSegment(cpu, SS, stackSelector | cpl, DATA32 | privilege);
  refreshStackMask(cpu);
  cpu.translation.stateChanged();
}

/** Whether SYSCALL and SYSRET lead to a single-step trap depends on TF behind them, not before. */
function stepByNewFlags(cpu: Cpu): void {
  cpu.singleStep = (systemFlags(cpu) & FLAG.TF) !== 0 ? 1 : 0;
}

export function syscall(cpu: Cpu): void {
  const { u32 } = cpu;
  const wide = is64BitMode(cpu);
  if ((efer(cpu) & EFER.SCE) === 0) throw fault(cpu, Vector.UD);
  // Intel processors know SYSCALL in 64-bit mode only.
  if (!wide && cpu.model.vendor === 'intel') throw fault(cpu, Vector.UD);
  if (!isProtected(cpu)) throw fault(cpu, Vector.UD);
  const selector = u32[STAR_UPPER] & SELECTOR_MASK;
  u32[RCX_WORD] = u32[NEXT_RIP];
  u32[RCX_WORD + 1] = u32[NEXT_RIP + 1];
  if (isLongMode(cpu)) {
    const flags = readFlags(cpu) & ~FLAG.RF;
    setLow32(cpu, R11, flags);
    const target = wide ? LSTAR : CSTAR;
    u32[NEXT_RIP] = u32[target];
    u32[NEXT_RIP + 1] = u32[target + 1];
    writeFlags(cpu, flags & ~u32[SFMASK]);
    stepByNewFlags(cpu);
    enterFlat(cpu, selector, CODE64, selector + SYSCALL_SS, 0);
  } else {
    u32[NEXT_RIP] = u32[STAR_UPPER - 1];
    u32[NEXT_RIP + 1] = 0;
    setSystemFlags(cpu, systemFlags(cpu) & ~(FLAG.IF | FLAG.RF | FLAG.VM));
    enterFlat(cpu, selector, CODE32, selector + SYSCALL_SS, 0);
  }
}

/** Flags SYSRET takes from R11: all but RF, VM and the reserved ones (SDM vol. 2 "SYSRET"). */
const SYSRET_FLAGS = 0x003c_7fd7;

export function sysret(cpu: Cpu, bits: number): void {
  const { u32 } = cpu;
  if ((efer(cpu) & EFER.SCE) === 0) throw fault(cpu, Vector.UD);
  if (!is64BitMode(cpu) && cpu.model.vendor === 'intel') throw fault(cpu, Vector.UD);
  if (!isProtected(cpu) || cpu.cpl !== 0) throw fault(cpu, Vector.GP, 0);
  const selector = (u32[STAR_UPPER] >>> STAR_SYSRET_SHIFT) & SELECTOR_MASK;
  const wide = bits === 64;
  // An Intel processor finds a bad target here; an AMD one goes there and faults at privilege level 3.
  const canonical = isCanonicalHigh(u32[RCX_WORD + 1] | 0);
  if (wide && cpu.model.vendor === 'intel' && !canonical) throw fault(cpu, Vector.GP, 0);
  if (isLongMode(cpu)) {
    writeFlags(cpu, low32(cpu, R11) & SYSRET_FLAGS);
    stepByNewFlags(cpu);
  } else setSystemFlags(cpu, systemFlags(cpu) | FLAG.IF);
  u32[NEXT_RIP] = u32[RCX_WORD];
  u32[NEXT_RIP + 1] = wide ? u32[RCX_WORD + 1] : 0;
  if (wide) enterFlat(cpu, selector + SYSRET_CS64, CODE64, selector + SYSRET_SS, 3);
  else enterFlat(cpu, selector, CODE32, selector + SYSRET_SS, 3);
}

/** Where SYSENTER and SYSEXIT do not exist: real-address mode (#GP), long mode on AMD processors (#UD). */
function checkFastCall(cpu: Cpu): number {
  if (isLongMode(cpu) && cpu.model.vendor === 'amd') throw fault(cpu, Vector.UD);
  const selector = Number(cpu.sysenterCs & 0xffffn) & SELECTOR_MASK;
  if (!isProtected(cpu) || isNullSelector(selector)) throw fault(cpu, Vector.GP, 0);
  return selector;
}

export function sysenter(cpu: Cpu): void {
  const selector = checkFastCall(cpu);
  const long = isLongMode(cpu);
  setSystemFlags(cpu, systemFlags(cpu) & ~(FLAG.VM | FLAG.IF | FLAG.RF));
  cpu.gpr[RSP] = long ? cpu.sysenterEsp : cpu.sysenterEsp & MASK_32;
  cpu.nextRip = long ? cpu.sysenterEip : cpu.sysenterEip & MASK_32;
  enterFlat(cpu, selector, long ? CODE64 : CODE32, selector + SYSENTER_SS, 0);
}

export function sysexit(cpu: Cpu, bits: number): void {
  const selector = checkFastCall(cpu);
  if (cpu.cpl !== 0) throw fault(cpu, Vector.GP, 0);
  const wide = bits === 64;
  const pointer = cpu.gpr[RCX];
  const target = cpu.gpr[RDX];
  if (wide && !(isCanonical(pointer) && isCanonical(target))) throw fault(cpu, Vector.GP, 0);
  cpu.gpr[RSP] = wide ? pointer : pointer & MASK_32;
  cpu.nextRip = wide ? target : target & MASK_32;
  if (wide) enterFlat(cpu, selector + SYSEXIT_CS64, CODE64, selector + SYSEXIT_SS64, 3);
  else enterFlat(cpu, selector + SYSEXIT_CS32, CODE32, selector + SYSEXIT_SS32, 3);
}
