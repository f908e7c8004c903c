/** Moves between XMM registers, general registers and memory (SSE to SSE4.1). */
import { type Feature, type Instruction, instruction } from '../instruction.ts';
import { type I64, type Int, RDI, type Stage } from '../stage.ts';
import { elements, high, low, source, store, type V128, type VectorLocal } from './vector.ts';

// ---- whole registers

function move(mnemonic: string, load: string, save: string, feature: Feature, aligned: boolean): Instruction {
  return instruction(mnemonic, {
    encodings: [`${load} Vx,Wx`, `${save} Wx,Vx`],
    access: ['w', 'r'],
    feature,
    unit: 'sse',
    execute(x) {
      if (aligned) store(x, 0, source(x, 1));
      else x.write(0, x.operand(1));
    },
  });
}
export const MOVAPS = move('MOVAPS', 'NP 0F 28', 'NP 0F 29', 'sse', true);
export const MOVAPD = move('MOVAPD', '66 0F 28', '66 0F 29', 'sse2', true);
export const MOVDQA = move('MOVDQA', '66 0F 6F', '66 0F 7F', 'sse2', true);
export const MOVUPS = move('MOVUPS', 'NP 0F 10', 'NP 0F 11', 'sse', false);
export const MOVUPD = move('MOVUPD', '66 0F 10', '66 0F 11', 'sse2', false);
export const MOVDQU = move('MOVDQU', 'F3 0F 6F', 'F3 0F 7F', 'sse2', false);

export const LDDQU = instruction('LDDQU', {
  encodings: ['F2 0F F0 Vx,Mx'],
  access: ['w', 'r'],
  feature: 'sse3',
  unit: 'sse',
  execute: (x) => x.write(0, x.operand(1)),
});
export const MOVNTDQA = instruction('MOVNTDQA', {
  encodings: ['66 0F 38 2A Vx,Mx'],
  access: ['w', 'r'],
  feature: 'sse4.1',
  unit: 'sse',
  execute: (x) => x.write(0, source(x, 1)),
});

const nonTemporal = (mnemonic: string, encoding: string, feature: Feature) =>
  instruction(mnemonic, {
    encodings: [`${encoding} Mx,Vx`],
    access: ['w', 'r'],
    feature,
    unit: 'sse',
    execute: (x) => store(x, 0, x.operand(1) as VectorLocal),
  });
export const MOVNTPS = nonTemporal('MOVNTPS', 'NP 0F 2B', 'sse');
export const MOVNTPD = nonTemporal('MOVNTPD', '66 0F 2B', 'sse2');
export const MOVNTDQ = nonTemporal('MOVNTDQ', '66 0F E7', 'sse2');
/** Not subject to CR0.EM, CR0.TS and CR4.OSFXSR: no XMM register is involved. */
export const MOVNTI = instruction('MOVNTI', {
  encodings: ['NP 0F C3 My,Gy'],
  access: ['w', 'r'],
  feature: 'sse2',
  execute: (x) => x.write(0, x.operand(1)),
});

// ---- scalars: registers keep their upper part, loads clear it

function scalarMove(mnemonic: string, prefix: string, width: 'ss' | 'sd', feature: Feature): Instruction[] {
  const copy = (encodings: string[], execute: (x: Stage) => void) =>
    instruction(mnemonic, { encodings, access: ['w', 'r'], feature, unit: 'sse', execute });
  return [
    copy([`${prefix} 0F 10 V${width},U${width}`, `${prefix} 0F 11 W${width},V${width}`], (x) =>
      x.write(0, x.number(1)),
    ),
    copy([`${prefix} 0F 10 V${width},M${width}`], (x) => x.writeZeroExtended(0, x.number(1))),
  ];
}
export const MOVSS = scalarMove('MOVSS', 'F3', 'ss', 'sse');
export const MOVSD = scalarMove('MOVSD', 'F2', 'sd', 'sse2');

// ---- general registers

const toVector = (mnemonic: string, encoding: string) =>
  instruction(mnemonic, {
    encodings: [encoding],
    access: ['w', 'r'],
    feature: 'sse2',
    unit: 'sse',
    execute: (x) => x.writeZeroExtended(0, x.operand(1) as Int),
  });
const fromVector = (mnemonic: string, encoding: string) =>
  instruction(mnemonic, {
    encodings: [encoding],
    access: ['w', 'r'],
    feature: 'sse2',
    unit: 'sse',
    execute: (x) => x.write(0, x.operand(1)),
  });
export const MOVD = [toVector('MOVD', '66 W0 0F 6E Vd,Ed'), fromVector('MOVD', '66 W0 0F 7E Ed,Vd')];
export const MOVQ = [
  toVector('MOVQ', '66 W1 0F 6E Vq,Eq'),
  fromVector('MOVQ', '66 W1 0F 7E Eq,Vq'),
  toVector('MOVQ', 'F3 0F 7E Vq,Wq'),
  toVector('MOVQ', '66 0F D6 Uq,Vq'),
  fromVector('MOVQ', '66 0F D6 Mq,Vq'),
];

// ---- halves

