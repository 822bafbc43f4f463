// The advice is right, for the errors of one run; `npm run long -- advice` takes every finding of several.

import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { SCENARIOS } from "#explorer";
import { runAnd, staysWithLess, stillThere } from "./follow-advice.ts";

const demo = must(
  SCENARIOS.find(({ name }) => name === "demo"),
  "the demo is built in",
);
const options = { seed: 1, without: [10, 11] as const };

describe("following the advice of a report", () => {
  const plain = runAnd(demo, options);
  const often = plain.findings
    .filter(({ severity, advice }) => severity === "error" && advice !== null)
    .sort((a, b) => b.count - a.count)
    .slice(0, 4);

  it.each(often.map((finding) => [finding.title, finding] as const))("%s", (_title, finding) => {
    expect(finding.advice).not.toBeNull();
    expect(stillThere(runAnd(demo, options, { finding, dose: "advised" }), finding)).toBe(false);
    expect(staysWithLess(demo, options, finding)).toBe(true);
  });

  it("has findings to follow", () => {
    expect(often).toHaveLength(4);
  });
});
