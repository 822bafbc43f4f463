import { expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { POLICY_IDS } from "../policies/policy.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { policiesMarkdown, policiesText } from "./policy-report.ts";

/** A reader off main, an edit without a drain, and no lock of either kind. */
const TRACE = `
      main                          | io1
                                    | r1: begin; inc n1; read parents n1 @reader; dec n1; end
      insert parents n1 e1 @editor  |`;

function judgements() {
  return analyze(traceFromText(TRACE), { policies: POLICY_IDS }).policies ?? [];
}

it("the table has a column for each policy, and says what was not asked and what cannot be judged", () => {
  const text = policiesText(judgements(), { columns: 100, paint: (_, words) => words });
  const rows = text.split("\n").map((line) => line.trim().split(/\s+/));
  const row = (name: string) => rows.find(([first]) => first === name);
  expect(rows[0]).toEqual(["P0", "P1", "P2", "P3", "P4", "P5"]);
  expect(row("race")).toEqual(["race", "–", "1", "0", "–", "–", "–"]);
  expect(row("edit-outside-drain")).toEqual(["edit-outside-drain", "–", "1", "0", "–", "–", "–"]);
  expect(row("parents-read-off-main")).toEqual([
    "parents-read-off-main",
    "–",
    "–",
    "1",
    "–",
    "–",
    "–",
  ]);
  expect(row("drain-under-graph-lock")?.slice(1)).toEqual(["–", "–", "–", "–", "–", "?"]);
  expect(row("all")).toEqual(["all", "?", "2", "1", "0", "?", "?"]);
  expect(text).toContain("P4  graph lock: not judged. The trace never takes the graph lock");
});

it("as Markdown it has the same cells", () => {
  const markdown = policiesMarkdown(judgements());
  expect(markdown).toContain("| race | – | 1 | 0 | – | – | – |\n");
  expect(markdown).toContain("| all | ? | 2 | 1 | 0 | ? | ? |\n");
  expect(markdown).toContain("- **P0** AioContext lock: not judged.");
});
