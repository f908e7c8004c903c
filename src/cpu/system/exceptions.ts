/**
 * Delivery of exceptions and interrupts (SDM vol. 3A chapter 6, APM vol. 2 chapter 8): what happens when delivery itself
 * faults is decided here; the ways through the tables are in interrupt-gates.ts.
 */
import { Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import type { EventCounters } from '../event-counters.ts';
import { ABORTED } from '../fault.ts';
import { Activity, InterruptShadow, Pending, word } from '../state.ts';
import { reportDebugCauses } from './debug-registers.ts';
import { type DeliveredEvent, type EventKind, hooks } from './hooks.ts';
import { deliverLong, deliverProtected, deliverReal } from './interrupt-gates.ts';
import { recordEvent, watchesBranches } from './last-branch.ts';
import { deliverLongShortcut } from './long-mode-shortcuts.ts';
import { DR7, isLongMode, isProtected } from './registers.ts';

const CR2 = word('cr2');
const RIP = word('rip');
const FAULT_ADDRESS = word('faultAddress');

/** EXT: the fault came from delivering an event the program did not ask for (SDM vol. 3A 6.13). */
const ERROR_CODE_EXT = 1;

const CONTRIBUTORY: ReadonlySet<number> = new Set([Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP]);
/** Exceptions whose error code is a selector with an EXT bit. */
const SELECTOR_ERROR: ReadonlySet<number> = new Set([Vector.TS, Vector.NP, Vector.SS, Vector.GP]);

/** What becomes of a second exception during the delivery of a first (SDM vol. 3A table 6-5). */
type Outcome = 'serial' | 'double' | 'triple';

function isException(kind: EventKind): boolean {
  return kind !== 'software' && kind !== 'external' && kind !== 'nmi';
}

function combine(first: DeliveredEvent, second: DeliveredEvent): Outcome {
  if (!isException(first.kind)) return 'serial';
  const serious = CONTRIBUTORY.has(second.vector) || second.vector === Vector.PF;
  if (first.vector === Vector.DF) return serious ? 'triple' : 'serial';
  if (first.vector === Vector.PF) return serious ? 'double' : 'serial';
  return CONTRIBUTORY.has(first.vector) && CONTRIBUTORY.has(second.vector) ? 'double' : 'serial';
}

/** Takes the fault described in the context. */
function takePendingFault(cpu: Cpu, during?: DeliveredEvent): DeliveredEvent {
  cpu.pending = Pending.NONE;
  const vector = cpu.faultVector;
  let errorCode = cpu.faultHasErrorCode !== 0 ? cpu.faultErrorCode : undefined;
  const requested = during?.kind === 'software' || during?.kind === 'softwareException';
  if (during !== undefined && !requested && errorCode !== undefined && SELECTOR_ERROR.has(vector)) {
    errorCode |= ERROR_CODE_EXT;
  }
  return { vector, errorCode, kind: 'fault', instructionLength: 0 };
}

const VECTOR_NAMES = new Map<number, string>(Object.entries(Vector).map(([name, vector]) => [vector, `#${name}`]));

/** One line for the log. */
function describe(cpu: Cpu, { vector, errorCode, kind }: DeliveredEvent): string {
  const name = VECTOR_NAMES.get(vector) ?? `vector ${vector}`;
  const code = errorCode === undefined ? '' : ` error ${(errorCode >>> 0).toString(16)}h`;
  const address = vector === Vector.PF && kind === 'fault' ? ` address ${cpu.faultAddress.toString(16)}h` : '';
  return `${name}${code}${address} at RIP ${cpu.rip.toString(16)}h, CPL ${cpu.cpl}${cpu.guestMode === 0 ? '' : ', in a guest'}`;
}

/** Where events of a kind are counted. */
const COUNTER = {
  fault: 'exceptions',
  trap: 'exceptions',
  softwareException: 'exceptions',
  privilegedSoftware: 'exceptions',
  software: 'software',
  external: 'interrupts',
  nmi: 'interrupts',
} as const satisfies Record<EventKind, keyof EventCounters>;

function enterHandler(cpu: Cpu, event: DeliveredEvent): void {
  cpu.counters[COUNTER[event.kind]][event.vector]++;
  if (isException(event.kind) && cpu.log.enabled('exception')) cpu.log.write('exception', describe(cpu, event));
  if (event.vector === Vector.PF && event.kind === 'fault') {
    cpu.u32[CR2] = cpu.u32[FAULT_ADDRESS];
    cpu.u32[CR2 + 1] = cpu.u32[FAULT_ADDRESS + 1];
  }
  const watching = watchesBranches(cpu);
  const fromLow = cpu.u32[RIP];
  const fromHigh = cpu.u32[RIP + 1];
  if (!isProtected(cpu)) deliverReal(cpu, event);
  else if (isLongMode(cpu)) {
    if (!deliverLongShortcut(cpu, event)) deliverLong(cpu, event);
  } else deliverProtected(cpu, event);
  if (watching) recordEvent(cpu, fromLow, fromHigh, event.vector === Vector.DB && isException(event.kind));
  cpu.interruptShadow = InterruptShadow.NONE;
  // Delivery clears TF: neither INT n nor an event that interrupts leads to a single-step trap in the handler.
  cpu.singleStep = 0;
  cpu.activity = Activity.RUNNING;
  if (event.kind === 'nmi') cpu.nmiBlocked = 1;
  if (event.vector === Vector.DB && isException(event.kind)) cpu.dr7 &= ~BigInt(DR7.GD);
}

/** Three faults in a row: the processor shuts down, unless a hypervisor inside takes notice. */
function tripleFault(cpu: Cpu, delivering: DeliveredEvent): void {
  if (cpu.guestMode !== 0) hooks.shutdown(cpu, delivering);
  cpu.activity = Activity.SHUTDOWN;
  cpu.shutdown(`triple fault at RIP ${cpu.rip.toString(16)}h`);
}

/**
 * Delivers an event: saves the state the handler returns to and goes to the handler, or to that of the exception
 * delivery raised instead, down to a double fault and shutdown. Sets RIP and nextRip.
 *
 * The return address is `cpu.nextRip` for the software kinds, `cpu.rip` for all others. May throw `ABORTED` with a
 * #VMEXIT described, nothing else.
 *
 * @param errorCode `undefined` for events that have none
 */
export function deliverException(
  cpu: Cpu,
  vector: number,
  errorCode: number | undefined,
  kind: EventKind,
  instructionLength = 0,
): void {
  let event: DeliveredEvent = { vector, errorCode, kind, instructionLength };
  /** The event whose delivery raised `event`. */
  let delivering: DeliveredEvent | undefined;
  for (;;) {
    /** What EXITINTINFO has to report if a #VMEXIT happens now. */
    let inDelivery = delivering;
    try {
      if (cpu.guestMode !== 0 && isException(event.kind)) hooks.exception(cpu, event, delivering);
      const outcome = delivering === undefined ? 'serial' : combine(delivering, event);
      if (outcome === 'triple') {
        tripleFault(cpu, delivering as DeliveredEvent);
        return;
      }
      if (outcome === 'double') {
        if (event.vector === Vector.PF) cpu.cr2 = cpu.faultAddress;
        event = { vector: Vector.DF, errorCode: 0, kind: 'fault', instructionLength: 0 };
        if (cpu.guestMode !== 0) hooks.exception(cpu, event, delivering);
      }
      inDelivery = event;
      enterHandler(cpu, event);
      return;
    } catch (reason) {
      if (reason !== ABORTED) throw reason;
      if (cpu.pending === Pending.GUEST_EXIT) {
        if (inDelivery !== undefined) hooks.deliveryAbandoned(cpu, inDelivery);
        throw reason;
      }
      delivering = inDelivery;
      event = takePendingFault(cpu, delivering);
    }
  }
}

/** Delivers the fault described in the context (`pending` is `Pending.FAULT`), for the run loop. */
export function deliverPendingFault(cpu: Cpu): void {
  const { vector, errorCode } = takePendingFault(cpu);
  deliverException(cpu, vector, errorCode, 'fault');
}

/**
 * A debug trap after an instruction, with RIP at the next one.
 *
 * @param causes bits for DR6: BS for a single step, B0-B3 for breakpoints, BT for a task switch
 */
export function deliverDebugTrap(cpu: Cpu, causes: number): void {
  reportDebugCauses(cpu, causes);
  deliverException(cpu, Vector.DB, undefined, 'trap');
}
