// quiesce races FILE...: find accesses that no drain covers, and what else breaks the protocol.

import { keepHeapSmall, type Reading } from "#analyzer";
import type { Prediction } from "#analyzer/predict";
import {
  counted,
  coverageText,
  drainsText,
  type FailOn,
  fails,
  findingHead,
  findingsBody,
  githubAnnotations,
  isNew,
  jsonReport,
  policiesText,
  type Report,
  standingOf,
  stood,
  summaryText,
  type TraceReport,
  triageText,
} from "#analyzer/reports";
import { QuiesceError } from "#core/base";
import { ExitCode, endingOf } from "./exit-codes.ts";
import { type Judged, judge, type PolicyChoice, ReplayDiverged } from "./judge.ts";
import { asTyped } from "./program-name.ts";
import { Progress } from "./progress.ts";
import { followTrace } from "./races-online.ts";
import { type OutputOptions, printsReport, refuseOutputs, writeOutputs } from "./races-outputs.ts";
import { type ReadTriage, readTriage, type TriageOptions } from "./races-triage.ts";
import { rulePages } from "./rule-pages.ts";
import { type ColorMode, columnsOf, painterFor, type Terminal, writeAll } from "./terminal.ts";
import { quiesceVersion } from "./version.ts";

export interface RacesOptions extends OutputOptions, TriageOptions {
  readonly coverage?: boolean;
  readonly policy?: PolicyChoice;
  readonly drains?: boolean;
  readonly reading: Reading;
  readonly details?: boolean;
  readonly color: ColorMode;
  /** Call stacks from replay: true for always, false for never; by default where that is quick. */
  readonly stacks?: boolean;
  /** Follow a trace that is still being written. */
  readonly online?: boolean;
  readonly idle?: number;
  readonly failOn: FailOn;
  readonly order?: "hb" | "shb";
  readonly predict?: Prediction;
  readonly schedules?: string;
  readonly also?: readonly string[];
}

export async function races(
  paths: readonly string[],
  options: RacesOptions,
  terminal: Terminal,
): Promise<number> {
  refuseNonsense(paths, options);
  keepHeapSmall();
  const triage = readTriage(options);
  for (const problem of triage.problems) terminal.stderr.write(`quiesce: ${problem}\n`);
  const { judged, code: failed } =
    options.online === true
      ? await judgeOnline(paths, options, triage, terminal)
      : await judgeAll(paths, options, terminal);
  const report = triage.apply({
    tool: { name: "quiesce", version: quiesceVersion() },
    traces: judged.map((one) => one.report),
    ruleHelp: rulePages(),
  });
  const code = Math.max(failed, triage.code, verdict(report, judged, options.failOn));
  // Before anything is on stdout: a reader that goes away (`| head`) ends the process.
  const facts = { exitCode: code, failOn: options.failOn };
  const written = writeOutputs(report, facts, options, terminal);
  if (written.stdout !== null) await writeAll(terminal.stdout, written.stdout);
  else if (options.json === true)
    await writeAll(terminal.stdout, `${JSON.stringify(jsonReport(report), null, 2)}\n`);
  else if (judged.length > 0)
    await writeAll(terminal.stdout, asText(report, written.paths, options, terminal));
  for (const { incomplete } of judged)
    if (incomplete !== null) terminal.stderr.write(`quiesce: ${incomplete}\n`);
  return Math.max(code, written.code);
}

function refuseNonsense(paths: readonly string[], options: RacesOptions): void {
  const { baseline, suppress = [], failOn } = options;
  if (options.schedules !== undefined && options.predict === undefined)
    throw new QuiesceError("usage", "--schedules is for predicted races: say --predict, too.");
  if (options.online === true && options.predict !== undefined)
    throw new QuiesceError("usage", "--predict needs a run that is over: leave --online out.");
  if (options.also !== undefined)
    throw new QuiesceError("usage", "--also is for foreign traces: say --from std, too.");
  if (options.online === true && options.stacks === true)
    throw new QuiesceError("usage", "--stacks needs a run that is over: leave --online out.");
  if (options.online === true && options.order === "shb")
    throw new QuiesceError("usage", "--online judges by --order hb: leave --order out.");
  const judgedBy = baseline === undefined ? suppress : [baseline, ...suppress];
  refuseOutputs(options, { traces: paths, judgedBy });
  if (options.online === true && paths.length !== 1)
    throw new QuiesceError("usage", "--online follows one trace at a time.");
  if (failOn === "new" && baseline === undefined)
    throw new QuiesceError(
      "usage",
      "--fail-on new needs --baseline: say what is old; --write-baseline makes such a file.",
    );
}

