/**
 * Decoded code: blocks of records in the arena, found through one table per (physical page, mode). All of a page's blocks
 * go together when a write hits a part of the page that holds code.
 */

import type { Operand } from '../../isa/encoding.ts';
import type { InstructionTable } from '../../isa/table.ts';
import { CONTEXT, FS, offsetOf, segmentOffset } from '../context.ts';
import { type Handlers, SpecialHandler } from '../interpreter/handlers.ts';
import { RECORD, RECORD_SIZE } from '../interpreter/record.ts';
import { MODE_16, MODE_64, MODE_EM, MODE_MP, MODE_OSFXSR, MODE_SIZE_MASK, MODE_TS } from '../mode.ts';
import { type CodeSource, pageOf } from '../regions/graph.ts';
import { regionInstruction } from '../regions/instruction.ts';
import {
  type Decoded,
  type DecodeResult,
  Decoder,
  MAX_INSTRUCTION_LENGTH,
  NO_REGISTER,
  RIP_RELATIVE,
} from './decoder.ts';
import { decodeInMode, formOf } from './forms.ts';

/** Most instructions in a block. */
const MAX_BLOCK = 64;
const PAGE = 4096;
/** One u32 per byte of a page: the record of the block that starts there. */
export const CODE_TABLE_SIZE = PAGE * 4;

const UD = 6;
const NM = 7;
const GP = 13;

/** What the blocks need of the memory they decode from. */
export interface CodePages {
  /** Notes that translated code was made from these bytes of a physical page. */
  markCode(page: number, offset: number, length: number): void;
  clearCode(page: number): void;
}

/** A part of the arena to allocate from. */
export interface ArenaArea {
  readonly start: number;
  readonly size: number;
}

/** A place in a physical page. */
export interface CodePlace {
  readonly page: number;
  readonly offset: number;
}

/** A page as the processor's present translations have it. */
export interface MappedPage {
  /** Guest page. */
  readonly page: number;
  /** Its code table for the present mode. */
  readonly table: number;
  /** Arena address of its first byte. */
  readonly host: number;
}

interface CodePage {
  /** Tables by mode. */
  readonly tables: Map<number, number>;
  /** Records (address, count, first handler of their class) of every block decoded from the page. */
  readonly blocks: number[];
  /** Word indices of entries in other pages' tables that lead to blocks with bytes of this page. */
  readonly slots: number[];
  /** Regions with code of this page: the record whose handler each replaces, and its table index. */
  readonly regions: number[];
  /** Changes with every invalidation. */
  version: number;
}

export interface BlockStatistics {
  blocks: number;
  records: number;
  invalidations: number;
  flushes: number;
}

export class BlockCache {
  private readonly memory: Uint8Array;
  private readonly u32: Uint32Array;
  private readonly u16: Uint16Array;
  private readonly i64: BigInt64Array;
  private readonly decoder: Decoder;
  private readonly handlers: { long: Handlers; legacy: () => Handlers };
  private readonly area: ArenaArea;
  private readonly pages = new Map<number, CodePage>();
  private readonly codePages: CodePages;
  private free: number;
  private versions = 0;
  /** From here on nothing was ever allocated: zero, and not taken from the host yet. */
  private untouched: number;
  private readonly scratch: number;
  private readonly crossing = new Uint8Array(2 * MAX_INSTRUCTION_LENGTH);
  /** Tells that every block is gone: all execute tags must go too. */
  onFlush: () => void = () => {};
  readonly statistics: BlockStatistics = { blocks: 0, records: 0, invalidations: 0, flushes: 0 };
  /** Heat blocks start with; 0: nobody counts. */
  heat = 0;
  /** Index of the first table entry of each class, to name special handlers. */
  private readonly specials: { long: number; legacy: () => number };

