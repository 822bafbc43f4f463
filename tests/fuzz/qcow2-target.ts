// The metadata of qcow2 images: opened, read, written, discarded, checked and repaired, whatever is in them.

import { sampleImage, useImage } from "../qcow2/fuzz.ts";
import type { FuzzTarget } from "./fuzzer.ts";

/** Images are made when they are needed: that takes a run each. */
export function qcow2Target(): FuzzTarget {
  return {
    name: "qcow2",
    seeds: [
      sampleImage({ clusterBytes: 512, refcountBits: 8 }),
      sampleImage({ clusterBytes: 4096, lazyRefcounts: true }),
      sampleImage({ clusterBytes: 16_384, extendedL2: true }),
    ],
    code: ["/core/drivers/qcow2/"],
    run: (input, seed, isJudged) => {
      useImage(input, seed, isJudged);
    },
  };
}
