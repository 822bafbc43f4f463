// Markdown for the summary page of a CI step: what is new in one table, the full text of each folded below it.
//
// GitHub drops a summary of more than 1 MiB altogether, so this one stops before and says so; it is only the front page, the
// whole report is the HTML page, which is an artifact of the run.

import type { Finding } from "../findings.ts";
import { RULES } from "../rules.ts";
import { groupFindings } from "./groups.ts";
import { newOccurrences, type Occurrence } from "./occurrences.ts";
import type { Report, TraceReport } from "./report.ts";
import { isNew, standingWord, stood } from "./standing.ts";
import { groupText, type TextOptions } from "./text-report.ts";
import {
  counted,
  functionOf,
  grouped,
  listText,
  placeOf,
  ruleCount,
  ruleCounts,
  ruleWord,
} from "./words.ts";

/** What the command line adds. */
export interface MarkdownExtras {
  /** Name or address of the artifact that holds the HTML report; null when there is none. */
  readonly artifact: string | null;
}

/** Bytes of a summary: GitHub's limit is 1,048,576 for all that a step writes. */
const BYTES_MAX = 900_000;
/** Rows of the table of findings. */
const ROWS_MAX = 50;
const LOOK: TextOptions = { columns: 110, paint: (_, text) => text, details: true };

/** The report as Markdown; ends with a newline. */
export function markdownReport(report: Report, { artifact }: MarkdownExtras): string {
  const all = newOccurrences(report);
  const parts = [headline(report, all), tracesTable(report)];
  if (all.length > 0) parts.push(findingsTable(all));
  parts.push(...remarksOf(report), ...pointers(artifact));
  const details = all.slice(0, ROWS_MAX).map(detailsOf);
  return withinLimit(parts, details);
}

function headline({ traces }: Report, all: readonly Occurrence[]): string {
  const isTriaged = traces.some(({ standings }) => standings !== undefined);
  const what = isTriaged ? "new finding" : "finding";
  const incomplete = traces.filter(({ result }) => !result.complete).length;
  const broken = incomplete === 0 ? "" : `, ${counted(incomplete, "trace")} incomplete`;
  const count = all.length === 0 ? `no ${what}s` : counted(all.length, what);
  return `## quiesce: ${count} in ${counted(traces.length, "trace")}${broken}\n`;
}

function tracesTable({ traces }: Report): string {
  const rows = traces.map((trace) => {
    const { facts, result } = trace;
    const count = (word: string) =>
      grouped(stood(trace).filter(({ standing }) => standingWord(standing) === word).length);
    return row([
      code(facts.trace),
      escaped(facts.label),
      grouped(result.events),
      verdictOf(trace),
      count("known"),
      count("suppressed"),
    ]);
  });
  return table(["Trace", "Run", "Events", "Verdict", "Known", "Suppressed"], rows);
}

function verdictOf(trace: TraceReport): string {
  const fresh = stood(trace).filter(({ standing }) => isNew(standing));
  const counts = [...ruleCounts(fresh.map(({ finding }) => finding))].map(([rule, count]) =>
    ruleCount(rule, count),
  );
  const verdict = counts.length === 0 ? "none" : counts.join(", ");
  return trace.result.complete ? verdict : `${verdict}; the recording is incomplete`;
}

function findingsTable(all: readonly Occurrence[]): string {
  const rows = all.slice(0, ROWS_MAX).map(({ finding, count }) => {
    const sides = finding.accesses.map(
      ({ what, site }) => `${what} ${code(functionOf(site))} ${code(placeOf(site))}`,
    );
    return row([
      `${finding.severity}: ${ruleWord(finding.rule)}`,
      escaped(listText(finding)),
      sides.length === 0 ? withPlace(finding) : sides.join("<br>"),
      grouped(count),
      code(finding.fingerprint),
    ]);
  });
  const left = all.length - rows.length;
  const more =
    left > 0
      ? `\n${counted(left, "finding")} more ${left === 1 ? "is" : "are"} in the reports.\n`
      : "";
  return `### What to look at\n\n${table(["Rule", "List", "Where", "Seen", "Fingerprint"], rows)}${more}`;
}

/** A finding without an access: what it is, and the function to look at. */
function withPlace({ title, site }: Finding): string {
  if (site === null) return escaped(title);
  return `${escaped(title)}<br>${code(functionOf(site))} ${code(placeOf(site))}`;
}

function remarksOf({ triage, traces }: Report): string[] {
  const notes = traces.flatMap(({ facts, result }) =>
    result.notes.map((note) => `${facts.trace}: ${note}`),
  );
  const gone = triage?.absent.length ?? 0;
  const absent =
    gone === 0 ? [] : [`${counted(gone, "finding")} of the baseline did not occur any more.`];
  const lines = [...notes, ...(triage?.remarks ?? []), ...absent].map(
    (remark) => `- ${escaped(remark)}`,
  );
  return lines.length === 0 ? [] : [`${lines.join("\n")}\n`];
}

function pointers(artifact: string | null): string[] {
  if (artifact === null) return [];
  const isAddress = /^https?:\/\//.test(artifact);
  return [
    isAddress
      ? `[The whole report, with pictures](<${artifact.replace(/[<>\s]/g, encodeURIComponent)}>)\n`
      : `The whole report, with pictures, is the artifact ${code(artifact)} of this run.\n`,
  ];
}

/** One finding in full, folded. */
function detailsOf({ finding, trace }: Occurrence): string {
  const [group] = groupFindings([finding]);
  const text = group === undefined ? "" : groupText(group, trace, LOOK);
  const head = `${ruleWord(finding.rule)}: ${finding.title}`;
  return `<details><summary>${html(head)}</summary>\n\n${fenced(text)}\n${escaped(RULES[finding.rule].help)}\n\n</details>\n`;
}

/** The parts, and as many of the details as fit. */
function withinLimit(parts: readonly string[], details: readonly string[]): string {
  const note = (left: number) =>
    `${counted(left, "finding")} more in full would make this page too long: the reports have them.\n`;
  const kept: string[] = [];
  let bytes = bytesOf(parts.join("\n")) + 200;
  for (const text of details) {
    bytes += bytesOf(text) + 1;
    if (bytes > BYTES_MAX) break;
    kept.push(text);
  }
  const left = details.length - kept.length;
  const whole = [...parts, ...kept, ...(left > 0 ? [note(left)] : [])].join("\n");
  return cutTo(whole, BYTES_MAX);
}

/** For names of a length that nobody expects: cut at a line. */
function cutTo(text: string, bytes: number): string {
  if (bytesOf(text) <= bytes) return text;
  const kept = Buffer.from(text)
    .subarray(0, bytes - 100)
    .toString("utf8");
  return `${kept.slice(0, kept.lastIndexOf("\n"))}\n\nThe rest would be too long for this page.\n`;
}

function bytesOf(text: string): number {
  return Buffer.byteLength(text);
}

function table(heads: readonly string[], rows: readonly string[]): string {
  return `${row(heads)}${row(heads.map(() => "---"))}${rows.join("")}`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
}

/** Text that stands for itself. */
function escaped(text: string): string {
  return html(text.replace(/[\r\n]+/g, " ")).replace(/[\\`*_[\]~#]/g, "\\$&");
}

function html(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Text as code, with as many back-ticks around it as it needs. */
function code(text: string): string {
  if (text === "") return "";
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  const pad = longest > 0 ? " " : "";
  return `${fence}${pad}${text.replace(/[\r\n]+/g, " ")}${pad}${fence}`;
}

function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}${fence}\n`;
}
