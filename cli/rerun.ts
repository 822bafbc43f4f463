// Replaying a trace: what `replay`, `races` (for traces that hold only inputs) and `demo` share. The regenerated events pass
// through a digest, and on request into a file, which is then a full trace.

import { closeSync, openSync } from "node:fs";
import { QuiesceError } from "#core/base";
import { graphToText } from "#core/graph";
import { siteTable } from "#core/probe";
import type { Machine } from "#core/sched";
import { worldBuilder } from "#explorer";
import { type ReplayReport, replayTrace, type WorldBuilder } from "#replay";
import { FileSink, Recorder } from "#tracer";
import { headerWithLevel, TraceDigest, type TraceHeader, type TraceReader } from "#traces";
import { findRecordedScenario } from "./find-scenario.ts";
import { ObservedSink } from "./observed-sink.ts";
import { programName } from "./program-name.ts";
import { RunFailure, refusal } from "./run-failure.ts";
import { refuseRing, shellWord } from "./trace-file.ts";

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
  refuseRing(path, reader);
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
    const sink = new ObservedSink({
      ...(fd === null ? {} : { inner: new FileSink(fd, header) }),
      digest: new TraceDigest(header),
      onProgress: request.onProgress,
      sites: siteTable,
    });
    const recorder = new Recorder(sink);
    const report = replayed(
      request,
      recorder,
      sink,
      worldBuilder(() => found.scenario),
    );
    close(recorder, request.output ?? path);
    return { ...report, digest: sink.digest() };
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

function replayed(
  { reader, path }: RerunRequest,
  recorder: Recorder,
  sink: ObservedSink,
  build: WorldBuilder,
): ReplayReport {
  const built: Machine[] = [];
  try {
    return replayTrace(reader, {
      buildWorld: (header, parts) => {
        const machine = build(header, parts);
        built.push(machine);
        return machine;
      },
      describeGraph: () => graphToText(),
      recorder,
    });
  } catch (error) {
    if (error instanceof QuiesceError) throw error;
    const refused = refusal(error);
    if (refused !== null) throw new QuiesceError("input", refused);
    recorder.flush();
    throw new RunFailure(error, {
      scenario: reader.header.scenario.name,
      seed: reader.header.seed,
      steps: built[0]?.steps ?? 0,
      events: recorder.events,
      tail: sink.tail(),
      command: `${programName()} replay ${shellWord(path)}`,
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
