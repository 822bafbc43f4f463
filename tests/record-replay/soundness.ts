// Whether a recording is sound: it replays identically, and the analyzer finds nothing in what replay regenerates.
//
// Both in one go and in bounded memory, however long the recording is: what replay regenerates is judged as it comes, and kept
// nowhere. So it does not matter whether the recording has all events or inputs alone; whatever it has is compared.

import { closeSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { OnlineAnalysis } from "#analyzer";
import { daemonScenario } from "#cli";
import { siteTable } from "#core/probe";
import { type Scenario, worldBuilder } from "#explorer";
import { replayTrace } from "#replay";
import { Recorder, type Sink } from "#tracer";
import { type ByteSource, bytesSource, fdSource, TraceReader } from "#traces";

/** What was looked at, and what is wrong. */
export interface Soundness {
  /** Events that replay regenerated, and those of them that were recorded and compared. */
  readonly events: number;
  readonly compared: number;
  /** False when the recording breaks off, as that of a process does that was killed. */
  readonly complete: boolean;
  /** The first difference, and the titles of findings; empty when the recording is sound as far as it goes. */
  readonly problems: readonly string[];
}

/** The recording of `scenario` in `bytes`. */
export function soundnessOf(scenario: Scenario, bytes: Uint8Array): Soundness {
  return soundnessIn(scenario, bytesSource(bytes));
}

/** The recording that `quiesce daemon --record` left at `path`. */
export function soundnessOfDaemon(path: string): Soundness {
  const fd = openSync(path, "r");
  try {
    return soundnessIn(daemonScenario(), fdSource(fd));
  } finally {
    closeSync(fd);
  }
}

/** All recordings that daemons left in `folder`. */
export function recordingsIn(folder: string): string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
}

function soundnessIn(scenario: Scenario, source: ByteSource): Soundness {
  const reader = TraceReader.open(source);
  const sink = new JudgingSink();
  const recorder = new Recorder(sink);
  const report = replayTrace(reader, { buildWorld: worldBuilder(() => scenario), recorder });
  recorder.close();
  const { events, compared, complete, divergence } = report;
  const problems = sink.findings();
  if (reader.damage?.kind === "corrupt") problems.unshift(reader.damage.message);
  if (divergence !== undefined) {
    const { index, expected, actual } = divergence;
    problems.unshift(`diverged at ${index}: recorded ${expected}, replayed ${actual}`);
  }
  return { events, compared, complete, problems };
}

/** Judges what a recorder hands over. */
class JudgingSink implements Sink {
  readonly #analysis = new OnlineAnalysis();
  #strings: readonly string[] = [""];

  write(...[batch, strings]: Parameters<Sink["write"]>): void {
    this.#analysis.feed(batch);
    this.#strings = strings;
  }

  close(): void {}

  /** Titles, one for each finding. */
  findings(): string[] {
    return this.#analysis.finish(siteTable, this.#strings).findings.map(({ title }) => title);
  }
}
