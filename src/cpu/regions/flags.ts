/**
 * Arithmetic flags in the region stage. What set them last is kept symbolic, as the operands and result in locals, and
 * turned into the context's two words (see interpreter/flags.ts for their meaning) only where they leave the region or a
 * merge of paths needs one form. Most flags are overwritten before anyone looks.
 */
import type { Bits, FlagName, FlagValues, I32, I64, Int, Stage } from '../../isa/stage.ts';
import type { Local, Value, Variable } from '../../wasm/index.ts';
import type { FieldName } from '../context.ts';

/** What the flags are. */
export type FlagsState =
  /** In the two word variables. */
  | { readonly kind: 'words' }
  /** Those of a + b or a - b giving `result`; `compares` unless a borrow went in. */
  | {
      readonly kind: 'add' | 'sub';
      readonly a: Local;
      readonly b: Local;
      readonly result: Local;
      readonly bits: Bits;
      readonly compares: boolean;
    }
  /** Those of a + 1 or a - 1, with CF given. */
  | {
      readonly kind: 'inc' | 'dec';
      readonly a: Local;
      readonly result: Local;
      readonly carry: Local<'i32'>;
      readonly bits: Bits;
    }
  /** SF, ZF and PF of `result`; CF, OF and AF given, or clear. */
  | {
      readonly kind: 'result';
      readonly result: Local;
      readonly bits: Bits;
      readonly CF?: Local<'i32'>;
      readonly OF?: Local<'i32'>;
      readonly AF?: Local<'i32'>;
    };

const WORDS: FlagsState = { kind: 'words' };
const CARRY_BITS = (3n << 62n) | 8n;
const SIGN_DELTA_SHIFT = 16;
const PARITY_DELTA_SHIFT = 8;

export class LazyFlags {
  private readonly x: Stage;
  private readonly ctx: Local<'i32'>;
  private readonly at: (name: FieldName) => number;
  private resultWord: Variable<'i64'>;
  private carriesWord: Variable<'i64'>;
  state: FlagsState = WORDS;
  /** Whether the current instruction subtracts with borrow, so that its operands do not compare as its flags do. */
  borrows = false;

  constructor(x: Stage, ctx: Local<'i32'>, at: (name: FieldName) => number) {
    this.x = x;
    this.ctx = ctx;
    this.at = at;
    this.resultWord = x.f.variable('i64', x.f.load('i64.load', ctx, at('flagResult')));
    this.carriesWord = x.f.variable('i64', x.f.load('i64.load', ctx, at('flagCarries')));
  }

  // ---- definitions

  arithmetic(kind: 'add' | 'sub' | 'inc' | 'dec', a: Int, b: Int, result: Int, bits: Bits): void {
    const { x } = this;
    const al = x.let(a as Value) as Local;
    const rl = x.let(result as Value) as Local;
    if (kind === 'inc' || kind === 'dec') {
      this.state = { kind, a: al, result: rl, carry: x.let(this.flag('CF')) as Local<'i32'>, bits };
    } else {
      this.state = { kind, a: al, b: x.let(b as Value) as Local, result: rl, bits, compares: !this.borrows };
    }
  }

  logic(result: Int, bits: Bits): void {
    this.state = { kind: 'result', result: this.x.let(result as Value) as Local, bits };
  }

  set(values: FlagValues, bits: Bits): void {
    const { x } = this;
    if (values.result !== undefined && values.CF !== undefined && values.OF !== undefined && values.AF !== undefined) {
      this.state = {
        kind: 'result',
        result: x.let(values.result as Value) as Local,
        bits,
        CF: x.let(values.CF) as Local<'i32'>,
        OF: x.let(values.OF) as Local<'i32'>,
        AF: x.let(values.AF) as Local<'i32'>,
      };
      return;
    }
    const pick = (name: FlagName) => x.let((values[name] ?? this.flag(name)) as I32) as I32;
    if (values.result !== undefined) {
      const r = x.let(this.signed64(values.result, bits));
      const [cf, of, af] = [pick('CF'), pick('OF'), pick('AF')];
      this.settleTo(r, this.carryWord(cf, of, x.shl(x.extendU(af), 3)));
      return;
    }
    if (values.ZF === undefined && values.SF === undefined && values.PF === undefined) {
      const [cf, of, af] = [pick('CF'), pick('OF'), pick('AF')];
      this.settle();
      const kept = x.and(this.carriesWord as Value as I64, x.i64(~CARRY_BITS) as I64);
      this.carriesWord.set(x.or(kept, this.carryWord(cf, of, x.shl(x.extendU(af), 3))));
      this.state = WORDS;
      return;
    }
    this.setAll({ CF: pick('CF'), PF: pick('PF'), AF: pick('AF'), ZF: pick('ZF'), SF: pick('SF'), OF: pick('OF') });
  }

