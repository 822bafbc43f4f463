// The words of the demo. Short: a newcomer must understand in a minute what he sees and why it matters.

import type { CoverageRow, Finding, ListName } from "#analyzer";
import {
  counted,
  type FindingGroup,
  functionOf,
  grouped,
  groupFindings,
  ownerText,
  pictureOfEdit,
  placeOf,
  readOf,
  ruleCount,
  ruleCounts,
  type TraceReport,
  wrap,
} from "#analyzer/reports";
import type { DemoResult, DemoRun } from "./demo.ts";
import { programName } from "./program-name.ts";
import type { Recorded } from "./run-scenario.ts";
import { columnsOf, type Painter, painterFor, type TextStream } from "./terminal.ts";
import { shellWord } from "./trace-file.ts";

const TITLES: Readonly<Record<DemoRun["name"], string>> = {
  unsafe: "without the drains",
  locked: "without the drains, under the lock that protected the lists before",
  patched: "with all patches",
};

const SETTINGS: Readonly<Record<DemoRun["name"], string>> = {
  unsafe: "patches 10 and 11 off, no lock",
  locked: "patches 10 and 11 off, AioContext lock",
  patched: "all patches on, no lock",
};

/** What is about to happen. */
export function demoOpening(stream: TextStream): string {
  const paint = painterFor(stream);
  const story =
    "Two disk images, each with guests of its own in a thread of its own. Meanwhile the main thread edits both block graphs: filters, overlays, children. Requests walk these graphs without a lock, so an edit must first drain the nodes: stop new requests and wait for those in flight. Patch 10 of January 2022 put those drains in. What happens without?";
  return `${paint("title", "Can a request see a graph while it is being edited?")}\n\n${wrap("", story, columnsOf(stream))}\n\n${paint("title", "Recorded, on real files")}\n`;
}

/** One line for a recording. */
export function demoRecorded(run: DemoRun, { events }: Recorded, stream: TextStream): string {
  const paint = painterFor(stream);
  const amount = counted(events, "event").padStart(14);
  return `  ${SETTINGS[run.name].padEnd(40)}${amount}  ${paint("name", run.file)}\n`;
}

/** That every event came out identical, or which did not. */
export function demoReplayed(results: readonly DemoResult[], stream: TextStream): string {
  const paint = painterFor(stream);
  const head = `\n${paint("title", "Replayed, without the files")}\n`;
  if (results.every(({ replayed }) => replayed.identical && replayed.complete)) {
    const events = results.reduce((sum, { replayed }) => sum + replayed.events, 0);
    return `${head}  ${paint("good", "identical")}: all ${grouped(events)} events of all three\n`;
  }
  const lines = results.map(({ run, replayed }) => {
    const { divergence } = replayed;
    if (divergence === undefined) return `  ${run.file}: identical\n`;
    return `  ${run.file}: ${paint("bad", `diverged at event ${grouped(divergence.index)}`)}\n`;
  });
  return head + lines.join("");
}

/** What the analyzer found in each. */
export function demoVerdicts(results: readonly DemoResult[], stream: TextStream): string {
  const look = { paint: painterFor(stream), columns: columnsOf(stream) };
  const unsafe = results.find(({ run }) => run.name === "unsafe");
  return results
    .map(({ run, report }) => {
      const head = `\n${look.paint("title", `Judged: ${TITLES[run.name]}`)}\n`;
      if (run.name === "locked") return head + lockText(unsafe?.report, report, look);
      if (run.name === "patched") return head + patchedText(report, look);
      return head + racesText(report, look);
    })
    .join("");
}

interface Look {
  readonly paint: Painter;
  readonly columns: number;
}

/** The lists that the patches are about come first, then their aliases. */
const LIST_ORDER: readonly ListName[] = [
  "children",
  "parents",
  "file",
  "backing",
  "blk_root",
  "edge_bs",
];

