import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitCodeName } from './exit-names.ts';

test('exit codes have the names of the manual', () => {
  const NAMES: readonly (readonly [number, string])[] = [
    [0x00, 'CR_READ 0'],
    [0x18, 'CR_WRITE 8'],
    [0x37, 'DR_WRITE 7'],
    [0x4e, 'EXCEPTION 14'],
    [0x60, 'INTR'],
    [0x64, 'VINTR'],
    [0x72, 'CPUID'],
    [0x78, 'HLT'],
    [0x7b, 'IOIO'],
    [0x400, 'NPF'],
    [0x402, '402h'],
  ];
  for (const [code, name] of NAMES) assert.equal(exitCodeName(code), name);
});
