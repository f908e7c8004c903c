/** System instructions: each is a row and a call of its helper in src/cpu/system or src/cpu/svm. */

import type { SystemHelper } from './helpers.ts';
import { type InstructionOptions, instruction } from './instruction.ts';
import { farPointer } from './integer/control.ts';
import { ARITHMETIC_FLAGS, FLAG, IOPL_SHIFT } from './rflags.ts';
import { type I32, type I64, type Int, RAX, RCX, type Stage } from './stage.ts';

/** An instruction without operands that is its helper. */
function plain(mnemonic: string, encoding: string, helper: SystemHelper, options: Partial<InstructionOptions> = {}) {
  return instruction(mnemonic, { encodings: [encoding], ...options, execute: (x) => x.system(helper) });
}

export const CPUID = plain('CPUID', '0F A2', 'cpuid', { intercept: 'CPUID' });
export const RDMSR = plain('RDMSR', '0F 32 cpl0', 'rdmsr', { feature: 'msr' });
export const WRMSR = plain('WRMSR', '0F 30 cpl0', 'wrmsr', { feature: 'msr' });
export const RDTSC = instruction('RDTSC', {
  encodings: ['0F 31'],
  feature: 'tsc',
  execute: (x) => x.readTimeStamp('rdtsc'),
});
export const RDTSCP = instruction('RDTSCP', {
  encodings: ['0F 01 (F9)'],
  feature: 'rdtscp',
  execute: (x) => x.readTimeStamp('rdtscp'),
});
export const RDPMC = plain('RDPMC', '0F 33', 'rdpmc');
export const RDPID = instruction('RDPID', {
  encodings: ['F3 0F C7 /7 Ry'],
  access: ['w'],
  feature: 'rdpid',
  execute: (x) => x.system('rdpid', x.registerNumber(0)),
});
export const RDRAND = instruction('RDRAND', {
  encodings: ['NP 0F C7 /6 Rv', '66 0F C7 /6 Rw'],
  access: ['w'],
  feature: 'rdrand',
  execute: (x) => x.system('rdrand', x.bitsOf(0), x.registerNumber(0)),
});
export const RDSEED = instruction('RDSEED', {
  encodings: ['NP 0F C7 /7 Rv', '66 0F C7 /7 Rw'],
  access: ['w'],
  feature: 'rdseed',
  execute: (x) => x.system('rdseed', x.bitsOf(0), x.registerNumber(0)),
});

// ---- control and debug registers

export const MOV_FROM_CR = instruction('MOV', {
  encodings: ['0F 20 Rq,Cq cpl0'],
  access: ['w', 'r'],
  execute: (x) => x.system('movFromCr', x.registerNumber(1), x.registerNumber(0)),
});
export const MOV_TO_CR = instruction('MOV', {
  encodings: ['0F 22 Cq,Rq cpl0'],
  access: ['w', 'r'],
  execute: (x) => x.system('movToCr', x.registerNumber(0), x.registerNumber(1)),
});
export const MOV_FROM_DR = instruction('MOV', {
  encodings: ['0F 21 Rq,Dq cpl0'],
  access: ['w', 'r'],
  execute: (x) => x.system('movFromDr', x.registerNumber(1), x.registerNumber(0)),
});
export const MOV_TO_DR = instruction('MOV', {
  encodings: ['0F 23 Dq,Rq cpl0'],
  access: ['w', 'r'],
  execute: (x) => x.system('movToDr', x.registerNumber(0), x.registerNumber(1)),
});
export const CLTS = plain('CLTS', '0F 06 cpl0', 'clts');
export const LMSW = instruction('LMSW', {
  encodings: ['0F 01 /6 Ew cpl0'],
  access: ['r'],
  execute: (x) => x.system('lmsw', x.operand(0) as I32),
});
export const XGETBV = plain('XGETBV', 'NP 0F 01 (D0)', 'xgetbv', { feature: 'xsave' });
export const XSETBV = plain('XSETBV', 'NP 0F 01 (D1)', 'xsetbv', { feature: 'xsave' });

