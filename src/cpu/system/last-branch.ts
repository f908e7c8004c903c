/** The last-branch record and branch single-stepping (APM vol. 2 13.1.1.3, 13.1.5). Costs nothing until a guest turns it on. */
import type { Cpu } from '../cpu.ts';
import { word } from '../state.ts';

/** DebugCtl. */
export const DebugControl = {
  /** Record branches. */
  LBR: 1 << 0,
  /** With RFLAGS.TF: trap after taken branches only. */
  BTF: 1 << 1,
} as const;

const DEBUG_CTL = word('debugCtl');
const RIP = word('rip');
const FROM = word('lastBranchFrom');
const TO = word('lastBranchTo');
const EXCEPTION_FROM = word('lastExceptionFrom');
const EXCEPTION_TO = word('lastExceptionTo');

/** Whether every instruction must be looked at by itself. */
export const watchesBranches = (cpu: Cpu): boolean =>
  (cpu.u32[DEBUG_CTL] & (DebugControl.LBR | DebugControl.BTF)) !== 0;

/** Records a control transfer to where RIP is now. */
export function recordBranch(cpu: Cpu, fromLow: number, fromHigh: number): void {
  const { u32 } = cpu;
  if ((u32[DEBUG_CTL] & DebugControl.LBR) === 0) return;
  u32[FROM] = fromLow;
  u32[FROM + 1] = fromHigh;
  u32[TO] = u32[RIP];
  u32[TO + 1] = u32[RIP + 1];
}

/** Records that an event led from an instruction to its handler; the branch before it is kept. #DB ends the recording. */
export function recordEvent(cpu: Cpu, fromLow: number, fromHigh: number, isDebugException: boolean): void {
  const { u32 } = cpu;
  if ((u32[DEBUG_CTL] & DebugControl.LBR) !== 0) {
    for (let i = 0; i < 2; i++) {
      u32[EXCEPTION_FROM + i] = u32[FROM + i];
      u32[EXCEPTION_TO + i] = u32[TO + i];
    }
    recordBranch(cpu, fromLow, fromHigh);
  }
  if (isDebugException) u32[DEBUG_CTL] &= ~(DebugControl.LBR | DebugControl.BTF);
}

/**
 * After an instruction at `from`, of so many bytes, has completed: records a taken branch, and lets a single step that
 * waits for branches pass. An instruction that stays where it is (a repeated string instruction) is none.
 */
export function branchMayHaveBeenTaken(cpu: Cpu, fromLow: number, fromHigh: number, length: number): void {
  const { u32 } = cpu;
  const low = u32[RIP];
  const taken = low !== (fromLow + length) >>> 0 && (low !== fromLow || u32[RIP + 1] !== fromHigh);
  if (taken) recordBranch(cpu, fromLow, fromHigh);
  else if ((u32[DEBUG_CTL] & DebugControl.BTF) !== 0) cpu.singleStep = 0;
}
