/**
 * What the vector families share: reading and writing 128-bit operands with their alignment rule, and the definition of
 * instructions that exist for XMM and for MMX registers alike.
 */
import type { Local, Operators, Value } from '../../wasm/index.ts';
import { type Feature, type Instruction, type InstructionOptions, instruction } from '../instruction.ts';
import { type I64, type Int, type Stage, Vector } from '../stage.ts';

export type V128 = Value<'v128'>;
/** A vector that may be used any number of times. */
export type VectorLocal = Local<'v128'>;

/** WebAssembly operators (vector, vector) -> vector. */
export type VectorOperator = {
  [N in keyof Operators]: Parameters<Operators[N]> extends [V128, V128]
    ? ReturnType<Operators[N]> extends V128
      ? N
      : never
    : never;
}[keyof Operators];

/** An operation on whole vectors. */
export type VectorOperation = (x: Stage, a: VectorLocal, b: VectorLocal) => V128;

/** Bytes of an XMM register, and the alignment legacy SSE asks of its memory operands (SDM vol. 1 10.4.1.1, 11.3). */
const XMM_BYTES = 16;

/** #GP(0) unless a linear address is a multiple of 16. */
function requireAligned(x: Stage, linear: I64): void {
  x.faultIf(x.and(x.wrap(linear), XMM_BYTES - 1), Vector.GP, 0);
}

/** Reads a 128-bit operand; in memory it has to be aligned. */
export function source(x: Stage, operand: number): VectorLocal {
  if (x.kind(operand) !== 'memory') return x.operand(operand) as VectorLocal;
  const address = x.address(operand, XMM_BYTES, 'r');
  requireAligned(x, address.linear);
  return x.load128(address);
}

/** Writes a 128-bit operand; in memory it has to be aligned. */
export function store(x: Stage, operand: number, value: V128): void {
  if (x.kind(operand) !== 'memory') {
    x.write(operand, value);
    return;
  }
  const v = x.let(value);
  const address = x.address(operand, XMM_BYTES, 'w');
  requireAligned(x, address.linear);
  x.store128(address, v);
}

/** A vector constant from 8-bit lanes. */
export function bytes(x: Stage, lane: (i: number) => number): V128 {
  return x.f.const(
    'v128',
    Array.from({ length: 16 }, (_, i) => lane(i) & 0xff),
  );
}

/** A vector constant from lanes of `bits` width. */
export function lanes(x: Stage, bits: 16 | 32 | 64, lane: (i: number) => number | bigint): V128 {
  let value = 0n;
  for (let i = 128 / bits - 1; i >= 0; i--) value = (value << BigInt(bits)) | BigInt.asUintN(bits, BigInt(lane(i)));
  return x.f.const('v128', value);
}

/** Lane numbers for i8x16.shuffle that choose whole elements of `size` bytes. */
export function elements(size: number, chosen: readonly number[]): number[] {
  return chosen.flatMap((element) => Array.from({ length: size }, (_, i) => element * size + i));
}

/** The low 64 bits. */
export function low(x: Stage, v: V128): I64 {
  return x.op['i64x2.extract_lane'](v, 0) as I64;
}
export function high(x: Stage, v: V128): I64 {
  return x.op['i64x2.extract_lane'](v, 1) as I64;
}

/** The low halves of two vectors in one. */
export function lowHalves(x: Stage, a: V128, b: V128): V128 {
  return x.op['i8x16.shuffle'](a, b, elements(8, [0, 2]));
}

/** An MMX operand in both halves of a vector. */
export function widened(x: Stage, operand: number): VectorLocal {
  return x.let(x.op['i64x2.splat'](x.toI64(x.operand(operand) as Int))) as VectorLocal;
}

/**
 * An instruction on MMX registers: a pending x87 exception comes first; behind `execute`, which reads its operands and
 * gives the way to write the result, the x87 registers become valid and TOP zero (SDM vol. 1 9.5).
 */
export function mmx(
  mnemonic: string,
  options: Omit<InstructionOptions, 'execute' | 'unit'>,
  execute: (x: Stage) => () => void,
): Instruction {
  return instruction(mnemonic, {
    feature: 'mmx',
    ...options,
    unit: 'mmx',
    execute(x) {
      x.requireNoX87Exception();
      const finish = execute(x);
      x.enterMmx();
      finish();
    },
  });
}

export interface PackedOptions {
  /** Feature of the MMX form; none: there is no such form. */
  mmx?: Feature;
  /** Feature of the XMM form. */
  sse?: Feature;
  /** The MMX form, where it is not the low half of the XMM one; both halves of its operands are equal. */
  narrow?: VectorOperation;
  /** Source operand of the MMX form; `Qq` by default. */
  narrowSource?: 'Qq' | 'Qd';
}

/** `mnemonic destination, source` with the same opcode for MMX (no prefix) and XMM registers (66). */
export function packed(
  mnemonic: string,
  opcode: string,
  operation: VectorOperation,
  options: PackedOptions = {},
): Instruction[] {
  const forms = [
    instruction(mnemonic, {
      encodings: [`66 0F ${opcode} Vx,Wx`],
      feature: options.sse ?? 'sse2',
      unit: 'sse',
      execute(x) {
        const a = x.operand(0) as VectorLocal;
        const b = source(x, 1);
        x.write(0, operation(x, a, b));
      },
    }),
  ];
  if (options.mmx) {
    const narrow = options.narrow ?? operation;
    forms.push(
      mmx(
        mnemonic,
        { encodings: [`NP 0F ${opcode} Pq,${options.narrowSource ?? 'Qq'}`], feature: options.mmx },
        (x) => {
          const result = x.let(low(x, narrow(x, widened(x, 0), widened(x, 1))));
          return () => x.write(0, result);
        },
      ),
    );
  }
  return forms;
}

/** The same where the operation is one WebAssembly operator. */
export function lanewise(
  mnemonic: string,
  opcode: string,
  operator: VectorOperator,
  options: PackedOptions = {},
): Instruction[] {
  return packed(mnemonic, opcode, (x, a, b) => x.op[operator](a, b), options);
}

/** An 8-bit immediate as a value from 0 to 255. */
export function immediate(x: Stage, operand: number): Local<'i32'> {
  return x.operand(operand) as Local<'i32'>;
}