/** Judges every file; one that cannot be read is complained about and does not keep the others from being judged. */
async function judgeAll(
  paths: readonly string[],
  options: RacesOptions,
  terminal: Terminal,
): Promise<{ judged: Judged[]; code: number }> {
  const progress = new Progress(terminal);
  const judged: Judged[] = [];
  let code: number = ExitCode.ok;
  for (const path of paths) {
    try {
      const { html, sarif, stacks, predict, schedules, order } = options;
      judged.push(
        await judge(path, {
          ...(options.policy === undefined ? {} : { policy: options.policy }),
          ...(order === undefined ? {} : { order }),
          ...(predict === undefined ? {} : { predict }),
          ...(schedules === undefined ? {} : { schedules }),
          drains: options.drains === true,
          reading: options.reading,
          digest: html !== undefined || sarif !== undefined,
          stacks: stacks === undefined ? "quick" : stacks ? "always" : "never",
          onProgress: (what) => progress.showNow(what),
          onRemark: (sentence) => say(sentence, progress, terminal),
        }),
      );
    } catch (error) {
      const ending =
        error instanceof ReplayDiverged
          ? { code: ExitCode.diverged, text: `quiesce: ${error.message}\n` }
          : endingOf(error);
      if (ending.code === ExitCode.internal) throw error;
      progress.clear();
      terminal.stderr.write(ending.text);
      code = Math.max(code, ending.code);
    }
  }
  progress.clear();
  return { judged, code };
}

/** Follows the trace, and prints each new finding once; a first signal ends that, and what was seen is summed up. */
async function judgeOnline(
  [path = ""]: readonly string[],
  options: RacesOptions,
  triage: ReadTriage,
  terminal: Terminal,
): Promise<{ judged: Judged[]; code: number }> {
  const progress = new Progress(terminal);
  const printed = new Set<string>();
  const look = {
    columns: columnsOf(terminal.stdout),
    paint: painterFor(terminal.stdout, options.color),
  };
  const tool = { name: "quiesce", version: quiesceVersion() } as const;
  let stopped = false;
  const stop = () => {
    stopped = true;
  };
  for (const signal of STOPPING) process.once(signal, stop);
  try {
    const { policy, reading, drains = false, html, sarif, json } = options;
    const judged = await followTrace(path, {
      ...(policy === undefined ? {} : { policy }),
      reading,
      drains,
      pictures: html !== undefined || sarif !== undefined || json === true,
      digest: html !== undefined || sarif !== undefined,
      stopped: () => stopped,
      onProgress: (events) => progress.show(`Following ${path}: ${counted(events, "event")}`),
      onFindings: ({ report }, isOver) => {
        if (printsReport(options)) return;
        for (const trace of triage.apply({ tool, traces: [report] }).traces) {
          for (const { finding, standing } of stood(trace)) {
            if (!isNew(standing) || printed.has(finding.fingerprint)) continue;
            // What luck covers now may still race, and is that finding then.
            if (finding.rule === "covered-by-luck" && !isOver) continue;
            printed.add(finding.fingerprint);
            progress.clear();
            terminal.stdout.write(`${findingHead(finding, trace, look)}\n`);
          }
        }
      },
      ...(options.idle === undefined ? {} : { idleSeconds: options.idle }),
    });
    return { judged: [judged], code: ExitCode.ok };
  } finally {
    progress.clear();
    for (const signal of STOPPING) process.removeListener(signal, stop);
  }
}

/** The text is for whoever types the next command; reports are read elsewhere. */
function asTypedHere(trace: TraceReport): TraceReport {
  const { facts } = trace;
  return { ...trace, facts: { ...facts, replayCommand: asTyped(facts.replayCommand) } };
}

const STOPPING = ["SIGINT", "SIGTERM"] as const;

function say(sentence: string, progress: Progress, terminal: Terminal): void {
  progress.clear();
  terminal.stderr.write(`quiesce: ${sentence}\n`);
}

/** 3 wins over 1: a trace that is incomplete is never green. */
function verdict(report: Report, judged: readonly Judged[], failOn: FailOn): number {
  if (judged.some(({ incomplete }) => incomplete !== null)) return ExitCode.input;
  const found = report.traces.some((trace) =>
    trace.result.findings.some((finding, index) =>
      fails(finding, standingOf(trace, index), failOn),
    ),
  );
  return found ? ExitCode.findings : ExitCode.ok;
}

/** Findings, coverage, what there is to say of the files; the summary stands last. */
function asText(
  report: Report,
  written: readonly string[],
  options: RacesOptions,
  { stdout }: Terminal,
): string {
  const paint = painterFor(stdout, options.color);
  const look = { columns: columnsOf(stdout), paint, details: options.details === true };
  const parts: string[] = [];
  const traces = report.traces.map(asTypedHere);
  for (const trace of traces) {
    if (traces.length > 1)
      parts.push(`${paint("title", `── ${trace.facts.trace}: ${trace.facts.label}`)}\n`);
    // Online they were printed as they came.
    const body = options.online === true ? "" : findingsBody(trace, look);
    if (body !== "") parts.push(body);
    if (options.coverage === true)
      parts.push(`${paint("title", "Coverage")}\n\n${coverageText(trace.result.coverage, look)}`);
    if (options.drains === true)
      parts.push(`${paint("title", "Drains")}\n\n${drainsText(trace.result.drains ?? [], look)}`);
    if (options.policy === "all")
      parts.push(
        `${paint("title", "Findings by policy")}\n\n${policiesText(trace.result.policies ?? [], look)}`,
      );
  }
  if (options.annotations === "github") parts.push(githubAnnotations(report));
  parts.push(triageText(report, look));
  if (written.length > 0)
    parts.push(`${counted(written.length, "report")} written: ${written.join(", ")}\n`);
  parts.push(traces.map((trace) => summaryText(trace, look)).join(""));
  return parts.filter((part) => part !== "").join("\n");
}
