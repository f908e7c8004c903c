/** Builds the module of interpreter handlers: one function per form of every encoding, and what they share. */

import { emitInstruction } from '../../isa/emission.ts';
import type { Encoding } from '../../isa/encoding.ts';
import { HELPERS, type HelperName } from '../../isa/helpers.ts';
import type { InstructionTable } from '../../isa/table.ts';
import { type FunctionBuilder, type FunctionRef, type Local, ModuleBuilder, type Value } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import { FlagKind, FlagOverlay } from '../flags.ts';
import type { HandlerForm } from '../form-stage.ts';
import { type Arena, arenaLimits } from '../memory/arena.ts';
import { JUMP_ENTRY } from '../memory/jump-cache.ts';
import {
  BLOCK_HEADER,
  BLOCK_HEADER_SIZE,
  Exit,
  FIRST_REGION,
  MISS,
  RECORD,
  RECORD_SIZE,
  REGION_HEAT,
  REGION_MISSES,
  VARIABLE_FLAG_KIND,
} from './record.ts';
import { type Effects, type HandlerModule, HELPER_ARGUMENTS, InterpreterStage } from './stage.ts';
import { TLB_EXECUTE } from './tlb-access.ts';
import {
  enterBlock,
  enterRecorded,
  enterThrough,
  executeEntry,
  findBlock,
  jumpEntry,
  leadTo,
  linearRip,
  pay,
} from './transfer.ts';

/** What the module imports from TypeScript. */
export interface HandlerImports {
  slowLoad(lo: number, hi: number, info: number): number;
  slowStore(lo: number, hi: number, info: number): number;
  checkSegment(segment: number, lo: number, hi: number, bytesAndAccess: number): number;
  raise(vector: number, errorCode: number, hasErrorCode: number): void;
  regionRaise(site: number): void;
  regionAbandon(site: number, region: number): void;
  /** Address of REGION_MISSES of a region that is left again and again. */
  regionMisses(misses: number): void;
  helpers: Record<HelperName, (...args: number[]) => number>;
}

/** Table indices of the handlers that no instruction has. */
export const SpecialHandler = {
  /** Stops behind a truncated block: rip moves to this record. */
  STOP: 0,
  /** Behind a block's last instruction: goes on at the next address. */
  FALL_THROUGH: 1,
  /** Replaces the records of an invalidated page: gives the rest of the block back and looks the address up again. */
  RESYNC: 2,
  /** An instruction that always faults: vector in `extra`. */
  RAISE: 3,
  /** The same with error code 0. */
  RAISE_ZERO: 4,
  /** Before an instruction on two pages: goes on if the second page's code table is still the one in `immediate`. */
  CROSSING: 5,
  /** Called with an entry of the jump cache instead of a record: enters the block it leads to. */
  ENTER: 6,
  /** The same where the entry is to be made to lead to the block at rip, which is on a page that is running. */
  FIND: 7,
} as const;

/** Numbers of the repeat prefixes, in two bits. */
export const REPEATS = { none: 0, rep: 1, repne: 2 } as const;

/** A number that is the same for the same form of one mode class: id, size codes (1, 2, 4 for 16, 32, 64), memory, repeat, cc. */
function formKey(form: HandlerForm): number {
  const sizes = ((form.operandSize >> 4) << 3) | (form.addressSize >> 4);
  return (((form.encoding.id << 6) | sizes) << 7) | (form.memory ? 64 : 0) | (REPEATS[form.repeat] << 4) | form.cc;
}

/** Whether a form of this encoding exists in the mode class. */
function existsIn(encoding: Encoding, long: boolean): boolean {
  return !encoding.attributes[long ? 'no64' : 'only64'];
}

