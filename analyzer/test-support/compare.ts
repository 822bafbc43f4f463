// Engine against oracle, in words that both can say: list, sites and outcome, with the number of pairs.

import { Ev, LIST_KINDS } from "#core/probe";
import { Analysis } from "../analysis.ts";
import type { EdgeKind } from "../edge-kinds.ts";
import type { AnalysisResult } from "../findings.ts";
import type { Clocks, Reading } from "../input.ts";
import { ANALYZER_LIMITS, type AnalyzerLimits } from "../limits.ts";
import { type OraclePair, oracle } from "../oracle.ts";
import { OffMain } from "../order/full.ts";
import { RandomTrace, type RandomTraceOptions } from "./random-trace.ts";

/** How the engine is set up for a comparison. */
export interface CompareOptions {
  readonly disableEdges?: ReadonlySet<EdgeKind>;
  readonly limits?: AnalyzerLimits;
  readonly reading?: Reading;
  readonly order?: "hb" | "shb";
}

/** Both verdicts on a random trace; they must be equal. Where the engine follows the full order in two ways, both are told if they differ. */
export function compareWithOracle(
  trace: RandomTraceOptions,
  {
    disableEdges = new Set(),
    limits = ANALYZER_LIMITS,
    reading = "thread",
    order = "hb",
  }: CompareOptions = {},
): { engine: string[]; expected: string[] } {
  const random = new RandomTrace(trace);
  const { batches } = random.writer;
  const verdict = (clocks: Clocks): string[] => {
    const analysis = new Analysis({ disableEdges, reading, order }, { limits, clocks });
    for (const batch of batches) analysis.feed(batch);
    return ofEngine(analysis.finish(random.sites, [""]));
  };
  const vectors = verdict("vectors");
  const main = ifOnMain(() => verdict("main")) ?? vectors;
  const isSame = main.join() === vectors.join();
  return {
    engine: isSame ? vectors : [...vectors, "as main knows it:", ...main],
    expected: ofOracle(oracle(batches, disableEdges, reading, order), random),
  };
}

/** What `work` gives; null where only vector clocks can tell (order/full.ts). */
export function ifOnMain<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof OffMain) return null;
    throw error;
  }
}

function ofEngine(result: AnalysisResult): string[] {
  const lines: string[] = [];
  for (const row of result.coverage) {
    const name = `${row.list} ${row.reader.name} ${row.readerIsEdit ? "edit" : "read"} ${row.editor.name}`;
    const covered = row.covered.reduce((sum, { count }) => sum + count, 0);
    const luck = row.luck.reduce((sum, { count }) => sum + count, 0);
    for (const [outcome, count] of [
      ["covered", covered],
      ["sanctioned", row.orderedBySanction],
      ["luck", luck],
      ["race", row.uncovered],
    ] as const) {
      if (count > 0) lines.push(`${name} ${outcome} ${count}`);
    }
  }
  return [...lines, ...foundPairs(result)].sort();
}

/** The findings about pairs, by list and sites. */
function foundPairs({ findings }: AnalysisResult): string[] {
  const counts = new Map<string, number>();
  for (const { rule, list, accesses, count } of findings) {
    if (rule !== "race" && rule !== "covered-by-luck") continue;
    const sites = accesses.map(({ what, site }) => `${what} ${site.name}`).sort();
    const key = `finding ${rule} ${list} ${sites.join(", ")}`;
    counts.set(key, (counts.get(key) ?? 0) + count);
  }
  return [...counts].map(([key, count]) => `${key} ${count}`);
}

function ofOracle(pairs: readonly OraclePair[], trace: RandomTrace): string[] {
  const counts = new Map<string, number>();
  const siteOf = (index: number): [name: string, edit: boolean] => {
    const batch = trace.writer.batches[Math.floor(index / 256)];
    if (batch === undefined) throw new Error("no such event");
    const at = index % 256;
    const edit = batch.kind(at) !== Ev.list_read;
    return [`s${batch.arg(at, edit ? 3 : 2)}`, edit];
  };
  for (const { list, earlier, later, outcome } of pairs) {
    const [first, firstIsEdit] = siteOf(earlier);
    const [second, secondIsEdit] = siteOf(later);
    const [reader, editor, isEdit] = secondIsEdit
      ? [first, second, firstIsEdit]
      : [second, first, false];
    const key = `${LIST_KINDS[list]} ${reader} ${isEdit ? "edit" : "read"} ${editor} ${outcome}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    if (outcome !== "race" && outcome !== "luck") continue;
    const rule = outcome === "race" ? "race" : "covered-by-luck";
    const sites = [
      `${firstIsEdit ? "edit" : "read"} ${first}`,
      `${secondIsEdit ? "edit" : "read"} ${second}`,
    ].sort();
    const found = `finding ${rule} ${LIST_KINDS[list]} ${sites.join(", ")}`;
    counts.set(found, (counts.get(found) ?? 0) + 1);
  }
  // A pair that is a race as well is not said to be lucky.
  const lucky = [...counts.keys()].filter((key) => key.startsWith("finding covered-by-luck"));
  for (const key of lucky)
    if (counts.has(key.replace("covered-by-luck", "race"))) counts.delete(key);
  return [...counts].map(([key, count]) => `${key} ${count}`).sort();
}
