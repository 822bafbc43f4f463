// Follows what lasts: drained sections, graph operations, request tasks, locks and waits. Each becomes a bar when it ends,
// or when a window closes while it is still open.
//
//   main       [bdrv_append ---------------------------]        operation
//                 [drain overlay0 ~~~~~|===========]            section: poll phase, then drained
//   iothread0  [request 17 -----]  [request 18 ----------...    tasks
//
// Only `ended` is called from the hot loop; everything is keyed by the number of the thing, and operations, which have no
// number, by the context and task that they nest in.

import { must } from "#core/base";
import {
  DRAIN_KINDS,
  Drain,
  Ev,
  type EventBatch,
  LockKindOf,
  REQUEST_TYPES,
  TRAN_PHASES,
} from "#core/probe";
import type { LaneBar } from "./material.ts";

/** A bar that may still be open; `words` are put into its label once the string table is complete. */
export interface OpenBar {
  readonly kind: LaneBar["kind"];
  readonly id: number;
  readonly ctx: number;
  readonly task: number;
  readonly from: number;
  readonly site: number;
  /** Label, with `string` (a StringId) or `node` (a node's number) behind it. */
  label: string;
  readonly string: number;
  readonly node: number;
  pollEnd: number | null;
  /** Nodes that a section raised. */
  readonly nodes: Set<number> | null;
}

/** Called with each bar that ends at `event`. */
export type OnBarEnd = (bar: OpenBar, event: number) => void;

export class LaneTracker {
  readonly #onEnd: OnBarEnd;
  readonly #open = new Map<string, OpenBar>();
  readonly #stacks = new Map<string, OpenBar[]>();
  #operations = 0;

  constructor(onEnd: OnBarEnd) {
    this.#onEnd = onEnd;
  }

  /** All bars that are open now. */
  *open(): Iterable<OpenBar> {
    yield* this.#open.values();
    for (const stack of this.#stacks.values()) yield* stack;
  }

  /** Take the event at `index` of `batch`, which is event number `event` of the trace, into account. */
  apply(batch: EventBatch, index: number, event: number): void {
    const a = batch.arg(index, 0);
    const b = batch.arg(index, 1);
    const begin = (bar: Partial<OpenBar> & Pick<OpenBar, "kind" | "id">) =>
      this.#begin(batch, index, event, bar);
    switch (batch.kind(index)) {
      case Ev.drain_begin:
        begin({ ...sectionBar(a, b, batch.arg(index, 2)), site: batch.arg(index, 3) });
        return;
      case Ev.drain_poll_end:
        this.#change("section", a, (bar) => (bar.pollEnd = event));
        return;
      case Ev.drain_end:
        this.#end("section", a, event);
        return;
      case Ev.bs_quiesce:
        this.#change("section", batch.arg(index, 2), (bar) => bar.nodes?.add(a));
        return;
      case Ev.task_begin:
        begin({ kind: "task", id: a, label: `request ${a}`, task: a });
        return;
      case Ev.req_begin:
        this.#nameTask(batch.task(index), b);
        return;
      case Ev.tracked_begin:
        this.#nameTask(batch.task(index), b);
        return;
      case Ev.task_end:
        this.#end("task", a, event);
        return;
      case Ev.graph_op_begin:
        this.#push(batch, index, begin({ kind: "operation", id: 0, site: a }));
        return;
      case Ev.tran_action_begin:
        this.#push(
          batch,
          index,
          begin({
            kind: "operation",
            id: 0,
            string: batch.arg(index, 2),
            label: `${word(TRAN_PHASES, b)} of `,
          }),
        );
        return;
      case Ev.graph_op_end:
      case Ev.tran_action_end:
        this.#pop(batch, index, event);
        return;
      case Ev.lock_acquire:
        if (b === LockKindOf.aio_context && batch.arg(index, 2) === 1)
          begin({ kind: "lock", id: a, label: "lock " });
        return;
      case Ev.lock_release:
        if (b === LockKindOf.aio_context && batch.arg(index, 2) === 0) this.#end("lock", a, event);
        return;
      case Ev.wait_begin:
        begin({ kind: "wait", id: a, label: "polls in ", site: batch.arg(index, 2) });
        return;
      case Ev.wait_end:
        this.#end("wait", a, event);
        return;
      default:
    }
  }

  #begin(
    batch: EventBatch,
    index: number,
    event: number,
    bar: Partial<OpenBar> & Pick<OpenBar, "kind" | "id">,
  ): OpenBar {
    const made: OpenBar = {
      ctx: batch.ctx(index),
      task: batch.task(index),
      from: event,
      site: 0,
      label: "",
      string: 0,
      node: 0,
      pollEnd: null,
      nodes: null,
      ...bar,
    };
    if (bar.kind !== "operation") this.#open.set(`${bar.kind} ${bar.id}`, made);
    return made;
  }

  #change(kind: LaneBar["kind"], id: number, change: (bar: OpenBar) => void): void {
    const bar = this.#open.get(`${kind} ${id}`);
    if (bar !== undefined) change(bar);
  }

  #end(kind: LaneBar["kind"], id: number, event: number): void {
    const name = `${kind} ${id}`;
    const bar = this.#open.get(name);
    if (bar === undefined) return;
    this.#open.delete(name);
    this.#onEnd(bar, event);
  }

  #nameTask(task: number, type: number): void {
    if (task === 0) return;
    this.#change("task", task, (bar) => {
      if (!bar.label.includes(":")) bar.label = `request ${task}: ${word(REQUEST_TYPES, type)}`;
    });
  }

  #push(batch: EventBatch, index: number, bar: OpenBar): void {
    const name = stackOf(batch, index);
    const stack = this.#stacks.get(name);
    this.#operations++;
    const numbered = { ...bar, id: this.#operations };
    if (stack === undefined) this.#stacks.set(name, [numbered]);
    else stack.push(numbered);
  }

  #pop(batch: EventBatch, index: number, event: number): void {
    const name = stackOf(batch, index);
    const stack = this.#stacks.get(name);
    const bar = stack?.pop();
    if (bar === undefined) return;
    if (stack?.length === 0) this.#stacks.delete(name);
    this.#onEnd(bar, event);
  }
}

function stackOf(batch: EventBatch, index: number): string {
  return `${batch.ctx(index)} ${batch.task(index)}`;
}

function sectionBar(
  id: number,
  owner: number,
  kind: number,
): Pick<OpenBar, "kind" | "id" | "label" | "node" | "nodes"> {
  const label = kind === Drain.all ? "drain all" : `${word(DRAIN_KINDS, kind)} drain of `;
  return { kind: "section", id, label, node: owner, nodes: new Set<number>() };
}

function word(words: readonly string[], index: number): string {
  return must(words[index], "the catalogue has a word for every number");
}
