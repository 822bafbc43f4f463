// Limits of trace files, in one place. A reader refuses what exceeds them, so that a damaged length or a hostile file
// cannot make it allocate without bound.

import { assert } from "#core/base";

/** Events in a chunk at most: 32 bytes each in memory, so 2 MiB. */
export const eventsPerChunkMax = 1 << 16;
/** Events in a chunk unless the writer is told otherwise. */
export const eventsPerChunkDefault = 1 << 13;
/** Bytes of a chunk's columns after decompression: masks and five values of at most ten bytes for each event. */
export const columnBytesMax = eventsPerChunkMax * 64;
/** Bytes of a header, chunk or index in the file. */
export const recordBytesMax = 1 << 26;
/** Bytes of a header's body after decompression. */
export const headerBytesMax = 1 << 26;

assert(eventsPerChunkDefault <= eventsPerChunkMax, "the default chunk is within the limit");
assert(columnBytesMax <= recordBytesMax, "a chunk that does not compress still fits");
