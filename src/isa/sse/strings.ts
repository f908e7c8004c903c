/** String and text instructions of SSE4.2, and CRC32. */
import { type Instruction, instruction } from '../instruction.ts';
import { type I32, type I64, type Int, RAX, RCX, RDX, type Stage } from '../stage.ts';
import { immediate, type VectorLocal } from './vector.ts';

/** Bits of the helper's first argument above the immediate. */
const EXPLICIT_LENGTHS = 1 << 8;
const MASK_RESULT = 1 << 9;

/** A signed length in rAX or rDX; 64 bits wide with REX.W. */
const length = (x: Stage, register: number): I64 =>
  x.bits === 64 ? (x.gpr(register, 64) as I64) : x.extendS(x.gpr(register, 32) as I32);

function compare(mnemonic: string, opcode: string, explicit: boolean, mask: boolean): Instruction {
  return instruction(mnemonic, {
    encodings: [`66 0F 3A ${opcode} Vx,Wx,Ib${explicit ? ' os' : ''}`],
    access: ['r', 'r', 'r'],
    feature: 'sse4.2',
    unit: 'sse',
    execute(x) {
      const a = x.operand(0) as VectorLocal;
      // memory may be unaligned
      const b = x.operand(1) as VectorLocal;
      x.setScratch128(0, a);
      x.setScratch128(2, b);
      if (explicit) {
        x.setScratch(4, length(x, RAX));
        x.setScratch(5, length(x, RDX));
      }
      const flags = x.call(
        'compareStrings',
        x.or(immediate(x, 2) as I32, (explicit ? EXPLICIT_LENGTHS : 0) | (mask ? MASK_RESULT : 0)),
      );
      if (mask) x.setXmm(0, x.scratch128(6));
      else x.setGpr(RCX, 32, x.wrap(x.scratch(6) as I64));
      const bit = (n: number) => x.and(x.shrU(flags as I32, n), 1);
      x.setFlags({ CF: bit(0), ZF: bit(1), SF: bit(2), OF: bit(3), AF: x.i32(0), PF: x.i32(0) });
    },
  });
}
export const PCMPESTRM = compare('PCMPESTRM', '60', true, true);
export const PCMPESTRI = compare('PCMPESTRI', '61', true, false);
export const PCMPISTRM = compare('PCMPISTRM', '62', false, true);
export const PCMPISTRI = compare('PCMPISTRI', '63', false, false);

export const CRC32 = instruction('CRC32', {
  encodings: ['F2 0F 38 F0 Gy,Eb', 'F2 0F 38 F1 Gy,Ev'],
  feature: 'sse4.2',
  execute(x) {
    const bits = x.bitsOf(1);
    const value = x.operand(1) as Int;
    const crc = x.toI32(x.operand(0) as Int);
    const result = x.call('crc32', crc, x.toI64(value), bits);
    x.write(0, x.toBits(result as I32, x.bitsOf(0) as 32 | 64));
  },
});
