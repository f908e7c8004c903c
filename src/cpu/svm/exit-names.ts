/** Names of #VMEXIT codes (APM vol. 2 appendix C), for people. */
import { INTERCEPT_EXIT_CODE } from '../../isa/intercepts.ts';
import { ExitCode } from './vmcb.ts';

const REGISTERS = 16;
const EXCEPTIONS = 32;
const NAMES = new Map<number, string>(
  [...Object.entries(INTERCEPT_EXIT_CODE), ...Object.entries(ExitCode)].map(([name, code]) => [code, name]),
);

/** Exit codes that stand for a row of registers or vectors. */
const ROWS = [
  { first: ExitCode.CR_READ, count: REGISTERS, name: 'CR_READ' },
  { first: ExitCode.CR_WRITE, count: REGISTERS, name: 'CR_WRITE' },
  { first: ExitCode.DR_READ, count: REGISTERS, name: 'DR_READ' },
  { first: ExitCode.DR_WRITE, count: REGISTERS, name: 'DR_WRITE' },
  { first: ExitCode.EXCEPTION, count: EXCEPTIONS, name: 'EXCEPTION' },
] as const;

/** The name of an exit code, such as `CPUID`, `NPF` or `CR_WRITE 0`; the number in hexadecimal where it has none. */
export function exitCodeName(code: number): string {
  const row = ROWS.find(({ first, count }) => code >= first && code < first + count);
  if (row) return `${row.name} ${code - row.first}`;
  return NAMES.get(code) ?? `${code.toString(16)}h`;
}
