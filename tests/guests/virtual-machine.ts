/**
 * A hypervisor of a few instructions and its guest, for the AMD-V tests: the host runs in 64-bit mode, enters the guest
 * with VMRUN and halts when it is back. The test plays the rest of the hypervisor by changing the VMCB between two runs.
 */
import assert from 'node:assert/strict';
import { Activity } from '../../src/cpu/state.ts';
import { CONTROL, ExitCode, InterceptWord, SAVE, SAVED_SEGMENT } from '../../src/cpu/svm/vmcb.ts';
import { CR0, CR4, EFER } from '../../src/cpu/system/registers.ts';
import type { CodeBits, Program } from '../../src/isa/assembler/index.ts';
import type { Intercept } from '../../src/isa/instruction.ts';
import { INTERCEPT_EXIT_CODE, interceptBit } from '../../src/isa/intercepts.ts';
import { RAM_BYTES } from './harness.ts';
import { assembleGuest, type Guest, longMode, PAGE, PageTables, PLACE, SELECTOR, TSS_LIMIT } from './library.ts';

/** Where the hypervisor keeps its things; texts may use these names. */
export const HYPERVISOR = {
  VMCB: 0x15_0000,
  HOST_SAVE: 0x15_1000,
  MSR_MAP: 0x15_2000,
  IO_MAP: 0x15_4000,
  SPARE_VMCB: 0x15_7000,
  NESTED_PAGES: 0x16_0000,
  GUEST_CODE: 0x18_0000,
  GUEST_REAL_CODE: 0x6800,
  GUEST_STACK: 0x19_0000,
  GUEST_DATA: 0x1a_0000,
} as const;
const VM_HSAVE_PA = 0xc001_0117;
const MAP_BYTES = 0x3000;

const HOST = `
  mov ecx, ${VM_HSAVE_PA}
  mov eax, HOST_SAVE
  xor edx, edx
  wrmsr
  mov rax, VMCB
  again: vmrun
  returned: hlt
  jmp again
`;

/** The VMCB in guest memory, by the names of the manual. */
export class Vmcb {
  private readonly guest: Guest;
  readonly base: number;
  constructor(guest: Guest, base: number = HYPERVISOR.VMCB) {
    this.guest = guest;
    this.base = base;
  }
  control(field: keyof typeof CONTROL): bigint {
    return this.guest.memory.readU64(this.base + CONTROL[field]);
  }
  setControl(field: keyof typeof CONTROL, value: bigint | number, bytes: 1 | 4 | 8 = 8): void {
    const address = this.base + CONTROL[field];
    if (bytes === 8) this.guest.memory.writeU64(address, BigInt(value));
    else if (bytes === 4) this.guest.memory.writeU32(address, Number(value));
    else this.guest.memory.writeU8(address, Number(value));
  }
  save(field: keyof typeof SAVE): bigint {
    return this.guest.memory.readU64(this.base + SAVE[field]);
  }
  setSave(field: keyof typeof SAVE, value: bigint | number): void {
    this.guest.memory.writeU64(this.base + SAVE[field], BigInt(value));
  }
  setSegment(
    field: 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'GDTR' | 'LDTR' | 'IDTR' | 'TR',
    selector: number,
    attributes: number,
    limit: number,
    base: number | bigint = 0,
  ): void {
    const { memory } = this.guest;
    const address = this.base + SAVE[field];
    memory.writeU16(address + SAVED_SEGMENT.selector, selector);
    memory.writeU16(address + SAVED_SEGMENT.attributes, attributes);
    memory.writeU32(address + SAVED_SEGMENT.limit, limit);
    memory.writeU64(address + SAVED_SEGMENT.base, BigInt(base));
  }
  selector(field: 'ES' | 'CS' | 'SS' | 'DS'): number {
    return this.guest.memory.readU16(this.base + SAVE[field] + SAVED_SEGMENT.selector);
  }
  get cpl(): number {
    return this.guest.memory.readU8(this.base + SAVE.CPL);
  }

  // ---- intercepts

