/**
 * Arithmetic flags in the region stage. Two variables hold what `flagResult` and `flagCarries` of the context are to hold
 * where the region is left: mostly the result and the first operand of the last operation, of which the flags follow (see
 * cpu/flags.ts). What they mean is known while code is emitted, except where paths merge: there a third variable says it.
 */
import type { Bits, CarryFlags, FlagName, FlagValues, I32, I64, Int, Stage } from '../../isa/stage.ts';
import type { FunctionRef, Local, Value, Variable } from '../../wasm/index.ts';
import type { FieldName } from '../context.ts';
import { encodeFlagKind, FlagKind, FlagOverlay } from '../flags.ts';
import { carryVector, normalised, PARITY_DELTA_SHIFT, SIGN_DELTA_SHIFT, signed64 } from '../interpreter/flags.ts';
import { VARIABLE_FLAG_KIND } from '../interpreter/record.ts';

/** What the variables hold. */
export type FlagsState =
  /** Nothing: the context has the flags, as they were where the region was entered. */
  | { readonly kind: 'context' }
  /** What the kind variable says; flags that were set one by one may be known. */
  | { readonly kind: 'variable'; readonly CF?: Local<'i32'>; readonly OF?: Local<'i32'> }
  /** The settled words. */
  | { readonly kind: 'words' }
  /** Result and first operand; the second operand is in a variable of its own. */
  | { readonly kind: 'add' | 'sub'; readonly bits: Bits }
  /** Result and CF. */
  | { readonly kind: 'inc' | 'dec'; readonly bits: Bits }
  | { readonly kind: 'logic'; readonly bits: Bits }
  /** Those of `base`, and some that are made of locals once someone asks; see {@link Stage.setFlagsLater}. */
  | Deferred
  /** The flags themselves in their RFLAGS places, which locals hold too. */
  | { readonly kind: 'flags'; readonly bits: 64; readonly values: Readonly<Record<FlagName, I32>> };

interface Deferred {
  readonly kind: 'deferred';
  readonly base: FlagsState;
  readonly values: () => CarryFlags;
  readonly bits: Bits;
  /** What SF, ZF and PF come from; without one they are those of `base`. */
  readonly result: Int | undefined;
  /** How many there are one upon the other. */
  readonly depth: number;
}
/** Beyond it code would grow: each is written where a region may be left. */
const MOST_DEFERRED = 3;

const CONTEXT: FlagsState = { kind: 'context' };
const VARIABLE = { kind: 'variable' } as const satisfies FlagsState;
const WORDS = { kind: 'words' } as const satisfies FlagsState;
const KINDS = {
  add: FlagKind.ADD,
  sub: FlagKind.SUB,
  inc: FlagKind.INC,
  dec: FlagKind.DEC,
  logic: FlagKind.LOGIC,
  flags: FlagKind.FLAGS,
} as const;
/** Operations of which the flags follow. */
type Operation = Exclude<keyof typeof KINDS, 'flags'>;
/** Bit numbers in RFLAGS (SDM vol. 1 figure 3-8). */
const PLACES = { CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, OF: 11 } as const satisfies Record<FlagName, number>;
const CARRY_BITS = (3n << 62n) | 8n;

export class LazyFlags {
  private readonly x: Stage;
  private readonly ctx: Local<'i32'>;
  private readonly at: (name: FieldName) => number;
  private readonly result: Variable<'i64'>;
  private readonly other: Variable<'i64'>;
  private readonly second: Variable<'i64'>;
  private readonly kind: Variable<'i32'>;
  private readonly carryOf: FunctionRef;
  state: FlagsState = CONTEXT;
  /** Whether the current instruction takes a carry in, so that its flags do not follow from operand and result. */
  carriesIn = false;
  /** Whether nobody sees what the current instruction leaves in CF. */
  carryDead = false;

  /** @param carryOf see RegionModule */
  constructor(x: Stage, ctx: Local<'i32'>, at: (name: FieldName) => number, carryOf: FunctionRef) {
    this.x = x;
    this.carryOf = carryOf;
    this.ctx = ctx;
    this.at = at;
    const { f } = x;
    this.result = f.variable('i64');
    this.other = f.variable('i64');
    this.kind = f.variable('i32');
    this.second = f.variable('i64');
  }

