// A use of a node, an edge or a BlockBackend that nothing orders before its free: here the use came first, in another schedule the
// free does, and the use is one after free.
//
//   main              io0
//                       r1: reads children of n1      <- no drain, no wake-up, nothing leads from here to the free
//   frees n1
//
// Judged by the full order, as a race is, and where only the sanctioned order is followed not at all: objects are often freed
// when their last user has gone by some accident, and to demand a drain there would cry wolf. Of the uses before the last edit of
// a list it is enough that they are ordered with that edit, which other rules look at.

import { LIST_KINDS, List } from "#core/probe";
import { accessOf, type ReadRef } from "../conflicts/pairs.ts";
import type { EditRecord, Variable } from "../conflicts/variable.ts";
import type { AccessDraft, Told } from "../drafts.ts";
import { ownerKind } from "../model/gone.ts";
import type { EdgeInfo, Holdable } from "../model/graph.ts";
import { capital } from "../sentences.ts";
import { goneText } from "./gone-text.ts";
import type { Pass, PassContext } from "./pass.ts";

export class RaceWithFree implements Pass {
  readonly kinds = [] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
    context.conflicts.unorderedWithFree = (variable, earlier, times) =>
      this.#note(variable, earlier, times);
  }

  on(): void {}

  finish(): void {}

  #note(variable: Variable, earlier: ReadRef | EditRecord, times: number): void {
    const { now, drafts, graph, operations } = this.#context;
    const { list, owner } = variable;
    const access = accessOf(variable, earlier);
    const chain = operations.chain(now.ctx);
    const key = `race-with-free ${list} ${access.what} ${access.site} ${access.chain} ${chain}`;
    drafts.note(key, now.index, times, () => {
      const edge = list === List.edge_bs ? graph.edge(owner) : null;
      const object = edge ?? (list === List.blk_root ? graph.blk(owner) : graph.node(owner));
      return {
        rule: "race-with-free",
        list,
        owner,
        node: variable.guard,
        edge,
        accesses: [access],
        why: { code: "told", told: this.#told(variable, access, object, chain) },
        advice: null,
        luck: null,
      };
    });
  }

  #told(
    { list, owner }: Variable,
    access: AccessDraft,
    object: EdgeInfo | Holdable,
    chain: number,
  ): Told {
    const { ctx, index } = this.#context.now;
    const what = { kind: ownerKind(list), id: owner, object };
    return {
      title: (names) => {
        const verb = access.what === "read" ? "reads" : "edits";
        return `${names.site(access.site).name} ${verb} ${LIST_KINDS[list]} of ${goneText(what, names)}, and nothing orders that before the free.`;
      },
      why: (names) => {
        const [operation] = names.operations(chain);
        const by = operation === undefined ? "" : ` by ${operation.name}`;
        return `${capital(goneText(what, names))} was freed${by} in ${names.ctx(ctx)}, at event ${index}; in another schedule the free comes first. Whoever uses it needs a reference, or has to be drained before.`;
      },
    };
  }
}
