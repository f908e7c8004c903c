/** Registers of the HPET, IA-PC HPET specification 1.0a, and what QEMU's q35 has in the fixed ones. */

/** Length of a tick in nanoseconds, and in the femtoseconds the capability register counts. */
export const HPET_TICK = 10;
const FEMTOSECONDS_PER_NANOSECOND = 1_000_000;
export const PERIOD_VALUE = HPET_TICK * FEMTOSECONDS_PER_NANOSECOND;
export const HPET_TIMERS = 3;

/** Register offsets (table 2). */
export const CAPABILITIES = 0x000;
export const PERIOD = 0x004;
export const CONFIGURATION = 0x010;
export const INTERRUPT_STATUS = 0x020;
export const COUNTER_LOW = 0x0f0;
export const COUNTER_HIGH = 0x0f4;
export const TIMER_BASE = 0x100;
export const TIMER_STRIDE = 0x20;
export const TIMER_CONFIGURATION = 0x00;
export const TIMER_ROUTE_CAPABILITIES = 0x04;
export const TIMER_COMPARATOR_LOW = 0x08;
export const TIMER_COMPARATOR_HIGH = 0x0c;
export const TIMER_FSB_VALUE = 0x10;
export const TIMER_FSB_ADDRESS = 0x14;

/** Capabilities: vendor 8086, legacy replacement, 64-bit counter, number of the last timer, revision 1. */
export const CAPABILITIES_VALUE = 0x8086_0000 + 0x8000 + 0x2000 + ((HPET_TIMERS - 1) << 8) + 0x01;

export const CONFIGURATION_ENABLE = 0x1;
export const CONFIGURATION_LEGACY_REPLACEMENT = 0x2;

/** Timer configuration and capability bits (table 5). */
export const TN_LEVEL = 0x0002;
export const TN_INTERRUPT_ENABLE = 0x0004;
export const TN_PERIODIC = 0x0008;
export const TN_PERIODIC_CAPABLE = 0x0010;
export const TN_64_BIT_CAPABLE = 0x0020;
export const TN_VALUE_SET = 0x0040;
export const TN_32_BIT = 0x0100;
export const TN_ROUTE = 0x3e00;
export const TN_ROUTE_SHIFT = 9;
export const TN_FSB_ENABLE = 0x4000;
export const TN_FSB_CAPABLE = 0x8000;
export const TN_WRITABLE =
  TN_LEVEL | TN_INTERRUPT_ENABLE | TN_PERIODIC | TN_VALUE_SET | TN_32_BIT | TN_ROUTE | TN_FSB_ENABLE;

/** I/O APIC pins a comparator may be routed to, as QEMU's q35 has them: 2, 8 and 16 to 23. */
export const ROUTES = 0x00ff_0104;