/** All races, those that one drain would mend together, and how many findings of other kinds there are. */
function racesText(report: TraceReport, look: Look): string {
  const { findings } = report.result;
  const groups = groupFindings(findings.filter(({ rule }) => rule === "race"));
  const rank = ({ first }: FindingGroup) =>
    first.list === null ? LIST_ORDER.length : LIST_ORDER.indexOf(first.list);
  const byCure = new Map<string, FindingGroup[]>();
  for (const group of [...groups].sort((a, b) => rank(a) - rank(b))) {
    const cure = group.first.advice?.text ?? group.first.fingerprint;
    byCure.set(cure, [...(byCure.get(cure) ?? []), group]);
  }
  const cures = [...byCure.values()].map((mended) => cureText(mended, report, look));
  return cures.join("") + othersText(findings, look);
}

/** The races that one drained section would mend. */
function cureText(
  groups: readonly FindingGroup[],
  report: TraceReport,
  { paint, columns }: Look,
): string {
  const races = groups.reduce((sum, { findings }) => sum + findings.length, 0);
  const times = groups.reduce((sum, { count }) => sum + count, 0);
  const advice = groups[0]?.first.advice ?? null;
  const where = advice === null ? "" : ` with ${paint("strong", functionOf(advice.around))}`;
  const lines = [
    `  ${paint("bad", counted(races, "race"))}${where}${paint("dim", `, seen ${times === 1 ? "once" : `${grouped(times)} times`}`)}`,
  ];
  for (const group of groups) lines.push(...groupLines(group, report, paint));
  for (const why of new Set(groups.map(({ first }) => first.why)))
    lines.push(wrap("    why   ", why, columns));
  if (advice !== null) lines.push(wrap("    fix   ", advice.text, columns));
  return `${lines.join("\n")}\n`;
}

/** The list, the edit, and the reads that can meet it. */
function groupLines(
  { first, findings, edit }: FindingGroup,
  report: TraceReport,
  paint: Painter,
): string[] {
  const reads = findings.flatMap((finding) => readOf(finding) ?? []);
  const accesses = edit === null ? first.accesses : [edit, ...reads];
  const width = Math.max(...accesses.map(({ site }) => functionOf(site).length));
  const lines = accesses.map(({ what, site }) => {
    return `      ${what}  ${paint("name", functionOf(site).padEnd(width))}  ${placeOf(site)}`;
  });
  return [`    ${paint("strong", whatText(first, report))}`, ...lines];
}

/** The list and whose it is; an edge is told by the parent that it belongs to. */
function whatText(finding: Finding, { result, material }: TraceReport): string {
  const { list, node } = finding;
  if (node === null) return list ?? "";
  if (node.kind !== "edge") return `${list} of ${ownerText(node)}`;
  const graph = pictureOfEdit(finding, material[result.findings.indexOf(finding)] ?? null);
  const edge = graph?.edges.find(({ id }) => id === node.id);
  const parent = graph?.vertices.find(
    ({ kind, id }) => kind === edge?.parent.kind && id === edge.parent.id,
  );
  const of = parent === undefined ? "" : ` of ${parent.name || parent.kind}`;
  return `the node behind the edge ${node.name}${of}`;
}

function othersText(findings: readonly Finding[], { paint }: Look): string {
  const others = [...ruleCounts(findings)].filter(([rule]) => rule !== "race");
  if (others.length === 0) return "";
  const words = others.map(([rule, count]) => ruleCount(rule, count)).join(", ");
  return `  ${paint("dim", `and ${words}: the report has them`)}\n`;
}

