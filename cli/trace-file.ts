// Opening traces. Every complaint about a file begins with its name as the user wrote it.

import { closeSync, fstatSync, openSync } from "node:fs";
import { printable, QuiesceError } from "#core/base";
import { fdSource, type TraceHeader, TraceReader } from "#traces";

/** Opens the trace at `path`, gives its reader to `use`, and closes it. */
export async function withTrace<T>(
  path: string,
  use: (reader: TraceReader) => T | Promise<T>,
): Promise<T> {
  const fd = openSync(path, "r");
  try {
    return await use(openReader(path, fd));
  } finally {
    closeSync(fd);
  }
}

function openReader(path: string, fd: number): TraceReader {
  if (fstatSync(fd).isDirectory())
    throw new QuiesceError("input", `${path}: This is a folder, not a trace.`);
  try {
    return TraceReader.open(fdSource(fd));
  } catch (error) {
    if (error instanceof QuiesceError)
      throw new QuiesceError(error.kind, `${path}: ${error.message}`);
    throw error;
  }
}

/** What is wrong with a trace that was read to its end, as one sentence; null when it is complete. */
export function incompleteness(path: string, reader: TraceReader): string | null {
  if (reader.damage !== null) return `${path}: ${reader.damage.message}`;
  if (reader.complete) return null;
  if (reader.firstEvent > 0)
    return `${path}: ${lastEventsText(reader)}; what had begun before is not known.`;
  return `${path}: The run was still going on when the recording stopped, so the trace is incomplete.`;
}

/** Refuses to replay a trace that lacks the beginning of its run: a replay begins there. */
export function refuseRing(path: string, reader: TraceReader): void {
  // Where the events begin is in the first chunk.
  reader.batches().next();
  if (reader.firstEvent === 0) return;
  throw new QuiesceError(
    "input",
    `${path}: ${lastEventsText(reader)}, and a replay begins at the beginning: races, dump and info can read it, and what is recorded without --ring can be replayed.`,
  );
}

function lastEventsText({ firstEvent }: TraceReader): string {
  return `The trace has only the last events of its run (daemon --ring), from event ${firstEvent} on`;
}

/** A header in a few words: `demo, seed 7, live, patches 10,11 off, lock aio`. */
export function headerText(header: TraceHeader): string {
  return [
    printable(header.scenario.name),
    `seed ${header.seed}`,
    header.host,
    labelOf(header),
  ].join(", ");
}

/** What tells a run from others of its scenario: `patches 10 and 11 off, no lock`. */
export function labelOf(header: TraceHeader): string {
  const off = patchesOff(header);
  const patches = off.length === 0 ? "all patches on" : `${listed(off)} off`;
  return `${patches}, ${header.lock === "aio" ? "AioContext lock" : "no lock"}`;
}

const PATCHES = 12;

/** Numbers of the patches of the series that were off. */
export function patchesOff(header: TraceHeader): number[] {
  const on = new Set(header.patchesOn);
  return Array.from({ length: PATCHES }, (_, index) => index + 1).filter((patch) => !on.has(patch));
}

function listed(numbers: readonly number[]): string {
  if (numbers.length === 1) return `patch ${numbers[0]}`;
  return `patches ${numbers.slice(0, -1).join(", ")} and ${numbers.at(-1)}`;
}

/** `text` for a shell, quoted when it must be. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
