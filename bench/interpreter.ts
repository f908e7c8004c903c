/**
 * Speed of the interpreter in millions of guest instructions a second, on small 64-bit loops.
 *
 *     node bench/interpreter.ts [--millions N] [--only NAME] [--engine auto]
 */
import { parseArgs } from 'node:util';
import { SILENT } from '../src/bus/log.ts';
import { CS, DS, ES, SS } from '../src/cpu/context.ts';
import type { LocalApic } from '../src/cpu/cpu.ts';
import { Arena, PhysicalSpace } from '../src/cpu/memory/index.ts';
import { cpuModel } from '../src/cpu/model.ts';
import { type EngineKind, PROCESSOR_OVERHEAD, Processor } from '../src/cpu/processor.ts';
import { Attribute } from '../src/cpu/system/descriptors.ts';
import { CR0, CR4, EFER } from '../src/cpu/system/registers.ts';
import { loadSegmentRaw } from '../src/cpu/system/segments.ts';

const RAM_BYTES = 2 * 2 ** 20;
const CODE = 0x1_0000;
const STACK = 0x8_0000;
const SOURCE = 0x9_0000;
const TARGET = 0xa_0000;
/** Paging structures: one 2 MiB page at 0. */
const TABLES = 0x1000;
const LARGE_PAGE = 0x83n;
const TABLE = 3n;

interface Loop {
  /** What it shows. */
  readonly about: string;
  /** Endless code at {@link CODE}; RSI and RDI point at 64 KiB each. */
  readonly code: string;
}

const LOOPS: Record<string, Loop> = {
  mixed: {
    about: '15 instructions: ALU, a load, a store, one branch',
    code: `
      48 8b 04 ce           mov   rax, [rsi+rcx*8]
      48 01 d8              add   rax, rbx
      48 31 c2              xor   rdx, rax
      48 d1 e2              shl   rdx, 1
      48 8d 5c 10 03        lea   rbx, [rax+rdx+3]
      48 89 14 cf           mov   [rdi+rcx*8], rdx
      ff c1                 inc   ecx
      81 e1 ff 0f 00 00     and   ecx, 0xfff
      49 29 c1              sub   r9, rax
      49 09 da              or    r10, rbx
      44 0f b6 d8           movzx r11d, al
      48 39 d0              cmp   rax, rdx
      4c 0f 42 c0           cmovb r8, rax
      49 ff cc              dec   r12
      75 cc                 jnz   start
      eb ca                 jmp   start`,
  },
  alu: {
    about: '9 register instructions that set flags, one branch',
    code: `
      48 01 d8              add   rax, rbx
      48 31 c2              xor   rdx, rax
      48 29 d3              sub   rbx, rdx
      48 21 c6              and   rsi, rax
      48 09 d7              or    rdi, rdx
      48 39 d8              cmp   rax, rbx
      48 ff c1              inc   rcx
      48 85 c0              test  rax, rax
      49 ff cc              dec   r12
      75 e3                 jnz   start
      eb e1                 jmp   start`,
  },
  memory: {
    about: '7 loads and stores, one branch',
    code: `
      48 8b 06              mov   rax, [rsi]
      48 8b 5e 08           mov   rbx, [rsi+8]
      48 89 07              mov   [rdi], rax
      48 89 5f 08           mov   [rdi+8], rbx
      8b 4e 10              mov   ecx, [rsi+16]
      88 4f 10              mov   [rdi+16], cl
      48 83 47 18 01        add   qword [rdi+24], 1
      eb e5                 jmp   start`,
  },
  calls: {
    about: 'a call and a return, PUSH and POP, a branch not taken and one taken: 8 instructions',
    code: `
      e8 07 00 00 00        call  function
      48 39 d0              cmp   rax, rdx
      72 00                 jb    next
      eb f4                 jmp   start
      53                    push  rbx
      48 ff c3              inc   rbx
      5b                    pop   rbx
      c3                    ret`,
  },
  string: {
    about: 'STOSQ without REP, a branch',
    code: `
      48 ab                 stosq
      48 81 e7 ff ff 0b 00  and   rdi, 0xbffff
      48 81 cf 00 00 0a 00  or    rdi, 0xa0000
      eb ee                 jmp   start`,
  },
};

