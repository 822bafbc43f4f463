// Call stacks from replay (design D10): a recording is run again up to the accesses that a report is about, and at each of
// them the functions are noted that are running.
//
// A coroutine is a generator: resuming it walks down its `yield*` chain, so that the stack of the JavaScript engine holds all
// of its functions, those of the thread that entered it, and every nested poll in between. Places are those of the source: what
// was built has maps beside it, and tests run on the source itself.

import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { basename, dirname, join, relative, sep } from "node:path";
import type { StackFrame, Stacks } from "#analyzer/reports";
import { must } from "#core/base";
import { graphToText } from "#core/graph";
import { EventBatch, ProbeBase, siteTable } from "#core/probe";
import { worldBuilder } from "#explorer";
import { replayTrace } from "#replay";
import { formatEvent, type TraceReader } from "#traces";
import { findRecordedScenario } from "./find-scenario.ts";
import { refuseRing } from "./trace-file.ts";
import { packageRoot } from "./version.ts";

/** Stacks at `events` (ascending) of the trace at `path`; those that the replay did not reach are missing. */
export async function stacksAt(
  path: string,
  reader: TraceReader,
  events: readonly number[],
): Promise<Stacks> {
  const moments = await momentsAt(path, reader, events);
  return new Map([...moments].map(([event, { stack }]) => [event, stack]));
}

/** What was going on at an event: the event itself as text, the functions that were running, and the graph as text. */
export interface Moment {
  readonly text: string;
  readonly stack: readonly StackFrame[];
  readonly graph: string;
}

/** The moments of `events`, as `stacksAt`; with the graph where it is wanted. */
export async function momentsAt(
  path: string,
  reader: TraceReader,
  events: readonly number[],
  { withGraph = false } = {},
): Promise<Map<number, Moment>> {
  refuseRing(path, reader);
  const found = await findRecordedScenario(reader.header, path);
  const probe = new StackProbe(events, withGraph);
  const limit = Error.stackTraceLimit;
  try {
    Error.stackTraceLimit = FRAMES_MAX;
    replayTrace(reader, { buildWorld: worldBuilder(() => found.scenario), recorder: probe });
  } catch (error) {
    // Once the last stack is there the run is of no more interest, and a replay that fails is the business of `replay`.
    if (!probe.done) throw error;
  } finally {
    Error.stackTraceLimit = limit;
  }
  return new Map(
    [...probe.noted].map(([event, { stack, ...rest }]) => [
      event,
      { ...rest, stack: framesOf(stack) },
    ]),
  );
}

/** Frames that the engine keeps: a request is a dozen functions deep, each of them two frames, and polls nest. */
const FRAMES_MAX = 200;

/** Thrown at the last event of interest, so that the replay ends there. */
class LastStack extends Error {
  override readonly name = "LastStack";
}

/** Counts events, and notes what goes on at some of them. */
class StackProbe extends ProbeBase {
  readonly noted = new Map<number, { text: string; stack: string; graph: string }>();
  readonly #events: readonly number[];
  readonly #withGraph: boolean;
  readonly #event = new EventBatch(1);
  #next = 0;
  #count = 0;

  constructor(events: readonly number[], withGraph: boolean) {
    super();
    this.#events = events;
    this.#withGraph = withGraph;
  }

  /** Everything was noted. */
  get done(): boolean {
    return this.#next === this.#events.length;
  }

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    if (this.#count++ === this.#events[this.#next]) this.#note([kind, a, b, c, d], 0);
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    if (this.#count++ === this.#events[this.#next]) this.#note([kind, a, b, c, d], wide);
  }

  #note([kind, a, b, c, d]: readonly [number, number, number, number, number], wide: number): void {
    const event = must(this.#events[this.#next], "an event is due");
    const stack = new Error("stack").stack ?? "";
    this.#event.count = 0;
    this.#event.push(kind, this.ctx, this.task, a, b, c, d, wide);
    const text = formatEvent(this.#event, 0, { strings: this.strings, sites: siteTable });
    this.noted.set(event, { text, stack, graph: this.#withGraph ? graphToText() : "" });
    this.#next++;
    if (this.done) throw new LastStack("the last stack was noted");
  }
}

const ROOT = packageRoot();
/** What records, replays and turns the machine is no part of the run. */
const NOT_OF_THE_RUN =
  /^(?:cli|replay|tracer|tests|node_modules|core\/probe)\/|^core\/sched\/(?:machine|current)\.ts$/;

/** The functions in the text of an error's stack, innermost first. */
function framesOf(text: string): StackFrame[] {
  return text.split("\n").flatMap((line) => {
    const parts = /^\s+at (?:(.+) \()?(?:file:\/\/)?(\/[^()]*):(\d+):(\d+)\)?$/.exec(line);
    if (parts === null) return [];
    const [, name = "", file = "", row = "0", column = "0"] = parts;
    const place = placeInSource(decodeURI(file), Number(row), Number(column));
    if (NOT_OF_THE_RUN.test(place.file)) return [];
    return [{ function: plainName(name), ...place }];
  });
}

/** `bdrvCoFlush` for `bdrvCoFlush.next`, `main` for `Object.main`. */
function plainName(name: string): string {
  const plain = name
    .replace(/^(?:async |new )/, "")
    .replace(/ \[as .*\]$/, "")
    .replace(/\.next$/, "")
    .replace(/^(?:Object|Module)\./, "");
  return plain === "" || plain === "<anonymous>" ? "(anonymous)" : plain;
}

function placeInSource(file: string, line: number, column: number): { file: string; line: number } {
  const map = file.endsWith(".js") ? mapOf(file) : null;
  const entry = map?.findEntry(line - 1, column - 1);
  if (entry === undefined || !("originalLine" in entry)) return { file: nameOf(file), line };
  return { file: nameOf(join(dirname(file), entry.originalSource)), line: entry.originalLine + 1 };
}

/** Relative to the checkout; of a file elsewhere, a user's scenario, the name alone. */
function nameOf(file: string): string {
  const inside = relative(ROOT, file);
  return inside.startsWith("..") ? basename(file) : inside.split(sep).join("/");
}

/** Maps are large and the same for every stack. */
const maps = new Map<string, SourceMap | null>();

function mapOf(file: string): SourceMap | null {
  const known = maps.get(file);
  if (known !== undefined) return known;
  const path = `${file}.map`;
  const map = existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, "utf8"))) : null;
  maps.set(file, map);
  return map;
}
