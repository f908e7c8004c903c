/** VMRUN and #VMEXIT (APM vol. 2 15.5, 15.6): the swap of host and guest state, from one table of moves. */
import { RAX, RSP } from '../../isa/stage.ts';
import { offsetOf, segmentOffset } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { readFlags, writeFlags } from '../flags.ts';
import { Activity, type CpuState, word } from '../state.ts';
import { deliverException } from '../system/exceptions.ts';
import { noteInterrupts } from '../system/interrupts.ts';
import { CR0, CR4, EFER, FLAG } from '../system/registers.ts';
import { refreshSegments } from '../system/segments.ts';
import { type VmcbReader, violatedRule } from './consistency.ts';
import {
  CONTROL,
  EventInjection,
  EventType,
  ExitCode,
  GUEST_REGISTERS,
  LBR_REGISTERS,
  SAVE,
  SAVED_SEGMENT,
  SWAPPED_REGISTERS,
  SWAPPED_SEGMENTS,
  TlbControl,
  VirtualInterrupt,
} from './vmcb.ts';

const PAGE_MASK = 0xfff;
const INTERCEPT_WORDS = 6;

/** Upper half of an address made canonical: bit 47 is extended (APM vol. 2 15.5.1). */
export const canonicalHigh = (high: number): number => (high << 16) >> 16;

/** A page of guest memory that holds a VMCB or a host save area. */
export class VmcbPage implements VmcbReader {
  private readonly view: DataView;
  private readonly words: Uint32Array;
  private host = 0;
  constructor(memory: ArrayBufferLike) {
    this.view = new DataView(memory);
    this.words = new Uint32Array(memory);
  }
  /** @param host arena address of the page */
  at(host: number): this {
    this.host = host;
    return this;
  }
  u8(offset: number): number {
    return this.view.getUint8(this.host + offset);
  }
  u16(offset: number): number {
    return this.view.getUint16(this.host + offset, true);
  }
  u32(offset: number): number {
    return this.words[(this.host + offset) >>> 2];
  }
  u64(offset: number): bigint {
    return this.view.getBigUint64(this.host + offset, true);
  }
  setU8(offset: number, value: number): void {
    this.view.setUint8(this.host + offset, value);
  }
  setU32(offset: number, value: number): void {
    this.words[(this.host + offset) >>> 2] = value;
  }
  setU64(offset: number, value: bigint): void {
    this.view.setBigUint64(this.host + offset, value, true);
  }
  /** Copies 64 bits from a context word index on. */
  save(offset: number, cpu: CpuState, index: number): void {
    const at = (this.host + offset) >>> 2;
    this.words[at] = cpu.u32[index];
    this.words[at + 1] = cpu.u32[index + 1];
  }
  load(offset: number, cpu: CpuState, index: number): void {
    const at = (this.host + offset) >>> 2;
    cpu.u32[index] = this.words[at];
    cpu.u32[index + 1] = this.words[at + 1];
  }
  saveSegment(offset: number, cpu: CpuState, segment: number): void {
    const at = (this.host + offset) >>> 2;
    const from = segmentOffset(segment, 'base') >> 2;
    const { u32 } = cpu;
    this.words[at] = u32[from + 3]; // selector and attributes
    this.words[at + 1] = u32[from + 2];
    this.words[at + 2] = u32[from];
    this.words[at + 3] = u32[from + 1];
  }
  /** Loads a segment register; its base is made canonical. */
  loadSegment(offset: number, cpu: CpuState, segment: number): void {
    const at = (this.host + offset) >>> 2;
    const to = segmentOffset(segment, 'base') >> 2;
    const { u32 } = cpu;
    u32[to + 3] = this.words[at];
    u32[to + 2] = this.words[at + 1];
    u32[to] = this.words[at + 2];
    u32[to + 1] = canonicalHigh(this.words[at + 3]);
  }
}

const GPR_RAX = offsetOf('gpr', RAX) >> 2;
const GPR_RSP = offsetOf('gpr', RSP) >> 2;
const RFLAGS_SAVED = SAVE.RFLAGS;
const moves = (list: readonly (readonly [Parameters<typeof word>[0], number])[]) =>
  list.map(([field, offset]) => [word(field), offset] as const);
