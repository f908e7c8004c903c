/**
 * Memory accesses of the region stage: the fast path in the region, through the TLB or a translation found before, and the
 * way to the slow one.
 */
import type { Address, I32, I64, Stage } from '../../isa/stage.ts';
import type { FunctionBuilder, FunctionRef, Local, StoreName, Value, Variable } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import { TLB_INDEX, TLB_READ, TLB_WRITE } from '../interpreter/tlb-access.ts';
import { type KnownTranslations, NO_PAGE, Translations } from './translations.ts';

/** What it needs of the region. */
export interface MemoryEnvironment {
  /** Arena address of the processor's context. */
  readonly context: Local<'i32'>;
  readonly module: {
    /** See RegionModule. */
    readonly regionRead: FunctionRef;
    readonly regionModify: FunctionRef;
    readonly regionWrite: FunctionRef;
  };
}

/** And of the place where the stage is. */
export interface MemoryPlace {
  /** The translations known here. */
  known(): KnownTranslations;
  /** A site of the current instruction, for an access (AccessInfo, see memory/slow-path.ts). */
  site(detail: number): I32;
  /** Leaves at the site that the context names, if `done` is 0. */
  abortUnless(done: Local<'i32'>): void;
}

const INFO_SEGMENT_SHIFT = 8;
const INFO_WRITE = 1 << 16;

export class RegionMemory {
  private readonly x: Stage;
  private readonly f: FunctionBuilder;
  private readonly env: MemoryEnvironment;
  private readonly here: MemoryPlace;
  private readonly translations: Translations;
  /** Address of the current TLB bank. */
  readonly tlb: Variable<'i32'>;

  constructor(x: Stage, env: MemoryEnvironment, here: MemoryPlace) {
    this.x = x;
    this.f = x.f;
    this.env = env;
    this.here = here;
    this.translations = new Translations(x.f);
    this.tlb = x.f.variable('i32', x.f.load('i32.load', env.context, offsetOf('tlb')));
  }

  /** Another bank may be in use from here on. */
  bankChanged(): void {
    this.translations.bankChanged();
  }

  /** Where the current bank has a linear page in each of its tables. */
  tlbEntry(linear: Local<'i64'>): Local<'i32'> {
    const { x } = this;
    const index = x.and(x.shrU(x.wrap(linear), TLB_INDEX.shift), TLB_INDEX.mask);
    return this.f.let(x.add(this.tlb as Value as I32, index));
  }

  /**
   * Arena address of what is accessed, in the TLB or found by the slow path, which gives 0 where there is a fault, or the
   * access is better left to the interpreter: to a device, into translated code.
   *
   * @param write whether it is written, too
   */
  place(address: Address, bytes: number, write = false): Local<'i32'> {
    const { f, env } = this;
    let place: Local<'i32'> | undefined;
    this.access(address, bytes, write, (hit, fast, missed, tag) => {
      const slow = () => {
        const site = this.site(address, bytes, write ? INFO_WRITE : 0);
        const { regionModify, regionRead } = env.module;
        const values = [env.context, address.linear, site, f.i32(bytes - 1), tag];
        const found = f.call(write ? regionModify : regionRead, values) as Local<'i32'>;
        this.here.abortUnless(found);
        missed();
        return found;
      };
      place = f.ifValue('i32', hit, fast, slow, true);
    });
    return place!;
  }

  /** Writes a value. */
  store(operator: StoreName, address: Address, bytes: number, value: Value): void {
    const { f, env } = this;
    const v = f.let(value);
    this.access(address, bytes, true, (hit, fast, missed, tag) => {
      const slow = () => {
        f.store(operator, env.context, v, offsetOf('slowValue'));
        const values = [env.context, address.linear, this.site(address, bytes), f.i32(bytes - 1), tag];
        const done = f.call(env.module.regionWrite, values) as Local<'i32'>;
        this.here.abortUnless(done);
        missed();
      };
      f.if(hit, () => f.store(operator, fast(), v, 0), slow, true);
    });
  }

  private site(address: Address, bytes: number, flags = 0): I32 {
    return this.here.site(bytes | flags | ((address.segment as number) << INFO_SEGMENT_SHIFT));
  }

  /** The page of an access's last byte: no access into a page from the one before it passes for one within the page. */
  private page(linear: Local<'i64'>, bytes: number): I64 {
    const { x } = this;
    return x.and(bytes === 1 ? (linear as I64) : x.add(linear as I64, bytes - 1), this.f.i64(-4096n));
  }

  /**
   * Has the caller choose between `fast`, which gives the arena address, and the slow path, behind which it calls `missed`:
   * as the TLB has the page, or a translation found before is the page's. `tag` is for the slow path, which has no use for it:
   * V8 folds a load that has one use into the comparison, and because it might trap does it a second time.
   */
  private access(
    { linear, origin }: Address,
    bytes: number,
    write: boolean,
    choose: (hit: I32, fast: () => Value<'i32'>, missed: () => void, tag: I64) => void,
  ): void {
    const { x, f, translations } = this;
    const known = this.here.known();
    const place = (addend: Value) => x.add(x.wrap(linear), addend as I32);
    // the page is compared with that of the first byte, so the last one must be known to be on it: if it is aligned
    const kept = bytes <= 8 ? origin : undefined;
    const found = kept && translations.find(known, kept, write);
    if (found) {
      choose(
        x.eq(x.and(linear as I64, f.i64(BigInt(-4096 | (bytes - 1))) as I64), found.page as Value as I64),
        () => place(found.addend),
        () => {},
        f.i64(0) as I64,
      );
      return;
    }
    const { tag, addend } = write ? TLB_WRITE : TLB_READ;
    const entry = this.tlbEntry(linear);
    const load = () => f.load('i32.load', entry, addend);
    const present = f.let(f.load('i64.load', entry, tag)) as I64;
    if (!kept) {
      choose(
        x.eq(present, this.page(linear, bytes)),
        () => place(load()),
        () => {},
        present,
      );
      return;
    }
    const page = f.let(this.page(linear, bytes)) as I64;
    const entered = translations.enter(known, kept, write, page);
    choose(
      x.eq(present, page),
      () => {
        entered.addend.set(load());
        return place(entered.addend);
      },
      () => entered.page.set(f.i64(NO_PAGE)),
      present,
    );
  }
}
