// Limits of trace files, in one place. A reader refuses what exceeds them, so that a damaged length or a hostile file
// cannot make it allocate without bound.

import { assert } from "#core/base";
import { CTX_MAX, KIND_MAX, WORLD_CTX } from "#core/probe";

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
/** The highest number of a context in a file; WORLD_CTX is none. */
export const contextMax = CTX_MAX;
/** In the column of contexts: this byte says that a number follows, which is none of those below it. */
export const contextEscape = 254;

assert(KIND_MAX * (contextMax + 1) <= 2 ** 32, "kind and context share 32 bits");
assert(contextEscape + 1 === WORLD_CTX, "each number of a context has one way to be written");
assert(eventsPerChunkDefault <= eventsPerChunkMax, "the default chunk is within the limit");
assert(columnBytesMax <= recordBytesMax, "a chunk that does not compress still fits");
