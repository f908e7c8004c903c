/** Sizes as people write them. */
import { InvalidArgumentError } from 'commander';

const FACTORS: Readonly<Record<string, number>> = { '': 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const PAGE = 4096;
const LEAST_MEMORY = 2 ** 21;

/** A size of guest memory such as `512M`, `1.5G` or `262144K` in bytes; a bare number means MiB. */
export function parseMemorySize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(text);
  if (!match) throw new InvalidArgumentError('A size looks like 512M or 1G.');
  const bytes = Number(match[1]) * FACTORS[match[2].toUpperCase()];
  if (bytes % PAGE !== 0 || bytes < LEAST_MEMORY)
    throw new InvalidArgumentError('Memory comes in whole pages of 4K, at least 2M.');
  return bytes;
}
