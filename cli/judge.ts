// Judging a trace: what `races` and `demo` share. Reads it once for the analysis, and once more for the pictures and the
// digest where a report needs them. A trace that holds only inputs is replayed to a full one first.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  type AnalysisResult,
  analyze,
  byPolicy,
  POLICY_IDS,
  type PolicyId,
  type Reading,
} from "#analyzer";
import type { Prediction } from "#analyzer/predict";
import {
  collectMaterial,
  type RunFacts,
  type Stacks,
  stackEvents,
  type TraceReport,
} from "#analyzer/reports";
import { printable } from "#core/base";
import type { EventBatch } from "#core/probe";
import type { Divergence } from "#replay";
import { TraceDigest, type TraceReader } from "#traces";
import { ExitCode, endingOf } from "./exit-codes.ts";
import { withPredictions } from "./predictions.ts";
import { programName } from "./program-name.ts";
import { rerun } from "./rerun.ts";
import { stacksAt } from "./stacks.ts";
import { incompleteness, labelOf, patchesOff, shellWord, withTrace } from "./trace-file.ts";

/** A judged trace. */
export interface Judged {
  readonly report: TraceReport;
  /** What is wrong with the file, as a sentence; null when it is all there. */
  readonly incomplete: string | null;
}

/** What to do beside the analysis. */
export interface JudgeOptions {
  /** Compute the digest, which pages and SARIF show. */
  readonly digest: boolean;
  /** The policy to judge by, or "all": by P1, and beside that by each of them. By default P1. */
  readonly policy?: PolicyChoice;
  /** Say what each drain cost, and note needless ones. */
  readonly drains?: boolean;
  /** Program order of the iothreads; by default "thread". */
  readonly reading?: Reading;
  /** Whether a read comes after the edit that it saw ("shb"); by default not. */
  readonly order?: "hb" | "shb";
  /** Predict races of other schedules, and execute them. */
  readonly predict?: Prediction;
  /** Where to write the schedules that show them. */
  readonly schedules?: string;
  /** Call stacks from replay: always, never, or where that takes about a second at most; default never. */
  readonly stacks?: "always" | "quick" | "never";
  readonly onProgress?: (what: string) => void;
  /** Sentences for the user, e.g. that the trace is replayed first. */
  readonly onRemark?: (sentence: string) => void;
}

/** What --policy says. */
export type PolicyChoice = PolicyId | "all";

/** Thrown when an inputs trace cannot be replayed to a full one. */
export class ReplayDiverged extends Error {
  readonly divergence: Divergence;
  constructor(path: string, divergence: Divergence) {
    super(
      `${path}: replay diverged at input ${divergence.index}; ${programName()} replay ${shellWord(path)} shows where.`,
    );
    this.divergence = divergence;
  }
}

/** Analyse the trace at `path`. */
export async function judge(path: string, options: JudgeOptions): Promise<Judged> {
  return withTrace(path, async (reader) => {
    const judged = await judgeEither(path, reader, options);
    const stacks = await stacksOf(path, reader, judged.report.result, options);
    return stacks === null ? judged : { ...judged, report: { ...judged.report, stacks } };
  });
}

