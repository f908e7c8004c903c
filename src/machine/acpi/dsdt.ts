/** The differentiated system description table: the board's devices in AML. */
import { COM_PORTS } from '../../devices/uart16550/device.ts';
import { BOARD_ADDRESS } from '../boot/memory-map.ts';
import * as aml from './aml.ts';
import { FW_CFG, LPC_DEVICE, PIRQ_COUNT, PIRQ_FIRST_GSI, PIRQ_ROUTE, PM, pirqOf, SLEEP_TYPE_S5 } from './chipset.ts';
import * as resource from './resources.ts';

/** A 64-bit range, inclusive. */
export interface AddressWindow {
  readonly first: number;
  readonly last: number;
}

/** What the DSDT has to describe. */
export interface DsdtOptions {
  readonly processors: number;
  /** End of RAM below 4 GiB: the PCI memory window starts there. */
  readonly lowMemoryEnd: number;
  /** Where 64-bit BARs may go, if anywhere. */
  readonly window64?: AddressWindow;
  /** Serial ports present, by their index: 0 is COM1. */
  readonly serialPorts: readonly number[];
  /** With a keyboard and a mouse. */
  readonly keyboardController: boolean;
  readonly fwCfg: boolean;
  readonly vga: boolean;
}

/** Slots on bus 0. */
const PCI_SLOTS = 32;
const PCI_PINS = 4;
/** _ADR of a PCI function, and of all functions of a slot in _PRT (section 6.1.1, table 6.2). */
const pciAddress = (slot: number, fn: number) => slot * 0x1_0000 + fn;
const ALL_FUNCTIONS = 0xffff;
/** _STA: present, enabled, functioning; and shown to the user (section 6.3.7). */
const STA_PRESENT = 0x0b;
const STA_SHOWN = 0x0f;
/** PCI interrupts of the 8259s that links may use. */
const LINK_IRQS = [5, 10, 11] as const;
const PIRQ_DISABLED = 0x80;
const LETTERS = 'ABCDEFGH';
/** _OSC: the host bridge's interface and the bits of its first dword (section 6.2.11). */
const OSC_PCI_UUID = '33DB4D5B-1FF7-401C-9657-7441C03DD766';
const OSC = { UNKNOWN_UUID: 0x04, UNKNOWN_REVISION: 0x08, CAPABILITIES_MASKED: 0x10 } as const;
/** Native hot plug, SHPC, PME, AER and capability structure: all granted (PCI Firmware 3.2 table 4-5). */
const OSC_CONTROL_GRANTED = 0x1f;

/** The table's terms, without its header. */
export function dsdtTerms(options: DsdtOptions): Uint8Array {
  const terms = [
    aml.name('\\PICF', 0),
    aml.method('\\_PIC', { arguments: 1 }, aml.store(aml.argument(0), aml.path('\\PICF'))),
    aml.name('\\_S5', aml.pkg(SLEEP_TYPE_S5, SLEEP_TYPE_S5, 0, 0)),
    aml.scope(
      '\\_SB',
      ...processors(options.processors),
      pciRoot(options),
      ...interruptLinks(),
      ...systemDevices(options),
    ),
  ];
  return Uint8Array.from(terms.flatMap((term) => Array.from(term)));
}

function processors(count: number): aml.Aml[] {
  return Array.from({ length: count }, (_, index) =>
    aml.device(
      `C${index.toString(16).toUpperCase().padStart(3, '0')}`,
      aml.name('_HID', aml.string('ACPI0007')),
      aml.name('_UID', index),
    ),
  );
}

