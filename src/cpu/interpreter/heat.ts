/** Counts how often blocks are entered, so that hot ones become regions. */
import type { FunctionBuilder, Local } from '../../wasm/index.ts';
import { Exit, RECORD } from './record.ts';

/**
 * Takes one off a block's heat, unless it is 0; when it runs out, returns `Exit.HOT`. To be emitted where rip is the
 * block's address and its budget has not been taken yet.
 */
export function emitHeat(f: FunctionBuilder, block: Local<'i32'>): void {
  const { op } = f;
  const heat = f.let(f.load('i32.load16_u', block, RECORD.heat));
  f.if(
    heat,
    () => {
      const left = f.let(op['i32.sub'](heat, f.i32(1)));
      f.store('i32.store16', block, left, RECORD.heat);
      f.if(op['i32.eqz'](left), () => f.return(f.i32(Exit.HOT)));
    },
    undefined,
    false,
  );
}
