// The words of the demo. Short: a newcomer must understand in a minute what he sees and why it matters.

import type { CoverageRow, Finding } from "#analyzer";
import {
  counted,
  functionOf,
  grouped,
  luckText,
  ownerText,
  placeOf,
  ruleWord,
  wrap,
} from "#analyzer/reports";
import type { DemoResult, DemoRun } from "./demo.ts";
import type { Recorded } from "./run-scenario.ts";
import { columnsOf, type Painter, painterFor, type TextStream } from "./terminal.ts";
import { shellWord } from "./trace-file.ts";

const TITLES: Readonly<Record<DemoRun["name"], string>> = {
  unsafe: "patches 10 and 11 off, no lock",
  locked: "patches 10 and 11 off, under the AioContext lock",
  patched: "all patches on, no lock",
};

/** What is about to happen. */
export function demoOpening(stream: TextStream): string {
  const paint = painterFor(stream);
  const columns = columnsOf(stream);
  return [
    paint("title", "Can a request see a graph while it is being edited?"),
    wrap(
      "",
      "Two disk images, each with a guest of its own in a thread of its own, 16 requests deep. Meanwhile the main thread edits both block graphs: filters, overlays, children. Requests walk the lists of edges without a lock, so an edit must first drain the nodes: stop new requests and wait for those in flight. Patch 10 of January 2022 put these drains in; the demo leaves them out, and puts them back.",
      columns,
    ),
    "",
    paint("title", "Recorded"),
    "",
  ].join("\n");
}

/** One line for a recording. */
export function demoRecorded(run: DemoRun, { events }: Recorded, stream: TextStream): string {
  const paint = painterFor(stream);
  return `  ${paint("name", run.file)}  ${TITLES[run.name]}: ${counted(events, "event")}\n`;
}

/** That every event came out identical, or which did not. */
export function demoReplayed(results: readonly DemoResult[], stream: TextStream): string {
  const paint = painterFor(stream);
  const head = `\n${paint("title", "Replayed")}\n`;
  if (results.every(({ replayed }) => replayed.identical && replayed.complete)) {
    const events = results.reduce((sum, { replayed }) => sum + replayed.events, 0);
    return `${head}  ${paint("good", "identical")}: all ${grouped(events)} events of the three, from the recordings alone, without the images\n`;
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
  const paint = painterFor(stream);
  const columns = columnsOf(stream);
  const unsafe = results.find(({ run }) => run.name === "unsafe");
  const parts = results.map((result) => {
    const { findings, coverage } = result.report.result;
    const head = `\n${paint("title", `Judged: ${TITLES[result.run.name]}`)}\n`;
    if (result.run.name === "locked") return head + lockText(unsafe, coverage, paint, columns);
    if (findings.length === 0)
      return `${head}  ${paint("good", "no findings")}: ${patchedText(coverage)}\n`;
    return head + findings.map((finding) => findingLines(finding, paint, columns)).join("");
  });
  return parts.join("");
}

function findingLines(finding: Finding, paint: Painter, columns: number): string {
  const owner = finding.node === null ? "" : ownerText(finding.node);
  const what = finding.list === null ? finding.title : `${finding.list} of ${owner}`;
  const style = finding.severity === "error" ? "bad" : "warn";
  const times = finding.count > 1 ? paint("dim", `  ${grouped(finding.count)} times`) : "";
  const lines = [`  ${paint(style, ruleWord(finding.rule))}  ${paint("strong", what)}${times}`];
  for (const { what: kind, site, operations } of finding.accesses) {
    const [operation] = operations;
    const within = operation === undefined ? "" : `, in ${functionOf(operation)}`;
    lines.push(
      `    ${kind}  ${paint("name", functionOf(site))} ${paint("dim", placeOf(site))}${within}`,
    );
  }
  if (finding.why !== "") lines.push(wrap("    why   ", finding.why, columns));
  if (finding.advice !== null) lines.push(wrap("    fix   ", finding.advice.text, columns));
  return `${lines.join("\n")}\n`;
}

/** What the lock does for the pairs that raced without it. */
function lockText(
  unsafe: DemoResult | undefined,
  coverage: readonly CoverageRow[],
  paint: Painter,
  columns: number,
): string {
  const races = (unsafe?.report.result.coverage ?? []).filter(({ uncovered }) => uncovered > 0);
  const same = (a: CoverageRow, b: CoverageRow) => keyOf(a) === keyOf(b);
  const lines = races.map((race) => {
    const row = coverage.find((one) => same(one, race));
    const pair = `${race.list}: ${functionOf(race.reader)} × ${functionOf(race.editor)}`;
    if (row === undefined) return wrap("  ", `${pair}: did not meet in this run`, columns);
    const luck = row.luck
      .map(({ edge, count }) => `${grouped(count)} by the ${luckText(edge)}`)
      .join(", ");
    const left = row.uncovered > 0 ? paint("bad", `${grouped(row.uncovered)} by nothing`) : "";
    const how = [luck === "" ? "" : paint("warn", luck), left]
      .filter((part) => part !== "")
      .join(", ");
    return wrap("  ", `${pair}: ordered ${how}`, columns);
  });
  return `${lines.join("\n")}\n`;
}

function keyOf({ list, reader, editor, editorOperation }: CoverageRow): string {
  return [list, reader.name, editor.name, editorOperation.name].join(" ");
}

function patchedText(coverage: readonly CoverageRow[]): string {
  const covered = coverage.flatMap((row) => row.covered).reduce((sum, { count }) => sum + count, 0);
  return `a drain orders ${counted(covered, "pair")} of a read and an edit`;
}

/** Where the reports are, and what to try next. */
export function demoClosing(
  files: { readonly html: string; readonly sarif: string },
  results: readonly DemoResult[],
  stream: TextStream,
): string {
  const paint = painterFor(stream);
  const [first] = results;
  const trace = shellWord(first?.run.file ?? "demo.trace");
  return [
    "",
    `${paint("title", "Look at")} ${paint("name", files.html)} (and ${files.sarif}), then try:`,
    `  quiesce races ${trace} --coverage`,
    `  quiesce record demo -o mine.trace --seed 2 --without-patch 10,11`,
    `  quiesce dump ${trace} | less`,
    "",
  ].join("\n");
}
