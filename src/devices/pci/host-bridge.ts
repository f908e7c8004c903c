/**
 * The two fixed functions of q35 that software programs: the memory controller hub (Intel 82Q35, data sheet 316966) and the
 * LPC bridge of the ICH9 (data sheet 316972), with the interrupt router in it.
 */
import type { InterruptLine } from '../../bus/lines.ts';
import { PciFunction, type PciInterruptSink } from './model.ts';

const INTEL = 0x8086;
/** Subsystem that QEMU's devices carry. */
const SUBSYSTEM = { subsystemVendorId: 0x1af4, subsystemId: 0x1100 } as const;

/** Registers of the memory controller hub (316966 section 5.1). */
const MCH = { PCIEXBAR: 0x60, PAM0: 0x90, PAM_COUNT: 7, SMRAM: 0x9d, ESMRAMC: 0x9e } as const;
/** PCIEXBAR: enable, length in bits 2:1, base in bits 35:26. */
const PCIEXBAR = { ENABLE: 0x1, LENGTH_SHIFT: 1, LENGTH_MASK: 0x3, HIGH_WRITABLE: 0xf } as const;
const PCIEXBAR_LOW_WRITABLE = 0xfc00_0007;
/** 256, 128 and 64 buses of 1 MiB; the fourth code is reserved. */
const ECAM_LENGTHS = [0x1000_0000, 0x0800_0000, 0x0400_0000] as const;
/** Programmable attributes: read and write enables for two areas each. */
const PAM_WRITABLE = 0x33;
const SMRAM_WRITABLE = 0x7f;
const SMRAM_DEFAULT = 0x02;

/** What the memory controller hub controls. */
export interface MemoryControllerEvents {
  /** The enhanced configuration space moved; `undefined` when it is switched off. May throw if the place is taken. */
  ecamMoved(base: number | undefined, length: number): void;
  /** The programmable attribute registers of 0xc0000 to 0xfffff changed (section 5.1.15): 7 bytes. */
  attributesChanged?(registers: Uint8Array): void;
}

/** Builds function 00:00.0. */
export function memoryControllerHub(events: MemoryControllerEvents): PciFunction {
  const member = new PciFunction({
    vendorId: INTEL,
    deviceId: 0x29c0,
    revision: 0,
    classCode: 0x06_0000,
    ...SUBSYSTEM,
  });
  const { config } = member;
  config.allowWrites(MCH.PCIEXBAR, 4, PCIEXBAR_LOW_WRITABLE);
  config.allowWrites(MCH.PCIEXBAR + 4, 4, PCIEXBAR.HIGH_WRITABLE);
  for (let index = 0; index < MCH.PAM_COUNT; index++) config.allowWrites(MCH.PAM0 + index, 1, PAM_WRITABLE);
  config.bytes[MCH.SMRAM] = SMRAM_DEFAULT;
  config.allowWrites(MCH.SMRAM, 1, SMRAM_WRITABLE & ~SMRAM_DEFAULT);
  member.observe(MCH.PCIEXBAR, 8, () => {
    const low = config.get32(MCH.PCIEXBAR);
    const length = ECAM_LENGTHS[(low >> PCIEXBAR.LENGTH_SHIFT) & PCIEXBAR.LENGTH_MASK];
    const base = config.get32(MCH.PCIEXBAR + 4) * 2 ** 32 + ((low & ~(PCIEXBAR_LOW_WRITABLE & 0x7)) >>> 0);
    const enabled = low & PCIEXBAR.ENABLE && length !== undefined;
    const place = enabled ? base - (base % length) : undefined;
    member.attempt('move the enhanced configuration space', () => events.ecamMoved(place, length ?? 0));
  });
  member.observe(MCH.PAM0, MCH.PAM_COUNT, () =>
    events.attributesChanged?.(config.bytes.slice(MCH.PAM0, MCH.PAM0 + MCH.PAM_COUNT)),
  );
  return member;
}

/** Turns the enhanced configuration space on, as firmware does. */
export function enableEcam(member: PciFunction, base: number): void {
  member.write(MCH.PCIEXBAR + 4, 4, Math.floor(base / 2 ** 32));
  member.write(MCH.PCIEXBAR, 4, (base % 2 ** 32) + PCIEXBAR.ENABLE);
}

/** Registers of the LPC bridge (316972 section 13.1). */
const LPC = { PMBASE: 0x40, ACPI_CNTL: 0x44, PIRQA_ROUT: 0x60, PIRQE_ROUT: 0x68, RCBA: 0xf0 } as const;
const PMBASE_IO = 0x1;
const PMBASE_WRITABLE = 0xff80;
const ACPI_ENABLE = 0x80;
const ACPI_CNTL_WRITABLE = 0x87;
const PIRQ_COUNT = 8;
const PIRQ_IRQ_MASK = 0x0f;
const PIRQ_NOT_ROUTED = 0x80;
const PIRQ_WRITABLE = PIRQ_NOT_ROUTED | PIRQ_IRQ_MASK;
/** ISA interrupts that PCI interrupts may be routed to (section 13.1.16). */
const ROUTABLE_IRQS = [3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15] as const;
const ISA_IRQS = 16;

