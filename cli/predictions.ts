// Predicted races of quiesce's own traces (`races --predict`): found, executed, and told as findings; and the schedule files that
// `replay --schedule` executes.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AnalysisResult, byContract, type Finding } from "#analyzer";
import type { Prediction } from "#analyzer/predict";
import { counted } from "#analyzer/reports";
import { QuiesceError } from "#core/base";
import { type HeldSchedule, type PredictedRace, pairOf, predictedRaces } from "#explorer";
import type { TraceReader } from "#traces";
import { DAEMON } from "./daemon-scenario.ts";
import { findRecordedScenario } from "./find-scenario.ts";
import { makeFolder } from "./output-file.ts";
import { programName } from "./program-name.ts";
import { shellWord } from "./trace-file.ts";

export interface PredictionOptions {
  readonly method: Prediction;
  /** Where to write the schedules; nowhere if absent. */
  readonly schedules?: string;
  readonly onProgress?: (what: string) => void;
  readonly onRemark?: (sentence: string) => void;
}

/** `result` with the predicted races of the trace, which is full and was recorded at `path`. */
export async function withPredictions(
  path: string,
  reader: TraceReader,
  result: AnalysisResult,
  options: PredictionOptions,
): Promise<AnalysisResult> {
  const { method, schedules, onProgress, onRemark } = options;
  refuseLive(path, reader);
  const { scenario } = await findRecordedScenario(reader.header, path);
  onProgress?.(`Predicting the races of ${path}`);
  const predicted = predictedRaces(scenario, reader, result, {
    method,
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  const { races, unconfirmed, notExecuted } = predicted;
  if (unconfirmed.length > 0) onRemark?.(`${path}: ${unconfirmedText(unconfirmed)}`);
  if (notExecuted > 0)
    onRemark?.(`${path}: ${counted(notExecuted, "candidate")} for predicted races not executed.`);
  if (schedules !== undefined && races.length > 0) makeFolder("--schedules", schedules);
  const findings = races.map((race) => {
    const { finding } = race;
    if (schedules === undefined)
      return { ...finding, why: `${finding.why} --schedules DIR writes the schedule.` };
    const file = join(schedules, `${finding.fingerprint}.json`);
    writeFileSync(file, scheduleText(race, reader));
    const again = `${programName()} replay ${shellWord(path)} --schedule ${shellWord(file)}`;
    return { ...finding, again };
  });
  return {
    ...result,
    findings: [...result.findings, ...findings].sort(byContract),
    prediction: {
      method,
      confirmed: races.length,
      unconfirmed: unconfirmed.map(({ fingerprint }) => fingerprint),
      notExecuted,
    },
  };
}

/** Predictions named at most; --json has all of them. */
const NAMED_MAX = 3;

/** What was predicted and did not happen: never passed over in silence, as it should not be. */
export function unconfirmedText(unconfirmed: readonly Finding[]): string {
  const named = unconfirmed.slice(0, NAMED_MAX).map(({ list, accesses, fingerprint }) => {
    const sites = accesses.map(({ site }) => site.name).join(" and ");
    return `${list} in ${sites} (${fingerprint})`;
  });
  const more = unconfirmed.length - named.length;
  const which = `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  return `${counted(unconfirmed.length, "predicted race")} did not happen when executed: ${which}; that is a defect of the prediction, unless the run goes by something that its trace does not tell, and only covered by luck is reported.`;
}

/** Another schedule can only be executed where the seed gives disk, clients and latencies again. */
export function refuseLive(path: string, { header }: TraceReader): void {
  if (header.host === "simulated") return;
  const how =
    header.scenario.name === DAEMON
      ? "is a recording of a daemon, whose clients and files are not there again: of such a run no other schedule can be executed"
      : "was recorded live, so it cannot be executed under another schedule; record it with --host simulated";
  throw new QuiesceError("usage", `${path} ${how}.`);
}

const SCHEMA_VERSION = 1;

/** What a schedule file holds: whose run it is, the schedule, and the race that it shows. */
export interface ScheduleFile {
  readonly schemaVersion: number;
  readonly scenario: string;
  readonly seed: number;
  readonly schedule: HeldSchedule;
  /** List and sites. */
  readonly race: string;
}

function scheduleText({ schedule, finding }: PredictedRace, { header }: TraceReader): string {
  const file: ScheduleFile = {
    schemaVersion: SCHEMA_VERSION,
    scenario: header.scenario.name,
    seed: header.seed,
    schedule,
    race: pairOf(finding),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** The schedule at `path`, which must be one for the run of `reader`. */
export function readSchedule(path: string, { header }: TraceReader): ScheduleFile {
  const refuse = (what: string): never => {
    throw new QuiesceError("input", `${path}: ${what}`);
  };
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    refuse("This is no JSON; a schedule comes from races --predict METHOD --schedules DIR.");
  }
  if (!isScheduleFile(data))
    return refuse("This is no schedule that races --predict METHOD --schedules DIR wrote.");
  if (data.scenario !== header.scenario.name || data.seed !== header.seed)
    refuse(`The schedule is for ${data.scenario} with seed ${data.seed}, not for this trace.`);
  return data;
}

function isScheduleFile(data: unknown): data is ScheduleFile {
  const file = data as Partial<ScheduleFile> | null;
  const schedule = file?.schedule;
  return (
    file?.schemaVersion === SCHEMA_VERSION &&
    typeof file.scenario === "string" &&
    typeof file.seed === "number" &&
    typeof file.race === "string" &&
    Number.isSafeInteger(schedule?.steps) &&
    [schedule?.until, schedule?.then].every(isAwaited)
  );
}

function isAwaited(event: HeldSchedule["until"] | undefined): boolean {
  return (
    typeof event?.event === "string" &&
    typeof event.site === "string" &&
    [event.ctx, event.occurrence, event.about?.[0], event.about?.[1]].every(Number.isSafeInteger)
  );
}
