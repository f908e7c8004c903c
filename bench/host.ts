/** The machine that the benchmarks run on: what it is, and what else it does meanwhile. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Clock ticks per second in /proc (sysconf(_SC_CLK_TCK)); Linux has shown user space this value on x86 always. */
const TICKS_PER_SECOND = 100;

/** A share of one processor taken by other programs beyond which results are not to be trusted. */
export const DISTURBANCE_LIMIT = 0.05;

/**
 * Seconds of processor time that the whole machine has used, from the first line of /proc/stat (proc(5)):
 * user, nice, system, idle, iowait, irq, softirq, steal. Idle and waiting for I/O are not use.
 */
export function parseMachineTime(stat: string): number | undefined {
  const match = /^cpu\s+(.*)$/m.exec(stat);
  if (!match) return undefined;
  const [user, nice, system, , , irq, softirq] = match[1].split(/\s+/).map(Number);
  const ticks = user + nice + system + irq + softirq;
  return Number.isFinite(ticks) ? ticks / TICKS_PER_SECOND : undefined;
}

/** Seconds that a process and its ended children have used, from /proc/PID/stat (proc(5), fields 14 to 17). */
export function parseProcessTime(stat: string): number | undefined {
  // The second field is a program name in parentheses, which may contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return fields.length > 14 && Number.isFinite(ticks) ? ticks / TICKS_PER_SECOND : undefined;
}

function read<T>(path: string, parse: (text: string) => T): T | undefined {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // not Linux, or the process has ended
  }
}

/** Watches one child process: how much processor time went neither to it nor to this process. */
export class DisturbanceMeter {
  readonly #child: number;
  readonly #machineAtStart = DisturbanceMeter.#machine();
  readonly #ownAtStart = DisturbanceMeter.#own();
  #childTime = 0;

  /** Starts to measure. @param child its process id, just started */
  constructor(child: number) {
    this.#child = child;
  }

  static #machine(): number | undefined {
    return read('/proc/stat', parseMachineTime);
  }

  static #own(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }

  /** To be called from time to time while the child runs: afterwards its time is no longer to be had. */
  sample(): void {
    this.#childTime = read(`/proc/${this.#child}/stat`, parseProcessTime) ?? this.#childTime;
  }

  /** Seconds taken by others since the start; undefined where the system does not say. */
  others(): number | undefined {
    const machine = DisturbanceMeter.#machine();
    if (machine === undefined || this.#machineAtStart === undefined) return undefined;
    const own = DisturbanceMeter.#own() - this.#ownAtStart;
    return Math.max(0, machine - this.#machineAtStart - this.#childTime - own);
  }
}

export interface HostDescription {
  processor: string;
  processors: number;
  platform: string;
}

export function describeHost(): HostDescription {
  const all = cpus();
  const processor = all[0]?.model.trim() || 'unknown processor';
  return { processor, processors: all.length, platform: `${process.platform} ${process.arch}` };
}

/** A processor's name as part of a file name: "AMD EPYC 7763 64-Core Processor" -> "amd-epyc-7763-64-core". */
export function processorSlug(processor: string): string {
  const words = processor
    .replace(/\(R\)|\(TM\)|\bCPU\b|\bProcessor\b|@.*/gi, ' ')
    .toLowerCase()
    .match(/[a-z0-9.]+/g);
  return words?.join('-') ?? 'unknown';
}
