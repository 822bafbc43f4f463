// Following a report's advice: the run of a scenario again, with the advised drained section put around the operation that
// the report names, or with less than that.

import { type Advice, type AnalysisResult, analyze, type Finding } from "#analyzer";
import type { SiteId } from "#core/base";
import { type BlockDriverState, bdrvFindNode } from "#core/graph";
import {
  bdrvDrain,
  bdrvDrainedBegin,
  bdrvDrainedBeginNoPoll,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "#core/io";
import { siteTable } from "#core/probe";
import type { AroundGraphOp, Polls } from "#core/sched";
import { type RecordOptions, recordScenario, type Scenario } from "#explorer";
import { bytesSource, TraceReader } from "#traces";

/** The advised section, or less: half of it, or a single drain for a subtree. */
export type Dose = "advised" | "single" | "instant" | "not waited for";

/**
 * What is next smaller than the advised section. A single drain has two halves: it waits for the requests in flight (so does an
 * instant drain before the operation), and it holds back the next ones (so does one that is begun and not waited for).
 */
export function smallerThan(advice: Advice): readonly Dose[] {
  return advice.kind === "subtree" ? ["single"] : ["instant", "not waited for"];
}

type DrainFunction = (bs: BlockDriverState, site: SiteId) => Polls<void>;

/** Run and analyse, with `finding`'s advice followed in this dose if one is given. */
export function runAnd(
  scenario: Scenario,
  options: RecordOptions,
  follow?: { readonly finding: Finding; readonly dose: Dose },
): AnalysisResult {
  const extra =
    follow === undefined ? {} : { aroundGraphOp: aroundOf(follow.finding, follow.dose) };
  const reader = TraceReader.open(
    bytesSource(recordScenario(scenario, { ...options, ...extra }).bytes),
  );
  return analyze({
    batches: reader.batches(),
    sites: reader.header.sites,
    strings: reader.strings,
  });
}

/** Whether `finding` is still there with something less than its advice. */
export function staysWithLess(
  scenario: Scenario,
  options: RecordOptions,
  finding: Finding,
): boolean {
  if (finding.advice === null) throw new Error("the finding comes with advice");
  return smallerThan(finding.advice).some((dose) =>
    stillThere(runAnd(scenario, options, { finding, dose }), finding),
  );
}

/** Whether `result` still has `finding`: the same functions on the same list of the same owner. */
export function stillThere(result: AnalysisResult, finding: Finding): boolean {
  return result.findings.some(
    ({ fingerprint, node }) =>
      fingerprint === finding.fingerprint &&
      node?.kind === finding.node?.kind &&
      node?.id === finding.node?.id,
  );
}

function aroundOf(finding: Finding, dose: Dose): AroundGraphOp {
  const { advice } = finding;
  if (advice === null) throw new Error("the finding comes with advice");
  const site = (siteTable.findIndex(({ name }) => name === advice.around.name) + 1) as SiteId;
  if (site === 0) throw new Error(`no operation is called ${advice.around.name}`);
  const drains = drainsOf(dose === "advised" ? advice.kind : dose);
  const begin: DrainFunction = drains[0];
  const end: DrainFunction = drains[1];
  return function* <T>(operation: SiteId, body: () => Polls<T>): Polls<T> {
    const bs = operation === site ? bdrvFindNode(advice.node.name) : null;
    if (bs === null) return yield* body();
    bs.refcnt++;
    yield* begin(bs, site);
    const result = yield* body();
    yield* end(bs, site);
    bs.refcnt--;
    return result;
  };
}

function drainsOf(dose: Exclude<Dose, "advised"> | "subtree"): [DrainFunction, DrainFunction] {
  switch (dose) {
    case "subtree":
      return [bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd];
    case "single":
      return [bdrvDrainedBegin, bdrvDrainedEnd];
    case "instant":
      return [bdrvDrain, nothing];
    case "not waited for":
      return [beginOnly, bdrvDrainedEnd];
  }
}

function* nothing(): Polls<void> {}

function* beginOnly(bs: BlockDriverState, site: SiteId): Polls<void> {
  bdrvDrainedBeginNoPoll(bs, site);
}
