/** Regions to be compiled as plain data, which can go to another thread; and back to plans there. */
import { Decoder } from '../decode/decoder.ts';
import { decodeInMode, formOf } from '../decode/forms.ts';
import type { HandlerForm } from '../form-stage.ts';
import type { Handler, Handlers } from '../interpreter/handlers.ts';
import { MODE_16, MODE_64, MODE_SIZE_MASK } from '../mode.ts';
import type { RegionPlan } from './compiler.ts';
import { analyse, pageOf, RegionBlock, reachable } from './graph.ts';
import { type RegionInstruction, regionInstruction } from './instruction.ts';

const PAGE = 4096;
const PAGE_MASK = PAGE - 1;

/** A page with code of a region. */
export interface RequestedPage {
  /** Pages from the one where the region begins. */
  readonly distance: number;
  /** Its code table. */
  readonly table: number;
  readonly bytes: Uint8Array;
}

export interface RegionRequest {
  readonly name: string;
  readonly mode: number;
  readonly assuming: boolean;
  readonly apart: boolean;
  /** See RegionPlan. */
  readonly record: number;
  readonly upper: boolean;
  readonly flat: number;
  readonly pages: readonly RequestedPage[];
  /**
   * For each block, the entry first: offset, number of instructions; then for each of its edges (taken, next, returns):
   * 0 or number of the block + 2, or 1 for one outside; offset; whether it crosses into another page.
   */
  readonly graph: Int32Array;
}

const EDGES = ['taken', 'next', 'returns'] as const;
const BLOCK_WORDS = 2 + 3 * EDGES.length;

export function encodeGraph(entry: RegionBlock): Int32Array {
  const blocks = reachable(entry);
  const numbers = new Map(blocks.map((block, i) => [block, i]));
  const graph = new Int32Array(blocks.length * BLOCK_WORDS);
  let at = 0;
  for (const block of blocks) {
    graph[at++] = block.offset;
    graph[at++] = block.instructions.length;
    for (const name of EDGES) {
      const edge = block[name];
      if (edge) {
        graph[at] = edge.block ? numbers.get(edge.block)! + 2 : 1;
        graph[at + 1] = edge.offset;
        graph[at + 2] = edge.crosses ? 1 : 0;
      }
      at += 3;
    }
  }
  return graph;
}

/** The entry block of a graph. */
export function decodeGraph(graph: Int32Array, read: (offset: number) => RegionInstruction): RegionBlock {
  const blocks = Array.from({ length: graph.length / BLOCK_WORDS }, (_, i) => new RegionBlock(graph[i * BLOCK_WORDS]));
  blocks.forEach((block, i) => {
    let at = i * BLOCK_WORDS + 1;
    let { offset } = block;
    for (let n = graph[at++]; n > 0; n--) {
      const instruction = read(offset);
      block.instructions.push(instruction);
      offset += instruction.length;
    }
    for (const name of EDGES) {
      const kind = graph[at];
      if (kind !== 0)
        block[name] = {
          offset: graph[at + 1],
          block: kind === 1 ? undefined : blocks[kind - 2],
          crosses: graph[at + 2] !== 0,
        };
      at += 3;
    }
  });
  return blocks[0];
}

/** Makes plans of requests. */
export class PlanMaker {
  private readonly decoder: Decoder;
  private readonly handlers: (long: boolean) => Pick<Handlers, 'find'>;

  /** @param handlers of a mode class */
  constructor(
    table: ConstructorParameters<typeof Decoder>[0],
    features: ConstructorParameters<typeof Decoder>[1],
    handlers: (long: boolean) => { find(form: HandlerForm): Handler },
  ) {
    this.decoder = new Decoder(table, features);
    this.handlers = handlers;
  }

  /** @throws Error where the graph and the pages do not belong together */
  plan({ name, mode, assuming, apart, record, upper, flat, pages, graph }: RegionRequest): RegionPlan {
    const { decoder } = this;
    const size = mode & MODE_SIZE_MASK;
    const long = size === MODE_64;
    const handlers = this.handlers(long);
    const byDistance = new Map(pages.map((page) => [page.distance, page]));
    const known = new Map<number, RegionInstruction>();
    const read = (offset: number): RegionInstruction => {
      const before = known.get(offset);
      if (before) return before;
      const page = byDistance.get(pageOf(offset));
      if (!page || decodeInMode(decoder, page.bytes, offset & PAGE_MASK, PAGE, mode) !== 'ok')
        throw new Error(`${name}: no instruction at ${offset}`);
      const form = formOf(decoder.out, long);
      const instruction = regionInstruction(form, decoder.take(), offset, handlers.find(form), size === MODE_16);
      known.set(offset, instruction);
      return instruction;
    };
    const blocks = analyse(decodeGraph(graph, read));
    const codeTables = new Map(pages.map(({ distance, table }) => [distance, table]));
    return { name, long, blocks, mode, codeTables, assuming, apart, record, upper, flat };
  }
}
