// What the rules are to find, kind of mistake by kind of mistake: which rule speaks, and in which drawn tests. Every rule has a
// place here, a class that implements it, a page, and an oracle by brute force; a row that is missing fails.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { POLICIES, POLICY_IDS, RULE_IDS, type RuleId } from "#analyzer";
import { ORACLE_RULES } from "../../analyzer/test-support.ts";

const ROOT = join(import.meta.dirname, "..", "..");

interface Row {
  readonly mistake: string;
  readonly rules: readonly RuleId[];
  /** Where the rule is decided, from analyzer/. */
  readonly code: string;
  /** A test file from analyzer/, and titles or drawings in it. */
  readonly drawn: readonly (readonly [file: string, ...titles: string[]])[];
}

const CONFLICTS = "conflicts/conflicts.test.ts";
const EDIT_RULES = "passes/edit-rules.test.ts";
const RULES_TEST = "passes/rules.test.ts";

const MISTAKES: readonly Row[] = [
  {
    mistake: "race on children, parents, file, backing, edge.bs, blk.root",
    rules: ["race"],
    code: "conflicts/pairs.ts",
    drawn: [
      [
        CONFLICTS,
        "a race on %s",
        ...["children", "parents", "file", "backing", "edge_bs", "blk_root"].map(
          (list) => `["${list}",`,
        ),
      ],
    ],
  },
  {
    mistake: "covered by luck: which accidental edge, and what would remove it",
    rules: ["covered-by-luck"],
    code: "conflicts/pairs.ts",
    drawn: [
      [
        "order/accidents.test.ts",
        "orders by luck, and is named",
        "and says what would take it away",
      ],
    ],
  },
  {
    mistake: "a race that another schedule of the run shows",
    rules: ["predicted-race"],
    code: "predict/finding.ts",
    drawn: [
      [
        "predict/predict.test.ts",
        "finds exactly the sync-preserving races, and the optimistic reversals",
      ],
    ],
  },
  {
    mistake: "edit outside a drain",
    rules: ["edit-outside-drain"],
    code: "passes/edit-outside-drain.ts",
    drawn: [
      [
        EDIT_RULES,
        "no section at all",
        "an instant drain: it ended before the edit",
        "a section of somebody else",
      ],
    ],
  },
  {
    mistake: "edit before the poll phase has finished",
    rules: ["edit-before-poll-end"],
    code: "passes/edit-before-poll-end.ts",
    drawn: [[EDIT_RULES, "the form that does not poll"]],
  },
  {
    mistake: "edit off the main thread",
    rules: ["edit-off-main"],
    code: "passes/edit-off-main.ts",
    drawn: [[EDIT_RULES, "an edit off the main context"]],
  },
  {
    mistake: "global-state code in an iothread; I/O code in a thread that has no right to it",
    rules: ["wrong-thread", "wrong-home"],
    code: "passes/wrong-thread.ts",
    drawn: [
      [
        RULES_TEST,
        "global-state code in an iothread",
        "I/O code in an iothread that is not the node's",
      ],
    ],
  },
  {
    mistake: "poll where none is allowed: coroutine, drained callback, transaction abort",
    rules: ["poll-not-allowed"],
    code: "passes/poll-not-allowed.ts",
    drawn: [
      [
        "passes/poll-not-allowed.test.ts",
        "in a coroutine",
        "while a transaction is undone, but by what the callback calls only",
        "between two levels of drained_begin",
        "between two levels of drained_end",
      ],
    ],
  },
  {
    mistake: "graph edit from an I/O completion",
    rules: ["edit-in-io-completion"],
    code: "passes/edit-in-io-completion.ts",
    drawn: [[EDIT_RULES, "an operation that begins there", "an edit outside of any operation"]],
  },
  {
    mistake: "request started in a drained section, by whom",
    rules: ["request-in-drained-section"],
    code: "passes/request-rule.ts",
    drawn: [
      [
        RULES_TEST,
        "are reported when they began after the wait",
        "say which request started them, from its callback",
      ],
    ],
  },
  {
    mistake: "drain ledger: who owes which end",
    rules: ["unfinished-drain"],
    code: "passes/unfinished-drain.ts",
    drawn: [[RULES_TEST, "a section that never ends", "owes its end"]],
  },
  {
    mistake: "drain ledger: leaked level",
    rules: ["leaked-level", "unbalanced-counter"],
    code: "passes/leaked-level.ts",
    drawn: [
      [
        RULES_TEST,
        "a level that was left behind",
        "a level that another section took over is not left behind",
        "below zero",
      ],
    ],
  },
  {
    mistake: "drain ledger: end without begin",
    rules: ["end-without-begin"],
    code: "passes/end-without-begin.ts",
    drawn: [
      [
        RULES_TEST,
        "an end without a begin, where the trace has the run's beginning",
        "two ends too many are two findings, each with its function",
      ],
    ],
  },
  {
    mistake: "edit during an iteration",
    rules: ["edit-in-iteration"],
    code: "passes/iteration-rule.ts",
    drawn: [[RULES_TEST, "by what runs in the loop's poll"]],
  },
  {
    mistake: "two graph operations interleaved on one thread; two completions",
    rules: ["interleaved-operations"],
    code: "passes/interleaved-operations.ts",
    drawn: [
      [
        "passes/interleaved-operations.test.ts",
        "when the inner one edits what the outer one has read, and the outer one then sees another edit of the inner one",
        "completions of jobs are operations as a whole",
      ],
    ],
  },
  {
    mistake: "stale pointer across a poll; across a yield",
    rules: ["stale-pointer"],
    code: "passes/stale-pointer.ts",
    drawn: [
      [
        "passes/stale-pointer.test.ts",
        "when what it was fetched from is edited in a poll, and it is used afterwards",
        "in a request that yields, too",
      ],
    ],
  },
  {
    mistake: "use after free of an edge, of a node",
    rules: ["use-after-free", "race-with-free"],
    code: "passes/use-after-free.ts",
    drawn: [
      [
        "passes/use-after-free.test.ts",
        "an edge that a sleeping coroutine still follows",
        "free n1",
      ],
      ["passes/race-with-free.test.ts", "of a node, with what frees it"],
    ],
  },
  {
    mistake: "lost wake-up: a wait whose condition was already true and nobody kicks",
    rules: ["lost-wakeup"],
    code: "passes/lost-wakeup.ts",
    drawn: [
      [
        "passes/lost-wakeup.test.ts",
        "when the run itself says so",
        "when nobody kicks after the store",
      ],
    ],
  },
  {
    mistake: "lost wake-up: a kick before the store",
    rules: ["lost-wakeup"],
    code: "passes/lost-wakeup.ts",
    drawn: [["passes/lost-wakeup.test.ts", "the kick comes first"]],
  },
  {
    mistake: "drains that can never end",
    rules: ["deadlock"],
    code: "passes/deadlock.ts",
    drawn: [[RULES_TEST, "a deadlock, with the counter that a drain waits for, and who holds it"]],
  },
  {
    mistake: "lock-order cycles",
    rules: ["lock-order-cycle"],
    code: "passes/lock-order.ts",
    drawn: [
      [
        "passes/lock-rules.test.ts",
        "two contexts take two locks in different orders",
        "three of them",
      ],
    ],
  },
  {
    mistake: "two contexts waiting for each other",
    rules: ["contexts-wait-in-circle"],
    code: "passes/deadlock.ts",
    drawn: [[RULES_TEST, "contexts that wait for each other"]],
  },
  {
    mistake: "wrong AioContext lock",
    rules: ["wrong-context-lock"],
    code: "passes/wrong-context-lock.ts",
    drawn: [
      [
        "passes/lock-rules.test.ts",
        "a request at a node whose lock another context holds, or nobody",
        "a release by a context that does not hold it",
      ],
    ],
  },
  {
    mistake: "job sleep cut short",
    rules: ["job-sleep-cut-short"],
    code: "passes/job-sleep.ts",
    drawn: [["passes/job-sleep.test.ts", "is cut short by a drained section"]],
  },
  {
    mistake: "drain that made nothing quiet; the cost of each drain in stopped time",
    rules: ["needless-drain"],
    code: "passes/drain-cost.ts",
    drawn: [
      [
        "passes/drain-cost.test.ts",
        "when nothing was in flight, nobody waited, and nothing was edited",
        "and in time between two bounds",
        "is a table, dearest first",
      ],
    ],
  },
  {
    mistake: "an assertion of QEMU's",
    rules: ["modelled-assertion"],
    code: "passes/verdict-rules.ts",
    drawn: [[RULES_TEST, "a modelled assertion"]],
  },
  {
    mistake: "P0: reads and edits under the AioContext lock",
    rules: ["read-without-context-lock", "edit-without-context-lock"],
    code: "policies/p0-context-lock.ts",
    drawn: [
      [
        "policies/p0-context-lock.test.ts",
        "finds a read without any lock, and one under the lock of another context",
        "finds an edit while another thread holds the lock, and says who",
      ],
    ],
  },
  {
    mistake: "P2: parents is main's, operations exclude one another",
    rules: ["parents-read-off-main", "edits-not-exclusive"],
    code: "policies/p2-parent-only.ts",
    drawn: [
      [
        "policies/p2-parent-only.test.ts",
        "forbids a read of parents off main, and not in main",
        "forbids an edit between the edits of another operation",
      ],
    ],
  },
  {
    mistake: "P3: edge and new child quiesced",
    rules: ["edge-not-quiesced", "child-not-quiesced"],
    code: "policies/p3-quiesced-edge.ts",
    drawn: [
      [
        "policies/p3-quiesced-edge.test.ts",
        "finds an edge that has not quiesced its parent",
        "finds a new child that is not quiesced",
      ],
    ],
  },
  {
    mistake: "P4: the graph lock",
    rules: ["read-without-graph-lock", "edit-without-graph-lock", "graph-lock-broken"],
    code: "policies/p4-graph-lock.ts",
    drawn: [
      [
        "policies/p4-graph-lock.test.ts",
        "finds a read before the lock is taken, or after it was given back",
        "finds an edit under the lock for reading",
        "finds a lock that is not kept",
      ],
    ],
  },
  {
    mistake: "P5: no drain under the graph lock",
    rules: ["drain-under-graph-lock"],
    code: "policies/p5-no-drain-under-lock.ts",
    drawn: [
      ["policies/p5-no-drain-under-lock.test.ts", "finds a drain under %s, where P4 does not"],
    ],
  },
];