/** What the lock does for the pairs of functions that raced without it: orders some by luck, and others not. */
function lockText(unsafe: TraceReport | undefined, locked: TraceReport, look: Look): string {
  const { paint } = look;
  const raced = (unsafe?.result.coverage ?? []).filter(({ uncovered }) => uncovered > 0).map(keyOf);
  const { coverage } = locked.result;
  const byLock = coverage.filter((row) => lockPairs(row) > 0);
  const open = coverage.filter(({ uncovered }) => uncovered > 0);
  const locks = new Set(
    byLock.flatMap(({ luck }) =>
      luck.flatMap(({ edge }) => (edge.kind === "lock" ? [edge.name] : [])),
    ),
  );
  const lines = [
    `  ${paint("warn", "covered by luck")}: the AioContext lock of ${[...locks].sort().join(" and ")} orders them, no drain does`,
    ...pairLines(byLock, lockPairs, look),
  ];
  if (open.length > 0) {
    lines.push(`  ${paint("bad", "races")} all the same: not everybody who edits takes that lock`);
    lines.push(...pairLines(open, ({ uncovered }) => uncovered, look));
  }
  const met = new Set([...byLock, ...open].map(keyOf));
  const others = raced.filter((key) => !met.has(key)).length;
  if (others > 0)
    lines.push(
      paint(
        "dim",
        `  and ${counted(others, "pair")} of functions that raced above did not overlap in this run`,
      ),
    );
  return `${lines.join("\n")}\n`;
}

function lockPairs({ luck }: CoverageRow): number {
  return luck.reduce((sum, { edge, count }) => sum + (edge.kind === "lock" ? count : 0), 0);
}

/** Pairs of functions that are listed; the rest are counted. */
const PAIRS_MAX = 8;

/** A line for each pair of functions, most pairs of accesses first. */
function pairLines(
  rows: readonly CoverageRow[],
  count: (row: CoverageRow) => number,
  { paint }: Look,
): string[] {
  const sorted = [...rows].sort((a, b) => count(b) - count(a)).slice(0, PAIRS_MAX);
  const lists = Math.max(0, ...sorted.map(({ list }) => list.length));
  const reads = Math.max(0, ...sorted.map(({ reader }) => functionOf(reader).length));
  const lines = sorted.map((row) => {
    const { list, reader, editor, editorOperation } = row;
    const within = editorOperation.name === "" ? "" : ` in ${functionOf(editorOperation)}`;
    const pair = `${paint("name", functionOf(reader).padEnd(reads))} × ${functionOf(editor)}${within}`;
    return `    ${list.padEnd(lists)}  ${pair}  ${paint("dim", `${grouped(count(row))}×`)}`;
  });
  const left = rows.length - sorted.length;
  return left === 0 ? lines : [...lines, paint("dim", `    … and ${left} more`)];
}

function keyOf({ list, reader, editor, editorOperation }: CoverageRow): string {
  return [list, reader.name, editor.name, editorOperation.name].join(" ");
}

function patchedText({ result }: TraceReport, look: Look): string {
  const covered = result.coverage
    .flatMap((row) => row.covered)
    .reduce((sum, { count }) => sum + count, 0);
  if (result.findings.length === 0) {
    return `  ${look.paint("good", "no findings")}: drains order ${counted(covered, "pair")} of a read and an edit\n`;
  }
  const words = [...ruleCounts(result.findings)]
    .map(([rule, count]) => ruleCount(rule, count))
    .join(", ");
  return `  ${look.paint("warn", words)}: the report has them\n`;
}

/** Where the reports are, and what to try next. */
export function demoClosing(
  files: { readonly html: string; readonly sarif: string },
  [first]: readonly DemoResult[],
  stream: TextStream,
): string {
  const paint = painterFor(stream);
  const program = programName();
  const trace = shellWord(first?.run.file ?? "demo.trace");
  return [
    "",
    `${paint("title", "Look at")} ${paint("name", files.html)} in a browser (for code scanning: ${files.sarif})`,
    paint("title", "Try next"),
    `  ${program} races ${trace} --coverage`,
    `  ${program} record demo -o mine.trace --seed 2 --without-patch 10,11`,
    `  ${program} dump ${trace} | less`,
    "",
  ].join("\n");
}
