// One seed of random work on an image of ours, and what QEMU's programs say of it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Prng } from "#core/base";
import type { Polls } from "#core/sched";
import { drawGeometry, RandomImage } from "./random-image.ts";
import { qemu, qemuCheck, runOnFiles, scratchFolder } from "./test-support.ts";

/** What is wrong after `rounds` rounds; "" when nothing is. */
export async function randomProblem(seed: number, rounds: number): Promise<string> {
  const folder = scratchFolder();
  const prng = new Prng(seed, 1);
  const geometry = drawGeometry(prng);
  try {
    const image = new RandomImage(folder.path, geometry, prng);
    await runOnFiles(function* (): Polls<void> {
      yield* image.makeImage();
      yield* image.openImageAgain();
      for (let round = 0; round < rounds; round++) yield* image.workRound();
      yield* image.closeImage();
    });
    const checked = qemuCheck(image.path);
    if (checked !== "") return `${JSON.stringify(geometry)}: ${checked}`;
    const raw = join(folder.path, "back.raw");
    qemu("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.path, raw);
    const same = Buffer.compare(readFileSync(raw), image.shadow) === 0;
    return same ? "" : `${JSON.stringify(geometry)}: qemu-img reads something else`;
  } catch (error) {
    return `${JSON.stringify(geometry)}: ${(error as Error).message}`;
  } finally {
    folder.remove();
  }
}
