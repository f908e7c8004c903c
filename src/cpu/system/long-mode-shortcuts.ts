/**
 * The common ways into and out of a 64-bit kernel, without BigInt: events through a 64-bit gate to level 0, and IRETQ
 * from level 0. A shortcut does the whole thing if all it needs is in the TLB and of the usual form (flat segments,
 * accessed bits set, nothing across a page); otherwise it leaves everything as it was and returns false, and the general
 * code decides, faults included.
 */
import { RSP, Vector } from '../../isa/stage.ts';
import { CS, DS, ES, FS, GS, SEGMENT, SEGMENT_SIZE, SS, TR } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { changeFlags, readFlags } from '../flags.ts';
import { word } from '../state.ts';
import { Attribute, SystemType } from './descriptors.ts';
import type { DeliveredEvent } from './hooks.ts';
import { arenaOf, plainAddress, READ, WRITE } from './plain-memory.ts';
import { EFER, FLAG, isCanonicalHigh } from './registers.ts';
import { clearInaccessibleSegments, loadFlatSegment, refreshStackMask } from './segments.ts';

const RIP = word('rip');
const NEXT_RIP = word('nextRip');
const RSP_WORD = word('gpr', RSP);
const RFLAGS = word('rflags');
const CPL = word('cpl');
const IDTR_BASE = word('idtrBase');
const IDTR_LIMIT = word('idtrLimit');
const GDTR_BASE = word('gdtrBase');
const GDTR_LIMIT = word('gdtrLimit');
const EFER_WORD = word('efer');

/** Words of a segment register's cache. */
const segmentWord = (number: number) => word('segments') + (number * SEGMENT_SIZE) / 4;
const LIMIT = SEGMENT.limit >> 2;
/** Selector in the low half, attributes in the high half. */
const VISIBLE = SEGMENT.selector >> 2;
const READ_END = SEGMENT.readEnd >> 2;
const WRITE_END = SEGMENT.writeEnd >> 2;
const CS_WORDS = segmentWord(CS);
const SS_WORDS = segmentWord(SS);
const TR_WORDS = segmentWord(TR);
const SELECTOR_FIELDS = [ES, DS, FS, GS].map((number) => segmentWord(number) + VISIBLE);

/** A flat descriptor of 4 GiB: base 0, limit FFFFFh in pages. */
const FLAT_LOW = 0x0000_ffff;
const FLAT_HIGH = 0x008f_0000;
const FLAT_HIGH_MASK = 0xff8f_00ff | 0;
/** Bits of a descriptor's second doubleword that make present, accessed, readable 64-bit code, and the bits looked at. */
const CODE64 = 0x0020_9b00;
const CODE64_MASK = 0x0060_9f00;
/** The same for present, accessed, writable, expand-up data. */
const DATA = 0x0000_9300;
const DATA_MASK = 0x0000_9f00;
const DPL_MASK = 3 << 13;
const DPL_SHIFT_HIGH = 13;

const PAGE = 0x1000;
const GATE_SIZE = 16;
/** Offset of RSP0, and of IST1, in a 64-bit TSS. */
const TSS_RSP0 = 4;
const TSS_IST1 = 36;
const INTERRUPT_GATE = SystemType.INTERRUPT_GATE32;

const attributesOf = (high: number): number => ((high >>> 8) & 0xff) | ((high >>> 12) & 0xf00);

/** Arena address of `bytes` bytes of a table at `base` plus an offset, as the supervisor reads it; 0 if not at hand. */
function tableAddress(cpu: Cpu, words: Int32Array, base: number, offset: number, bytes: number): number {
  const low = (cpu.u32[base] + offset) | 0;
  // A carry into the upper half, or a table across a page, is left to the general code.
  if (low >>> 0 < cpu.u32[base] || (low & (PAGE - 1)) + bytes > PAGE) return 0;
  const address = plainAddress(cpu, words, low, cpu.u32[base + 1] | 0, READ);
  return (address & 3) === 0 ? address : 0;
}

