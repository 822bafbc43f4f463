// Images of ours, of random geometry and after random work: QEMU finds nothing wrong, and reads the same.

import { describe, expect, it } from "vitest";
import { randomProblem } from "./random-run.ts";
import { NO_QEMU } from "./test-support.ts";

describe.skipIf(NO_QEMU !== "")(`images of ours${NO_QEMU}`, () => {
  it.each([1, 2, 3, 4])("seed %i", async (seed) => {
    expect(await randomProblem(seed, 6)).toBe("");
  });
});
