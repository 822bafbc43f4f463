// Use of a node, an edge or a BlockBackend that has been freed: a pointer outlived what it points to. An access is a read or
// edit of one of its lists, a loop over one, an edge that is linked or a node that is pointed at, a reference taken, and a
// drain that comes to it. It does not matter who is ordered before whom: after the free, nobody may.

import { Ev, LIST_KINDS, List } from "#core/probe";
import { sectionsNow } from "../conflicts/pairs.ts";
import type { AccessDraft } from "../drafts.ts";
import type { GoneObject } from "../model/gone.ts";
import { EdgeInfo } from "../model/graph.ts";
import type { Names } from "../names.ts";
import { capital } from "../sentences.ts";
import { goneText } from "./gone-text.ts";
import type { Pass, PassContext } from "./pass.ts";

export class UseAfterFree implements Pass {
  readonly kinds = [
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
    Ev.iter_begin,
    Ev.bs_ref,
    Ev.bs_quiesce,
    Ev.blk_quiesce,
  ] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
    context.conflicts.readOfGone = (list, gone, site) => this.#note(gone, list, Ev.list_read, site);
  }

  on(kind: number, a: number, b: number, c: number, d: number): void {
    const { gone } = this.#context.graph;
    if (kind === Ev.bs_ref || kind === Ev.bs_quiesce) this.#use(gone.get("node", a), 0, kind, 0);
    else if (kind === Ev.blk_quiesce) this.#use(gone.get("blk", a), 0, kind, 0);
    else {
      const site = kind === Ev.iter_begin ? c : d;
      this.#use(gone.ownerOf(a, b), a, kind, site);
      if (kind === Ev.iter_begin || c === 0) return;
      const pointsAt = kind === Ev.list_set && a === List.edge_bs ? "node" : "edge";
      this.#use(gone.get(pointsAt, c), a, kind, site);
    }
  }

  finish(): void {}

  #use(gone: GoneObject | undefined, list: number, kind: number, site: number): void {
    if (gone !== undefined) this.#note(gone, list, kind, site);
  }

  #note(gone: GoneObject, list: number, kind: number, site: number): void {
    const { now, drafts, operations } = this.#context;
    const { index, ctx, taskId, task } = now;
    const chain = operations.chain(ctx);
    const { object } = gone;
    const edge = object instanceof EdgeInfo ? object : null;
    const access: AccessDraft = {
      what: kind === Ev.list_read || kind === Ev.iter_begin ? "read" : "edit",
      index,
      ctx,
      task: taskId,
      request: task === null ? null : task.request,
      site,
      chain,
      kind,
      value: 0,
      edge,
      sections: sectionsNow(object instanceof EdgeInfo ? object.parent : object, index),
    };
    drafts.note(`use-after-free ${gone.kind} ${list} ${kind} ${site} ${chain}`, index, 1, () => ({
      rule: "use-after-free",
      list,
      owner: gone.id,
      node: object instanceof EdgeInfo ? object.parent : object,
      edge,
      accesses: list === 0 ? [] : [access],
      why: { code: "told", told: new Story(gone, list, kind, site, chain) },
      advice: null,
      luck: null,
    }));
  }
}

const DEEDS = new Map<number, string>([
  [Ev.bs_ref, "takes a reference to"],
  [Ev.bs_quiesce, "drains"],
  [Ev.blk_quiesce, "drains"],
]);

class Story {
  readonly #gone: GoneObject;
  readonly #list: number;
  readonly #kind: number;
  readonly #site: number;
  readonly #chain: number;

  constructor(gone: GoneObject, list: number, kind: number, site: number, chain: number) {
    this.#gone = gone;
    this.#list = list;
    this.#kind = kind;
    this.#site = site;
    this.#chain = chain;
  }

  title(names: Names): string {
    const what = goneText(this.#gone, names);
    const list = LIST_KINDS[this.#list] ?? "";
    if (this.#list === 0)
      return `${this.#who(names)} ${DEEDS.get(this.#kind) ?? "uses"} ${what}, which has been freed.`;
    const verb = this.#kind === Ev.list_read || this.#kind === Ev.iter_begin ? "reads" : "edits";
    return `${this.#who(names)} ${verb} ${list} with ${what}, which has been freed.`;
  }

  why(names: Names): string {
    const { ctx, index, chain } = this.#gone;
    const [operation] = names.operations(chain);
    const by = operation === undefined ? "" : ` by ${operation.name}`;
    return `${capital(goneText(this.#gone, names))} was freed${by} in ${names.ctx(ctx)}, at event ${index}; whoever holds a pointer needs a reference, or has to be drained before.`;
  }

  identity(names: Names): readonly string[] {
    return [this.#gone.kind, LIST_KINDS[this.#list] ?? "", this.#who(names)];
  }

  #who(names: Names): string {
    if (this.#site !== 0) return names.site(this.#site).name;
    return names.operations(this.#chain)[0]?.name ?? "Code outside of any operation";
  }
}
