/**
 * The board: a PC as QEMU's q35 where software can see it. Constructs the devices, wires their lines, attaches them.
 */

import type { TimerService } from '../bus/clock.ts';
import { IoSpaceMap } from '../bus/io-space.ts';
import type { InterruptLine } from '../bus/lines.ts';
import type { Log } from '../bus/log.ts';
import type { GuestMemory } from '../bus/memory.ts';
import type { Attachment } from '../bus/ports.ts';
import type { BlockStore, ByteStream, EntropySource } from '../bus/streams.ts';
import { attachDebugExit } from '../devices/debug-exit/device.ts';
import { DebugExit } from '../devices/debug-exit/model.ts';
import { attachFwCfg } from '../devices/fw-cfg/device.ts';
import { FwCfg } from '../devices/fw-cfg/model.ts';
import { attachHpet } from '../devices/hpet/device.ts';
import { Hpet } from '../devices/hpet/model.ts';
import { attachI8042 } from '../devices/i8042/device.ts';
import { I8042 } from '../devices/i8042/model.ts';
import { attachApm, attachIch9Pm } from '../devices/ich9-pm/device.ts';
import { Ich9Pm } from '../devices/ich9-pm/model.ts';
import { attachIoApic } from '../devices/ioapic/device.ts';
import { isaInterruptLines, SharedLine } from '../devices/ioapic/isa-wiring.ts';
import { IO_APIC_PINS, IoApic } from '../devices/ioapic/model.ts';
import { LAPIC_LENGTH, lapicPage } from '../devices/lapic/device.ts';
import { InterruptBus } from '../devices/lapic/interrupt-bus.ts';
import { EXTERNAL_INTERRUPT, Lapic, NO_INTERRUPT } from '../devices/lapic/model.ts';
import { attachPcTestdev } from '../devices/pc-testdev/device.ts';
import { PcTestdev } from '../devices/pc-testdev/model.ts';
import { attachPciConfigPorts, enhancedConfigurationSpace, PciConfigPorts } from '../devices/pci/device.ts';
import {
  enableEcam,
  enablePowerManagement,
  lpcBridge,
  memoryControllerHub,
  PirqRouter,
} from '../devices/pci/host-bridge.ts';
import { PciBus, type PciFunction } from '../devices/pci/model.ts';
import { attachPic8259 } from '../devices/pic8259/device.ts';
import { Pic8259 } from '../devices/pic8259/model.ts';
import { attachPit8254 } from '../devices/pit8254/device.ts';
import { Pit8254 } from '../devices/pit8254/model.ts';
import { attachPort92 } from '../devices/port92/device.ts';
import { Port92 } from '../devices/port92/model.ts';
import { resetControlPort } from '../devices/reset-control/device.ts';
import { ResetControl } from '../devices/reset-control/model.ts';
import { writeCmosConfiguration } from '../devices/rtc-mc146818/cmos-layout.ts';
import { attachRtcMc146818 } from '../devices/rtc-mc146818/device.ts';
import { RtcMc146818 } from '../devices/rtc-mc146818/model.ts';
import { attachUart16550, COM_PORTS } from '../devices/uart16550/device.ts';
import { Uart16550 } from '../devices/uart16550/model.ts';
import { virtioBlockPci } from '../devices/virtio-blk/device.ts';
import { virtioConsolePci } from '../devices/virtio-console/device.ts';
import { virtioRngPci } from '../devices/virtio-rng/device.ts';
import { LPC_DEVICE, PIRQ_FIRST_GSI, PM, pirqOf, SCI_IRQ } from './acpi/chipset.ts';
import { BOARD_ADDRESS, splitMemory } from './boot/memory-map.ts';
import { assignPciResources, decodesPciMemory, PCI_ISA_IRQS } from './boot/pci-resources.ts';

