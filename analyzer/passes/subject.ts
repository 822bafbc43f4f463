// What a finding about `list` of `owner` says that it is about, for rules that keep no variables (conflicts/).

import { List } from "#core/probe";
import type { FindingDraft } from "../drafts.ts";
import type { Graph } from "../model/graph.ts";

/** The list, its owner, and the object that a drain would hold. */
export function subjectOf(
  graph: Graph,
  list: number,
  owner: number,
): Pick<FindingDraft, "list" | "owner" | "node" | "edge"> {
  const edge = list === List.edge_bs ? graph.edge(owner) : null;
  return { list, owner, node: graph.guard(list, owner), edge };
}