// ---- flags with privilege

// A kernel does these all the time, and nearly always in the plain way that needs no helper.

const privilegeLevel = (x: Stage): I32 => x.state('cpl') as I32;
const ioPrivilegeLevel = (x: Stage, flags: I32): I32 => x.and(x.shrU(flags, IOPL_SHIFT), 3);
const place = (x: Stage, flag: I32, bit: number): I32 => x.shl(flag, 31 - Math.clz32(bit));

export const PUSHF = instruction('PUSHF', {
  encodings: ['9C d64'],
  intercept: 'PUSHF',
  execute(x) {
    if (x.bits !== 64) {
      x.system('pushf', x.bits);
      return;
    }
    x.push(64, x.extendU(allFlags(x)));
  },
});

/** All flags in one word, without VM and RF. */
function allFlags(x: Stage): I32 {
  const arithmetic = x.or(x.lowFlags() as I32, place(x, x.flag('OF') as I32, FLAG.OF));
  return x.or(x.and(x.state('rflags') as I32, ~(FLAG.RF | FLAG.VM)), arithmetic);
}
/** Takes the arithmetic flags from such a word. */
function setArithmeticFlags(x: Stage, flags: I32): void {
  const flag = (bit: number) => x.let(x.and(x.shrU(flags, 31 - Math.clz32(bit)), 1)) as I32;
  x.setFlags({
    CF: flag(FLAG.CF),
    PF: flag(FLAG.PF),
    AF: flag(FLAG.AF),
    ZF: flag(FLAG.ZF),
    SF: flag(FLAG.SF),
    OF: flag(FLAG.OF),
  });
}
/** IF with an interrupt waiting for it. */
const enabling = (x: Stage, flags: I32): I32 =>
  x.select(x.state('interruptWaiting') as I32, x.and(flags, FLAG.IF), x.i32(0));

/** What POPFQ changes besides the arithmetic flags, without asking anyone. */
const POPPED = FLAG.DF | FLAG.IF | FLAG.IOPL | FLAG.NT | FLAG.ID;
export const POPF = instruction('POPF', {
  encodings: ['9D d64'],
  intercept: 'POPF',
  execute(x) {
    if (x.bits !== 64) {
      x.system('popf', x.bits);
      return;
    }
    const popped = x.let(x.toI32(x.peek(64) as Int)) as I32;
    const old = x.state('rflags') as I32;
    const changed = x.let(x.xor(old, popped)) as I32;
    const traps = x.or(x.and(x.or(old, popped), FLAG.TF), x.and(changed, FLAG.AC));
    // outside privilege level 0 it depends which of IF and IOPL may change
    const guarded = x.select(privilegeLevel(x), x.and(changed, FLAG.IF | FLAG.IOPL), x.i32(0));
    x.if(x.or(x.or(traps, guarded), enabling(x, x.and(changed, popped))), () => x.system('popf', x.bits));
    x.setState('rflags', x.or(x.and(old, ~(POPPED | FLAG.RF)), x.and(popped, POPPED)));
    setArithmeticFlags(x, popped);
    x.releaseStack(8);
  },
});

export const CLI = instruction('CLI', {
  encodings: ['FA'],
  execute(x) {
    const flags = x.state('rflags') as I32;
    x.if(x.gtU(privilegeLevel(x), ioPrivilegeLevel(x, flags)), () => x.system('cli'));
    x.setState('rflags', x.and(flags, ~FLAG.IF));
  },
});
export const STI = instruction('STI', {
  encodings: ['FB'],
  execute(x) {
    const flags = x.state('rflags') as I32;
    const unprivileged = x.gtU(privilegeLevel(x), ioPrivilegeLevel(x, flags));
    x.if(x.or(unprivileged, x.state('interruptWaiting') as I32), () => x.system('sti'));
    x.if(x.eqz(x.and(flags, FLAG.IF)), () => {
      x.setState('rflags', x.or(flags, FLAG.IF));
      x.holdInterrupts();
    });
  },
});
/** CLAC and STAC change to the translations for the new RFLAGS.AC, if there are some. */
const alignmentCheck = (mnemonic: string, encoding: string, helper: SystemHelper, value: 0 | 1) =>
  instruction(mnemonic, {
    encodings: [encoding],
    feature: 'smap',
    execute(x) {
      const bank = x.state('tlbSupervisor', value) as I32;
      x.if(x.or(privilegeLevel(x), x.eqz(bank)), () => x.system(helper));
      const flags = x.state('rflags') as I32;
      x.setState('rflags', value ? x.or(flags, FLAG.AC) : x.and(flags, ~FLAG.AC));
      x.setState('tlb', bank);
    },
  });
