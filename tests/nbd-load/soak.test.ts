// The short form of `npm run long -- nbd-soak`.

import { rmSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { haveTools, newFolder } from "../nbd-peers/live-server.ts";
import { growthOf, type SoakSample, soak } from "./soak.ts";

const folder = newFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!haveTools("qemu-img"))("a soak", () => {
  it("of two seconds is without mistake", async () => {
    const { samples, recording, problems } = await soak(folder, 2, 0.4);
    // On a busy machine two seconds are too few to say what grows.
    expect(problems.filter((problem) => !/ grew | grows$/.test(problem))).toEqual([]);
    expect(samples.reduce((sum, { requests }) => sum + requests, 0)).toBeGreaterThan(0);
    expect(recording).toMatchObject({ complete: true });
    expect(recording.events).toBeGreaterThan(recording.compared);
  });
});

describe("what grows", () => {
  const flat: SoakSample[] = Array.from({ length: 8 }, (_, i) => ({
    seconds: i,
    rssMb: 100,
    heapMb: 20,
    buffersMb: 4,
    handles: 20,
    requests: 1000,
    connections: 5,
    p50Us: 100,
    p99Us: 1000,
  }));

  it("is nothing when all stays as it is", () => {
    expect(growthOf(flat)).toEqual([]);
  });

  it.each(["heapMb", "buffersMb", "rssMb", "handles", "p50Us", "p99Us"] as const)(
    "is seen: %s",
    (key) => {
      const growing = flat.map((sample, i) => ({ ...sample, [key]: sample[key] * (i + 1) ** 3 }));
      expect(growthOf(growing).join()).toContain(`${key} grew`);
    },
  );
});