/** All forms of an encoding that can be decoded in one mode class. */
export function formsOf(encoding: Encoding, long: boolean): HandlerForm[] {
  if (!existsIn(encoding, long)) return [];
  const { attributes } = encoding;
  const sizes: (16 | 32 | 64)[] = !encoding.dependsOnOperandSize
    ? [32]
    : !long
      ? [16, 32]
      : attributes.f64
        ? [64]
        : attributes.d64
          ? [16, 64]
          : encoding.w === 1
            ? [64]
            : encoding.w === 0
              ? [16, 32]
              : [16, 32, 64];
  const addresses: (16 | 32 | 64)[] = !attributes.as ? [long ? 64 : 32] : long ? [32, 64] : [16, 32];
  const either =
    encoding.form === 'any' && encoding.operands.some((o) => o.letter === 'E' || o.letter === 'W' || o.letter === 'Q');
  const memories = either ? [false, true] : [encoding.form === 'memory'];
  const repeats: HandlerForm['repeat'][] = attributes.rep ? ['none', 'rep', 'repne'] : ['none'];
  const conditions = encoding.span === 16 ? Array.from({ length: 16 }, (_, i) => i) : [0];
  const forms: HandlerForm[] = [];
  for (const operandSize of sizes)
    for (const addressSize of addresses)
      for (const memory of memories)
        for (const repeat of repeats)
          for (const cc of conditions) forms.push({ encoding, long, operandSize, addressSize, memory, repeat, cc });
  return forms;
}

function emitHandler(f: FunctionBuilder, form: HandlerForm, module: HandlerModule): InterpreterStage {
  const x = new InterpreterStage(f, form, module);
  emitInstruction(x, form.encoding);
  x.finish();
  return x;
}

/** What is known of a form's handler. */
export interface Handler {
  /** Table index. */
  readonly index: number;
  /** Whether a block ends with it. */
  readonly ends: boolean;
  readonly effects: Readonly<Effects>;
}

/** The instantiated handlers of one mode class. */
export interface Handlers {
  find(form: HandlerForm): Handler;
  /** Enters the chain at a record. Budget for its block must have been taken already, unless a region is in its place. */
  run(context: number, record: number): number;
  /** (context): continues at rip, for regions. */
  readonly resume: unknown;
  /** (context, entry, target): continues at a fixed address, through an entry of the jump cache that the exit has for itself. */
  readonly leap: unknown;
  /** (context, miss, address of REGION_MISSES): continues where a region was left for the interpreter, see encodeMiss. */
  readonly missed: unknown;
  /** `carryOf`, `cooled` and `tooShort` of RegionModule. */
  readonly regionImports: WebAssembly.ModuleImports;
}

/** What is known of the handlers of a mode class, without building them. */
export function describeHandlers(table: InstructionTable, long: boolean): Pick<Handlers, 'find'> {
  return { find: emitHandlers(table, long, 0, false).find };
}

