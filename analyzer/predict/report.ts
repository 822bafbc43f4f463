// What `quiesce races --from std --predict` adds to the report of a foreign trace: the races that only a reordering shows.
//
// Sites that race in the recorded order are in the ordinary part already; here they are left out of the list, not of the figures.

import { createHash } from "node:crypto";
import { type AbstractNames, STD_WORDS } from "#traces/std";
import type { FlatPair, FlatSite } from "../flat/race-tally.ts";
import { counted, grouped } from "../reports/index.ts";
import { type PredictedPair, type Prediction, type PredictResult, siteKey } from "./predict.ts";

/** Pairs that the text lists, and steps of a witness that it shows. */
const PAIRS_SHOWN = 20;
const STEPS_SHOWN = 12;

const METHOD_WORDS: Readonly<Record<Prediction, string>> = {
  syncp: "that keeps the order of critical sections",
  osr: "that may reverse critical sections",
};

/** The pairs of `result` that are not among `observed`. */
export function predictedOnly(
  { pairs }: PredictResult,
  observed: readonly FlatPair[],
): readonly PredictedPair[] {
  const known = new Set(observed.map(({ sites: [first, second] }) => siteKey(first, second)));
  return pairs.filter(({ sites: [first, second] }) => !known.has(siteKey(first, second)));
}

/** The prediction as plain data. */
export function predictionJson(
  result: PredictResult,
  observed: readonly FlatPair[],
  names: AbstractNames,
): unknown {
  const { method, racyEvents, untried, unlawful, pairs } = result;
  return {
    method,
    racyEvents,
    pairs: pairs.length,
    untried,
    stoppedAt: unlawful,
    findings: predictedOnly(result, observed).map((pair) => ({
      rule: "predicted-race",
      severity: "error",
      accesses: pair.sites.map(({ op, location }) => ({ op: STD_WORDS[op], location })),
      count: pair.count,
      variable: names.variables.name(pair.variable),
      threads: pair.threads.map((thread) => names.threads.name(thread)),
      witness: { ...pair.witness, steps: pair.steps },
      fingerprint: createHash("sha256")
        .update(`predicted ${pair.sites.map(siteText).join(" | ")}`)
        .digest("hex")
        .slice(0, 16),
    })),
  };
}

/** The prediction for a terminal. */
export function predictionText(
  result: PredictResult,
  observed: readonly FlatPair[],
  names: AbstractNames,
): string {
  const only = predictedOnly(result, observed);
  const head = `Predicted, by a reordering ${METHOD_WORDS[result.method]}: ${counted(result.racyEvents, "racy event")}, ${counted(result.pairs.length, "pair")} of sites`;
  const shown = only.slice(0, PAIRS_SHOWN).map((pair) => pairText(pair, names));
  const left = only.length - shown.length;
  return [
    `${head}, ${only.length === 0 ? "all of which race in the recorded order, too" : `${grouped(only.length)} of them not in the recorded order`}.`,
    ...shown,
    ...(left > 0 ? [`  and ${counted(left, "more pair")}, which --json lists`] : []),
    ...limits(result).map((sentence) => `  ${sentence}`),
    "",
  ].join("\n");
}

/** What the prediction left out, a sentence each. */
function limits({ untried, unlawful }: PredictResult): string[] {
  return [
    ...(untried > 0
      ? [
          `${counted(untried, "pair")} of accesses were not tried: their sites were tried often, or the budget was spent.`,
        ]
      : []),
    ...(unlawful === null
      ? []
      : [`Nothing is predicted from event ${unlawful} on: no program does what it does.`]),
  ];
}

function pairText(pair: PredictedPair, names: AbstractNames): string {
  const { sites, count, variable, threads, witness, steps } = pair;
  const [first, second] = threads.map((thread) => names.threads.name(thread));
  const order = steps.slice(0, -2);
  const hidden = Math.max(0, order.length - STEPS_SHOWN);
  const from = witness.from === 0 ? "" : ` the events before ${witness.from} as recorded, then`;
  return [
    `\n  ${sites.map(siteText).join(" | ")}  x${grouped(count)}  ${names.variables.name(variable)}, ${first} and ${second}`,
    `    can run:${from}`,
    ...(hidden > 0 ? [`      … ${counted(hidden, "event")}`] : []),
    ...order.slice(hidden).map((step) => `      ${step}`),
    `    and then, in either order, ${steps.slice(-2).join(" and ")}`,
  ].join("\n");
}

function siteText({ op, location }: FlatSite): string {
  return `${STD_WORDS[op]} ${location}`;
}
