/**
 * A hand-written list of user-mode instructions in the rows' notation, independent of src/isa: it makes vectors where
 * the emulator has no row yet, and its x87 rows name instructions that src/isa keeps under a few common ones.
 */
import type { InstructionRows } from '../rows.ts';
import { GENERAL } from './general.ts';
import { INTEGER_VECTORS, SSE_FLOAT, SSE_MOVES } from './simd.ts';
import { X87 } from './x87.ts';

/** Every built-in row. */
export const BUILTIN: readonly InstructionRows[] = [...GENERAL, ...SSE_FLOAT, ...SSE_MOVES, ...INTEGER_VECTORS, ...X87];
