/** What `--profile` writes: shares of instructions by function, where symbols are known, or by piece of code. */
import type { Profile, ProfileSpot } from '../machine/profile.ts';

/** Addresses of functions in ascending order. */
export class SymbolTable {
  private readonly symbols: readonly { readonly start: bigint; readonly end: bigint; readonly name: string }[];

  private constructor(symbols: { start: bigint; size: bigint | undefined; name: string }[]) {
    symbols.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    this.symbols = symbols.map(({ start, size, name }, i) => {
      const next = symbols[i + 1]?.start ?? start + LONGEST_FUNCTION;
      return {
        start,
        end: size === undefined ? (next < start + LONGEST_FUNCTION ? next : start + LONGEST_FUNCTION) : start + size,
        name,
      };
    });
  }

  /**
   * Reads System.map or /proc/kallsyms ("ffffffff81000000 T name", functions only) or a perf map ("START SIZE name", both
   * hexadecimal).
   * @throws RangeError where no line is either
   */
  static parse(text: string): SymbolTable {
    const symbols: { start: bigint; size: bigint | undefined; name: string }[] = [];
    for (const line of text.split('\n')) {
      const map = /^([0-9a-f]{8,16}) ([a-zA-Z]) (\S+)/.exec(line);
      const perf = /^(?:0x)?([0-9a-f]+) ([0-9a-f]+) (\S.*)$/.exec(line);
      if (map && map[2].length === 1) {
        if (/[tTwW]/.test(map[2])) symbols.push({ start: BigInt(`0x${map[1]}`), size: undefined, name: map[3] });
      } else if (perf) symbols.push({ start: BigInt(`0x${perf[1]}`), size: BigInt(`0x${perf[2]}`), name: perf[3] });
    }
    if (symbols.length === 0) throw new RangeError('holds no symbols: it is neither like System.map nor a perf map');
    return new SymbolTable(symbols);
  }

  /** The function an address lies in. */
  find(address: bigint): string | undefined {
    let low = 0;
    let high = this.symbols.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.symbols[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.symbols[low - 1];
    return found !== undefined && address < found.end ? found.name : undefined;
  }
}

/** A function without a size ends here at the latest. */
const LONGEST_FUNCTION = 0x10000n;
/** Code without a name is put together by pieces of so many bytes. */
const PIECE = 64n;

/** The profile as text, one line for a function or piece of code, most instructions first. Symbols are those of L1. */
export function profileReport(profile: Profile, symbols?: SymbolTable): string {
  const shares = new Map<string, number>();
  const levels = new Map<string, number>();
  const add = (to: Map<string, number>, key: string, samples: number) => to.set(key, (to.get(key) ?? 0) + samples);
  for (const spot of profile.spots()) {
    const level = `${spot.level} ${spot.user ? 'user  ' : 'kernel'}`;
    add(levels, level, spot.samples);
    add(shares, `${level}  ${placeOf(spot, symbols)}`, spot.samples);
  }
  const lines = (counts: Map<string, number>) =>
    [...counts]
      .sort(([, a], [, b]) => b - a)
      .map(([name, samples]) => `${share(samples, profile.total)} ${String(samples).padStart(8)}  ${name}`);
  return [
    `# ${profile.total} samples, one every ${profile.interval} instructions`,
    '#  share  samples  level and privilege',
    ...lines(levels),
    '',
    '#  share  samples  level and privilege, function or code address',
    ...lines(shares),
    '',
  ].join('\n');
}

function placeOf({ level, address }: ProfileSpot, symbols: SymbolTable | undefined): string {
  const name = level === 'L1' ? symbols?.find(address) : undefined;
  return name ?? (address & ~(PIECE - 1n)).toString(16).padStart(16, '0');
}

const share = (part: number, whole: number) => `${((100 * part) / Math.max(whole, 1)).toFixed(2).padStart(6)}%`;
