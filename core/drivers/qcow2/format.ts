// Numbers of the qcow2 format (docs/interop/qcow2.txt of QEMU is the specification) and the limits of this driver.

import { assert } from "../../base/index.ts";

export const QCOW_MAGIC = 0x514649fb;
/** Bytes of the header of version 2, and the least of version 3. */
export const HEADER_V2_BYTES = 72;
export const HEADER_V3_BYTES = 104;

/** Bits of `incompatible_features`. */
export const INCOMPAT_DIRTY = 1;
export const INCOMPAT_CORRUPT = 2;
export const INCOMPAT_DATA_FILE = 4;
export const INCOMPAT_COMPRESSION = 8;
export const INCOMPAT_EXTL2 = 16;
export const INCOMPAT_KNOWN =
  INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_DATA_FILE | INCOMPAT_COMPRESSION | INCOMPAT_EXTL2;
/** Bits of `compatible_features`. */
export const COMPAT_LAZY_REFCOUNTS = 1;
/** Bits of `autoclear_features`. */
export const AUTOCLEAR_BITMAPS = 1;
export const AUTOCLEAR_DATA_FILE_RAW = 2;

/** Types of header extensions. */
export const EXT_END = 0;
export const EXT_BACKING_FORMAT = 0xe2792aca;
export const EXT_FEATURE_TABLE = 0x6803f857;
export const EXT_BITMAPS = 0x23852875;
export const EXT_CRYPTO = 0x0537be77;
export const EXT_DATA_FILE = 0x44415441;

/** Bits in the high word of an L1 or L2 entry. */
export const OFLAG_COPIED = 0x8000_0000;
export const OFLAG_COMPRESSED = 0x4000_0000;
/** Bit of the low word of an L2 entry: reads as zeroes (version 3, without subclusters). */
export const OFLAG_ZERO = 1;
/** What an offset may occupy of the high and of the low word: bits 9 to 55. */
export const OFFSET_HIGH_MASK = 0x00ff_ffff;
export const OFFSET_LOW_MASK = 0xffff_fe00;

export const COMPRESSION_ZLIB = 0;
export const COMPRESSION_ZSTD = 1;

export const SUBCLUSTERS = 32;
export const CLUSTER_BITS_MIN = 9;
export const CLUSTER_BITS_MAX = 21;
/** Bytes of an L1 table and of a refcount table at most, as in QEMU. */
export const L1_BYTES_MAX = 32 << 20;
export const REFCOUNT_TABLE_BYTES_MAX = 8 << 20;
export const BACKING_NAME_MAX = 1023;
/** Bitmaps that an image has at most, and what is to be said of one: flags, granularity, sizes. */
export const BITMAPS_MAX = 65_535;
export const BITMAP_DIRECTORY_BYTES_MAX = 1024 * BITMAPS_MAX;
export const BITMAP_TABLE_ENTRIES_MAX = 0x800_0000;
export const BITMAP_BYTES_MAX = 0x2000_0000;
export const BITMAP_NAME_BYTES_MAX = 1023;
export const BITMAP_GRANULARITY_BITS_MIN = 9;
export const BITMAP_GRANULARITY_BITS_MAX = 31;
export const BITMAP_FLAG_IN_USE = 1;
export const BITMAP_FLAG_AUTO = 2;
export const BITMAP_TYPE_DIRTY_TRACKING = 1;
/** Bytes of all bitmaps of an image in memory at most: an image may claim to have many large ones. */
export const BITMAPS_MEMORY_MAX = 2 ** 30;
/** Offsets in the file stay below this: the format has 56 bits, a safe integer 53. */
export const HOST_OFFSET_MAX = 2 ** 53;
/** Bytes of one slice of a table in a cache. */
export const SLICE_BYTES_MAX = 4096;
/** Default sizes of the caches: L2 tables up to this many bytes, so those of a small image all. */
export const L2_CACHE_BYTES_MAX = 32 << 20;
export const REFCOUNT_CACHE_BYTES = 256 << 10;
/** Bytes of guest data that one allocation covers at most, since what it copies goes through memory. */
export const ALLOCATION_BYTES_MAX = 4 << 20;
/** Freed clusters that wait for the tables to be on the disk; more than that, and the request that frees one waits, too. */
export const PENDING_FREES_MAX = 4096;

assert(1 << CLUSTER_BITS_MIN <= SLICE_BYTES_MAX, "a slice is a cluster at least");
assert(L2_CACHE_BYTES_MAX >= 16 * SLICE_BYTES_MAX, "the cache holds some slices");

/** `high` * 2^32 + `low`. Common. */
export function join64(high: number, low: number): number {
  return (high >>> 0) * 2 ** 32 + (low >>> 0);
}

/** As C prints it with %#x. Common. */
export function hex(value: number): string {
  return value === 0 ? "0" : `0x${value.toString(16)}`;
}

/** The high 32 bits of a safe integer. Common. */
export function high32(value: number): number {
  return Math.floor(value / 2 ** 32);
}
