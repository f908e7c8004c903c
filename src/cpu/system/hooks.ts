/**
 * Where virtualization plugs into the processor: called only while `cpu.guestMode` is set, except where noted. Until
 * something is plugged in, nothing is intercepted. A hook intercepts by throwing `guestExit(...)`.
 *
 * Instruction intercepts that need no look at operands are columns of the instruction rows, or
 * {@link interceptInstruction} where other checks come first; these are the others.
 */
import type { Intercept } from '../../isa/instruction.ts';
import { INTERCEPT_EXIT_CODE, interceptBit } from '../../isa/intercepts.ts';
import type { Cpu } from '../cpu.ts';
import { guestExit } from '../fault.ts';

/** How an event came about; decides what is saved, checked and reported. */
export type EventKind =
  /** An exception; the saved RIP is the instruction. */
  | 'fault'
  /** An exception after an instruction (single step, data breakpoint); `cpu.rip` is already the next one. */
  | 'trap'
  /** INT n. */
  | 'software'
  /** INT3 and INTO: exceptions to an intercept, but checked like INT n. */
  | 'softwareException'
  /** INT1: an exception whose gate needs no privilege. */
  | 'privilegedSoftware'
  | 'external'
  | 'nmi';

/** An event on its way to its handler. */
export interface DeliveredEvent {
  readonly vector: number;
  readonly errorCode: number | undefined;
  readonly kind: EventKind;
  /** Bytes of the instruction that asked for it, 0 if none did. */
  readonly instructionLength: number;
}

/** One access to port space, as an intercept must describe it (APM vol. 2 15.10.2). */
export interface PortAccess {
  readonly port: number;
  readonly bytes: 1 | 2 | 4;
  readonly input: boolean;
  readonly string: boolean;
  readonly repeat: boolean;
  /** Segment register number of a string source or destination. */
  readonly segment: number;
  readonly addressBits: number;
}

/** Operands of {@link SystemHooks.controlRegister} that are no general register: none (CLTS, SMSW), and that of LMSW. */
export const NO_REGISTER = -1;
export const MACHINE_STATUS_WORD = -2;

export type TaskSwitchSource = 'call' | 'iret' | 'jump' | 'gate';

export interface SystemHooks {
  /**
   * An exception is about to be delivered; `delivering` is the event whose delivery raised it. Not called for INT n,
   * interrupts and NMI. `cpu.faultAddress` holds the address of a page fault; CR2 has not changed yet.
   */
  exception(cpu: Cpu, event: DeliveredEvent, delivering: DeliveredEvent | undefined): void;
  /** A #VMEXIT was thrown (and is being passed on) while `event` was delivered: EXITINTINFO. */
  deliveryAbandoned(cpu: Cpu, event: DeliveredEvent): void;
  /** A triple fault. */
  shutdown(cpu: Cpu, delivering: DeliveredEvent): void;
  /** INT n, before any check. */
  softwareInterrupt(cpu: Cpu, vector: number): void;
  /**
   * MOV to or from CR0-CR8, CLTS, LMSW and SMSW; `value` is what a write would set. `register` is {@link NO_REGISTER} or
   * {@link MACHINE_STATUS_WORD} where none is named.
   */
  controlRegister(cpu: Cpu, number: number, write: boolean, register: number, value: bigint): void;
  debugRegister(cpu: Cpu, number: number, write: boolean, register: number): void;
  /** RDMSR and WRMSR, before the MSR is looked up. */
  modelSpecificRegister(cpu: Cpu, index: number, write: boolean): void;
  port(cpu: Cpu, access: PortAccess): void;
  /** INVLPG, for decode assists. */
  invalidatePage(cpu: Cpu, linear: bigint): void;
  /** PAUSE, for the filter. */
  pause(cpu: Cpu): void;
  taskSwitch(cpu: Cpu, selector: number, source: TaskSwitchSource, errorCode: number | undefined): void;
  /** A system management interrupt is due. */
  systemManagementInterrupt(cpu: Cpu): void;
  /** An NMI is due. */
  nonMaskableInterrupt(cpu: Cpu): void;
  /** Whether a virtual interrupt waits that the guest may hold back. */
  virtualInterruptRequested(cpu: Cpu): boolean;
  /** Whether a physical or virtual interrupt may be deliverable now; cheap, and allowed to err towards true. */
  interruptWaiting(cpu: Cpu): boolean;
  /** Whether a physical interrupt may be taken now (V_INTR_MASKING puts the host's IF in charge). */
  physicalInterruptsEnabled(cpu: Cpu): boolean;
  /** A physical interrupt is due. */
  physicalInterrupt(cpu: Cpu): void;
  /** Vector of a virtual interrupt to be delivered now, or -1; may throw for a virtual interrupt intercept. */
  virtualInterrupt(cpu: Cpu): number;
  /** Takes the virtual interrupt just announced. */
  acknowledgeVirtualInterrupt(cpu: Cpu): void;
  /** CR8 under V_INTR_MASKING: the virtual TPR; `undefined` for the local APIC's. */
  virtualTaskPriority(cpu: Cpu): number | undefined;
  setVirtualTaskPriority(cpu: Cpu, value: number): boolean;
  /** IRET completed; `cpu.nmiBlocked` has been cleared. */
  interruptReturned(cpu: Cpu): void;
  /** The time stamp counter of the guest, from that of its hypervisor. */
  guestTimeStamp(cpu: Cpu, timeStamp: bigint): bigint;
}

/** What holds without virtualization. */
export const NO_HOOKS: SystemHooks = {
  exception() {},
  deliveryAbandoned() {},
  shutdown() {},
  softwareInterrupt() {},
  controlRegister() {},
  debugRegister() {},
  modelSpecificRegister() {},
  port() {},
  invalidatePage() {},
  pause() {},
  taskSwitch() {},
  systemManagementInterrupt() {},
  nonMaskableInterrupt() {},
  virtualInterruptRequested: () => false,
  interruptWaiting: () => true,
  physicalInterruptsEnabled: () => true,
  physicalInterrupt() {},
  virtualInterrupt: () => -1,
  acknowledgeVirtualInterrupt() {},
  virtualTaskPriority: () => undefined,
  setVirtualTaskPriority: () => false,
  interruptReturned() {},
  guestTimeStamp: (_cpu, timeStamp) => timeStamp,
};

/** The hooks in use, shared by all processors of this module instance; each hook is told which processor calls. */
export const hooks: SystemHooks = { ...NO_HOOKS };

/** Plugs in a virtualization unit. */
export function plugHooks(plugged: Partial<SystemHooks>): void {
  Object.assign(hooks, plugged);
}

/** Leaves guest mode if the hypervisor intercepts this instruction. For helpers whose own checks come first. */
export function interceptInstruction(cpu: Cpu, name: Intercept): void {
  if (cpu.guestMode === 0) return;
  const { word, bit } = interceptBit(name);
  if (((cpu.intercepts[word] >>> bit) & 1) !== 0) throw guestExit(cpu, BigInt(INTERCEPT_EXIT_CODE[name]));
}