/** Second doubleword of a flat code or data descriptor of the GDT, or 0. */
function flatDescriptor(cpu: Cpu, words: Int32Array, selector: number): number {
  const index = selector & ~3;
  if ((selector & 4) !== 0 || index === 0 || index + 7 > cpu.u32[GDTR_LIMIT]) return 0;
  const address = tableAddress(cpu, words, GDTR_BASE, index, 8);
  if (address === 0 || words[address >>> 2] !== FLAT_LOW) return 0;
  const high = words[(address >>> 2) + 1];
  return (high & FLAT_HIGH_MASK) === FLAT_HIGH ? high : 0;
}

function loadNullStack(cpu: Cpu, selector: number): void {
  const { u32 } = cpu;
  u32[SS_WORDS] = 0;
  u32[SS_WORDS + 1] = 0;
  u32[SS_WORDS + LIMIT] = 0;
  u32[SS_WORDS + VISIBLE] = selector;
  for (let i = 0; i < 2; i++) {
    u32[SS_WORDS + READ_END + i] = 0;
    u32[SS_WORDS + WRITE_END + i] = 0;
  }
}

/** A way through the IDT, with CPL already 0 for the sake of the TLB bank. */
function enterThroughGate(cpu: Cpu, event: DeliveredEvent, from: number): boolean {
  const { u32 } = cpu;
  const { words } = arenaOf(cpu);
  const offset = event.vector * GATE_SIZE;
  if (offset + GATE_SIZE - 1 > u32[IDTR_LIMIT]) return false;
  const gate = tableAddress(cpu, words, IDTR_BASE, offset, GATE_SIZE) >>> 2;
  if (gate === 0) return false;
  const second = words[gate + 1];
  const type = (second >>> 8) & 0x9f;
  if (type !== (Attribute.P | INTERRUPT_GATE) && type !== (Attribute.P | SystemType.TRAP_GATE32)) return false;
  const requested = event.kind === 'software' || event.kind === 'softwareException';
  if (requested && ((second >>> DPL_SHIFT_HIGH) & 3) < from) return false;
  const selector = words[gate] >>> 16;
  const code = flatDescriptor(cpu, words, selector);
  if ((code & (CODE64_MASK | DPL_MASK)) !== CODE64) return false;
  const targetHigh = words[gate + 2];
  if (!isCanonicalHigh(targetHigh)) return false;

  const ist = second & 7;
  let low = u32[RSP_WORD];
  let high = u32[RSP_WORD + 1];
  if (from !== 0 || ist !== 0) {
    const place = ist === 0 ? TSS_RSP0 : TSS_IST1 + 8 * (ist - 1);
    if (place + 7 > u32[TR_WORDS + LIMIT]) return false;
    const stack = tableAddress(cpu, words, TR_WORDS, place, 8) >>> 2;
    if (stack === 0) return false;
    low = words[stack] >>> 0;
    high = words[stack + 1];
  }
  const hasErrorCode = event.errorCode !== undefined;
  const top = (low & ~15) >>> 0;
  const bytes = hasErrorCode ? 48 : 40;
  // The whole frame within a page.
  if (((top - 1) & (PAGE - 1)) + 1 < bytes || !isCanonicalHigh(high | 0)) return false;
  const frame = plainAddress(cpu, words, (top - bytes) | 0, (top === 0 ? high - 1 : high) | 0, WRITE) >>> 2;
  if (frame === 0) return false;

  const flags = readFlags(cpu);
  const isFault = event.kind === 'fault' && event.vector !== Vector.DB;
  const returnWord = requested || event.kind === 'privilegedSoftware' ? NEXT_RIP : RIP;
  let at = frame;
  if (hasErrorCode) {
    words[at] = event.errorCode as number;
    words[at + 1] = 0;
    at += 2;
  }
  words[at] = u32[returnWord];
  words[at + 1] = u32[returnWord + 1];
  words[at + 2] = u32[CS_WORDS + VISIBLE] & 0xffff;
  words[at + 3] = 0;
  words[at + 4] = isFault ? flags | FLAG.RF : flags;
  words[at + 5] = 0;
  words[at + 6] = u32[RSP_WORD];
  words[at + 7] = u32[RSP_WORD + 1];
  words[at + 8] = u32[SS_WORDS + VISIBLE] & 0xffff;
  words[at + 9] = 0;

  const masked = FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM | ((second >>> 8) & 1 ? 0 : FLAG.IF);
  u32[RFLAGS] &= ~masked;
  loadFlatSegment(cpu, CS, selector & ~3, attributesOf(code));
  if (from !== 0) loadNullStack(cpu, 0);
  u32[RSP_WORD] = (top - bytes) >>> 0;
  u32[RSP_WORD + 1] = top === 0 ? high - 1 : high;
  const targetLow = (words[gate] & 0xffff) | (second & 0xffff_0000);
  u32[RIP] = targetLow;
  u32[RIP + 1] = targetHigh;
  u32[NEXT_RIP] = targetLow;
  u32[NEXT_RIP + 1] = targetHigh;
  return true;
}

