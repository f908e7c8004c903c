/** How emitted code finds and enters the block at another address, in handlers and regions alike. */
import type { FunctionBuilder, Local, Signature, TableRef, Value } from '../../wasm/index.ts';
import { CS, offsetOf, segmentOffset } from '../context.ts';
import { JUMP_ENTRY, JUMP_INDEX } from '../memory/jump-cache.ts';
import { emitHeat } from './heat.ts';
import { Exit, FIRST_REGION, RECORD } from './record.ts';
import { TLB_EXECUTE, TLB_GENERATIONS, TLB_INDEX } from './tlb-access.ts';

/** What a transfer needs of its module. */
export interface TransferModule {
  /** (context, record) -> Exit; of a region: (context, record or entry of the jump cache that leads to it). */
  readonly signature: Signature<readonly ['i32']>;
  readonly table: TableRef;
  /** Table index of {@link SpecialHandler.ENTER}. */
  readonly enter: number;
}

/** TLB entry of a linear address, of which the low half is given. */
export function tlbEntry(f: FunctionBuilder, low: Local<'i32'>): Local<'i32'> {
  const { op } = f;
  const index = op['i32.and'](op['i32.shr_u'](low, f.i32(TLB_INDEX.shift)), f.i32(TLB_INDEX.mask));
  return f.let(op['i32.add'](f.load('i32.load', f.param<'i32'>(0), offsetOf('tlb')), index));
}

/** TLB entry of a linear address, and the execute tag it must have. */
export function executeEntry(f: FunctionBuilder, linear: Local<'i64'>) {
  const { op } = f;
  const ctx = f.param<'i32'>(0);
  const low = f.let(op['i32.wrap_i64'](linear));
  const entry = tlbEntry(f, low);
  const tag = f.let(
    op['i64.or'](
      op['i64.and'](linear, f.i64(-4096n)),
      op['i64.extend_i32_u'](f.load('i32.load', ctx, offsetOf('mode'))),
    ),
  );
  return { low, entry, tag };
}

/** rip as a linear address. */
export function linearRip(f: FunctionBuilder, long: boolean, rip: Local<'i64'>): Local<'i64'> {
  const { op } = f;
  if (long) return rip;
  const sum = op['i64.add'](rip, f.load('i64.load', f.param<'i32'>(0), segmentOffset(CS, 'base')));
  return f.let(op['i64.and'](sum, f.i64(0xffffffffn)));
}

/** The block at an address whose TLB entry is given; returns `Exit.LOOKUP` if there is none. */
export function findBlock(f: FunctionBuilder, low: Local<'i32'>, entry: Local<'i32'>, tag: Local<'i64'>): Local<'i32'> {
  const { op } = f;
  f.if(
    op['i64.ne'](f.load('i64.load', entry, TLB_EXECUTE.tag), tag),
    () => f.return(f.i32(Exit.LOOKUP)),
    undefined,
    false,
  );
  const slot = op['i32.add'](
    f.load('i32.load', entry, TLB_EXECUTE.codeTable),
    op['i32.shl'](op['i32.and'](low, f.i32(0xfff)), f.i32(2)),
  );
  const next = f.let(f.load('i32.load', slot, 0));
  f.if(op['i32.eqz'](next), () => f.return(f.i32(Exit.LOOKUP)), undefined, false);
  return next;
}

/** The entry of the jump cache for an address. */
export function jumpEntry(f: FunctionBuilder, linear: Local<'i64'>): Local<'i32'> {
  return f.let(f.op['i32.add'](f.load('i32.load', f.param<'i32'>(0), offsetOf('jumps')), jumpPlace(f, linear)));
}

/** The same, in bytes from the first. */
export function jumpPlace(f: FunctionBuilder, linear: Local<'i64'>): Value<'i32'> {
  const { op } = f;
  const product = op['i32.mul'](op['i32.wrap_i64'](linear), f.i32(JUMP_INDEX.factor));
  return op['i32.and'](op['i32.shr_u'](product, f.i32(JUMP_INDEX.shift)), f.i32(JUMP_INDEX.mask));
}

/**
 * Enters the block at an address through an entry of the jump cache, or one for this jump alone, which is filled if it is
 * for another address or out of date. Without a block it returns `Exit.LOOKUP`, with rip what it was set to before.
 */
