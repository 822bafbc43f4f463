// Images of ours, of random geometry and after random work: QEMU finds nothing wrong, and reads the same.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import type { Polls } from "#core/sched";
import { drawGeometry, RandomImage } from "./random-image.ts";
import { NO_QEMU, qemu, qemuCheck, runOnFiles, scratchFolder } from "./test-support.ts";

const ROUNDS = 6;

describe.skipIf(NO_QEMU !== "")(`images of ours${NO_QEMU}`, () => {
  it.each([1, 2, 3, 4])("seed %i", async (seed) => {
    const folder = scratchFolder();
    try {
      const prng = new Prng(seed, 1);
      const geometry = drawGeometry(prng);
      const image = new RandomImage(folder.path, geometry, prng);
      try {
        await runOnFiles(function* (): Polls<void> {
          yield* image.makeImage();
          yield* image.openImageAgain();
          for (let round = 0; round < ROUNDS; round++) yield* image.workRound();
          yield* image.closeImage();
        });
        expect(qemuCheck(image.path)).toBe("");
        const raw = join(folder.path, "back.raw");
        qemu("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.path, raw);
        expect(Buffer.compare(readFileSync(raw), image.shadow)).toBe(0);
      } catch (error) {
        throw new Error(`${JSON.stringify(geometry)}: ${(error as Error).message}`, {
          cause: error,
        });
      }
    } finally {
      folder.remove();
    }
  });
});
