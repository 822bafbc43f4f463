// Findings as they are noted while the events go by: numbers and objects of the model. describe.ts makes sentences of them
// at the end, when the string table is complete. Only what would be lost later is copied.

import { refuseMore } from "./bounds.ts";
import { FINDINGS_MAX } from "./limits.ts";
import type { EdgeInfo, Holdable } from "./model/graph.ts";
import type { Section } from "./model/sections.ts";
import type { Names } from "./names.ts";
import type { Label } from "./order/full.ts";
import type { RequestText } from "./order/task.ts";
import type { RuleId } from "./rules.ts";

/** A section at a moment. */
export interface SectionDraft {
  readonly section: Section;
  readonly state: "waiting" | "drained" | "not waited for";
}

/** One access. */
export interface AccessDraft {
  readonly what: "read" | "edit";
  readonly index: number;
  readonly ctx: number;
  readonly task: number;
  readonly request: RequestText | null;
  readonly site: number;
  readonly chain: number;
  /** Kind of event and its value, for edits. */
  readonly kind: number;
  readonly value: number;
  readonly edge: EdgeInfo | null;
  readonly sections: readonly SectionDraft[];
}

/** A finding whose rule has its own words: they stand beside the rule, and are made at the end, when names are known. */
export interface Told {
  title(names: Names): string;
  why(names: Names): string;
  /** What makes it the same finding again: names, no numbers. Without it, its accesses do. */
  identity?(names: Names): readonly string[];
}

/** A frame that waits for ever; `waits` is what its drain's condition found busy, with the requests that hold it. */
export interface StuckFrame {
  readonly ctx: number;
  readonly depth: number;
  readonly site: number;
  readonly section: Section | null;
  readonly waits: {
    readonly owner: Holdable;
    readonly value: number;
    readonly holders: readonly {
      readonly id: number;
      /** Context in which it ran last. */
      readonly ctx: number;
      readonly request: RequestText | null;
    }[];
  } | null;
}

/** Who started a request: a job, or what entered its coroutine in context `ctx` (`task` is that of the coroutine, 0 when it has none). */
export type Starter =
  | { readonly what: "job"; readonly job: Holdable }
  | {
      readonly what: "coroutine" | "body" | "bottom half" | "client";
      readonly ctx: number;
      readonly task: number;
      readonly request: RequestText | null;
    };

/** Why no drain covers a pair, or what is wrong with an edit; parameters of the sentence. */
export type Why =
  | { readonly code: "told"; readonly told: Told }
  | { readonly code: "text"; readonly text: string }
  | { readonly code: "section"; readonly section: Section; readonly text: string }
  | {
      readonly code: "request";
      readonly section: Section;
      readonly task: number;
      readonly request: RequestText | null;
      readonly by: Starter;
    }
  | { readonly code: "sleep"; readonly section: Section; readonly leftNs: number }
  | { readonly code: "assertion"; readonly site: number; readonly text: number }
  | { readonly code: "thread"; readonly site: number; readonly ctx: number }
  | {
      readonly code: "home";
      readonly site: number;
      readonly ctx: number;
      readonly home: number;
      readonly polls: boolean;
    }
  | {
      readonly code: "stuck";
      readonly frames: readonly StuckFrame[];
      /** Contexts that wait for each other, each for the next; empty where the finding is not about that. */
      readonly circle: readonly number[];
    }
  | { readonly code: "not-held" }
  | { readonly code: "not-waited"; readonly section: Section }
  | { readonly code: "ended-before"; readonly section: Section }
  | { readonly code: "let-go"; readonly section: Section }
  | { readonly code: "foreign-section"; readonly section: Section }
  | { readonly code: "other-node"; readonly section: Section }
  | { readonly code: "no-task"; readonly section: Section | null }
  | {
      readonly code: "counter-not-waited-for";
      readonly section: Section;
      readonly counters: readonly Holdable[];
    }
  | { readonly code: "let-in-early"; readonly section: Section }
  | { readonly code: "no-gate"; readonly section: Section };

/** A suggested section. */
export interface AdviceDraft {
  readonly kind: "single" | "subtree";
  readonly node: Holdable;
  /** Chain whose outermost operation the section goes around; the site itself when there is none. */
  readonly chain: number;
  readonly site: number;
}

/** A finding in the making. */
export interface FindingDraft {
  readonly rule: RuleId;
  readonly list: number;
  readonly owner: number;
  /** For rules that are about a node and no list. */
  readonly node: Holdable | null;
  readonly edge: EdgeInfo | null;
  readonly accesses: readonly AccessDraft[];
  /** Without an access: the function to look at, 0 when no event names one. */
  readonly site?: number;
  readonly why: Why;
  readonly advice: AdviceDraft | null;
  luck: Label | null;
  /** The race that this one is a consequence of (conflicts/consequences.ts). */
  consequenceOf: FindingDraft | null;
  count: number;
  first: number;
  last: number;
}

/** What a finding without an access is about. */
export interface About {
  readonly why: Why;
  readonly node: Holdable | null;
  /** The function to look at, 0 when no event names one. */
  readonly site: number;
}

/** A finding that is noted for the first time. */
export type NewDraft = Omit<FindingDraft, "consequenceOf" | "count" | "first" | "last">;

/** Rules whose verdict is that of the full order. */
const BY_FULL_ORDER: ReadonlySet<RuleId> = new Set(["race", "covered-by-luck", "race-with-free"]);

/** The drafts of an analysis, one a key. */
export class Drafts {
  readonly #byKey = new Map<string, FindingDraft>();

  /** Count `times` more of the finding `key`, seen at event `index`; `make` gives it the first time. */
  note(key: string, index: number, times: number, make: () => NewDraft): FindingDraft {
    let draft = this.#byKey.get(key);
    if (draft === undefined) {
      if (this.#byKey.size >= FINDINGS_MAX) refuseMore(FINDINGS_MAX, "different findings");
      draft = { ...make(), consequenceOf: null, count: 0, first: index, last: index };
      this.#byKey.set(key, draft);
    }
    draft.count += times;
    // Some rules know only at the end of a doing that its beginning was wrong, when others have been noted since.
    if (index < draft.first) draft.first = index;
    if (index > draft.last) draft.last = index;
    return draft;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** The same for a finding without an access; `key` tells it from others of the rule. */
  tell(rule: RuleId, key: string, index: number, { why, node, site }: About): FindingDraft {
    return this.note(`${rule} ${key}`, index, 1, () => ({
      rule,
      list: 0,
      owner: 0,
      node,
      edge: null,
      accesses: [],
      site,
      why,
      advice: null,
      luck: null,
    }));
  }

  /** Takes the findings that rest on the full order from `other` instead of its own. */
  adopt(other: Drafts): void {
    for (const [key, { rule }] of this.#byKey) if (BY_FULL_ORDER.has(rule)) this.#byKey.delete(key);
    for (const [key, draft] of other.#byKey)
      if (BY_FULL_ORDER.has(draft.rule)) this.#byKey.set(key, draft);
  }

  /** Keys with their drafts, in order of first sight. */
  entries(): IterableIterator<[string, FindingDraft]> {
    return this.#byKey.entries();
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }
}
