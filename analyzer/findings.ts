// What an analysis gives back: findings, the coverage table, and how far it got. Reports (analyzer/reports), the viewer and
// the command line read these types and nothing else of the analyzer. All of it is plain data that JSON can carry.
//
// Order is part of the contract: findings by severity, then by rule, then by first event; coverage rows by list, reader,
// editor. The same trace always gives the same result.

import type { Site } from "#core/probe";
import type { Reading } from "./input.ts";
import type { PolicyId } from "./policies/policy.ts";
import type { RuleId, Severity } from "./rules.ts";

export type { Site };

/** The shared lists and aliases of the graph, as the catalogue names them. */
export type ListName = "children" | "parents" | "file" | "backing" | "edge_bs" | "blk_root";

/** Whose list it is: a node, an edge or a BlockBackend. `name` is what its creator called it ("" if nothing). */
export interface OwnerRef {
  readonly kind: "node" | "edge" | "blk" | "job";
  readonly id: number;
  readonly name: string;
}

/** A frame of the operations that were under way: a graph operation, or a transaction's callback (`phase` is set then). */
export interface Operation extends Site {
  readonly phase: "" | "prepare" | "commit" | "abort" | "clean";
}

/** How far a drained section had come at an access. */
export type SectionState = "waiting" | "drained" | "not waited for";

/** A drained section, as reports name it. */
export interface SectionRef {
  readonly id: number;
  readonly kind: "single" | "subtree" | "all" | "blk";
  /** What drained_begin was called on; null for kind all. */
  readonly node: OwnerRef | null;
  /** The function that began it. */
  readonly site: Site;
  readonly state: SectionState;
  /** Event of its drained_begin. */
  readonly begin: number;
}

/** One of the accesses of a finding. */
export interface Access {
  readonly what: "read" | "edit";
  /** Index of the event in the trace. */
  readonly event: number;
  readonly ctx: number;
  readonly ctxName: string;
  /** The request task (0 when none) and what it is, e.g. "write of 4096 bytes at 0 on blk drive0", "main context", "no task". */
  readonly task: number;
  readonly taskText: string;
  readonly site: Site;
  /** For edits: what was done, e.g. "removes edge 5 (backing)". */
  readonly detail: string;
  /** The graph operations and transaction callbacks under way, innermost first, without `site` itself. */
  readonly operations: readonly Operation[];
  /** Sections that held the list's node at that moment. */
  readonly sectionsOpen: readonly SectionRef[];
}

/** The smallest drained section that would mend a finding. */
export interface Advice {
  readonly kind: "single" | "subtree";
  readonly node: OwnerRef;
  /** The operation to put the section around: begin before it, end after it. */
  readonly around: Site;
  /** The same as one sentence. */
  readonly text: string;
}

/** Kinds of edges that only the full order has. */
export type LuckKind =
  | "same thread"
  | "lock"
  | "bh"
  | "coroutine"
  | "wake"
  | "timer"
  | "wait"
  | "counter"
  | "read-from";

/** The accidental edge that orders two accesses; `name` is that of the lock or context, "" when there is none. */
export interface LuckyEdge {
  readonly kind: LuckKind;
  readonly name: string;
}

/** One thing that is wrong, however often it happened. */
export interface Finding {
  readonly rule: RuleId;
  readonly severity: Severity;
  /** The list, and whose; null for rules that are not about a list. */
  readonly list: ListName | null;
  readonly node: OwnerRef | null;
  /** One sentence. */
  readonly title: string;
  /** One or two (a race: read or earlier edit first as they occurred in the trace); none for rules without an access. */
  readonly accesses: readonly Access[];
  /** Without an access: the function to look at first; null when no event names one. */
  readonly site: Site | null;
  /** One sentence: why no drain covers it, or which accidental edge orders it. */
  readonly why: string;
  readonly advice: Advice | null;
  readonly luckyEdge: LuckyEdge | null;
  /** The smallest set of kinds of accidental edges without which it is a race, where that was looked for (smallest-edges.ts). */
  readonly raceWithout?: readonly LuckKind[];
  /** How many pairs (or events) of the trace this finding stands for; `first` and `last` are the events of the later access. */
  readonly count: number;
  readonly first: number;
  readonly last: number;
  /** Of a race that another race brings with it: the fingerprint of that one. Order its two accesses, and this race is gone. */
  readonly consequenceOf?: string;
  /** The command that shows it, where no replay of the run as it was recorded does: of a predicted race, that of its schedule. */
  readonly again?: string;
  /** Stable across runs, line shifts, and the order of the two sides: 16 hexadecimal digits. */
  readonly fingerprint: string;
}

