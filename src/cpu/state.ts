import { CONTEXT, type FieldName, SEGMENT, SEGMENT_SIZE } from './context.ts';

type Spec = typeof CONTEXT;
/** Scalar fields as numbers (u8, u16, u32) and bigints (u64). */
type NumberField =
  | 'gdtrLimit'
  | 'idtrLimit'
  | 'x87Control'
  | 'x87Status'
  | 'x87Tag'
  | 'x87Opcode'
  | 'x87Cs'
  | 'x87Ds'
  | 'mxcsr'
  | 'guestAsid'
  | 'nestedPaging'
  | 'cpl'
  | 'guestMode'
  | 'gif'
  | 'interruptShadow'
  | 'shadowBudget'
  | 'interruptWaiting'
  | 'nmiBlocked'
  | 'activity'
  | 'apicId'
  | 'mode'
  | 'tlb'
  | 'jumps'
  | 'tlbUser'
  | 'budget'
  | 'record'
  | 'site'
  | 'flagKind'
  | 'pending'
  | 'hostInterruptFlag'
  | 'hostSingleStep'
  | 'singleStep'
  | 'lbrVirtualization'
  | 'pauseCount'
  | 'pauseFilterCount'
  | 'pauseFilterThreshold'
  | 'dr6Pending'
  | 'nestedPagingMode'
  | 'faultVector'
  | 'faultErrorCode'
  | 'faultHasErrorCode';
type ArrayField =
  | 'gpr'
  | 'segments'
  | 'dr'
  | 'mtrrPhys'
  | 'mtrrFixed'
  | 'xmm'
  | 'x87'
  | 'intercepts'
  | 'slowValue'
  | 'tlbSupervisor'
  | 'scratch'
  | 'machineCheckControl'
  | 'perfEventSelect'
  | 'perfCounter';
type BigintField = Exclude<keyof Spec, NumberField | ArrayField>;

type Fields = { [K in NumberField]: number } & { [K in BigintField]: bigint };

/** What ended an instruction early (`pending`). */
export const Pending = {
  NONE: 0,
  /** An exception: faultVector, faultErrorCode, faultHasErrorCode, faultAddress. */
  FAULT: 1,
  /** A #VMEXIT to the hypervisor inside: exitCode, exitInfo1, exitInfo2. */
  GUEST_EXIT: 2,
  /** A region leaves the instruction to the interpreter: a device access or a write to translated code. */
  INTERPRET: 3,
} as const;

/**
 * What is held back until the instruction after the current one completes (`interruptShadow`). Bit 0 is the one a VMCB
 * has: it stands for interrupts. Bit 1 holds back debug traps too (SDM vol. 3A 6.8.3).
 */
export const InterruptShadow = { NONE: 0, STI: 1, MOV_SS: 3, DEBUG_TRAPS: 2 } as const;

/** Processor activity (`activity`). */
export const Activity = { RUNNING: 0, HALTED: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3, MWAIT: 4 } as const;

