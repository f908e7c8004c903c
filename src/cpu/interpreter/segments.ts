/** How emitted code changes segment registers. */
import type { I32, Stage } from '../../isa/stage.ts';
import type { FunctionBuilder, Local, Value } from '../../wasm/index.ts';
import { DS, ES, offsetOf, SEGMENT, SS, segmentOffset } from '../context.ts';
import type { CpuState } from '../state.ts';
import { Attribute } from '../system/descriptors.ts';

const FLAT_LIMIT = 0xffff_ffff;
/** `readEnd` and `writeEnd` of a segment of 4 GiB. */
const FLAT_END = 0x1_0000_0000;
const ATTRIBUTES_SHIFT = (SEGMENT.attributes - SEGMENT.selector) * 8;

/** The same as loadFlatSegment of system/segments.ts. */
export function emitFlatSegment(x: Stage, ctx: Local<'i32'>, segment: number, selector: I32, attributes: number): void {
  const { f } = x;
  const writable = (attributes & (Attribute.CODE | Attribute.WRITABLE)) === Attribute.WRITABLE;
  f.store('i64.store', ctx, f.i64(0), segmentOffset(segment, 'base'));
  f.store('i32.store', ctx, f.i32(FLAT_LIMIT), segmentOffset(segment, 'limit'));
  f.store('i32.store', ctx, x.or(selector, attributes << ATTRIBUTES_SHIFT), segmentOffset(segment, 'selector'));
  f.store('i64.store', ctx, f.i64(FLAT_END), segmentOffset(segment, 'readEnd'));
  f.store('i64.store', ctx, f.i64(writable ? FLAT_END : 0), segmentOffset(segment, 'writeEnd'));
}

const STACK_MASK_32 = 0xffff_ffff;

/** The segments that may be assumed to be flat: from 0 to 4 GiB, to be read and written; SS with a stack of 32 bits. */
const OFTEN_FLAT = [ES, SS, DS];

/** Which of them are, a bit mask by segment register number. */
export function flatSegments({ segments, stackMask }: Pick<CpuState, 'segments' | 'stackMask'>): number {
  let flat = 0;
  for (const number of OFTEN_FLAT) {
    const { base, readEnd, writeEnd } = segments[number];
    const wraps = number !== SS || stackMask === BigInt(STACK_MASK_32);
    if (wraps && base === 0n && readEnd === BigInt(FLAT_END) && writeEnd === BigInt(FLAT_END)) flat |= 1 << number;
  }
  return flat;
}

/** 0 if all the segments of a bit mask, of those that {@link flatSegments} gives, are flat. */
export function emitUnevenness(f: FunctionBuilder, ctx: Local<'i32'>, flat: number): Value<'i64'> {
  const { op } = f;
  let all: Value<'i64'> = f.i64(0);
  for (const number of OFTEN_FLAT) {
    if (!((flat >> number) & 1)) continue;
    const field = (name: 'base' | 'readEnd' | 'writeEnd') => f.load('i64.load', ctx, segmentOffset(number, name));
    const ends = op['i64.and'](field('readEnd'), field('writeEnd'));
    all = op['i64.or'](all, op['i64.or'](field('base'), op['i64.xor'](ends, f.i64(FLAT_END))));
    if (number !== SS) continue;
    const mask = f.load('i64.load', ctx, offsetOf('stackMask'));
    all = op['i64.or'](all, op['i64.xor'](mask, f.i64(STACK_MASK_32)));
  }
  return all;
}
