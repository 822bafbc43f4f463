// Findings as a report has them: of every drawn example of docs/rules, and of every run that a scenario promises findings of.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type AnalysisResult, analyze, type Finding, POLICY_IDS, type RuleId } from "#analyzer";
import {
  collectMaterial,
  jsonReport,
  type SectionBeside,
  type StackFrame,
  type Stacks,
  stackEvents,
} from "#analyzer/reports";
import { stacksAt } from "#cli";
import { Ev, type EventBatch, Klass, OWNER_KINDS } from "#core/probe";
import { predictedRaces, recordScenario, SCENARIOS, type Scenario } from "#explorer";
import { bytesSource, TraceReader } from "#traces";
import { traceFromText } from "../../analyzer/test-support.ts";

const RULES_FOLDER = join(import.meta.dirname, "..", "..", "docs", "rules");

/** A finding of the JSON report, with what the trace itself says about it. */
export interface Told {
  readonly from: string;
  /** Whether the core has run it, so that there are stacks. */
  readonly isReal: boolean;
  readonly json: JsonFinding;
  /** The sections that were open at each access, and those of them that held the node, by the events alone: their numbers. */
  readonly open: readonly (readonly number[])[];
  readonly holding: readonly (readonly number[])[];
}

export type JsonFinding = Omit<Finding, "accesses"> & {
  readonly accesses: readonly (Finding["accesses"][number] & {
    readonly path: readonly string[];
    readonly stack: readonly StackFrame[] | null;
    readonly sectionsBeside: readonly SectionBeside[];
  })[];
  readonly stack: readonly StackFrame[] | null;
  readonly replay: string;
};

interface Run {
  readonly name: string;
  readonly isReal: boolean;
  readonly batches: () => Iterable<EventBatch>;
  readonly sites: TraceReader["header"]["sites"];
  readonly strings: readonly string[];
  readonly findings: readonly Finding[];
  readonly result: AnalysisResult;
  readonly stacks: Stacks | null;
}

/** All findings: of the examples, and of the scenarios' runs. */
export async function toldFindings(): Promise<Told[]> {
  const told: Told[] = [];
  for (const run of drawnRuns()) told.push(...toldOf(run));
  for (const scenario of SCENARIOS)
    for (const run of await recordedRuns(scenario)) told.push(...toldOf(run));
  return told;
}

function* drawnRuns(): Generator<Run> {
  for (const file of readdirSync(RULES_FOLDER)) {
    const page = readFileSync(join(RULES_FOLDER, file), "utf8");
    for (const [, text = ""] of page.matchAll(/^```trace\n(.*?)^```$/gms)) {
      const { batches, sites, strings } = traceFromText(text);
      const result = analyze({ batches, sites, strings }, { policies: POLICY_IDS, drains: true });
      const kept = [...batches];
      const findings = findingsOf(result);
      yield {
        name: file,
        isReal: false,
        batches: () => kept,
        ...{ sites, strings, findings, result, stacks: null },
      };
    }
  }
}

async function recordedRuns(scenario: Scenario): Promise<Run[]> {
  const runs: Run[] = [];
  for (const { without = [], lock = "none", finds } of scenario.expected ?? []) {
    if (finds.length === 0) continue;
    const { bytes, events } = recordScenario(scenario, { seed: 1, without, lock });
    // The long ones show nothing that the short ones do not.
    if (events > EVENTS_MAX) continue;
    const reader = TraceReader.open(bytesSource(bytes));
    const { sites } = reader.header;
    const trace = () => ({ batches: reader.batches(), sites, strings: reader.strings });
    const result = analyze(trace(), { policies: POLICY_IDS, drains: true });
    const { races } = predictedRaces(scenario, reader, result, { method: "osr" });
    const findings = [...findingsOf(result), ...races.map(({ finding }) => finding)].slice(0, 60);
    runs.push({
      name: `${scenario.name} without ${without.join(",")} ${lock}`,
      isReal: true,
      batches: () => reader.batches(),
      ...{ sites, strings: reader.strings, findings, result },
      stacks: await stacksAt(`${scenario.name}.trace`, reader, stackEvents(findings)),
    });
  }
  return runs;
}

const EVENTS_MAX = 20_000;

/** The ordinary findings, and those that a policy has on top. */
function findingsOf({ findings, policies = [] }: AnalysisResult): Finding[] {
  const ordinary = new Set(findings.map(({ rule }) => rule));
  return [
    ...findings,
    ...policies.flatMap((judgement) =>
      judgement.findings.filter(({ rule }) => !ordinary.has(rule)),
    ),
  ];
}

