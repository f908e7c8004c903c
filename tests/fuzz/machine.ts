/** A processor with a little memory and a device, whose runs can be compared with another one's. */
import { SILENT } from '../../src/bus/log.ts';
import type { AccessSize } from '../../src/bus/ports.ts';
import { CONTEXT, type FieldName, FS, GS } from '../../src/cpu/context.ts';
import type { LocalApic } from '../../src/cpu/cpu.ts';
import { readFlags } from '../../src/cpu/flags.ts';
import { Arena, PhysicalSpace } from '../../src/cpu/memory/index.ts';
import { cpuModel } from '../../src/cpu/model.ts';
import {
  CODE_LIMITS,
  type CodeLimits,
  type EngineKind,
  Processor,
  processorOverhead,
} from '../../src/cpu/processor.ts';
import {
  BatchCompiler,
  type CompiledBatch,
  type RegionBatch,
  type RegionCompiler,
} from '../../src/cpu/regions/background.ts';
import { Activity } from '../../src/cpu/state.ts';
import { noteInterrupts } from '../../src/cpu/system/interrupts.ts';
import { resetCpu } from '../../src/cpu/system/reset.ts';
import { RAM_BYTES } from './flavours.ts';
import type { FuzzProgram } from './program.ts';

/** Accesses with this address bit set raise an interrupt at once. */
const RAISES = 0x400;
const DEVICE_VECTOR = 0x50;
const ACTIVITIES = Object.entries(Activity);
/** Accesses to devices that are remembered, for reports. */
const REMEMBERED = 32;
/** Runs in a row in which no instruction completes until a program counts as stuck. */
const MOST_VAIN = 3;
const CODE_BYTES = 8 * 2 ** 20;

/** Something that comes from outside between two runs. */
export type FuzzEvent =
  | { readonly kind: 'interrupt'; readonly vector: number }
  | { readonly kind: 'nmi' }
  /** A device writes to memory. */
  | { readonly kind: 'write'; readonly physical: number; readonly bytes: Uint8Array };

/** A local APIC with one vector and the NMI. */
class OneVector implements LocalApic {
  private readonly changed: () => void;
  private waitingVector = -1;
  private waitingNmi = false;
  cr8 = 0;
  apicBase = 0xfee0_0900n;
  /** @param changed is told whenever `waiting` may have changed */
  constructor(changed: () => void) {
    this.changed = changed;
  }
  get vector(): number {
    return this.waitingVector;
  }
  set vector(vector: number) {
    this.waitingVector = vector;
    this.changed();
  }
  get nmiPending(): boolean {
    return this.waitingNmi;
  }
  set nmiPending(pending: boolean) {
    this.waitingNmi = pending;
    this.changed();
  }
  get waiting(): boolean {
    return this.vector >= 0 || this.nmiPending;
  }
  pending(): number {
    return this.vector >> 4 > this.cr8 ? this.vector : -1;
  }
  acknowledge(): number {
    const { vector } = this;
    this.vector = -1;
    return vector;
  }
  externalPending(): boolean {
    return false;
  }
  acknowledgeExternal(): number {
    return 0;
  }
  readMsr(): undefined {}
  writeMsr(): boolean {
    return false;
  }
}

/** Gives what it has compiled to the first who asks for it after that; and is in no hurry. */
class DelayedCompiler implements RegionCompiler {
  private readonly compiler: BatchCompiler;
  private readonly batches: RegionBatch[] = [];
  private asked = 0;
  constructor(compiler: BatchCompiler) {
    this.compiler = compiler;
  }
  submit(batch: RegionBatch): void {
    this.batches.push(structuredClone(batch));
  }
  poll(): CompiledBatch | undefined {
    if (this.batches.length === 0 || ++this.asked % 3 !== 0) return undefined;
    return this.compiler.compile(this.batches.shift()!);
  }
}

