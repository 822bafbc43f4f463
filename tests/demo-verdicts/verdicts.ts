// What the analyzer says about a seed of the demo's workload, for the two claims about it: nothing with all patches on, and
// races on both lists, of the right functions, with patches 10 and 11 off.

import { type AnalysisResult, analyze, type Finding } from "#analyzer";
import { must } from "#core/base";
import type { PatchNumber } from "#core/sched";
import { recordScenario, SCENARIOS, type SchedulerName } from "#explorer";
import { bytesSource, TraceReader } from "#traces";

const demo = must(
  SCENARIOS.find(({ name }) => name === "demo"),
  "the demo is built in",
);

/** The strategies that seeds take turns with: what holds must hold under each. */
const SCHEDULERS: readonly SchedulerName[] = ["random", "pct", "round-robin", "default"];

/** How a seed of the demo came out. */
export interface Verdict {
  readonly outcome: string;
  readonly events: number;
  readonly result: AnalysisResult;
}

/** Run the demo's workload simulated and analyse it; the seed also picks the strategy, random three times of six. */
export function judgeDemo(seed: number, without: readonly PatchNumber[]): Verdict {
  const scheduler = SCHEDULERS[Math.max(0, (seed % 6) - 2)] ?? "random";
  const { bytes, outcome, events } = recordScenario(demo, { seed, without, scheduler });
  const reader = TraceReader.open(bytesSource(bytes));
  const { sites } = reader.header;
  const result = analyze({ batches: reader.batches(), sites, strings: reader.strings });
  return { outcome, events, result };
}

/** Why this is not "no finding", or "" when it is. */
export function objectionToSilence({ outcome, result }: Verdict): string {
  if (outcome !== "ok") return `the run ended with "${outcome}"`;
  if (!result.complete) return "the recording is not complete";
  return result.findings.map(({ rule, title }) => `${rule}: ${title}`).join("; ");
}

/** Why this is not "races on both lists, of the right functions", or "" when it is. */
export function objectionToRaces({ outcome, result }: Verdict): string {
  if (outcome !== "ok") return `the run ended with "${outcome}"`;
  const races = result.findings.filter(({ rule }) => rule === "race");
  if (!races.some(isRaceOnChildren)) return "no race on children";
  if (!races.some(isRaceOnParents)) return "no race on parents";
  return "";
}

/** A request walks the children of a filter that bdrv_append puts above the disk. */
function isRaceOnChildren(finding: Finding): boolean {
  const { read, edit } = sidesOf(finding);
  return (
    finding.list === "children" &&
    ["bdrv_is_inserted", "bdrv_primary_child", "bdrv_co_flush"].includes(read) &&
    edit === "bdrv_child_cb_attach"
  );
}

/** A growing write tells the parents of a node while main edits them. */
function isRaceOnParents(finding: Finding): boolean {
  const { read, edit } = sidesOf(finding);
  return (
    finding.list === "parents" &&
    read === "bdrv_parent_cb_resize" &&
    edit.startsWith("bdrv_replace_child_noperm")
  );
}

function sidesOf({ accesses }: Finding): { readonly read: string; readonly edit: string } {
  const functionOf = (what: "read" | "edit") =>
    accesses.find((access) => access.what === what)?.site.name ?? "";
  return { read: functionOf("read"), edit: functionOf("edit") };
}