  constructor(options: {
    buffer: ArrayBufferLike;
    area: ArenaArea;
    table: InstructionTable;
    features: ConstructorParameters<typeof Decoder>[1];
    long: Handlers;
    legacy: () => Handlers;
    longBase: number;
    legacyBase: () => number;
    codePages: CodePages;
  }) {
    this.memory = new Uint8Array(options.buffer);
    this.u32 = new Uint32Array(options.buffer);
    this.u16 = new Uint16Array(options.buffer);
    this.i64 = new BigInt64Array(options.buffer);
    this.decoder = new Decoder(options.table, options.features);
    this.handlers = { long: options.long, legacy: options.legacy };
    this.specials = { long: options.longBase, legacy: options.legacyBase };
    this.area = options.area;
    this.codePages = options.codePages;
    this.scratch = options.area.start;
    this.free = this.firstFree();
    this.untouched = this.free;
  }

  private firstFree(): number {
    return this.area.start + (MAX_BLOCK + 1) * RECORD_SIZE; // behind the scratch block
  }

  /** Table index of the handler that ends a block before its record. */
  resyncHandler(mode: number): number {
    return this.specialBase(mode) + SpecialHandler.RESYNC;
  }
  /** Bytes left before the next flush. */
  get room(): number {
    return this.area.start + this.area.size - this.free;
  }
  /** Zeroed records in a row, valid until the next flush, for which there must be room: the address of the first. */
  allocateRecords(count: number): number {
    return this.allocateZeroed(count * RECORD_SIZE);
  }

  private allocate(bytes: number): number {
    if (this.free + bytes > this.area.start + this.area.size) this.flush();
    const at = this.free;
    this.free += bytes;
    this.untouched = Math.max(this.untouched, this.free);
    return at;
  }

  private allocateZeroed(bytes: number): number {
    const { untouched } = this;
    const at = this.allocate(bytes);
    if (at < untouched) this.memory.fill(0, at, at + bytes);
    return at;
  }

  /** Drops everything. Only between runs of the handlers, or from within one: records stay readable until overwritten. */
  flush(): void {
    for (const page of this.pages.keys()) this.codePages.clearCode(page);
    this.pages.clear();
    this.free = this.firstFree();
    this.statistics.flushes++;
    this.onFlush();
  }

  private pageEntry(page: number): CodePage {
    let entry = this.pages.get(page);
    if (!entry) {
      entry = { tables: new Map(), blocks: [], slots: [], regions: [], version: ++this.versions };
      this.pages.set(page, entry);
    }
    return entry;
  }

  /** Table of a physical page's blocks in one mode; for the TLB's execute entries. */
  tableFor(page: number, mode: number): number {
    const known = this.pages.get(page)?.tables.get(mode);
    if (known !== undefined) return known;
    // an allocation may flush everything
    const table = this.allocateZeroed(CODE_TABLE_SIZE);
    this.pageEntry(page).tables.set(mode, table);
    return table;
  }

  /**
   * The page's code is out of date. Its records may be running: they are turned into ones that look the address up again,
   * so the current instruction completes and nothing stale follows it.
   */
  invalidate(page: number): void {
    const entry = this.pages.get(page);
    if (!entry) return;
    this.statistics.invalidations++;
    const { blocks } = entry;
    for (let i = 0; i < blocks.length; i += 3) {
      const resync = blocks[i + 2] + SpecialHandler.RESYNC;
      for (let n = 0, at = blocks[i]; n < blocks[i + 1]; n++, at += RECORD_SIZE)
        this.u32[(at + RECORD.handler) >> 2] = resync;
    }
    blocks.length = 0;
    entry.version = ++this.versions;
    const { regions } = entry;
    for (let i = 0; i < regions.length; i += 2) this.uninstallRegion(regions[i], regions[i + 1]);
    regions.length = 0;
    for (const slot of entry.slots) this.u32[slot] = 0;
    entry.slots.length = 0;
    for (const table of entry.tables.values()) this.u32.fill(0, table >> 2, (table + CODE_TABLE_SIZE) >> 2);
    this.codePages.clearCode(page);
  }

