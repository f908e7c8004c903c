/** Puts a processor into the state a boot protocol demands. */
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from '../cpu/context.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { writeFlags } from '../cpu/flags.ts';
import { loadSegmentRaw, refreshSegments } from '../cpu/system/segments.ts';
import type { BootCpuState, GeneralRegister } from './boot/boot-plan.ts';

const REGISTERS: readonly GeneralRegister[] = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
const SEGMENTS = { es: ES, cs: CS, ss: SS, ds: DS, fs: FS, gs: GS, ldtr: LDTR, tr: TR } as const;

/** What FNINIT leaves in the x87 control and tag words (SDM vol. 2 "FINIT/FNINIT"). */
const X87_CONTROL = 0x37f;
const X87_TAGS_EMPTY = 0xffff;

/** Everything the plan does not name stays as after reset, but for the x87 unit, which firmware initializes with FNINIT. */
export function enterBootState(cpu: Cpu, state: BootCpuState): void {
  REGISTERS.forEach((name, i) => {
    cpu.gpr[i] = BigInt(state.registers[name] ?? 0);
  });
  cpu.rip = BigInt(state.rip);
  cpu.nextRip = cpu.rip;
  cpu.cr0 = BigInt(state.cr0);
  cpu.cr3 = BigInt(state.cr3);
  cpu.cr4 = BigInt(state.cr4);
  cpu.efer = BigInt(state.efer);
  cpu.cpl = 0;
  writeFlags(cpu, state.rflags);
  for (const [name, number] of Object.entries(SEGMENTS) as [keyof typeof SEGMENTS, number][]) {
    const { selector, base, limit, attributes } = state.segments[name];
    loadSegmentRaw(cpu, number, selector, BigInt(base), limit, attributes);
  }
  cpu.x87Control = X87_CONTROL;
  cpu.x87Tag = X87_TAGS_EMPTY;
  cpu.gdtrBase = BigInt(state.gdtr.base);
  cpu.gdtrLimit = state.gdtr.limit;
  cpu.idtrBase = BigInt(state.idtr.base);
  cpu.idtrLimit = state.idtr.limit;
  refreshSegments(cpu);
  cpu.translation.flushAll();
  cpu.translation.stateChanged();
}
