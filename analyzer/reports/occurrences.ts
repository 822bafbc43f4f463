// Findings of all traces, each fingerprint once: what machines read has one entry for what is one thing to mend.

import type { Finding } from "../findings.ts";
import type { Report, TraceReport } from "./report.ts";
import { isNew, type Standing, standingOf } from "./standing.ts";

/** One fingerprint. */
export interface Occurrence {
  /** The trace in which it was met first, and its index among the findings there. */
  readonly trace: TraceReport;
  readonly index: number;
  readonly finding: Finding;
  readonly standing: Standing;
  /** How often it happened, in all traces. */
  count: number;
}

/** In the order of the report. */
export function occurrences({ traces }: Report): Occurrence[] {
  const byFingerprint = new Map<string, Occurrence>();
  for (const trace of traces) {
    trace.result.findings.forEach((finding, index) => {
      const known = byFingerprint.get(finding.fingerprint);
      if (known !== undefined) {
        known.count += finding.count;
        return;
      }
      const { count } = finding;
      const standing = standingOf(trace, index);
      byFingerprint.set(finding.fingerprint, { trace, index, finding, standing, count });
    });
  }
  return [...byFingerprint.values()];
}

/** Those that somebody has to look at. */
export function newOccurrences(report: Report): Occurrence[] {
  return occurrences(report).filter(({ standing }) => isNew(standing));
}