function pciRoot(options: DsdtOptions): aml.Aml {
  const windows = [
    resource.busNumbers(0, 0xff),
    resource.ioPorts(0xcf8, 8),
    resource.ioWindow(0x0000, 0x0cf7),
    resource.ioWindow(0x0d00, 0xffff),
    ...(options.vga ? [resource.memoryWindow32(BOARD_ADDRESS.VIDEO_MEMORY, 0xb_ffff)] : []),
    ...(options.lowMemoryEnd < BOARD_ADDRESS.ECAM
      ? [resource.memoryWindow32(options.lowMemoryEnd, BOARD_ADDRESS.ECAM - 1)]
      : []),
    resource.memoryWindow32(BOARD_ADDRESS.PCI_WINDOW, BOARD_ADDRESS.IO_APIC - 1),
    ...(options.window64 ? [resource.memoryWindow64(options.window64.first, options.window64.last)] : []),
  ];
  return aml.device(
    'PCI0',
    aml.name('_HID', aml.eisaId('PNP0A08')),
    aml.name('_CID', aml.eisaId('PNP0A03')),
    aml.name('_UID', 0),
    aml.name('_SEG', 0),
    aml.name('_BBN', 0),
    aml.name('_CRS', resource.resourceTemplate(...windows)),
    operatingSystemCapabilities(),
    aml.name(
      'PRTP',
      routingTable((pirq) => [aml.path(`\\_SB.LNK${LETTERS[pirq]}`), 0]),
    ),
    aml.name(
      'PRTA',
      routingTable((pirq) => [0, PIRQ_FIRST_GSI + pirq]),
    ),
    aml.method(
      '_PRT',
      { arguments: 0 },
      aml.when(aml.path('\\PICF'), aml.giveBack(aml.path('PRTA'))),
      aml.giveBack(aml.path('PRTP')),
    ),
    lpcBridge(options),
  );
}

/** _PRT entries: address, pin, source, source index (section 6.2.13). */
function routingTable(source: (pirq: number) => [aml.Aml | number, number]): aml.Aml {
  const entries: aml.Aml[] = [];
  for (let slot = 0; slot < PCI_SLOTS; slot++) {
    for (let pin = 0; pin < PCI_PINS; pin++) {
      entries.push(aml.pkg(pciAddress(slot, ALL_FUNCTIONS), pin, ...source(pirqOf(slot, pin))));
    }
  }
  return aml.pkg(...entries);
}

function operatingSystemCapabilities(): aml.Aml {
  const capabilities = aml.argument(3);
  const status = aml.path('CDW1');
  const control = aml.path('CDW3');
  return aml.method(
    '_OSC',
    { arguments: 4, serialized: true },
    aml.createDwordField(capabilities, 0, 'CDW1'),
    aml.when(
      aml.equal(aml.argument(0), aml.uuid(OSC_PCI_UUID)),
      aml.createDwordField(capabilities, 8, 'CDW3'),
      aml.and(control, OSC_CONTROL_GRANTED, aml.local(0)),
      aml.when(aml.not(aml.equal(aml.argument(1), 1)), aml.or(status, OSC.UNKNOWN_REVISION, status)),
      aml.when(aml.not(aml.equal(control, aml.local(0))), aml.or(status, OSC.CAPABILITIES_MASKED, status)),
      aml.store(aml.local(0), control),
    ),
    aml.otherwise(aml.or(status, OSC.UNKNOWN_UUID, status)),
    aml.giveBack(capabilities),
  );
}

/** The ISA bridge with the PC's fixed devices. */
function lpcBridge(options: DsdtOptions): aml.Aml {
  const fixed = (at: string, id: string, uid: number, ...resources: resource.Resource[]) =>
    aml.device(
      at,
      aml.name('_HID', aml.eisaId(id)),
      aml.name('_UID', uid),
      aml.name('_STA', STA_SHOWN),
      aml.name('_CRS', resource.resourceTemplate(...resources)),
    );
  const routes = (first: number) =>
    Array.from({ length: 4 }, (_, index) => [`PRQ${LETTERS[first + index]}`, 8] as const);
  return aml.device(
    'ISA',
    aml.name('_ADR', pciAddress(LPC_DEVICE, 0)),
    aml.operationRegion('PIRQ', aml.REGION.PCI_CONFIG, PIRQ_ROUTE.A_TO_D, PIRQ_ROUTE.E_TO_H + 4 - PIRQ_ROUTE.A_TO_D),
    aml.field('PIRQ', aml.FIELD_ACCESS.BYTE, [
      ...routes(0),
      [null, 8 * (PIRQ_ROUTE.E_TO_H - PIRQ_ROUTE.A_TO_D - 4)],
      ...routes(4),
    ]),
    fixed('RTC', 'PNP0B00', 0, resource.ioPorts(0x70, 8), resource.isaIrq(8)),
    ...(options.keyboardController
      ? [
          fixed('KBD', 'PNP0303', 0, resource.ioPorts(0x60, 1), resource.ioPorts(0x64, 1), resource.isaIrq(1)),
          fixed('MOU', 'PNP0F13', 0, resource.isaIrq(12)),
        ]
      : []),
    ...options.serialPorts.map((index) => {
      const { base, irq } = COM_PORTS[index];
      return fixed(`COM${index + 1}`, 'PNP0501', index + 1, resource.ioPorts(base, 8), resource.isaIrq(irq));
    }),
  );
}