  /** The block at a table's offset, or 0. */
  find(table: number, offset: number): number {
    return this.u32[(table >> 2) + offset];
  }

  private specialBase(mode: number): number {
    return (mode & MODE_SIZE_MASK) === MODE_64 ? this.specials.long : this.specials.legacy();
  }

  /**
   * Decodes a block from the page at arena address `host` (of the page's first byte) from `offset` on.
   * 0: the first instruction continues on the next page; see {@link decodeCrossing}.
   */
  decode(page: number, table: number, host: number, offset: number, mode: number): number {
    const records = this.scratchRecords(host, offset, mode);
    if (records === 0) return 0;
    const bytes = records * RECORD_SIZE;
    const block = this.allocate(bytes);
    let entry = this.pages.get(page);
    if (!entry || entry.tables.get(mode) !== table) {
      // the allocation flushed everything, the page's table included
      table = this.tableFor(page, mode);
      entry = this.pageEntry(page);
    }
    this.memory.copyWithin(block, this.scratch, this.scratch + bytes);
    this.u16[(block + RECORD.heat) >> 1] = this.heat;
    entry.blocks.push(block, records, this.specialBase(mode));
    this.u32[(table >> 2) + offset] = block;
    const last = block + (records - 1) * RECORD_SIZE;
    const end = offset + this.u16[(last + RECORD.delta) >> 1] + this.memory[last + RECORD.length];
    this.codePages.markCode(page, offset, Math.max(1, end - offset));
    this.statistics.blocks++;
    this.statistics.records += records;
    return block;
  }

  /** Decodes into the scratch area; the number of records, with the one behind the last instruction. */
  private scratchRecords(host: number, offset: number, mode: number): number {
    const start = host + offset;
    const end = host + PAGE;
    let at = start;
    let count = 0;
    let ended = false;
    while (count < MAX_BLOCK && at < end && !ended) {
      const result = decodeInMode(this.decoder, this.memory, at, end, mode);
      if (result === 'short') break;
      ended = this.emit(this.scratch + count * RECORD_SIZE, result, at - start, mode);
      count++;
      at += result === 'ok' ? this.decoder.out.length : 0;
    }
    if (count === 0) return 0;
    return this.finish(count, at - start, mode);
  }

  /** Numbers the records and adds the one that goes on behind the block. */
  private finish(count: number, length: number, mode: number): number {
    for (let i = 0; i < count; i++) this.memory[this.scratch + i * RECORD_SIZE + RECORD.remaining] = count - i;
    this.emitBehind(this.scratch + count * RECORD_SIZE, length, mode);
    return count + 1;
  }

  /** The record behind a block's last instruction. */
  private emitBehind(at: number, length: number, mode: number): void {
    this.memory.fill(0, at, at + RECORD_SIZE);
    this.u32[(at + RECORD.handler) >> 2] = this.specialBase(mode) + SpecialHandler.FALL_THROUGH;
    this.u16[(at + RECORD.delta) >> 1] = length;
  }

