// Damaged metadata is answered: an image is refused, or marked as corrupt, or works as far as it can; never more.

import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import type { Qcow2CreateOptions } from "#core/drivers";
import { damaged, sampleImage, useImage } from "./fuzz.ts";

const IMAGES: readonly Omit<Qcow2CreateOptions, "file" | "size">[] = [
  { clusterBytes: 512, refcountBits: 8 },
  { clusterBytes: 4096, lazyRefcounts: true },
  { clusterBytes: 16_384, extendedL2: true },
];

describe("an image with damaged tables", () => {
  it.each(IMAGES)("%o", (options) => {
    const image = sampleImage(options);
    expect(useImage(image, 1)).toBe("ran");
    const prng = new Prng(1, 2);
    const ends = Array.from({ length: 25 }, (_, seed) => useImage(damaged(image, prng), seed + 1));
    // Some were refused, and some could be used.
    expect(ends.filter((end) => end === "ran").length).toBeGreaterThan(0);
    expect(ends.filter((end) => end !== "ran").length).toBeGreaterThan(0);
  });
});