  setLowFlags(value: I32): void {
    const { x } = this;
    const v = x.let(value) as I32;
    const bit = (n: number) => x.let(x.and(n === 0 ? v : x.shrU(v, n), 1)) as I32;
    this.setAll({ CF: bit(0), PF: bit(2), AF: bit(4), ZF: bit(6), SF: bit(7), OF: x.let(this.flag('OF')) as I32 });
  }

  private setAll(flags: Record<FlagName, I32>): void {
    const { x } = this;
    const parityDelta = x.xor(flags.PF, flags.ZF);
    const low = x.or(
      x.or(x.shl(flags.AF, 3), x.shl(parityDelta, PARITY_DELTA_SHIFT)),
      x.shl(flags.SF, SIGN_DELTA_SHIFT),
    );
    const carries = x.let(this.carryWord(flags.CF, flags.OF, x.extendU(low)));
    this.settleTo(x.extendU(x.xor(flags.ZF, 1)), carries);
  }

  private carryWord(cf: I32, of: I32, low: I64): I64 {
    const { x } = this;
    return x.or(x.or(x.shl(x.extendU(cf), 63), x.shl(x.extendU(x.xor(cf, of)), 62)), low);
  }
  private settleTo(result: I64, carries: I64): void {
    const c = this.x.let(carries);
    this.resultWord.set(result);
    this.carriesWord.set(c);
    this.state = WORDS;
  }

  // ---- uses

  private signed64(value: Int, bits: Bits): I64 {
    const { x } = this;
    return bits === 64 ? (value as I64) : x.extendS(x.signExtend(x.toI32(value), bits));
  }
  /** The low `bits` of a value, comparable as unsigned. */
  private unsigned(value: Local, bits: Bits): Int {
    return this.x.zeroExtend(value as Int, bits);
  }
  private signed(value: Local, bits: Bits): Int {
    return this.x.signExtend(value as Int, bits);
  }

  flag(name: FlagName): Value<'i32'> {
    const { x, state } = this;
    if (state.kind === 'words') return this.flagOfWords(name);
    const { result, bits } = state;
    switch (name) {
      case 'ZF':
        return x.eqz(this.unsigned(result, bits));
      case 'SF':
        return x.signBit(result as Int, bits);
      case 'PF':
        return x.xor(x.and(x.popcnt(x.and(x.toI32(result as Int), 0xff)), 1), 1);
      case 'CF':
        if (state.kind === 'result') return state.CF ?? x.i32(0);
        if (state.kind === 'inc' || state.kind === 'dec') return state.carry;
        return x.signBit(x.let(this.carryVector()) as Int, bits);
      case 'OF': {
        if (state.kind === 'result') return state.OF ?? x.i32(0);
        const vector = x.let(this.carryVector()) as Int;
        return x.and(x.toI32(x.shrU(x.xor(vector, x.shl(vector, 1)), bits - 1)), 1);
      }
      case 'AF':
        if (state.kind === 'result') return state.AF ?? x.i32(0);
        return x.and(x.toI32(x.shrU(this.carryVector(), 3)), 1);
    }
  }

  private carryVector(): Int {
    const { x, state } = this;
    if (state.kind === 'words' || state.kind === 'result') throw new Error('no carries');
    const a = state.a as Int;
    const r = state.result as Int;
    const b = state.kind === 'add' || state.kind === 'sub' ? (state.b as Int) : x.constant(1, state.bits);
    if (state.kind === 'add' || state.kind === 'inc') return x.or(x.and(a, b), x.and(x.or(a, b), x.not(r)));
    return x.or(x.and(x.not(a), b), x.and(x.not(x.xor(a, b)), r));
  }

