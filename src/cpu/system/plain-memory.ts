/**
 * Direct access to guest memory that the TLB knows as plain RAM, for what is too hot to go through `cpu.linear`. Linear
 * addresses travel as two signed 32-bit halves.
 */
import type { Cpu } from '../cpu.ts';
import { TLB_ENTRIES, TLB_ENTRY, TLB_ENTRY_SIZE, TLB_KIND } from '../memory/tlb.ts';
import { word } from '../state.ts';

const PAGE_MASK = ~0xfff;
const TLB = word('tlb');
const ADDEND = TLB_ENTRY.addend >> 2;
/** The tables of the kinds of access, as byte offsets in a bank. */
export const { READ, WRITE } = TLB_KIND;

/** Views of the whole arena; indices are arena addresses divided by the element size. */
export interface ArenaViews {
  readonly words: Int32Array;
  readonly view: DataView;
}

const views = new WeakMap<Cpu, ArenaViews>();

export function arenaOf(cpu: Cpu): ArenaViews {
  let arena = views.get(cpu);
  if (arena === undefined) {
    const { buffer } = cpu.bytes;
    arena = { words: new Int32Array(buffer, 0, buffer.byteLength >>> 2), view: new DataView(buffer) };
    views.set(cpu, arena);
  }
  return arena;
}

/**
 * Arena address of a byte that the current TLB bank holds as plain memory, up to the end of its page; 0 otherwise.
 *
 * @param access {@link READ} or {@link WRITE}
 */
export function plainAddress(cpu: Cpu, words: Int32Array, low: number, high: number, access: number): number {
  const bank = cpu.u32[TLB];
  if (bank === 0) return 0;
  const entry = (bank + access + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE) >> 2;
  if (words[entry] !== (low & PAGE_MASK) || words[entry + 1] !== high) return 0;
  return (low + words[entry + ADDEND]) >>> 0;
}

/** The same, entering the page in the TLB first if need be. Faults like an access. */
export function fillPlainAddress(cpu: Cpu, words: Int32Array, low: number, high: number, access: number): number {
  if (cpu.u32[TLB] === 0) return 0;
  const known = plainAddress(cpu, words, low, high, access);
  if (known !== 0) return known;
  const linear = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  cpu.linear.probe(linear, 1, access === WRITE ? 'w' : 'r');
  return plainAddress(cpu, words, low, high, access);
}