export const CLAC = alignmentCheck('CLAC', 'NP 0F 01 (CA)', 'clac', 0);
export const STAC = alignmentCheck('STAC', 'NP 0F 01 (CB)', 'stac', 1);

// ---- activity, caches, TLB

export const HLT = plain('HLT', 'F4 cpl0', 'hlt', { intercept: 'HLT' });
export const MONITOR = plain('MONITOR', '0F 01 (C8)', 'monitor', { feature: 'monitor' });
export const MWAIT = plain('MWAIT', '0F 01 (C9)', 'mwait', { feature: 'monitor' });
export const INVD = instruction('INVD', {
  encodings: ['0F 08 cpl0'],
  intercept: 'INVD',
  execute: (x) => x.system('invalidateCaches', 0),
});
export const WBINVD = instruction('WBINVD', {
  encodings: ['0F 09 cpl0'],
  intercept: 'WBINVD',
  execute: (x) => x.system('invalidateCaches', 1),
});
export const INVLPG = instruction('INVLPG', {
  encodings: ['0F 01 /7 M cpl0'],
  access: ['r'],
  execute: (x) => x.system('invlpg', x.address(0, 0, 'r').linear as I64),
});
export const INVPCID = instruction('INVPCID', {
  encodings: ['66 0F 38 82 Gy,M cpl0 f64'],
  access: ['r', 'r'],
  feature: 'invpcid',
  execute(x) {
    x.system('invpcid', x.toI64(x.operand(0) as Int), x.address(1, 16, 'r').linear as I64);
  },
});
export const CLFLUSH = instruction('CLFLUSH', {
  encodings: ['NP 0F AE /7 Mb'],
  access: ['r'],
  feature: 'clflush',
  execute: (x) => void x.operand(0),
});
export const CLFLUSHOPT = instruction('CLFLUSHOPT', {
  encodings: ['66 0F AE /7 Mb'],
  access: ['r'],
  feature: 'clflushopt',
  execute: (x) => void x.operand(0),
});
export const CLWB = instruction('CLWB', {
  encodings: ['66 0F AE /6 Mb'],
  access: ['r'],
  feature: 'clwb',
  execute: (x) => void x.operand(0),
});
export const LFENCE = instruction('LFENCE', { encodings: ['NP 0F AE (E8+i)'], feature: 'sse2', execute() {} });
export const MFENCE = instruction('MFENCE', { encodings: ['NP 0F AE (F0+i)'], feature: 'sse2', execute() {} });
export const SFENCE = instruction('SFENCE', { encodings: ['NP 0F AE (F8+i)'], feature: 'sse', execute() {} });

// ---- segment bases

const baseAccess = (mnemonic: string, digit: number, helper: SystemHelper, access: 'r' | 'w') =>
  instruction(mnemonic, {
    encodings: [`F3 0F AE /${digit} Ry only64`],
    access: [access],
    feature: 'fsgsbase',
    execute: (x) => x.system(helper, x.registerNumber(0), x.bits),
  });
export const RDFSBASE = baseAccess('RDFSBASE', 0, 'rdfsbase', 'w');
export const RDGSBASE = baseAccess('RDGSBASE', 1, 'rdgsbase', 'w');
export const WRFSBASE = baseAccess('WRFSBASE', 2, 'wrfsbase', 'r');
export const WRGSBASE = baseAccess('WRGSBASE', 3, 'wrgsbase', 'r');
export const SWAPGS = instruction('SWAPGS', {
  encodings: ['0F 01 (F8) cpl0 only64'],
  execute: (x) => x.swapGsBase(),
});

