/** Turns time-stamped console lines into measurements. */
import { L1_BOOT, L2_BOOT } from './benchmarks.ts';

/** A line of a console; the time is that of its end. */
export interface ConsoleLine {
  /** Host time since the system's program was started. */
  seconds: number;
  text: string;
}

export interface Measurement {
  name: string;
  /** Host time between the two markers. */
  seconds: number;
  /** Hexadecimal; boots have none. */
  checksum?: string;
}

/** What a line means for the run. */
export type ConsoleEvent =
  | { kind: 'begin'; name: string }
  | { kind: 'measured'; measurement: Measurement }
  | { kind: 'finished'; failed: boolean }
  | { kind: 'crashed'; message: string };

/** Markers may follow other text in their line: the kernel writes to the same console. */
const BEGIN = /BENCH-BEGIN ([\w-]+)\s*$/;
const END = /BENCH-END ([\w-]+) ([0-9a-f]+)\s*$/;
/** The guests' own ready lines and the end of what L1 was told to run (guests/l1/init, guests/l2/init). */
const L1_READY = /TESTUDO-L1-READY/;
const L2_READY = /TESTUDO-L2-READY/;
const FINISHED = /TESTUDO-DONE rc=(\d+)/;
const CRASHED = /Kernel panic[^\r]*/;

/** Reads the lines of one run, in their order. */
export class MarkerParser {
  #begun: { name: string; seconds: number } | undefined;

  /** The benchmark that has begun and not ended. */
  get running(): string | undefined {
    return this.#begun?.name;
  }

  /** What `line` says, if it is a marker. An end without its beginning is none. */
  read({ seconds, text }: ConsoleLine): ConsoleEvent | undefined {
    const begin = BEGIN.exec(text);
    if (begin) {
      this.#begun = { name: begin[1], seconds };
      return { kind: 'begin', name: begin[1] };
    }
    const end = END.exec(text);
    if (end) return this.#end(end[1], seconds, end[2]);
    if (L1_READY.test(text)) return { kind: 'measured', measurement: { name: L1_BOOT, seconds } };
    if (L2_READY.test(text)) return this.#end(L2_BOOT, seconds);
    const finished = FINISHED.exec(text);
    if (finished) return { kind: 'finished', failed: finished[1] !== '0' };
    const crashed = CRASHED.exec(text);
    return crashed ? { kind: 'crashed', message: crashed[0] } : undefined;
  }

  #end(name: string, seconds: number, checksum?: string): ConsoleEvent | undefined {
    if (this.#begun?.name !== name) return undefined;
    const measurement: Measurement = { name, seconds: seconds - this.#begun.seconds };
    if (checksum !== undefined) measurement.checksum = checksum;
    this.#begun = undefined;
    return { kind: 'measured', measurement };
  }
}

/** Cuts a stream of bytes into lines, without carriage returns and terminal control sequences. */
export class LineSplitter {
  #rest = '';
  readonly #decoder = new TextDecoder();

  /** The lines that `bytes` complete. */
  push(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n');
    this.#rest = lines.pop() as string;
    return lines.map(plainText);
  }
}

/** ECMA-48 control sequences and two-character escape sequences. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to remove
const CONTROL_SEQUENCES = /\x1b\[[0-9;?]*[A-Za-z]|\x1b[@-Z\\-_c]|\r/g;

function plainText(line: string): string {
  return line.replace(CONTROL_SEQUENCES, '');
}
