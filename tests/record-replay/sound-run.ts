// A run of a test that is recorded, replayed and judged: what its main does is done once more, from the recording alone.
//
// So main makes what it changes itself, or sets it to the same again; and what it looks at outside of the machine (contents of guest
// memory, files, the modelled disk) it sees through `outside`, which gives it in the replay what was seen in the run.

import { assert } from "#core/base";
import { NullProbe } from "#core/probe";
import type { Polls } from "#core/sched";
import { LiveHost, runLive } from "#daemon";
import {
  type DiskOptions,
  headerOf,
  prepareRun,
  type Scenario,
  SimulatedHost,
  schedulerNamed,
  type World,
} from "#explorer";
import { MemorySink, Recorder } from "#tracer";
import { FORMAT_VERSION } from "#traces";
import { soundnessOf } from "./soundness.ts";

/** What a run has seen through `outside`, and how much of that its replay has been told again. */
interface Seen {
  readonly answers: unknown[];
  readonly isReplay: boolean;
  told: number;
}

/** Of the run under way; null while nothing is recorded. */
let seen: Seen | null = null;

/** What `look` finds; in a replay what it found in the run, without looking. */
export function outside<T>(look: () => T): T {
  if (seen === null) return look();
  if (seen.isReplay) {
    assert(seen.told < seen.answers.length, "the replay looks as often as the run did");
    return seen.answers[seen.told++] as T;
  }
  const answer = look();
  seen.answers.push(answer);
  return answer;
}

/** What is recorded, and of which run. */
export interface Recorded {
  readonly host: "live" | "simulated";
  readonly seed: number;
  /** With `full` the replay is compared event by event; with `inputs` requests may be done in one go, as in a daemon. */
  readonly level: "full" | "inputs";
  readonly stepsMax: number;
  readonly main: (world: World) => Polls<void>;
}

/** A run under way: its machine is made of these parts; `end` throws what went wrong, in the run or in its replay. */
interface RunToJudge {
  readonly scenario: Scenario;
  readonly recorder: Recorder;
  end(): void;
}

function begin({ host, seed, level, stepsMax, main }: Recorded): RunToJudge {
  const failures: unknown[] = [];
  const scenario: Scenario = {
    ...{ name: "test", title: "", stepsMax },
    *main(world): Polls<void> {
      try {
        yield* main(world);
      } catch (error) {
        failures.push(error);
      }
    },
  };
  const header = headerOf(
    scenario,
    { seed },
    {
      ...{ host, level, coreVersion: "", formatVersion: FORMAT_VERSION },
      provenance: { createdAt: "", host: "", node: "", quiesce: "" },
    },
  );
  const sink = new MemorySink(header);
  const recorder = new Recorder(sink, { level });
  const answers: unknown[] = [];
  seen = { answers, told: 0, isReplay: false };
  const end = () => {
    if (failures.length > 0) throw failures[0];
    recorder.close();
    const replayed: Seen = { answers, told: 0, isReplay: true };
    seen = replayed;
    const { problems, complete } = soundnessOf(scenario, sink.bytes());
    const all = [...problems, ...failures.map((failure) => `main threw ${failure}`)];
    if (all.length > 0) throw new Error(`the recording is not sound: ${all.join("; ")}`);
    assert(complete, "the recording is of the whole run");
    assert(replayed.told === answers.length, "the replay looks as often as the run did");
  };
  return { scenario, recorder, end };
}

/** Run `main` on real files; recorded, replayed and judged. */
export async function runLiveSoundly(
  main: () => Polls<void>,
  level: Recorded["level"] = "full",
): Promise<void> {
  const seed = 0;
  const run = begin({ host: "live", seed, level, stepsMax: Number.MAX_SAFE_INTEGER, main });
  try {
    const host = new LiveHost();
    const scheduler = schedulerNamed("default", seed);
    const parts = { host, clients: host, scheduler, probe: run.recorder };
    const outcome = await runLive(prepareRun(run.scenario, { seed }, parts));
    assert(outcome === "ok", "the run came to its end");
    run.end();
  } finally {
    seen = null;
  }
}

/** Steps after which a simulated run is called endless. */
const STEPS_MAX = 20_000_000;

/** A run on the simulated host. */
export interface SimulatedTestRun {
  readonly seed: number;
  readonly main: (world: World, host: SimulatedHost) => Polls<void>;
  readonly disk?: DiskOptions;
  /** Whether it is recorded, replayed and judged; a fuzzer has no time for that each time. */
  readonly isJudged?: boolean;
}

/** Run it to its end, which must be a good one. */
export function runSimulatedSoundly(wanted: SimulatedTestRun): void {
  const { seed, disk, isJudged = true, main: body } = wanted;
  const host = new SimulatedHost(disk === undefined ? { seed } : { seed, disk });
  const main = (world: World): Polls<void> => body(world, host);
  const how = { host: "simulated", seed, level: "full", stepsMax: STEPS_MAX, main } as const;
  const run = isJudged ? begin(how) : null;
  const scenario = run?.scenario ?? { name: "test", title: "", stepsMax: STEPS_MAX, main };
  try {
    const scheduler = schedulerNamed("random", seed);
    const probe = run?.recorder ?? new NullProbe();
    const machine = prepareRun(scenario, { seed }, { host, clients: host, scheduler, probe });
    const outcome = machine.run();
    if (outcome !== "ok")
      throw new Error(`the run ended in ${outcome}: ${machine.assertion?.message ?? ""}`);
    run?.end();
  } finally {
    seen = null;
  }
}
