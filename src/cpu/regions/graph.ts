/**
 * Control-flow graph of a region: the blocks reachable from its entry by direct jumps within one page, their order and
 * dominators. Edges that would make the graph irreducible leave the region instead, so that it can be written with
 * structured control flow.
 */
import type { RegionInstruction } from './instruction.ts';

/** Where control goes: a block of the region, or out of it. */
export interface Edge {
  /** Page offset of the target; may lie outside the page. */
  readonly offset: number;
  /** The block, if the target is one of the region and the edge keeps the graph reducible. */
  block: RegionBlock | undefined;
}

export class RegionBlock {
  readonly offset: number;
  readonly instructions: RegionInstruction[] = [];
  /** Branch taken, and what follows the last instruction if it does not end there. */
  taken: Edge | undefined;
  next: Edge | undefined;

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
  /** General registers that may have changed between the region's entry and the block's end, a bit mask. */
  dirty = 0;

  constructor(offset: number) {
    this.offset = offset;
  }

  edges(): Edge[] {
    return [this.taken, this.next].filter((edge) => edge !== undefined);
  }
}

/** Limits of one region. */
const MAX_BLOCKS = 64;
const MAX_INSTRUCTIONS = 400;

/** Decodes one instruction at a page offset; `undefined` where a region must stop before it. */
export type InstructionReader = (offset: number) => RegionInstruction | undefined;

/** Blocks reachable from `entry`, which is the first. Empty if not even the first instruction can be part of a region. */
export function discover(entry: number, read: InstructionReader): RegionBlock[] {
  const instructions = new Map<number, RegionInstruction | undefined>();
  const leaders = new Set<number>([entry]);
  const work = [entry];
  let count = 0;
  // find what is reachable and where blocks begin
  while (work.length > 0) {
    let offset = work.shift()!;
    while (!instructions.has(offset)) {
      const instruction = count < MAX_INSTRUCTIONS && leaders.size <= MAX_BLOCKS ? read(offset) : undefined;
      instructions.set(offset, instruction);
      if (!instruction) break;
      count++;
      const { target, ends, follows } = instruction;
      if (target !== undefined && follows) {
        leaders.add(target);
        work.push(target);
      }
      offset += instruction.length;
      if (target !== undefined && !ends) leaders.add(offset);
      if (ends) break;
    }
  }
  if (!instructions.get(entry)) return [];
  const blocks = new Map<number, RegionBlock>();
  for (const offset of leaders) if (instructions.get(offset)) blocks.set(offset, new RegionBlock(offset));
  for (const block of blocks.values()) {
    let { offset } = block;
    for (;;) {
      const instruction = instructions.get(offset);
      if (!instruction) {
        block.next = { offset, block: undefined };
        break;
      }
      block.instructions.push(instruction);
      offset += instruction.length;
      if (instruction.target !== undefined)
        block.taken = {
          offset: instruction.target,
          block: instruction.follows ? blocks.get(instruction.target) : undefined,
        };
      if (instruction.ends) break;
      if (instruction.target !== undefined || blocks.has(offset)) {
        block.next = { offset, block: blocks.get(offset) };
        break;
      }
    }
  }
  return analyse(blocks.get(entry)!);
}

/** Reverse postorder from the entry, dominators, loops; the blocks in that order. */
function analyse(entry: RegionBlock): RegionBlock[] {
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
  markDirty(order);
  return order;
}

/** Registers that may have changed: forwards along the edges until nothing is added. */
function markDirty(order: RegionBlock[]): void {
  for (const block of order) for (const { written } of block.instructions) block.dirty |= written;
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order) {
      for (const { block: to } of block.edges()) {
        if (!to || (to.dirty | block.dirty) === to.dirty) continue;
        to.dirty |= block.dirty;
        changed = true;
      }
    }
  }
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