// ---- descriptor tables and segment registers

const table = (mnemonic: string, digit: number, helper: SystemHelper, store: boolean) =>
  instruction(mnemonic, {
    encodings: [`0F 01 /${digit} M f64${store ? '' : ' cpl0'}`],
    access: [store ? 'w' : 'r'],
    execute: (x) => x.system(helper, x.address(0, x.codeBits === 64 ? 10 : 6, store ? 'w' : 'r').linear as I64, x.bits),
  });
export const SGDT = table('SGDT', 0, 'sgdt', true);
export const SIDT = table('SIDT', 1, 'sidt', true);
export const LGDT = table('LGDT', 2, 'lgdt', false);
export const LIDT = table('LIDT', 3, 'lidt', false);

export const LLDT = instruction('LLDT', {
  encodings: ['0F 00 /2 Ew cpl0 prot'],
  access: ['r'],
  execute: (x) => x.system('lldt', x.operand(0) as I32),
});
export const LTR = instruction('LTR', {
  encodings: ['0F 00 /3 Ew cpl0 prot'],
  access: ['r'],
  execute: (x) => x.system('ltr', x.operand(0) as I32),
});
export const VERR = instruction('VERR', {
  encodings: ['0F 00 /4 Ew prot'],
  access: ['r'],
  execute: (x) => x.system('verify', 0, x.operand(0) as I32),
});
export const VERW = instruction('VERW', {
  encodings: ['0F 00 /5 Ew prot'],
  access: ['r'],
  execute: (x) => x.system('verify', 1, x.operand(0) as I32),
});

/** SLDT, STR, SMSW: the operand size for a register, a word in memory. */
const storeRegister = (mnemonic: string, kind: number, opcode: string, prot: string) =>
  [
    instruction(mnemonic, {
      encodings: [`${opcode} Rv${prot}`],
      access: ['w'],
      execute: (x) => x.system('storeSystemRegister', kind, x.registerNumber(0), x.bits, 0, 0),
    }),
    instruction(mnemonic, {
      encodings: [`${opcode} Mw${prot}`],
      access: ['w'],
      execute: (x) => x.system('storeSystemRegister', kind, -1, 16, x.address(0, 2, 'w').linear as I64),
    }),
  ] as const;
export const SLDT = storeRegister('SLDT', 0, '0F 00 /0', ' prot');
export const STR = storeRegister('STR', 1, '0F 00 /1', ' prot');
export const SMSW = storeRegister('SMSW', 2, '0F 01 /4', '');

export const LAR = instruction('LAR', {
  encodings: ['0F 02 Gv,Ew prot'],
  access: ['rw', 'r'],
  execute: (x) => x.system('larLsl', 0, x.registerNumber(0), x.bits, x.operand(1) as I32),
});
export const LSL = instruction('LSL', {
  encodings: ['0F 03 Gv,Ew prot'],
  access: ['rw', 'r'],
  execute: (x) => x.system('larLsl', 1, x.registerNumber(0), x.bits, x.operand(1) as I32),
});
export const ARPL = instruction('ARPL', {
  encodings: ['63 Ew,Gw no64 prot'],
  access: ['rw', 'r'],
  execute(x) {
    const rpl = x.let(x.and(x.operand(1) as I32, 3)) as I32;
    const inMemory = x.kind(0) === 'memory';
    const target = (inMemory ? x.load(16, x.address(0, 2, 'r')) : x.operand(0)) as I32;
    const raised = x.let(x.ltU(x.and(target, 3), rpl)) as I32;
    x.if(raised, () => {
      const value = x.let(x.or(x.and(target, 0xfffc), rpl)) as I32;
      // memory is written, and has to be writable, only then
      if (inMemory) x.store(16, x.address(0, 2, 'w'), value);
      else x.write(0, value);
    });
    x.setFlags({ ZF: raised });
  },
});