/** Delivers an event in long mode to a handler at level 0; false if it must go the long way. */
export function deliverLongShortcut(cpu: Cpu, event: DeliveredEvent): boolean {
  const { u32 } = cpu;
  const from = u32[CPL];
  if (from !== 0) {
    // Tables and the new stack are the supervisor's.
    u32[CPL] = 0;
    cpu.translation.stateChanged();
  }
  const wasLong = (u32[CS_WORDS + VISIBLE] & (Attribute.L << 16)) !== 0;
  if (enterThroughGate(cpu, event, from)) {
    if (!wasLong) {
      refreshStackMask(cpu);
      cpu.translation.stateChanged();
    }
    return true;
  }
  if (from !== 0) {
    u32[CPL] = from;
    cpu.translation.stateChanged();
  }
  return false;
}

/** What IRETQ at level 0 may change. */
const IRET_FLAGS =
  FLAG.CF |
  FLAG.PF |
  FLAG.AF |
  FLAG.ZF |
  FLAG.SF |
  FLAG.TF |
  FLAG.IF |
  FLAG.DF |
  FLAG.OF |
  FLAG.IOPL |
  FLAG.NT |
  FLAG.RF |
  FLAG.AC |
  FLAG.VIF |
  FLAG.VIP |
  FLAG.ID;

/** IRETQ from 64-bit code at level 0 to 64-bit code; false if it must go the long way. */
export function iretLongShortcut(cpu: Cpu): boolean {
  const { u32 } = cpu;
  const attributes = u32[CS_WORDS + VISIBLE] >>> 16;
  if (u32[CPL] !== 0 || (u32[EFER_WORD] & EFER.LMA) === 0 || (attributes & Attribute.L) === 0) return false;
  if ((u32[RFLAGS] & FLAG.NT) !== 0) return false;
  const low = u32[RSP_WORD] | 0;
  if ((low & 3) !== 0 || (low & (PAGE - 1)) + 40 > PAGE) return false;
  const { words } = arenaOf(cpu);
  const frame = plainAddress(cpu, words, low, u32[RSP_WORD + 1] | 0, READ) >>> 2;
  if (frame === 0 || !isCanonicalHigh(words[frame + 1])) return false;

  const selector = words[frame + 2] & 0xffff;
  const cpl = selector & 3;
  const dpl = cpl << DPL_SHIFT_HIGH;
  const code = flatDescriptor(cpu, words, selector);
  if ((code & (CODE64_MASK | DPL_MASK)) !== (CODE64 | dpl)) return false;
  const stackSelector = words[frame + 8] & 0xffff;
  let stack = 0;
  if (stackSelector > 3 || cpl === 3) {
    stack = flatDescriptor(cpu, words, stackSelector);
    if ((stackSelector & 3) !== cpl || (stack & (DATA_MASK | DPL_MASK)) !== (DATA | dpl)) return false;
  }

  const flags = words[frame + 4];
  u32[NEXT_RIP] = words[frame];
  u32[NEXT_RIP + 1] = words[frame + 1];
  u32[RSP_WORD] = words[frame + 6];
  u32[RSP_WORD + 1] = words[frame + 7];
  loadFlatSegment(cpu, CS, selector, attributesOf(code));
  if (stack !== 0) loadFlatSegment(cpu, SS, stackSelector, attributesOf(stack));
  else loadNullStack(cpu, stackSelector);
  changeFlags(cpu, flags, IRET_FLAGS);
  u32[CPL] = cpl;
  if (cpl !== 0) {
    for (let i = 0; i < SELECTOR_FIELDS.length; i++) {
      if ((u32[SELECTOR_FIELDS[i]] & 0xffff) === 0) continue;
      clearInaccessibleSegments(cpu);
      break;
    }
  }
  cpu.translation.stateChanged();
  return true;
}
