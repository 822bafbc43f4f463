// Words that several reports share: how a site, a node, an access or a number is written.

import type {
  Access,
  Advice,
  CoverageRow,
  Finding,
  LuckyEdge,
  Operation,
  OwnerRef,
  SectionRef,
  Site,
} from "../findings.ts";
import { RULES, type RuleId, type Severity } from "../rules.ts";
import type { RunFacts } from "./report.ts";
import { momentOf } from "./stacks.ts";

/** `core/graph/drain.ts:120`, or "" for no site. */
export function placeOf(site: Site): string {
  return site.file === "" ? "" : `${site.file}:${site.line}`;
}

/** The function's C name, without the word behind it that tells several places in one function apart. */
export function functionOf(site: Site): string {
  return site.name.replace(/\/.*$/, "") || "(unknown)";
}

/** `bdrv_append (core/graph/append.ts:44)`. */
export function siteText(site: Site): string {
  const place = placeOf(site);
  return place === "" ? functionOf(site) : `${functionOf(site)} (${place})`;
}

/** `node overlay0 (3)`: what it is called, and its number, which tells it from others of that name. */
export function ownerText(owner: OwnerRef): string {
  const kind = owner.kind === "blk" ? "BlockBackend" : owner.kind;
  return owner.name === "" ? `${kind} ${owner.id}` : `${kind} ${owner.name} (${owner.id})`;
}

/** `children of node overlay0 (3)`, or "" for findings that are not about a list. */
export function listText(finding: Pick<Finding, "list" | "node">): string {
  const owner = finding.node === null ? "" : ownerText(finding.node);
  if (finding.list === null) return owner;
  return owner === "" ? finding.list : `${finding.list} of ${owner}`;
}

/** `bdrv_set_backing_hd`, or `abort of bdrv_replace_child` for a callback. */
export function operationText(operation: Operation): string {
  const name = functionOf(operation);
  return operation.phase === "" ? name : `${operation.phase} of ${name}`;
}

/** Where an access ran: `iothread0, request 17: write of …`. */
export function whoText(access: Access): string {
  return `${access.ctxName}, ${access.taskText}`;
}

/** What a section is: `subtree drain of overlay0, begun in bdrv_append (file:line)`. */
export function sectionText(section: SectionRef): string {
  const of =
    section.node === null
      ? ""
      : ` of ${section.node.name || `${section.node.kind} ${section.node.id}`}`;
  return `${section.kind} drain${of}, begun in ${siteText(section.site)}, ${section.state}`;
}

/** `lock of iothread0`, `same thread`. */
export function luckText(edge: LuckyEdge): string {
  if (edge.name === "") return edge.kind;
  return edge.kind === "lock" ? `lock of ${edge.name}` : `${edge.kind} (${edge.name})`;
}

/** The cure, and where the operation stands that the section goes around. */
export function adviceText({ text, around }: Advice): string {
  const place = placeOf(around);
  return place === "" ? text : `${text} (${functionOf(around)}: ${place})`;
}

/** The command that replays to a finding: to where it shows, or to its later access. Where nothing can be replayed, it prints that event. */
export function againText({ replayCommand, firstEvent = 0 }: RunFacts, finding: Finding): string {
  if (finding.again !== undefined) return finding.again;
  const event = momentOf(finding) ?? Math.max(...finding.accesses.map(({ event }) => event));
  return firstEvent === 0
    ? `${replayCommand} --to ${event}`
    : `${replayCommand} | grep '# ${firstEvent + event}$'`;
}

/** 12345 as 12,345; the same in every locale. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1 race`, `2 races`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** The short word in front of a finding. */
export function ruleWord(rule: RuleId): string {
  return rule.replaceAll("-", " ");
}

/** More than one of those that do not just get an s. */
const MANY: Readonly<Partial<Record<RuleId, string>>> = {
  "edit-outside-drain": "edits outside a drain",
  "edit-before-poll-end": "edits before the drain has waited",
  "end-without-begin": "ends without begin",
  "edit-off-main": "edits off main",
  "edit-in-io-completion": "edits in io completion",
  "contexts-wait-in-circle": "contexts wait in circles",
  "use-after-free": "uses after free",
  "race-with-free": "races with free",
  "interleaved-operations": "interleaved operations",
  "poll-not-allowed": "polls not allowed",
  "edit-in-iteration": "edits in an iteration",
  "request-in-drained-section": "requests in a drained section",
  "job-sleep-cut-short": "job sleeps cut short",
  "covered-by-luck": "covered by luck",
  "read-without-context-lock": "reads without context lock",
  "edit-without-context-lock": "edits without context lock",
  "parents-read-off-main": "reads of parents off main",
  "edits-not-exclusive": "edits not exclusive",
  "edge-not-quiesced": "edges not quiesced",
  "child-not-quiesced": "children not quiesced",
  "read-without-graph-lock": "reads without graph lock",
  "edit-without-graph-lock": "edits without graph lock",
  "graph-lock-broken": "times graph lock broken",
  "drain-under-graph-lock": "drains under graph lock",
};

/** `1 race`, `13 races`, `3 covered by luck`. */
export function ruleCount(rule: RuleId, count: number): string {
  return counted(count, ruleWord(rule), MANY[rule]);
}

/** The rule's own title. */
export function ruleTitle(rule: RuleId): string {
  return RULES[rule].title;
}

/** How many findings there are of each severity, worst first. */
export function severityCounts(
  findings: readonly Finding[],
): readonly { readonly severity: Severity; readonly count: number }[] {
  return (["error", "warning", "note"] as const).map((severity) => {
    return { severity, count: findings.filter((finding) => finding.severity === severity).length };
  });
}

/** How many findings there are of each rule, in the order of the findings. */
export function ruleCounts(findings: readonly Finding[]): Map<RuleId, number> {
  const counts = new Map<RuleId, number>();
  for (const { rule } of findings) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  return counts;
}

/** The pairs of a row that a drained section covers. */
export function coveredPairs(row: CoverageRow): number {
  return row.covered.reduce((sum, { count }) => sum + count, 0);
}

/** The pairs of a row that only an accident orders. */
export function luckyPairs(row: CoverageRow): number {
  return row.luck.reduce((sum, { count }) => sum + count, 0);
}