  /** `flagKind` now, for a site; see sites.ts. */
  get encodedKind(): number {
    const { state } = this;
    if (state.kind === 'variable' || state.kind === 'deferred' || state.kind === 'context') return VARIABLE_FLAG_KIND;
    return state.kind === 'words' ? 0 : encodeFlagKind(KINDS[state.kind], state.bits);
  }

  // ---- definitions

  arithmetic(kind: 'add' | 'sub' | 'inc' | 'dec', a: Int, b: Int, result: Int, bits: Bits): void {
    const { x } = this;
    if (kind === 'inc' || kind === 'dec') {
      // behind a merge it is a call to find out CF, which these leave alone
      const carry = this.carryDead ? x.i32(0) : (x.let(this.flag('CF')) as I32);
      this.result.set(x.toI64(result));
      this.other.set(x.extendU(carry));
      this.state = { kind, bits };
      return;
    }
    if (this.carriesIn) {
      const carries = x.let(normalised(x, carryVector(x, kind, a, b, result), bits)) as I64;
      this.setWords(signed64(x, result, bits), carries);
      return;
    }
    this.result.set(x.toI64(result));
    this.other.set(x.toI64(a));
    if (kind === 'sub') this.second.set(x.toI64(b));
    this.state = { kind, bits };
  }

  logic(result: Int, bits: Bits): void {
    this.result.set(this.x.toI64(result));
    this.state = { kind: 'logic', bits };
  }

  setLater(inputs: readonly Int[], values: () => CarryFlags, bits: Bits, result?: Int): void {
    for (const input of inputs) this.x.f.keep(input);
    if (result !== undefined) this.x.f.keep(result);
    if (result === undefined && this.state.kind === 'deferred' && this.state.depth === MOST_DEFERRED) this.made();
    const { state } = this;
    const depth = result === undefined && state.kind === 'deferred' ? state.depth + 1 : 1;
    this.state = { kind: 'deferred', base: result === undefined ? state : VARIABLE, values, bits, result, depth };
  }

  /** The state once the flags are made that are to be made. */
  private made(): Exclude<FlagsState, Deferred> {
    const { state } = this;
    if (state.kind !== 'deferred') return state;
    const { base, values, bits, result } = state;
    this.state = base;
    this.set(result === undefined ? values() : { result, ...values() }, bits);
    return this.made();
  }

  /** The same, and they are in the variables. */
  private held(): Exclude<FlagsState, Deferred | { readonly kind: 'context' }> {
    const state = this.made();
    if (state.kind !== 'context') return state;
    const { ctx, at } = this;
    const { f } = this.x;
    this.result.set(f.load('i64.load', ctx, at('flagResult')));
    this.other.set(f.load('i64.load', ctx, at('flagCarries')));
    this.kind.set(f.load('i32.load', ctx, at('flagKind')));
    this.state = VARIABLE;
    return VARIABLE;
  }

  set(values: FlagValues, bits: Bits): void {
    this.made();
    const { x } = this;
    const pick = (name: FlagName) => x.let((values[name] ?? this.flag(name)) as I32) as I32;
    if (values.result !== undefined) {
      const r = x.let(signed64(x, values.result, bits)) as I64;
      const [cf, of, af] = [pick('CF'), pick('OF'), pick('AF')];
      this.setWords(r, this.carryWord(cf, of, x.shl(x.extendU(af), 3)));
      return;
    }
    if (values.ZF === undefined && values.SF === undefined && values.PF === undefined) {
      if (values.AF === undefined) {
        this.overlay(values.CF, values.OF);
        return;
      }
      const [cf, of, af] = [pick('CF'), pick('OF'), pick('AF')];
      this.settle();
      const kept = x.and(this.other as Value as I64, x.i64(~CARRY_BITS) as I64);
      this.other.set(x.or(kept, this.carryWord(cf, of, x.shl(x.extendU(af), 3))));
      return;
    }
    this.setAll({ CF: pick('CF'), PF: pick('PF'), AF: pick('AF'), ZF: pick('ZF'), SF: pick('SF'), OF: pick('OF') });
  }

