// Where a frame of Zstandard ends: compressed clusters are followed by what belongs to others.

import zlib from "node:zlib";
import { describe, expect, it } from "vitest";
import { zstdFrameBytes } from "./codec.ts";

/** 100 bytes of "a", as the program zstd writes them: a run, with a checksum. */
const RUN = Uint8Array.from([
  ...[0x28, 0xb5, 0x2f, 0xfd, 0x24, 100, 0x23, 0x03, 0x00, 0x61, 1, 2, 3, 4],
]);
/** Three bytes as they are, without a checksum. */
const RAW = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 0x19, 0, 0, 7, 8, 9]);

const compress = (zlib as { zstdCompressSync?: (data: Uint8Array) => Uint8Array }).zstdCompressSync;

describe("a frame of Zstandard", () => {
  it.each([RUN, RAW])("ends where it says, whatever follows", (frame) => {
    expect(zstdFrameBytes(Uint8Array.from([...frame, 9, 9, 9]))).toBe(frame.length);
    expect(zstdFrameBytes(frame.subarray(0, 8))).toBe(8);
  });

  it.skipIf(compress === undefined)("ends where Node has ended it", () => {
    for (const bytes of [1, 300, 70_000, 300_000]) {
      const data = Uint8Array.from({ length: bytes }, (_, at) => (at * at) >> 7);
      const frame = compress?.(data) ?? new Uint8Array();
      expect(zstdFrameBytes(Uint8Array.from([...frame, 1, 2, 3]))).toBe(frame.length);
    }
  });
});