/** What guests can do to the machine as a whole. */
export interface BoardEvents {
  powerOff(): void;
  /** A reset of the whole board. */
  reset(): void;
  /** A write to the debug-exit port. */
  debugExit(value: number): void;
  /** An interrupt may have become deliverable. */
  interruptChanged(): void;
  /** INIT for the processor: from the local APIC, or by a reset line that reaches the processor alone. */
  initialize(): void;
  /** Start-up IPI for the processor. */
  startUp(vector: number): void;
}

export interface BoardOptions {
  readonly time: TimerService;
  readonly log: Log;
  readonly memory: GuestMemory;
  readonly ramBytes: number;
  /** Serial ports COM1 and on; at most {@link SERIAL_PORTS}. */
  readonly serial: readonly ByteStream[];
  /** Stores behind virtio block devices; at most {@link LARGEST_DISK_COUNT}. */
  readonly disks: readonly BlockStore[];
  /** The far end of a virtio console; without it the board has none. */
  readonly virtioConsole?: ByteStream;
  /** What the virtio entropy device gives out. */
  readonly entropy: EntropySource;
  /** Unix seconds at power-on. */
  readonly epochSeconds: number;
  readonly tsc: () => bigint;
  readonly tscFrequency: number;
  readonly physicalAddressBits: number;
  /** Whether the board has the registers that processor tests use (QEMU's pc-testdev). */
  readonly testDevice?: boolean;
  /** Files for firmware. */
  readonly firmwareFiles?: Readonly<Record<string, Uint8Array>>;
  readonly events: BoardEvents;
}

const IRQ_TIMER = 0;
const IRQ_KEYBOARD = 1;
const IRQ_RTC = 8;
const IRQ_AUXILIARY = 12;
const ISA_IRQS = 16;
/** Chips of the 8259A pair: ISA interrupts 8 to 15 are the second one's. */
const SLAVE_FIRST_IRQ = 8;

/**
 * What firmware writes to the 8259A pair: ICW1 to the command port; then ICW2 (vectors 08h and 70h), ICW3 (cascade), ICW4
 * and OCW1, which masks all but the cascade, to the data port.
 */
const PIC_SETUP = [
  ['master', [0x11, 0x08, 0x04, 0x01, 0xfb]],
  ['slave', [0x11, 0x70, 0x02, 0x01, 0xff]],
] as const;

/** PCI device numbers. As on q35 the first is left for a display adapter. */
const ENTROPY_DEVICE = 2;
const CONSOLE_DEVICE = 3;
const FIRST_DISK_DEVICE = 4;

/** How many serial ports a board can have. */
export const SERIAL_PORTS = COM_PORTS.length;
/** How many disks fit on the root bus. */
export const LARGEST_DISK_COUNT = LPC_DEVICE - FIRST_DISK_DEVICE;

export class Board {
  readonly space: IoSpaceMap;
  readonly lapic: Lapic;
  readonly pci: PciBus;
  nmiPending = false;
  smiPending = false;
  private readonly resettable: { reset(): void }[];
  private readonly options: BoardOptions;
  private readonly mch: PciFunction;
  private readonly lpc: PciFunction;
  private lapicAttachment: Attachment | undefined;
  private readonly cmos: RtcMc146818;
  private readonly pic: Pic8259;

