/**
 * How regions go on elsewhere once the context has everything but rip: straight to what is there if they know it, each by a jump of
 * its own, which processors predict better than one that all share; else through the interpreter's module.
 */
import type { FunctionBuilder, FunctionRef, Local, Signature, TableRef, Variable } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import { TLB_GENERATIONS } from '../interpreter/tlb-access.ts';
import { jumpPlace } from '../interpreter/transfer.ts';
import { JUMP_ENTRY } from '../memory/jump-cache.ts';

/** What it needs to know of the region. */
export interface TransferEnvironment {
  /** Arena address of the processor's context. */
  readonly context: Local<'i32'>;
  readonly long: boolean;
  readonly mode: number;
  readonly upper: boolean;
  readonly module: {
    readonly signature: Signature<readonly ['i32']>;
    readonly table: TableRef;
    readonly resume: FunctionRef;
    readonly leap: FunctionRef;
    readonly jumps: number;
  };
}

export class RegionTransfer {
  private readonly f: FunctionBuilder;
  private readonly env: TransferEnvironment;
  private readonly ctx: Local<'i32'>;
  private readonly tlb: Variable<'i32'>;

  /** @param tlb address of the current TLB bank */
  constructor(f: FunctionBuilder, env: TransferEnvironment, tlb: Variable<'i32'>) {
    this.f = f;
    this.env = env;
    this.ctx = env.context;
    this.tlb = tlb;
  }

  /** To a fixed address on the same page, with the exit's own entry of the jump cache, which is good as long as the region is. */
  follow(entry: number, to: Local<'i64'>): void {
    const { f } = this;
    this.setRip(to);
    const jump = f.let(f.i32(entry));
    if (this.env.long) this.enter(jump);
    else f.returnCall(this.env.module.leap, [this.ctx, jump, to]);
  }

  /** To a fixed address on another page. */
  leap(entry: number, to: Local<'i64'>): void {
    const { f } = this;
    this.setRip(to);
    const jump = f.let(f.i32(entry));
    this.ifKnown(jump, to);
    f.returnCall(this.env.module.leap, [this.ctx, jump, to]);
  }

  /** To any address. */
  resume(to: Local<'i64'>): void {
    const { f, env } = this;
    this.setRip(to);
    if (env.long) {
      const place = jumpPlace(f, to);
      this.ifKnown(f.let(f.op['i32.add'](place, f.i32(env.module.jumps))), to);
    }
    f.returnCall(env.module.resume, [this.ctx]);
  }

  private setRip(to: Local<'i64'>): void {
    this.f.store('i64.store', this.ctx, to, offsetOf('rip'));
  }

  /**
   * Jumps if the entry is for the address and up to date. In 64-bit code; whether linear addresses are in the upper half is what
   * it was where the region was found: where it is not, generations differ.
   */
  private ifKnown(jump: Local<'i32'>, to: Local<'i64'>): void {
    const { f, env } = this;
    const { op } = f;
    if (!env.long) return;
    f.block((elsewhere) => {
      f.brIf(elsewhere, op['i64.ne'](f.load('i64.load', jump, JUMP_ENTRY.linear), to), false);
      const generation = f.load('i32.load', this.tlb, TLB_GENERATIONS + (env.upper ? 4 : 0));
      const key = op['i32.or'](generation, f.i32(env.mode));
      f.brIf(elsewhere, op['i32.ne'](f.load('i32.load', jump, JUMP_ENTRY.key), key), false);
      this.enter(jump);
    });
  }

  private enter(jump: Local<'i32'>): void {
    const { signature, table } = this.env.module;
    this.f.returnCallIndirect(signature, this.f.load('i32.load', jump, JUMP_ENTRY.handler), [this.ctx, jump], table);
  }
}
