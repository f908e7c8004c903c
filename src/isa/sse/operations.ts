/** What the `sseFloat` helper can do: the exact path of SSE floating-point instructions. */

/** Operations, the first argument of the helper; `first` and `second` are its operands. */
export const SseOperation = {
  ADD: 0,
  SUBTRACT: 1,
  MULTIPLY: 2,
  DIVIDE: 3,
  MINIMUM: 4,
  MAXIMUM: 5,
  /** Square root of `second`. */
  SQUARE_ROOT: 6,
  /** Masks by the predicate in the immediate. */
  COMPARE: 7,
  /** COMISS and COMISD; the result is ZF, PF and CF in their RFLAGS places. */
  COMPARE_ORDERED: 8,
  /** UCOMISS and UCOMISD. */
  COMPARE_UNORDERED: 9,
  /** Even elements subtracted, odd ones added. */
  ADD_SUBTRACT: 10,
  HORIZONTAL_ADD: 11,
  HORIZONTAL_SUBTRACT: 12,
  /** DPPS, DPPD with their immediate. */
  DOT_PRODUCT: 13,
  /** ROUNDPS and kin: `second` under the immediate. */
  ROUND: 14,
  /** `second` from its format to the other of single and double precision. */
  CONVERT_PRECISION: 15,
  /** `second` from signed doublewords to the format. */
  FROM_INT32: 16,
  /** `second` from a signed quadword to the (scalar) format. */
  FROM_INT64: 17,
  /** `second` from the format to signed doublewords; immediate 1: truncated. */
  TO_INT32: 18,
  /** `second` from the (scalar) format to a signed quadword; immediate 1: truncated. */
  TO_INT64: 19,
} as const;
export type SseOperation = (typeof SseOperation)[keyof typeof SseOperation];

/** Format of the operands, the second argument. Results of scalar operations are the low element only. */
export const SseFormat = { PS: 0, PD: 1, SS: 2, SD: 3 } as const;
export type SseFormat = (typeof SseFormat)[keyof typeof SseFormat];