  /**
   * A one-instruction block from bytes on two pages. Its first record checks that the second page is still mapped where it
   * was; see {@link crossingTable}.
   * @param bytes the instruction's bytes, as many as there are, at most 15
   */
  decodeCrossing(first: CodePlace, second: { page: number; table: number }, bytes: Uint8Array, mode: number): number {
    const { offset } = first;
    this.crossing.fill(0);
    this.crossing.set(bytes);
    const result = decodeInMode(this.decoder, this.crossing, 0, bytes.length, mode);
    const check = this.scratch;
    this.memory.fill(0, check, check + RECORD_SIZE);
    this.u32[(check + RECORD.handler) >> 2] = this.specialBase(mode) + SpecialHandler.CROSSING;
    this.u32[(check + RECORD.immediate) >> 2] = second.table;
    this.memory[check + RECORD.remaining] = 1;
    const at = check + RECORD_SIZE;
    this.emit(at, result === 'short' ? 'too-long' : result, 0, mode);
    this.memory[at + RECORD.remaining] = 1;
    this.emitBehind(at + RECORD_SIZE, result === 'ok' ? this.decoder.out.length : 0, mode);
    const size = 3 * RECORD_SIZE;
    const block = this.allocate(size);
    this.memory.copyWithin(block, this.scratch, this.scratch + size);
    const slot = (this.tableFor(first.page, mode) >> 2) + offset;
    this.u32[slot] = block;
    this.pageEntry(first.page).blocks.push(block, 3, this.specialBase(mode));
    const other = this.pageEntry(second.page);
    other.blocks.push(block, 3, this.specialBase(mode));
    other.slots.push(slot);
    this.codePages.markCode(first.page, offset, PAGE - offset);
    this.codePages.markCode(second.page, 0, MAX_INSTRUCTION_LENGTH);
    return block;
  }

  /** The record of a block's first instruction: behind the check, for a crossing block. */
  firstInstruction(block: number, mode: number): number {
    return this.crossingTable(block, mode) === 0 ? block : block + RECORD_SIZE;
  }

  /** The code table the second page of a crossing block must have; 0 for other blocks. */
  crossingTable(block: number, mode: number): number {
    if (this.u32[(block + RECORD.handler) >> 2] !== this.specialBase(mode) + SpecialHandler.CROSSING) return 0;
    return this.u32[(block + RECORD.immediate) >> 2];
  }

  /**
   * A copy of a block's first `count` instructions that stops behind them, in the scratch area: valid for one run.
   * Used where the budget ends inside a block.
   */
  truncate(block: number, count: number, mode: number): number {
    // the engine has just made sure of the second page
    if (this.crossingTable(block, mode) !== 0) block += RECORD_SIZE;
    if (block !== this.scratch) this.memory.copyWithin(this.scratch, block, block + (count + 1) * RECORD_SIZE);
    const interpreted = this.u32[(this.scratch + RECORD.interpreted) >> 2];
    if (interpreted !== 0) this.u32[(this.scratch + RECORD.handler) >> 2] = interpreted;
    for (let i = 0; i < count; i++) this.memory[this.scratch + i * RECORD_SIZE + RECORD.remaining] = count - i;
    const last = this.scratch + (count - 1) * RECORD_SIZE;
    const behind = last + RECORD_SIZE;
    const delta = this.u16[(last + RECORD.delta) >> 1] + this.memory[last + RECORD.length];
    this.memory.fill(0, behind, behind + RECORD_SIZE);
    this.u32[(behind + RECORD.handler) >> 2] = this.specialBase(mode) + SpecialHandler.STOP;
    this.u16[(behind + RECORD.delta) >> 1] = delta;
    return this.scratch;
  }

  /**
   * Decodes single instructions for a region, whose offsets count from the first byte of the page where it begins; none
   * where a region must stop.
   * @param pageAt the page so many pages from there, or undefined if the region must not go there
   * @param followAll whether to pretend that control has come everywhere before
   */
  codeSource(pageAt: (distance: number) => MappedPage | undefined, mode: number, followAll: boolean): CodeSource {
    const size = mode & MODE_SIZE_MASK;
    const long = size === MODE_64;
    const handlers = long ? this.handlers.long : this.handlers.legacy();
    return {
      read: (offset) => {
        const page = pageAt(pageOf(offset));
        const at = offset & (PAGE - 1);
        if (!page || decodeInMode(this.decoder, this.memory, page.host + at, page.host + PAGE, mode) !== 'ok')
          return undefined;
        const { out } = this.decoder;
        if (this.badOperand(out) || this.unavailable(out, mode) >= 0) return undefined;
        const form = formOf(out, long);
        const handler = handlers.find(form);
        if (handler.effects.system) return undefined;
        this.codePages.markCode(page.page, at, out.length);
        return regionInstruction(form, this.decoder.take(), offset, handler, size === MODE_16);
      },
      wasEntered: (offset) => {
        const page = pageAt(pageOf(offset));
        return page !== undefined && (followAll || this.find(page.table, offset & (PAGE - 1)) !== 0);
      },
    };
  }

