// quiesce demo: what this project is for, in a minute.
//
// One workload on real files, recorded three times: without the drains that patch 10 puts around graph edits and without a
// lock, without the drains but under the AioContext lock, and with all patches. Each recording is replayed and judged. The demo exits
// with 0 when it saw what it expects: races in the first, only some of them ordered by the lock in the second, none in the third.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { counted, htmlReport, type Report, sarifReport, type TraceReport } from "#analyzer/reports";
import type { PatchNumber } from "#core/sched";
import { demoClosing, demoOpening, demoRecorded, demoReplayed, demoVerdicts } from "./demo-text.ts";
import { ExitCode } from "./exit-codes.ts";
import { type FoundScenario, findScenario } from "./find-scenario.ts";
import { judge } from "./judge.ts";
import { Progress } from "./progress.ts";
import { type Rerun, rerun } from "./rerun.ts";
import { rulePages } from "./rule-pages.ts";
import { type Recorded, recordRun } from "./run-scenario.ts";
import type { Terminal } from "./terminal.ts";
import { withTrace } from "./trace-file.ts";
import { quiesceVersion } from "./version.ts";

export interface DemoOptions {
  readonly out: string;
  readonly seed: number;
}

/** One of the three recordings. */
export interface DemoRun {
  readonly name: "unsafe" | "locked" | "patched";
  readonly without: readonly PatchNumber[];
  readonly lock: "none" | "aio";
  readonly file: string;
}

/** A recording with what became of it. */
export interface DemoResult {
  readonly run: DemoRun;
  readonly recorded: Recorded;
  readonly replayed: Rerun;
  readonly report: TraceReport;
}

export async function demo({ out, seed }: DemoOptions, terminal: Terminal): Promise<number> {
  const progress = new Progress(terminal);
  const print = (text: string) => {
    progress.clear();
    terminal.stdout.write(text);
  };
  mkdirSync(out, { recursive: true });
  const found = await findScenario("demo");
  print(demoOpening(terminal.stdout));
  const recordings: { run: DemoRun; recorded: Recorded }[] = [];
  for (const run of runsIn(out)) {
    const recorded = await recordOne(found, run, seed, out, progress);
    recordings.push({ run, recorded });
    print(demoRecorded(run, recorded, terminal.stdout));
  }
  const results: DemoResult[] = [];
  for (const { run, recorded } of recordings) {
    const replayed = await replayOne(run, progress);
    progress.showNow(`Judging ${run.file}`);
    const { report } = await judge(run.file, { digest: true });
    results.push({ run, recorded, replayed, report });
  }
  print(demoReplayed(results, terminal.stdout));
  const report: Report = {
    tool: { name: "quiesce", version: quiesceVersion() },
    traces: results.map((one) => one.report),
    ruleHelp: rulePages(),
  };
  const files = { html: join(out, "report.html"), sarif: join(out, "report.sarif") };
  writeFileSync(files.html, htmlReport(report));
  writeFileSync(
    files.sarif,
    `${JSON.stringify(sarifReport(report, { exitCode: ExitCode.ok }), null, 1)}\n`,
  );
  print(demoVerdicts(results, terminal.stdout));
  print(demoClosing(files, results, terminal.stdout));
  return conclude(results, terminal);
}

function runsIn(out: string): DemoRun[] {
  return [
    { name: "unsafe", without: [10, 11], lock: "none", file: join(out, "unsafe.trace") },
    { name: "locked", without: [10, 11], lock: "aio", file: join(out, "locked.trace") },
    { name: "patched", without: [], lock: "none", file: join(out, "patched.trace") },
  ];
}

function recordOne(
  found: FoundScenario,
  run: DemoRun,
  seed: number,
  out: string,
  progress: Progress,
): Promise<Recorded> {
  const { file, without, lock, name } = run;
  progress.showNow(`Recording ${file}`);
  return recordRun({
    found,
    seed,
    host: "live",
    level: "full",
    without,
    lock,
    output: file,
    imagesDir: join(out, "images", name),
    onProgress: (events) => progress.show(`Recording ${file}: ${counted(events, "event")}`),
  });
}

function replayOne({ file }: DemoRun, progress: Progress): Promise<Rerun> {
  return withTrace(file, (reader) =>
    rerun({
      path: file,
      reader,
      onProgress: (events) => progress.show(`Replaying ${file}: ${counted(events, "event")}`),
    }),
  );
}

/** 0 when everything came out as expected; else says what did not. */
function conclude(results: readonly DemoResult[], { stderr }: Terminal): number {
  const diverged = results.filter(({ replayed }) => !replayed.identical);
  if (diverged.length > 0) {
    stderr.write(
      `quiesce: the replay of ${diverged.map(({ run }) => run.file).join(", ")} diverged.\n`,
    );
    return ExitCode.diverged;
  }
  const surprises = results.flatMap(surpriseOf);
  for (const surprise of surprises) stderr.write(`quiesce: unexpected: ${surprise}\n`);
  return surprises.length === 0 ? ExitCode.ok : ExitCode.findings;
}

/** What is not as the demo expects it, as sentences. */
function surpriseOf({ run, recorded, report }: DemoResult): string[] {
  const { findings } = report.result;
  const has = (rule: string) => findings.some((finding) => finding.rule === rule);
  const surprises: string[] = [];
  if (recorded.outcome !== "ok") surprises.push(`${run.file} ended with ${recorded.outcome}.`);
  if (run.name === "unsafe" && !has("race")) surprises.push(`no race was found in ${run.file}.`);
  if (run.name === "locked" && !has("covered-by-luck"))
    surprises.push(`the lock orders nothing in ${run.file}.`);
  if (run.name === "patched" && findings.length > 0) {
    surprises.push(
      `${counted(findings.length, "finding")} in ${run.file}, which has all patches on.`,
    );
  }
  return surprises;
}
