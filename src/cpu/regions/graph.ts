/**
 * Control-flow graph of a region: what is reachable from its entry by direct jumps and calls that have often been taken,
 * and by the returns from these calls; the order of its blocks, and dominators. Edges that would make the graph irreducible
 * leave the region instead, so that it can be written with structured control flow.
 *
 * Places are offsets from the first byte of the page where the region begins, and may lie in other pages.
 */
import type { RegionInstruction } from './instruction.ts';

/** Where control goes: a block of the region, or out of it. */
export interface Edge {
  readonly offset: number;
  /** The block, if the target is one of the region and the edge keeps the graph reducible. */
  block: RegionBlock | undefined;
  /** Whether the target is on another page, whose translation has to be looked at. */
  readonly crosses: boolean;
}

export class RegionBlock {
  readonly offset: number;
  readonly instructions: RegionInstruction[] = [];
  /** Branch taken, and what follows the last instruction if it does not end there. */
  taken: Edge | undefined;
  next: Edge | undefined;
  /** Where a RET at the end most likely goes: behind the CALL that led here. */
  returns: Edge | undefined;

  // --- computed by analyse
  /** Position in reverse postorder; -1 if not reached. */
  order = -1;
  immediateDominator: RegionBlock | undefined;
  readonly dominated: RegionBlock[] = [];
  /** Target of an edge from a block it dominates. */
  loopHeader = false;
  /** Forward edges that arrive. */
  forwardEdges = 0;
  /** Most instructions from here to the end of any acyclic path. */
  longestPath = 0;
  /** XMM registers that may have changed since the immediate dominator's end: where paths merge here. A bit mask. */
  mergedXmm = 0;
  /** The same of general registers. */
  mergedGeneral = 0;
  /** Where the outermost loop begins that it is in. */
  outerLoop: RegionBlock | undefined;
  /** General registers read and written in the loop that begins here, bit masks. */
  loopRead = 0;
  loopWritten = 0;
  /** XMM registers read and written in the loop that begins here, bit masks. */
  loopXmmRead = 0;
  loopXmmWritten = 0;

  constructor(offset: number) {
    this.offset = offset;
  }

  edges(): Edge[] {
    return [this.taken, this.next, this.returns].filter((edge) => edge !== undefined);
  }
}

/** Limits of one region. */
export interface RegionLimits {
  readonly blocks: number;
  readonly instructions: number;
  /** Calls within calls that a region follows. */
  readonly depth: number;
}

const PAGE_SHIFT = 12;
export const pageOf = (offset: number): number => offset >> PAGE_SHIFT;

/** The guest's code, as far as a region may hold it. */
export interface CodeSource {
  /** Decodes one instruction; `undefined` where a region must stop before it. */
  read(offset: number): RegionInstruction | undefined;
  /** Whether to follow jumps and calls that lead here. */
  isWanted(offset: number): boolean;
}

/** A function within the region: the outermost, or one called. Its instructions are there once for each call. */
class Frame {
  readonly caller: Frame | undefined;
  readonly entry: number;
  /** Behind the CALL. */
  readonly back: number;
  readonly depth: number;
  readonly instructions = new Map<number, RegionInstruction | undefined>();
  readonly leaders = new Set<number>();
  readonly blocks = new Map<number, RegionBlock>();
  /** Functions called, by the place of the CALL. */
  readonly calls = new Map<number, Frame>();

  constructor(entry: number, caller?: Frame, back = 0) {
    this.entry = entry;
    this.caller = caller;
    this.back = back;
    this.depth = caller ? caller.depth + 1 : 0;
  }

  isRecursive(entry: number): boolean {
    return this.entry === entry || (this.caller?.isRecursive(entry) ?? false);
  }
}

/** Finds what a region consists of. */
class Discovery {
  private readonly source: CodeSource;
  private readonly decoded = new Map<number, RegionInstruction | undefined>();
  private readonly frames: Frame[] = [];
  private readonly work: { frame: Frame; offset: number }[] = [];
  private count = 0;
  private leaders = 0;
  private readonly limits: RegionLimits;

  constructor(entry: number, source: CodeSource, limits: RegionLimits) {
    this.source = source;
    this.limits = limits;
    this.lead(this.frame(new Frame(entry)), entry);
    for (let next = this.work.shift(); next; next = this.work.shift()) this.walk(next.frame, next.offset);
  }

