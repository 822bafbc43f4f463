// Replaying a trace: what `replay`, `races` (for traces that hold only inputs) and `demo` share. The regenerated events pass
// through a digest, and on request into a file, which is then a full trace.

import { closeSync, openSync } from "node:fs";
import { QuiesceError } from "#core/base";
import { type EventBatch, siteTable } from "#core/probe";
import { worldBuilder } from "#explorer";
import { type ReplayReport, replayTrace } from "#replay";
import { FileSink, Recorder, type Sink } from "#tracer";
import { headerWithLevel, TraceDigest, type TraceHeader, type TraceReader } from "#traces";
import { findRecordedScenario } from "./find-scenario.ts";
import { RunFailure, refusal } from "./run-failure.ts";
import { shellWord } from "./trace-file.ts";

/** A replay's report, with the digest of all regenerated events. */
export interface Rerun extends ReplayReport {
  readonly digest: string;
}

/** What to replay. */
export interface RerunRequest {
  /** The trace's name, and its open reader. */
  readonly path: string;
  readonly reader: TraceReader;
  /** Where to write the regenerated events, if anywhere. */
  readonly output?: string;
  readonly onProgress?: (events: number) => void;
  /** Called with a sentence when the user's scenario is not the one that was recorded. */
  readonly onRemark?: (sentence: string) => void;
}

/** Replay to the end or to the first difference. */
export async function rerun(request: RerunRequest): Promise<Rerun> {
  const { reader, path } = request;
  const found = await findRecordedScenario(reader.header, path);
  const recorded = reader.header.scenario.digest;
  if (recorded !== undefined && found.digest !== recorded) {
    request.onRemark?.(
      `${found.argument} has changed since ${path} was recorded: the replay may differ.`,
    );
  }
  // What replay regenerates is a full trace of this build: its sites are this build's.
  const header: TraceHeader = { ...headerWithLevel(reader.header, "full"), sites: siteTable };
  const fd = request.output === undefined ? null : openSync(request.output, "w+");
  try {
    const sink = new DigestSink(
      header,
      fd === null ? null : new FileSink(fd, header),
      request.onProgress,
    );
    const recorder = new Recorder(sink);
    const report = replayed(request, recorder, () => found.scenario);
    close(recorder, request.output ?? path);
    return { ...report, digest: sink.digest(recorder.strings) };
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

function replayed(
  { reader, path }: RerunRequest,
  recorder: Recorder,
  scenarioOf: Parameters<typeof worldBuilder>[0],
): ReplayReport {
  try {
    return replayTrace(reader, { buildWorld: worldBuilder(scenarioOf), recorder });
  } catch (error) {
    if (error instanceof QuiesceError) throw error;
    const refused = refusal(error);
    if (refused !== null) throw new QuiesceError("input", refused);
    throw new RunFailure(error, {
      scenario: reader.header.scenario.name,
      seed: reader.header.seed,
      steps: 0,
      events: recorder.events,
      tail: [],
      command: `quiesce replay ${shellWord(path)}`,
    });
  }
}

function close(recorder: Recorder, path: string): void {
  try {
    recorder.close();
  } catch (error) {
    if (error instanceof QuiesceError)
      throw new QuiesceError(error.kind, `${path}: ${error.message}`);
    throw error;
  }
}

/** Passes batches on and computes their digest. */
class DigestSink implements Sink {
  readonly #digest: TraceDigest;
  readonly #sink: Sink | null;
  readonly #onProgress: ((events: number) => void) | undefined;
  #events = 0;

  constructor(
    header: TraceHeader,
    sink: Sink | null,
    onProgress: ((events: number) => void) | undefined,
  ) {
    this.#digest = new TraceDigest(header);
    this.#sink = sink;
    this.#onProgress = onProgress;
  }

  write(batch: EventBatch, strings: readonly string[]): void {
    this.#digest.add(batch);
    this.#sink?.write(batch, strings);
    this.#events += batch.count;
    this.#onProgress?.(this.#events);
  }

  close(): void {
    this.#sink?.close();
  }

  digest(strings: readonly string[]): string {
    return this.#digest.finish(strings);
  }
}
