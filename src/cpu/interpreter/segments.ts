/** How emitted code changes segment registers. */
import type { I32, Stage } from '../../isa/stage.ts';
import type { Local } from '../../wasm/index.ts';
import { SEGMENT, segmentOffset } from '../context.ts';
import { Attribute } from '../system/descriptors.ts';

const FLAT_LIMIT = 0xffff_ffff;
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
