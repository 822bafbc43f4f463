// GitLab's code quality report: a JSON array of issues. GitLab compares the fingerprints of two branches itself, and shows only
// one issue of those that share one, so each has its own, without line numbers; suppressed findings are left out.

import type { Severity } from "../rules.ts";
import { type Occurrence, occurrences } from "./occurrences.ts";
import { placeOfFinding } from "./primary.ts";
import type { Report } from "./report.ts";
import { listText, siteText } from "./words.ts";

/** An issue as GitLab reads it. */
export interface CodeQualityIssue {
  readonly description: string;
  readonly check_name: string;
  readonly fingerprint: string;
  readonly severity: "info" | "minor" | "major" | "critical" | "blocker";
  readonly location: { readonly path: string; readonly lines: { readonly begin: number } };
}

const SEVERITIES: Readonly<Record<Severity, CodeQualityIssue["severity"]>> = {
  error: "critical",
  warning: "minor",
  note: "info",
};

/** The report as GitLab reads it. */
export function gitlabReport(report: Report): CodeQualityIssue[] {
  return occurrences(report)
    .filter(({ standing }) => standing.suppression === null)
    .map(issueOf);
}

function issueOf({ finding, trace }: Occurrence): CodeQualityIssue {
  const { path, line } = placeOfFinding(finding, trace.facts.trace);
  return {
    description: descriptionOf(finding),
    check_name: `quiesce/${finding.rule}`,
    fingerprint: finding.fingerprint,
    severity: SEVERITIES[finding.severity],
    location: { path: path.replace(/^(?:\.\/)+/, ""), lines: { begin: line } },
  };
}

function descriptionOf(finding: Occurrence["finding"]): string {
  const sides = finding.accesses.map(({ what, site }) => `${what} in ${siteText(site)}`);
  const about = listText(finding);
  const parts = [about === "" ? "" : `On ${about}`, ...sides].filter((part) => part !== "");
  const advice = finding.advice === null ? "" : ` ${finding.advice.text}`;
  return `${finding.title}${parts.length === 0 ? "" : ` ${parts.join(", ")}.`}${advice}`;
}