/** The context's fields before this one are the processor's state; those behind belong to the engine. */
const ARCHITECTURAL_BYTES = CONTEXT.mode.offset;
const FIELDS = (Object.keys(CONTEXT) as FieldName[]).filter((name) => CONTEXT[name].offset < ARCHITECTURAL_BYTES);
const WIDTHS = { u8: 1, u16: 2, u32: 4, u64: 8, u128: 16 } as const;

export class FuzzMachine {
  readonly processor: Processor;
  /** Guest memory, as it is in the arena. */
  readonly memory: Uint8Array;
  /** The last accesses to devices. */
  readonly accesses: string[] = [];
  private readonly apic = new OneVector(() => noteInterrupts(this.processor.cpu));
  private readonly physical: PhysicalSpace;
  private start = 0;
  /** A hash of all accesses to devices since the program began. */
  private accessHash = 0;

  /** @param elsewhere whether regions are compiled as on another thread: from copies, and not at once */
  constructor(engine: EngineKind, limits: Partial<CodeLimits> = {}, elsewhere = false) {
    const model = cpuModel('amd');
    const own = { ...CODE_LIMITS, codeBytes: CODE_BYTES, ...limits };
    const arena = new Arena({
      ramBytes: RAM_BYTES,
      overheadBytes: processorOverhead(own) + PhysicalSpace.overheadBytes(RAM_BYTES),
    });
    this.physical = new PhysicalSpace(arena, {
      limit: RAM_BYTES,
      log: SILENT,
      mmio: {
        readMmio: (address, size) => this.accessed('read', address, size, 0),
        writeMmio: (address, size, value) => void this.accessed('write', address, size, value),
      },
    });
    this.physical.addRam(0, RAM_BYTES);
    this.processor = new Processor({
      arena,
      physical: this.physical,
      model,
      regionCompiler: elsewhere
        ? new DelayedCompiler(new BatchCompiler(model.features, (bytes) => new WebAssembly.Module(bytes)))
        : undefined,
      ports: {
        readPort: (port, size) => this.accessed('in', port, size, 0),
        writePort: (port, size, value) => void this.accessed('out', port, size, value),
      },
      clock: { now: () => this.retired },
      entropy: { fill: (target) => void target.fill(0x5a) },
      log: SILENT,
      apicId: 0,
      engine,
      limits: own,
      shutdown() {},
    });
    this.processor.cpu.apic = this.apic;
    // takes every frame, in order
    this.physical.copyIn(0, new Uint8Array(RAM_BYTES).fill(1));
    const first = this.physical.hostPage(0);
    if (this.physical.hostPage(RAM_BYTES - 1) !== first + RAM_BYTES - 4096)
      throw new Error('frames are not contiguous');
    this.memory = arena.bytes.subarray(first, first + RAM_BYTES);
  }

  /** Instructions retired since the program began. */
  get retired(): number {
    return (this.processor?.engine?.retired ?? 0) - this.start;
  }

  /** A device access: its result, and the interrupt it may raise, depend on when it is. */
  private accessed(kind: string, address: number, size: AccessSize, value: number): number {
    const { retired } = this;
    if (this.accesses.length === REMEMBERED) this.accesses.shift();
    this.accesses.push(`${kind}${8 * size} ${address.toString(16)} ${value.toString(16)} at ${retired}`);
    for (const part of [kind.length, address, size, value, retired])
      this.accessHash = (Math.imul(this.accessHash ^ part, 0x9e37_79b1) + (this.accessHash >>> 15)) | 0;
    if (address & RAISES) {
      this.apic.vector = DEVICE_VECTOR + (address & 0xf);
      this.processor.engine.kick();
    }
    return (this.accessHash >>> 0) & (size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1);
  }

  /** Begins a program; nothing is left of the one before. */
  load(program: FuzzProgram): void {
    const { cpu, engine, blocks } = this.processor;
    blocks.flush();
    this.physical.copyIn(0, program.image);
    Object.assign(this.apic, { vector: -1, nmiPending: false, cr8: 0 });
    this.accesses.length = 0;
    this.accessHash = 0;
    this.start = engine.retired;
    resetCpu(cpu, 'power-on');
    program.world.enter(cpu);
    const { gpr, fsBase, gsBase } = program.state;
    cpu.gpr.set(gpr);
    if (program.flavour.bits !== 64) return;
    cpu.segments[FS].base = fsBase;
    cpu.segments[GS].base = gsBase;
  }

