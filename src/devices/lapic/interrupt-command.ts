/** The interrupt command register (SDM vol. 3A 11.6.1): what a write to it sends. */
import type { InterruptMessage } from './interrupt-bus.ts';
import * as R from './registers.ts';

/** What became of a command. */
export type InterruptCommand =
  | { kind: 'send'; message: InterruptMessage; shorthand: number }
  /** A fixed interrupt with a vector below 16. */
  | { kind: 'illegal-vector' }
  | { kind: 'reserved-mode'; deliveryMode: number }
  /** INIT level de-assert, which only synchronized arbitration IDs on processors that had them. */
  | { kind: 'nothing' };

/** Decodes the two halves of the register; in x2APIC mode the destination has 32 bits. */
export function decodeInterruptCommand(low: number, high: number, x2apic: boolean): InterruptCommand {
  const deliveryMode = (low >> R.ICR_DELIVERY_MODE_SHIFT) & 7;
  const vector = low & R.ICR_VECTOR;
  switch (deliveryMode) {
    case R.DELIVERY_FIXED:
    case R.DELIVERY_LOWEST_PRIORITY:
      if (vector < R.FIRST_LEGAL_VECTOR) return { kind: 'illegal-vector' };
      break;
    case R.DELIVERY_INIT:
      if ((low & (R.ICR_LEVEL | R.ICR_ASSERT)) === R.ICR_LEVEL) return { kind: 'nothing' };
      break;
    case R.DELIVERY_SMI:
    case R.DELIVERY_NMI:
    case R.DELIVERY_STARTUP:
      break;
    default:
      return { kind: 'reserved-mode', deliveryMode };
  }
  return {
    kind: 'send',
    shorthand: (low >>> R.ICR_SHORTHAND_SHIFT) & 3,
    message: {
      deliveryMode,
      vector,
      // The trigger mode matters for INIT alone; every other IPI is an edge.
      levelTriggered: false,
      destination: x2apic ? high : high >>> R.XAPIC_ID_SHIFT,
      logical: (low & R.ICR_LOGICAL) !== 0,
      extended: x2apic,
    },
  };
}