const SWAPPED = moves(SWAPPED_REGISTERS);
const GUEST = moves(GUEST_REGISTERS);
const LBR = moves(LBR_REGISTERS);
/** Limits: 32 bits wide. */
const SWAPPED_32 = [
  [word('gdtrLimit'), SAVE.GDTR + SAVED_SEGMENT.limit],
  [word('idtrLimit'), SAVE.IDTR + SAVED_SEGMENT.limit],
] as const;
const CR0_WORD = word('cr0');
const CR4_WORD = word('cr4');
const EFER_WORD = word('efer');
const DR6_WORD = word('dr6');
const DR7_WORD = word('dr7');
const VIRTUAL_INTERRUPT = word('virtualInterrupt');
const GUEST_TSC_OFFSET = word('guestTscOffset');
const EXIT_CODE = word('exitCode');
const EXIT_INFO1 = word('exitInfo1');
const EXIT_INFO2 = word('exitInfo2');
const EXIT_INT_INFO = word('exitIntInfo');
const VMCB = word('vmcb');
const VM_HSAVE_PA = word('vmHsavePa');
const IOPM_BASE = word('iopmBase');
const MSRPM_BASE = word('msrpmBase');
const NESTED_CR3 = word('nestedCr3');
const GUEST_PAT = word('guestPat');
const NEXT_RIP = word('nextRip');
/** Fixed ones of DR6 and DR7, low halves. */
const DR6_ONES = 0xffff0ff0;
const DR7_ONES = 0x400;

/** The processor's pages in use, one set per processor. */
const pages = new WeakMap<Cpu, { vmcb: VmcbPage; host: VmcbPage }>();
export function pagesOf(cpu: Cpu): { vmcb: VmcbPage; host: VmcbPage } {
  let known = pages.get(cpu);
  if (!known) {
    known = { vmcb: new VmcbPage(cpu.bytes.buffer), host: new VmcbPage(cpu.bytes.buffer) };
    pages.set(cpu, known);
  }
  return known;
}

/**
 * Checks the address operand of VMRUN, VMLOAD, VMSAVE (APM vol. 2 15.5.1): page-aligned and inside the physical address
 * space, else #GP(0). Gives the arena address of the page.
 */
export function vmcbOperand(cpu: Cpu, low: number, high: number): number {
  const beyond = high >>> (cpu.model.physicalAddressBits - 32);
  if ((low & PAGE_MASK) !== 0 || beyond !== 0) throw fault(cpu, 13, 0);
  const host = cpu.physical.hostPage(number(low, high));
  if (host === 0) throw fault(cpu, 13, 0);
  return host;
}

const TWO_TO_32 = 2 ** 32;
/** A physical address from its halves: exact, since it has 52 bits at most. */
const number = (low: number, high: number): number => (high >>> 0) * TWO_TO_32 + (low >>> 0);
/** The one that a context word and the next hold. */
const addressAt = (cpu: Cpu, index: number): number => number(cpu.u32[index], cpu.u32[index + 1]);

/** State common to host and guest. RFLAGS, RSP and RAX are passed since the host's RIP is the instruction after VMRUN. */
function saveCommon(page: VmcbPage, cpu: Cpu): void {
  for (const [segment, offset] of SWAPPED_SEGMENTS) page.saveSegment(offset, cpu, segment);
  for (const [index, offset] of SWAPPED) page.save(offset, cpu, index);
  for (const [index, offset] of SWAPPED_32) page.setU32(offset, cpu.u32[index]);
  page.save(SAVE.CR0, cpu, CR0_WORD);
  page.setU32(RFLAGS_SAVED, readFlags(cpu));
  page.setU32(RFLAGS_SAVED + 4, 0);
  page.save(SAVE.RSP, cpu, GPR_RSP);
  page.save(SAVE.RAX, cpu, GPR_RAX);
}

function loadCommon(page: VmcbPage, cpu: Cpu): void {
  for (const [segment, offset] of SWAPPED_SEGMENTS) page.loadSegment(offset, cpu, segment);
  for (const [index, offset] of SWAPPED) page.load(offset, cpu, index);
  for (const [index, offset] of SWAPPED_32) cpu.u32[index] = page.u32(offset);
  page.load(SAVE.RSP, cpu, GPR_RSP);
  page.load(SAVE.RAX, cpu, GPR_RAX);
}

