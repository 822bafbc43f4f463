// The second pass: collects the material of all findings of one trace in one loop over its events.
//
// A finding with two accesses that lie far apart gets two stretches of the trace with a gap between them; near accesses get
// one. A few thousand events at most are looked at for each finding, however long the trace; the trace itself never enters a
// report. Where a trace has very many findings, the first of them get material and the others none.

import { must, printable } from "#core/base";
import { Ev, type EventBatch, KIND_MAX, List } from "#core/probe";
import type { Finding, OwnerRef, Site } from "../findings.ts";
import type { TraceInput } from "../input.ts";
import { printableSite } from "../names.ts";
import { type EdgeChange, GraphTracker, type Unnamed } from "./graph-tracker.ts";
import { LaneTracker, type OpenBar } from "./lane-tracker.ts";
import type { FindingMaterial, LaneBar, LaneMark, LaneRange } from "./material.ts";
import { functionOf } from "./words.ts";

/** Findings of one trace that get material. */
const FINDINGS_MAX = 60;
/** Events shown before the first and after the last access. */
const MARGIN = 220;
/** Accesses further apart than this get two stretches. */
const SPAN_MAX = 1600;

interface Mark {
  readonly event: number;
  readonly ctx: number;
  readonly task: number;
  readonly what: "read" | "edit";
  readonly site: number;
}

/** The window of one finding while it is collected. */
interface Window {
  readonly finding: Finding;
  readonly focus: { readonly kind: OwnerRef["kind"]; readonly id: number } | null;
  /** Events at which the graph is drawn. */
  readonly picturesAt: readonly number[];
  readonly ranges: readonly LaneRange[];
  readonly list: number;
  readonly bars: { readonly bar: OpenBar; readonly to: number | null }[];
  readonly marks: Mark[];
  /** By place in `picturesAt`. */
  readonly graphs: (Unnamed | null)[];
}

/** Material for the findings of `input`, in their order. `input.batches` is read once, from the start. */
export function collectMaterial(
  input: TraceInput,
  findings: readonly Finding[],
): (FindingMaterial | null)[] {
  const windows = findings.slice(0, FINDINGS_MAX).map(windowOf);
  const collector = new Collector(windows.filter((window) => window !== null));
  let event = 0;
  for (const batch of input.batches) {
    for (let index = 0; index < batch.count; index++) collector.apply(batch, index, event++);
    if (collector.done) break;
  }
  collector.closeAll();
  return findings.map((_, i) => {
    const window = windows[i] ?? null;
    return window === null ? null : collector.material(window, input);
  });
}

function windowOf(finding: Finding): Window | null {
  const events = finding.accesses.map((access) => access.event);
  if (events.length === 0) events.push(finding.first);
  const first = Math.min(...events);
  const last = Math.max(...events);
  return {
    finding,
    focus: finding.node,
    picturesAt: events,
    ranges: rangesOf(first, last),
    list: finding.list === null ? 0 : List[finding.list],
    bars: [],
    marks: [],
    graphs: events.map(() => null),
  };
}

function rangesOf(first: number, last: number): LaneRange[] {
  const from = Math.max(0, first - MARGIN);
  const to = last + MARGIN;
  if (last - first <= SPAN_MAX) return [{ from, to }];
  const half = SPAN_MAX / 2;
  return [
    { from, to: first + half },
    { from: last - half, to },
  ];
}

const GRAPH_KINDS = kinds(
  "bs_new",
  "bs_free",
  "bs_ctx",
  "blk_new",
  "blk_free",
  "blk_ctx",
  "job_new",
  "job_free",
  "edge_new",
  "edge_free",
  "list_insert",
  "list_remove",
  "list_set",
  "bs_quiesce",
  "bs_unquiesce",
  "blk_quiesce",
  "blk_unquiesce",
);
const LANE_KINDS = kinds(
  "drain_begin",
  "drain_poll_end",
  "drain_end",
  "bs_quiesce",
  "task_begin",
  "task_end",
  "req_begin",
  "tracked_begin",
  "graph_op_begin",
  "graph_op_end",
  "tran_action_begin",
  "tran_action_end",
  "lock_acquire",
  "lock_release",
  "wait_begin",
  "wait_end",
);
const MARK_KINDS = kinds("list_read", "list_insert", "list_remove", "list_set");

function kinds(...names: (keyof typeof Ev)[]): Uint8Array {
  const table = new Uint8Array(KIND_MAX);
  for (const name of names) table[Ev[name]] = 1;
  return table;
}

class Collector {
  readonly #graph = new GraphTracker();
  readonly #lanes = new LaneTracker((bar, event) => this.#barEnded(bar, event));
  readonly #waiting: Window[];
  readonly #pictures: { readonly window: Window; readonly index: number; readonly event: number }[];
  #active: Window[] = [];
  readonly #ctxNames = new Map<number, number>();
  readonly #nodeNames = new Map<number, number>();
  readonly #lockNames = new Map<number, number>();

  constructor(windows: readonly Window[]) {
    this.#waiting = [...windows].sort((a, b) => startOf(a) - startOf(b));
    this.#pictures = windows
      .flatMap((window) => window.picturesAt.map((event, index) => ({ window, index, event })))
      .sort((a, b) => a.event - b.event);
  }

  /** Every window has all that it needs. */
  get done(): boolean {
    return this.#waiting.length === 0 && this.#pictures.length === 0 && this.#active.length === 0;
  }