const NO_INTERRUPTS: LocalApic = {
  pending: () => -1,
  acknowledge: () => 0,
  externalPending: () => false,
  acknowledgeExternal: () => 0,
  nmiPending: false,
  waiting: false,
  readMsr: () => undefined,
  writeMsr: () => false,
  cr8: 0,
  apicBase: 0n,
};

/** The hexadecimal part of each line. */
function assemble(code: string): Uint8Array {
  const bytes = code
    .split('\n')
    .flatMap((line) => /^\s*((?:[0-9a-f]{2} )+)/.exec(`${line} `)?.[1].trim().split(' ') ?? []);
  return Uint8Array.from(bytes, (digits) => Number.parseInt(digits, 16));
}

function processor(engine: EngineKind): Processor {
  const arena = new Arena({
    ramBytes: RAM_BYTES,
    overheadBytes: PROCESSOR_OVERHEAD + PhysicalSpace.overheadBytes(RAM_BYTES),
  });
  const physical = new PhysicalSpace(arena, {
    limit: RAM_BYTES,
    mmio: { readMmio: () => 0, writeMmio() {} },
    log: SILENT,
  });
  physical.addRam(0, RAM_BYTES);
  const made = new Processor({
    arena,
    physical,
    model: cpuModel('amd'),
    ports: { readPort: () => 0, writePort() {} },
    clock: { now: () => 0 },
    entropy: { fill() {} },
    log: SILENT,
    apicId: 0,
    engine,
    shutdown(reason) {
      throw new Error(reason);
    },
  });
  const { cpu } = made;
  cpu.apic = NO_INTERRUPTS;
  physical.writeU64(TABLES, BigInt(TABLES + 0x1000) | TABLE);
  physical.writeU64(TABLES + 0x1000, BigInt(TABLES + 0x2000) | TABLE);
  physical.writeU64(TABLES + 0x2000, LARGE_PAGE);
  cpu.cr0 = BigInt((CR0.PE | CR0.NE | CR0.WP | CR0.PG) >>> 0);
  cpu.cr3 = BigInt(TABLES);
  cpu.cr4 = BigInt(CR4.PAE | CR4.OSFXSR);
  cpu.efer = BigInt(EFER.LME | EFER.LMA | EFER.NXE);
  const data = Attribute.P | Attribute.S | Attribute.WRITABLE | Attribute.ACCESSED;
  loadSegmentRaw(cpu, CS, 8, 0n, 0xffff_ffff, data | Attribute.CODE | Attribute.L);
  for (const number of [ES, SS, DS]) loadSegmentRaw(cpu, number, 16, 0n, 0xffff_ffff, data | Attribute.DB);
  cpu.translation.stateChanged();
  return made;
}

function measure(loop: Loop, millions: number, kind: EngineKind): number {
  const { cpu, engine } = processor(kind);
  cpu.linear.writeBytes(BigInt(CODE), assemble(loop.code));
  cpu.rip = BigInt(CODE);
  cpu.gpr[4] = BigInt(STACK);
  cpu.gpr[6] = BigInt(SOURCE);
  cpu.gpr[7] = BigInt(TARGET);
  engine.run(5_000_000);
  const before = engine.retired;
  const start = performance.now();
  engine.run(millions * 1e6);
  const seconds = (performance.now() - start) / 1000;
  return (engine.retired - before) / 1e6 / seconds;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      millions: { type: 'string', default: '200' },
      only: { type: 'string' },
      engine: { type: 'string', default: 'interpreter' },
    },
  });
  for (const [name, loop] of Object.entries(LOOPS)) {
    if (values.only && values.only !== name) continue;
    console.log(
      `${name.padEnd(8)}${measure(loop, Number(values.millions), values.engine as EngineKind)
        .toFixed(0)
        .padStart(6)} M instr/s   ${loop.about}`,
    );
  }
}

if (import.meta.main) main();