/** Writes the module of a mode class's handlers, which go into the table from `firstIndex` on. */
function emitHandlers(table: InstructionTable, long: boolean, firstIndex: number, shared: boolean) {
  const m = new ModuleBuilder({ names: true });
  m.importMemory('env', 'memory', arenaLimits(shared));
  const tableRef = m.importTable('env', 'table', { initial: 0 });
  const i32s = (n: number) => Array.from({ length: n }, () => 'i32' as const);
  const slowLoad = m.importFunction('env', 'slowLoad', i32s(3), ['i32']);
  const slowStore = m.importFunction('env', 'slowStore', i32s(3), ['i32']);
  const checkSegment = m.importFunction('env', 'checkSegment', i32s(4), ['i32']);
  const raise = m.importFunction('env', 'raise', i32s(3), []);
  const regionMisses = m.importFunction('env', 'regionMisses', i32s(1), []);
  const helpers = {} as Record<HelperName, FunctionRef>;
  for (const name of Object.keys(HELPERS) as HelperName[])
    helpers[name] = m.importFunction('helpers', name, i32s(HELPER_ARGUMENTS), ['i32']);
  const signature = m.signature(['i32', 'i32'], ['i32']);
  const branchTo = m.declare('branchTo', ['i32', 'i32', 'i32', 'i64'], ['i32']);
  const resume = m.declare('resume', ['i32'], ['i32']);
  const module: HandlerModule = {
    resume,
    signature,
    table: tableRef,
    slowLoad,
    slowStore,
    checkSegment,
    raise,
    helpers,
    branchTo,
    enter: firstIndex + SpecialHandler.ENTER,
    crossing: firstIndex + SpecialHandler.CROSSING,
  };

  m.define(branchTo, (f) => emitBranchTo(f, long, module));
  m.define(resume, (f) => emitResume(f, long, module));
  m.exportFunction('resume', resume);
  m.function('leap', ['i32', 'i32', 'i64'], ['i32'], (f) => emitLeap(f, long, module), { export: 'leap' });
  m.function(
    'missed',
    ['i32', 'i64', 'i32'],
    ['i32'],
    (f) => {
      countMiss(f, regionMisses);
      emitMissed(f, long, module);
    },
    { export: 'missed' },
  );
  m.function('carryOf', ['i32', 'i64', 'i64'], ['i32'], emitCarryOf, { export: 'carryOf' });
  m.function('cooled', ['i32', 'i32', 'i32', 'i32'], ['i32'], (f) => emitCooled(f, module), { export: 'cooled' });
  m.function('tooShort', ['i32', 'i32'], ['i32'], (f) => emitTooShort(f, module), { export: 'tooShort' });
  const functions: FunctionRef[] = [];
  functions.push(
    m.function('stop', ['i32', 'i32'], ['i32'], (f) => {
      emitRipToRecord(f, long);
      f.return(f.i32(Exit.STOP));
    }),
    m.function('fallThrough', ['i32', 'i32'], ['i32'], (f) => {
      const [ctx, rec] = [f.param<'i32'>(0), f.param<'i32'>(1)];
      const to = f.let(recordRip(f, long));
      // branchTo gives back remaining - 1 instructions; this record counts as one that was never taken
      f.store(
        'i32.store',
        ctx,
        f.op['i32.add'](f.load('i32.load', ctx, offsetOf('budget')), f.i32(1)),
        offsetOf('budget'),
      );
      f.returnCall(branchTo, [ctx, rec, f.i32(RECORD.link), to]);
    }),
    m.function('resync', ['i32', 'i32'], ['i32'], (f) => {
      const [ctx, rec] = [f.param<'i32'>(0), f.param<'i32'>(1)];
      emitRipToRecord(f, long);
      const budget = f.op['i32.add'](
        f.load('i32.load', ctx, offsetOf('budget')),
        f.load('i32.load8_u', rec, RECORD.remaining),
      );
      f.store('i32.store', ctx, budget, offsetOf('budget'));
      f.return(f.i32(Exit.LOOKUP));
    }),
    m.function('raise', ['i32', 'i32'], ['i32'], (f) => emitRaise(f, module, 0)),
    m.function('raiseZero', ['i32', 'i32'], ['i32'], (f) => emitRaise(f, module, 1)),
    m.function('crossing', ['i32', 'i32'], ['i32'], (f) => emitCrossing(f, long, module)),
    m.function('enter', ['i32', 'i32'], ['i32'], (f) =>
      enterRecorded(f, f.let(f.param<'i32'>(1)), contextBudget(f), module),
    ),
    m.function('find', ['i32', 'i32'], ['i32'], (f) => {
      const jump = f.param<'i32'>(1);
      const linear = linearRip(f, long, f.let(f.load('i64.load', f.param<'i32'>(0), offsetOf('rip'))));
      leadTo(f, jump, lastingBlockAt(f, linear, contextBudget(f), module), module);
      enterRecorded(f, jump, contextBudget(f), module);
    }),
  );
  const index = new Map<number, Handler>();
  for (const encoding of table.encodings) {
    for (const form of formsOf(encoding, long)) {
      let stage!: InterpreterStage;
      const name = `${encoding.instruction.mnemonic} ${encoding.text} ${form.operandSize}${form.memory ? ' mem' : ''}`;
      functions.push(
        m.function(name, ['i32', 'i32'], ['i32'], (f) => {
          stage = emitHandler(f, form, module);
        }),
      );
      index.set(formKey(form), { index: firstIndex + functions.length - 1, ends: stage.ended, effects: stage.effects });
    }
  }
  m.element(firstIndex, functions);
  m.function(
    'run',
    ['i32', 'i32'],
    ['i32'],
    (f) => {
      const rec = f.param<'i32'>(1);
      f.returnCallIndirect(signature, f.load('i32.load', rec, RECORD.handler), [f.param(0), rec], tableRef);
    },
    { export: 'run' },
  );

  const find = (form: HandlerForm): Handler => {
    const found = index.get(formKey(form));
    if (!found) throw new Error(`no handler for ${form.encoding.instruction.mnemonic} '${form.encoding.text}'`);
    return found;
  };
  return { bytes: () => m.build(), nextIndex: firstIndex + functions.length, find };
}

/**
 * Builds, compiles and instantiates the handlers of a mode class into the table from `firstIndex` on.
 * Returns the handlers and the first free index.
 */