  apply(batch: EventBatch, index: number, event: number): void {
    while (this.#waiting[0] !== undefined && startOf(this.#waiting[0]) <= event) {
      this.#active.push(must(this.#waiting.shift(), "a window waits"));
    }
    const kind = batch.kind(index);
    if (this.#pictures[0]?.event === event) this.#takePictures(batch, index, event);
    if (kind === Ev.ctx_new) this.#ctxNames.set(batch.arg(index, 0), batch.arg(index, 1));
    if (kind === Ev.lock_new) this.#lockNames.set(batch.arg(index, 0), batch.arg(index, 2));
    if (kind === Ev.bs_new) this.#nodeNames.set(batch.arg(index, 0), batch.arg(index, 1));
    if (GRAPH_KINDS[kind] === 1) this.#graph.apply(batch, index);
    if (LANE_KINDS[kind] === 1) this.#lanes.apply(batch, index, event);
    if (this.#active.length === 0) return;
    if (MARK_KINDS[kind] === 1) this.#mark(batch, index, event);
    if (this.#active.some((window) => endOf(window) <= event))
      this.#close((window) => endOf(window) <= event);
  }

  closeAll(): void {
    this.#active.push(...this.#waiting.splice(0));
    this.#close(() => true);
  }

  /** Pictures of the graph just before the event. */
  #takePictures(batch: EventBatch, index: number, event: number): void {
    while (this.#pictures[0]?.event === event) {
      const { window, index: place } = must(this.#pictures.shift(), "a picture is due");
      if (window.focus !== null) {
        const changed = changeAt(batch, index);
        window.graphs[place] = this.#graph.picture(event, window.focus, changed);
      }
    }
  }

  #mark(batch: EventBatch, index: number, event: number): void {
    const list = batch.arg(index, 0);
    const owner = batch.arg(index, 1);
    for (const window of this.#active) {
      if (window.list !== list || window.focus?.id !== owner || !inRanges(window, event, event))
        continue;
      const isRead = batch.kind(index) === Ev.list_read;
      window.marks.push({
        event,
        ctx: batch.ctx(index),
        task: batch.task(index),
        what: isRead ? "read" : "edit",
        site: batch.arg(index, isRead ? 2 : 3),
      });
    }
  }

  #barEnded(bar: OpenBar, event: number): void {
    for (const window of this.#active) {
      if (inRanges(window, bar.from, event)) window.bars.push({ bar, to: event });
    }
  }

  #close(isDone: (window: Window) => boolean): void {
    for (const window of this.#active.filter(isDone)) {
      for (const bar of this.#lanes.open()) {
        if (inRanges(window, bar.from, endOf(window)))
          window.bars.push({ bar: { ...bar }, to: null });
      }
    }
    this.#active = this.#active.filter((window) => !isDone(window));
  }

  /** Put names to what was collected for `window`. */
  material(window: Window, input: TraceInput): FindingMaterial {
    const stringOf = (id: number) => printable(input.strings[id] ?? "");
    const ctxName = (ctx: number) => stringOf(this.#ctxNames.get(ctx) ?? 0) || `context ${ctx}`;
    const siteOf = (id: number): Site | null => {
      const site = id === 0 ? undefined : input.sites[id - 1];
      return site === undefined ? null : printableSite(site);
    };
    const bars = window.bars.map(({ bar, to }): LaneBar => {
      const site = siteOf(bar.site);
      const { kind, id, ctx, task, from } = bar;
      const holdsNode = window.focus?.kind === "node" && bar.nodes?.has(window.focus.id) === true;
      const label = this.#labelOf(bar, site, stringOf);
      return { kind, id, ctx, task, from, to, site, pollEnd: bar.pollEnd, holdsNode, label };
    });
    const marks = window.marks.map(({ event, ctx, task, what, site }): LaneMark => {
      return { event, ctx, task, what, site: siteOf(site) };
    });
    const contexts = [
      ...new Set([...bars, ...marks, ...window.finding.accesses].map(({ ctx }) => ctx)),
    ].sort((a, b) => a - b);
    return {
      graphs: window.graphs.map((graph) => graph?.(stringOf, ctxName) ?? null),
      lanes: {
        ranges: window.ranges,
        contexts: contexts.map((ctx) => ({ ctx, name: ctxName(ctx) })),
        bars: bars.sort((a, b) => a.from - b.from || a.id - b.id),
        marks,
      },
    };
  }

  #labelOf(bar: OpenBar, site: Site | null, stringOf: (id: number) => string): string {
    if (bar.kind === "lock") {
      return `${bar.label}of ${stringOf(this.#lockNames.get(bar.id) ?? 0) || `lock ${bar.id}`}`;
    }
    if (bar.node !== 0) {
      return `${bar.label}${stringOf(this.#nodeNames.get(bar.node) ?? 0) || `node ${bar.node}`}`;
    }
    if (bar.kind === "section") return bar.label;
    return `${bar.label}${bar.string === 0 ? (site === null ? "" : functionOf(site)) : stringOf(bar.string)}`;
  }
}

/** What the event does to an edge, if it edits a list. */
function changeAt(batch: EventBatch, index: number): EdgeChange | null {
  const kind = batch.kind(index);
  if (kind === Ev.list_insert) return { edge: batch.arg(index, 2), change: "inserted", child: 0 };
  if (kind === Ev.list_remove) return { edge: batch.arg(index, 2), change: "removed", child: 0 };
  if (kind !== Ev.list_set) return null;
  const value = batch.arg(index, 2);
  const change = value === 0 ? "removed" : "inserted";
  if (batch.arg(index, 0) === List.edge_bs)
    return { edge: batch.arg(index, 1), change, child: value };
  return value === 0 ? null : { edge: value, change, child: 0 };
}

function startOf(window: Window): number {
  return must(window.ranges[0], "a window has a range").from;
}

function endOf(window: Window): number {
  return must(window.ranges.at(-1), "a window has a range").to;
}

function inRanges(window: Window, from: number, to: number): boolean {
  return window.ranges.some((range) => from <= range.to && to >= range.from);
}
