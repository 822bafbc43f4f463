// Annotations of GitHub Actions: workflow commands that a step prints, one a line. GitHub keeps ten warnings and ten errors of a
// step, so the worst come first and a notice says how many were left out. Only what is new is annotated.

import { newOccurrences, type Occurrence } from "./occurrences.ts";
import { placeOfFinding } from "./primary.ts";
import type { Report } from "./report.ts";
import { againText, counted, ruleTitle, siteText } from "./words.ts";

/** Annotations of one kind that GitHub keeps of a step. */
const ANNOTATIONS_MAX = 10;

/** The workflow commands; ends with a newline, or is "". */
export function githubAnnotations(report: Report): string {
  const all = newOccurrences(report);
  const errors = all.filter(({ finding }) => finding.severity === "error");
  const others = all.filter(({ finding }) => finding.severity !== "error");
  const lines = [
    ...errors.slice(0, ANNOTATIONS_MAX).map((one) => annotation("error", one)),
    ...others.slice(0, ANNOTATIONS_MAX).map((one) => annotation("warning", one)),
  ];
  const left = all.length - lines.length;
  if (left > 0)
    lines.push(
      `::notice title=quiesce::${counted(left, "more finding")}: the step summary and the report list them.`,
    );
  return lines.map((line) => `${line}\n`).join("");
}

function annotation(command: "error" | "warning", { finding, trace }: Occurrence): string {
  const { path, line } = placeOfFinding(finding, trace.facts.trace);
  const title = `quiesce: ${ruleTitle(finding.rule)}`;
  const sides = finding.accesses.map(({ what, site }) => `${what}: ${siteText(site)}`);
  const advice = finding.advice === null ? [] : [`fix: ${finding.advice.text}`];
  const text = [
    finding.title,
    ...sides,
    ...advice,
    `again: ${againText(trace.facts, finding)}`,
    finding.fingerprint,
  ];
  return `::${command} file=${property(path)},line=${line},title=${property(title)}::${message(text.join("\n"))}`;
}

/** As the runner's own toolkit escapes: a message may hold anything but line ends. */
function message(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(text: string): string {
  return message(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