const read = (...path: string[]) => readFileSync(join(ROOT, ...path), "utf8");

describe.each(MISTAKES.map((row) => [row.mistake, row] as const))("%s", (_mistake, row) => {
  it("has its rule, in its file", () => {
    for (const rule of row.rules) expect(RULE_IDS).toContain(rule);
    expect(existsSync(join(ROOT, "analyzer", row.code))).toBe(true);
  });

  it("is drawn", () => {
    for (const [file, ...titles] of row.drawn) {
      const text = read("analyzer", file);
      for (const title of titles) expect([title, text.includes(title)]).toEqual([title, true]);
    }
  });

  it("has pages that say what, why, how to fix, and an example", () => {
    for (const rule of row.rules)
      for (const part of ["What.", "Why it matters.", "Example.", "How to fix."])
        expect(read("docs", "rules", `${rule}.md`)).toContain(`**${part}**`);
  });
});

describe("every rule", () => {
  it("is in the table", () => {
    const listed = new Set(MISTAKES.flatMap(({ rules }) => rules));
    expect(RULE_IDS.filter((rule) => !listed.has(rule))).toEqual([]);
  });

  it("is decided in a file of its own, or in one with those that belong together", () => {
    const folders = ["passes", "policies", "conflicts", "predict"];
    const code = folders.flatMap((folder) =>
      readdirSync(join(ROOT, "analyzer", folder))
        .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
        .map((file) => read("analyzer", folder, file)),
    );
    const nameless = RULE_IDS.filter((rule) => !code.some((text) => text.includes(`"${rule}"`)));
    expect(nameless).toEqual([]);
  });

  it("has an oracle by brute force", () => {
    const pairs: readonly RuleId[] = ["race", "covered-by-luck"];
    // All reorderings of small traces, and the executed run: analyzer/predict/oracle, explorer/held-run.test.ts.
    const predicted: readonly RuleId[] = ["predicted-race"];
    const byPolicy = POLICY_IDS.flatMap((id) => POLICIES[id].rules);
    const known = new Set([...ORACLE_RULES, ...pairs, ...predicted, ...byPolicy]);
    expect(RULE_IDS.filter((rule) => !known.has(rule))).toEqual([]);
  });
});
