/**
 * A mini machine for tests of single instructions in 64-bit mode: a context, the handlers of a few instructions, a page
 * of memory that is always reached through the slow path, no system.
 */
import { SILENT } from '../../bus/log.ts';
import { HELPERS, type HelperName } from '../../isa/helpers.ts';
import { INSTRUCTIONS } from '../../isa/index.ts';
import type { Feature, Instruction } from '../../isa/instruction.ts';
import { type Stage, Vector } from '../../isa/stage.ts';
import { InstructionTable } from '../../isa/table.ts';
import type { Local } from '../../wasm/index.ts';
import { CONTEXT_SIZE } from '../context.ts';
import { Cpu, type LinearMemory } from '../cpu.ts';
import { BlockCache } from '../decode/blocks.ts';
import { ABORTED, setFault, setPageFault } from '../fault.ts';
import { readFlags, writeFlags } from '../flags.ts';
import { lightHelpers } from '../light/index.ts';
import { x87 } from '../light/x87-helper.ts';
import { TLB_BANK_SIZE } from '../memory/tlb.ts';
import { MODE_64, MODE_OSFXSR } from '../mode.ts';
import { Pending } from '../state.ts';
import { CR0, CR4 } from '../system/registers.ts';
import { buildHandlers, type Handlers } from './handlers.ts';
import { Exit, RECORD } from './record.ts';

/** Linear address and size of the only memory there is. */
export const MEMORY_BASE = 0x1_0000;
export const MEMORY_SIZE = 0x1000;

const ARENA_PAGES = 64;
const CONTEXT_ADDRESS = 0x1_0000;
const TLB_ADDRESS = 0x10_0000;
const RECORDS = { start: 0x3_0000, size: 0x1_0000 };
/** Where code is put. */
const CODE_ADDRESS = 0x5_0000;

/** The exception an instruction ended with. */
export interface Raised {
  vector: number;
  errorCode?: number;
}

/** The instruction with its immediates as constants, as the region stage emits it. */
export function withConstantImmediates(definition: Instruction, ...immediates: number[]): Instruction {
  return {
    ...definition,
    execute(x) {
      const folded = Object.create(x) as Stage;
      const operandCount = definition.encodings[0].split(',').length;
      const first = operandCount - immediates.length;
      folded.operand = (i) => (x.kind(i) === 'immediate' ? (x.f.i32(immediates[i - first]) as Local) : x.operand(i));
      definition.execute(folded);
    },
  };
}

/** The instructions of a mnemonic. */
export function named(...mnemonics: string[]): Instruction[] {
  return INSTRUCTIONS.filter(({ mnemonic }) => mnemonics.includes(mnemonic));
}

export class TestMachine {
  readonly cpu: Cpu;
  /** Guest memory from MEMORY_BASE on. */
  readonly memory = new Uint8Array(MEMORY_SIZE);
  private readonly handlers: Handlers;
  private readonly blocks: BlockCache;

  constructor(instructions: readonly Instruction[]) {
    const arena = new WebAssembly.Memory({ initial: ARENA_PAGES });
    const cpu = new Cpu(arena.buffer, CONTEXT_ADDRESS);
    if (CONTEXT_SIZE > RECORDS.start - CONTEXT_ADDRESS) throw new Error('the test machine has no room for the context');
    this.cpu = cpu;
    cpu.log = SILENT;
    cpu.linear = this.linear();
    cpu.mode = MODE_64 | MODE_OSFXSR;
    cpu.cr0 = BigInt(CR0.PE | CR0.NE);
    cpu.cr4 = BigInt(CR4.OSFXSR | CR4.OSXMMEXCPT);
    cpu.mxcsr = 0x1f80;
    cpu.x87Control = 0x37f;
    cpu.x87Tag = 0xffff;
    cpu.tlb = TLB_ADDRESS;
    // tags that no page has: every access takes the slow path
    cpu.bytes.fill(0xff, TLB_ADDRESS, TLB_ADDRESS + TLB_BANK_SIZE);
    const table = new InstructionTable(instructions);
    const functionTable = new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
    this.handlers = buildHandlers(table, true, { memory: arena, shared: false }, functionTable, 0, {
      slowLoad: (lo, _hi, info) => this.slowAccess(lo, info & 0xff, false),
      slowStore: (lo, _hi, info) => this.slowAccess(lo, info & 0xff, true),
      checkSegment: () => 0,
      raise: (vector, errorCode, has) => setFault(cpu, vector, has ? errorCode : undefined),
      // there are no regions
      regionRaise() {},
      regionAbandon() {},
      regionMisses() {},
      helpers: this.helpers(),
    }).handlers;
    this.blocks = new BlockCache({
      buffer: arena.buffer,
      area: RECORDS,
      table,
      features: new Set(instructions.flatMap(({ feature }): Feature[] => (feature ? [feature] : []))),
      long: this.handlers,
      legacy: () => this.handlers,
      longBase: 0,
      legacyBase: () => 0,
      codePages: { markCode() {}, clearCode() {} },
    });
  }

