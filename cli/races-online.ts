// quiesce races --online FILE: judges a trace while another process writes it.
//
// The file is read record by record, as far as records are there in full; in between this process sleeps. Nothing of an event
// is kept but what the analysis keeps, so memory grows with contexts and lists, not with the run. A finding is printed when the
// analysis first has it, its head and the reason alone; what only the end of a run can show is printed there.

import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import { setImmediate, setTimeout } from "node:timers/promises";
import { Analysis, type AnalysisResult, oncePerFingerprint } from "#analyzer";
import { QuiesceError } from "#core/base";
import { growingFdSource, TraceReader } from "#traces";
import { factsOf, type Judged, lastEventsOnly } from "./judge.ts";
import { incompleteness } from "./trace-file.ts";

export interface FollowOptions {
  /** Seconds without a new byte after which the writer is taken to be gone; for ever if absent. */
  readonly idleSeconds?: number;
  /** Looked at between records: true when the user wants to end. */
  readonly stopped: () => boolean;
  /** The findings so far, whenever there are more than before; `isOver` the last time, when no more will come. */
  readonly onFindings: (judged: Judged, isOver: boolean) => void;
  readonly onProgress: (events: number) => void;
}

/** How often the file is looked at. */
const LOOK_MS = 50;
/** A file that is no trace may still become one: its writer is about to write the header. */
const HEADER_MS_MAX = 2_000;

/** Follows the trace at `path` to the end of its run, or until it is told to stop. */
export async function followTrace(path: string, options: FollowOptions): Promise<Judged> {
  const fd = await opened(path, options);
  try {
    const reader = await readerOf(path, fd);
    if (reader.header.level !== "full")
      throw new QuiesceError(
        "input",
        `${path}: This trace holds only inputs, which cannot be judged before they are replayed: record with --level full.`,
      );
    return await follow(path, fd, reader, options);
  } finally {
    closeSync(fd);
  }
}

async function follow(
  path: string,
  fd: number,
  reader: TraceReader,
  options: FollowOptions,
): Promise<Judged> {
  const analysis = new Analysis();
  const { sites } = reader.header;
  const judged = (result: AnalysisResult, incomplete: string | null): Judged => {
    return {
      report: {
        facts: factsOf(path, reader, "full", ""),
        result: oncePerFingerprint(result),
        material: [],
      },
      incomplete,
    };
  };
  const patience = new Patience(fd, options.idleSeconds);
  let noted = 0;
  for (const batch of reader.follow()) {
    if (batch === null) {
      if (reader.complete || options.stopped() || patience.isOver()) break;
      await setTimeout(LOOK_MS);
      continue;
    }
    analysis.feed(batch);
    options.onProgress(reader.events);
    if (analysis.noted > noted)
      options.onFindings(judged(analysis.soFar(sites, reader.strings), null), false);
    noted = analysis.noted;
    if (options.stopped()) break;
    // A signal, or a reader of ours that has gone away, gets its turn.
    await setImmediate();
  }
  const result = lastEventsOnly(analysis.finish(sites, reader.strings), reader);
  const last = judged(result, incompleteness(path, reader));
  options.onFindings(last, true);
  return last;
}

/** The open file; waits for it to appear. */
async function opened(path: string, { stopped, idleSeconds }: FollowOptions): Promise<number> {
  for (let waitedMs = 0; !existsSync(path); waitedMs += LOOK_MS) {
    const isOver = idleSeconds !== undefined && waitedMs > idleSeconds * 1_000;
    if (stopped() || isOver)
      throw new QuiesceError(
        "input",
        `${path}: there is no such file, and nobody has begun to write it.`,
      );
    await setTimeout(LOOK_MS);
  }
  return openSync(path, "r");
}

/** The reader of `fd`; waits a while for the header to be there. */
async function readerOf(path: string, fd: number): Promise<TraceReader> {
  for (let waitedMs = 0; ; waitedMs += LOOK_MS) {
    try {
      return TraceReader.open(growingFdSource(fd));
    } catch (error) {
      if (!(error instanceof QuiesceError)) throw error;
      if (waitedMs > HEADER_MS_MAX) throw new QuiesceError(error.kind, `${path}: ${error.message}`);
    }
    await setTimeout(LOOK_MS);
  }
}

/** Whether a file has not grown for too long; counted in looks, a little more than the seconds asked for. */
class Patience {
  readonly #fd: number;
  readonly #looksMax: number;
  #size = 0;
  #looks = 0;

  constructor(fd: number, seconds: number | undefined) {
    this.#fd = fd;
    this.#looksMax = seconds === undefined ? Number.POSITIVE_INFINITY : (seconds * 1_000) / LOOK_MS;
  }

  isOver(): boolean {
    const { size } = fstatSync(this.#fd);
    this.#looks = size === this.#size ? this.#looks + 1 : 0;
    this.#size = size;
    return this.#looks > this.#looksMax;
  }
}
