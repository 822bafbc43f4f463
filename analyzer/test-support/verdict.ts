// What became of the one pair that a drawing is about, as a few words.

import { assert } from "#core/base";
import { analyze } from "../analyze.ts";
import type { AnalysisResult } from "../findings.ts";
import type { AnalyzeOptions } from "../input.ts";
import type { PolicyId } from "../policies/policy.ts";
import { type DrawingOptions, traceFromText } from "./trace-from-text.ts";

/**
 * The outcome of the pairs of @reader and @editor: "covered by f", "ordered", "luck: lock", "race", joined by a comma where
 * pairs differ; "no pair" when there is none. Both ways to follow the full order (order/full.ts) must say the same.
 */
export function verdictOf(
  text: string,
  drawing: DrawingOptions = {},
  options: AnalyzeOptions = {},
): string {
  const { batches, sites, strings } = traceFromText(text, drawing);
  const again = (): typeof batches => batches;
  const quick = outcome(analyze({ batches, again, sites, strings }, options));
  const byVectors = outcome(analyze({ batches, sites, strings }, options));
  assert(quick === byVectors, `${quick}, but ${byVectors} by vector clocks`);
  return quick;
}

function outcome({ coverage }: AnalysisResult): string {
  const words = coverage
    .filter((row) => row.reader.name === "reader" && row.editor.name === "editor")
    .flatMap((row) => [
      ...row.covered.map(({ site }) => `covered by ${site.name}`),
      ...(row.orderedBySanction > 0 ? ["ordered"] : []),
      ...row.luck.map(({ edge }) => `luck: ${edge.kind}`),
      ...(row.uncovered > 0 ? ["race"] : []),
    ]);
  return words.length === 0 ? "no pair" : words.join(", ");
}

/** The rules of the findings of a drawing, one word each. */
export function rulesOf(text: string, drawing: DrawingOptions = {}): string[] {
  return analyze(traceFromText(text, drawing)).findings.map((finding) => finding.rule);
}

/** What a policy says of a drawing: the rules of its findings, or why it cannot judge. */
export function judgedBy(policy: PolicyId, text: string, drawing: DrawingOptions = {}): string[] {
  const { policies = [] } = analyze(traceFromText(text, drawing), { policies: [policy] });
  return policies.flatMap(({ silence, findings }) =>
    silence === "" ? findings.map(({ rule }) => rule) : [silence],
  );
}
