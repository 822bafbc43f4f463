// Events of drains: sections begin, wait and end; levels go up and down and change hands.

import { Ev, Owner } from "#core/probe";
import { NEVER } from "../order/knowledge.ts";
import type { PassContext } from "../passes/pass.ts";
import type { Holdable } from "./graph.ts";

type Context = Pick<
  PassContext,
  "now" | "graph" | "sections" | "operations" | "orders" | "edges" | "conflicts"
>;

export class DrainEvents {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Returns false for kinds that are not about drains. */
  on(kind: number, a: number, b: number, c: number, d: number): boolean {
    const { graph, edges } = this.#context;
    switch (kind) {
      case Ev.bs_quiesce:
        this.#raise(graph.node(a), c);
        return true;
      case Ev.bs_unquiesce:
        this.#lower(graph.node(a), c);
        return true;
      case Ev.blk_quiesce:
        this.#raise(graph.blk(a), c);
        return true;
      case Ev.blk_unquiesce:
        this.#lower(graph.blk(a), c);
        edges.blkUnquiesce(graph.blk(a));
        return true;
      case Ev.job_pause:
        this.#raise(graph.job(a), c);
        return true;
      case Ev.job_resume:
        this.#lower(graph.job(a), c);
        edges.jobResume(graph.job(a));
        return true;
      case Ev.quiesce_transfer:
        this.#transfer(a, b, c, d);
        return true;
      case Ev.drain_begin:
        this.#begin(a, b, c, d);
        return true;
      case Ev.drain_poll_end:
        this.#pollEnd(a);
        return true;
      case Ev.drain_begun:
        this.#context.sections.get(a).begun = true;
        return true;
      case Ev.drain_end:
        this.#end(a);
        return true;
      case Ev.drain_ended:
        this.#context.sections.forget(this.#context.sections.get(a));
        return true;
      default:
        return false;
    }
  }

  #begin(id: number, owner: number, kind: number, site: number): void {
    const { now, sections, operations } = this.#context;
    const section = sections.begin(id);
    const { graph } = this.#context;
    section.node = owner === 0 ? null : graph.node(owner);
    section.kind = kind;
    section.site = site;
    section.begin = now.index;
    section.ctx = now.ctx;
    section.activity = operations.activity(now.ctx);
    section.outermost = operations.outermost(now.ctx);
  }

  #pollEnd(id: number): void {
    const { now, sections, orders } = this.#context;
    const section = sections.get(id);
    if (section.firstPollEnd === NEVER) section.firstPollEnd = now.index;
    section.pollEnd = now.index;
    section.pollCtx = now.ctx;
    section.pollTask = now.actor;
    const who = orders.knowledge();
    section.pollKnowledge =
      who === null ? null : { p: who.p, extra: who.extra === null ? null : new Map(who.extra) };
  }

  #end(id: number): void {
    const { now, sections, orders, conflicts } = this.#context;
    const section = sections.get(id);
    if (section.end !== NEVER) section.begin = -1;
    section.end = now.index;
    if (now.ctx !== 0) section.endMark = orders.mark();
    sections.end(section);
    conflicts.sectionEnds(section);
  }

  #raise(owner: Holdable, section: number): void {
    if (section !== 0) owner.raise(this.#context.sections.get(section), this.#context.now.index);
  }

  #lower(owner: Holdable, id: number): void {
    if (id === 0) return;
    const { sections, now } = this.#context;
    owner.lower(sections.get(id), now.index);
  }

  #transfer(kind: number, id: number, from: number, to: number): void {
    const { graph } = this.#context;
    const owner =
      kind === Owner.node ? graph.node(id) : kind === Owner.blk ? graph.blk(id) : graph.job(id);
    this.#lower(owner, from);
    this.#raise(owner, to);
  }
}
