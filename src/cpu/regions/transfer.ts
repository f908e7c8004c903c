/**
 * How regions go on elsewhere once the context has everything but rip and the budget: straight to what is there if they know it, else
 * through the interpreter's module. A region's exits of a kind have one end in common: a jump of the region's own is predicted well
 * enough, and one for each exit would be a third of the code.
 */
import type {
  FunctionBuilder,
  FunctionRef,
  Label,
  Local,
  Signature,
  TableRef,
  Value,
  Variable,
} from '../../wasm/index.ts';
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
  private readonly budget: Variable<'i32'>;
  /** Of an exit: its entry of the jump cache, and the target's distance from the context's rip; or the target. */
  private readonly jump: Variable<'i32'>;
  private readonly distance: Variable<'i32'>;
  private readonly target: Variable<'i64'>;
  private readonly ends: Record<'follow' | 'leap' | 'resume', Label | undefined> = {
    follow: undefined,
    leap: undefined,
    resume: undefined,
  };
  private readonly used = new Set<keyof RegionTransfer['ends']>();

  /**
   * @param tlb address of the current TLB bank
   * @param budget of the region, which is stored behind its body
   */
  constructor(f: FunctionBuilder, env: TransferEnvironment, tlb: Variable<'i32'>, budget: Variable<'i32'>) {
    this.f = f;
    this.env = env;
    this.ctx = env.context;
    this.tlb = tlb;
    this.budget = budget;
    this.jump = f.variable('i32');
    this.distance = f.variable('i32');
    this.target = f.variable('i64');
  }

  /** Emits what leaves through this, and behind it what the exits have in common. */
  around(body: () => void): void {
    const { f, ends } = this;
    f.block((follow) => {
      ends.follow = follow;
      f.block((leap) => {
        ends.leap = leap;
        f.block((resume) => {
          ends.resume = resume;
          body();
          f.unreachable();
        });
        this.end('resume', () => this.resumeAt());
      });
      this.end('leap', () => this.leapAt());
    });
    this.end('follow', () => this.followAt());
  }

  private end(kind: keyof RegionTransfer['ends'], emit: () => void): void {
    if (!this.used.has(kind)) {
      this.f.unreachable();
      return;
    }
    this.f.store('i32.store', this.ctx, this.budget as Value, offsetOf('budget'));
    emit();
  }

  private leave(kind: keyof RegionTransfer['ends']): void {
    this.used.add(kind);
    this.f.br(this.ends[kind]!);
  }

  /**
   * To a fixed address, given by its distance from the region's entry, with the exit's own entry of the jump cache.
   *
   * @param samePage whether it is on the page of the exit: then the entry is good as long as the region is
   */
  exit(entry: number, distance: number, samePage: boolean): void {
    this.jump.set(this.f.i32(entry));
    this.distance.set(this.f.i32(distance));
    this.leave(samePage ? 'follow' : 'leap');
  }

  /** To any address. */
  resume(to: Value<'i64'>): void {
    this.target.set(to);
    this.leave('resume');
  }

  /** Moves rip to where a fixed exit goes. */
  private moveRip(): Local<'i64'> {
    const { f } = this;
    const { op } = f;
    const sum = op['i64.add'](f.load('i64.load', this.ctx, offsetOf('rip')), op['i64.extend_i32_s'](this.distance));
    const rip = f.let(this.env.long ? sum : op['i64.and'](sum, f.i64(0xffffffff)));
    f.store('i64.store', this.ctx, rip, offsetOf('rip'));
    return rip;
  }

  private followAt(): void {
    const { f, env } = this;
    const rip = this.moveRip();
    const jump = f.let(this.jump);
    if (env.long) this.enter(jump);
    else f.returnCall(env.module.leap, [this.ctx, jump, rip]);
  }

  private leapAt(): void {
    const { f, env } = this;
    const rip = this.moveRip();
    const jump = f.let(this.jump);
    this.ifKnown(jump, rip);
    f.returnCall(env.module.leap, [this.ctx, jump, rip]);
  }

  private resumeAt(): void {
    const { f, env } = this;
    const rip = f.let(this.target);
    f.store('i64.store', this.ctx, rip, offsetOf('rip'));
    if (env.long) {
      const place = jumpPlace(f, rip);
      this.ifKnown(f.let(f.op['i32.add'](place, f.i32(env.module.jumps))), rip);
    }
    f.returnCall(env.module.resume, [this.ctx]);
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