/** What the LPC bridge controls. */
export interface LpcEvents {
  /** The power management registers moved; `undefined` when they are switched off. May throw if the place is taken. */
  pmBaseMoved(base: number | undefined): void;
  /** A PIRQ route changed. */
  routesChanged(): void;
}

/** Builds function 00:1f.0. */
export function lpcBridge(events: LpcEvents): PciFunction {
  const member = new PciFunction({
    vendorId: INTEL,
    deviceId: 0x2918,
    revision: 2,
    classCode: 0x06_0100,
    ...SUBSYSTEM,
  });
  const { config } = member;
  config.set32(LPC.PMBASE, PMBASE_IO);
  config.allowWrites(LPC.PMBASE, 4, PMBASE_WRITABLE);
  config.allowWrites(LPC.ACPI_CNTL, 1, ACPI_CNTL_WRITABLE);
  for (let pirq = 0; pirq < PIRQ_COUNT; pirq++) {
    config.bytes[routeRegister(pirq)] = PIRQ_NOT_ROUTED;
    config.allowWrites(routeRegister(pirq), 1, PIRQ_WRITABLE);
  }
  member.observe(LPC.PMBASE, 5, () => {
    const base = config.get16(LPC.PMBASE) & PMBASE_WRITABLE;
    const enabled = (config.bytes[LPC.ACPI_CNTL] & ACPI_ENABLE) !== 0 && base !== 0;
    member.attempt('move the power management registers', () => events.pmBaseMoved(enabled ? base : undefined));
  });
  member.observe(LPC.PIRQA_ROUT, LPC.PIRQE_ROUT + 4 - LPC.PIRQA_ROUT, () => events.routesChanged());
  return member;
}

/** Places and enables the power management registers, as firmware does. */
export function enablePowerManagement(member: PciFunction, base: number): void {
  member.write(LPC.PMBASE, 4, base);
  member.write(LPC.ACPI_CNTL, 1, ACPI_ENABLE);
}

/** Sets the ISA interrupt of PIRQ 0 (A) to 7 (H), or none. */
export function routePirq(member: PciFunction, pirq: number, irq: number | undefined): void {
  member.write(routeRegister(pirq), 1, irq ?? PIRQ_NOT_ROUTED);
}

function routeRegister(pirq: number): number {
  return pirq < 4 ? LPC.PIRQA_ROUT + pirq : LPC.PIRQE_ROUT + pirq - 4;
}

/** The lines that PCI interrupts end at. */
export interface PirqLines {
  /** I/O APIC pins 16 to 23, for PIRQA to PIRQH. */
  readonly ioApic: readonly InterruptLine[];
  /** One input per ISA interrupt number 0 to 15, not shared with anything else. */
  readonly isa: readonly InterruptLine[];
}

/**
 * Collects INTx pins into the eight PIRQs and drives the interrupt controllers: always the I/O APIC, and the 8259s as the
 * LPC bridge's route registers say. Several functions may share a PIRQ; it is high while any of them asks.
 */
export class PirqRouter implements PciInterruptSink {
  readonly #lines: PirqLines;
  readonly #pirqOf: (device: number, pin: number) => number;
  readonly #asking = Array.from({ length: PIRQ_COUNT }, () => new Set<number>());
  #lpc: PciFunction | undefined = undefined;

  /** @param pirqOf the board's wiring of devices' pins to PIRQs */
  constructor(lines: PirqLines, pirqOf: (device: number, pin: number) => number) {
    this.#lines = lines;
    this.#pirqOf = pirqOf;
  }

  /** Names the function whose route registers count. */
  connect(lpc: PciFunction): void {
    this.#lpc = lpc;
    this.update();
  }

  set(device: number, pin: number, source: number, level: boolean): void {
    const pirq = this.#pirqOf(device, pin);
    const asking = this.#asking[pirq];
    const id = source * 4 + pin;
    if (asking.has(id) === level) return;
    if (level) asking.add(id);
    else asking.delete(id);
    this.#lines.ioApic[pirq]?.set(asking.size > 0);
    this.#updateIsa();
  }

  /** Drives all lines anew, after a change of routes. */
  update(): void {
    for (let pirq = 0; pirq < PIRQ_COUNT; pirq++) this.#lines.ioApic[pirq]?.set(this.#asking[pirq].size > 0);
    this.#updateIsa();
  }

  #updateIsa(): void {
    const levels = new Array<boolean>(ISA_IRQS).fill(false);
    for (let pirq = 0; pirq < PIRQ_COUNT; pirq++) {
      const route = this.#lpc?.config.bytes[routeRegister(pirq)] ?? PIRQ_NOT_ROUTED;
      if (!(route & PIRQ_NOT_ROUTED) && this.#asking[pirq].size > 0) levels[route & PIRQ_IRQ_MASK] = true;
    }
    for (const irq of ROUTABLE_IRQS) this.#lines.isa[irq]?.set(levels[irq]);
  }
}