/** VMRUN with the VMCB at a guest-physical address. Runs as a system helper: nextRip is the host's resume address. */
export function vmrun(cpu: Cpu, low: number, high: number): void {
  const vmcbHost = vmcbOperand(cpu, low, high);
  const { vmcb, host } = pagesOf(cpu);
  vmcb.at(vmcbHost);
  const hostArea = cpu.physical.hostPage(addressAt(cpu, VM_HSAVE_PA));
  if (hostArea === 0) throw fault(cpu, 13, 0);
  host.at(hostArea);

  saveCommon(host, cpu);
  host.save(SAVE.RIP, cpu, NEXT_RIP);
  cpu.u32[VMCB] = low;
  cpu.u32[VMCB + 1] = high;
  cpu.hostInterruptFlag = readFlags(cpu) & FLAG.IF ? 1 : 0;

  const rule = violatedRule(vmcb, cpu);
  if (rule !== undefined) {
    if (cpu.log.enabled('svm')) cpu.log.write('svm', `VMRUN of the VMCB at ${cpu.vmcb.toString(16)}h fails: ${rule}`);
    vmcb.setU64(CONTROL.EXITCODE, BigInt.asUintN(64, BigInt(ExitCode.INVALID)));
    cpu.gif = 0;
    loadHost(cpu, host);
    return;
  }
  cpu.nestedPagingMode =
    (cpu.u32[CR4_WORD] & (CR4.PSE | CR4.PAE | CR4.SMEP)) | (cpu.u32[EFER_WORD] & (EFER.LMA | EFER.NXE));
  loadControls(cpu, vmcb);
  if (cpu.lbrVirtualization) for (const [index, offset] of LBR) host.save(offset, cpu, index);
  loadGuest(cpu, vmcb);
  cpu.gif = 1;
  noteInterrupts(cpu);
  // From here on VMRUN has completed: what held for it is not the guest's, and its single-step trap waits for #VMEXIT.
  cpu.held.shadow = 0;
  cpu.held.resume = 0;
  cpu.held.causes = 0;
  cpu.hostSingleStep = cpu.singleStep;
  cpu.singleStep = 0;
  inject(cpu, vmcb);
}

function loadControls(cpu: Cpu, vmcb: VmcbPage): void {
  for (let i = 0; i < INTERCEPT_WORDS; i++) cpu.intercepts[i] = vmcb.u32(CONTROL.INTERCEPTS + 4 * i);
  cpu.pauseFilterThreshold = vmcb.u16(CONTROL.PAUSE_FILTER_THRESHOLD);
  cpu.pauseFilterCount = vmcb.u16(CONTROL.PAUSE_FILTER_COUNT);
  cpu.pauseCount = cpu.pauseFilterCount;
  vmcb.load(CONTROL.IOPM_BASE_PA, cpu, IOPM_BASE);
  cpu.u32[IOPM_BASE] &= ~PAGE_MASK;
  vmcb.load(CONTROL.MSRPM_BASE_PA, cpu, MSRPM_BASE);
  cpu.u32[MSRPM_BASE] &= ~PAGE_MASK;
  vmcb.load(CONTROL.TSC_OFFSET, cpu, GUEST_TSC_OFFSET);
  vmcb.load(CONTROL.VIRTUAL_INTERRUPT, cpu, VIRTUAL_INTERRUPT);
  cpu.guestAsid = vmcb.u32(CONTROL.GUEST_ASID);
  cpu.nestedPaging = vmcb.u32(CONTROL.NP_ENABLE) & 1;
  vmcb.load(CONTROL.N_CR3, cpu, NESTED_CR3);
  cpu.lbrVirtualization = vmcb.u32(CONTROL.LBR_VIRTUALIZATION_ENABLE) & 1;
  cpu.interruptShadow = vmcb.u32(CONTROL.INTERRUPT_SHADOW) & 1;
  cpu.exitIntInfo = 0n;
  switch (vmcb.u8(CONTROL.TLB_CONTROL)) {
    case TlbControl.NOTHING:
      break;
    case TlbControl.FLUSH_GUEST:
    case TlbControl.FLUSH_GUEST_NON_GLOBAL:
      cpu.translation.flushAsid(cpu.guestAsid);
      break;
    default:
      cpu.translation.flushAll();
  }
}

