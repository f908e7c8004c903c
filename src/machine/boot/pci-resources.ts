/**
 * What firmware does to PCI before it starts a kernel: gives base address registers their places, routes interrupts, and
 * enables decoding. Direct kernel boot stands in for it, for kernels that rely on it.
 */

import { COMMAND, CONFIG } from '../../devices/pci/config-space.ts';
import { routePirq } from '../../devices/pci/host-bridge.ts';
import type { BarOptions, PciBus, PciFunction } from '../../devices/pci/model.ts';
import { PIRQ_COUNT, pirqOf } from '../acpi/chipset.ts';
import { alignUp } from '../bytes.ts';
import { BOARD_ADDRESS, splitMemory } from './memory-map.ts';

/** ISA interrupts that PIRQA to PIRQD take, and again E to H; SeaBIOS chooses the same. They have to be level-triggered. */
const PIRQ_IRQS = [10, 10, 11, 11] as const;
export const PCI_ISA_IRQS: readonly number[] = [10, 11];

/** Clear of the chipset's and the ISA devices' ports. */
const IO_WINDOW = { first: 0xc000, end: 0x1_0000 } as const;
const MEMORY_WINDOW = { first: BOARD_ADDRESS.PCI_WINDOW, end: BOARD_ADDRESS.IO_APIC } as const;

/**
 * Whether the host bridge passes a memory access on to PCI: not where there is RAM.
 * @param ramBytes size of the board's memory
 */
export function decodesPciMemory(ramBytes: number, address: number, length: number): boolean {
  const { low, high } = splitMemory(ramBytes);
  if (address < BOARD_ADDRESS.HIGH_MEMORY) return address >= low && address + length <= BOARD_ADDRESS.HIGH_MEMORY;
  return address >= BOARD_ADDRESS.HIGH_MEMORY + high;
}

/**
 * Assigns addresses, larger BARs first so that none is wasted on alignment, all of them below 4 GiB where every kernel
 * reaches them; sets interrupt lines and routes; switches decoding on. BARs for which there is no room stay unassigned.
 */
export function assignPciResources(bus: PciBus, lpc: PciFunction): void {
  for (let pirq = 0; pirq < PIRQ_COUNT; pirq++) routePirq(lpc, pirq, PIRQ_IRQS[pirq % PIRQ_IRQS.length]);
  const bars = [...bus.members()].flatMap(({ member }) => member.bars.map((bar) => ({ member, bar })));
  bars.sort((a, b) => b.bar.size - a.bar.size);
  const next = { io: IO_WINDOW.first as number, memory: MEMORY_WINDOW.first as number };
  for (const { member, bar } of bars) {
    const space = bar.kind === 'io' ? 'io' : 'memory';
    const address = alignUp(next[space], bar.size);
    if (address + bar.size > (space === 'io' ? IO_WINDOW.end : MEMORY_WINDOW.end)) continue;
    next[space] = address + bar.size;
    place(member, bar, address);
  }
  for (const { device, member } of bus.members()) {
    if (member.bars.length > 0) member.write(CONFIG.COMMAND, 2, COMMAND.IO_SPACE | COMMAND.MEMORY_SPACE);
    const pin = member.config.bytes[CONFIG.INTERRUPT_PIN];
    if (pin > 0) member.write(CONFIG.INTERRUPT_LINE, 1, PIRQ_IRQS[pirqOf(device, pin - 1) % PIRQ_IRQS.length]);
  }
}

function place(member: PciFunction, { index, kind }: BarOptions, address: number): void {
  const register = CONFIG.BAR0 + 4 * index;
  member.write(register, 4, address);
  if (kind === 'memory64') member.write(register + 4, 4, 0);
}
