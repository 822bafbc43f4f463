// quiesce races --online FILE: judges a trace while another process writes it.
//
// The file is read record by record, as far as records are there in full; in between this process sleeps. Nothing of an event
// is kept but what the analysis keeps, so memory grows with contexts and lists, not with the run. A finding is printed when the
// analysis first has it, its head and the reason alone; what only the end of a run can show is printed there. Where a report wants
// pictures, the file is read once more then.
//
// A recorder may end and another begin meanwhile, in the same file or under the same name. The two are different runs: what is said
// is of the first, as far as it was read, and that it breaks off.

import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { setImmediate, setTimeout } from "node:timers/promises";
import { type AnalysisResult, OnlineAnalysis, type Reading } from "#analyzer";
import { QuiesceError } from "#core/base";
import { growingFdSource, TraceReader } from "#traces";
import {
  chosenFrom,
  factsOf,
  type Judged,
  lastEventsOnly,
  lookAgain,
  type PolicyChoice,
  policiesOf,
} from "./judge.ts";
import { incompleteness } from "./trace-file.ts";

export interface FollowOptions {
  readonly policy?: PolicyChoice;
  readonly reading: Reading;
  readonly drains: boolean;
  /** Whether a report wants what only another look at the file gives: graphs and lanes, and with them the digest. */
  readonly pictures: boolean;
  readonly digest: boolean;
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
  const { policy = "P1", reading, drains } = options;
  const analysis = new OnlineAnalysis({ policies: policiesOf(policy), reading, drains });
  const { sites } = reader.header;
  const judged = (whole: AnalysisResult, incomplete: string | null): Judged => {
    const result = chosenFrom(whole, policy);
    const facts = factsOf(path, reader, "full", "");
    return { report: { facts, result, material: [] }, incomplete };
  };
  const patience = new Patience(fd, options.idleSeconds);
  const file = new FollowedFile(path, fd);
  let noted = 0;
  let replaced: string | null = null;
  for (const batch of reader.follow()) {
    // Before the batch counts: it may be of another run.
    replaced = file.replacement(batch === null);
    if (replaced !== null) break;
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
  // A run that broke off may have done so where another was written over it.
  replaced ??= file.replacement(false);
  const result = lastEventsOnly(analysis.finish(sites, reader.strings), reader);
  const last = judged(result, replaced ?? incompleteness(path, reader));
  options.onFindings(last, true);
  // A file that is complete grows no more: only then is what is read again what was judged.
  const hasPictures = options.pictures && last.incomplete === null;
  return hasPictures ? withPictures(path, reader, last, options.digest) : last;
}

function withPictures(
  path: string,
  reader: TraceReader,
  judged: Judged,
  wantsDigest: boolean,
): Judged {
  const { report } = judged;
  const { material, digest } = lookAgain(reader, report.result, wantsDigest);
  return {
    ...judged,
    report: { ...report, facts: factsOf(path, reader, "full", digest), material },
  };
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

/** How much of the beginning of a file is looked at: the header, and of a short one the first events. */
const HEAD_BYTES = 4_096;
/** In so many looks without a new byte, whoever wrote the file under its old name has ended. */
const SILENT_LOOKS = 20;

/** The file that is followed, and whether it is still that one. */
class FollowedFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #head: Buffer;
  #size = 0;
  #silent = 0;

  constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
    this.#head = this.#readHead();
  }

  /** What has become of it, as a sentence; null while it is as it was, and longer at most. `isIdle`: nothing new was there. */
  replacement(isIdle: boolean): string | null {
    const { size, ino, dev } = fstatSync(this.#fd);
    const isShorter = size < this.#size;
    this.#silent = isIdle && size === this.#size ? this.#silent + 1 : 0;
    this.#size = size;
    if (isShorter || !this.#readHead().subarray(0, this.#head.length).equals(this.#head))
      return `${this.#path}: Another run was begun in this file: what is said is of the one before, as far as it was read.`;
    if (this.#silent < SILENT_LOOKS) return null;
    const now = statSync(this.#path, { throwIfNoEntry: false });
    if (now === undefined || (now.ino === ino && now.dev === dev)) return null;
    return `${this.#path}: Another file has taken the place of this one: what is said is of the one before, as far as it was written.`;
  }

  #readHead(): Buffer {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(this.#fd, head, 0, HEAD_BYTES, 0));
  }
}
