/** What the operating system says about a file, in words. */
import { getSystemErrorMap } from 'node:util';

/** The description of a system call's error, such as "no such file or directory". */
export function describeSystemError(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  return known ? known[1] : message;
}