  private frame(frame: Frame): Frame {
    this.frames.push(frame);
    return frame;
  }

  private lead(frame: Frame, offset: number): void {
    if (frame.leaders.has(offset)) return;
    frame.leaders.add(offset);
    this.leaders++;
    this.work.push({ frame, offset });
  }

  private read(offset: number): RegionInstruction | undefined {
    if (this.count >= this.limits.instructions || this.leaders > this.limits.blocks) return undefined;
    if (!this.decoded.has(offset)) this.decoded.set(offset, this.source.read(offset));
    return this.decoded.get(offset);
  }

  private walk(frame: Frame, offset: number): void {
    while (!frame.instructions.has(offset)) {
      const instruction = this.read(offset);
      frame.instructions.set(offset, instruction);
      if (!instruction) return;
      this.count++;
      const { target, ends, follows, transfer } = instruction;
      const behind = offset + instruction.length;
      if (transfer === 'call') this.call(frame, instruction, behind);
      else if (target !== undefined && follows && (ends || this.source.isWanted(target))) this.lead(frame, target);
      if (ends) return;
      if (target !== undefined || pageOf(behind) !== pageOf(offset)) {
        this.lead(frame, behind);
        return;
      }
      offset = behind;
    }
  }

  private call(frame: Frame, { target, follows, offset }: RegionInstruction, behind: number): void {
    if (target === undefined || !follows || frame.depth >= this.limits.depth || frame.isRecursive(target)) return;
    if (!this.source.isWanted(target)) return;
    const callee = this.frame(new Frame(target, frame, behind));
    frame.calls.set(offset, callee);
    this.lead(callee, target);
    this.lead(frame, behind);
  }

  /** The entry block with everything that hangs on it. */
  graph(): RegionBlock | undefined {
    for (const { leaders, instructions, blocks } of this.frames)
      for (const offset of leaders) if (instructions.get(offset)) blocks.set(offset, new RegionBlock(offset));
    for (const frame of this.frames) for (const block of frame.blocks.values()) this.fill(frame, block);
    const [outermost] = this.frames;
    return outermost.blocks.get(outermost.entry);
  }

  private fill(frame: Frame, block: RegionBlock): void {
    let { offset } = block;
    for (;;) {
      const instruction = frame.instructions.get(offset);
      if (!instruction) {
        block.next = { offset, block: undefined, crosses: false };
        return;
      }
      block.instructions.push(instruction);
      const at = offset;
      const edge = (to: number, target: RegionBlock | undefined): Edge => ({
        offset: to,
        block: target,
        crosses: pageOf(to) !== pageOf(at),
      });
      offset += instruction.length;
      const { target, ends, follows, transfer } = instruction;
      if (target !== undefined) {
        const callee = frame.calls.get(at);
        const blocks = transfer === 'call' ? callee?.blocks : follows ? frame.blocks : undefined;
        block.taken = edge(target, blocks?.get(target));
      }
      if (transfer === 'return' && frame.caller) {
        const back = frame.caller.blocks.get(frame.back);
        // nothing on the way can have changed the translation of the caller's page
        if (back) block.returns = { offset: frame.back, block: back, crosses: false };
      }
      if (ends) return;
      if (target !== undefined || frame.blocks.has(offset)) {
        block.next = edge(offset, frame.blocks.get(offset));
        return;
      }
    }
  }
}

/** The block at `entry` and what hangs on it; undefined if not even the first instruction can be part of a region. */
export function discover(entry: number, source: CodeSource, limits: RegionLimits): RegionBlock | undefined {
  return new Discovery(entry, source, limits).graph();
}

/** All blocks that can be reached from one, which is the first, in no particular order. */
export function reachable(entry: RegionBlock): RegionBlock[] {
  const blocks = new Set([entry]);
  for (const block of blocks) for (const { block: to } of block.edges()) if (to) blocks.add(to);
  return [...blocks];
}

