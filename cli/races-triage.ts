// The files that findings are judged by: a baseline and suppressions. The only place where `races` looks at the clock, for
// suppressions that end; --today stands in for it.

import { readFileSync } from "node:fs";
import {
  baselineText,
  isDay,
  parseBaseline,
  parseSuppressions,
  type Report,
  standingOf,
  triaged,
} from "#analyzer/reports";
import { QuiesceError } from "#core/base";
import { ExitCode } from "./exit-codes.ts";

export interface TriageOptions {
  readonly baseline?: string;
  readonly suppress?: readonly string[];
  /** YYYY-MM-DD. */
  readonly today?: string;
}

/** What the files say, ready to be applied to a report. */
export interface ReadTriage {
  readonly apply: (report: Report) => Report;
  /** Lines of the suppression files that cannot be used, as sentences; the others are used. */
  readonly problems: readonly string[];
  /** 3 when there are such lines, else 0. */
  readonly code: number;
}

/** Reads the files; QuiesceError for one that cannot be used at all. */
export function readTriage({ baseline, suppress, today }: TriageOptions): ReadTriage {
  if (today !== undefined && !isDay(today))
    throw new QuiesceError("usage", `--today ${today} is no day: write it as YYYY-MM-DD.`);
  if (baseline === undefined && suppress === undefined)
    return { apply: (report) => report, problems: [], code: ExitCode.ok };
  const known = baseline === undefined ? null : parseBaseline(readText(baseline), baseline);
  const parsed = (suppress ?? []).map((path) => parseSuppressions(readText(path), path));
  const suppressions = parsed.flatMap(({ entries }) => entries);
  const problems = parsed.flatMap((file) => file.problems);
  const day = today ?? new Date().toISOString().slice(0, 10);
  return {
    apply: (report) => triaged(report, { baseline: known, suppressions, today: day }),
    problems,
    code: problems.length === 0 ? ExitCode.ok : ExitCode.input,
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // Reading a folder is the one complaint of the system's that does not name the file.
    if (error instanceof Error && "code" in error && error.code === "EISDIR")
      throw new QuiesceError("input", `cannot use ${path}: it is a folder, not a file.`);
    throw error;
  }
}

/** The baseline that --write-baseline writes: all that was found, but for what is suppressed. */
export function newBaseline(report: Report): string {
  return baselineText(
    report.traces.flatMap((trace) =>
      trace.result.findings.filter((_, index) => standingOf(trace, index).suppression === null),
    ),
  );
}
