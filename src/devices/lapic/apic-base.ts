/** IA32_APIC_BASE: where the local APIC stands and in which mode it is (SDM vol. 3A 11.4.4 and 11.12.5). */
import {
  APIC_BASE_ADDRESS,
  APIC_BASE_BSP,
  APIC_BASE_ENABLE,
  APIC_BASE_RESET_ADDRESS,
  APIC_BASE_X2APIC,
} from './registers.ts';

export class ApicBase {
  readonly #bootstrap: boolean;
  /** Bits that may be set. */
  readonly #writable: bigint;
  #value: bigint;
  /** Modes and address from `#value`, unpacked: they are looked at often. */
  #enabled = true;
  #x2apic = false;
  #address = 0;

  /** `addressBits` is the width of a physical address; `x2apic` whether CPUID offers x2APIC mode. */
  constructor(bootstrap: boolean, addressBits: number, x2apic: boolean) {
    this.#bootstrap = bootstrap;
    this.#writable =
      (((1n << BigInt(addressBits)) - 1n) & APIC_BASE_ADDRESS) |
      APIC_BASE_ENABLE |
      APIC_BASE_BSP |
      (x2apic ? APIC_BASE_X2APIC : 0n);
    this.#value = this.resetValue;
    this.set(this.#value);
  }

  get value(): bigint {
    return this.#value;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  get x2apic(): boolean {
    return this.#x2apic;
  }

  /** Guest-physical address of the register page. */
  get address(): number {
    return this.#address;
  }

  /** Value after power-on: xAPIC mode at FEE00000H. */
  get resetValue(): bigint {
    return APIC_BASE_RESET_ADDRESS | APIC_BASE_ENABLE | (this.#bootstrap ? APIC_BASE_BSP : 0n);
  }

  /** Takes a value without asking. Returns whether it differs. */
  set(value: bigint): boolean {
    const changed = value !== this.#value;
    this.#value = value;
    this.#enabled = (value & APIC_BASE_ENABLE) !== 0n;
    this.#x2apic = (value & APIC_BASE_X2APIC) !== 0n;
    this.#address = Number(value & APIC_BASE_ADDRESS);
    return changed;
  }

  /**
   * The value a WRMSR of `value` leaves, or `undefined` for #GP(0): reserved bits, and the transitions that figure
   * 11-27 does not have. The BSP flag is the hardware's.
   */
  check(value: bigint): bigint | undefined {
    if ((value & ~this.#writable) !== 0n) return undefined;
    const enable = (value & APIC_BASE_ENABLE) !== 0n;
    const x2apic = (value & APIC_BASE_X2APIC) !== 0n;
    if (x2apic && !(enable && this.#enabled)) return undefined;
    if (this.#x2apic && enable && !x2apic) return undefined;
    return (value & ~APIC_BASE_BSP) | (this.#value & APIC_BASE_BSP);
  }
}
