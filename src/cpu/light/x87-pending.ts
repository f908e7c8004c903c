/** What a waiting x87 or MMX instruction does about an x87 exception that is pending (SDM vol. 3A 2.5 CR0.NE, vol. 1 8.7). */
import { Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { setFault } from '../fault.ts';
import { word } from '../state.ts';
import { CR0 } from '../system/registers.ts';

const CONTROL = word('cr0');

const told = new WeakSet<Cpu>();

/** 1 with #MF described. With CR0.NE clear there is nobody at the pin: logged once, and the exception is ignored. */
export function x87Pending(cpu: Cpu): number {
  if (cpu.u32[CONTROL] & CR0.NE) {
    setFault(cpu, Vector.MF);
    return 1;
  }
  if (!told.has(cpu)) {
    told.add(cpu);
    cpu.log.write('unimplemented', 'x87: exception with CR0.NE clear: FERR# and IRQ 13 are not connected, ignored');
  }
  return 0;
}
