// The report for a terminal: one paragraph a finding, worst first, then a line that sums up. Reads that meet the same edit for the
// same reason share a paragraph.
//
//   race  I/O reads children of overlay0 in bdrv_is_inserted while bdrv_append edits it: no drain covers it
//         children of node overlay0 (7) · seen 132 times · 1234abcd5678ef90
//
//     read  bdrv_is_inserted  core/graph/inserted.ts:120                                   event 10,233
//           iothread0, request 17: write of 4096 bytes at 0 on blk drive0
//     edit  bdrv_replace_child_noperm  core/graph/replace-child.ts:77                      event 10,871
//           main, main context: removes edge 5 (backing)
//           within bdrv_set_backing_hd < bdrv_append
//
//     why   no drained section of this operation holds overlay0
//     fix   a subtree drained section of overlay0 around bdrv_append
//     again quiesce replay run.trace

import type { Access } from "../findings.ts";
import { type FindingGroup, groupFindings, readOf } from "./groups.ts";
import type { TraceReport } from "./report.ts";
import {
  counted,
  functionOf,
  grouped,
  listText,
  operationText,
  placeOf,
  ruleCount,
  ruleCounts,
  ruleWord,
  sectionText,
  whoText,
} from "./words.ts";
import { wrap } from "./wrap.ts";

/** Styles that the text report uses; the command line maps them to colours or to nothing. */
export type ReportStyle = "title" | "strong" | "dim" | "good" | "bad" | "warn" | "name";

/** How text is to look: its width, and how a style is applied. */
export interface TextOptions {
  readonly columns: number;
  readonly paint: (style: ReportStyle, text: string) => string;
}

/** Groups of findings printed in full; the rest are counted. */
const GROUPS_MAX = 60;
/** Readers of one edit that are printed in full; the rest are counted. */
const READERS_MAX = 12;

/** The findings of one trace as text; ends with a newline. */
export function findingsText(report: TraceReport, options: TextOptions): string {
  const { result, facts } = report;
  const groups = groupFindings(result.findings);
  const shown = groups.slice(0, GROUPS_MAX);
  const paragraphs = shown.map((group) => groupText(group, facts.replayCommand, options));
  const left = groups.slice(GROUPS_MAX).reduce((sum, { findings }) => sum + findings.length, 0);
  if (left > 0)
    paragraphs.push(`… and ${counted(left, "finding")} more; --json lists all of them.\n`);
  for (const note of result.notes) paragraphs.push(`${wrap("note: ", note, options.columns)}\n`);
  return [...paragraphs, summaryText(report, options)].join("\n");
}

/** The closing line: what was found, in how many events. */
export function summaryText({ result, facts }: TraceReport, { paint }: TextOptions): string {
  const counts = [...ruleCounts(result.findings)].map(([rule, count]) => ruleCount(rule, count));
  const verdict =
    counts.length === 0 ? paint("good", "no findings") : paint("strong", counts.join(", "));
  const state = result.complete ? "" : `; ${paint("bad", "the recording is incomplete")}`;
  return `${facts.trace}: ${verdict} in ${counted(result.events, "event")}${state}\n`;
}

/** One finding, or one edit with all the reads that it can meet. */
export function groupText(
  group: FindingGroup,
  replayCommand: string,
  options: TextOptions,
): string {
  const { paint, columns } = options;
  const { first, findings } = group;
  const label = ruleWord(first.rule);
  const style = first.severity === "error" ? "bad" : first.severity === "warning" ? "warn" : "dim";
  const title = wrap(`${label}  `, titleOf(group), columns).slice(label.length);
  const count = group.count > 1 ? `seen ${grouped(group.count)} times` : "";
  const ids = findings.length === 1 ? first.fingerprint : "";
  const about = [ids === "" ? "" : listText(first), count, ids].filter((part) => part !== "");
  const lines = [
    `${paint(style, label)}${paint("title", title)}`,
    paint("dim", wrap("    ", about.join(" · "), columns)),
    "",
    ...(findings.length === 1
      ? first.accesses.flatMap((access) => accessLines(access, options))
      : groupLines(group, options)),
  ];
  if (first.accesses.length > 0) lines.push("");
  if (first.why !== "") lines.push(wrap("    why   ", first.why, columns));
  if (first.advice !== null) lines.push(wrap("    fix   ", first.advice.text, columns));
  lines.push(`    again ${replayCommand}`);
  return `${lines.join("\n")}\n`;
}

function titleOf({ findings, first, edit }: FindingGroup): string {
  if (findings.length === 1 || edit === null) return first.title;
  const reads = `${counted(findings.length, "read")} of ${listText(first)}`;
  const how = first.luckyEdge === null ? "can overlap" : "only by luck do not overlap";
  return `${reads} ${how} an edit in ${functionOf(edit.site)}.`;
}

function groupLines({ findings, edit }: FindingGroup, options: TextOptions): string[] {
  const lines = edit === null ? [] : accessLines(edit, options);
  for (const finding of findings.slice(0, READERS_MAX)) {
    const read = readOf(finding);
    if (read === null) continue;
    const [head = "", ...rest] = accessLines(read, options);
    const count = finding.count > 1 ? `, ${grouped(finding.count)} times` : "";
    lines.push(head, ...rest, `${INDENT}${options.paint("dim", `${finding.fingerprint}${count}`)}`);
  }
  if (findings.length > READERS_MAX)
    lines.push(`${INDENT}… and ${findings.length - READERS_MAX} reads more`);
  return lines;
}

const INDENT = " ".repeat(10);

function accessLines(access: Access, { paint, columns }: TextOptions): string[] {
  const event = `event ${grouped(access.event)}`;
  const name = functionOf(access.site);
  const plain = `    ${access.what}  ${name}  ${placeOf(access.site)}`;
  const head = `    ${access.what}  ${paint("name", name)}  ${placeOf(access.site)}`;
  const room = columns - plain.length - event.length;
  const lines =
    room >= 2
      ? [`${head}${" ".repeat(room)}${paint("dim", event)}`]
      : [head, `${INDENT}${paint("dim", event)}`];
  const detail = access.detail === "" ? "" : `: ${access.detail}`;
  lines.push(wrap(INDENT, `${whoText(access)}${detail}`, columns));
  const within = access.operations.map(operationText).join(" < ");
  if (within !== "") lines.push(wrap(`${INDENT}within `, within, columns));
  for (const section of access.sectionsOpen) {
    lines.push(wrap(`${INDENT}under `, sectionText(section), columns));
  }
  return lines;
}
