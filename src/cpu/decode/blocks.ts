/**
 * Decoded code: blocks of records in the arena, found through one table per (physical page, mode). All of a page's blocks
 * go together when a write hits a part of the page that holds code.
 */

import type { InstructionTable } from '../../isa/table.ts';
import { type Handlers, SpecialHandler } from '../interpreter/handlers.ts';
import {
  BLOCK_HEADER,
  BLOCK_HEADER_SIZE,
  FIRST_REGION,
  RECORD,
  RECORD_SIZE,
  REGION_HEAT,
} from '../interpreter/record.ts';
import { JUMP_ENTRY, JUMP_ENTRY_SIZE } from '../memory/jump-cache.ts';
import { MODE_16, MODE_64, MODE_SIZE_MASK } from '../mode.ts';
import { type CodeSource, pageOf } from '../regions/graph.ts';
import { regionInstruction } from '../regions/instruction.ts';
import { Decoder, MAX_INSTRUCTION_LENGTH } from './decoder.ts';
import { decodeInMode, formOf } from './forms.ts';
import { namesNoRegister, RecordWriter, unavailable } from './record-writer.ts';

/** Everything begins at a multiple of this, so that a block's header and its first record come into a cache together. */
const CACHE_LINE = 64;
/** Most instructions in a block. */
const MAX_BLOCK = 64;
/** With the record that goes on behind it. */
const LARGEST_BLOCK = BLOCK_HEADER_SIZE + (MAX_BLOCK + 1) * RECORD_SIZE;
/** The check, the instruction, and what goes on behind it. */
const CROSSING_RECORDS = 3;
const PAGE = 4096;
/** One u32 per byte of a page: the record of the block that starts there. */
export const CODE_TABLE_SIZE = PAGE * 4;

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
  private links: ArenaArea[] = [];
  /** Arena address of the regions' heat, see REGION_HEAT. */
  readonly regionHeat: number;
  private readonly crossing = new Uint8Array(2 * MAX_INSTRUCTION_LENGTH);
  /** Tells that every block is gone: all execute tags must go too. */
  onFlush: () => void = () => {};
  readonly statistics: BlockStatistics = { blocks: 0, records: 0, invalidations: 0, flushes: 0 };
  /** Heat blocks start with; 0: nobody counts. */
  heat = 0;
  /** Index of the first table entry of each class, to name special handlers. */
  private readonly specials: { long: number; legacy: () => number };
  private readonly longWriter: RecordWriter;
  private legacyWriter: RecordWriter | undefined;

  constructor(options: {
    buffer: ArrayBufferLike;
    area: ArenaArea;
    /** See {@link REGION_HEAT}; where there are regions. */
    regionHeat?: number;
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
    this.decoder = new Decoder(options.table, options.features);
    this.handlers = { long: options.long, legacy: options.legacy };
    this.specials = { long: options.longBase, legacy: options.legacyBase };
    this.longWriter = new RecordWriter(options.buffer, true, options.long, options.longBase);
    this.area = options.area;
    this.codePages = options.codePages;
    this.regionHeat = options.regionHeat ?? 0;
    this.scratch = options.area.start;
    this.free = this.firstFree();
    this.untouched = this.free;
  }

  private firstFree(): number {
    return this.area.start + Math.ceil(LARGEST_BLOCK / CACHE_LINE) * CACHE_LINE; // behind the scratch block
  }

  /** Table index of the handler that ends a block before its record. */
  resyncHandler(mode: number): number {
    return this.specialBase(mode) + SpecialHandler.RESYNC;
  }
  /** How far its area has been used so far, and where it ends. */
  get used(): { readonly next: number; readonly end: number } {
    return { next: this.untouched, end: this.area.start + this.area.size };
  }
  /** Bytes left before the next flush. */
  get room(): number {
    return Math.max(0, this.area.start + this.area.size - this.free - CACHE_LINE);
  }
  /** Empty entries of the jump cache in a row, valid until the next flush, for which there must be room: the address of the first. */
  allocateLinks(count: number): number {
    const size = count * JUMP_ENTRY_SIZE;
    const links = { start: this.allocate(size), size };
    this.links.push(links);
    this.clear(links);
    return links.start;
  }

  /** Empties all entries that {@link allocateLinks} gave. */
  clearLinks(): void {
    for (const links of this.links) this.clear(links);
  }

  private clear({ start, size }: ArenaArea): void {
    this.memory.fill(0, start, start + size);
    const handler = this.specials.long + SpecialHandler.FIND;
    for (let at = start; at < start + size; at += JUMP_ENTRY_SIZE) this.u32[(at + JUMP_ENTRY.handler) >> 2] = handler;
  }

  private allocate(bytes: number): number {
    if (this.room < bytes) this.flush();
    const at = this.free;
    this.take(bytes);
    return at;
  }

  private take(bytes: number): void {
    this.free += Math.ceil(bytes / CACHE_LINE) * CACHE_LINE;
    this.untouched = Math.max(this.untouched, this.free);
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
    this.links = [];
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

  private writer(mode: number): RecordWriter {
    if ((mode & MODE_SIZE_MASK) === MODE_64) return this.longWriter;
    this.legacyWriter ??= new RecordWriter(this.memory.buffer, false, this.handlers.legacy(), this.specials.legacy());
    return this.legacyWriter;
  }

  /**
   * Decodes a block from the page at arena address `host` (of the page's first byte) from `offset` on.
   * 0: the first instruction continues on the next page; see {@link decodeCrossing}.
   */
  decode(page: number, table: number, host: number, offset: number, mode: number): number {
    if (this.room < LARGEST_BLOCK) this.flush();
    const block = this.free + BLOCK_HEADER_SIZE;
    const start = host + offset;
    const end = host + PAGE;
    const writer = this.writer(mode);
    const { decoder, memory } = this;
    let at = start;
    let count = 0;
    let ended = false;
    while (count < MAX_BLOCK && at < end && !ended) {
      const result = decodeInMode(decoder, memory, at, end, mode);
      if (result === 'short') break;
      ended = writer.instruction(block + count * RECORD_SIZE, result, decoder.out, at - start, mode);
      count++;
      at += result === 'ok' ? decoder.out.length : 0;
    }
    if (count === 0) return 0;
    const records = count + 1;
    this.take(BLOCK_HEADER_SIZE + records * RECORD_SIZE);
    this.number(block, count);
    writer.special(block + count * RECORD_SIZE, SpecialHandler.FALL_THROUGH, at - start);
    this.writeHeader(block);
    let entry = this.pages.get(page);
    if (!entry || entry.tables.get(mode) !== table) {
      // everything was flushed, the page's table included
      table = this.tableFor(page, mode);
      entry = this.pageEntry(page);
    }
    entry.blocks.push(block, records, this.specialBase(mode));
    this.u32[(table >> 2) + offset] = block;
    this.codePages.markCode(page, offset, Math.max(1, at - start));
    this.statistics.blocks++;
    this.statistics.records += records;
    return block;
  }

  /** Tells each of a block's records how many follow. */
  private number(block: number, count: number): void {
    for (let i = 0; i < count; i++) this.memory[block + i * RECORD_SIZE + RECORD.remaining] = count - i;
  }

  private writeHeader(block: number): void {
    this.setBlockHeat(block, this.heat);
    this.u32[(block - BLOCK_HEADER_SIZE + BLOCK_HEADER.interpreted) >> 2] = 0;
  }

  private setBlockHeat(block: number, entries: number): void {
    this.u32[(block - BLOCK_HEADER_SIZE + BLOCK_HEADER.heat) >> 2] = entries;
  }

  private setRegionHeat(index: number, entries: number): void {
    this.u32[(this.regionHeat >> 2) + index - FIRST_REGION] = entries;
  }

  /** Entries left until a block, or the region in its place, counts as hot; at least 1. */
  setHeat(block: number, entries: number): void {
    const handler = this.u32[(block + RECORD.handler) >> 2];
    if (handler >= FIRST_REGION) this.setRegionHeat(handler, entries);
    else this.setBlockHeat(block, entries);
  }

  /** Entries left until a block counts as hot; 0: nobody counts, as it has a region or has been hot. */
  heatOf(block: number): number {
    return this.u32[(block - BLOCK_HEADER_SIZE + BLOCK_HEADER.heat) >> 2];
  }

  /** Table index of a block's handler while a region is in its place; else 0. */
  private interpretedBy(block: number): number {
    return this.u32[(block - BLOCK_HEADER_SIZE + BLOCK_HEADER.interpreted) >> 2];
  }

  /** Whether a region is in a block's place. */
  hasRegion(block: number): boolean {
    return this.interpretedBy(block) !== 0;
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
    const writer = this.writer(mode);
    const block = this.allocate(BLOCK_HEADER_SIZE + CROSSING_RECORDS * RECORD_SIZE) + BLOCK_HEADER_SIZE;
    writer.special(block, SpecialHandler.CROSSING, 0);
    this.u32[(block + RECORD.immediate) >> 2] = second.table;
    this.memory[block + RECORD.remaining] = 1;
    const at = block + RECORD_SIZE;
    writer.instruction(at, result === 'short' ? 'too-long' : result, this.decoder.out, 0, mode);
    this.memory[at + RECORD.remaining] = 1;
    writer.special(at + RECORD_SIZE, SpecialHandler.FALL_THROUGH, result === 'ok' ? this.decoder.out.length : 0);
    this.writeHeader(block);
    const slot = (this.tableFor(first.page, mode) >> 2) + offset;
    this.u32[slot] = block;
    this.pageEntry(first.page).blocks.push(block, CROSSING_RECORDS, this.specialBase(mode));
    const other = this.pageEntry(second.page);
    other.blocks.push(block, CROSSING_RECORDS, this.specialBase(mode));
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
    const { memory, u32, u16, scratch } = this;
    // the engine has just made sure of the second page
    const crosses = this.crossingTable(block, mode) !== 0;
    const first = crosses ? block + RECORD_SIZE : block;
    memory.copyWithin(scratch, first, first + count * RECORD_SIZE);
    if (!crosses && this.hasRegion(block)) u32[(scratch + RECORD.handler) >> 2] = this.interpretedBy(block);
    this.number(scratch, count);
    const last = scratch + (count - 1) * RECORD_SIZE;
    const behind = u16[(last + RECORD.delta) >> 1] + memory[last + RECORD.length];
    this.writer(mode).special(last + RECORD_SIZE, SpecialHandler.STOP, behind);
    return scratch;
  }

  /**
   * Decodes single instructions for a region, whose offsets count from the first byte of the page where it begins; none
   * where a region must stop.
   * @param pageAt the page so many pages from there, or undefined if the region must not go there
   * @param isWanted whether a region is to hold the block, or 0 if there is none, at a place where jumps and calls lead
   */
  codeSource(
    pageAt: (distance: number) => MappedPage | undefined,
    mode: number,
    isWanted: (block: number) => boolean,
  ): CodeSource {
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
        if (namesNoRegister(out) || unavailable(out, mode) >= 0) return undefined;
        const form = formOf(out, long);
        const handler = handlers.find(form);
        if (handler.effects.system) return undefined;
        this.codePages.markCode(page.page, at, out.length);
        return regionInstruction(form, this.decoder.take(), offset, handler, size === MODE_16);
      },
      isWanted: (offset) => {
        const page = pageAt(pageOf(offset));
        return page !== undefined && isWanted(this.find(page.table, offset & (PAGE - 1)));
      },
    };
  }

  /** A number that changes whenever code of a page becomes invalid; -1 if none is known. */
  versionOf(page: number): number {
    return this.pages.get(page)?.version ?? -1;
  }

  /**
   * Puts a region in place of a block's handler, or of another region, until a write hits one of its pages. Nobody counts
   * its entries. Gives whether it is the block's first.
   */
  installRegion(record: number, index: number, pages: Iterable<number>): boolean {
    const isFirst = !this.hasRegion(record);
    const handler = (record + RECORD.handler) >> 2;
    if (isFirst) {
      this.u32[(record - BLOCK_HEADER_SIZE + BLOCK_HEADER.interpreted) >> 2] = this.u32[handler];
      this.setBlockHeat(record, 0);
    } else {
      this.setRegionHeat(this.u32[handler], REGION_HEAT.replaced);
    }
    this.u32[handler] = index;
    this.setRegionHeat(index, REGION_HEAT.uncounted);
    for (const page of pages) this.pageEntry(page).regions.push(record, index);
    return isFirst;
  }

  /** Takes a region out; gives its block its handler back if the region is still in its place. */
  private uninstallRegion(record: number, index: number): void {
    this.setRegionHeat(index, REGION_HEAT.replaced);
    if (this.u32[(record + RECORD.handler) >> 2] !== index) return;
    this.u32[(record + RECORD.handler) >> 2] = this.interpretedBy(record);
    this.writeHeader(record);
  }
}
