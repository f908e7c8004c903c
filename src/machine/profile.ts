/** Where a guest spends its instructions: samples of RIP, taken every so many instructions. */
import { CS } from '../cpu/context.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { MODE_64, MODE_SIZE_MASK } from '../cpu/mode.ts';

/** Who was executing: the guest itself, or the guest of the hypervisor inside it. */
export type ProfileLevel = 'L1' | 'L2';

/** Samples at one address. */
export interface ProfileSpot {
  readonly level: ProfileLevel;
  /** Whether the current privilege level was 3. */
  readonly user: boolean;
  /** Linear address of the next instruction. */
  readonly address: bigint;
  readonly samples: number;
}

/** A prime number, so that samples do not fall in step with loops. */
const INSTRUCTIONS_PER_SAMPLE = 100_003;

/** Collects samples. That instructions are counted, not time, makes profiles of repeatable runs repeatable. */
export class Profile {
  /** Samples by what a spot is made of. */
  private readonly counts = new Map<string, { -readonly [K in keyof ProfileSpot]: ProfileSpot[K] }>();
  private next: number;
  /** Samples taken. */
  total = 0;
  /** Instructions between samples. */
  readonly interval: number;

  constructor(interval = INSTRUCTIONS_PER_SAMPLE) {
    this.interval = interval;
    this.next = interval;
  }

  /** How many instructions may run until the next sample. */
  remaining(retired: number): number {
    return Math.max(1, this.next - retired);
  }

  /** Takes a sample if one is due. */
  sample(cpu: Cpu, retired: number): void {
    if (retired < this.next) return;
    this.next = retired + this.interval;
    const long = (cpu.mode & MODE_SIZE_MASK) === MODE_64;
    const address = long ? cpu.rip : (cpu.rip + cpu.segments[CS].base) & 0xffff_ffffn;
    const level = cpu.guestMode === 0 ? 'L1' : 'L2';
    const user = cpu.cpl === 3;
    const key = `${level} ${user} ${address}`;
    const known = this.counts.get(key);
    if (known) known.samples++;
    else this.counts.set(key, { level, user, address, samples: 1 });
    this.total++;
  }

  /** All samples, most frequent address first. */
  spots(): ProfileSpot[] {
    return [...this.counts.values()].sort((a, b) => b.samples - a.samples || (a.address < b.address ? -1 : 1));
  }
}