  /** Runs so many instructions, less if the processor stops or exceptions follow one another without end. */
  run(instructions: number): void {
    const { cpu, engine } = this.processor;
    const end = engine.retired + instructions;
    for (let vain = 0; vain < MOST_VAIN && engine.retired < end && cpu.activity === Activity.RUNNING; ) {
      const before = engine.retired;
      engine.run(end - before);
      vain = engine.retired === before ? vain + 1 : 0;
    }
  }

  get activity(): number {
    return this.processor.cpu.activity;
  }

  apply(event: FuzzEvent): void {
    switch (event.kind) {
      case 'interrupt':
        this.apic.vector = event.vector;
        break;
      case 'nmi':
        this.apic.nmiPending = true;
        break;
      case 'write':
        this.physical.copyIn(event.physical, event.bytes);
        break;
    }
  }

  /** Lets a halted processor take an interrupt. */
  wake(): void {
    this.processor.engine.run(1);
  }

  /** The processor's state with its flags settled, as bytes; the context itself stays as it is. */
  private state(): Uint8Array {
    const { cpu } = this.processor;
    const context = cpu.bytes.subarray(cpu.base, cpu.base + ARCHITECTURAL_BYTES);
    const before = context.slice();
    readFlags(cpu);
    const settled = context.slice();
    context.set(before);
    return settled;
  }

  /** Differences from another machine in words; none if there are none. */
  differences(other: FuzzMachine): string[] {
    const found: string[] = [];
    if (this.retired !== other.retired) found.push(`retired ${this.retired}, ${other.retired}`);
    const states = [this.state(), other.state()];
    for (const name of FIELDS) {
      const { offset, kind, count } = CONTEXT[name];
      for (let i = 0; i < count; i++) {
        const at = offset + i * WIDTHS[kind];
        const [a, b] = states.map((state) => hex(state.subarray(at, at + WIDTHS[kind])));
        if (a !== b) found.push(`${name}${count > 1 ? `[${i}]` : ''} ${a}, ${b}`);
      }
    }
    const [a, b] = [readFlags(this.processor.cpu), readFlags(other.processor.cpu)];
    if (a !== b) found.push(`rflags ${a.toString(16)}, ${b.toString(16)}`);
    if (this.accessHash !== other.accessHash)
      found.push(`device accesses\n  ${this.accesses.join('; ')}\n  ${other.accesses.join('; ')}`);
    return [...found, ...this.memoryDifferences(other)];
  }

  /** Quickly, whether there is any difference. */
  equals(other: FuzzMachine): boolean {
    return (
      this.retired === other.retired &&
      this.accessHash === other.accessHash &&
      Buffer.compare(this.state(), other.state()) === 0 &&
      Buffer.compare(this.memory, other.memory) === 0
    );
  }

  private memoryDifferences(other: FuzzMachine): string[] {
    const found: string[] = [];
    for (let at = 0; at < RAM_BYTES && found.length < 8; at += 8) {
      const [x, y] = [this, other].map(({ memory }) => hex(memory.subarray(at, at + 8)));
      if (x !== y) found.push(`memory ${at.toString(16)}: ${x}, ${y}`);
    }
    return found;
  }

  /** State for readers: where the processor is, and what it does. */
  get place(): string {
    const { cpu } = this.processor;
    const activity = ACTIVITIES.find(([, value]) => value === cpu.activity)?.[0] ?? '?';
    return `${cpu.segments[1].selector.toString(16)}:${cpu.rip.toString(16)} ${activity.toLowerCase()} after ${this.retired}`;
  }
}

/** Bytes of a number, the most significant first. */
function hex(littleEndian: Uint8Array): string {
  return Buffer.from(littleEndian).reverse().toString('hex');
}
