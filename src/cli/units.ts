import { InvalidArgumentError } from 'commander';

const FACTORS: Readonly<Record<string, number>> = { '': 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** A size such as `512M`, `1G` or `262144K`; a bare number means MiB. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(text);
  if (!match) throw new InvalidArgumentError('a size looks like 512M or 1G.');
  const bytes = Math.round(Number(match[1]) * FACTORS[match[2].toUpperCase()]);
  if (bytes % 4096 !== 0 || bytes < 2 ** 21) throw new InvalidArgumentError('at least 2M, in whole 4K pages.');
  return bytes;
}