function loadGuest(cpu: Cpu, vmcb: VmcbPage): void {
  cpu.guestMode = 1;
  loadCommon(vmcb, cpu);
  vmcb.load(SAVE.CR0, cpu, CR0_WORD);
  for (const [index, offset] of GUEST) vmcb.load(offset, cpu, index);
  const { u32 } = cpu;
  u32[DR6_WORD] |= DR6_ONES;
  u32[DR6_WORD + 1] = 0;
  u32[DR7_WORD] |= DR7_ONES;
  u32[DR7_WORD + 1] = 0;
  // LMA follows LME and PG whatever the image says
  const paged = CR0.PG | CR0.PE;
  if (u32[EFER_WORD] & EFER.LME && (u32[CR0_WORD] & paged) >>> 0 === paged >>> 0) u32[EFER_WORD] |= EFER.LMA;
  else u32[EFER_WORD] &= ~EFER.LMA;
  writeFlags(cpu, vmcb.u32(SAVE.RFLAGS));
  if (cpu.nestedPaging) vmcb.load(SAVE.G_PAT, cpu, GUEST_PAT);
  if (cpu.lbrVirtualization) for (const [index, offset] of LBR) vmcb.load(offset, cpu, index);
  cpu.cpl = guestPrivilege(cpu, vmcb);
  cpu.activity = Activity.RUNNING;
  cpu.nextRip = cpu.rip;
  refreshSegments(cpu);
  cpu.translation.stateChanged();
}

/** CPL: 0 in real mode, 3 in virtual-8086 mode, else as the VMCB says. */
function guestPrivilege(cpu: Cpu, vmcb: VmcbPage): number {
  if (!(cpu.u32[CR0_WORD] & CR0.PE)) return 0;
  return vmcb.u32(SAVE.RFLAGS) & FLAG.VM ? 3 : vmcb.u8(SAVE.CPL) & 3;
}

/** EVENTINJ (APM vol. 2 15.20): the event is delivered before the guest's first instruction, without its own intercept. */
function inject(cpu: Cpu, vmcb: VmcbPage): void {
  const event = vmcb.u32(CONTROL.EVENTINJ);
  if (!(event & EventInjection.VALID)) return;
  vmcb.setU32(CONTROL.EVENTINJ, event & ~EventInjection.VALID);
  const vector = event & EventInjection.VECTOR_MASK;
  const errorCode = event & EventInjection.ERROR_CODE_VALID ? vmcb.u32(CONTROL.EVENTINJ + 4) : undefined;
  const type = (event >> EventInjection.TYPE_SHIFT) & EventInjection.TYPE_MASK;
  injecting = true;
  try {
    switch (type) {
      case EventType.INTR:
        deliverException(cpu, vector, errorCode, 'external');
        break;
      case EventType.NMI:
        deliverException(cpu, 2, errorCode, 'nmi');
        break;
      case EventType.SOFTWARE:
        cpu.nextRip = vmcb.u64(CONTROL.NRIP);
        deliverException(cpu, vector, errorCode, 'software');
        break;
      default:
        if (vector === 14) cpu.faultAddress = cpu.cr2;
        if (vector === 3 || vector === 4) cpu.nextRip = vmcb.u64(CONTROL.NRIP) || cpu.rip;
        deliverException(cpu, vector, errorCode, vector === 3 || vector === 4 ? 'softwareException' : 'fault');
    }
  } finally {
    injecting = false;
  }
  cpu.nextRip = cpu.rip;
}

/** Set while EVENTINJ's own event enters delivery, which no intercept may stop. */
let injecting = false;
/** Whether the exception about to be delivered is EVENTINJ's; true once. */
export function takeInjected(): boolean {
  const was = injecting;
  injecting = false;
  return was;
}

function loadHost(cpu: Cpu, host: VmcbPage): void {
  cpu.guestMode = 0;
  noteInterrupts(cpu);
  if (cpu.lbrVirtualization) for (const [index, offset] of LBR) host.load(offset, cpu, index);
  cpu.lbrVirtualization = 0;
  cpu.intercepts.fill(0);
  cpu.nestedPaging = 0;
  cpu.guestAsid = 0;
  loadCommon(host, cpu);
  host.load(SAVE.CR0, cpu, CR0_WORD);
  cpu.u32[CR0_WORD] |= CR0.PE;
  cpu.u32[DR7_WORD] = DR7_ONES;
  cpu.u32[DR7_WORD + 1] = 0;
  writeFlags(cpu, host.u32(SAVE.RFLAGS) & ~FLAG.VM);
  cpu.cpl = 0;
  cpu.interruptShadow = 0;
  cpu.activity = Activity.RUNNING;
  cpu.nextRip = cpu.rip;
  refreshSegments(cpu);
  cpu.translation.stateChanged();
}