  /** Notes CF, OF or both in the kind variable, and leaves the rest as it is. */
  private overlay(cf: I32 | undefined, of: I32 | undefined): void {
    const { x } = this;
    const state = this.held();
    const { HAS_CF, HAS_OF, CF_SHIFT, OF_SHIFT } = FlagOverlay;
    const known: { kind: 'variable'; CF?: Local<'i32'>; OF?: Local<'i32'> } =
      state.kind === 'variable' ? { ...state } : { kind: 'variable' };
    let kept = ~0;
    let added: I32 = x.i32(0);
    const put = (name: 'CF' | 'OF', value: I32, has: number, shift: number) => {
      const local = x.f.keep(x.let(value)) as Local<'i32'>;
      known[name] = local;
      kept &= ~(has | (1 << shift));
      added = x.or(added, x.or(x.shl(local as I32, shift), has));
    };
    if (cf !== undefined) put('CF', cf, HAS_CF, CF_SHIFT);
    if (of !== undefined) put('OF', of, HAS_OF, OF_SHIFT);
    const base = state.kind === 'variable' ? x.and(this.kind as Value as I32, kept) : x.i32(this.encodedKind);
    this.kind.set(x.or(base, added));
    this.state = known;
  }

  setLowFlags(value: I32): void {
    const { x } = this;
    const v = x.let(value) as I32;
    const bit = (n: number) => x.let(x.and(n === 0 ? v : x.shrU(v, n), 1)) as I32;
    this.setAll({ CF: bit(0), PF: bit(2), AF: bit(4), ZF: bit(6), SF: bit(7), OF: x.let(this.flag('OF')) as I32 });
  }

  private setAll(flags: Record<FlagName, I32>): void {
    const { x } = this;
    let all: I32 = x.i32(0);
    for (const name of Object.keys(PLACES) as FlagName[]) {
      x.f.keep(flags[name]);
      all = x.or(x.shl(flags[name], PLACES[name]), all);
    }
    this.result.set(x.extendU(all));
    this.state = { kind: 'flags', bits: 64, values: flags };
  }

  private carryWord(cf: I32, of: I32, low: I64): I64 {
    const { x } = this;
    return x.or(x.or(x.shl(x.extendU(cf), 63), x.shl(x.extendU(x.xor(cf, of)), 62)), low);
  }
  private setWords(result: I64, carries: I64): void {
    const c = this.x.let(carries);
    this.result.set(result);
    this.other.set(c);
    this.state = WORDS;
  }

  // ---- uses

  private masked(value: Value, bits: Bits): I64 {
    const { x } = this;
    if (bits === 64 || bits === 32) return value as I64;
    return x.and(value as I64, bits === 8 ? 0xff : 0xffff);
  }
  private signed(value: Value, bits: Bits): Int {
    const { x } = this;
    return bits === 64 ? (value as I64) : x.signExtend(x.wrap(value as I64), bits);
  }
  private topBit(value: I64, bits: Bits): Value<'i32'> {
    const { x } = this;
    return bits === 64 ? x.wrap(x.shrU(value, 63)) : x.and(x.shrU(x.wrap(value), bits - 1), 1);
  }

  flag(name: FlagName): Value<'i32'> {
    if (this.state.kind === 'deferred' && this.state.result !== undefined) {
      const known = this.ofResult(name, this.x.toI64(this.state.result), this.state.bits);
      if (known) return known;
    }
    let state = this.held();
    if (state.kind === 'variable') {
      const known = name === 'CF' || name === 'OF' ? state[name] : undefined;
      if (known) return known;
      if (name === 'CF') return this.x.f.call(this.carryOf, [this.kind, this.result, this.other]) as Local<'i32'>;
      this.settle();
      state = WORDS;
    }
    if (state.kind === 'words') return this.flagOfWords(name);
    if (state.kind === 'flags') return state.values[name];
    const { kind, bits } = state;
    if (name === 'CF') return this.carry(kind, bits);
    if (name === 'OF') return this.overflow(kind, bits);
    return this.ofResult(name, this.result as Value as I64, bits) ?? this.auxiliary(kind);
  }

