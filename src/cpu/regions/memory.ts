/**
 * Memory accesses of the region stage: a look into the TLB, or what an earlier one found that was for this access too. There is no slow
 * path in regions: they are left for it, which takes little code and no registers.
 */
import type { Address, I32, I64, Stage } from '../../isa/stage.ts';
import type { Deferred, FunctionBuilder, Local, StoreName, Value, Variable } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import { TLB_INDEX, TLB_READ, TLB_WRITE } from '../interpreter/tlb-access.ts';
import type { KnownTranslations, Neighbours } from './translations.ts';

/** What it needs of the region. */
export interface MemoryEnvironment {
  /** Arena address of the processor's context. */
  readonly context: Local<'i32'>;
  /** Whether each access looks into the TLB for itself. */
  readonly apart: boolean;
}

/** And of the place where the stage is. */
export interface MemoryPlace {
  /** The translations known here. */
  known(): KnownTranslations;
  /** Leaves the region before the current instruction, for which the TLB has not what it needs: the interpreter goes on with it. */
  miss(): void;
}

/** Where in the arena an access is. */
export interface Place {
  readonly address: Local<'i32'>;
  /** To be added to the address by the access itself. */
  readonly offset: number | Deferred;
}

export class RegionMemory {
  private readonly x: Stage;
  private readonly f: FunctionBuilder;
  private readonly ctx: Local<'i32'>;
  private readonly here: MemoryPlace;
  private readonly apart: boolean;
  /** Address of the current TLB bank. */
  readonly tlb: Variable<'i32'>;

  constructor(x: Stage, env: MemoryEnvironment, here: MemoryPlace) {
    this.x = x;
    this.f = x.f;
    this.ctx = env.context;
    this.apart = env.apart;
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
   * Where in the arena an access is. The region is left where the TLB does not have it all on one page: the translation may be
   * missing or forbid the access, which may also be to a device, or into translated code.
   *
   * @param write whether it is written, too
   */
  place(address: Address, bytes: number, write = false): Place {
    const { origin } = address;
    if (!origin || this.apart) return { address: this.translate(address.linear, bytes, write), offset: 0 };
    const known = this.here.known();
    const found = known.find(origin, bytes, write);
    const near = found ?? known.enter(origin, this.f, bytes, write);
    if (!found) this.translateAll(address.linear, near);
    const { host } = near;
    return { address: host as Value as Local<'i32'>, offset: () => origin.distance - near.low };
  }

  /** Writes a value. */
  store(operator: StoreName, address: Address, bytes: number, value: Value): void {
    const { f } = this;
    const v = f.let(value);
    const place = this.place(address, bytes, true);
    f.store(operator, place.address, v, place.offset);
  }

  /** Looks into the TLB for an access; gives its arena address. */
  private translate(linear: Local<'i64'>, bytes: number, write: boolean): Local<'i32'> {
    const { x, f } = this;
    const { tag, addend } = write ? TLB_WRITE : TLB_READ;
    const entry = this.tlbEntry(linear);
    this.require(entry, x.add(linear as I64, bytes - 1), tag);
    return f.let(x.add(x.wrap(linear), f.load('i32.load', entry, addend) as I32));
  }

  /** Looks into the TLB for an access, given by its address, and its neighbours. */
  private translateAll(linear: Local<'i64'>, near: Neighbours): void {
    const { x, f } = this;
    const fields = () => (near.writable ? TLB_WRITE : TLB_READ);
    const first = f.let(x.add(linear as I64, f.laterI64(() => near.low - near.origin) as I64)) as Local<'i64'>;
    const entry = this.tlbEntry(first);
    const last = x.add(first as I64, f.laterI64(() => near.high - near.low - 1) as I64);
    this.require(entry, last, () => fields().tag);
    near.host.set(x.add(x.wrap(first), f.load('i32.load', entry, () => fields().addend) as I32));
  }

  /** Leaves the region unless a TLB entry, which is for the page of the first byte, is for that of the last one. */
  private require(entry: Local<'i32'>, last: I64, tag: number | Deferred): void {
    const { x, f } = this;
    const page = f.let(x.and(last, f.i64(-4096n) as I64));
    const present = f.let(f.load('i64.load', entry, tag));
    const miss = () => {
      // for REGION_MISSES; besides, V8 folds a load that has one use into the comparison, and because it might trap does it a second time
      f.store('i64.store', this.ctx, present, offsetOf('slowValue'));
      this.here.miss();
    };
    f.if(x.ne(present as I64, page as I64), miss, undefined, false);
  }
}
