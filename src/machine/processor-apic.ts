/** The local APIC as the processor sees it, made of the board's. */

import type { LocalApic } from '../cpu/cpu.ts';
import { NO_INTERRUPT } from '../devices/lapic/model.ts';
import type { Board } from './board.ts';

/** IA32_APIC_BASE (SDM vol. 4 table 2-2). */
const APIC_BASE_MSR = 0x1b;

/** Connects a processor to its board's local APIC, the 8259A pair behind it, and the NMI line. */
export function processorApic(board: Board): LocalApic {
  const { lapic } = board;
  return {
    pending: () => board.pendingVector(),
    acknowledge: () => lapic.acknowledge(),
    externalPending: () => board.externalPending(),
    acknowledgeExternal: () => lapic.acknowledge(),
    get waiting() {
      return lapic.pending() !== NO_INTERRUPT || board.nmiPending || board.smiPending;
    },
    get nmiPending() {
      return board.nmiPending;
    },
    set nmiPending(value: boolean) {
      board.nmiPending = value;
    },
    get smiPending() {
      return board.smiPending;
    },
    set smiPending(value: boolean) {
      board.smiPending = value;
    },
    readMsr: (index) => lapic.readMsr(index),
    writeMsr: (index, value) => lapic.writeMsr(index, value),
    get cr8() {
      return lapic.cr8;
    },
    set cr8(value: number) {
      lapic.cr8 = value;
    },
    get apicBase() {
      return lapic.readMsr(APIC_BASE_MSR) ?? 0n;
    },
    set apicBase(value: bigint) {
      lapic.writeMsr(APIC_BASE_MSR, value);
    },
  };
}
