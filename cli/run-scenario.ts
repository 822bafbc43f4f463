// Running a scenario on either host and recording it to a file: what `record` and `demo` share.
//
// Nothing that was recorded is ever lost: whatever stops the run (a full disk, an assertion of ours, Ctrl-C), the trace on disk is
// closed and holds all that was emitted, and the message says so.

import { closeSync, mkdirSync, openSync } from "node:fs";
import { hostname } from "node:os";
import { QuiesceError } from "#core/base";
import type { Machine, PatchNumber, RunOutcome } from "#core/sched";
import { LiveHost, runLive } from "#daemon";
import { headerOf, prepareRun, SimulatedHost, schedulerNamed } from "#explorer";
import { FileSink, Recorder } from "#tracer";
import { type Codec, FORMAT_VERSION } from "#traces";
import type { FoundScenario } from "./find-scenario.ts";
import { ObservedSink } from "./observed-sink.ts";
import { programName } from "./program-name.ts";
import { RunFailure, refusal } from "./run-failure.ts";
import { shellWord } from "./trace-file.ts";
import { quiesceVersion } from "./version.ts";

/** Errors that tell of a mistake in quiesce, even below a scenario of the user's. */
const OF_OURS: ReadonlySet<string> = new Set(["AssertionError", "InvariantViolation"]);

/** What to record, and where to. */
export interface RecordRequest {
  readonly found: FoundScenario;
  readonly seed: number;
  readonly host: "live" | "simulated";
  readonly level: "inputs" | "full";
  readonly without: readonly PatchNumber[];
  readonly lock: "none" | "aio";
  /** Parameters that differ from the scenario's defaults. */
  readonly params?: Readonly<Record<string, string>>;
  /** Whether what must hold of a graph is checked after every step. */
  readonly check?: boolean;
  /** How chunks are stored; by default compressed. */
  readonly codec?: Codec;
  /** The trace to write. */
  readonly output: string;
  /** Folder of the images of a live run; it is made when there is none. */
  readonly imagesDir: string;
  /** Called now and then with the number of events recorded so far. */
  readonly onProgress?: (events: number) => void;
}

/** How a recorded run ended. */
export interface Recorded {
  readonly outcome: Exclude<RunOutcome, "wait">;
  readonly events: number;
  readonly steps: number;
  /** The modelled assertion that ended the run, if one did. */
  readonly assertion: string | null;
}

/** Run and record; throws a QuiesceError when the trace could not be written in full. */
export async function recordRun(request: RecordRequest): Promise<Recorded> {
  const options = {
    seed: request.seed,
    without: request.without,
    lock: request.lock,
    imagesDir: request.imagesDir,
    params: request.params ?? {},
    checkInvariants: request.check === true,
  };
  const { scenario, file, digest } = request.found;
  const header = headerOf(scenario, options, {
    host: request.host,
    level: request.level,
    coreVersion: quiesceVersion(),
    formatVersion: FORMAT_VERSION,
    provenance: {
      createdAt: new Date().toISOString(),
      host: hostname(),
      node: process.versions.node,
      quiesce: quiesceVersion(),
    },
    ...(file === undefined ? {} : { file }),
    ...(digest === undefined ? {} : { digest }),
  });
  const fd = openSync(request.output, "w+");
  try {
    const { sites } = header;
    const sink = new ObservedSink({
      inner: new FileSink(fd, header, { codec: request.codec ?? "deflate" }),
      onProgress: request.onProgress,
      sites,
    });
    const recorder = new Recorder(sink, { level: request.level });
    const machine = machineOf(request, options, recorder);
    return await finish(request, machine, recorder, sink);
  } finally {
    closeSync(fd);
  }
}

function machineOf(
  request: RecordRequest,
  options: Parameters<typeof prepareRun>[1],
  probe: Recorder,
): Machine {
  const { scenario } = request.found;
  const { seed } = request;
  if (request.host === "live") {
    mkdirSync(request.imagesDir, { recursive: true });
    const host = new LiveHost();
    return prepareRun(scenario, options, {
      host,
      clients: host,
      scheduler: schedulerNamed("default", seed),
      probe,
    });
  }
  const host = new SimulatedHost(
    scenario.disk === undefined ? { seed } : { seed, disk: scenario.disk },
  );
  return prepareRun(scenario, options, {
    host,
    clients: host,
    scheduler: schedulerNamed("random", seed),
    probe,
  });
}

async function finish(
  request: RecordRequest,
  machine: Machine,
  recorder: Recorder,
  sink: ObservedSink,
): Promise<Recorded> {
  const isLive = request.host === "live";
  const stop = isLive ? onSignal(recorder, request.output) : () => {};
  try {
    const outcome = isLive ? await runLive(machine) : runSimulated(machine);
    recorder.close();
    const assertion = machine.assertion?.message ?? null;
    return { outcome, events: recorder.events, steps: machine.steps, assertion };
  } catch (error) {
    closeQuietly(recorder);
    if (error instanceof QuiesceError) {
      const about = error.kind === "usage" ? "" : `${request.output}: `;
      throw new QuiesceError(error.kind, `${about}${error.message}`);
    }
    const refused = refusal(error);
    if (refused !== null) throw new QuiesceError("input", refused);
    const { file } = request.found;
    if (file !== undefined && error instanceof Error && !OF_OURS.has(error.name)) {
      throw new QuiesceError(
        "usage",
        `${file} threw after ${recorder.events} events, which ${request.output} holds: ${error.message.split("\n")[0]}`,
      );
    }
    throw new RunFailure(error, {
      scenario: request.found.argument,
      seed: request.seed,
      steps: machine.steps,
      events: recorder.events,
      tail: sink.tail(),
      command: isLive ? `${programName()} replay ${shellWord(request.output)}` : commandOf(request),
    });
  } finally {
    stop();
  }
}

function runSimulated(machine: Machine): Exclude<RunOutcome, "wait"> {
  const outcome = machine.run();
  if (outcome === "wait") throw new Error("a simulated host never waits");
  return outcome;
}

/** A live run that is ended by Ctrl-C keeps what was recorded. Returns how to stop listening. */
function onSignal(recorder: Recorder, output: string): () => void {
  const signals = { SIGINT: 2, SIGTERM: 15 } as const;
  const listeners = Object.entries(signals).map(([name, number]) => {
    const listener = () => {
      closeQuietly(recorder);
      process.stderr.write(`quiesce: ended by ${name}; ${output} holds what was recorded.\n`);
      process.exit(128 + number);
    };
    process.once(name, listener);
    return () => process.removeListener(name, listener);
  });
  return () => {
    for (const remove of listeners) remove();
  };
}

function closeQuietly(recorder: Recorder): void {
  try {
    recorder.close();
  } catch {
    // The run failed already, and that is what the user is told.
  }
}

/** The command that records the same simulated run again. */
function commandOf(request: RecordRequest): string {
  const { found, seed, level, without, lock, output, params = {}, check } = request;
  const words = ["record", found.argument, "-o", output, "--seed", String(seed)];
  if (level !== "full") words.push("--level", level);
  if (without.length > 0) words.push("--without-patch", without.join(","));
  if (lock !== "none") words.push("--lock", lock);
  for (const [name, value] of Object.entries(params)) words.push("--param", `${name}=${value}`);
  if (check === true) words.push("--check");
  return `${programName()} ${words.map(shellWord).join(" ")}`;
}
