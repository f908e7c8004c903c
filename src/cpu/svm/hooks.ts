/** Intercepts that need a look at operands or events, and the virtual interrupt (APM vol. 2 15.7-15.15, 15.21). */
import type { Cpu } from '../cpu.ts';
import { guestExit } from '../fault.ts';
import { readFlags } from '../flags.ts';
import { word } from '../state.ts';
import {
  type DeliveredEvent,
  MACHINE_STATUS_WORD,
  type PortAccess,
  type SystemHooks,
  type TaskSwitchSource,
} from '../system/hooks.ts';
import { noteInterrupts } from '../system/interrupts.ts';
import { CR0, FLAG } from '../system/registers.ts';
import { EventInjection, EventType, ExitCode, InterceptWord, VirtualInterrupt } from './vmcb.ts';
import { takeInjected } from './world-switch.ts';

const VINT = word('virtualInterrupt');
/** Bits of intercept word 3. */
const INTR_BIT = 1 << 0;
const NMI_BIT = 1 << 1;
const SMI_BIT = 1 << 2;
const VINTR_BIT = 1 << 4;
const CR0_SEL_WRITE_BIT = 1 << 5;
const PAUSE_BIT = 1 << (ExitCode.PAUSE - 0x60);
const SWINT_BIT = 1 << (ExitCode.SWINT - 0x60);
const INVLPG_BIT = 1 << (ExitCode.INVLPG - 0x60);
const IOIO_BIT = 1 << (ExitCode.IOIO - 0x60);
const MSR_BIT = 1 << (ExitCode.MSR - 0x60);
const TASK_SWITCH_BIT = 1 << (ExitCode.TASK_SWITCH - 0x60);
const SHUTDOWN_BIT = 1 << (ExitCode.SHUTDOWN - 0x60);

/** EXITINFO1 bit 63 of MOV to or from CR and DR: bits 3:0 name the general register. */
const MOV_CR_DECODED = 1n << 63n;

const word3 = (cpu: Cpu): number => cpu.intercepts[InterceptWord.INSTRUCTION1];

/** An event as EXITINTINFO reports it. */
export function describeEvent(event: DeliveredEvent): bigint {
  const type =
    event.kind === 'external'
      ? EventType.INTR
      : event.kind === 'nmi'
        ? EventType.NMI
        : event.kind === 'software'
          ? EventType.SOFTWARE
          : EventType.EXCEPTION;
  let info = EventInjection.VALID | event.vector | (type << EventInjection.TYPE_SHIFT);
  if (event.errorCode === undefined) return BigInt(info >>> 0);
  info |= EventInjection.ERROR_CODE_VALID;
  return BigInt(info >>> 0) | (BigInt(event.errorCode >>> 0) << 32n);
}

// ---- permission maps (APM vol. 2 15.10, 15.11)

/** Ranges of MSRs with bits in the map, and the byte offset of each range's bits. */
const MSR_RANGES = [
  { first: 0, offset: 0 },
  { first: 0xc000_0000, offset: 0x800 },
  { first: 0xc001_0000, offset: 0x1000 },
] as const;
const MSRS_PER_RANGE = 0x2000;

function msrIntercepted(cpu: Cpu, index: number, write: boolean): boolean {
  for (const { first, offset } of MSR_RANGES) {
    const n = index - first;
    if (n < 0 || n >= MSRS_PER_RANGE) continue;
    const byte = cpu.physical.readU8(Number(cpu.msrpmBase) + offset + (n >> 2));
    return ((byte >> (2 * (n & 3) + (write ? 1 : 0))) & 1) !== 0;
  }
  return true;
}

function portIntercepted(cpu: Cpu, port: number, bytes: number): boolean {
  const base = Number(cpu.iopmBase);
  for (let p = port; p < port + bytes; p++) {
    if ((cpu.physical.readU8(base + (p >> 3)) >> (p & 7)) & 1) return true;
  }
  return false;
}

