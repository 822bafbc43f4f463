// Following a report's advice: the run of a scenario again, with the advised drained section put around the operation that
// the report names, or with less than that.

import { type AnalysisResult, analyze, type Finding } from "#analyzer";
import type { SiteId } from "#core/base";
import { type BlockDriverState, bdrvFindNode } from "#core/graph";
import {
  bdrvDrain,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "#core/io";
import { siteTable } from "#core/probe";
import type { AroundGraphOp, Polls } from "#core/sched";
import { type RecordOptions, recordScenario, type Scenario } from "#explorer";
import { bytesSource, TraceReader } from "#traces";

/** The advised section, or the next smaller one: a single drain for a subtree, an instant for a single one. */
export type Dose = "advised" | "smaller";

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
  const kind = dose === "advised" ? advice.kind : advice.kind === "subtree" ? "single" : "instant";
  return function* <T>(operation: SiteId, body: () => Polls<T>): Polls<T> {
    const bs = operation === site ? bdrvFindNode(advice.node.name) : null;
    if (bs === null) return yield* body();
    if (kind === "instant") {
      yield* bdrvDrain(bs, site);
      return yield* body();
    }
    const begin: DrainFunction = kind === "single" ? bdrvDrainedBegin : bdrvSubtreeDrainedBegin;
    const end: DrainFunction = kind === "single" ? bdrvDrainedEnd : bdrvSubtreeDrainedEnd;
    bs.refcnt++;
    yield* begin(bs, site);
    const result = yield* body();
    yield* end(bs, site);
    yield* dropReference(bs);
    return result;
  };
}

function* dropReference(bs: { refcnt: number }): Polls<void> {
  bs.refcnt--;
}
