// Limits of foreign traces (house rule 17): a hostile file is refused before it uses up the memory.

import { assert } from "#core/base";

/** Events of a block: 13 bytes each, so that a block stays in the processor's cache until the engine has read it. */
export const blockEventsMax = 1 << 14;
/** Bytes that are read at once. */
export const readBytesMax = 1 << 22;
/** Bytes of a line; names are class paths at the longest. */
export const lineBytesMax = 1 << 16;
/** Names of one sort (threads, variables or locks). */
export const namesMax = 1 << 24;
/** Bytes of the names of one sort. */
export const nameBytesMax = 1 << 29;
/** Slots that looking for a name may visit, in a table that is at most half full: some twenty at the worst for honest names. */
export const nameProbesMax = 1 << 10;

assert(lineBytesMax < readBytesMax, "a line fits into what is read at once");
assert(nameBytesMax < 2 ** 31, "places in the names are 32-bit integers");
