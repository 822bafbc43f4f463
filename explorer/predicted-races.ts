// The predicted races of a recording, each confirmed by executing the schedule that shows it.
//
// Candidates are pairs that only luck covers and that a reordering of the trace lets race. Each is executed, and told only when the
// ordinary analysis of that run has the race, with the same list and sites. One that is left is a defect: of the prediction, of
// schedules of whole steps, or of a run in which a context goes by something that its trace does not tell. It is named.

import { type AnalysisResult, analyze, type Finding } from "#analyzer";
import {
  type Candidate,
  type Prediction,
  predictedFinding,
  raceCandidates,
} from "#analyzer/predict";
import { siteTable } from "#core/probe";
import type { RecordedTrace } from "#replay";
import { MemorySink, Recorder } from "#tracer";
import { bytesSource, type TraceHeader, TraceReader } from "#traces";
import { type AwaitedEvent, type HeldSchedule, heldSchedules, runHeld } from "./held-run.ts";
import { worldBuilder } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";

/** A confirmed prediction, and the schedule that makes it real. */
export interface PredictedRace {
  readonly finding: Finding;
  readonly schedule: HeldSchedule;
}

export interface PredictedRaces {
  readonly races: readonly PredictedRace[];
  /** What luck covers, was predicted to race, and did not when it was executed. */
  readonly unconfirmed: readonly Finding[];
  /** Candidates that were not executed, as there were too many. */
  readonly notExecuted: number;
}

export interface PredictedRacesOptions {
  readonly method: Prediction;
  /** Candidates that are executed; each costs a run or two. */
  readonly executedMax?: number;
  readonly onProgress?: (what: string) => void;
}

const EXECUTED_MAX = 24;

/** Predicts and executes; `trace` is a full recording of `scenario` on the simulated host, and `result` its analysis. */
export function predictedRaces(
  scenario: Scenario,
  trace: RecordedTrace,
  result: AnalysisResult,
  options: PredictedRacesOptions,
): PredictedRaces {
  const { method, executedMax = EXECUTED_MAX, onProgress } = options;
  const lucky = result.findings.filter(({ rule }) => rule === "covered-by-luck");
  const pairs = raceCandidates(trace.batches(), method).candidates.flatMap((candidate) => {
    const finding = lucky.find((one) => pairOf(one) === candidatePair(candidate, trace.header));
    return finding === undefined ? [] : [{ candidate, finding }];
  });
  const tried = pairs.slice(0, executedMax);
  const candidates = tried.map(({ candidate }) => candidate);
  const schedules =
    tried.length === 0
      ? []
      : heldSchedules(
          trace,
          worldBuilder(() => scenario),
          candidates,
        );
  const races: PredictedRace[] = [];
  const unconfirmed: Finding[] = [];
  for (const [i, { finding }] of tried.entries()) {
    onProgress?.(`Executing predicted race ${i + 1} of ${tried.length}`);
    const schedule = schedules[i]?.find((one) => shows(scenario, trace, one, pairOf(finding)));
    if (schedule === undefined) unconfirmed.push(finding);
    else races.push({ finding: predictedFinding(finding, howText(finding, schedule)), schedule });
  }
  return { races, unconfirmed, notExecuted: pairs.length - tried.length };
}

/** Whether the run under `schedule` has the race of these list and sites (`pairOf`). */
export function shows(
  scenario: Scenario,
  trace: RecordedTrace,
  schedule: HeldSchedule,
  pair: string,
): boolean {
  const { bytes, isAsAsked } = executed(scenario, trace, schedule);
  if (!isAsAsked) return false;
  const reader = TraceReader.open(bytesSource(bytes));
  const { sites } = reader.header;
  const { findings } = analyze({ batches: reader.batches(), sites, strings: reader.strings });
  return findings.some((finding) => finding.rule === "race" && pairOf(finding) === pair);
}

/** The run under `schedule`, recorded in memory. */
export function executed(
  scenario: Scenario,
  trace: RecordedTrace,
  schedule: HeldSchedule,
): { readonly bytes: Uint8Array; readonly isAsAsked: boolean } {
  const sink = new MemorySink({ ...trace.header, sites: siteTable });
  const recorder = new Recorder(sink);
  const { isAsAsked } = runHeld(scenario, trace, schedule, recorder);
  recorder.close();
  return { bytes: sink.bytes(), isAsAsked };
}

/** List and sites of a finding with two accesses: `children bdrv_child_cb_detach bdrv_io_plug`. */
export function pairOf({ list, accesses }: Finding): string {
  return `${list} ${accesses
    .map(({ site }) => site.name)
    .sort()
    .join(" ")}`;
}

function candidatePair({ list, accesses }: Candidate, { sites }: TraceHeader): string {
  return `${list} ${accesses
    .map(({ site }) => sites[site - 1]?.name ?? "")
    .sort()
    .join(" ")}`;
}

function howText({ accesses }: Finding, { steps, until }: HeldSchedule): string {
  const [earlier, later] = accesses;
  return `Executed with ${earlier?.ctxName} held back after step ${steps}, until ${later?.ctxName} had ${doneText(until)}, the run has this race.`;
}

function doneText({ event, site }: AwaitedEvent): string {
  if (event === "lock_acquire") return "taken a lock";
  if (event === "lock_release") return "let a lock go";
  return site === "" ? `come to ${event}` : `come to ${event} in ${site}`;
}