/** MOV to and from segment registers. A register destination takes the operand size, memory a word. */
export const MOV_FROM_SEGMENT = [
  instruction('MOV', {
    encodings: ['8C Rv,Sw'],
    access: ['w', 'r'],
    execute: (x) => x.write(0, x.toBits(x.operand(1) as I32, x.bits)),
  }),
  instruction('MOV', { encodings: ['8C Mw,Sw'], access: ['w', 'r'], execute: (x) => x.write(0, x.operand(1)) }),
] as const;
export const MOV_TO_SEGMENT = instruction('MOV', {
  encodings: ['8E Sw,Ew'],
  access: ['w', 'r'],
  execute: (x) => x.system('loadSegment', x.registerNumber(0), x.operand(1) as I32),
});

const segmentStack = (number: number, push: string, pop: string | undefined) => [
  instruction('PUSH', {
    encodings: [push],
    execute: (x) => x.push(x.bits as 16 | 32 | 64, x.toBits(x.selector(number), x.bits)),
  }),
  ...(pop
    ? [instruction('POP', { encodings: [pop], execute: (x: Stage) => x.system('popSegment', number, x.bits) })]
    : []),
];
const stacks = [
  segmentStack(0, '06 ES no64 os', '07 ES no64 os'),
  segmentStack(1, '0E CS no64 os', undefined),
  segmentStack(2, '16 SS no64 os', '17 SS no64 os'),
  segmentStack(3, '1E DS no64 os', '1F DS no64 os'),
  segmentStack(4, '0F A0 FS d64', '0F A1 FS d64'),
  segmentStack(5, '0F A8 GS d64', '0F A9 GS d64'),
];
export const SEGMENT_STACK = stacks.flat();

const farLoad = (mnemonic: string, encoding: string, segment: number) =>
  instruction(mnemonic, {
    encodings: [encoding],
    access: ['w', 'r'],
    execute(x) {
      const { selector, offset } = farPointer(x, 1);
      x.system('loadFarPointer', segment, x.registerNumber(0), x.bits, selector, offset);
    },
  });
export const LES = farLoad('LES', 'C4 Gv,Mp no64', 0);
export const LDS = farLoad('LDS', 'C5 Gv,Mp no64', 3);
export const LSS = farLoad('LSS', '0F B2 Gv,Mp', 2);
export const LFS = farLoad('LFS', '0F B4 Gv,Mp', 4);
export const LGS = farLoad('LGS', '0F B5 Gv,Mp', 5);

// ---- fast system calls

const EFER_SCE = 1;
const [CS, SS] = [1, 2] as const;
/** Attributes of flat segments in VMCB format: 64-bit code; data. */
const CODE64 = 0xa9b;
const DATA = 0xc93;
const DPL3 = 3 << 5;
const SELECTOR_MASK = 0xfffc;
/** Distances from the selector bases in STAR (APM vol. 2 table 6-1). */
const SYSCALL_SS = 8;
const SYSRET_SS = 8;
const SYSRET_CS64 = 16;
const STAR_SYSCALL_SHIFT = 32;
const STAR_SYSRET_SHIFT = 48;
const R11 = 11;

const starSelector = (x: Stage, shift: number): I32 =>
  x.let(x.and(x.wrap(x.shrU(x.state64('star') as I64, shift)), SELECTOR_MASK)) as I32;
const systemCallsOff = (x: Stage): I32 => x.eqz(x.and(x.state('efer') as I32, EFER_SCE));