  /** Runs one instruction; the exception it raised, if any. */
  run(...code: number[]): Raised | undefined {
    const { cpu } = this;
    cpu.rip = 0n;
    cpu.pending = Pending.NONE;
    cpu.bytes.fill(0, CODE_ADDRESS, CODE_ADDRESS + code.length + 16);
    cpu.bytes.set(code, CODE_ADDRESS);
    this.blocks.flush();
    const block = this.blocks.decode(0, this.blocks.tableFor(0, cpu.mode), CODE_ADDRESS, 0, cpu.mode);
    cpu.budget = 0;
    const exit = this.handlers.run(cpu.base, this.blocks.truncate(block, 1, cpu.mode));
    if (exit === Exit.ABORT || exit === Exit.SYSTEM_ABORT) {
      return { vector: cpu.faultVector, ...(cpu.faultHasErrorCode ? { errorCode: cpu.faultErrorCode } : {}) };
    }
    return undefined;
  }

  get rflags(): number {
    return readFlags(this.cpu);
  }
  set rflags(value: number) {
    writeFlags(this.cpu, value);
  }
  /** XMM register `n` as a number of 128 bits. */
  xmm(n: number): bigint {
    return littleEndian(this.cpu.xmm.subarray(16 * n, 16 * n + 16));
  }
  setXmm(n: number, value: bigint): void {
    for (let i = 0; i < 16; i++) this.cpu.xmm[16 * n + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }

  private slowAccess(lo: number, bytes: number, write: boolean): number {
    const at = (lo >>> 0) - MEMORY_BASE;
    if (at < 0 || at + bytes > MEMORY_SIZE) {
      setPageFault(this.cpu, lo, 0, write ? 2 : 0);
      return 1;
    }
    const value = new Uint8Array(this.cpu.slowValue.buffer, this.cpu.slowValue.byteOffset, 16);
    if (write) this.memory.set(value.subarray(0, bytes), at);
    else {
      value.fill(0);
      value.set(this.memory.subarray(at, at + bytes));
    }
    return 0;
  }

  private helpers(): Record<HelperName, (...args: number[]) => number> {
    const { cpu } = this;
    const helpers = {} as Record<HelperName, (...args: number[]) => number>;
    const light = lightHelpers as Record<string, (cpu: Cpu, ...args: number[]) => number>;
    for (const name of Object.keys(HELPERS) as HelperName[]) {
      helpers[name] =
        HELPERS[name].kind === 'light' ? (...args) => light[name](cpu, ...args) : () => this.missing(name);
    }
    helpers.x87 = (opcode, lo, hi, bits, segment) => {
      cpu.nextRip = cpu.rip + BigInt(cpu.bytes[cpu.record + RECORD.length]);
      try {
        x87(cpu, opcode, lo, hi, bits, segment);
      } catch (reason) {
        if (reason !== ABORTED) throw reason;
        return Exit.SYSTEM_ABORT;
      }
      cpu.rip = cpu.nextRip;
      return Exit.SYSTEM;
    };
    return helpers;
  }

  private missing(name: string): number {
    setFault(this.cpu, Vector.UD);
    throw new Error(`the test machine has no ${name}`);
  }

  /** Linear memory for helpers. */
  private linear(): LinearMemory {
    const place = (linear: bigint, bytes: number, write = false): number => {
      const at = Number(linear) - MEMORY_BASE;
      if (at >= 0 && at + bytes <= MEMORY_SIZE) return at;
      setPageFault(this.cpu, Number(linear & 0xffff_ffffn), 0, write ? 2 : 0);
      throw ABORTED;
    };
    const view = new DataView(this.memory.buffer);
    return {
      readU8: (linear) => view.getUint8(place(linear, 1)),
      readU16: (linear) => view.getUint16(place(linear, 2), true),
      readU32: (linear) => view.getUint32(place(linear, 4), true),
      readU64: (linear) => view.getBigUint64(place(linear, 8), true),
      writeU8: (linear, value) => view.setUint8(place(linear, 1, true), value),
      writeU16: (linear, value) => view.setUint16(place(linear, 2, true), value, true),
      writeU32: (linear, value) => view.setUint32(place(linear, 4, true), value, true),
      writeU64: (linear, value) => view.setBigUint64(place(linear, 8, true), value, true),
      readBytes: (linear, length) => this.memory.slice(place(linear, length), place(linear, length) + length),
      writeBytes: (linear, bytes) => this.memory.set(bytes, place(linear, bytes.length, true)),
      probe: (linear, length, access) => void place(linear, length, access === 'w'),
    };
  }
}

/** Bytes as one number, the first lowest. */
export function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