  /** A flag that follows from a result, or undefined for one that does not. */
  private ofResult(name: FlagName, result: I64, bits: Bits): Value<'i32'> | undefined {
    const { x } = this;
    switch (name) {
      case 'ZF':
        return x.eqz(this.masked(result, bits));
      case 'SF':
        return this.topBit(result, bits);
      case 'PF':
        return x.xor(x.and(x.popcnt(x.and(x.wrap(result), 0xff)), 1), 1);
      default:
        return undefined;
    }
  }

  private carry(kind: Operation, bits: Bits): Value<'i32'> {
    const { x, result, other, second } = this;
    switch (kind) {
      case 'add':
        return x.ltU(this.masked(result, bits), this.masked(other, bits));
      case 'sub':
        return x.ltU(this.masked(other, bits), this.masked(second, bits));
      case 'logic':
        return x.i32(0);
      default:
        return x.wrap(other as Value as I64);
    }
  }

  private overflow(kind: Operation, bits: Bits): Value<'i32'> {
    const { x } = this;
    const [r, a, b] = [this.result, this.other, this.second] as Value[] as I64[];
    switch (kind) {
      case 'add':
        return this.topBit(x.and(x.xor(a, r), x.xor(x.sub(r, a), r)), bits);
      case 'sub':
        return this.topBit(x.and(x.xor(a, b), x.xor(a, r)), bits);
      case 'logic':
        return x.i32(0);
      default: {
        const least = 1n << BigInt(bits - 1);
        return x.eq(this.masked(r, bits), x.i64(kind === 'inc' ? least : least - 1n) as I64);
      }
    }
  }

  private auxiliary(kind: Operation): Value<'i32'> {
    const { x } = this;
    const [r, a, b] = [this.result, this.other, this.second].map((v) => x.wrap(v as Value as I64)) as I32[];
    const bit4 = (value: I32) => x.and(x.shrU(value, 4), 1);
    switch (kind) {
      case 'add':
        return bit4(x.xor(x.xor(a, r), x.sub(x.wrap(this.result as Value as I64), x.wrap(this.other as Value as I64))));
      case 'sub':
        return bit4(x.xor(x.xor(a, b), r));
      case 'logic':
        return x.i32(0);
      default:
        return x.eq(x.and(r, 0xf), kind === 'inc' ? 0 : 0xf);
    }
  }

  private flagOfWords(name: FlagName): Value<'i32'> {
    const { x } = this;
    const result = this.result as Value as I64;
    const carries = this.other as Value as I64;
    switch (name) {
      case 'CF':
        return x.wrap(x.shrU(carries, 63));
      case 'OF':
        return x.wrap(x.shrU(x.xor(carries, x.shl(carries, 1)), 63));
      case 'ZF':
        return x.eqz(result);
      case 'SF':
        return x.and(x.xor(x.wrap(x.shrU(result, 63)), x.wrap(x.shrU(carries, SIGN_DELTA_SHIFT))), 1);
      case 'AF':
        return x.and(x.wrap(x.shrU(carries, 3)), 1);
      case 'PF':
        return x.xor(x.and(x.popcnt(x.and(x.wrap(x.xor(result, x.shrU(carries, PARITY_DELTA_SHIFT))), 0xff)), 1), 1);
    }
  }

  condition(cc: number): Value<'i32'> {
    const { x } = this;
    const direct = this.direct(cc & ~1);
    if (direct) return cc & 1 ? x.eqz(x.let(direct)) : direct;
    const flag = (name: FlagName) => x.let(this.flag(name)) as I32;
    const base = (): I32 => {
      switch (cc >> 1) {
        case 0:
          return flag('OF');
        case 1:
          return flag('CF');
        case 2:
          return flag('ZF');
        case 3:
          return x.or(flag('CF'), flag('ZF'));
        case 4:
          return flag('SF');
        case 5:
          return flag('PF');
        case 6:
          return x.xor(flag('SF'), flag('OF'));
        default:
          return x.or(x.xor(flag('SF'), flag('OF')), flag('ZF'));
      }
    };
    const value = base();
    return cc & 1 ? x.xor(value, 1) : value;
  }