  private flagOfWords(name: FlagName): Value<'i32'> {
    const { x } = this;
    const result = this.resultWord as Value as I64;
    const carries = this.carriesWord as Value as I64;
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
    const flag = (name: FlagName) => this.flag(name) as I32;
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

  /** Conditions that are one comparison of operands, for even condition numbers. */
  private direct(cc: number): Value<'i32'> | undefined {
    const { x, state } = this;
    if (state.kind === 'sub' && state.compares) {
      const { a, b, bits } = state;
      switch (cc) {
        case 2: // B
          return x.ltU(this.unsigned(a, bits), this.unsigned(b, bits));
        case 6: // BE
          return x.leU(this.unsigned(a, bits), this.unsigned(b, bits));
        case 12: // L
          return x.ltS(this.signed(a, bits), this.signed(b, bits));
        case 14: // LE
          return x.eqz(x.let(x.gtS(this.signed(a, bits), this.signed(b, bits))));
        default:
          return undefined;
      }
    }
    if (state.kind === 'result' && state.CF === undefined && state.OF === undefined) {
      switch (cc) {
        case 12: // L: SF
          return x.signBit(state.result as Int, state.bits);
        case 14: // LE: result <= 0
          return x.eqz(x.let(x.gtS(this.signed(state.result, state.bits), 0)));
        default:
          return undefined;
      }
    }
    return undefined;
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

  /** Computes the words without changing what is known: for paths that leave the region. */
  settle(): void {
    const { x, state } = this;
    if (state.kind === 'words') return;
    const { result, bits } = state;
    this.resultWord.set(this.signed64(result as Int, bits));
    if (state.kind === 'result') {
      if (state.CF === undefined) this.carriesWord.set(x.i64(0) as I64);
      else {
        const af = x.shl(x.extendU((state.AF ?? x.i32(0)) as I32), 3);
        this.carriesWord.set(this.carryWord(state.CF as I32, (state.OF ?? x.i32(0)) as I32, af));
      }
      return;
    }
    const vector = x.let(this.carryVector()) as Int;
    if (state.kind === 'inc' || state.kind === 'dec') {
      const of = x.let(x.and(x.toI32(x.shrU(x.xor(vector, x.shl(vector, 1)), bits - 1)), 1)) as I32;
      this.carriesWord.set(this.carryWord(state.carry as I32, of, x.and(x.toI64(vector), 8)));
      return;
    }
    if (bits === 64) this.carriesWord.set(x.and(vector as I64, x.i64(CARRY_BITS) as I64));
    else {
      const high = x.shl(x.extendU(x.and(x.shrU(vector as I32, bits - 2), 3)), 62);
      this.carriesWord.set(x.or(high, x.extendU(x.and(vector as I32, 8))));
    }
  }

  /** Makes the words the only form: where paths merge. */
  settleForGood(): void {
    this.settle();
    this.state = WORDS;
  }

  /** At the start of a merge: its predecessors have made words. */
  forget(): void {
    this.state = WORDS;
  }

  /** Stores the words to the context. */
  store(): void {
    const { f } = this.x;
    this.settle();
    f.store('i64.store', this.ctx, this.resultWord as Value, this.at('flagResult'));
    f.store('i64.store', this.ctx, this.carriesWord as Value, this.at('flagCarries'));
  }

  /**
   * Emits a conditional whose arms may set flags. `emit` gets a wrapper for each arm. With a single arm that leaves the
   * flags alone nothing is computed.
   */
  conditional(emit: (both: (arm: () => void) => () => void) => void, twoArms: boolean): void {
    if (twoArms) this.settleForGood();
    const before = this.state;
    let changed = false;
    emit((arm) => () => {
      this.state = before;
      arm();
      if (this.state !== before) {
        this.settleForGood();
        changed = true;
      } else if (changed) this.settle();
    });
    this.state = changed ? WORDS : before;
  }
}
