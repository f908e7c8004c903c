/** The system helpers (src/isa/helpers.ts) but for x87 and AMD-V, which have directories of their own. */
import type { SystemHelper } from '../../isa/helpers.ts';
import type { Cpu } from '../cpu.ts';
import { clts, lmsw, movFromCr, movToCr, xgetbv, xsetbv } from './control-registers.ts';
import { cpuid } from './cpuid.ts';
import { movFromDr, movToDr } from './debug-registers.ts';
import {
  arpl,
  larLsl,
  lgdt,
  lidt,
  lldt,
  ltr,
  sgdt,
  sidt,
  storeSystemRegister,
  verify,
} from './descriptor-instructions.ts';
import { farCall, farJump } from './far-transfers.ts';
import { fxrstor, fxsave, ldmxcsr, xrstor, xrstors, xsave, xsavec, xsaveopt, xsaves } from './images.ts';
import {
  clac,
  cli,
  hlt,
  int1,
  int3,
  into,
  monitor,
  mwait,
  pause,
  popf,
  pushf,
  rsm,
  softwareInterrupt,
  stac,
  sti,
} from './interrupt-instructions.ts';
import { invalidateCaches, invlpg, invpcid } from './invalidation.ts';
import { input, output } from './io.ts';
import { rdmsr, wrmsr } from './msrs.ts';
import { farReturn, iret } from './returns.ts';
import {
  enter,
  loadFarPointer,
  loadSegment,
  popSegment,
  pushSegment,
  rdfsbase,
  rdgsbase,
  wrfsbase,
  wrgsbase,
} from './segment-instructions.ts';
import { stringOperation } from './string.ts';
import { syscall, sysenter, sysexit, sysret } from './syscall.ts';
import { rdpid, rdpmc, rdrand, rdseed, rdtsc, rdtscp } from './time.ts';

/** Implemented elsewhere: the x87 unit (src/cpu/float) and AMD-V (src/cpu/svm). */
type OtherHelper =
  | 'x87'
  | 'vmrun'
  | 'vmload'
  | 'vmsave'
  | 'vmmcall'
  | 'vmcall'
  | 'stgi'
  | 'clgi'
  | 'skinit'
  | 'invlpga'
  | 'intercepted';

export const systemHelpers = {
  cpuid,
  rdmsr,
  wrmsr,
  rdtsc,
  rdtscp,
  rdpmc,
  rdpid,
  rdrand,
  rdseed,
  movFromCr,
  movToCr,
  movFromDr,
  movToDr,
  clts,
  lmsw,
  pushf,
  popf,
  cli,
  sti,
  clac,
  stac,
  hlt,
  pause,
  monitor,
  mwait,
  invalidateCaches,
  invlpg,
  invpcid,
  xgetbv,
  xsetbv,
  rdfsbase,
  rdgsbase,
  wrfsbase,
  wrgsbase,
  lgdt,
  lidt,
  sgdt,
  sidt,
  lldt,
  ltr,
  loadSegment,
  pushSegment,
  popSegment,
  loadFarPointer,
  storeSystemRegister,
  larLsl,
  verify,
  enter,
  arpl,
  farJump,
  farCall,
  farReturn,
  iret,
  softwareInterrupt,
  int3,
  int1,
  into,
  syscall,
  sysret,
  sysenter,
  sysexit,
  rsm,
  in: input,
  out: output,
  stringOperation,
  fxsave,
  fxrstor,
  xsave,
  xsaveopt,
  xsavec,
  xsaves,
  xrstor,
  xrstors,
  ldmxcsr,
} satisfies Record<Exclude<SystemHelper, OtherHelper>, (cpu: Cpu, ...args: number[]) => void>;