export const SYSCALL = instruction('SYSCALL', {
  encodings: ['0F 05'],
  feature: 'syscall',
  execute(x) {
    if (x.codeBits !== 64) {
      x.system('syscall');
      return;
    }
    const flags = x.let(allFlags(x)) as I32;
    const kept = x.let(x.and(flags, x.not(x.state('sfmask') as I32))) as I32;
    const banks = [0, 1].map((alignment) => x.state('tlbSupervisor', alignment) as I32);
    const bank = x.let(x.select(x.and(kept, FLAG.AC), banks[1], banks[0])) as I32;
    x.if(x.or(x.or(systemCallsOff(x), x.and(flags, FLAG.TF)), x.eqz(bank)), () => x.system('syscall'));
    const target = x.state64('lstar') as I64;
    x.setGpr(RCX, 64, x.nextRip());
    x.setGpr(R11, 64, x.extendU(flags));
    x.setState('rflags', x.or(x.and(kept, ~ARITHMETIC_FLAGS), FLAG.FIXED));
    setArithmeticFlags(x, kept);
    const selector = starSelector(x, STAR_SYSCALL_SHIFT);
    x.loadFlatSegment(CS, selector, CODE64);
    x.loadFlatSegment(SS, x.add(selector, SYSCALL_SS), DATA);
    x.setState('cpl', x.i32(0));
    x.setState('tlb', bank);
    x.jump(target, 'indirect');
  },
});

/** Flags SYSRET takes from R11: all but RF, VM and the reserved ones (SDM vol. 2 "SYSRET"). */
const SYSRET_FLAGS = 0x003c_7fd7;
export const SYSRET = instruction('SYSRET', {
  encodings: ['0F 07 cpl0 os'],
  feature: 'syscall',
  execute(x) {
    if (x.codeBits !== 64 || x.bits !== 64) {
      x.system('sysret', x.bits);
      return;
    }
    const flags = x.let(x.and(x.gpr(R11, 32) as I32, SYSRET_FLAGS)) as I32;
    const target = x.gpr(RCX, 64) as I64;
    const bank = x.state('tlbUser') as I32;
    const traps = x.or(x.and(x.state('rflags') as I32, FLAG.TF), x.and(flags, FLAG.TF | FLAG.AC));
    const notCanonical = x.ne(x.shrS(x.shl(target, 16), 16), target);
    const impossible = x.or(x.or(systemCallsOff(x), notCanonical), x.eqz(bank));
    x.if(x.or(x.or(traps, enabling(x, flags)), impossible), () => x.system('sysret', x.bits));
    x.setState('rflags', x.or(x.and(flags, ~ARITHMETIC_FLAGS), FLAG.FIXED));
    setArithmeticFlags(x, flags);
    const selector = starSelector(x, STAR_SYSRET_SHIFT);
    x.loadFlatSegment(CS, x.or(x.add(selector, SYSRET_CS64), 3), CODE64 | DPL3);
    x.loadFlatSegment(SS, x.or(x.add(selector, SYSRET_SS), 3), DATA | DPL3);
    x.setState('cpl', x.i32(3));
    x.setState('tlb', bank);
    x.jump(target, 'indirect');
  },
});
export const SYSENTER = plain('SYSENTER', '0F 34', 'sysenter', { feature: 'sysenter' });
export const SYSEXIT = instruction('SYSEXIT', {
  encodings: ['0F 35 cpl0 os'],
  feature: 'sysenter',
  execute: (x) => x.system('sysexit', x.bits),
});
export const RSM = plain('RSM', '0F AA', 'rsm', { intercept: 'RSM' });

// ---- ports; an intercept tells the address size, which means nothing else here

const portWidth = (x: Stage) => Math.min(x.bits, 32);
export const IN_IMMEDIATE = [
  instruction('IN', {
    encodings: ['E4 AL,Ib as'],
    access: ['w', 'r'],
    execute: (x) => x.system('in', 8, x.operand(1) as I32, x.addressBits),
  }),
  instruction('IN', {
    encodings: ['E5 rAX,Ib as'],
    access: ['w', 'r'],
    execute: (x) => x.system('in', portWidth(x), x.toI32(x.operand(1) as Int), x.addressBits),
  }),
  instruction('IN', {
    encodings: ['EC AL,DX as'],
    access: ['w', 'r'],
    execute: (x) => x.system('in', 8, x.gpr(2, 16) as I32, x.addressBits),
  }),
  instruction('IN', {
    encodings: ['ED rAX,DX as'],
    access: ['w', 'r'],
    execute: (x) => x.system('in', portWidth(x), x.gpr(2, 16) as I32, x.addressBits),
  }),
] as const;
export const OUT = [
  instruction('OUT', {
    encodings: ['E6 Ib,AL as'],
    access: ['r', 'r'],
    execute: (x) => x.system('out', 8, x.operand(0) as I32, x.addressBits),
  }),
  instruction('OUT', {
    encodings: ['E7 Ib,rAX as'],
    access: ['r', 'r'],
    execute: (x) => x.system('out', portWidth(x), x.toI32(x.operand(0) as Int), x.addressBits),
  }),
  instruction('OUT', {
    encodings: ['EE DX,AL as'],
    access: ['r', 'r'],
    execute: (x) => x.system('out', 8, x.gpr(2, 16) as I32, x.addressBits),
  }),
  instruction('OUT', {
    encodings: ['EF DX,rAX as'],
    access: ['r', 'r'],
    execute: (x) => x.system('out', portWidth(x), x.gpr(2, 16) as I32, x.addressBits),
  }),
] as const;