/** Interrupt links for operating systems that use the 8259s: each owns one PIRQ route register. */
function interruptLinks(): aml.Aml[] {
  return Array.from({ length: PIRQ_COUNT }, (_, pirq) => {
    const route = aml.path(`\\_SB.PCI0.ISA.PRQ${LETTERS[pirq]}`);
    /** Offset of the interrupt number in a template of one extended interrupt descriptor. */
    const INTERRUPT_OFFSET = 5;
    return aml.device(
      `LNK${LETTERS[pirq]}`,
      aml.name('_HID', aml.eisaId('PNP0C0F')),
      aml.name('_UID', pirq),
      aml.name('_PRS', resource.resourceTemplate(resource.sharedInterrupts(...LINK_IRQS))),
      aml.method(
        '_STA',
        { arguments: 0 },
        aml.when(aml.and(route, PIRQ_DISABLED), aml.giveBack(STA_PRESENT - 2)),
        aml.giveBack(STA_PRESENT),
      ),
      aml.method('_DIS', { arguments: 0 }, aml.or(route, PIRQ_DISABLED, route)),
      aml.method(
        '_CRS',
        { arguments: 0, serialized: true },
        aml.name('BUF0', resource.resourceTemplate(resource.sharedInterrupts(0))),
        aml.createDwordField(aml.path('BUF0'), INTERRUPT_OFFSET, 'IRQN'),
        aml.and(route, 0x0f, aml.path('IRQN')),
        aml.giveBack(aml.path('BUF0')),
      ),
      aml.method(
        '_SRS',
        { arguments: 1, serialized: true },
        aml.createDwordField(aml.argument(0), INTERRUPT_OFFSET, 'IRQN'),
        aml.store(aml.path('IRQN'), route),
      ),
    );
  });
}

/** Memory and ports that belong to the board itself. */
function systemDevices(options: DsdtOptions): aml.Aml[] {
  const devices = [
    aml.device(
      'HPET',
      aml.name('_HID', aml.eisaId('PNP0103')),
      aml.name('_UID', 0),
      aml.name('_CRS', resource.resourceTemplate(resource.memory32(BOARD_ADDRESS.HPET, 0x400, 'read-only'))),
    ),
    aml.device(
      'MRES',
      aml.name('_HID', aml.eisaId('PNP0C02')),
      aml.name('_UID', 0),
      aml.name(
        '_CRS',
        resource.resourceTemplate(
          resource.memory32(BOARD_ADDRESS.ECAM, BOARD_ADDRESS.ECAM_LENGTH, 'read-write'),
          resource.memory32(BOARD_ADDRESS.ROOT_COMPLEX, BOARD_ADDRESS.ROOT_COMPLEX_LENGTH, 'read-write'),
          resource.ioPorts(PM.BASE, PM.LENGTH),
        ),
      ),
    ),
  ];
  if (options.fwCfg) {
    devices.push(
      aml.device(
        'FWCF',
        aml.name('_HID', aml.string('QEMU0002')),
        aml.name('_STA', STA_PRESENT),
        aml.name('_CRS', resource.resourceTemplate(resource.ioPorts(FW_CFG.PORT, FW_CFG.LENGTH))),
      ),
    );
  }
  return devices;
}
