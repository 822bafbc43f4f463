// The report for a terminal: one paragraph a finding, worst first, then a line that sums up. The first lines of a paragraph are
// its head: what, which list and how often, both sides, the cure. Details are below it: why, who, within which operations and
// under which drains, the way in the graph, the call stacks, and the command that shows it again. Reads that meet the same edit
// for the same reason share a paragraph.
//
//   race  I/O reads children of overlay0 in bdrv_is_inserted while bdrv_append edits it: no drain covers it
//       children of node overlay0 (7) · seen 132 times, events 10,233 to 99,120 · 1234abcd5678ef90
//       read  bdrv_is_inserted  core/graph/inserted.ts:120                            iothread0, event 10,233
//       edit  bdrv_replace_child_noperm  core/graph/replace-child.ts:77                    main, event 10,871
//       fix   a subtree drained section of overlay0 around bdrv_append
//
//       why   no drained section of this operation holds overlay0
//       read  iothread0, request 17: write of 4096 bytes at 0 on blk drive0
//       edit  main, main context: removes edge 5 (backing)
//             within bdrv_set_backing_hd < bdrv_append
//       path  drive0 > overlay0
//       again quiesce replay run.trace
//
// Where there are many paragraphs, the later ones are heads alone; findings that the baseline has, and suppressed ones, are a
// line each.

import type { Access, Finding, Site } from "../findings.ts";
import { pathTo } from "./graph-path.ts";
import { type FindingGroup, groupFindings, readOf } from "./groups.ts";
import { besideText, sectionsBeside } from "./open-sections.ts";
import type { Report, TraceReport } from "./report.ts";
import { frameText, momentOf } from "./stacks.ts";
import { excuseOf, isNew, standingOf, standingWord, stood } from "./standing.ts";
import {
  againText,
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
  /** Details of every finding, and whole stacks; without it they are folded to what matters. */
  readonly details?: boolean;
}

/** Groups of findings printed; the rest are counted. */
const GROUPS_MAX = 60;
/** Groups that are printed with their details unless all are asked for. */
const DETAILED_MAX = 12;
/** Readers of one edit that are printed in full; the rest are counted. */
const READERS_MAX = 12;
/** Innermost functions of a stack that are printed unless all are asked for. */
const FRAMES_MAX = 6;
/** Sections beside an access that are printed; the HTML report has all of them. */
const BESIDE_MAX = 4;
/** Known and suppressed findings that get a line. */
const KNOWN_MAX = 20;

/** The findings of one trace and their summary as text; ends with a newline. */
export function findingsText(trace: TraceReport, options: TextOptions): string {
  const body = findingsBody(trace, options);
  return `${body}${body === "" ? "" : "\n"}${summaryText(trace, options)}`;
}

/** The findings of one trace as text, without the summary; "" when there is nothing to say, else it ends with a newline. */
export function findingsBody(trace: TraceReport, options: TextOptions): string {
  const { result } = trace;
  const fresh = stood(trace).filter(({ standing }) => isNew(standing));
  const groups = groupFindings(fresh.map(({ finding }) => finding));
  const shown = groups.slice(0, GROUPS_MAX);
  const detailed = options.details === true ? GROUPS_MAX : DETAILED_MAX;
  const paragraphs = shown.map((group, index) =>
    index < detailed
      ? groupText(group, trace, options)
      : `${headLines(group, trace, options).join("\n")}\n`,
  );
  if (shown.length > detailed) {
    const folded = counted(shown.length - detailed, "finding");
    paragraphs.push(`Of the last ${folded} only the heads are shown; --details shows all.\n`);
  }
  const left = groups.slice(GROUPS_MAX).reduce((sum, { findings }) => sum + findings.length, 0);
  if (left > 0)
    paragraphs.push(`… and ${counted(left, "finding")} more; --json lists all of them.\n`);
  const known = knownText(trace, options);
  if (known !== "") paragraphs.push(known);
  for (const note of result.notes) paragraphs.push(`${wrap("note: ", note, options.columns)}\n`);
  return paragraphs.join("\n");
}

