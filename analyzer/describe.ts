// From drafts to the result: names, sentences, fingerprints, and the order that the contract promises.

import { DRAIN_KINDS } from "#core/probe";
import { rootOf } from "./conflicts/consequences.ts";
import type { RowDraft } from "./conflicts/tally.ts";
import type { Drafts, FindingDraft, Why } from "./drafts.ts";
import {
  type AnalysisResult,
  type CoverageRow,
  type Finding,
  fingerprintOf,
  type LuckyEdge,
  NO_SITE,
  type PolicyJudgement,
  type Site,
  sideOf,
} from "./findings.ts";
import type { Reading } from "./input.ts";
import type { Graph } from "./model/graph.ts";
import type { Operations } from "./model/operations.ts";
import { Names } from "./names.ts";
import type { DrainCost } from "./passes/drain-cost.ts";
import { type PolicyJudge, rulesOf } from "./policies/policy.ts";
import { RULE_IDS, RULES, severityRank } from "./rules.ts";
import { adviceOf, titleOf, whyOf } from "./sentences.ts";

/** What an analysis has gathered. */
export interface Gathered {
  readonly events: number;
  readonly complete: boolean;
  readonly status: AnalysisResult["runStatus"];
  readonly reading: Reading;
  /** Whether reads were ordered after the edits that they saw. */
  readonly isSchedulable: boolean;
  readonly graph: Graph;
  readonly operations: Operations;
  readonly rows: readonly RowDraft[];
  readonly drafts: Drafts;
  readonly judges: readonly PolicyJudge[];
  readonly drainCost: DrainCost | null;
  readonly sites: readonly Site[];
  readonly strings: readonly string[];
}

const READ_BY_TASKS =
  "Handlers of one iothread were taken to be ordered only by what posted them: a race may be one that only another schedule of the same contexts can show.";
const SCHEDULABLE =
  "A read was taken to come after the edit that it saw, once it was judged: races that are there only because of another race are not told.";

/** The result as reports read it. */
export function describeResult(gathered: Gathered): AnalysisResult {
  const names = new Names(gathered.sites, gathered.strings, gathered.graph, gathered.operations);
  const chosen = chosenDrafts(gathered.drafts);
  const findings = chosen.map((draft) => findingOf(draft, names));
  const notes: string[] = [];
  if (!gathered.complete) {
    notes.push(
      `The recording is not complete: it was analysed up to event ${gathered.events}, and what comes after may change the verdict.`,
    );
  }
  if (gathered.status === "limit")
    notes.push("The run reached its limit of steps; sections that were open then are not judged.");
  if (gathered.reading === "task") notes.push(READ_BY_TASKS);
  if (gathered.isSchedulable) notes.push(SCHEDULABLE);
  return {
    events: gathered.events,
    findings: findings.sort(byContract),
    coverage: coverageOf(gathered.rows, names),
    complete: gathered.complete,
    runStatus: gathered.status,
    reading: gathered.reading,
    notes,
    ...(gathered.drainCost === null ? {} : { drains: gathered.drainCost.rows(names) }),
    policies: gathered.judges.map((judge) => judgementOf(judge, chosen, names)),
  };
}

/** By a policy: what it keeps of the ordinary rules, and what broke its own demands if the trace can be judged by it. */
function judgementOf(
  judge: PolicyJudge,
  ordinary: readonly FindingDraft[],
  names: Names,
): PolicyJudgement {
  const silence = judge.silence();
  const own = judge.drafts === null || silence !== "" ? [] : chosenDrafts(judge.drafts);
  const drafts = [...ordinary.filter((draft) => judge.keeps(draft.rule, draft.list)), ...own];
  const findings = drafts.map((draft) => findingOf(draft, names)).sort(byContract);
  return { policy: judge.id, silence, rules: rulesOf(judge), findings };
}

/**
 * One finding a pair and rule: a pair that is lucky in several ways is reported with the accident that saved it most often,
 * and not at all as lucky where it is a race as well (the coverage table has all the counts).
 */
function chosenDrafts(drafts: Drafts): FindingDraft[] {
  const chosen: FindingDraft[] = [];
  const lucky = new Map<string, FindingDraft>();
  for (const [key, draft] of drafts.entries()) {
    if (draft.count === 0) continue;
    if (draft.rule !== "covered-by-luck") {
      chosen.push(draft);
      continue;
    }
    const pair = key.split(" ").slice(2).join(" ");
    if (drafts.has(`race  ${pair}`)) continue;
    const other = lucky.get(pair);
    lucky.set(pair, other === undefined ? draft : merged(other, draft));
  }
  return [...chosen, ...lucky.values()];
}

function merged(a: FindingDraft, b: FindingDraft): FindingDraft {
  const main = b.count > a.count ? b : a;
  return {
    ...main,
    count: a.count + b.count,
    first: Math.min(a.first, b.first),
    last: Math.max(a.last, b.last),
  };
}