function toldOf(run: Run): Told[] {
  const { name, isReal, sites, strings, findings, stacks } = run;
  const facts = {
    ...{ trace: "run.trace", label: "", scenario: name, seed: 1, host: "simulated", lock: "none" },
    ...{ patchesOff: [], level: "full", digest: "", replayCommand: "quiesce replay run.trace" },
  };
  const report = {
    tool: { name: "quiesce", version: "0" } as const,
    traces: [
      {
        facts,
        result: { ...run.result, findings },
        material: collectMaterial({ batches: run.batches(), sites, strings }, findings),
        ...(stacks === null ? {} : { stacks }),
      },
    ],
  };
  const json = JSON.parse(JSON.stringify(jsonReport(report))) as { findings: JsonFinding[] };
  const openAt = openSections(run.batches());
  const holdingAt = holders(run.batches());
  return json.findings.map((finding) => ({
    ...{ from: name, isReal, json: finding },
    open: finding.accesses.map(({ event }) => openAt(event)),
    holding: finding.accesses.map(({ event }) =>
      openAt(event).filter((id) => holdingAt(finding.node, event).includes(id)),
    ),
  }));
}

/** Which sections were between their drain_begin and their drain_end just before an event. */
function openSections(batches: Iterable<EventBatch>): (event: number) => number[] {
  const spans: { id: number; from: number; to: number }[] = [];
  let event = 0;
  for (const batch of batches) {
    for (let i = 0; i < batch.count; i++, event++) {
      const id = batch.arg(i, 0);
      if (batch.kind(i) === Ev.drain_begin)
        spans.push({ id, from: event, to: Number.POSITIVE_INFINITY });
      const span = spans.findLast((one) => one.id === id);
      if (batch.kind(i) === Ev.drain_end && span !== undefined) span.to = event;
    }
  }
  return (at) =>
    spans
      .filter(({ from, to }) => from < at && at < to)
      .map(({ id }) => id)
      .sort((a, b) => a - b);
}

/** Which sections held levels of an object (of an edge: of its parent) just before an event. */
function holders(
  batches: Iterable<EventBatch>,
): (owner: JsonFinding["node"], event: number) => number[] {
  const changes: { object: string; section: number; by: number; event: number }[] = [];
  const parents = new Map<number, string>();
  let event = 0;
  for (const batch of batches) {
    for (let i = 0; i < batch.count; i++, event++) {
      const [a, b, c, d] = [0, 1, 2, 3].map((slot) => batch.arg(i, slot)) as Four;
      const level = LEVELS.get(batch.kind(i));
      if (level !== undefined)
        changes.push({ object: `${level.of} ${a}`, section: c, by: level.by, event });
      if (batch.kind(i) === Ev.quiesce_transfer) {
        const object = `${OWNER_KINDS[a]} ${b}`;
        changes.push({ object, section: c, by: -1, event }, { object, section: d, by: 1, event });
      }
      if (batch.kind(i) === Ev.edge_new) parents.set(a, `${KLASS_PARENTS.get(b)} ${c}`);
    }
  }
  return (owner, at) => {
    const object = owner?.kind === "edge" ? parents.get(owner.id) : `${owner?.kind} ${owner?.id}`;
    const levels = new Map<number, number>();
    for (const one of changes)
      if (one.object === object && one.event < at)
        levels.set(one.section, (levels.get(one.section) ?? 0) + one.by);
    return [...levels].filter(([, level]) => level > 0).map(([section]) => section);
  };
}

type Four = [number, number, number, number];

const LEVELS = new Map([
  [Ev.bs_quiesce as number, { of: "node", by: 1 }],
  [Ev.bs_unquiesce, { of: "node", by: -1 }],
  [Ev.blk_quiesce, { of: "blk", by: 1 }],
  [Ev.blk_unquiesce, { of: "blk", by: -1 }],
  [Ev.job_pause, { of: "job", by: 1 }],
  [Ev.job_resume, { of: "job", by: -1 }],
]);
const KLASS_PARENTS = new Map([
  [Klass.child_of_bds as number, "node"],
  [Klass.child_root, "blk"],
  [Klass.child_job, "job"],
]);

/** The rules of `told`, each once. */
export function rulesOf(told: readonly Told[]): RuleId[] {
  return [...new Set(told.map(({ json }) => json.rule))];
}
