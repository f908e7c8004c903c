/**
 * Memory accesses of the region stage: through the TLB or a translation found before. There is no slow path in regions: they are left
 * for it, which takes little code and no registers.
 */
import type { Address, I32, I64, Stage } from '../../isa/stage.ts';
import type { FunctionBuilder, Local, StoreName, Value, Variable } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import { TLB_INDEX, TLB_READ, TLB_WRITE } from '../interpreter/tlb-access.ts';
import { type KnownTranslations, type Translation, Translations } from './translations.ts';

/** What it needs of the region. */
export interface MemoryEnvironment {
  /** Arena address of the processor's context. */
  readonly context: Local<'i32'>;
}

/** And of the place where the stage is. */
export interface MemoryPlace {
  /** The translations known here. */
  known(): KnownTranslations;
  /** Leaves the region before the current instruction, for which the TLB has not what it needs: the interpreter goes on with it. */
  miss(): void;
}

export class RegionMemory {
  private readonly x: Stage;
  private readonly f: FunctionBuilder;
  private readonly ctx: Local<'i32'>;
  private readonly here: MemoryPlace;
  private readonly translations: Translations;
  /** Address of the current TLB bank. */
  readonly tlb: Variable<'i32'>;

  constructor(x: Stage, env: MemoryEnvironment, here: MemoryPlace) {
    this.x = x;
    this.f = x.f;
    this.ctx = env.context;
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
   * Arena address of what is accessed. The region is left where the TLB does not have it all on one page: the translation may be
   * missing or forbid the access, which may also be to a device, or into translated code.
   *
   * @param write whether it is written, too
   */
  place({ linear, origin }: Address, bytes: number, write = false): Local<'i32'> {
    const { x, f, translations } = this;
    const known = this.here.known();
    // the page is compared with that of the first byte, so the last one must be known to be on it: if it is aligned
    const kept = bytes <= 8 ? origin : undefined;
    if (!kept) return this.translate(linear, bytes, write);
    const found = translations.find(known, kept, write);
    if (!found) return this.translate(linear, bytes, write, translations.enter(known, kept, write));
    const page = x.and(linear as I64, f.i64(BigInt(-4096 | (bytes - 1))) as I64);
    const near = () => x.add(x.wrap(linear), found.addend as Value as I32);
    const far = () => this.translate(linear, bytes, write);
    return f.ifValue('i32', x.eq(page, found.page as Value as I64), near, far, true);
  }

  /** Writes a value. */
  store(operator: StoreName, address: Address, bytes: number, value: Value): void {
    const { f } = this;
    const v = f.let(value);
    f.store(operator, this.place(address, bytes, true), v, 0);
  }

  /** Looks into the TLB. */
  private translate(linear: Local<'i64'>, bytes: number, write: boolean, kept?: Translation): Local<'i32'> {
    const { x, f } = this;
    const { tag, addend } = write ? TLB_WRITE : TLB_READ;
    const entry = this.tlbEntry(linear);
    // of the last byte: no access into a page from the one before it passes for one within the page
    const page = f.let(x.and(bytes === 1 ? (linear as I64) : x.add(linear as I64, bytes - 1), f.i64(-4096n) as I64));
    const present = f.let(f.load('i64.load', entry, tag));
    const miss = () => {
      // nobody reads it: V8 folds a load that has one use into the comparison, and because it might trap does it a second time
      f.store('i64.store', this.ctx, present, offsetOf('slowValue'));
      this.here.miss();
    };
    f.if(x.ne(present as I64, page as I64), miss, undefined, false);
    const distance = f.let(f.load('i32.load', entry, addend));
    if (kept) {
      kept.page.set(page);
      kept.addend.set(distance);
    }
    return f.let(x.add(x.wrap(linear), distance as I32));
  }
}
