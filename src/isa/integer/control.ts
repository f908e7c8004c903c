/** Control transfer: JMP, Jcc, CALL, RET, LOOP, JrCXZ, far transfers, software interrupts, NOPs. */
import { instruction } from '../instruction.ts';
import { type I32, type I64, type Int, RCX, type Stage } from '../stage.ts';

type StackBits = 16 | 32 | 64;

export const JMP = instruction('JMP', {
  encodings: ['EB Jb f64', 'E9 Jz f64'],
  access: ['r'],
  execute: (x) => x.branch(0),
});

export const JCC = instruction('Jcc', {
  encodings: ['70+cc Jb f64', '0F 80+cc Jz f64'],
  access: ['r'],
  execute: (x) => x.branchIf(x.condition(x.cc), 0),
});

export const JMP_INDIRECT = instruction('JMP', {
  encodings: ['FF /4 Ev f64'],
  access: ['r'],
  execute: (x) => x.jump(x.checkTarget(x.operand(0) as Int), 'indirect'),
});

export const CALL = instruction('CALL', {
  encodings: ['E8 Jz f64'],
  access: ['r'],
  execute(x) {
    x.push(x.bits as StackBits, x.toBits(x.nextRip() as Int, x.bits));
    x.callHint();
    x.branch(0);
  },
});

export const CALL_INDIRECT = instruction('CALL', {
  encodings: ['FF /2 Ev f64'],
  access: ['r'],
  execute(x) {
    const target = x.checkTarget(x.operand(0) as Int);
    x.push(x.bits as StackBits, x.toBits(x.nextRip() as Int, x.bits));
    x.callHint();
    x.jump(target, 'call');
  },
});

export const RET = instruction('RET', {
  encodings: ['C3 f64'],
  execute(x) {
    const target = x.checkTarget(x.peek(x.bits as StackBits) as Int);
    x.releaseStack(x.bits / 8);
    x.jump(target, 'return');
  },
});
export const RET_RELEASE = instruction('RET', {
  encodings: ['C2 Iw f64'],
  access: ['r'],
  execute(x) {
    const target = x.checkTarget(x.peek(x.bits as StackBits) as Int);
    x.releaseStack(x.add(x.extendU(x.operand(0) as I32), x.bits / 8));
    x.jump(target, 'return');
  },
});

/** rCX of the address size, less one; not yet written. */
function countdown(x: Stage): I64 {
  const less = x.sub(x.gpr(RCX, 64) as I64, 1);
  return x.let(x.addressBits === 64 ? less : x.and(less, x.addressBits === 32 ? 0xffffffff : 0xffff));
}

function loop(mnemonic: string, opcode: string, zf: 0 | 1 | undefined) {
  return instruction(mnemonic, {
    encodings: [`${opcode} Jb f64 as`],
    access: ['r'],
    execute(x) {
      const count = countdown(x);
      const more = x.nez(count);
      const go = x.let(zf === undefined ? more : x.and(more, x.eq(x.flag('ZF'), zf))) as I32;
      x.setGpr(RCX, x.addressBits, x.addressBits === 64 ? count : x.wrap(count));
      x.branchIf(go, 0);
    },
  });
}
export const LOOPNE = loop('LOOPNE', 'E0', 0);
export const LOOPE = loop('LOOPE', 'E1', 1);
export const LOOP = loop('LOOP', 'E2', undefined);

export const JRCXZ = instruction('JrCXZ', {
  encodings: ['E3 Jb f64 as'],
  access: ['r'],
  execute: (x) => x.branchIf(x.eqz(x.gpr(RCX, x.addressBits)), 0),
});

// ---- far transfers and interrupts

export const JMP_FAR = instruction('JMP', {
  encodings: ['EA Ap no64'],
  access: ['r'],
  execute: (x) => x.system('farJump', x.bits, x.farSelector(0), x.farOffset(0)),
});
export const CALL_FAR = instruction('CALL', {
  encodings: ['9A Ap no64'],
  access: ['r'],
  execute: (x) => x.system('farCall', x.bits, x.farSelector(0), x.farOffset(0)),
});

/** Selector and offset from a far pointer in memory. */
export function farPointer(x: Stage, operand: number): { selector: I32; offset: I64 } {
  const bytes = x.bits / 8;
  const address = x.address(operand, bytes + 2, 'r');
  const offset = x.load(x.bits, address) as Int;
  const selector = x.load(16, x.behind(address, bytes)) as I32;
  return { selector, offset: x.let(x.toI64(offset)) };
}

