// An access as rules about interleaving keep it until they know whether there is something to say.

import { sectionsNow } from "../conflicts/pairs.ts";
import type { AccessDraft } from "../drafts.ts";
import type { PassContext } from "./pass.ts";

/** An access to `list` of `owner`; `value` is what an edit links, unlinks or sets. */
export interface AccessEvent {
  readonly kind: number;
  readonly list: number;
  readonly owner: number;
  readonly site: number;
  readonly value: number;
}

/** The access that happens now. */
export function accessNow(
  { now, operations, graph }: PassContext,
  what: "read" | "edit",
  about: AccessEvent,
): AccessDraft {
  const { index, ctx, taskId, task } = now;
  return {
    what,
    index,
    ctx,
    task: taskId,
    request: task === null ? null : task.request,
    site: about.site,
    chain: operations.chain(ctx),
    kind: about.kind,
    value: about.value,
    edge: about.value === 0 ? null : (graph.edges.get(about.value) ?? null),
    sections: sectionsNow(graph.guard(about.list, about.owner), index),
  };
}
