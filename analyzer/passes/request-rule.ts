// A request that begins inside a drained section: it raises the in-flight counter of a node that somebody has drained and
// finished waiting for, off the main context, and the drainer did not start it itself. Whoever drained relied on there being
// none. Requests that began before the poll phase ended are the drain's own business: it waited for them, or it has not
// waited yet.

import { Ev } from "#core/probe";
import type { Section } from "../model/sections.ts";
import { NEVER } from "../order/knowledge.ts";
import type { Pass, PassContext } from "./pass.ts";

export class RequestRule implements Pass {
  readonly kinds = [Ev.bs_in_flight_inc] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(_kind: number, nodeId: number): void {
    const { now, graph, edges } = this.#context;
    const { task } = now;
    if (task === null || now.ctx === 0) return;
    const node = graph.node(nodeId);
    if (node.holds.length === 0) return;
    const section = node.holds.find((hold) => isQuiet(hold.section, task.begin))?.section;
    if (section === undefined || edges.startedByDrainer(task.co)) return;
    const key = `request-in-drained-section ${task.type} ${section.site}`;
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
        request: { type: task.type, blk: task.blk, bytes: task.bytes, offset: task.offset },
      },
      advice: null,
      luck: null,
    }));
  }

  finish(): void {}
}

/** Whether the section had waited before a request that began at event `begin`, and has not ended. */
function isQuiet(section: Section, begin: number): boolean {
  return section.pollEnd !== NEVER && section.end === NEVER && section.firstPollEnd < begin;
}
