/**
 * Memory accesses of the region stage: through the TLB or a translation found before. There is no slow path in regions: they are left
 * for it, which takes little code and no registers.
 */
import type { Address, I32, I64, Stage } from '../../isa/stage.ts';
import type { FunctionBuilder, Local, StoreName, Value, Variable } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import { TLB_INDEX, TLB_READ, TLB_WRITE } from '../interpreter/tlb-access.ts';
import type { KnownTranslations, Neighbours } from './translations.ts';

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
  /** Address of the current TLB bank. */
  readonly tlb: Variable<'i32'>;

  constructor(x: Stage, env: MemoryEnvironment, here: MemoryPlace) {
    this.x = x;
    this.f = x.f;
    this.ctx = env.context;
    this.here = here;
    this.tlb = x.f.variable('i32', x.f.load('i32.load', env.context, offsetOf('tlb')));
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
    const { x, f } = this;
    if (!origin) return this.translate(linear, bytes, write);
    const known = this.here.known();
    const near = known.find(origin, bytes, write);
    if (!near) return this.translate(linear, bytes, write, known.enter(origin, f, bytes, write));
    return f.let(x.add(x.wrap(linear), near.addend as Value as I32));
  }

  /** Writes a value. */
  store(operator: StoreName, address: Address, bytes: number, value: Value): void {
    const { f } = this;
    const v = f.let(value);
    f.store(operator, this.place(address, bytes, true), v, 0);
  }

  /** Looks into the TLB, for other accesses too. */
  private translate(linear: Local<'i64'>, bytes: number, write: boolean, near?: Neighbours): Local<'i32'> {
    const { x, f } = this;
    const { tag, addend } = write ? TLB_WRITE : TLB_READ;
    const first = near ? (f.let(x.add(linear as I64, near.first.constant as I64)) as Local<'i64'>) : linear;
    const entry = this.tlbEntry(first);
    // of the last byte: no access into a page from the one before it passes for one within the page
    const last = near ? x.add(first as I64, near.last.constant as I64) : x.add(first as I64, bytes - 1);
    const page = f.let(x.and(last, f.i64(-4096n) as I64));
    const present = f.let(f.load('i64.load', entry, tag));
    const miss = () => {
      // nobody reads it: V8 folds a load that has one use into the comparison, and because it might trap does it a second time
      f.store('i64.store', this.ctx, present, offsetOf('slowValue'));
      this.here.miss();
    };
    f.if(x.ne(present as I64, page as I64), miss, undefined, false);
    const distance = f.let(f.load('i32.load', entry, addend));
    near?.addend.set(distance);
    return f.let(x.add(x.wrap(linear), distance as I32));
  }
}