  private bit(word: number, bit: number, value: boolean): void {
    const address = this.base + CONTROL.INTERCEPTS + 4 * word;
    const old = this.guest.memory.readU32(address);
    this.guest.memory.writeU32(address, value ? old | (1 << bit) : old & ~(1 << bit));
  }
  intercept(
    name: Intercept | 'INTR' | 'NMI' | 'SMI' | 'VINTR' | 'CR0_SEL_WRITE' | 'TASK_SWITCH' | 'SHUTDOWN',
    value = true,
  ): this {
    if (name in INTERCEPT_EXIT_CODE) {
      const { word, bit } = interceptBit(name as Intercept);
      this.bit(word, bit, value);
    } else {
      this.bit(InterceptWord.INSTRUCTION1, ExitCode[name as 'INTR'] - 0x60, value);
    }
    return this;
  }
  interceptException(vector: number, value = true): this {
    this.bit(InterceptWord.EXCEPTION, vector, value);
    return this;
  }
  interceptControlRegister(number: number, write: boolean): this {
    this.bit(InterceptWord.CR, number + (write ? 16 : 0), true);
    return this;
  }
  interceptDebugRegister(number: number, write: boolean): this {
    this.bit(InterceptWord.DR, number + (write ? 16 : 0), true);
    return this;
  }
}

export interface VirtualMachineOptions {
  readonly mode?: 'long' | 'protected' | 'real';
  /** Nested paging with identity tables. */
  readonly nested?: boolean;
  readonly intercepts?: readonly Intercept[];
  /** Replaces the hypervisor's code; must set VM_HSAVE_PA itself. */
  readonly host?: string;
  readonly define?: Readonly<Record<string, number | bigint>>;
  readonly cr4?: number;
  readonly efer?: number;
}

export class VirtualMachine {
  readonly host: Guest;
  readonly vmcb: Vmcb;
  readonly program: Program;
  private readonly nestedTables: PageTables | undefined;

  constructor(host: Guest, program: Program, nestedTables: PageTables | undefined) {
    this.host = host;
    this.vmcb = new Vmcb(host);
    this.program = program;
    this.nestedTables = nestedTables;
  }
  get cpu() {
    return this.host.cpu;
  }
  get memory() {
    return this.host.memory;
  }
  get bench() {
    return this.host.bench;
  }
  /** The hypervisor's tables for the guest's physical memory. */
  get nestedPages(): PageTables {
    assert.ok(this.nestedTables, 'nested paging is off');
    return this.nestedTables;
  }
  address(label: string): bigint {
    return this.program.address(label);
  }

  /** Runs until the host halts behind VMRUN. */
  run(): this {
    const { cpu } = this;
    if (cpu.activity === Activity.HALTED) cpu.activity = Activity.RUNNING;
    this.host.halt();
    assert.ok(cpu.rip >= BigInt(PLACE.CODE), `the host took an exception: it halted at ${cpu.rip.toString(16)}h`);
    return this;
  }
  get exitCode(): number {
    return Number(BigInt.asIntN(32, this.vmcb.control('EXITCODE')));
  }
  /**
   * Runs to a #VMEXIT and compares. `at` is the label of the guest's instruction, `next` that of the one behind it, which
   * NRIP must name.
   */
  expectExit(
    code: number,
    expected: { info1?: bigint; info2?: bigint; at?: string; next?: string; intInfo?: bigint } = {},
  ): this {
    this.run();
    const name = (n: number) => `#VMEXIT ${(n & 0xfff).toString(16)}h`;
    assert.equal(
      name(this.exitCode),
      name(code),
      `info1 ${this.vmcb.control('EXITINFO1').toString(16)} info2 ${this.vmcb.control('EXITINFO2').toString(16)} rip ${this.vmcb.save('RIP').toString(16)}`,
    );
    const seen: Record<string, unknown> = {};
    const wanted: Record<string, unknown> = {};
    const compare = (key: string, value: bigint | undefined, actual: bigint) => {
      if (value === undefined) return;
      wanted[key] = value.toString(16);
      seen[key] = actual.toString(16);
    };
    compare('EXITINFO1', expected.info1, this.vmcb.control('EXITINFO1'));
    compare('EXITINFO2', expected.info2, this.vmcb.control('EXITINFO2'));
    compare('EXITINTINFO', expected.intInfo, this.vmcb.control('EXITINTINFO'));
    if (expected.at !== undefined) compare('RIP', this.address(expected.at), this.vmcb.save('RIP'));
    if (expected.next !== undefined) compare('NRIP', this.address(expected.next), this.vmcb.control('NRIP'));
    assert.deepEqual(seen, wanted);
    return this;
  }
  /** Goes on in the guest behind the instruction that was intercepted. */
  skip(): this {
    this.vmcb.setSave('RIP', this.vmcb.control('NRIP'));
    return this;
  }
  /** VMRUN must fail by this rule. */
  expectInvalid(rule: string): void {
    this.expectExit(ExitCode.INVALID);
    assert.deepEqual(
      this.bench.log.filter((line) => line.startsWith('svm:')).map((line) => line.replace(/^.*fails: /, '')),
      [rule],
    );
  }
}