  /** Conditions that are one comparison, for even condition numbers. */
  private direct(cc: number): Value<'i32'> | undefined {
    const { x, state, result, other, second } = this;
    if (state.kind === 'sub') {
      const { bits } = state;
      switch (cc) {
        case 4: // E
          return x.eq(this.masked(other, bits), this.masked(second, bits));
        case 6: // BE
          return x.leU(this.masked(other, bits), this.masked(second, bits));
        case 12: // L
          return x.ltS(this.signed(other, bits), this.signed(second, bits));
        case 14: // LE
          return x.eqz(x.let(x.gtS(this.signed(other, bits), this.signed(second, bits))));
        default:
          return undefined;
      }
    }
    if (state.kind !== 'logic') return undefined;
    switch (cc) {
      case 6: // BE: ZF
        return this.flag('ZF');
      case 12: // L: SF
        return this.flag('SF');
      case 14: // LE: result <= 0
        return x.eqz(x.let(x.gtS(this.signed(result, state.bits), 0)));
      default:
        return undefined;
    }
  }

  lowFlags(): Value<'i32'> {
    const { x } = this;
    const place = (name: FlagName, bit: number) => x.shl(x.let(this.flag(name)) as I32, bit);
    return x.or(
      x.or(x.or(place('CF', 0), place('PF', 2)), x.or(place('AF', 4), place('ZF', 6))),
      x.or(place('SF', 7), 2),
    );
  }

  // ---- one form

  /** Makes the variables hold the settled words: where single flags change, or are asked for behind a merge of paths. */
  private settle(): void {
    const { x } = this;
    const state = this.held();
    if (state.kind === 'words') return;
    if (state.kind === 'variable' || state.kind === 'flags') {
      const emit = () => {
        this.store();
        x.call('settleFlags');
        this.result.set(x.f.load('i64.load', this.ctx, this.at('flagResult')));
        this.other.set(x.f.load('i64.load', this.ctx, this.at('flagCarries')));
      };
      if (state.kind === 'variable') x.f.if(this.kind as Value<'i32'>, emit);
      else emit();
      this.state = WORDS;
      return;
    }
    const { bits } = state;
    const [cf, of, af] = (['CF', 'OF', 'AF'] as const).map((name) => x.let(this.flag(name)) as I32);
    const result = x.let(
      signed64(x, bits === 64 ? (this.result as Value as I64) : x.wrap(this.result as Value as I64), bits),
    );
    this.setWords(result, this.carryWord(cf, of, x.shl(x.extendU(af), 3)));
  }

  /** Where paths merge: notes in the kind variable what is known here. */
  join(): void {
    if (this.held().kind !== 'variable') this.kind.set(this.x.i32(this.encodedKind));
    this.state = VARIABLE;
  }

  /** At a merge, whose predecessors have joined. */
  joined(): void {
    this.state = VARIABLE;
  }

  /** Stores the flags to the context. */
  store(): void {
    this.storeVariables(this.made(), true);
  }

  /** Stores what a site needs that knows {@link encodedKind}. What is deferred is made there only. */
  storeForSite(): void {
    const { state } = this;
    if (state.kind !== 'deferred') this.storeVariables(state, false);
    else {
      this.store();
      this.state = state;
    }
  }

  private storeVariables({ kind }: Exclude<FlagsState, Deferred>, withKind: boolean): void {
    if (kind === 'context') return;
    const { f } = this.x;
    f.store('i64.store', this.ctx, this.result as Value, this.at('flagResult'));
    if (kind !== 'logic' && kind !== 'flags')
      f.store('i64.store', this.ctx, this.other as Value, this.at('flagCarries'));
    if (kind === 'variable') f.store('i32.store', this.ctx, this.kind as Value, this.at('flagKind'));
    else if (withKind) f.store('i32.store', this.ctx, f.i32(this.encodedKind), this.at('flagKind'));
  }

  /**
   * Emits a conditional whose arms may set flags. `emit` gets a wrapper for each arm. With a single arm that leaves the
   * flags alone nothing is emitted.
   */
  conditional(emit: (both: (arm: () => void) => () => void) => void, twoArms: boolean): void {
    if (twoArms) this.join();
    const before = this.state;
    let changed = false;
    emit((arm) => () => {
      this.state = before;
      arm();
      if (this.state !== before) changed = true;
      if (changed) this.join();
    });
    this.state = changed ? VARIABLE : before;
  }
}