/** EXITINFO1 of an IOIO intercept. */
function portInfo({ port, bytes, input, string, repeat, segment, addressBits }: PortAccess): bigint {
  const size = bytes === 1 ? 1 << 4 : bytes === 2 ? 1 << 5 : 1 << 6;
  const address = addressBits === 16 ? 1 << 7 : addressBits === 32 ? 1 << 8 : 1 << 9;
  const info =
    (input ? 1 : 0) | (string ? 1 << 2 : 0) | (repeat ? 1 << 3 : 0) | size | address | (string ? segment << 10 : 0);
  return BigInt(((port << 16) | info) >>> 0);
}

/** Whether a virtual interrupt is pending and the guest lets it in. */
function virtualInterruptDue(cpu: Cpu): boolean {
  const control = cpu.u32[VINT];
  if (!(control & VirtualInterrupt.IRQ)) return false;
  if (control & VirtualInterrupt.GIF_ENABLE && !(control & VirtualInterrupt.GIF)) return false;
  if (control & VirtualInterrupt.IGNORE_TPR) return true;
  const priority = (control >> VirtualInterrupt.PRIORITY_SHIFT) & VirtualInterrupt.PRIORITY_MASK;
  return priority > (control & VirtualInterrupt.TPR_MASK);
}

const masking = (cpu: Cpu): boolean => (cpu.u32[VINT] & VirtualInterrupt.INTR_MASKING) !== 0;

const TASK_SWITCH_IRET = 1n << 36n;
const TASK_SWITCH_JUMP = 1n << 38n;
const TASK_SWITCH_ERROR_CODE = 1n << 44n;
const TASK_SWITCH_RF = 1n << 48n;
/** Fraction bits of TSC_RATIO. */
const RATIO_FRACTION = 32n;
const RATIO_ONE = 1n << RATIO_FRACTION;

