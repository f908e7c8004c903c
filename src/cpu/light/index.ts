/** The light helpers of src/isa/helpers.ts: computations too long for emitted code. A missing one does not compile. */
import type { LightHelper } from '../../isa/helpers.ts';
import type { Cpu } from '../cpu.ts';
import { settleFlags } from '../flags.ts';
import { crc32, divideS128, divideU128 } from '../light-helpers.ts';
import { plainTimeStamp } from '../system/time-stamp.ts';
import { compareStrings } from './compare-strings.ts';
import { sseFloat } from './sse-float.ts';
import { x87Pending } from './x87-pending.ts';

export const lightHelpers = {
  divideU128,
  divideS128,
  sseFloat,
  x87Pending,
  settleFlags: (cpu) => {
    settleFlags(cpu);
    return 0;
  },
  timeStamp: plainTimeStamp,
  crc32,
  compareStrings,
} satisfies Record<LightHelper, (cpu: Cpu, ...args: number[]) => number>;
