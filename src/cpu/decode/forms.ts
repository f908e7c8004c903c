/** Decoding in the processor's mode, and the forms of instructions that handlers are made for. */

import type { HandlerForm } from '../form-stage.ts';
import { REPEATS } from '../interpreter/handlers.ts';
import { MODE_32, MODE_64, MODE_REAL_OR_V86, MODE_SIZE_MASK } from '../mode.ts';
import type { Decoded, DecodeResult, Decoder } from './decoder.ts';

/** Decodes the instruction at `at`, of which no byte may lie at `end` or behind, into the decoder's `out`. */
export function decodeInMode(decoder: Decoder, bytes: Uint8Array, at: number, end: number, mode: number): DecodeResult {
  const size = mode & MODE_SIZE_MASK;
  return decoder.decode(
    bytes,
    at,
    end,
    size === MODE_64 ? 64 : size === MODE_32 ? 32 : 16,
    (mode & MODE_REAL_OR_V86) !== 0,
  );
}

/** The form of a decoded instruction. `long`: in 64-bit code. */
export function formOf(out: Decoded, long: boolean): HandlerForm {
  const { encoding } = out;
  return {
    encoding,
    long,
    operandSize: encoding.dependsOnOperandSize ? out.operandSize : 32,
    addressSize: encoding.attributes.as ? out.addressSize : long ? 64 : 32,
    memory: out.form === 'memory',
    repeat: out.repeat,
    cc: encoding.span === 16 ? out.opcode & 15 : 0,
  };
}

/** A small number that tells the forms of one encoding in one mode class apart, the common ones lowest. */
export function formIndex(out: Decoded, long: boolean): number {
  const { encoding } = out;
  const operandSize = encoding.dependsOnOperandSize ? out.operandSize >> 5 : 0;
  const narrow = encoding.attributes.as && out.addressSize < (long ? 64 : 32) ? 1 : 0;
  const cc = encoding.span === 16 ? out.opcode & 15 : 0;
  return (((((REPEATS[out.repeat] << 1) | narrow) << 2) | operandSize) << 5) | (out.form === 'memory' ? 16 : 0) | cc;
}
