/** Shorthand for the definitions of this directory. */
import type { InstructionRows } from '../rows.ts';

/** A definition as rows.ts takes it. */
export const rows = (mnemonic: string, encodings: string[], more: Partial<InstructionRows> = {}): InstructionRows => ({
  mnemonic,
  encodings,
  ...more,
});
/** Two hexadecimal digits. */
export const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, '0');
