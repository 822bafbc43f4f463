// The probe of a replay: compares each regenerated event with the recorded one, and passes it on to a recorder if given.
//
// A `full` recording is compared event by event, an `inputs` recording input by input. Numbers of strings and sites are
// compared by what they name, because another build may number them differently; all else must be equal bit for bit.

import type { StringId } from "#core/base";
import {
  EventBatch,
  FLOAT_WIDE,
  FLOATS_PER_EVENT,
  IS_INPUT,
  LAYOUTS,
  ProbeBase,
  type Site,
  siteTable,
  WORDS_PER_EVENT,
} from "#core/probe";
import type { EventCursor } from "./event-cursor.ts";
import type { RecordedTrace } from "./recorded-trace.ts";

/** Thrown at the first difference; caught by replayTrace alone. */
export class DivergenceSignal extends Error {
  override readonly name = "DivergenceSignal";
}

const NAMES_SITE = 1;
const NAMES_STRING = 2;

/** By kind: whether a field names a site or a string; equal numbers may then still name different things. */
const NAMES_THINGS: Uint8Array = Uint8Array.from(LAYOUTS, (layout) => {
  const types = layout?.fields.map((field) => field.type) ?? [];
  if (types.includes("string")) return NAMES_STRING;
  return types.includes("site") ? NAMES_SITE : 0;
});

export class CheckingProbe extends ProbeBase {
  readonly #recorded: RecordedTrace;
  readonly #cursor: EventCursor;
  readonly #full: boolean;
  readonly #recorder: ProbeBase | null;
  readonly #sitesEqual: boolean;
  /** The regenerated event that was compared last. */
  readonly actual = new EventBatch(1);
  /** Events regenerated so far. */
  events = 0;

  constructor(recorded: RecordedTrace, cursor: EventCursor, recorder: ProbeBase | null) {
    super();
    this.#recorded = recorded;
    this.#cursor = cursor;
    this.#full = recorded.header.level === "full";
    this.#recorder = recorder;
    this.#sitesEqual = sameSites(recorded.header.sites, siteTable);
  }

  override intern(text: string): StringId {
    this.#recorder?.intern(text);
    return super.intern(text);
  }

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#check(kind, a, b, c, d, 0);
    const recorder = this.#recorder;
    if (recorder !== null) {
      recorder.ctx = this.ctx;
      recorder.task = this.task;
      recorder.emit(kind, a, b, c, d);
    }
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#check(kind, a, b, c, d, wide);
    const recorder = this.#recorder;
    if (recorder !== null) {
      recorder.ctx = this.ctx;
      recorder.task = this.task;
      recorder.emitWide(kind, wide, a, b, c, d);
    }
  }

  #check(kind: number, a: number, b: number, c: number, d: number, wide: number): void {
    this.events++;
    if (!this.#full && IS_INPUT[kind] !== 1) return;
    if (!this.#matches(kind, a, b, c, d, wide)) {
      this.actual.count = 0;
      this.actual.push(kind, this.ctx, this.task, a, b, c, d, wide);
      throw new DivergenceSignal("the regenerated event differs from the recorded one");
    }
    this.#cursor.advance();
  }

  #matches(kind: number, a: number, b: number, c: number, d: number, wide: number): boolean {
    const cursor = this.#cursor;
    const batch = cursor.batch;
    if (batch === null || cursor.done) return false;
    const ints = batch.ints;
    const base = cursor.at * WORDS_PER_EVENT;
    const same =
      ints[base] === (kind | (this.ctx << 8)) &&
      ints[base + 1] === this.task &&
      ints[base + 2] === (a | 0) &&
      ints[base + 3] === (b | 0) &&
      ints[base + 4] === (c | 0) &&
      ints[base + 5] === (d | 0) &&
      batch.floats[cursor.at * FLOATS_PER_EVENT + FLOAT_WIDE] === wide;
    const names = NAMES_THINGS[kind] as number;
    if (names === 0 || (same && names === NAMES_SITE && this.#sitesEqual)) return same;
    return this.#sameByName(kind, [a, b, c, d, wide]);
  }

  /** Equality where strings and sites are compared by what they name. */
  #sameByName(kind: number, actual: readonly number[]): boolean {
    const batch = this.#cursor.batch;
    const at = this.#cursor.at;
    const layout = LAYOUTS[kind];
    if (batch === null || layout === undefined) return false;
    if (batch.kind(at) !== kind || batch.ctx(at) !== this.ctx || batch.task(at) !== this.task)
      return false;
    return layout.fields.every(({ type, slot }) => {
      const was = batch.arg(at, slot);
      const is = actual[slot] as number;
      if (type === "string") return this.#recorded.strings[was] === this.strings[is];
      if (type === "site")
        return siteName(this.#recorded.header.sites, was) === siteName(siteTable, is);
      return was === is;
    });
  }
}

function sameSites(recorded: readonly Site[], current: readonly Site[]): boolean {
  return (
    recorded.length === current.length &&
    recorded.every((site, index) => site.name === current[index]?.name)
  );
}

function siteName(sites: readonly Site[], id: number): string {
  return id === 0 ? "" : (sites[id - 1]?.name ?? "?");
}