/** A line for each finding that need not be looked at. */
function knownText(trace: TraceReport, { columns, paint }: TextOptions): string {
  const known = stood(trace).filter(({ standing }) => !isNew(standing));
  const lines = known.slice(0, KNOWN_MAX).map(({ finding, standing }) => {
    const where = finding.accesses.map(({ site }) => site.name).join(" and ");
    const what = `${ruleWord(finding.rule)}: ${listText(finding)}${where === "" ? "" : ` in ${where}`}`;
    const text = `${what} (${excuseOf(standing)})`;
    return paint("dim", wrap(`${finding.fingerprint}  `, text, columns));
  });
  if (known.length > KNOWN_MAX)
    lines.push(paint("dim", `… and ${known.length - KNOWN_MAX} more of them`));
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** The closing line: what was found, in how many events. */
export function summaryText(trace: TraceReport, { paint }: TextOptions): string {
  const { result, facts } = trace;
  const fresh = stood(trace).filter(({ standing }) => isNew(standing));
  const isTriaged = trace.standings !== undefined;
  const counts = [...ruleCounts(fresh.map(({ finding }) => finding))].map(([rule, count]) =>
    ruleCount(rule, count),
  );
  const none =
    isTriaged && fresh.length < result.findings.length ? "no new findings" : "no findings";
  const verdict = counts.length === 0 ? paint("good", none) : paint("strong", counts.join(", "));
  const suppressed = countOf(trace, "suppressed");
  const known = countOf(trace, "known");
  const besides = [
    known > 0 ? `${grouped(known)} known` : "",
    suppressed > 0 ? `${grouped(suppressed)} suppressed` : "",
  ].filter((part) => part !== "");
  const also = besides.length === 0 ? "" : ` (and ${besides.join(", ")})`;
  const state = result.complete ? "" : `; ${paint("bad", "the recording is incomplete")}`;
  return `${facts.trace}: ${verdict}${also} in ${counted(result.events, "event")}${state}\n`;
}

function countOf(trace: TraceReport, word: "known" | "suppressed"): number {
  return stood(trace).filter(({ standing }) => standingWord(standing) === word).length;
}

/** What baseline and suppressions had to say, one line each; "" when nothing. */
export function triageText({ triage }: Report, { columns }: TextOptions): string {
  if (triage === undefined) return "";
  const lines = triage.remarks.map((remark) => wrap("note: ", remark, columns));
  if (triage.absent.length > 0) {
    const gone = counted(triage.absent.length, "finding");
    lines.push(
      wrap(
        "note: ",
        `${triage.baseline}: ${gone} of the baseline did not occur any more.`,
        columns,
      ),
    );
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** One finding, or one edit with all the reads that it can meet. */
export function groupText(group: FindingGroup, trace: TraceReport, options: TextOptions): string {
  const { columns } = options;
  const { first, findings } = group;
  const lines = [...headLines(group, trace, options), ""];
  if (first.why !== "") lines.push(wrap("    why   ", first.why, columns));
  if (findings.length > 1) lines.push(...groupLines(group, trace, options));
  else
    for (const access of first.accesses) lines.push(...accessLines(first, access, trace, options));
  lines.push(...momentLines(first, trace, options));
  for (const path of pathsOf(first, trace)) lines.push(wrap("    path  ", path, columns));
  lines.push(`    again ${againText(trace.facts, first)}`);
  return `${lines.join("\n")}\n`;
}

/** The head of a finding, and why: what is printed as soon as it is found. */
export function findingHead(finding: Finding, trace: TraceReport, options: TextOptions): string {
  const lines = groupFindings([finding]).flatMap((group) => headLines(group, trace, options));
  if (finding.why !== "") lines.push(wrap("    why   ", finding.why, options.columns));
  return `${lines.join("\n")}\n`;
}

/** What, which list and how often, both sides, and the cure: five lines where the terminal is wide enough. */
function headLines(group: FindingGroup, trace: TraceReport, options: TextOptions): string[] {
  const { paint, columns } = options;
  const { first, findings } = group;
  const label = ruleWord(first.rule);
  const style = first.severity === "error" ? "bad" : first.severity === "warning" ? "warn" : "dim";
  const title = wrap(`${label}  `, titleOf(group), columns).slice(label.length);
  const lines = [
    `${paint(style, label)}${paint("title", title)}`,
    paint("dim", wrap("    ", aboutOf(group, trace).join(" · "), columns)),
  ];
  if (first.accesses.length === 0) lines.push(...placeLines(first, options));
  for (const access of first.accesses) {
    const more =
      findings.length > 1 && access.what === "read" ? ` and ${findings.length - 1} more` : "";
    lines.push(...sideLines(access, more, options));
  }
  if (first.advice !== null) lines.push(wrap("    fix   ", first.advice.text, columns));
  return lines;
}

function aboutOf({ first, findings, count, under }: FindingGroup, trace: TraceReport): string[] {
  const from = Math.min(...findings.map((finding) => finding.first));
  const to = Math.max(...findings.map((finding) => finding.last));
  const span = from === to ? "" : `, events ${grouped(from)} to ${grouped(to)}`;
  const index = trace.result.findings.indexOf(first);
  return [
    listText(first),
    count > 1 ? `seen ${grouped(count)} times${span}` : "",
    findings.length === 1 ? first.fingerprint : "",
    under === null ? "" : `a consequence of race ${under}`,
    standingWord(standingOf(trace, index)),
  ].filter((part) => part !== "");
}

function titleOf({ findings, first, edit }: FindingGroup): string {
  if (findings.length === 1 || edit === null) return first.title;
  const reads = `${counted(findings.length, "read")} of ${listText(first)}`;
  const how = first.luckyEdge === null ? "can overlap" : "only by luck do not overlap";
  return `${reads} ${how} an edit in ${functionOf(edit.site)}.`;
}

/** A side in the head: what, in which function and place, in which context, at which event. */
function sideLines(access: Access, more: string, options: TextOptions): string[] {
  const when = `${access.ctxName}, event ${grouped(access.event)}`;
  return headLine(access.what, access.site, more, when, options);
}

/** In the head of a finding without an access: the function to look at first, and the event at which it shows. */
function placeLines({ site, first }: Finding, options: TextOptions): string[] {
  const when = `event ${grouped(first)}`;
  return site === null
    ? [`    at    ${options.paint("dim", when)}`]
    : headLine("look", site, "", when, options);
}

function headLine(
  what: string,
  site: Site,
  more: string,
  when: string,
  { paint, columns }: TextOptions,
): string[] {
  const name = functionOf(site);
  const rest = `  ${placeOf(site)}${more}`;
  const room = columns - `    ${what}  ${name}${rest}`.length - when.length;
  const head = `    ${what}  ${paint("name", name)}${rest}`;
  return room >= 2
    ? [`${head}${" ".repeat(room)}${paint("dim", when)}`]
    : [head, `${INDENT}${paint("dim", when)}`];
}

function groupLines(
  { findings, edit }: FindingGroup,
  trace: TraceReport,
  options: TextOptions,
): string[] {
  const { paint, columns } = options;
  const [one] = findings;
  const lines = edit === null || one === undefined ? [] : accessLines(one, edit, trace, options);
  for (const finding of findings.slice(0, READERS_MAX)) {
    const read = readOf(finding);
    if (read === null) continue;
    const count = finding.count > 1 ? `, ${grouped(finding.count)} times` : "";
    const name = functionOf(read.site);
    lines.push(
      `    read  ${paint("name", name)}  ${placeOf(read.site)}`,
      ...accessLines(finding, read, trace, options).map((line, index) =>
        index === 0 ? line.replace("    read  ", INDENT) : line,
      ),
      paint(
        "dim",
        wrap(INDENT, `${finding.fingerprint}${count}, event ${grouped(read.event)}`, columns),
      ),
    );
  }
  if (findings.length > READERS_MAX)
    lines.push(`${INDENT}… and ${findings.length - READERS_MAX} reads more`);
  return lines;
}

const INDENT = " ".repeat(10);

/** The ways from a BlockBackend to the finding's node, as they were at its accesses; each once. */
function pathsOf(finding: Finding, trace: TraceReport): string[] {
  const material = trace.material[trace.result.findings.indexOf(finding)];
  const paths = (material?.graphs ?? []).map((graph) => (graph === null ? [] : pathTo(graph)));
  return [...new Set(paths.filter((path) => path.length > 1).map((path) => path.join(" > ")))];
}

/** A side in the details: who, within what, under which drains, and the functions that were running. */
function accessLines(
  finding: Finding,
  access: Access,
  trace: TraceReport,
  options: TextOptions,
): string[] {
  const { columns } = options;
  const detail = access.detail === "" ? "" : `: ${access.detail}`;
  const lines = [wrap(`    ${access.what}  `, `${whoText(access)}${detail}`, columns)];
  const within = access.operations.map(operationText).join(" < ");
  const outermost = access.operations.at(-1);
  // A suggested drain goes around this one: where it stands is what the reader looks for next.
  const place = outermost === undefined ? "" : placeOf(outermost);
  const at = place === "" ? "" : ` (${place})`;
  if (within !== "") lines.push(wrap(`${INDENT}within `, `${within}${at}`, columns));
  for (const section of access.sectionsOpen) {
    lines.push(wrap(`${INDENT}under `, sectionText(section), columns));
  }
  lines.push(...besideLines(finding, access, trace, options));
  lines.push(...stackLines(access.event, trace, options));
  return lines;
}

/** Sections that a reader would take for the missing drain: they were open, and did not hold the node. */
function besideLines(
  finding: Finding,
  access: Access,
  { material, result }: TraceReport,
  { columns, paint }: TextOptions,
): string[] {
  const own = material[result.findings.indexOf(finding)] ?? null;
  const beside = sectionsBeside(finding, own, finding.accesses.indexOf(access));
  const lines = beside
    .slice(0, BESIDE_MAX)
    .map((section) => wrap(`${INDENT}beside `, besideText(section), columns));
  const more = beside.length - lines.length;
  if (more > 0) lines.push(paint("dim", `${INDENT}beside ${counted(more, "drain")} more`));
  return lines;
}

/** What was running where the finding shows, when no access tells that. */
function momentLines(finding: Finding, trace: TraceReport, options: TextOptions): string[] {
  const moment = momentOf(finding);
  if (moment === null) return [];
  const stack = stackLines(moment, trace, options);
  // Without an access its head has said which event that is.
  const head = finding.accesses.length === 0 ? [] : [`    then  event ${grouped(moment)}`];
  return [...head, ...stack];
}

/** The functions that were running at `event`; none where it was not replayed. */
function stackLines(event: number, trace: TraceReport, options: TextOptions): string[] {
  const lines: string[] = [];
  const stack = trace.stacks?.get(event) ?? [];
  const shown = options.details === true ? stack : stack.slice(0, FRAMES_MAX);
  shown.forEach((frame, index) => {
    lines.push(`${INDENT}${index === 0 ? "stack" : "     "} ${frameText(frame)}`);
  });
  const more = stack.length - shown.length;
  if (more > 0)
    lines.push(options.paint("dim", `${INDENT}      and ${counted(more, "caller")} more`));
  return lines;
}