/**
 * One processor's state: typed views over its context in the arena. Scalar fields are properties of the same name
 * (`cpu.cr0`, bigint for 64-bit fields), arrays are typed array views. Hot code reads `u32` at `word(name)` instead.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the accessors are defined from the layout table below
export class CpuState {
  /** Address of the context in the arena. */
  readonly base: number;
  /** The whole arena. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The context as 32-bit words; index with {@link word}. */
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8-R15. */
  readonly gpr: BigUint64Array;
  readonly dr: BigUint64Array;
  readonly mtrrPhys: BigUint64Array;
  readonly mtrrFixed: BigUint64Array;
  readonly machineCheckControl: BigUint64Array;
  readonly perfEventSelect: BigUint64Array;
  readonly perfCounter: BigUint64Array;
  readonly intercepts: Uint32Array;
  readonly slowValue: BigUint64Array;
  readonly scratch: BigUint64Array;
  /** XMM0-XMM15, 16 bytes each. */
  readonly xmm: Uint8Array;
  readonly segments: Segment[];

  constructor(memory: ArrayBufferLike, base: number, size: number) {
    this.base = base;
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory, base, size);
    this.u32 = new Uint32Array(memory, base, size >> 2);
    this.i32 = new Int32Array(memory, base, size >> 2);
    this.u64 = new BigUint64Array(memory, base, size >> 3);
    const u64s = (name: FieldName) => new BigUint64Array(memory, base + CONTEXT[name].offset, CONTEXT[name].count);
    this.gpr = u64s('gpr');
    this.dr = u64s('dr');
    this.mtrrPhys = u64s('mtrrPhys');
    this.mtrrFixed = u64s('mtrrFixed');
    this.machineCheckControl = u64s('machineCheckControl');
    this.perfEventSelect = u64s('perfEventSelect');
    this.perfCounter = u64s('perfCounter');
    this.slowValue = u64s('slowValue');
    this.scratch = u64s('scratch');
    this.intercepts = new Uint32Array(memory, base + CONTEXT.intercepts.offset, CONTEXT.intercepts.count);
    this.xmm = new Uint8Array(memory, base + CONTEXT.xmm.offset, 16 * CONTEXT.xmm.count);
    this.segments = Array.from({ length: 8 }, (_, i) => new Segment(this, CONTEXT.segments.offset + i * SEGMENT_SIZE));
  }
}

export interface CpuState extends Fields {}

/** Index of a field in `u32` (its low word if 64 bits wide). */
export function word(name: FieldName, index = 0): number {
  const { kind, offset } = CONTEXT[name];
  return (offset >> 2) + index * (kind === 'u64' ? 2 : kind === 'u128' ? 4 : 1);
}

/** A segment register with its hidden part. Assign through {@link ../system/segments.ts} so that the fast limits follow. */
export class Segment {
  private readonly state: CpuState;
  private readonly offset: number;
  constructor(state: CpuState, offset: number) {
    this.state = state;
    this.offset = offset;
  }
  get base(): bigint {
    return this.state.u64[(this.offset + SEGMENT.base) >> 3];
  }
  set base(value: bigint) {
    this.state.u64[(this.offset + SEGMENT.base) >> 3] = value;
  }
  get limit(): number {
    return this.state.u32[(this.offset + SEGMENT.limit) >> 2];
  }
  set limit(value: number) {
    this.state.u32[(this.offset + SEGMENT.limit) >> 2] = value;
  }
  get selector(): number {
    return this.state.view.getUint16(this.offset + SEGMENT.selector, true);
  }
  set selector(value: number) {
    this.state.view.setUint16(this.offset + SEGMENT.selector, value, true);
  }
  /** VMCB format: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11. */
  get attributes(): number {
    return this.state.view.getUint16(this.offset + SEGMENT.attributes, true);
  }
  set attributes(value: number) {
    this.state.view.setUint16(this.offset + SEGMENT.attributes, value, true);
  }
  get readEnd(): bigint {
    return this.state.u64[(this.offset + SEGMENT.readEnd) >> 3];
  }
  set readEnd(value: bigint) {
    this.state.u64[(this.offset + SEGMENT.readEnd) >> 3] = value;
  }
  get writeEnd(): bigint {
    return this.state.u64[(this.offset + SEGMENT.writeEnd) >> 3];
  }
  set writeEnd(value: bigint) {
    this.state.u64[(this.offset + SEGMENT.writeEnd) >> 3] = value;
  }
}

for (const [name, { kind, count, offset }] of Object.entries(CONTEXT)) {
  if (count !== 1) continue;
  const accessors: PropertyDescriptor & ThisType<CpuState> =
    kind === 'u64'
      ? {
          get() {
            return this.u64[offset >> 3];
          },
          set(value: bigint) {
            this.u64[offset >> 3] = value;
          },
        }
      : kind === 'u32'
        ? {
            get() {
              return this.u32[offset >> 2];
            },
            set(value: number) {
              this.u32[offset >> 2] = value;
            },
          }
        : {
            get() {
              return this.view.getUint16(offset, true);
            },
            set(value: number) {
              this.view.setUint16(offset, value, true);
            },
          };
  Object.defineProperty(CpuState.prototype, name, accessors);
}