export function buildHandlers(
  table: InstructionTable,
  long: boolean,
  { memory, shared }: Pick<Arena, 'memory' | 'shared'>,
  functionTable: WebAssembly.Table,
  firstIndex: number,
  imports: HandlerImports,
): { handlers: Handlers; nextIndex: number } {
  const { bytes, nextIndex: needed, find } = emitHandlers(table, long, firstIndex, shared);
  if (functionTable.length < needed) functionTable.grow(needed - functionTable.length);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes()), {
    env: {
      memory,
      table: functionTable,
      slowLoad: imports.slowLoad,
      slowStore: imports.slowStore,
      checkSegment: imports.checkSegment,
      raise: imports.raise,
      regionMisses: imports.regionMisses,
    },
    helpers: imports.helpers as unknown as WebAssembly.ModuleImports,
  });
  const handlers: Handlers = {
    find,
    resume: instance.exports.resume,
    leap: instance.exports.leap,
    missed: instance.exports.missed,
    regionImports: {
      carryOf: instance.exports.carryOf,
      cooled: instance.exports.cooled,
      tooShort: instance.exports.tooShort,
    } as never,
    run: instance.exports.run as (context: number, record: number) => number,
  };
  return { handlers, nextIndex: needed };
}

/** ctx.rip + delta of the record. */
function recordRip(f: FunctionBuilder, long: boolean) {
  const { op } = f;
  const delta = op['i64.extend_i32_u'](f.load('i32.load16_u', f.param<'i32'>(1), RECORD.delta));
  const sum = op['i64.add'](f.load('i64.load', f.param<'i32'>(0), offsetOf('rip')), delta);
  return long ? sum : op['i64.and'](sum, f.i64(0xffffffffn));
}

function emitRipToRecord(f: FunctionBuilder, long: boolean): void {
  f.store('i64.store', f.param<'i32'>(0), recordRip(f, long), offsetOf('rip'));
}

/** (kind, result, other): CF of flags that are not settled, see cpu/flags.ts. INC, DEC and ADC ask for it at any time. */
function emitCarryOf(f: FunctionBuilder): void {
  const { op } = f;
  const kind = f.param<'i32'>(0);
  const result = f.param<'i64'>(1);
  const other = f.param<'i64'>(2);
  const has = (bit: number) => op['i32.and'](kind, f.i32(bit));
  f.if(has(FlagOverlay.HAS_CF), () =>
    f.return(op['i32.and'](op['i32.shr_u'](kind, f.i32(FlagOverlay.CF_SHIFT)), f.i32(1))),
  );
  const encoded = f.let(has(0xff));
  f.if(op['i32.eqz'](encoded), () => f.return(op['i32.wrap_i64'](op['i64.shr_u'](other, f.i64(63)))));
  const bits = op['i64.shl'](f.i64(8), op['i64.extend_i32_u'](op['i32.and'](encoded, f.i32(3))));
  const unused = f.let(op['i64.sub'](f.i64(64), bits));
  const top = (value: Value<'i64'>) => op['i64.shl'](value, unused);
  const isKind = (n: number) => op['i32.eq'](op['i32.shr_u'](encoded, f.i32(2)), f.i32(n));
  f.if(isKind(FlagKind.ADD), () => f.return(op['i64.lt_u'](top(result), top(other))));
  // a - b = r, so that b = a - r
  f.if(isKind(FlagKind.SUB), () => f.return(op['i64.lt_u'](top(other), top(op['i64.sub'](other, result)))));
  f.if(isKind(FlagKind.LOGIC), () => f.return(f.i32(0)));
  const flags = f.select(isKind(FlagKind.FLAGS), result, other);
  f.return(op['i32.wrap_i64'](op['i64.and'](flags, f.i64(1))));
}

