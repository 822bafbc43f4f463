// How a finding stands to what is known already: whether the baseline has it, and whether a suppression speaks for it.
//
// A finding that a suppression matches counts for no exit code; one that the baseline has does so only where old findings
// are asked for. Reports show both kinds still, with the reason, so that nothing that was found disappears.

import type { Finding } from "../findings.ts";
import type { TraceReport } from "./report.ts";
import type { Suppression } from "./suppressions.ts";

/** What is known of one finding. */
export interface Standing {
  /** Whether the baseline has it; null when there is no baseline. */
  readonly baseline: "new" | "unchanged" | null;
  /** The suppression that speaks for it, or null. */
  readonly suppression: Suppression | null;
}

const UNKNOWN: Standing = { baseline: null, suppression: null };

/** The standing of finding `index` of `trace`. */
export function standingOf(trace: TraceReport, index: number): Standing {
  return trace.standings?.[index] ?? UNKNOWN;
}

/** Whether a finding is neither in the baseline nor suppressed: what somebody has to look at. */
export function isNew({ baseline, suppression }: Standing): boolean {
  return baseline !== "unchanged" && suppression === null;
}

/** `new`, `known` or `suppressed`; "" for a finding of a report that has no baseline and does not suppress it. */
export function standingWord({ baseline, suppression }: Standing): string {
  if (suppression !== null) return "suppressed";
  if (baseline === null) return "";
  return baseline === "new" ? "new" : "known";
}

/** Why a finding need not be looked at, as a sentence without its stop; "" when it has to be. */
export function excuseOf({ baseline, suppression }: Standing): string {
  if (suppression !== null) return `suppressed by ${suppression.place}: ${suppression.reason}`;
  return baseline === "unchanged" ? "known: the baseline has it" : "";
}

/** A finding of a report with where it stands. */
export interface Stood {
  readonly finding: Finding;
  readonly standing: Standing;
  /** Its index among the findings of its trace. */
  readonly index: number;
}

/** The findings of `trace`, each with its standing. */
export function stood(trace: TraceReport): Stood[] {
  return trace.result.findings.map((finding, index) => {
    return { finding, standing: standingOf(trace, index), index };
  });
}
