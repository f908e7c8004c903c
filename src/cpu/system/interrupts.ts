/** What the run loop does at instruction boundaries: NMI and maskable interrupts (SDM vol. 3A 6.8; APM vol. 2 8.5, 15.13, 15.21). */
import type { Cpu } from '../cpu.ts';
import { word } from '../state.ts';
import { deliverException } from './exceptions.ts';
import { hooks } from './hooks.ts';
import { FLAG, systemFlags } from './registers.ts';

const NMI_VECTOR = 2;

const INTERRUPT_WAITING = word('interruptWaiting');

/**
 * Tells emitted code whether STI and POPF have to look for interrupts; to be called when the local APIC's `waiting`, guest
 * mode or the guest's virtual interrupt has changed.
 */
export function noteInterrupts(cpu: Cpu): void {
  const virtual = cpu.guestMode !== 0 && hooks.virtualInterruptRequested(cpu);
  cpu.u32[INTERRUPT_WAITING] = cpu.apic.waiting || virtual ? 1 : 0;
}

/** Whether a maskable interrupt would be taken. */
export function interruptsEnabled(cpu: Cpu): boolean {
  if (cpu.gif === 0) return false;
  if (cpu.guestMode !== 0) return hooks.physicalInterruptsEnabled(cpu);
  return (systemFlags(cpu) & FLAG.IF) !== 0;
}

/**
 * Delivers the most urgent event that may be taken now, with `cpu.rip` at the next instruction; true if one was. Wakes
 * the processor from HLT and MWAIT. In guest mode may throw `ABORTED` with a #VMEXIT described.
 *
 * While `interruptShadow` is set nothing is taken: run one instruction, clear it, poll again.
 */
export function pollInterrupts(cpu: Cpu): boolean {
  if (cpu.gif === 0 || cpu.interruptShadow !== 0) return false;
  const { apic } = cpu;
  if (apic.smiPending) {
    if (cpu.guestMode !== 0) hooks.systemManagementInterrupt(cpu);
    apic.smiPending = false;
    noteInterrupts(cpu);
    cpu.log.write('unimplemented', 'system management interrupt dropped: there is no system management mode');
  }
  if (apic.nmiPending && cpu.nmiBlocked === 0) {
    if (cpu.guestMode !== 0) hooks.nonMaskableInterrupt(cpu);
    apic.nmiPending = false;
    noteInterrupts(cpu);
    deliverException(cpu, NMI_VECTOR, undefined, 'nmi');
    return true;
  }
  const external = apic.externalPending();
  if ((external || apic.pending() >= 0) && interruptsEnabled(cpu)) {
    if (cpu.guestMode !== 0) hooks.physicalInterrupt(cpu);
    const vector = external ? apic.acknowledgeExternal() : apic.acknowledge();
    deliverException(cpu, vector, undefined, 'external');
    return true;
  }
  if (cpu.guestMode !== 0) {
    const vector = hooks.virtualInterrupt(cpu);
    if (vector >= 0) {
      hooks.acknowledgeVirtualInterrupt(cpu);
      deliverException(cpu, vector, undefined, 'external');
      return true;
    }
  }
  return false;
}

/** Whether an event is waiting that would end HLT, without taking it. */
export function wakeEventPending(cpu: Cpu): boolean {
  if (cpu.gif === 0) return false;
  const { apic } = cpu;
  if (apic.smiPending || (apic.nmiPending && cpu.nmiBlocked === 0)) return true;
  if ((apic.externalPending() || apic.pending() >= 0) && interruptsEnabled(cpu)) return true;
  return cpu.guestMode !== 0 && hooks.interruptWaiting(cpu);
}
