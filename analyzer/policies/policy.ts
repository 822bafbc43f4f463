// Policies: six positions that people have taken on what must protect the lists of the graph (docs/policies.md). Each is a judge
// in a file of its own: it looks at every read and edit of a list and says whether its policy's demand is met there.
//
// What is wrong whatever the policy (a drain out of balance, a deadlock, an edit off the main context, …) every judge keeps from
// the ordinary rules. The verdicts that rest on drained sections it keeps only if its policy is one of drains: COVERAGE_RULES.
// A judge costs nothing when it is not asked for; it is a pass like any other when it is.

import { List } from "#core/probe";
import type { Drafts } from "../drafts.ts";
import type { Pass } from "../passes/pass.ts";
import { RULE_IDS, type RuleId } from "../rules.ts";

/** What there is to know of a policy. */
export interface PolicyInfo {
  /** A few words. */
  readonly title: string;
  /** Whose position it is. */
  readonly from: string;
  /** What it demands, in one sentence. */
  readonly demands: string;
  /** Rules that say so, and that only this policy, or one that builds on it, has. */
  readonly rules: readonly RuleId[];
}

export const POLICIES = {
  P0: {
    title: "AioContext lock",
    from: "QEMU before the series",
    demands:
      "Every read off the main context, and every edit, is made under the AioContext lock of the context where the list's owner is at home.",
    rules: ["read-without-context-lock", "edit-without-context-lock"],
  },
  P1: {
    title: "series",
    from: "the series of January 2022, with what design D9 calls covered; what quiesce judges by when not told otherwise",
    demands:
      "Every edit is made inside a drained section that this operation opened, that holds the node, and that has waited; every read that an edit could meet is ordered with it by the protocol.",
    rules: [],
  },
  P2: {
    title: "parent only",
    from: "Sementsov-Ogievskiy's objection to patch 10",
    demands:
      "Only the parent whose children change must be drained; nobody off the main context reads parents; operations that edit the graph exclude one another.",
    rules: ["parents-read-off-main", "edits-not-exclusive"],
  },
  P3: {
    title: "quiesced edge",
    from: "Wolf's simplification of drains, QEMU 8.0",
    demands:
      "An edge is pointed at a node only while the edge has quiesced its parent and the node is quiesced; nothing is demanded of readers, nor of an edge that is pointed at nothing.",
    rules: ["edge-not-quiesced", "child-not-quiesced"],
  },
  P4: {
    title: "graph lock",
    from: "Bonzini, Esposito and Wolf, QEMU 8.0 and later",
    demands:
      "Every read off the main context is made under the graph lock, every edit under the graph lock for writing.",
    rules: ["read-without-graph-lock", "edit-without-graph-lock", "graph-lock-broken"],
  },
  P5: {
    title: "graph lock, no drain",
    from: "QEMU 10.1",
    demands: "As P4, and nobody begins a drained section while holding the graph lock.",
    rules: [
      "read-without-graph-lock",
      "edit-without-graph-lock",
      "graph-lock-broken",
      "drain-under-graph-lock",
    ],
  },
} as const satisfies Readonly<Record<string, PolicyInfo>>;

/** Identifier of a policy. */
export type PolicyId = keyof typeof POLICIES;

/** All policies, oldest first. */
export const POLICY_IDS = Object.keys(POLICIES) as readonly PolicyId[];

/** Rules that are some policy's own: no finding of theirs is there unless that policy is asked for. */
const OWN_RULES: ReadonlySet<RuleId> = new Set<RuleId>(
  POLICY_IDS.flatMap((id) => POLICIES[id].rules),
);

/** Rules whose verdict is that of a drained section: they are no part of a policy that knows none. */
export const COVERAGE_RULES: ReadonlySet<RuleId> = new Set<RuleId>([
  "race",
  "covered-by-luck",
  "edit-outside-drain",
  "edit-before-poll-end",
]);

/** A policy at work on a trace. */
export interface PolicyJudge extends Pass {
  readonly id: PolicyId;
  /** What broke the policy's own demands; null when it has none beyond the ordinary rules. */
  readonly drafts: Drafts | null;
  /** Whether findings of an ordinary rule, about `list` if about one, are findings by this policy too. */
  keeps(rule: RuleId, list: number): boolean;
  /** Why the trace cannot be judged by this policy, one sentence; "" when it can. Asked when the trace is over. */
  silence(): string;
}

/** The rules that are in force by a policy; what another schedule would show is no matter of judging this run. */
export function rulesOf(judge: PolicyJudge): RuleId[] {
  const own: readonly RuleId[] = POLICIES[judge.id].rules;
  return RULE_IDS.filter((rule) => rule !== "predicted-race").filter(
    (rule) => own.includes(rule) || (!OWN_RULES.has(rule) && judge.keeps(rule, List.children)),
  );
}
