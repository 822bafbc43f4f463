// The codecs of a chunk's columns and of a header's body: all are built into Node 20. "plain" compresses nothing either: it
// says that a chunk has its events as they are in memory, in place of columns (plain-events.ts).

import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateRawSync,
  inflateRawSync,
  constants as zlib,
} from "node:zlib";
import { unreachable } from "#core/base";

/** Names of the codecs; the index is the number in the file. */
export const CODECS = ["none", "deflate", "brotli", "plain"] as const;

/** How columns are compressed. */
export type Codec = (typeof CODECS)[number];

/** `bytes` compressed by `codec`. */
export function compress(codec: Codec, bytes: Uint8Array): Uint8Array {
  switch (codec) {
    case "none":
    case "plain":
      return bytes;
    case "deflate":
      return deflateRawSync(bytes, { level: 1 });
    case "brotli":
      return brotliCompressSync(bytes, {
        params: {
          [zlib.BROTLI_PARAM_QUALITY]: 1,
          [zlib.BROTLI_PARAM_SIZE_HINT]: bytes.length,
        },
      });
    default:
      return unreachable(codec);
  }
}

/** The inverse of `compress`; throws when `bytes` are damaged or do not give exactly `length` bytes. */
export function decompress(codec: Codec, bytes: Uint8Array, length: number): Uint8Array {
  const limit = { maxOutputLength: Math.max(1, length) };
  const plain =
    codec === "none" || codec === "plain"
      ? bytes
      : codec === "deflate"
        ? inflateRawSync(bytes, limit)
        : brotliDecompressSync(bytes, limit);
  if (plain.length !== length) throw new RangeError("the decompressed length differs");
  return plain;
}