// ---- processor state images

const image = (
  mnemonic: string,
  encoding: string,
  helper: SystemHelper,
  feature: InstructionOptions['feature'],
  store: boolean,
) =>
  instruction(mnemonic, {
    encodings: [encoding],
    access: [store ? 'w' : 'r'],
    feature,
    execute: (x) => x.system(helper, x.address(0, 0, store ? 'w' : 'r').linear as I64, x.bits),
  });
export const FXSAVE = image('FXSAVE', 'NP 0F AE /0 M os', 'fxsave', 'fxsr', true);
export const FXRSTOR = image('FXRSTOR', 'NP 0F AE /1 M os', 'fxrstor', 'fxsr', false);
export const XSAVE = image('XSAVE', 'NP 0F AE /4 M os', 'xsave', 'xsave', true);
export const XRSTOR = image('XRSTOR', 'NP 0F AE /5 M os', 'xrstor', 'xsave', false);
export const XSAVEOPT = image('XSAVEOPT', 'NP 0F AE /6 M os', 'xsaveopt', 'xsaveopt', true);
export const XSAVEC = image('XSAVEC', 'NP 0F C7 /4 M os', 'xsavec', 'xsavec', true);
export const XSAVES = image('XSAVES', 'NP 0F C7 /5 M os cpl0', 'xsaves', 'xsaves', true);
export const XRSTORS = image('XRSTORS', 'NP 0F C7 /3 M os cpl0', 'xrstors', 'xsaves', false);

// ---- AMD-V

const withRax = (mnemonic: string, encoding: string, helper: SystemHelper) =>
  instruction(mnemonic, {
    encodings: [encoding],
    feature: 'svm',
    execute: (x) => x.system(helper, x.addressBits === 64 ? (x.gpr(RAX, 64) as I64) : x.extendU(x.gpr(RAX, 32) as I32)),
  });
export const VMRUN = withRax('VMRUN', '0F 01 (D8) as prot', 'vmrun');
export const VMLOAD = withRax('VMLOAD', '0F 01 (DA) as prot', 'vmload');
export const VMSAVE = withRax('VMSAVE', '0F 01 (DB) as prot', 'vmsave');
export const VMMCALL = plain('VMMCALL', '0F 01 (D9)', 'vmmcall');
export const VMCALL = plain('VMCALL', '0F 01 (C1)', 'vmcall');
export const STGI = plain('STGI', '0F 01 (DC) prot', 'stgi', { feature: 'svm' });
export const CLGI = plain('CLGI', '0F 01 (DD) prot', 'clgi', { feature: 'svm' });
export const SKINIT = plain('SKINIT', '0F 01 (DE) prot', 'skinit', { feature: 'skinit' });
export const INVLPGA = instruction('INVLPGA', {
  encodings: ['0F 01 (DF) as prot'],
  feature: 'svm',
  execute: (x) =>
    x.system(
      'invlpga',
      x.addressBits === 64 ? (x.gpr(RAX, 64) as I64) : x.extendU(x.gpr(RAX, 32) as I32),
      x.gpr(RCX, 32) as I32,
    ),
});