function emitCrossing(f: FunctionBuilder, long: boolean, module: HandlerModule): void {
  const { op } = f;
  const [ctx, rec] = [f.param<'i32'>(0), f.param<'i32'>(1)];
  const first = linearRip(f, long, f.let(f.load('i64.load', ctx, offsetOf('rip'))));
  const second = op['i64.add'](first, f.i64(4096n));
  const { entry, tag } = executeEntry(f, f.let(long ? second : op['i64.and'](second, f.i64(0xffffffffn))));
  const mapped = op['i64.eq'](f.load('i64.load', entry, TLB_EXECUTE.tag), tag);
  const same = op['i32.eq'](
    f.load('i32.load', entry, TLB_EXECUTE.codeTable),
    f.load('i32.load', rec, RECORD.immediate),
  );
  f.if(op['i32.and'](mapped, same), () => {
    const next = f.let(op['i32.add'](rec, f.i32(RECORD_SIZE)));
    f.returnCallIndirect(module.signature, f.load('i32.load', next, RECORD.handler), [ctx, next], module.table);
  });
  const budget = op['i32.add'](f.load('i32.load', ctx, offsetOf('budget')), f.i32(1));
  f.store('i32.store', ctx, budget, offsetOf('budget'));
  f.return(f.i32(Exit.LOOKUP));
}

function emitRaise(f: FunctionBuilder, module: HandlerModule, hasErrorCode: number): void {
  const [ctx, rec] = [f.param<'i32'>(0), f.param<'i32'>(1)];
  f.store('i32.store', ctx, rec, offsetOf('record'));
  f.call(module.raise, [f.load('i32.load16_u', rec, RECORD.extra), f.i32(0), f.i32(hasErrorCode)]);
  f.return(f.i32(Exit.ABORT));
}

/**
 * Continues at `target`: through the jump cache, or, when the target lies on the same page and a link field is given, through
 * the code table, so that the link can say the block from then on: it is true as long as the record itself is.
 */
function emitBranchTo(f: FunctionBuilder, long: boolean, module: HandlerModule): void {
  const { op } = f;
  const ctx = f.param<'i32'>(0);
  const rec = f.param<'i32'>(1);
  const link = f.param<'i32'>(2);
  const target = f.param<'i64'>(3);
  const budget = f.load('i32.load', ctx, offsetOf('budget'));
  const left = f.let(op['i32.sub'](op['i32.add'](budget, f.load('i32.load8_u', rec, RECORD.remaining)), f.i32(1)));
  f.store('i32.store', ctx, left, offsetOf('budget'));
  const from = f.let(f.load('i64.load', ctx, offsetOf('rip')));
  f.store('i64.store', ctx, target, offsetOf('rip'));
  const linear = linearRip(f, long, target);
  f.if(link, () => {
    const difference = op['i64.shr_u'](op['i64.xor'](linearRip(f, long, from), linear), f.i64(12));
    f.if(op['i64.eqz'](difference), () => {
      const block = lastingBlockAt(f, linear, left, module);
      f.store('i32.store', op['i32.add'](rec, link), block, 0);
      enterBlock(f, left, block, module);
    });
  });
  enterThrough(f, jumpEntry(f, linear), linear, left, module);
}

function blockAt(f: FunctionBuilder, linear: Local<'i64'>): Local<'i32'> {
  const { low, entry, tag } = executeEntry(f, linear);
  return findBlock(f, low, entry, tag);
}

/**
 * The block at an address of a page that is running, and good as long as the page is. One that lies across two pages is not: it is
 * entered at once, and nobody remembers it.
 */
function lastingBlockAt(
  f: FunctionBuilder,
  linear: Local<'i64'>,
  budget: Local<'i32'>,
  module: HandlerModule,
): Local<'i32'> {
  const block = blockAt(f, linear);
  const crosses = f.op['i32.eq'](f.load('i32.load', block, RECORD.handler), f.i32(module.crossing));
  f.if(crosses, () => enterBlock(f, budget, block, module), undefined, false);
  return block;
}

function contextBudget(f: FunctionBuilder): Local<'i32'> {
  return f.let(f.load('i32.load', f.param<'i32'>(0), offsetOf('budget')));
}

/**
 * (context, record, from, address of the region's heat): a region has counted down to 0 or beyond. Either its code has become
 * hot, or it no longer is in the block's place, and what is goes on. The entry of the jump cache it was entered through, if `from` is
 * not the record, is to lead there.
 */
function emitCooled(f: FunctionBuilder, module: HandlerModule): void {
  const [record, from, heatAt] = [f.param<'i32'>(1), f.param<'i32'>(2), f.param<'i32'>(3)];
  f.if(f.op['i32.eqz'](f.load('i32.load', heatAt, 0)), () => {
    f.store('i32.store', heatAt, f.i32(REGION_HEAT.uncounted), 0);
    f.return(f.i32(Exit.HOT));
  });
  f.store('i32.store', heatAt, f.i32(REGION_HEAT.replaced), 0);
  f.if(f.op['i32.ne'](from, record), () => f.store('i32.store', from, f.i32(module.enter), JUMP_ENTRY.handler));
  enterBlock(f, contextBudget(f), record, module);
}