  /** A number that changes whenever code of a page becomes invalid; -1 if none is known. */
  versionOf(page: number): number {
    return this.pages.get(page)?.version ?? -1;
  }

  /**
   * Puts a region in place of a block's handler, or of another region, until a write hits one of its pages. Gives whether it
   * is the block's first.
   */
  installRegion(record: number, index: number, pages: Iterable<number>): boolean {
    const isFirst = this.u32[(record + RECORD.interpreted) >> 2] === 0;
    if (isFirst) this.u32[(record + RECORD.interpreted) >> 2] = this.u32[(record + RECORD.handler) >> 2];
    this.u32[(record + RECORD.handler) >> 2] = index;
    for (const page of pages) this.pageEntry(page).regions.push(record, index);
    return isFirst;
  }

  /** Gives a block its handler back, if the region is still in its place. */
  private uninstallRegion(record: number, index: number): void {
    if (this.u32[(record + RECORD.handler) >> 2] !== index) return;
    this.u32[(record + RECORD.handler) >> 2] = this.u32[(record + RECORD.interpreted) >> 2];
    this.u32[(record + RECORD.interpreted) >> 2] = 0;
    this.u16[(record + RECORD.heat) >> 1] = this.heat;
  }

  /** Vector an instruction raises whatever its operands, or -1. */
  private unavailable(out: Decoded, mode: number): number {
    const { unit, mnemonic } = out.encoding.instruction;
    switch (unit) {
      case 'x87':
        // WAIT looks at MP and TS only
        if (mnemonic === 'FWAIT') return mode & MODE_TS && mode & MODE_MP ? NM : -1;
        return mode & (MODE_EM | MODE_TS) ? NM : -1;
      case 'mmx':
        return mode & MODE_EM ? UD : mode & MODE_TS ? NM : -1;
      case 'sse':
        return mode & MODE_EM || !(mode & MODE_OSFXSR) ? UD : mode & MODE_TS ? NM : -1;
      default:
        return -1;
    }
  }

  /** Writes one record; true if nothing of the block can follow it. */
  private emit(at: number, result: DecodeResult, delta: number, mode: number): boolean {
    const { memory, u32, u16 } = this;
    const { out } = this.decoder;
    memory.fill(0, at, at + RECORD_SIZE);
    u16[(at + RECORD.delta) >> 1] = delta;
    const special = this.specialBase(mode);
    if (result !== 'ok') {
      u32[(at + RECORD.handler) >> 2] =
        special + (result === 'undefined' ? SpecialHandler.RAISE : SpecialHandler.RAISE_ZERO);
      u16[(at + RECORD.extra) >> 1] = result === 'undefined' ? UD : GP;
      return true;
    }
    memory[at + RECORD.length] = out.length;
    const long = (mode & MODE_SIZE_MASK) === MODE_64;
    const vector = this.badOperand(out) ? UD : this.unavailable(out, mode);
    if (vector >= 0) {
      u32[(at + RECORD.handler) >> 2] = special + SpecialHandler.RAISE;
      u16[(at + RECORD.extra) >> 1] = vector;
      return true;
    }
    const { encoding } = out;
    const form = formOf(out, long);
    const handler = (long ? this.handlers.long : this.handlers.legacy()).find(form);
    u32[(at + RECORD.handler) >> 2] = handler.index;
    const { operands } = encoding;
    for (let i = 0; i < operands.length && i < 3; i++) {
      const offset = registerOffset(operands[i], out);
      if (offset >= 0) u16[(at + RECORD.register0 + 2 * i) >> 1] = offset;
    }
    this.emitMemoryOperand(at, out, delta, long);
    u16[(at + RECORD.extra) >> 1] = this.extra(out);
    const relative = operands.length > 0 && operands[0].letter === 'J';
    this.i64[(at + RECORD.immediate) >> 3] = relative ? out.immediate + BigInt(delta + out.length) : out.immediate;
    if (out.immediate2 !== 0n) this.i64[(at + RECORD.displacement) >> 3] = out.immediate2;
    return handler.ends;
  }

