// What quiesce record does with --check and --param.

import { writeFileSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import { must } from "#core/base";
import { STORM_REGIMES, stormCommand } from "#explorer";
import { quiesce, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
afterAll(remove);

it("stops at the first invariant that does not hold with --check, and says with which seed and schedule", async () => {
  const scenario = path("unsound.ts");
  writeFileSync(scenario, UNSOUND);
  const output = path("unsound.trace");
  const words = ["record", scenario, "--seed", "5", "--param", "by=3", "-o", output];
  expect((await quiesce(words)).code).toBe(0);
  const { code, stdout, stderr } = await quiesce([...words, "--check"]);
  expect([code, stdout]).toEqual([70, ""]);
  expect(stderr).toMatch(
    /InvariantViolation: after step \d+: node 'disk': in_flight is 3, and should be 0$/m,
  );
  expect(stderr).toMatch(
    /^The schedule (is the default one|differs from the default one \d+ times)/m,
  );
  expect(stderr).toMatch(/seed {6}5$/m);
  expect(stderr).toContain(
    `again     quiesce record ${scenario} -o ${output} --seed 5 --param by=3 --check`,
  );
  expect(stderr).toMatch(/note text="from here on it is wrong"$/m);
  expect((await quiesce(["info", output])).stdout).toContain("incomplete");

  // The command that it prints stops at the same violation, after the same step.
  const again = /again {5}quiesce (.*)$/m.exec(stderr)?.[1] ?? "";
  const second = await quiesce(again.split(" "));
  expect(second.code).toBe(70);
  const violation = (text: string): string | undefined => /InvariantViolation: .*/.exec(text)?.[0];
  expect(violation(second.stderr)).toBe(violation(stderr));
});

it("runs a storm again by the command that a storm that went wrong is told with", async () => {
  const regime = must(STORM_REGIMES[2], "the one without patch 10");
  const output = path("storm.trace");
  const words = stormCommand(regime, 202, 200).replace("storm.trace", output).split(" ").slice(1);
  const { code, stdout } = await quiesce(words);
  expect([code, stdout.trimEnd().split("; ")[1]]).toEqual([
    0,
    "the run ended at an assertion of QEMU's: child->perm & BLK_PERM_WRITE",
  ]);
});

it("refuses a parameter that is none", async () => {
  const output = path("none.trace");
  const { code, stderr } = await quiesce(["record", "demo", "-o", output, "--param", "requests"]);
  expect([code, stderr.includes("A parameter is given as NAME=VALUE.")]).toEqual([2, true]);
  const unknown = await quiesce(["record", "demo", "-o", output, "--param", "speed=1"]);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toBe(
    'quiesce: The scenario demo has no parameter "speed"; it has: rounds, requests.\n',
  );
});

const UNSOUND = `
import { nullCoDriver, nullOpen } from "#core/drivers";
export default {
  name: "unsound",
  title: "Raises a counter for no request.",
  params: { by: "0" },
  *main(world) {
    const disk = yield* nullOpen(nullCoDriver, { nodeName: "disk", size: 4096 });
    world.note("from here on it is wrong");
    disk.inFlight += world.number("by");
    yield* world.sleep(1000);
    disk.inFlight = 0;
  },
};
`;
