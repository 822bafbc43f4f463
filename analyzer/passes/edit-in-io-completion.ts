// A graph operation, or an edit outside of any, in the completion callback of a request: the callback runs when the request's
// work is done (req_end), and the request still holds its in-flight counters until the callback has returned. The drain that
// belongs around the change waits for these counters, that is for the callback that drains. From a bottom half, which runs when
// the request is over, the same is fine. (Patch 6 is about this.)
//
//   r1: req_end ── callback: bdrv_set_backing_hd … ── dec ── task_end        <- in between nobody may change the graph
//
// A callback is told by its call stack (model/operations.ts): what a poll inside of it runs is not its doing.

import { Ev } from "#core/probe";
import type { Told } from "../drafts.ts";
import type { RequestText } from "../order/task.ts";
import type { Pass, PassContext } from "./pass.ts";

interface Completing {
  readonly id: number;
  readonly request: RequestText | null;
}

export class EditInIoCompletion implements Pass {
  readonly kinds = [];
  readonly mainKinds = [
    Ev.req_end,
    Ev.graph_op_begin,
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
  ] as const;
  readonly #context: PassContext;
  /** Requests of main between their req_end and their end, by the call stack that completes them. */
  readonly #completing = new Map<number, Completing>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, _b: number, _c: number, d: number): void {
    const { now, operations, listeners } = this.#context;
    if (kind === Ev.req_end) {
      if (now.task === null) return;
      const { id, request } = now.task;
      this.#completing.set(operations.activity(0), { id, request });
      listeners.add(Ev.task_end, this);
    } else if (kind === Ev.task_end) this.#over(a);
    else if (this.#completing.size > 0 || now.task !== null)
      this.#changes(kind, kind === Ev.graph_op_begin ? a : d);
  }

  finish(): void {}

  #over(id: number): void {
    for (const [activity, task] of this.#completing)
      if (task.id === id) this.#completing.delete(activity);
    if (this.#completing.size === 0) this.#context.listeners.remove(Ev.task_end, this);
  }

  /** Main changes the graph at `site`: with an operation that begins, or an edit. */
  #changes(kind: number, site: number): void {
    const { now, operations, drafts } = this.#context;
    const task = this.#completing.get(operations.activity(0)) ?? now.task;
    if (task === null || task.request === null) return;
    // What an operation edits was told when it began.
    const frames = operations.framesOf(operations.chain(0)).length;
    if (frames > (kind === Ev.graph_op_begin ? 1 : 0)) return;
    const { request, id } = task;
    const told: Told = {
      title: (names) =>
        `${names.site(site).name} changes the graph from the completion of a request.`,
      why: (names) =>
        `The ${names.requestText(request, id)} still holds its in-flight counters there, so a drain around the change would wait for the one that drains.`,
      identity: (names) => [names.site(site).name],
    };
    const why = { code: "told", told } as const;
    drafts.tell("edit-in-io-completion", `${site}`, now.index, { why, node: null, site });
  }
}