  constructor(options: BoardOptions) {
    this.options = options;
    const { time, log, events } = options;
    const space = new IoSpaceMap(log);
    this.space = space;

    // --- interrupt controllers
    const bus = new InterruptBus(log);
    const ioApic = new IoApic(bus);
    bus.attachIoApic(ioApic);
    this.lapic = new Lapic({
      initialId: 0,
      bootstrap: true,
      time,
      tsc: options.tsc,
      tscFrequency: options.tscFrequency,
      bus,
      processor: {
        interruptChanged: () => events.interruptChanged(),
        nonMaskableInterrupt: () => {
          this.nmiPending = true;
          events.interruptChanged();
        },
        systemManagementInterrupt: () => {
          this.smiPending = true;
          events.interruptChanged();
        },
        initialize: () => events.initialize(),
        startUp: (vector) => events.startUp(vector),
        apicBaseChanged: () => this.placeLapic(),
      },
      acknowledgeExternal: () => pic.acknowledge(),
      log,
      physicalAddressBits: options.physicalAddressBits,
    });
    bus.attachLapic(this.lapic);
    const pic = new Pic8259(this.lapic.lint0);
    this.pic = pic;
    const isa = isaInterruptLines(pic, ioApic).map((line) => new SharedLine(line));
    const isaSource = (irq: number): InterruptLine => isa[irq].source();

    // --- timers and clock
    const hpet = new Hpet({
      time,
      irq0: isaSource(IRQ_TIMER),
      irq8: isaSource(IRQ_RTC),
      pins: Array.from({ length: IO_APIC_PINS }, (_, pin) => ioApic.input(pin)),
    });
    const pit = new Pit8254(time, hpet.pitInput);
    const rtc = new RtcMc146818({ time, irq: hpet.rtcInput, epochSeconds: options.epochSeconds });
    this.cmos = rtc;

    // --- power, reset, keyboard
    const pm = new Ich9Pm(time, isaSource(SCI_IRQ), events, log);
    const resetControl = new ResetControl((kind) => (kind === 'system' ? events.reset() : events.initialize()));
    // There are two gates for A20, of which each shows what the other did. The line itself stays open, as on q35.
    const a20Changed = (enabled: boolean) => {
      if (!enabled) log.write('unimplemented', 'the guest closed the A20 gate: address line 20 is not masked');
    };
    const keyboard: I8042 = new I8042(isaSource(IRQ_KEYBOARD), isaSource(IRQ_AUXILIARY), {
      a20: (enabled) => {
        a20Changed(enabled);
        port92.setA20(enabled);
      },
      reset: () => events.initialize(),
    });
    const port92: Port92 = new Port92({
      a20: (enabled) => {
        a20Changed(enabled);
        keyboard.setA20(enabled);
      },
      reset: () => events.initialize(),
    });

    // --- PCI
    const router = new PirqRouter(
      {
        ioApic: Array.from({ length: IO_APIC_PINS - PIRQ_FIRST_GSI }, (_, i) => ioApic.input(PIRQ_FIRST_GSI + i)),
        isa: Array.from({ length: ISA_IRQS }, (_, irq) => isaSource(irq)),
      },
      pirqOf,
    );
    this.pci = new PciBus({
      space,
      interrupts: router,
      messages: bus,
      log,
      decodesMemory: (address, length) => decodesPciMemory(options.ramBytes, address, length),
    });
    let ecam: Attachment | undefined;
    this.mch = memoryControllerHub({
      ecamMoved: (base, length) => {
        ecam?.detach();
        ecam = base === undefined ? undefined : space.attachMmio(base, length, enhancedConfigurationSpace(this.pci));
      },
      attributesChanged: (registers) => {
        // all zero: nothing is shadowed, as after reset
        if (registers.some((value) => value !== 0))
          log.write('unimplemented', 'memory attributes of C0000h to FFFFFh ignored');
      },
    });
    let pmPorts: Attachment | undefined;
    this.lpc = lpcBridge({
      pmBaseMoved: (base) => {
        pmPorts?.detach();
        pmPorts = base === undefined ? undefined : attachIch9Pm(space, pm, base);
      },
      routesChanged: () => router.update(),
    });
    this.pci.add(0, 0, this.mch);
    this.pci.add(LPC_DEVICE, 0, this.lpc);
    router.connect(this.lpc);
    const wiring = (name: string) => ({ time, memory: options.memory, log, name });
    this.pci.add(ENTROPY_DEVICE, 0, virtioRngPci(wiring('virtio-rng'), options.entropy).pci);
    if (options.virtioConsole)
      this.pci.add(CONSOLE_DEVICE, 0, virtioConsolePci(wiring('virtio-console'), options.virtioConsole).pci);
    for (const [index, store] of options.disks.entries())
      this.pci.add(FIRST_DISK_DEVICE + index, 0, virtioBlockPci(wiring(`disk ${index}`), store, `disk${index}`).pci);
    const configPorts = new PciConfigPorts(this.pci, resetControlPort(resetControl));

    // --- serial ports, firmware configuration, debug exit
    const uarts = options.serial.map((stream, i) => {
      const uart = new Uart16550(time, isaSource(COM_PORTS[i].irq), stream);
      attachUart16550(space, uart, COM_PORTS[i].base);
      return uart;
    });
    const fwCfg = new FwCfg(options.memory, {
      ramBytes: options.ramBytes,
      processors: 1,
      files: options.firmwareFiles,
    });

    attachIoApic(space, ioApic);
    attachPic8259(space, pic);
    attachPit8254(space, pit);
    attachRtcMc146818(space, rtc);
    attachHpet(space, hpet);
    attachPciConfigPorts(space, configPorts);
    attachApm(space, pm);
    attachI8042(space, keyboard);
    attachPort92(space, port92);
    attachFwCfg(space, fwCfg);
    attachDebugExit(space, new DebugExit((value) => events.debugExit(value)));
    this.placeLapic();

    const testDevices = options.testDevice ? [new PcTestdev(isa.map((line) => line.source()))] : [];
    for (const device of testDevices) attachPcTestdev(space, device);

    this.resettable = [
      ...testDevices,
      ioApic,
      pic,
      pit,
      rtc,
      hpet,
      pm,
      keyboard,
      port92,
      resetControl,
      ...uarts,
      this.pci,
      configPorts,
      { reset: () => this.lapic.reset('power-on') },
    ];
    this.configure();
  }

