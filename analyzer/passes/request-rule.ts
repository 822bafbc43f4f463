// A request that begins inside a drained section: it raises the in-flight counter of a node that somebody has drained and
// finished waiting for, off the main context, and the drainer did not start it itself. Whoever drained relied on there being
// none. Requests that began before the poll phase ended are the drain's own business: it waited for them, or it has not
// waited yet.

import type { Holdable } from "../model/graph.ts";
import type { Section } from "../model/sections.ts";
import { NEVER } from "../order/knowledge.ts";
import type { PassContext } from "./pass.ts";

export class RequestRule {
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  /** Off the main context, the running task raised the in-flight counter of `node`, which somebody has drained. */
  raised(node: Holdable): void {
    const { now, edges } = this.#context;
    const { task } = now;
    if (task === null) return;
    const section = node.holds.find((hold) => isQuiet(hold.section, task.begin))?.section;
    if (section === undefined || edges.startedByDrainer(task.co)) return;
    const key = `request-in-drained-section ${task.request?.type ?? 0} ${section.site}`;
    this.#context.drafts.note(key, now.index, 1, () => ({
      rule: "request-in-drained-section",
      list: 0,
      owner: 0,
      node,
      edge: null,
      accesses: [],
      why: {
        code: "request",
        section,
        task: task.id,
        request: task.request,
      },
      advice: null,
      luck: null,
    }));
  }
}

/** Whether the section had waited before a request that began at event `begin`, and has not ended. */
function isQuiet(section: Section, begin: number): boolean {
  return section.pollEnd !== NEVER && section.end === NEVER && section.firstPollEnd < begin;
}
