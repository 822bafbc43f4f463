// What a finding names: for each rule each part is there wherever it has a meaning. Where it has none the tables below say why,
// and it is not there. Over the drawn example of every rule, and over the runs of the scenarios, with call stacks from replay.

import { beforeAll, describe, expect, it } from "vitest";
import { RULE_IDS, type RuleId } from "#analyzer";
import { type JsonFinding, rulesOf, type Told, toldFindings } from "./told-findings.ts";

interface Part {
  readonly isThere: (json: JsonFinding) => boolean;
  /** Rules of which no finding has it, and why. */
  readonly never: readonly { readonly why: string; readonly rules: readonly RuleId[] }[];
  /** Findings that lack it, of rules whose other findings have it. */
  readonly unless?: readonly {
    readonly why: string;
    readonly rules: readonly RuleId[];
    readonly lacks: (json: JsonFinding) => boolean;
  }[];
  /** Only the core can say it: of runs alone. */
  readonly ofRuns?: true;
}

const PAIRS: readonly RuleId[] = [
  ...["race", "predicted-race", "covered-by-luck", "edit-in-iteration"],
  ...["interleaved-operations", "stale-pointer", "edits-not-exclusive"],
] as RuleId[];
/** About a run as a whole, a thread, a lock or a call, which no event ties to a node. */
const OF_NO_NODE: readonly RuleId[] = [
  ...["deadlock", "contexts-wait-in-circle", "lock-order-cycle", "modelled-assertion"],
  ...["wrong-thread", "wrong-home", "poll-not-allowed", "edit-in-io-completion"],
  ...["end-without-begin", "graph-lock-broken"],
] as RuleId[];
/** About a section, a counter or a sleep of a node, BlockBackend or job, and none of its lists. */
const OF_NO_LIST: readonly RuleId[] = [
  ...["unfinished-drain", "leaked-level", "unbalanced-counter", "wrong-context-lock"],
  ...["lost-wakeup", "request-in-drained-section", "job-sleep-cut-short", "needless-drain"],
  "drain-under-graph-lock",
] as RuleId[];
/** A drained section around the edit is what they ask for. */
const MENDED_BY_A_DRAIN: readonly RuleId[] = [
  ...["race", "predicted-race", "covered-by-luck", "edit-outside-drain", "edit-before-poll-end"],
] as RuleId[];

const allBut = (...kept: readonly RuleId[][]) =>
  RULE_IDS.filter((rule) => !kept.flat().includes(rule));
const stacksOf = ({ accesses, stack }: JsonFinding) =>
  accesses.some(({ event }) => event >= 0) ? accesses.map((one) => one.stack) : [stack];

const PARTS: Readonly<Record<string, Part>> = {
  "the list": {
    isThere: ({ list }) => list !== null,
    never: [{ why: "they are about no list", rules: [...OF_NO_NODE, ...OF_NO_LIST] }],
  },
  "the node": {
    isThere: ({ node }) => node !== null,
    never: [{ why: "no event ties it to a node", rules: OF_NO_NODE }],
    unless: [
      {
        why: "a run that says itself that a wait was lost does not say for whose counter",
        rules: ["lost-wakeup"],
        lacks: ({ title }) => title.includes("although what it waits for has come true"),
      },
    ],
  },
  "the first site": {
    isThere: ({ accesses, site }) => (accesses[0]?.site ?? site) !== null,
    never: [
      {
        why: "events of counters and locks name no function: the stack does",
        rules: ["lock-order-cycle", "unbalanced-counter", "wrong-context-lock"],
      },
    ],
    unless: [
      {
        why: "an assertion without a place in the table of sites: the stack has it",
        rules: ["modelled-assertion"],
        lacks: ({ title }) => title.startsWith("Assertion failed in :"),
      },
    ],
  },
  "the second site": {
    isThere: ({ accesses }) => accesses.length === 2,
    never: [{ why: "one access, or none, breaks them", rules: allBut([...PAIRS]) }],
  },
  "the stacks at its sites": {
    ofRuns: true,
    isThere: (json) => stacksOf(json).every((stack) => (stack ?? []).length > 3),
    never: [
      {
        why: "nothing runs when nothing can ever run again",
        rules: ["deadlock", "contexts-wait-in-circle"],
      },
    ],
    unless: [
      {
        why: "nothing runs when a run says at its end that a wait was lost",
        rules: ["lost-wakeup"],
        lacks: ({ title }) => title.includes("although what it waits for has come true"),
      },
    ],
  },
  "the path in the graph": {
    ofRuns: true,
    isThere: ({ accesses }) => accesses.length > 0 && accesses.every(({ path }) => path.length > 0),
    never: [
      { why: "they are about no list", rules: [...OF_NO_NODE, ...OF_NO_LIST] },
      { why: "what it reaches is gone", rules: ["use-after-free"] },
    ],
  },
  "the drain that would cover it, where it begins and ends": {
    isThere: ({ advice }) =>
      advice !== null &&
      advice.around.name !== "" &&
      /^Call (bdrv_\w*drained)_begin on .* before \S+, and \1_end after it\.$/.test(advice.text),
    never: [{ why: "no drained section mends them", rules: allBut([...MENDED_BY_A_DRAIN]) }],
    unless: [
      {
        why: "no drain reaches this reader, which the reason says",
        rules: MENDED_BY_A_DRAIN,
        lacks: ({ why }) =>
          /belongs to no task|passed no gate|did not wait for the reader|was let in while/.test(
            why,
          ),
      },
    ],
  },
  "the edge whose removal makes it a race": {
    isThere: ({ luckyEdge, why }) =>
      luckyEdge !== null && why.includes("The accident is gone when"),
    never: [
      {
        why: "nothing orders them, or no order is what they ask for",
        rules: allBut(["covered-by-luck", "predicted-race"]),
      },
    ],
  },
  "how often, where first and where last": {
    isThere: ({ count, first, last, accesses }) =>
      count >= 1 && first <= last && accesses.every(({ event }) => event <= last),
    never: [],
  },
  "the command that replays to it": {
    isThere: ({ replay, accesses, first }) => {
      const last = Math.max(...accesses.map(({ event }) => event), first);
      return replay === `quiesce replay run.trace --to ${last}`;
    },
    never: [],
  },
};

