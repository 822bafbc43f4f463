// The rules that look at no pair, the policies, and the cost of drains: engine against oracle, in words that both can say.

import type { EventBatch, Site } from "#core/probe";
import { Analysis } from "../analysis.ts";
import type { AnalysisResult, DrainRow, Finding } from "../findings.ts";
import type { Clocks } from "../input.ts";
import { ORACLE_RULES, ruleOracle } from "../oracle-rules/index.ts";
import { POLICIES, POLICY_IDS } from "../policies/policy.ts";
import { ifOnMain } from "./compare.ts";
import { RandomProtocol } from "./random-protocol.ts";
import { RandomRules } from "./random-rules.ts";

/** A verdict of both sides on one trace; they must be equal. */
export interface RulesCompared {
  readonly engine: string[];
  readonly expected: string[];
}

/**
 * On a random trace about interleaving, lifetimes and wake-ups. Numbers of what was freed come again there, so nobody can say which
 * objects are private: rules that ask for that are left to the other traces.
 */
export function compareRules(seed: number, events: number): RulesCompared {
  const { writer, sites } = new RandomRules(seed, events);
  const { engine, expected } = compared(writer.batches, sites, [""]);
  const isJudged = (line: string): boolean => !/^(P\d|edit-outside|edit-before)/.test(line);
  return { engine: engine.filter(isJudged), expected: expected.filter(isJudged) };
}

/** On a random trace about drains, edits, locks, jobs and how runs end. */
export function compareProtocol(seed: number, events: number): RulesCompared {
  const { writer, sites, strings } = new RandomProtocol(seed, events);
  return compared(writer.batches, sites, strings);
}

function compared(
  batches: readonly EventBatch[],
  sites: readonly Site[],
  strings: readonly string[],
): RulesCompared {
  const verdict = (clocks: Clocks): AnalysisResult => {
    const analysis = new Analysis({ policies: POLICY_IDS, drains: true }, { clocks });
    for (const batch of batches) analysis.feed(batch);
    return analysis.finish(sites, strings);
  };
  const result = ifOnMain(() => verdict("main")) ?? verdict("vectors");
  const { findings, policies = [], drains = [] } = result;
  const rules = findings.filter(({ rule }) => ORACLE_RULES.includes(rule)).map(lineOf);
  const byPolicy = policies.flatMap(({ policy, findings: own }) => {
    const demands: readonly string[] = POLICIES[policy].rules;
    return own
      .filter(({ rule }) => demands.includes(rule))
      .map((one) => `${policy} ${lineOf(one)}`);
  });
  return {
    engine: [...rules, ...byPolicy, ...drains.map(costLine)].sort(),
    expected: ruleOracle(batches),
  };
}

function lineOf({ rule, title, accesses, count, first, last }: Finding): string {
  // Each circle is one finding, however many ways there are to close it.
  if (rule === "lock-order-cycle") {
    const locks = [...title.matchAll(/(\d+)(?=,|\.|')/g)].map(([id]) => id);
    return `${rule} ${locks.slice(0, -1).join(" ")} x1 0-0`;
  }
  // Which of the uses is named first is nobody's concern.
  if (rule === "race-with-free") return `${rule}  x${count} ${first}-${last}`;
  const said = accesses.map(({ what, event }) => `${what}@${event}`).join(" ");
  return `${rule} ${said} x${count} ${first}-${last}`;
}

function costLine(row: DrainRow): string {
  const {
    site,
    kind,
    count,
    needless,
    busy,
    edits,
    stopped,
    stoppedEvents,
    stoppedNs,
    stoppedNsMax,
  } = row;
  const { requestsWaited, jobsPaused } = row;
  const sums = [count, needless, busy, edits, stopped, stoppedEvents, stoppedNs, stoppedNsMax];
  return `cost ${site.name} ${kind} ${[...sums, requestsWaited, jobsPaused].join(" ")}`;
}