/** Exits whose NRIP is the next sequential instruction: instruction intercepts, and INT3/INTO exceptions. */
function hasNextRip(code: number, cpu: Cpu): boolean {
  if (code < 0x40) return true;
  if (code < 0x60) return code === 0x43 || code === 0x44 ? cpu.nextRip !== cpu.rip : false;
  if (code < 0x65) return false;
  return code < 0x400 && code !== ExitCode.TASK_SWITCH && code !== 0x7e && code !== ExitCode.SHUTDOWN;
}

/** Bytes of the current instruction for decode assists; at most 15, as far as they are mapped. */
export type InstructionFetch = (cpu: Cpu) => Uint8Array;

/**
 * Performs the #VMEXIT described in the context: the guest's state goes to its VMCB, the host's comes from the host save
 * area, and the processor goes on after VMRUN with GIF clear.
 */
export function exitGuest(cpu: Cpu, fetch: InstructionFetch): void {
  const { vmcb, host } = pagesOf(cpu);
  vmcb.at(cpu.physical.hostPage(addressAt(cpu, VMCB)));
  host.at(cpu.physical.hostPage(addressAt(cpu, VM_HSAVE_PA)));
  // none of those that come here is negative
  const code = cpu.u32[EXIT_CODE];

  const dataAccess = code === ExitCode.EXCEPTION + 14 || code === ExitCode.NPF;
  const INSTRUCTION_FETCH = 1 << 4;
  if (dataAccess && !(cpu.u32[EXIT_INFO1] & INSTRUCTION_FETCH)) {
    const bytes = fetch(cpu);
    vmcb.setU8(CONTROL.GUEST_INSTRUCTION, bytes.length);
    for (let i = 0; i < bytes.length; i++) vmcb.setU8(CONTROL.GUEST_INSTRUCTION + 1 + i, bytes[i]);
  } else {
    vmcb.setU8(CONTROL.GUEST_INSTRUCTION, 0);
  }

  saveCommon(vmcb, cpu);
  for (const [index, offset] of GUEST) vmcb.save(offset, cpu, index);
  vmcb.setU8(SAVE.CPL, cpu.cpl);
  if (cpu.nestedPaging) vmcb.save(SAVE.G_PAT, cpu, GUEST_PAT);
  if (cpu.lbrVirtualization) for (const [index, offset] of LBR) vmcb.save(offset, cpu, index);
  vmcb.setU32(CONTROL.INTERRUPT_SHADOW, cpu.interruptShadow & 1);
  vmcb.setU32(CONTROL.INTERRUPT_SHADOW + 4, 0);
  const WRITTEN = VirtualInterrupt.IRQ | VirtualInterrupt.GIF | 0xff;
  const old = vmcb.u32(CONTROL.VIRTUAL_INTERRUPT);
  vmcb.setU32(CONTROL.VIRTUAL_INTERRUPT, (old & ~WRITTEN) | (cpu.u32[VIRTUAL_INTERRUPT] & WRITTEN));
  vmcb.save(CONTROL.EXITCODE, cpu, EXIT_CODE);
  vmcb.save(CONTROL.EXITINFO1, cpu, EXIT_INFO1);
  vmcb.save(CONTROL.EXITINFO2, cpu, EXIT_INFO2);
  vmcb.save(CONTROL.EXITINTINFO, cpu, EXIT_INT_INFO);
  if (hasNextRip(code, cpu)) vmcb.save(CONTROL.NRIP, cpu, NEXT_RIP);
  else vmcb.setU64(CONTROL.NRIP, 0n);
  vmcb.setU32(CONTROL.EVENTINJ, vmcb.u32(CONTROL.EVENTINJ) & ~EventInjection.VALID);
  cpu.exitIntInfo = 0n;
  cpu.gif = 0;
  if (cpu.log.enabled('exit')) {
    cpu.log.write(
      'exit',
      `#VMEXIT ${code.toString(16)}h info1=${cpu.exitInfo1.toString(16)}h info2=${cpu.exitInfo2.toString(16)}h rip=${cpu.rip.toString(16)}h`,
    );
  }
  loadHost(cpu, host);
}