function findingOf(draft: FindingDraft, names: Names): Finding {
  const accesses = draft.accesses.map((access) => names.access(access));
  const list = names.list(draft.list);
  const root = rootOf(draft);
  return {
    ...(root === null ? {} : { consequenceOf: fingerprintOfDraft(root, names) }),
    rule: draft.rule,
    severity: RULES[draft.rule].severity,
    list,
    node:
      draft.edge !== null
        ? names.edge(draft.edge)
        : draft.node === null
          ? null
          : names.holdable(draft.node),
    title: titleOf(draft, names),
    accesses,
    site: draft.site === undefined || draft.site === 0 ? null : names.site(draft.site),
    why: whyOf(draft, names),
    advice: draft.advice === null ? null : adviceOf(draft.advice, names),
    luckyEdge: draft.luck === null ? null : names.luck(draft.luck),
    count: draft.count,
    first: draft.first,
    last: draft.last,
    fingerprint: fingerprintOfDraft(draft, names),
  };
}

function fingerprintOfDraft(draft: FindingDraft, names: Names): string {
  const sides = draft.accesses.map(({ what, site, chain }) =>
    sideOf({ what, site: names.site(site), operations: names.operations(chain) }),
  );
  return fingerprintOf(
    draft.rule,
    names.list(draft.list),
    sides.length > 0 && !hasIdentity(draft.why) ? sides : [identityOf(draft, names)],
  );
}

/** Whether the rule says itself what makes a finding the same one again; otherwise its accesses do, if there are any. */
function hasIdentity(why: Why): boolean {
  return why.code === "told" && why.told.identity !== undefined;
}

/** What makes a finding without accesses the same one again. */
function identityOf({ why }: FindingDraft, names: Names): readonly string[] {
  switch (why.code) {
    case "section":
    case "request":
    case "sleep":
      return [names.site(why.section.site).name, why.code === "section" ? why.text : ""];
    case "assertion":
      return [names.site(why.site).name, names.string(why.text)];
    case "thread":
    case "home":
      return [names.site(why.site).name];
    case "told":
      return [...(why.told.identity?.(names) ?? [])];
    case "stuck":
      return why.frames.map(({ site }) => names.site(site).name);
    default:
      return [why.code === "text" ? why.text : why.code];
  }
}

/** The order of findings in a result. */
export function byContract(a: Finding, b: Finding): number {
  return (
    severityRank(a.severity) - severityRank(b.severity) ||
    RULE_IDS.indexOf(a.rule) - RULE_IDS.indexOf(b.rule) ||
    a.first - b.first ||
    compare(a.fingerprint, b.fingerprint)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface RowBuilder {
  row: Omit<CoverageRow, "covered" | "luck">;
  covered: Map<string, CoverageRow["covered"][number]>;
  luck: Map<string, { edge: LuckyEdge; count: number }>;
}

/** Rows by name: chains that differ only in outer operations become one row. */
function coverageOf(drafts: readonly RowDraft[], names: Names): CoverageRow[] {
  const rows = new Map<string, RowBuilder>();
  for (const draft of drafts) addRow(rows, draft, names);
  return [...rows.entries()]
    .sort(([a], [b]) => compare(a, b))
    .map(([, { row, covered, luck }]) => ({
      ...row,
      covered: [...covered.values()].sort(
        (a, b) => b.count - a.count || compare(a.site.name, b.site.name) || compare(a.kind, b.kind),
      ),
      luck: [...luck.values()].sort(
        (a, b) =>
          b.count - a.count ||
          compare(a.edge.kind, b.edge.kind) ||
          compare(a.edge.name, b.edge.name),
      ),
    }))
    .filter((row) => row.pairs > 0);
}

function addRow(rows: Map<string, RowBuilder>, draft: RowDraft, names: Names): void {
  const list = names.list(draft.list);
  if (list === null) return;
  const [operation] = names.operations(draft.chain);
  const reader = names.site(draft.reader);
  const editor = names.site(draft.editor);
  const editorOperation: Site =
    operation === undefined
      ? NO_SITE
      : { name: operation.name, file: operation.file, line: operation.line };
  const key = [
    draft.list,
    reader.name,
    draft.readerIsEdit ? 1 : 0,
    editor.name,
    editorOperation.name,
  ].join("\n");
  let builder = rows.get(key);
  if (builder === undefined) {
    const row = {
      list,
      reader,
      readerIsEdit: draft.readerIsEdit,
      editor,
      editorOperation,
      pairs: 0,
      orderedBySanction: 0,
      uncovered: 0,
    };
    builder = { row, covered: new Map(), luck: new Map() };
    rows.set(key, builder);
  }
  addCounts(builder, draft, names);
}

function addCounts(builder: RowBuilder, draft: RowDraft, names: Names): void {
  let pairs = draft.sanctioned + draft.race;
  for (const { site, kind, count } of draft.covered) {
    const ref = names.site(site);
    const word = DRAIN_KINDS[kind] ?? "none";
    const key = `${ref.name} ${word}`;
    const before = builder.covered.get(key)?.count ?? 0;
    builder.covered.set(key, {
      site: ref,
      kind: word === "none" ? "single" : word,
      count: before + count,
    });
    pairs += count;
  }
  for (const [label, count] of draft.luck) {
    const edge = names.luck(label);
    const key = `${edge.kind} ${edge.name}`;
    const before = builder.luck.get(key)?.count ?? 0;
    builder.luck.set(key, { edge, count: before + count });
    pairs += count;
  }
  const { row } = builder;
  builder.row = {
    ...row,
    pairs: row.pairs + pairs,
    orderedBySanction: row.orderedBySanction + draft.sanctioned,
    uncovered: row.uncovered + draft.race,
  };
}
