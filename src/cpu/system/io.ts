/** IN and OUT with their permission checks (SDM vol. 1 chapter 19). */
import { RAX, Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { hooks, type PortAccess } from './hooks.ts';
import { ioPrivilegeLevel, isProtected, isVirtual8086, low32, writeRegister } from './registers.ts';
import { ioPermitted } from './task-state.ts';

/** #GP(0) unless IOPL or the I/O permission bitmap allows the ports; then a hypervisor's intercept. */
export function checkPort(cpu: Cpu, access: PortAccess): void {
  const unprivileged = isProtected(cpu) && (cpu.cpl > ioPrivilegeLevel(cpu) || isVirtual8086(cpu));
  if (unprivileged && !ioPermitted(cpu, access.port, access.bytes)) throw fault(cpu, Vector.GP, 0);
  if (cpu.guestMode !== 0) hooks.port(cpu, access);
}

function single(port: number, bits: number, input: boolean, addressBits: number): PortAccess {
  const bytes = (bits >> 3) as PortAccess['bytes'];
  return { port, bytes, input, string: false, repeat: false, segment: 0, addressBits };
}

/** IN: (bits, port, address bits). */
export function input(cpu: Cpu, bits: number, port: number, addressBits: number): void {
  const access = single(port & 0xffff, bits, true, addressBits);
  checkPort(cpu, access);
  const value = cpu.ports.readPort(access.port, access.bytes);
  writeRegister(cpu, RAX, bits, BigInt(value >>> 0));
}

/** OUT: (bits, port, address bits). */
export function output(cpu: Cpu, bits: number, port: number, addressBits: number): void {
  const access = single(port & 0xffff, bits, false, addressBits);
  checkPort(cpu, access);
  const value = low32(cpu, RAX);
  cpu.ports.writePort(access.port, access.bytes, bits === 32 ? value : value & ((1 << bits) - 1));
}
