/** Processor state after power-on, INIT and SIPI (SDM vol. 3A table 10-1, 9.4.4; APM vol. 2 table 14-1). */
import { RDX } from '../../isa/stage.ts';
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { writeFlags } from '../flags.ts';
import { Activity, Pending } from '../state.ts';
import { signature } from './cpuid.ts';
import { writeDr6, writeDr7 } from './debug-registers.ts';
import { Attribute, SystemType } from './descriptors.ts';
import { initializeX87, MXCSR_RESET } from './images.ts';
import { PAT_RESET } from './memory-types.ts';
import { HWCR_RESET, VM_CR } from './msrs.ts';
import { CR0 } from './registers.ts';
import { loadRealSegment, loadSegmentRaw, REAL_MODE_ATTRIBUTES, REAL_MODE_LIMIT } from './segments.ts';
import { XSTATE } from './xsave-layout.ts';

const RESET_SELECTOR = 0xf000;
const RESET_BASE = 0xffff_0000n;
const RESET_RIP = 0xfff0n;
/** x87 control and tag words after power-on differ from those of FNINIT. */
const POWER_ON_X87_CONTROL = 0x40;
const POWER_ON_X87_TAGS = 0x5555;
const TSC_RATIO_ONE = 1n << 32n;
const CODE_ATTRIBUTES = REAL_MODE_ATTRIBUTES | Attribute.CODE;

function resetSegments(cpu: Cpu): void {
  for (const number of [ES, SS, DS, FS, GS]) {
    loadSegmentRaw(cpu, number, 0, 0n, REAL_MODE_LIMIT, REAL_MODE_ATTRIBUTES);
  }
  loadSegmentRaw(cpu, CS, RESET_SELECTOR, RESET_BASE, REAL_MODE_LIMIT, CODE_ATTRIBUTES);
  loadSegmentRaw(cpu, LDTR, 0, 0n, REAL_MODE_LIMIT, Attribute.P | SystemType.LDT);
  loadSegmentRaw(cpu, TR, 0, 0n, REAL_MODE_LIMIT, Attribute.P | SystemType.TSS32_BUSY);
  cpu.gdtrBase = 0n;
  cpu.gdtrLimit = REAL_MODE_LIMIT;
  cpu.idtrBase = 0n;
  cpu.idtrLimit = REAL_MODE_LIMIT;
}

/** What only power-on sets; INIT leaves it alone. */
function powerOn(cpu: Cpu): void {
  for (const field of [
    'cr2',
    'star',
    'lstar',
    'cstar',
    'sfmask',
    'kernelGsBase',
    'sysenterCs',
    'sysenterEsp',
    'sysenterEip',
    'tscOffset',
    'tscAux',
    'tscAdjust',
    'mtrrDefType',
    'miscEnable',
    'specCtrl',
    'debugCtl',
    'lastBranchFrom',
    'lastBranchTo',
    'lastExceptionFrom',
    'lastExceptionTo',
    'mcgStatus',
    'mcgCtl',
    'sysCfg',
    'nbCfg',
    'topMem',
    'topMem2',
    'vmHsavePa',
    'svmKey',
    'vmcb',
    'nestedCr3',
  ] as const) {
    cpu[field] = 0n;
  }
  for (const list of [cpu.mtrrPhys, cpu.mtrrFixed, cpu.machineCheckControl, cpu.perfEventSelect, cpu.perfCounter])
    list.fill(0n);
  cpu.cr0 = BigInt(CR0.CD | CR0.NW);
  cpu.pat = PAT_RESET;
  cpu.hwcr = HWCR_RESET;
  cpu.tscRatio = TSC_RATIO_ONE;
  cpu.xcr0 = BigInt(XSTATE.X87);
  cpu.mxcsr = MXCSR_RESET;
  cpu.xmm.fill(0);
  initializeX87(cpu);
  cpu.x87Control = POWER_ON_X87_CONTROL;
  cpu.x87Tag = POWER_ON_X87_TAGS;
  // Not exposed: disabled, and locked so that nobody looks for it.
  cpu.vmCr = cpu.model.flags.has('svm') ? 0n : VM_CR.SVMDIS | VM_CR.LOCK;
}

/** Resets a processor, which then starts at the reset vector in real-address mode. */
export function resetCpu(cpu: Cpu, kind: 'power-on' | 'init'): void {
  if (kind === 'power-on') powerOn(cpu);
  cpu.guestMode = 0;
  cpu.guestAsid = 0;
  cpu.nestedPaging = 0;
  cpu.intercepts.fill(0);
  cpu.gif = 1;
  cpu.interruptShadow = 0;
  cpu.nmiBlocked = 0;
  cpu.pending = Pending.NONE;
  cpu.activity = Activity.RUNNING;

  // Cache control survives INIT.
  cpu.cr0 = (cpu.cr0 & BigInt((CR0.CD | CR0.NW) >>> 0)) | BigInt(CR0.ET);
  cpu.cr2 = 0n;
  cpu.cr3 = 0n;
  cpu.cr4 = 0n;
  cpu.efer = 0n;
  cpu.cpl = 0;
  writeFlags(cpu, 0);
  cpu.gpr.fill(0n);
  cpu.gpr[RDX] = BigInt(signature(cpu.model) >>> 0);
  cpu.rip = RESET_RIP;
  cpu.nextRip = RESET_RIP;
  cpu.dr.fill(0n);
  writeDr6(cpu, 0n);
  writeDr7(cpu, 0n);
  resetSegments(cpu);
  cpu.translation.flushAll();
  cpu.translation.stateChanged();
}

/** Startup IPI: a processor that waits for it starts at page `vector` in real-address mode. */
export function startCpu(cpu: Cpu, vector: number): void {
  if (cpu.activity !== Activity.WAIT_FOR_SIPI) return;
  loadRealSegment(cpu, CS, (vector & 0xff) << 8);
  cpu.rip = 0n;
  cpu.nextRip = 0n;
  cpu.activity = Activity.RUNNING;
  cpu.translation.stateChanged();
}