  /** What firmware would have set up before a kernel is entered directly. */
  private configure(): void {
    const { low, high } = splitMemory(this.options.ramBytes);
    writeCmosConfiguration((index, value) => this.cmos.setRam(index, value), {
      belowFourGib: low,
      aboveFourGib: high,
      processors: 1,
    });
    enableEcam(this.mch, BOARD_ADDRESS.ECAM);
    enablePowerManagement(this.lpc, PM.BASE);
    assignPciResources(this.pci, this.lpc);
    for (const [chip, words] of PIC_SETUP) {
      words.forEach((value, i) => {
        this.pic.write(chip, i === 0 ? 0 : 1, value);
      });
    }
    for (const irq of PCI_ISA_IRQS) this.setLevelTriggered(irq);
  }

  /** Sets an ISA interrupt's bit in the edge/level control registers. */
  private setLevelTriggered(irq: number): void {
    const chip = irq < SLAVE_FIRST_IRQ ? 'master' : 'slave';
    this.pic.writeEdgeLevelControl(chip, this.pic.readEdgeLevelControl(chip) | (1 << (irq % SLAVE_FIRST_IRQ)));
  }

  /** Hardware reset of everything but memory and the processor. */
  reset(): void {
    for (const device of this.resettable) device.reset();
    this.nmiPending = false;
    this.smiPending = false;
    this.configure();
  }

  /** Puts the local APIC's registers where IA32_APIC_BASE says; a guest may name a place that is taken. */
  private placeLapic(): void {
    const { baseAddress, memoryMapped } = this.lapic;
    this.lapicAttachment?.detach();
    this.lapicAttachment = undefined;
    if (!memoryMapped) return;
    const page = lapicPage(() => this.lapic);
    try {
      this.lapicAttachment = this.space.attachMmio(baseAddress, LAPIC_LENGTH, page);
    } catch (error) {
      this.options.log.write('guest-error', `local APIC hidden: ${(error as Error).message}`);
    }
    if (!decodesPciMemory(this.options.ramBytes, baseAddress, LAPIC_LENGTH)) {
      this.options.log.write('unimplemented', `local APIC at ${baseAddress.toString(16)}h is hidden by memory`);
    }
  }

  /** A vector can be delivered by the local APIC itself. */
  pendingVector(): number {
    const pending = this.lapic.pending();
    return pending === EXTERNAL_INTERRUPT ? NO_INTERRUPT : pending;
  }
  externalPending(): boolean {
    return this.lapic.pending() === EXTERNAL_INTERRUPT;
  }
}