async function judgeEither(
  path: string,
  reader: TraceReader,
  options: JudgeOptions,
): Promise<Judged> {
  if (reader.header.level === "full") return judgeFull(path, reader, "full", options);
  options.onRemark?.(`${path} holds only inputs: replaying it to a full trace first.`);
  const folder = mkdtempSync(join(tmpdir(), "quiesce-replay-"));
  try {
    const full = resolve(folder, "full.trace");
    return await judgeInputs(path, reader, full, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Replay runs some 250,000 events a second: up to here it may run without being asked to. */
const QUICK_EVENTS_MAX = 250_000;

/** Stacks at the accesses of the findings; null where there are none, or where the core cannot replay the trace. */
async function stacksOf(
  path: string,
  reader: TraceReader,
  { findings }: AnalysisResult,
  { stacks = "never", onProgress, onRemark }: JudgeOptions,
): Promise<Stacks | null> {
  const events = stackEvents(findings);
  const last = events.at(-1);
  if (stacks === "never" || last === undefined) return null;
  if (stacks === "quick" && last > QUICK_EVENTS_MAX) return null;
  onProgress?.(`Replaying ${path} up to event ${last}, for call stacks`);
  try {
    const found = await stacksAt(path, reader, events);
    if (found.size < events.length)
      onRemark?.(`${path} replays differently here: some call stacks are missing.`);
    return found;
  } catch (error) {
    const ending = endingOf(error);
    if (ending.code === ExitCode.internal) throw error;
    if (stacks === "always")
      onRemark?.(`No call stacks: ${ending.text.replace(/^quiesce: |\n$/g, "")}`);
    return null;
  }
}

async function judgeInputs(
  path: string,
  inputs: TraceReader,
  output: string,
  options: JudgeOptions,
): Promise<Judged> {
  const { divergence } = await rerun({
    path,
    reader: inputs,
    output,
    onProgress: (events) => options.onProgress?.(`Replaying ${path}: ${events} events`),
    ...(options.onRemark === undefined ? {} : { onRemark: options.onRemark }),
  });
  if (divergence !== undefined) throw new ReplayDiverged(path, divergence);
  const incomplete = incompleteness(path, inputs);
  const judged = await withTrace(output, (full) => judgeFull(path, full, "inputs", options));
  return { ...judged, incomplete };
}

/** The policies to judge by besides P1, which is what the analyzer judges by anyway. */
export function policiesOf(policy: PolicyChoice): readonly PolicyId[] {
  if (policy === "all") return POLICY_IDS;
  return policy === "P1" ? [] : [policy];
}

/** `result` as the policy alone has it that was chosen, if one was. */
export function chosenFrom(result: AnalysisResult, policy: PolicyChoice): AnalysisResult {
  return policy === "all" || policy === "P1" ? result : byPolicy(result, policy);
}

async function judgeFull(
  path: string,
  reader: TraceReader,
  level: string,
  options: JudgeOptions,
): Promise<Judged> {
  const { strings, header } = reader;
  options.onProgress?.(`Analysing ${path}`);
  const { policy = "P1", reading = "thread", order = "hb" } = options;
  // What is known of the file once all of it was read: some readings of it stop sooner.
  let incomplete: string | null = null;
  const batches = function* (): Generator<EventBatch> {
    yield* reader.batchesAhead();
    incomplete = incompleteness(path, reader);
  };
  const whole = analyze(
    {
      batches: batches(),
      again: batches,
      sites: header.sites,
      strings,
    },
    {
      policies: policiesOf(policy),
      reading,
      order,
      drains: options.drains === true,
      smallestEdges: true,
    },
  );
  const ordinary = lastEventsOnly(whole, reader);
  const chosen = chosenFrom(ordinary, policy);
  const { predict: method, ...rest } = options;
  const result =
    method === undefined
      ? chosen
      : await withPredictions(path, reader, chosen, { ...rest, method });
  options.onProgress?.(`Drawing ${path}`);
  const { material, digest } = lookAgain(reader, result, options.digest);
  return { report: { facts: factsOf(path, reader, level, digest), result, material }, incomplete };
}

/** `result`, which says so when the trace lacks the beginning of its run. */
export function lastEventsOnly(
  result: AnalysisResult,
  { firstEvent }: TraceReader,
): AnalysisResult {
  if (firstEvent === 0) return result;
  const note = `The trace has only the last events of its run. Events are counted from the first of them, which dump, counting those of the run, calls ${firstEvent}. A drain or a lock that was taken before may cover what is found.`;
  return { ...result, complete: false, runStatus: null, notes: [note, ...result.notes] };
}

/** The second pass: graphs and lanes around the findings, and the digest where it is wanted. */
export function lookAgain(
  reader: TraceReader,
  { findings }: AnalysisResult,
  wantsDigest: boolean,
): { material: TraceReport["material"]; digest: string } {
  const { strings, header } = reader;
  const input = (batches: Iterable<EventBatch>) => ({ batches, sites: header.sites, strings });
  if (!wantsDigest) {
    const material =
      findings.length === 0 ? [] : collectMaterial(input(reader.batches()), findings);
    return { material, digest: "" };
  }
  const sum = new TraceDigest(header);
  const source = digesting(reader, sum);
  // The collector stops when it has seen enough, which must not close the source: the digest needs the rest.
  const batches = { [Symbol.iterator]: () => ({ next: () => source.next() }) };
  const material = collectMaterial(input(batches), findings);
  for (const _ of source);
  return { material, digest: sum.finish(strings) };
}

function* digesting(
  reader: TraceReader,
  digest: TraceDigest,
): Generator<EventBatch, void, undefined> {
  for (const batch of reader.batches()) {
    digest.add(batch);
    yield batch;
  }
}

/** What the header of the trace at `path` says of its run. */
export function factsOf(
  path: string,
  { header, firstEvent }: TraceReader,
  level: string,
  digest: string,
): RunFacts {
  const verb = firstEvent === 0 ? "replay" : "dump";
  const { scenario, seed, host, lock } = header;
  return {
    trace: printable(path),
    label: labelOf(header),
    scenario: printable(scenario.name),
    seed,
    host,
    lock,
    patchesOff: patchesOff(header),
    level,
    digest,
    replayCommand: printable(`quiesce ${verb} ${shellWord(path)}`),
    ...(firstEvent === 0 ? {} : { firstEvent }),
  };
}

export type { AnalysisResult };
