import type { Vector } from '../isa/stage.ts';
import { type CpuState, Pending, word } from './state.ts';

/**
 * Thrown by processor code to abandon the current instruction after describing the reason in the context (`pending` and
 * its fields), or returned by a system helper itself. One shared value without a stack: faults are ordinary events. Caught by
 * the boundary through which emitted code calls helpers, and by the run loop; nothing else may swallow it.
 */
export class InstructionAborted {}
export const ABORTED = new InstructionAborted();

const PENDING = word('pending');
const VECTOR = word('faultVector');
const ERROR_CODE = word('faultErrorCode');
const HAS_ERROR_CODE = word('faultHasErrorCode');
const ADDRESS = word('faultAddress');

export type VectorNumber = (typeof Vector)[keyof typeof Vector];

/** Describes an exception without throwing; for the status-returning paths. */
export function setFault(cpu: CpuState, vector: number, errorCode?: number): void {
  const u32 = cpu.u32;
  u32[PENDING] = Pending.FAULT;
  u32[VECTOR] = vector;
  u32[ERROR_CODE] = errorCode ?? 0;
  u32[HAS_ERROR_CODE] = errorCode === undefined ? 0 : 1;
}

/** Describes a page fault; the address becomes CR2 when the exception is delivered (not when it is intercepted). */
export function setPageFault(cpu: CpuState, addressLow: number, addressHigh: number, errorCode: number): void {
  setFault(cpu, 14, errorCode);
  cpu.u32[ADDRESS] = addressLow;
  cpu.u32[ADDRESS + 1] = addressHigh;
}

/** Raises an exception from a helper: `throw fault(cpu, Vector.GP, 0)`. */
export function fault(cpu: CpuState, vector: number, errorCode?: number): InstructionAborted {
  setFault(cpu, vector, errorCode);
  return ABORTED;
}

/** Leaves the guest for the hypervisor inside: `throw guestExit(cpu, code, info1, info2)`. */
export function guestExit(cpu: CpuState, code: bigint, info1 = 0n, info2 = 0n): InstructionAborted {
  cpu.pending = Pending.GUEST_EXIT;
  cpu.exitCode = code;
  cpu.exitInfo1 = info1;
  cpu.exitInfo2 = info2;
  return ABORTED;
}
