// The short form of `npm run long -- fuzz`, and the fuzzer itself.

import { describe, expect, it } from "vitest";
import { canary } from "./canary.ts";
import { type FuzzTarget, fuzz } from "./fuzzer.ts";
import { nbdTarget } from "./nbd-target.ts";
import { qcow2Target } from "./qcow2-target.ts";
import { qmpTarget } from "./qmp-target.ts";

describe("what cannot be trusted is answered", () => {
  it.each<[string, number, () => FuzzTarget]>([
    ["nbd", 60, () => nbdTarget],
    ["qmp", 40, () => qmpTarget],
    ["qcow2", 15, qcow2Target],
  ])("%s", (_name, runs, target) => {
    const result = fuzz(target(), { seed: 1, runs, isGuided: false });
    expect(result.failures).toEqual([]);
    expect(result.runs).toBe(runs + result.corpus);
    expect(result.judged).toBeGreaterThanOrEqual(2 * result.corpus);
  });
});

describe("what was found once", () => {
  it("a server is stopped by a monitor while the daemon ends", () => {
    const hello = '{"execute": "qmp_capabilities"}';
    const start =
      '{"execute": "nbd-server-start", "arguments": {"addr": {"type": "unix", "data": {"path": "s"}}}}';
    const input = Buffer.from(`${hello}${start}{"execute": "quit"}{"execute": "nbd-server-stop"}`);
    for (let seed = 1; seed <= 40; seed++) qmpTarget.run(input, seed, seed <= 4);
  });
});

describe("the fuzzer", () => {
  it("does not find what only a guided one can, unguided", () => {
    expect(fuzz(canary, { seed: 1, runs: 3_000, isGuided: false }).failures).toEqual([]);
  });
});