/** Rules that no run of the core breaks: its types and assertions forbid that, or it knows no such lock. */
const DRAWN_ONLY: readonly RuleId[] = [
  ...["end-without-begin", "unfinished-drain", "unbalanced-counter", "edit-off-main"],
  ...["wrong-home", "wrong-context-lock", "contexts-wait-in-circle", "lock-order-cycle"],
  ...["edit-in-iteration", "edits-not-exclusive", "race-with-free", "graph-lock-broken"],
  ...["read-without-context-lock", "read-without-graph-lock", "edit-without-graph-lock"],
  "drain-under-graph-lock",
] as RuleId[];

let told: Told[] = [];
beforeAll(async () => {
  told = await toldFindings();
}, 120_000);

it("there are findings of every rule, and of runs of all but a few", () => {
  const real = rulesOf(told.filter(({ isReal }) => isReal));
  expect(RULE_IDS.filter((rule) => !rulesOf(told).includes(rule))).toEqual([]);
  expect(RULE_IDS.filter((rule) => !real.includes(rule)).sort()).toEqual([...DRAWN_ONLY].sort());
});

describe.each(Object.entries(PARTS))("a finding names %s", (_part, part) => {
  const relevant = () => told.filter(({ isReal }) => isReal || part.ofRuns !== true);
  const isNever = (rule: RuleId) => part.never.some(({ rules }) => rules.includes(rule));
  const isExcused = ({ json }: Told) =>
    (part.unless ?? []).some(({ rules, lacks }) => rules.includes(json.rule) && lacks(json));

  it("wherever that has a meaning", () => {
    const lacking = relevant().filter(
      (one) => !isNever(one.json.rule) && !isExcused(one) && !part.isThere(one.json),
    );
    expect(lacking.map(lineOf)).toEqual([]);
  });

  it("and the table of where it has none is true, and needed", () => {
    expect(
      relevant()
        .filter(({ json }) => isNever(json.rule) && part.isThere(json))
        .map(lineOf),
    ).toEqual([]);
    for (const { rules, lacks } of part.unless ?? []) {
      const excused = relevant().filter(({ json }) => rules.includes(json.rule) && lacks(json));
      expect(excused.map(({ json }) => part.isThere(json))).toContain(false);
    }
  });
});

describe("a finding names the drained sections", () => {
  it("that were open at each access, as the events tell: those that held the node, and the others", () => {
    let open = 0;
    for (const { from, json, open: all, holding } of told)
      json.accesses.forEach(({ event, sectionsOpen, sectionsBeside }, side) => {
        const held = sectionsOpen.map(({ id }) => id);
        const named = [...held, ...sectionsBeside.map(({ id }) => id)].sort((a, b) => a - b);
        const expected = [holding[side], all[side]];
        expect([held, named], `${from}: ${json.rule} at ${event}`).toEqual(expected);
        open += named.length;
      });
    expect(open).toBeGreaterThan(100);
  });

  it("with the function that began each, how far it had come, and since when", () => {
    const sections = told.flatMap(({ json }) =>
      json.accesses.flatMap(({ sectionsOpen, sectionsBeside }) => [
        ...sectionsOpen,
        ...sectionsBeside,
      ]),
    );
    expect(new Set(sections.map(({ state }) => state))).toEqual(
      new Set(["drained", "waiting", "not waited for"]),
    );
    for (const { site, begin } of sections)
      expect([site?.name !== "", begin >= 0]).toEqual([true, true]);
  });
});

it("a stack reaches from the place of the access to who called it in the scenario", () => {
  const real = told.filter(({ isReal }) => isReal).flatMap(({ json }) => json.accesses);
  expect(real.length).toBeGreaterThan(100);
  for (const { site, stack } of real) {
    const files = (stack ?? []).map(({ file }) => file);
    expect(files, site.name).toContain(site.file);
    expect(files.length).toBeGreaterThan(5);
  }
});

function lineOf({ from, json }: Told): string {
  return `${from}: ${json.rule} ${json.title} (${json.why})`;
}