/** Replaces half 0 or 1 of the destination. */
function replaceHalf(
  mnemonic: string,
  encoding: string,
  feature: Feature,
  half: 0 | 1,
  value: (x: Stage) => I64,
): Instruction {
  return instruction(mnemonic, {
    encodings: [encoding],
    feature,
    unit: 'sse',
    execute(x) {
      const fresh = x.let(value(x)) as I64;
      x.write(0, x.op['i64x2.replace_lane'](x.operand(0) as VectorLocal, fresh, half));
    },
  });
}
const memoryHalf = (x: Stage) => x.operand(1) as I64;
export const MOVLPS = [
  replaceHalf('MOVLPS', 'NP 0F 12 Vx,Mq', 'sse', 0, memoryHalf),
  fromHalf('MOVLPS', 'NP 0F 13 Mq,Vx', 'sse', low),
];
export const MOVLPD = [
  replaceHalf('MOVLPD', '66 0F 12 Vx,Mq', 'sse2', 0, memoryHalf),
  fromHalf('MOVLPD', '66 0F 13 Mq,Vx', 'sse2', low),
];
export const MOVHPS = [
  replaceHalf('MOVHPS', 'NP 0F 16 Vx,Mq', 'sse', 1, memoryHalf),
  fromHalf('MOVHPS', 'NP 0F 17 Mq,Vx', 'sse', high),
];
export const MOVHPD = [
  replaceHalf('MOVHPD', '66 0F 16 Vx,Mq', 'sse2', 1, memoryHalf),
  fromHalf('MOVHPD', '66 0F 17 Mq,Vx', 'sse2', high),
];
export const MOVHLPS = replaceHalf('MOVHLPS', 'NP 0F 12 Vx,Ux', 'sse', 0, (x) => high(x, x.operand(1) as VectorLocal));
export const MOVLHPS = replaceHalf('MOVLHPS', 'NP 0F 16 Vx,Ux', 'sse', 1, (x) => low(x, x.operand(1) as VectorLocal));

function fromHalf(mnemonic: string, encoding: string, feature: Feature, half: (x: Stage, v: V128) => I64): Instruction {
  return instruction(mnemonic, {
    encodings: [encoding],
    access: ['w', 'r'],
    feature,
    unit: 'sse',
    execute: (x) => x.write(0, half(x, x.operand(1) as VectorLocal)),
  });
}

// ---- duplication

const duplicate = (mnemonic: string, encoding: string, chosen: number[]) =>
  instruction(mnemonic, {
    encodings: [`${encoding} Vx,Wx`],
    access: ['w', 'r'],
    feature: 'sse3',
    unit: 'sse',
    execute(x) {
      const value = source(x, 1);
      x.write(0, x.op['i8x16.shuffle'](value, value, elements(4, chosen)));
    },
  });
export const MOVSLDUP = duplicate('MOVSLDUP', 'F3 0F 12', [0, 0, 2, 2]);
export const MOVSHDUP = duplicate('MOVSHDUP', 'F3 0F 16', [1, 1, 3, 3]);
export const MOVDDUP = instruction('MOVDDUP', {
  encodings: ['F2 0F 12 Vx,Wq'],
  access: ['w', 'r'],
  feature: 'sse3',
  unit: 'sse',
  execute: (x) => x.write(0, x.op['i64x2.splat'](x.operand(1) as I64)),
});

// ---- bytes chosen by a mask, to DS:rDI

/** Writes the bytes of `value` whose `mask` byte has its sign bit set. The place is checked whatever the mask. */
export function storeMasked(x: Stage, value: VectorLocal, mask: VectorLocal, halves: 1 | 2): void {
  const { op } = x;
  const selected = x.let(op['i8x16.shr_s'](mask, x.i32(7))) as VectorLocal;
  const offset = x.let(x.toI64(x.gpr(RDI, x.addressBits) as Int)) as I64;
  const address = x.throughOperandSegment(offset, 8 * halves, 'w');
  const places = Array.from({ length: halves }, (_, i) => x.modify(64, i === 0 ? address : x.behind(address, 8 * i)));
  places.forEach((place, i) => {
    const lane = (v: V128) => op['i64x2.extract_lane'](v, i) as I64;
    const old = place.value as I64;
    place.write(x.xor(old, x.and(x.xor(old, lane(value)), lane(selected))));
  });
}

export const MASKMOVDQU = instruction('MASKMOVDQU', {
  encodings: ['66 0F F7 Vx,Ux as'],
  access: ['r', 'r'],
  feature: 'sse2',
  unit: 'sse',
  execute(x) {
    const [value, mask] = x.operands() as VectorLocal[];
    storeMasked(x, value, mask, 2);
  },
});

/** MOVQ2DQ and MOVDQ2Q touch MMX registers: their state changes as by any MMX instruction. */
export const MOVQ2DQ = instruction('MOVQ2DQ', {
  encodings: ['F3 0F D6 Vq,Nq'],
  access: ['w', 'r'],
  feature: 'sse2',
  unit: 'sse',
  execute(x) {
    x.requireNoX87Exception();
    const value = x.operand(1) as I64;
    x.enterMmx();
    x.writeZeroExtended(0, value);
  },
});
export const MOVDQ2Q = instruction('MOVDQ2Q', {
  encodings: ['F2 0F D6 Pq,Uq'],
  access: ['w', 'r'],
  feature: 'sse2',
  unit: 'sse',
  execute(x) {
    x.requireNoX87Exception();
    const value = x.operand(1);
    x.enterMmx();
    x.write(0, value);
  },
});