/** How the pairs of one reading and one editing function came out, for one list. */
export interface CoverageRow {
  readonly list: ListName;
  /** For a pair of two edits, the other editor. */
  readonly reader: Site;
  readonly readerIsEdit: boolean;
  readonly editor: Site;
  /** The innermost operation around the editor ("" name when none). */
  readonly editorOperation: Site;
  /** All pairs: covered + orderedBySanction + luck + uncovered. */
  readonly pairs: number;
  readonly covered: readonly {
    readonly site: Site;
    readonly kind: SectionRef["kind"];
    readonly count: number;
  }[];
  /** Ordered by the protocol, but not by a drained section around the edit. */
  readonly orderedBySanction: number;
  readonly luck: readonly { readonly edge: LuckyEdge; readonly count: number }[];
  readonly uncovered: number;
}

/** What the drained sections that one site began have cost. */
export interface DrainRow {
  readonly site: Site;
  readonly kind: SectionRef["kind"];
  /** Sections begun there, and those that made nothing quiet and guarded nothing. */
  readonly count: number;
  readonly needless: number;
  /** Times that a condition of theirs found a counter above zero, or a job busy. */
  readonly busy: number;
  /** Edits of the graph and moves to another context that main made while they were open. */
  readonly edits: number;
  /**
   * BlockBackends and jobs that they stopped, and for how long in all: in events; in time at least, by the core's clock readings; and at
   * most, null when the clock was not read afterwards.
   */
  readonly stopped: number;
  readonly stoppedEvents: number;
  readonly stoppedNs: number;
  readonly stoppedNsMax: number | null;
  /** Requests that were queued, and times that a job stopped at a pause point, because of them. */
  readonly requestsWaited: number;
  readonly jobsPaused: number;
}

/** What a policy says of the trace. */
export interface PolicyJudgement {
  readonly policy: PolicyId;
  /** Why the trace cannot be judged by it, one sentence; "" when it can. Then `findings` are those that no policy forgives. */
  readonly silence: string;
  /** The rules that are in force by it. */
  readonly rules: readonly RuleId[];
  readonly findings: readonly Finding[];
}

/** Races that another schedule was predicted to show, and whether it did when it was executed. */
export interface PredictionOutcome {
  readonly method: "syncp" | "osr";
  readonly confirmed: number;
  /** Fingerprints of the findings covered-by-luck whose race did not happen: each is a defect. */
  readonly unconfirmed: readonly string[];
  readonly notExecuted: number;
}

/** What `analyze` returns. */
export interface AnalysisResult {
  /** Events that were analysed. */
  readonly events: number;
  readonly findings: readonly Finding[];
  readonly coverage: readonly CoverageRow[];
  /** Whether the recording has its last event. */
  readonly complete: boolean;
  /** How the run ended; null when the recording is not complete. */
  readonly runStatus: "ok" | "assertion" | "deadlock" | "limit" | null;
  /** Program order of the iothreads: one row of events, or handlers ordered only by what posted them. */
  readonly reading: Reading;
  /** Remarks for people, one sentence each: what could not be judged. */
  readonly notes: readonly string[];
  /** The policies that were asked for (AnalyzeOptions), in that order. */
  readonly policies?: readonly PolicyJudgement[];
  /** What the drains cost, dearest site first, when that was asked for (AnalyzeOptions). */
  readonly drains?: readonly DrainRow[];
  /** What became of the races that were predicted, when that was asked for; `analyze` itself predicts none. */
  readonly prediction?: PredictionOutcome;
}

/** Site used where there is none. */
export const NO_SITE: Site = { name: "", file: "", line: 0 };

/** How fingerprints are made; another number, and those of before mean nothing. 2: a side says whether it reads or edits. */
export const FINGERPRINT_VERSION = 2;

/** What a fingerprint knows of an access: what it does, where, and within which operations. */
export function sideOf({ what, site, operations }: Pick<Access, "what" | "site" | "operations">) {
  return [what, site.name, ...operations.map(({ name }) => name)];
}

/**
 * A stable hash of what makes a finding the same one: its rule, list, and its sides (`sideOf`), or what its rule says instead.
 * `sides` may come in any order; lines, ids and indices are left out. FINGERPRINT_VERSION has its changes.
 */
export function fingerprintOf(
  rule: RuleId,
  list: ListName | null,
  sides: readonly (readonly string[])[],
): string {
  const text = JSON.stringify([rule, list, ...sides.map((names) => JSON.stringify(names)).sort()]);
  let high = 0x811c9dc5;
  let low = 0x1b873593;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 0x01000193);
    low = Math.imul((low ^ unit) + 0x9e3779b9, 0x85ebca6b) ^ (low >>> 13);
  }
  return hex(high ^ (high >>> 15)) + hex(low ^ (low >>> 16));
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
