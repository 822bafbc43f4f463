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

  it("whose compressed clusters claim to be the header: it is not freed with them", () => {
    const image = sampleImage({ clusterBytes: 4096 });
    const view = new DataView(image.buffer);
    const l2 = Number(view.getBigUint64(Number(view.getBigUint64(40))) & 0xff_ffff_ffff_fe00n);
    for (let entry = 0; entry < 4096 / 8; entry++) {
      const at = l2 + 8 * entry;
      if (view.getBigUint64(at) !== 0n) view.setBigUint64(at, 1n << 62n);
    }
    for (let seed = 1; seed <= 5; seed++) expect(() => useImage(image, seed)).not.toThrow();
  });
});