const FLAT = 0xffff_ffff;
const CODE = { long: 0x29b, protected: 0xc9b, real: 0x9b } as const;
const DATA = { long: 0xc93, protected: 0xc93, real: 0x93 } as const;

/** A guest with its VMCB filled in for the mode; HLT, VMRUN and shutdown are intercepted. */
export function virtualMachine(text: string, options: VirtualMachineOptions = {}): VirtualMachine {
  const mode = options.mode ?? 'long';
  const define = { ...HYPERVISOR, ...options.define };
  const host = longMode(options.host ?? HOST, { efer: EFER.SVME, define, cr4: options.cr4 });
  const bits: CodeBits = mode === 'long' ? 64 : mode === 'protected' ? 32 : 16;
  const program = assembleGuest(
    text,
    bits,
    mode === 'real' ? HYPERVISOR.GUEST_REAL_CODE : HYPERVISOR.GUEST_CODE,
    define,
  );
  host.memory.write(Number(program.origin), program.bytes);
  let nestedPages: PageTables | undefined;
  if (options.nested) {
    nestedPages = new PageTables(host.bench, 4, HYPERVISOR.NESTED_PAGES);
    for (let address = 0; address < RAM_BYTES; address += 0x1000) nestedPages.set(address, PAGE.P | PAGE.W | PAGE.U);
  }
  const vm = new VirtualMachine(host, program, nestedPages);
  const { vmcb } = vm;
  host.memory.write(HYPERVISOR.MSR_MAP, new Uint8Array(MAP_BYTES + 0x2000));

  vmcb.intercept('HLT').intercept('VMRUN').intercept('SHUTDOWN');
  for (const name of options.intercepts ?? []) vmcb.intercept(name);
  vmcb.setControl('IOPM_BASE_PA', HYPERVISOR.IO_MAP);
  vmcb.setControl('MSRPM_BASE_PA', HYPERVISOR.MSR_MAP);
  vmcb.setControl('GUEST_ASID', 1, 4);
  if (nestedPages) {
    vmcb.setControl('NP_ENABLE', 1);
    vmcb.setControl('N_CR3', nestedPages.root);
    vmcb.setSave('G_PAT', 0x0007_0406_0007_0406n);
  }

  const paged = mode === 'long';
  vmcb.setSegment(
    'CS',
    mode === 'real' ? 0 : paged ? SELECTOR.CODE64 : SELECTOR.CODE32,
    CODE[mode],
    mode === 'real' ? 0xffff : FLAT,
  );
  const data = mode === 'real' ? 0 : SELECTOR.DATA32;
  for (const name of ['ES', 'SS', 'DS'] as const)
    vmcb.setSegment(name, data, DATA[mode], mode === 'real' ? 0xffff : FLAT);
  vmcb.setSegment('GDTR', 0, 0, 0x1ff, PLACE.GDT);
  vmcb.setSegment('IDTR', 0, 0, mode === 'real' ? 0x3ff : 0xfff, mode === 'real' ? 0 : PLACE.IDT);
  vmcb.setSegment('TR', SELECTOR.TASK, 0x8b, TSS_LIMIT, PLACE.TSS);
  vmcb.setSave('CR0', BigInt((CR0.ET | CR0.NE | (mode === 'real' ? 0 : CR0.PE) | (paged ? CR0.PG | CR0.WP : 0)) >>> 0));
  vmcb.setSave('CR3', paged ? host.pages.root : 0);
  vmcb.setSave('CR4', CR4.OSFXSR | (paged ? CR4.PAE : 0) | (options.cr4 ?? 0));
  vmcb.setSave('EFER', EFER.SVME | (paged ? EFER.LME | EFER.LMA | EFER.NXE : 0) | (options.efer ?? 0));
  vmcb.setSave('RFLAGS', 2);
  vmcb.setSave('RIP', program.origin);
  vmcb.setSave('RSP', mode === 'real' ? 0x6800 : HYPERVISOR.GUEST_STACK);
  vmcb.setSave('DR6', 0xffff_0ff0);
  vmcb.setSave('DR7', 0x400);
  return vm;
}