  private emitMemoryOperand(at: number, out: Decoded, delta: number, long: boolean): void {
    const { memory, u16, i64 } = this;
    const zero = CONTEXT.zero.offset;
    const ripRelative = out.base === RIP_RELATIVE;
    u16[(at + RECORD.base) >> 1] = ripRelative
      ? CONTEXT.rip.offset
      : out.base === NO_REGISTER
        ? zero
        : offsetOf('gpr', out.base);
    u16[(at + RECORD.index) >> 1] = out.index === NO_REGISTER ? zero : offsetOf('gpr', out.index);
    memory[at + RECORD.scale] = out.scale;
    memory[at + RECORD.segment] = out.segment;
    u16[(at + RECORD.segmentCache) >> 1] = long && out.segment < FS ? zero : segmentOffset(out.segment, 'base');
    i64[(at + RECORD.displacement) >> 3] = ripRelative
      ? out.displacement + BigInt(delta + out.length)
      : BigInt.asIntN(64, out.displacement);
    i64[(at + RECORD.addressMask) >> 3] = out.addressSize === 64 ? -1n : out.addressSize === 32 ? 0xffffffffn : 0xffffn;
  }

  /** Register numbers that do not exist: control, debug and segment registers. */
  private badOperand(out: Decoded): boolean {
    for (const { letter, access } of out.encoding.operands) {
      if (letter === 'S') {
        const segment = out.reg & 7;
        if (segment > 5 || (access !== 'r' && segment === 1)) return true;
      } else if (letter === 'C') {
        if (out.reg !== 0 && out.reg !== 2 && out.reg !== 3 && out.reg !== 4 && out.reg !== 8) return true;
      } else if (letter === 'D') {
        if (out.reg > 7) return true;
      }
    }
    return false;
  }

  private extra(out: Decoded): number {
    if (out.encoding.map === 0 && out.opcode >= 0xd8 && out.opcode <= 0xdf) return ((out.opcode & 7) << 8) | out.modrm;
    return out.encoding.operands.some((o) => o.letter === 'S') ? out.reg & 7 : out.reg;
  }
}

/** Context offset of a register operand, or -1 if it is none. */
function registerOffset(operand: Operand, out: Decoded): number {
  const general = (n: number) =>
    operand.width === 'b' && !out.rex && n >= 4 && n < 8 ? offsetOf('gpr', n - 4) + 1 : offsetOf('gpr', n);
  const inRegister = out.form === 'register';
  switch (operand.letter) {
    case 'G':
      return general(out.reg);
    case 'E':
      return inRegister ? general(out.rm) : -1;
    case 'R':
      return general(out.rm);
    case 'Z':
      return general(out.opcodeRegister);
    case 'V':
      return offsetOf('xmm', out.reg);
    case 'W':
      return inRegister ? offsetOf('xmm', out.rm) : -1;
    case 'U':
      return offsetOf('xmm', out.rm);
    case 'P':
      return offsetOf('x87', out.reg & 7);
    case 'Q':
      return inRegister ? offsetOf('x87', out.rm & 7) : -1;
    case 'N':
      return offsetOf('x87', out.rm & 7);
    case 'S':
      return segmentOffset(out.reg & 7, 'selector');
    default:
      return -1;
  }
}
