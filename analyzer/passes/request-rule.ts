// A request that begins inside a drained section: it raises the in-flight counter of a node that somebody has drained and
// finished waiting for, off the main context, and the drainer did not start it itself. Whoever drained relied on there being
// none. Requests that began before the poll phase ended are the drain's own business: it waited for them, or it has not
// waited yet.
//
// The finding says by whom the request was started: a job, known by the coroutine that reads the job's pause count; else by
// whatever had entered the request's coroutine when it raised its first counter.

import { Ev } from "#core/probe";
import type { Starter } from "../drafts.ts";
import type { Holdable } from "../model/graph.ts";
import { Operations } from "../model/operations.ts";
import type { Section } from "../model/sections.ts";
import { NEVER } from "../order/knowledge.ts";
import type { TaskState } from "../order/task.ts";
import type { Pass, PassContext } from "./pass.ts";

export class RequestRule implements Pass {
  readonly kinds = [Ev.job_gate_read, Ev.job_free] as const;
  readonly #context: PassContext;
  /** Coroutines of jobs. */
  readonly #jobs = new Map<number, Holdable>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, job: number): void {
    const { graph, now, operations } = this.#context;
    if (kind === Ev.job_gate_read) {
      const activity = operations.activity(now.ctx);
      if (Operations.kindOf(activity) === "coroutine") this.#jobs.set(-activity, graph.job(job));
      return;
    }
    for (const [co, { id }] of this.#jobs) if (id === job) this.#jobs.delete(co);
  }

  finish(): void {}

  /** Off the main context, the running task raised the in-flight counter of `node`, which somebody has drained. */
  raised(node: Holdable): void {
    const { now, edges } = this.#context;
    const { task } = now;
    if (task === null) return;
    const section = node.holds.find((hold) => isQuiet(hold.section, task.begin))?.section;
    if (section === undefined || edges.startedByDrainer(task.co)) return;
    const by = this.#starterOf(task);
    const key = `${task.request?.type ?? 0} ${section.site}`;
    this.#context.drafts.tell("request-in-drained-section", key, now.index, {
      why: { code: "request", section, task: task.id, request: task.request, by },
      node,
      site: section.site,
    });
  }

  #starterOf(task: TaskState): Starter {
    const job = this.#jobs.get(task.co);
    if (job !== undefined) return { what: "job", job };
    const { now, orders } = this.#context;
    const what = Operations.kindOf(task.starter);
    let from: TaskState | null = null;
    if (what === "coroutine") {
      orders.tasks.forEach((other) => {
        if (other.co === -task.starter && other !== task) from = other;
      });
    }
    return described(what, now.ctx, from);
  }
}

function described(
  what: Exclude<Starter["what"], "job">,
  ctx: number,
  from: TaskState | null,
): Starter {
  return { what, ctx, task: from?.id ?? 0, request: from?.request ?? null };
}

/** Whether the section had waited before a request that began at event `begin`, and has not ended. */
function isQuiet(section: Section, begin: number): boolean {
  return section.pollEnd !== NEVER && section.end === NEVER && section.firstPollEnd < begin;
}
