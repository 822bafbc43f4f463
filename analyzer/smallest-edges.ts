// What a pair that luck keeps apart rests on: the smallest set of kinds of accidental edges without which it is a race. The finding
// names one accident, by which the later access's context came to know of the earlier access first. Where others do the same, taking
// that one away changes nothing, and whoever reads the finding should know. So the trace is judged again without some kinds, the
// lists of such findings alone, until the pair is a race:
//
//   each kind alone     the named one first; a set of one is the smallest. Where a set is not enough, no part of it is: halves of the
//                       others are tried before each of them
//   together            the named ones: what orders the pair still is left out next, until nothing does
//   fewer               of those, each that can be kept is kept
//
// A set of two is the smallest if none alone will do; of a larger set none can be kept, which is what can be said without judging
// by every set. The order of a thread's own handlers is left out by the task reading (order/units.ts).

import { ACCIDENTAL_EDGES, type AccidentalEdge } from "./edge-kinds.ts";
import type { AnalysisResult, Finding, LuckKind } from "./findings.ts";

/** Judges the trace without some kinds of accidental edges; null where that is refused, or would take too long. */
export type JudgeWithout = (left: ReadonlySet<AccidentalEdge>) => AnalysisResult | null;

/** How a pair came out without some edges: as a race, or ordered by another accident. */
type Outcome = "race" | AccidentalEdge;

/** `result`, whose findings covered-by-luck say without which kinds of edges they are races, where that was found. */
export function withSmallestEdges(
  result: AnalysisResult,
  judgeWithout: JudgeWithout,
): AnalysisResult {
  const outcomes = new Outcomes(judgeWithout);
  const tell = (finding: Finding): Finding => {
    if (finding.luckyEdge === null) return finding;
    const left = smallest(pairOf(finding), edgeOf(finding.luckyEdge.kind), outcomes);
    return left === null ? finding : { ...finding, ...saying(finding, left) };
  };
  const policies = result.policies?.map((one) => ({ ...one, findings: one.findings.map(tell) }));
  return {
    ...result,
    findings: result.findings.map(tell),
    ...(policies === undefined ? {} : { policies }),
  };
}

function smallest(
  pair: string,
  named: AccidentalEdge,
  outcomes: Outcomes,
): readonly AccidentalEdge[] | null {
  const others = ACCIDENTAL_EDGES.filter((kind) => kind !== named);
  const alone = aloneOf(pair, [named], outcomes) ?? aloneOf(pair, others, outcomes);
  if (alone !== null) return [alone];
  if (!outcomes.areAllJudged) return null;
  const together = [named];
  for (;;) {
    const outcome = outcomes.of(pair, together);
    if (outcome === "race") break;
    if (outcome === null || together.includes(outcome)) return null;
    together.push(outcome);
  }
  // The named one last: it is what the finding is about.
  return together.reduceRight<readonly AccidentalEdge[]>((left, kind) => {
    const fewer = left.filter((other) => other !== kind);
    return outcomes.of(pair, fewer) === "race" ? fewer : left;
  }, together);
}

/** The first of `kinds` without which alone the pair is a race. */
function aloneOf(
  pair: string,
  kinds: readonly AccidentalEdge[],
  outcomes: Outcomes,
): AccidentalEdge | null {
  const [first] = kinds;
  if (first === undefined || outcomes.of(pair, kinds) !== "race") return null;
  if (kinds.length === 1) return first;
  const half = kinds.length >> 1;
  return (
    aloneOf(pair, kinds.slice(0, half), outcomes) ?? aloneOf(pair, kinds.slice(half), outcomes)
  );
}

/** How pairs come out without sets of kinds, each of which is judged once. */
class Outcomes {
  readonly #judgeWithout: JudgeWithout;
  readonly #bySet = new Map<string, ReadonlyMap<string, Outcome>>();
  /** False once a set was not judged: then nothing can be said of sets that are larger. */
  areAllJudged = true;

  constructor(judgeWithout: JudgeWithout) {
    this.#judgeWithout = judgeWithout;
  }

  /** Null where the pair is neither: it was not judged, or is in order without any accident. */
  of(pair: string, left: readonly AccidentalEdge[]): Outcome | null {
    const key = [...left].sort().join(" ");
    const known = this.#bySet.get(key);
    return (known ?? this.#judge(key, left)).get(pair) ?? null;
  }

  #judge(key: string, left: readonly AccidentalEdge[]): ReadonlyMap<string, Outcome> {
    const judged = this.#judgeWithout(new Set(left));
    if (judged === null) this.areAllJudged = false;
    const outcomes = outcomesOf(judged?.findings ?? []);
    this.#bySet.set(key, outcomes);
    return outcomes;
  }
}

function outcomesOf(findings: readonly Finding[]): ReadonlyMap<string, Outcome> {
  const outcomes = new Map<string, Outcome>();
  for (const finding of findings) {
    const { rule, luckyEdge } = finding;
    if (rule === "race") outcomes.set(pairOf(finding), "race");
    else if (luckyEdge !== null) outcomes.set(pairOf(finding), edgeOf(luckyEdge.kind));
  }
  return outcomes;
}

/** What the finding of a pair is noted by, in whatever order its sides came. */
function pairOf({ list, accesses }: Finding): string {
  const sides = accesses.map(({ what, site, operations }) =>
    [what, site, ...operations].map((part) => JSON.stringify(part)).join(),
  );
  return [list, ...sides.sort()].join();
}

function edgeOf(kind: LuckKind): AccidentalEdge {
  return kind === "same thread" ? "same-thread" : kind;
}

function luckOf(kind: AccidentalEdge): LuckKind {
  return kind === "same-thread" ? "same thread" : kind;
}

/** The edges of a kind, all of them. */
const ALL_OF: Readonly<Record<AccidentalEdge, string>> = {
  "same-thread": "the order of one thread's handlers",
  lock: "locks",
  bh: "bottom halves",
  coroutine: "coroutine switches",
  wake: "wake-ups of coroutines",
  timer: "timers",
  wait: "kicks that end a wait",
  counter: "counters read without the right to rely on them",
  "read-from": "reads that saw the edit",
};

function saying(
  finding: Finding,
  left: readonly AccidentalEdge[],
): Pick<Finding, "raceWithout" | "why"> {
  const kinds = left.map((kind) => ALL_OF[kind]).join(" and ");
  const and = left.length === 1 ? "" : "; with any one of them, it is none";
  return {
    raceWithout: left.map(luckOf),
    why: `${finding.why} Judged again without ${kinds}, it is a race${and}.`,
  };
}
