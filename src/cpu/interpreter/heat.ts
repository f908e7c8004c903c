/** Counts how often blocks are entered, so that hot ones become regions. */
import type { FunctionBuilder, Local, Value } from '../../wasm/index.ts';
import { BLOCK_HEADER, BLOCK_HEADER_SIZE, Exit } from './record.ts';

/**
 * Takes one off a block's heat, unless it is 0; when it runs out, returns `Exit.HOT`. To be emitted where rip is the
 * block's address and its budget has not been taken yet.
 */
export function emitHeat(f: FunctionBuilder, block: Local<'i32'>): void {
  const { op } = f;
  const header = f.let(headerOf(f, block));
  const heat = f.let(f.load('i32.load', header, BLOCK_HEADER.heat));
  f.if(
    heat,
    () => {
      const left = f.let(op['i32.sub'](heat, f.i32(1)));
      f.store('i32.store', header, left, BLOCK_HEADER.heat);
      f.if(op['i32.eqz'](left), () => f.return(f.i32(Exit.HOT)));
    },
    undefined,
    false,
  );
}

/** The header of a block. */
function headerOf(f: FunctionBuilder, block: Local<'i32'>): Value<'i32'> {
  return f.op['i32.sub'](block, f.i32(BLOCK_HEADER_SIZE));
}