/** Reverse postorder from the entry, dominators, loops; the blocks in that order. */
export function analyse(entry: RegionBlock): RegionBlock[] {
  const order: RegionBlock[] = [];
  const seen = new Set<RegionBlock>();
  // iterative postorder
  const stack: { block: RegionBlock; edges: Edge[] }[] = [{ block: entry, edges: entry.edges() }];
  seen.add(entry);
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const edge = top.edges.pop();
    if (!edge) {
      order.push(top.block);
      stack.pop();
    } else if (edge.block && !seen.has(edge.block)) {
      seen.add(edge.block);
      stack.push({ block: edge.block, edges: edge.block.edges() });
    }
  }
  order.reverse();
  order.forEach((block, i) => {
    block.order = i;
  });
  dominators(order);
  for (const block of order) {
    for (const edge of block.edges()) {
      const to = edge.block;
      if (!to) continue;
      if (to.order > block.order) to.forwardEdges++;
      else if (dominates(to, block)) to.loopHeader = true;
      else edge.block = undefined; // irreducible: leave the region
    }
  }
  for (let i = order.length - 1; i >= 0; i--) {
    const block = order[i];
    let longest = 0;
    for (const { block: to } of block.edges())
      if (to && to.order > block.order) longest = Math.max(longest, to.longestPath);
    block.longestPath = block.instructions.length + longest;
  }
  markChanges(order);
  return order;
}

/** Which registers change in loops and on the ways to merges. */
function markChanges(order: RegionBlock[]): void {
  const sum = (block: RegionBlock, pick: (instruction: RegionInstruction) => number): number =>
    block.instructions.reduce((mask, instruction) => mask | pick(instruction), 0);
  /** What each block writes, and what it and those it dominates do. */
  const writes = (pick: (instruction: RegionInstruction) => number) => {
    const own = new Map(order.map((block) => [block, sum(block, pick)]));
    const below = new Map(own);
    for (let i = order.length - 1; i > 0; i--) {
      const { immediateDominator } = order[i];
      below.set(immediateDominator!, below.get(immediateDominator!)! | below.get(order[i])!);
    }
    return { own, below };
  };
  const xmm = writes(({ xmmWritten }) => xmmWritten);
  const general = writes(({ written }) => written);
  for (const block of order) {
    if (block.forwardEdges > 1) {
      // paths from the dominator consist of other blocks that it dominates
      for (const other of block.immediateDominator!.dominated) {
        if (other === block) continue;
        block.mergedXmm |= xmm.below.get(other)!;
        block.mergedGeneral |= general.below.get(other)!;
      }
    }
    if (!block.loopHeader) continue;
    for (const inside of loopOf(block, order)) {
      inside.outerLoop ??= block;
      block.loopXmmRead |= sum(inside, ({ xmmRead }) => xmmRead);
      block.loopXmmWritten |= xmm.own.get(inside)!;
      block.loopRead |= sum(inside, ({ read }) => read);
      block.loopWritten |= general.own.get(inside)!;
    }
  }
}

/** The blocks from which control comes back to a loop's header without leaving what it dominates. */
function loopOf(header: RegionBlock, order: RegionBlock[]): Set<RegionBlock> {
  const loop = new Set([header]);
  for (let size = 0; size !== loop.size; ) {
    size = loop.size;
    for (const block of order) {
      if (dominates(header, block) && block.edges().some(({ block: to }) => to && loop.has(to))) loop.add(block);
    }
  }
  return loop;
}

/** Cooper, Harvey and Kennedy's iteration over reverse postorder. */
function dominators(order: RegionBlock[]): void {
  const predecessors = new Map<RegionBlock, RegionBlock[]>(order.map((block) => [block, []]));
  for (const block of order) for (const { block: to } of block.edges()) if (to) predecessors.get(to)!.push(block);
  const [entry] = order;
  entry.immediateDominator = entry;
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order) {
      if (block === entry) continue;
      let common: RegionBlock | undefined;
      for (const from of predecessors.get(block)!) {
        if (!from.immediateDominator) continue;
        common = common ? intersect(common, from) : from;
      }
      if (common !== block.immediateDominator) {
        block.immediateDominator = common;
        changed = true;
      }
    }
  }
  for (const block of order) if (block !== entry) block.immediateDominator!.dominated.push(block);
}

function intersect(a: RegionBlock, b: RegionBlock): RegionBlock {
  while (a !== b) {
    while (a.order > b.order) a = a.immediateDominator!;
    while (b.order > a.order) b = b.immediateDominator!;
  }
  return a;
}

function dominates(a: RegionBlock, b: RegionBlock): boolean {
  for (;;) {
    if (a === b) return true;
    if (b.immediateDominator === b) return false;
    b = b.immediateDominator!;
  }
}