/** (context, record): the budget may end inside the block's region, so the block is interpreted. */
function emitTooShort(f: FunctionBuilder, module: HandlerModule): void {
  interpretBlock(f, f.param<'i32'>(1), module);
}

/** Pays for a block, in whose place there is a region, and interprets it. */
function interpretBlock(f: FunctionBuilder, block: Local<'i32'>, module: HandlerModule): void {
  pay(f, contextBudget(f), block);
  const handler = f.load('i32.load', f.op['i32.sub'](block, f.i32(BLOCK_HEADER_SIZE)), BLOCK_HEADER.interpreted);
  f.returnCallIndirect(module.signature, handler, [f.param<'i32'>(0), block], module.table);
}

/** (context, miss, address of REGION_MISSES): counts, and tells of it once they have been many. */
function countMiss(f: FunctionBuilder, regionMisses: FunctionRef): void {
  const { op } = f;
  const misses = f.param<'i32'>(2);
  const { tag, count, most } = REGION_MISSES;
  const met = f.let(f.load('i64.load', f.param<'i32'>(0), offsetOf('slowValue')));
  const before = f.let(f.load('i64.load', misses, tag));
  f.store('i64.store', misses, met, tag);
  const again = op['i32.add'](f.load('i32.load', misses, count), f.i32(1));
  const number = f.let(f.select(op['i64.eq'](met, before), again, f.i32(0)));
  f.store('i32.store', misses, number, count);
  f.if(op['i32.eq'](number, f.i32(most)), () => void f.call(regionMisses, [misses]), undefined, false);
}

/**
 * (context, miss, ...): a region was left before an instruction that is not for it: interprets the block that begins with the
 * instruction. The context has everything but what `miss` says.
 */
function emitMissed(f: FunctionBuilder, long: boolean, module: HandlerModule): void {
  const { op } = f;
  const ctx = f.param<'i32'>(0);
  const miss = f.param<'i64'>(1);
  const field = (shift: number, mask: number) =>
    op['i32.and'](op['i32.wrap_i64'](op['i64.shr_u'](miss, f.i64(shift))), f.i32(mask));
  const kind = f.let(field(MISS.FLAG_KIND_SHIFT, 0xff));
  f.if(op['i32.ne'](kind, f.i32(VARIABLE_FLAG_KIND)), () => f.store('i32.store', ctx, kind, offsetOf('flagKind')));
  const offset = op['i64.extend_i32_s'](op['i32.wrap_i64'](miss));
  const sum = op['i64.add'](f.load('i64.load', ctx, offsetOf('rip')), offset);
  const rip = f.let(long ? sum : op['i64.and'](sum, f.i64(0xffffffffn)));
  f.store('i64.store', ctx, rip, offsetOf('rip'));
  const budget = f.let(op['i32.add'](contextBudget(f), field(MISS.REMAINING_SHIFT, 0xffff)));
  f.store('i32.store', ctx, budget, offsetOf('budget'));
  const block = blockAt(f, linearRip(f, long, rip));
  const handler = f.let(f.load('i32.load', block, RECORD.handler));
  f.if(op['i32.ge_u'](handler, f.i32(FIRST_REGION)), () => interpretBlock(f, block, module));
  enterBlock(f, budget, block, module);
}

/** Leaves a region for a fixed address; the context has everything but rip. */
function emitLeap(f: FunctionBuilder, long: boolean, module: HandlerModule): void {
  const [ctx, jump] = [f.param<'i32'>(0), f.param<'i32'>(1)];
  const target = f.param<'i64'>(2);
  f.store('i64.store', ctx, target, offsetOf('rip'));
  enterThrough(f, jump, linearRip(f, long, target), contextBudget(f), module);
}

/** Continues at rip: after a system instruction, and from a region. */
function emitResume(f: FunctionBuilder, long: boolean, module: HandlerModule): void {
  const linear = linearRip(f, long, f.let(f.load('i64.load', f.param<'i32'>(0), offsetOf('rip'))));
  enterThrough(f, jumpEntry(f, linear), linear, contextBudget(f), module);
}