export function enterThrough(
  f: FunctionBuilder,
  jump: Local<'i32'>,
  linear: Local<'i64'>,
  budget: Local<'i32'>,
  module: TransferModule,
): void {
  const { op } = f;
  const ctx = f.param<'i32'>(0);
  const half = op['i32.shl'](op['i32.wrap_i64'](op['i64.shr_u'](linear, f.i64(63))), f.i32(2));
  const generation = f.load('i32.load', op['i32.add'](f.load('i32.load', ctx, offsetOf('tlb')), half), TLB_GENERATIONS);
  const key = f.let(op['i32.or'](generation, f.load('i32.load', ctx, offsetOf('mode'))));
  const isKnown = op['i32.and'](
    op['i64.eq'](f.load('i64.load', jump, JUMP_ENTRY.linear), linear),
    op['i32.eq'](f.load('i32.load', jump, JUMP_ENTRY.key), key),
  );
  f.if(
    op['i32.eqz'](isKnown),
    () => {
      const { low, entry, tag } = executeEntry(f, linear);
      const block = findBlock(f, low, entry, tag);
      f.store('i64.store', jump, linear, JUMP_ENTRY.linear);
      f.store('i32.store', jump, key, JUMP_ENTRY.key);
      leadTo(f, jump, block, module);
    },
    undefined,
    false,
  );
  enterTarget(f, jump, budget, module);
}

/** Makes an entry lead to a block. */
export function leadTo(f: FunctionBuilder, jump: Local<'i32'>, block: Local<'i32'>, module: TransferModule): void {
  f.store('i32.store', jump, block, JUMP_ENTRY.record);
  f.store('i32.store', jump, f.i32(module.enter), JUMP_ENTRY.handler);
}

/** Enters what an entry leads to. */
function enterTarget(f: FunctionBuilder, jump: Local<'i32'>, budget: Local<'i32'>, module: TransferModule): void {
  const { op } = f;
  const handler = f.let(f.load('i32.load', jump, JUMP_ENTRY.handler));
  f.if(
    op['i32.ne'](handler, f.i32(module.enter)),
    () => f.returnCallIndirect(module.signature, handler, [f.param<'i32'>(0), jump], module.table),
    undefined,
    true,
  );
  enterRecorded(f, jump, budget, module);
}

/** Enters the block that an entry leads to, which from then on leads to the region that has taken the block's place, if one has. */
export function enterRecorded(
  f: FunctionBuilder,
  jump: Local<'i32'>,
  budget: Local<'i32'>,
  module: TransferModule,
): void {
  const block = f.let(f.load('i32.load', jump, JUMP_ENTRY.record));
  enterBlock(f, budget, block, module, (region) => f.store('i32.store', jump, region, JUMP_ENTRY.handler));
}

/** Pays for a block and enters it, or returns because the budget does not last; a region pays for itself. */
export function enterBlock(
  f: FunctionBuilder,
  budget: Local<'i32'>,
  block: Local<'i32'>,
  module: TransferModule,
  found?: (region: Local<'i32'>) => void,
): void {
  const { op } = f;
  const ctx = f.param<'i32'>(0);
  const handler = f.let(f.load('i32.load', block, RECORD.handler));
  const enter = () => f.returnCallIndirect(module.signature, handler, [ctx, block], module.table);
  f.if(
    op['i32.ge_u'](handler, f.i32(FIRST_REGION)),
    () => {
      found?.(handler);
      enter();
    },
    undefined,
    false,
  );
  pay(f, budget, block, () => emitHeat(f, block));
  enter();
}

/** Pays for the instructions of a block, or returns because the budget does not last. */
export function pay(f: FunctionBuilder, budget: Local<'i32'>, block: Local<'i32'>, willDo = () => {}): void {
  const { op } = f;
  const after = f.let(op['i32.sub'](budget, f.load('i32.load8_u', block, RECORD.remaining)));
  f.if(op['i32.lt_s'](after, f.i32(0)), () => f.return(f.i32(Exit.STOP)), undefined, false);
  willDo();
  f.store('i32.store', f.param<'i32'>(0), after, offsetOf('budget'));
}
