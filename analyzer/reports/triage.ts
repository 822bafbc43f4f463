// Triage: what is new, what is known, what is suppressed. Joins the findings of a report with a baseline and a list of
// suppressions, and says what is wrong with those two: entries that are unused, ended or too wide, findings that are gone.

import type { Finding } from "../findings.ts";
import { type Severity, severityRank } from "../rules.ts";
import type { Baseline, BaselineEntry } from "./baseline.ts";
import type { Report, TraceReport } from "./report.ts";
import { isNew, type Standing } from "./standing.ts";
import {
  matches,
  type Suppression,
  type SuppressionUse,
  suppressionRemarks,
} from "./suppressions.ts";

/** What findings are judged by. */
export interface TriageInput {
  readonly baseline: Baseline | null;
  readonly suppressions: readonly Suppression[];
  /** The day as YYYY-MM-DD, for suppressions that end. */
  readonly today: string;
}

/** What came out of it, beside the standing of each finding. */
export interface Triage {
  readonly baseline: string | null;
  /** Findings of the baseline that are gone; empty when a trace is incomplete, since they may still come. */
  readonly absent: readonly BaselineEntry[];
  readonly uses: readonly SuppressionUse[];
  /** One sentence each. */
  readonly remarks: readonly string[];
}

/** `report` with the standing of every finding. */
export function triaged(report: Report, { baseline, suppressions, today }: TriageInput): Report {
  const tallies = suppressions.map((entry) => {
    const [prints, again] = [new Set<string>(), new Set<string>()];
    return { entry, prints, again, occurrences: 0, expired: isExpired(entry, today) };
  });
  const standing = (finding: Finding): Standing => {
    let suppression: Suppression | null = null;
    for (const tally of tallies) {
      if (!matches(tally.entry, finding)) continue;
      tally.prints.add(finding.fingerprint);
      tally.occurrences += finding.count;
      if (!tally.expired) suppression ??= tally.entry;
    }
    const known = baseline?.entries.has(finding.fingerprint) === true;
    if (suppression === null)
      for (const tally of tallies)
        if (matches(tally.entry, finding)) tally.again.add(finding.fingerprint);
    return { baseline: baseline === null ? null : known ? "unchanged" : "new", suppression };
  };
  const traces = report.traces.map((trace): TraceReport => {
    return { ...trace, standings: trace.result.findings.map(standing) };
  });
  const uses = tallies.map(({ entry, prints, occurrences, expired }) => {
    return { entry, findings: prints.size, occurrences, expired };
  });
  const triage: Triage = {
    baseline: baseline?.name ?? null,
    absent: absentOf(report, baseline),
    uses,
    remarks: suppressionRemarks(
      tallies.map(({ entry, prints, occurrences, expired, again }) => {
        return { entry, findings: prints.size, occurrences, expired, again: again.size };
      }),
    ),
  };
  return { ...report, traces, triage };
}

function isExpired({ until }: Suppression, today: string): boolean {
  return until !== null && until < today;
}

function absentOf(report: Report, baseline: Baseline | null): BaselineEntry[] {
  if (baseline === null || !report.traces.every(({ result }) => result.complete)) return [];
  const present = new Set(
    report.traces.flatMap(({ result }) => result.findings.map(({ fingerprint }) => fingerprint)),
  );
  return [...baseline.entries.values()].filter(({ fingerprint }) => !present.has(fingerprint));
}

/** Levels of --fail-on: `new` is a finding of any severity but a note that is neither suppressed nor in the baseline. */
export type FailOn = "race" | "warning" | "note" | "new" | "none" | "never";

const WORST: Readonly<Record<FailOn, Severity | null>> = {
  race: "error",
  warning: "warning",
  note: "note",
  new: "warning",
  none: null,
  never: null,
};

/** Whether a finding makes the command fail. Suppressed ones never do; those of the baseline do unless `level` is new. */
export function fails(finding: Finding, standing: Standing, level: FailOn): boolean {
  const worst = WORST[level];
  if (worst === null || severityRank(finding.severity) > severityRank(worst)) return false;
  return level === "new" ? isNew(standing) : standing.suppression === null;
}