export const svmHooks: SystemHooks = {
  exception(cpu, event, delivering) {
    if (delivering === undefined && takeInjected()) return;
    if (!(cpu.intercepts[InterceptWord.EXCEPTION] & (1 << event.vector))) return;
    const info2 = event.vector === 14 ? cpu.faultAddress : 0n;
    throw guestExit(cpu, BigInt(ExitCode.EXCEPTION + event.vector), BigInt((event.errorCode ?? 0) >>> 0), info2);
  },
  deliveryAbandoned(cpu, event) {
    cpu.exitIntInfo = describeEvent(event);
  },
  shutdown(cpu) {
    if (word3(cpu) & SHUTDOWN_BIT) throw guestExit(cpu, BigInt(ExitCode.SHUTDOWN));
  },
  softwareInterrupt(cpu, vector) {
    if (word3(cpu) & SWINT_BIT) throw guestExit(cpu, BigInt(ExitCode.SWINT), BigInt(vector));
  },
  controlRegister(cpu, number, write, register, value) {
    const info = register >= 0 ? MOV_CR_DECODED | BigInt(register) : 0n;
    const bit = 1 << (number + (write ? 16 : 0));
    if (cpu.intercepts[InterceptWord.CR] & bit) {
      throw guestExit(cpu, BigInt((write ? ExitCode.CR_WRITE : ExitCode.CR_READ) + number), info);
    }
    if (number === 0 && write && word3(cpu) & CR0_SEL_WRITE_BIT) {
      const selected = ~BigInt(CR0.TS | CR0.MP);
      // LMSW is intercepted whatever it changes (APM vol. 2 15.9)
      if (register === MACHINE_STATUS_WORD || (value ^ cpu.cr0) & selected & 0xffffffffn)
        throw guestExit(cpu, BigInt(ExitCode.CR0_SEL_WRITE), info);
    }
  },
  debugRegister(cpu, number, write, register) {
    if (cpu.intercepts[InterceptWord.DR] & (1 << (number + (write ? 16 : 0)))) {
      throw guestExit(cpu, BigInt((write ? ExitCode.DR_WRITE : ExitCode.DR_READ) + number), BigInt(register));
    }
  },
  modelSpecificRegister(cpu, index, write) {
    if (word3(cpu) & MSR_BIT && msrIntercepted(cpu, index, write))
      throw guestExit(cpu, BigInt(ExitCode.MSR), write ? 1n : 0n);
  },
  port(cpu, access) {
    if (word3(cpu) & IOIO_BIT && portIntercepted(cpu, access.port, access.bytes)) {
      throw guestExit(cpu, BigInt(ExitCode.IOIO), portInfo(access), cpu.nextRip);
    }
  },
  invalidatePage(cpu, linear) {
    if (word3(cpu) & INVLPG_BIT) throw guestExit(cpu, BigInt(ExitCode.INVLPG), linear);
  },
  /**
   * The filter of APM vol. 2 15.14.4. A count alone: an exit when it reaches zero. With a threshold: a PAUSE long after the
   * one before starts the count anew, and there is an exit when it would fall below zero.
   */
  pause(cpu) {
    if (!(word3(cpu) & PAUSE_BIT)) return;
    const { pauseFilterCount: count, pauseFilterThreshold: threshold } = cpu;
    if (count !== 0) {
      const now = cpu.hostTsc();
      const apart = threshold !== 0 && now - cpu.lastPause > BigInt(threshold);
      cpu.lastPause = now;
      if (apart) {
        cpu.pauseCount = count;
        return;
      }
      const least = threshold === 0 ? 1 : 0;
      if (cpu.pauseCount > least) {
        cpu.pauseCount--;
        return;
      }
    }
    throw guestExit(cpu, BigInt(ExitCode.PAUSE));
  },
  taskSwitch(cpu, selector, source: TaskSwitchSource, errorCode) {
    if (!(word3(cpu) & TASK_SWITCH_BIT)) return;
    let info2 = errorCode === undefined ? 0n : TASK_SWITCH_ERROR_CODE | BigInt(errorCode >>> 0);
    if (source === 'iret') info2 |= TASK_SWITCH_IRET;
    if (source === 'jump') info2 |= TASK_SWITCH_JUMP;
    if (readFlags(cpu) & FLAG.RF) info2 |= TASK_SWITCH_RF;
    throw guestExit(cpu, BigInt(ExitCode.TASK_SWITCH), BigInt(selector), info2);
  },
  systemManagementInterrupt(cpu) {
    if (word3(cpu) & SMI_BIT) throw guestExit(cpu, BigInt(ExitCode.SMI));
  },
  nonMaskableInterrupt(cpu) {
    if (word3(cpu) & NMI_BIT) throw guestExit(cpu, BigInt(ExitCode.NMI));
  },
  physicalInterruptsEnabled(cpu) {
    return masking(cpu) ? cpu.hostInterruptFlag !== 0 : (readFlags(cpu) & FLAG.IF) !== 0;
  },
  physicalInterrupt(cpu) {
    if (word3(cpu) & INTR_BIT) throw guestExit(cpu, BigInt(ExitCode.INTR));
  },
  virtualInterrupt(cpu) {
    if (!virtualInterruptDue(cpu) || !(readFlags(cpu) & FLAG.IF)) return -1;
    if (word3(cpu) & VINTR_BIT) throw guestExit(cpu, BigInt(ExitCode.VINTR));
    return cpu.u32[VINT + 1] & 0xff;
  },
  acknowledgeVirtualInterrupt(cpu) {
    cpu.u32[VINT] &= ~VirtualInterrupt.IRQ;
    noteInterrupts(cpu);
  },
  virtualInterruptRequested(cpu) {
    return (cpu.u32[VINT] & VirtualInterrupt.IRQ) !== 0;
  },
  interruptWaiting(cpu) {
    return virtualInterruptDue(cpu) && (readFlags(cpu) & FLAG.IF) !== 0;
  },
  virtualTaskPriority(cpu) {
    return masking(cpu) ? cpu.u32[VINT] & VirtualInterrupt.TPR_MASK : undefined;
  },
  setVirtualTaskPriority(cpu, value) {
    if (!masking(cpu)) return false;
    cpu.u32[VINT] = (cpu.u32[VINT] & ~0xff) | (value & VirtualInterrupt.TPR_MASK);
    return true;
  },
  interruptReturned() {},
  guestTimeStamp(cpu, timeStamp) {
    const scaled = cpu.tscRatio === RATIO_ONE ? timeStamp : (timeStamp * cpu.tscRatio) >> RATIO_FRACTION;
    return BigInt.asUintN(64, scaled + cpu.guestTscOffset);
  },
};
