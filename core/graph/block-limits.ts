// How the requests that a driver gets are limited and cut (C: BlockLimits, beside the request alignment). 0 is no limit.
//
// Differs from QEMU: a node does not take over the limits of its children; each node cuts the requests to its own driver, so
// a request that comes through several nodes is cut where the limit is.

/** Each of them is a multiple of the node's request alignment, in bytes. */
export interface BlockLimits {
  /** Bytes of a read or write at most. */
  readonly maxTransfer: number;
  /** Zeroes reach the driver in pieces that do not cross a multiple of this, but for whole multiples; and at most so many. */
  readonly pwriteZeroesAlignment: number;
  readonly maxPwriteZeroes: number;
  /** The same for discards. */
  readonly pdiscardAlignment: number;
  readonly maxPdiscard: number;
}

/** Of most drivers. */
export const NO_LIMITS: BlockLimits = {
  maxTransfer: 0,
  pwriteZeroesAlignment: 0,
  maxPwriteZeroes: 0,
  pdiscardAlignment: 0,
  maxPdiscard: 0,
};
