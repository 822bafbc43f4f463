// An edit in the middle of an iteration over the same list, on the same thread: a loop yields or polls in its body, and what
// runs meanwhile takes an element out. No race detector sees it, as nothing is concurrent. What the loop's own body edits is
// its own business (it iterates over a copy, or stops): only edits by another activity count.

import { Ev } from "#core/probe";
import { editAccess, sectionsAt, subject } from "../conflicts/pairs.ts";
import type { Pass, PassContext } from "./pass.ts";

interface Iteration {
  readonly ctx: number;
  readonly task: number;
  readonly activity: number;
  readonly site: number;
  readonly begin: number;
  readonly chain: number;
}

export class IterationRule implements Pass {
  readonly kinds = [
    Ev.iter_begin,
    Ev.iter_end,
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
  ] as const;
  readonly #context: PassContext;
  /** Iterations under way, by list and owner. */
  readonly #open = new Map<string, Iteration[]>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, list: number, owner: number, c: number): void {
    if (kind === Ev.iter_begin) this.#begin(list, owner, c);
    else if (this.#open.size === 0) return;
    else if (kind === Ev.iter_end) this.#end(list, owner, c);
    else this.#edited(list, owner);
  }

  finish(): void {}

  #begin(list: number, owner: number, site: number): void {
    const { now, operations } = this.#context;
    const key = `${list} ${owner}`;
    const iterations = this.#open.get(key) ?? [];
    const activity = operations.activity(now.ctx);
    iterations.push({
      ctx: now.ctx,
      task: now.taskId,
      activity,
      site,
      begin: now.index,
      chain: operations.chain(now.ctx),
    });
    this.#open.set(key, iterations);
  }

  #end(list: number, owner: number, site: number): void {
    const { now, operations } = this.#context;
    const key = `${list} ${owner}`;
    const iterations = this.#open.get(key) ?? [];
    const activity = operations.activity(now.ctx);
    const at = iterations.findLastIndex((one) => one.site === site && one.activity === activity);
    if (at >= 0) iterations.splice(at, 1);
    if (iterations.length === 0) this.#open.delete(key);
  }

  #edited(list: number, owner: number): void {
    const { now, operations, conflicts } = this.#context;
    const activity = operations.activity(now.ctx);
    const variable = conflicts.lastEdited;
    for (const iteration of this.#open.get(`${list} ${owner}`) ?? []) {
      if (iteration.activity === activity || variable === null || variable.edit === null) continue;
      const { edit } = variable;
      this.#context.drafts.note(
        `edit-in-iteration ${list} ${iteration.site} ${edit.site} ${edit.chain}`,
        now.index,
        1,
        () => ({
          rule: "edit-in-iteration",
          ...subject(this.#context.graph, variable),
          accesses: [
            {
              what: "read",
              index: iteration.begin,
              ctx: iteration.ctx,
              task: iteration.task,
              request: null,
              site: iteration.site,
              chain: iteration.chain,
              kind: Ev.iter_begin,
              value: 0,
              edge: null,
              sections: sectionsAt(variable.guard, iteration.begin),
            },
            editAccess(edit),
          ],
          why: {
            code: "text",
            text: "The loop was suspended in its body while something else on its way edited the list.",
          },
          advice: null,
          luck: null,
        }),
      );
    }
  }
}