export const JMP_FAR_INDIRECT = instruction('JMP', {
  encodings: ['FF /5 Mp'],
  access: ['r'],
  execute(x) {
    const { selector, offset } = farPointer(x, 0);
    x.system('farJump', x.bits, selector, offset);
  },
});
export const CALL_FAR_INDIRECT = instruction('CALL', {
  encodings: ['FF /3 Mp'],
  access: ['r'],
  execute(x) {
    const { selector, offset } = farPointer(x, 0);
    x.system('farCall', x.bits, selector, offset);
  },
});
export const RET_FAR = instruction('RETF', { encodings: ['CB os'], execute: (x) => x.system('farReturn', x.bits, 0) });
export const RET_FAR_RELEASE = instruction('RETF', {
  encodings: ['CA Iw os'],
  access: ['r'],
  execute: (x) => x.system('farReturn', x.bits, x.operand(0) as I32),
});
export const IRET = instruction('IRET', {
  encodings: ['CF os'],
  intercept: 'IRET',
  execute: (x) => x.system('iret', x.bits),
});
export const INT = instruction('INT', {
  encodings: ['CD Ib'],
  access: ['r'],
  execute: (x) => x.system('softwareInterrupt', x.operand(0) as I32),
});
export const INT3 = instruction('INT3', { encodings: ['CC'], execute: (x) => x.system('int3') });
export const INT1 = instruction('INT1', { encodings: ['F1'], intercept: 'ICEBP', execute: (x) => x.system('int1') });
export const INTO = instruction('INTO', {
  encodings: ['CE no64'],
  execute: (x) => x.if(x.flag('OF'), () => x.system('into')),
});
export const UD2 = instruction('UD2', { encodings: ['0F 0B'], execute: (x) => x.fault(6) });
/** AMD processors raise #UD without fetching the ModRM byte (Intel's fetch it first). */
export const UD1 = instruction('UD1', { encodings: ['0F B9'], execute: (x) => x.fault(6) });
export const UD0 = instruction('UD0', { encodings: ['0F FF'], execute: (x) => x.fault(6) });

export const NOP = instruction('NOP', { encodings: ['90 norexb'], execute() {} });
export const NOP_HINT = instruction('NOP', {
  // reserved hints, ENDBR among them
  encodings: [
    '0F 19 Ev',
    '0F 1A Ev',
    '0F 1B Ev',
    '0F 1C Ev',
    '0F 1D Ev',
    '0F 1E Ev',
    '0F 1F Ev',
    '0F 18 /4 Ev',
    '0F 18 /5 Ev',
    '0F 18 /6 Ev',
    '0F 18 /7 Ev',
  ],
  access: ['r'],
  execute() {},
});
export const PREFETCH = instruction('PREFETCH', {
  encodings: ['0F 18 /0 Ev', '0F 18 /1 Ev', '0F 18 /2 Ev', '0F 18 /3 Ev', '0F 0D M'],
  access: ['r'],
  execute() {},
});
export const PAUSE = instruction('PAUSE', { encodings: ['F3 90 norexb'], execute: (x) => x.system('pause') });

// ---- flags

export const CLC = instruction('CLC', { encodings: ['F8'], execute: (x) => x.setFlags({ CF: x.i32(0) }) });
export const STC = instruction('STC', { encodings: ['F9'], execute: (x) => x.setFlags({ CF: x.i32(1) }) });
export const CMC = instruction('CMC', {
  encodings: ['F5'],
  execute: (x) => x.setFlags({ CF: x.xor(x.flag('CF') as I32, 1) }),
});
export const CLD = instruction('CLD', { encodings: ['FC'], execute: (x) => x.setDirection(0) });
export const STD = instruction('STD', { encodings: ['FD'], execute: (x) => x.setDirection(1) });
/** AH is bits 15:8 of RAX. */
export const LAHF = instruction('LAHF', {
  encodings: ['9F'],
  execute: (x) => x.setGpr(0, 16, x.or(x.and(x.gpr(0, 16) as I32, 0xff), x.shl(x.lowFlags() as I32, 8))),
});
export const SAHF = instruction('SAHF', {
  encodings: ['9E'],
  execute: (x) => x.setLowFlags(x.shrU(x.gpr(0, 16) as I32, 8)),
});
