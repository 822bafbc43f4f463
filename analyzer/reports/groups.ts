// Findings that differ only in who reads: one edit that lacks its drain races with every request that comes by, and a reader
// of the report wants to see that as one thing with one cure.

import { must } from "#core/base";
import type { Access, Finding } from "../findings.ts";

/** Findings that share rule, list, owner, edit, reason and advice; in the order of the first of them. */
export interface FindingGroup {
  /** At least one. */
  readonly findings: readonly Finding[];
  readonly first: Finding;
  /** The edit that all of them share; null for a finding that is not about a read and an edit. */
  readonly edit: Access | null;
  /** Pairs of accesses of all of them. */
  readonly count: number;
  /** Races that are all consequences of one other: its fingerprint. Null for any other group. */
  readonly under: string | null;
}

/** Group `findings`; their order is kept, but for groups of consequences, which follow what they are consequences of. */
export function groupFindings(findings: readonly Finding[]): FindingGroup[] {
  const groups = new Map<string, Finding[]>();
  findings.forEach((finding, index) => {
    const key = keyOf(finding) ?? `alone ${index}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [finding]);
    else group.push(finding);
  });
  return consequencesBehind(
    [...groups.values()].map((group) => {
      const first = must(group[0], "a group has a finding");
      const count = group.reduce((sum, finding) => sum + finding.count, 0);
      return { findings: group, first, edit: editOf(first), count, under: rootOf(group) };
    }),
  );
}

/** What all of `findings` are a consequence of. */
function rootOf(findings: readonly Finding[]): string | null {
  const [first] = findings;
  const root = first?.consequenceOf ?? null;
  return findings.every(({ consequenceOf }) => (consequenceOf ?? null) === root) ? root : null;
}

function consequencesBehind(groups: readonly FindingGroup[]): FindingGroup[] {
  const has = (group: FindingGroup, root: string): boolean =>
    group.findings.some(({ fingerprint }) => fingerprint === root);
  const isBehind = ({ under }: FindingGroup): boolean =>
    under !== null && groups.some((group) => group.under === null && has(group, under));
  return groups
    .filter((group) => !isBehind(group))
    .flatMap((root) => [
      root,
      ...groups.filter((one) => isBehind(one) && one.under !== null && has(root, one.under)),
    ]);
}

/** The read of a finding that is about a read and an edit. */
export function readOf(finding: Finding): Access | null {
  return finding.accesses.find(({ what }) => what === "read") ?? null;
}

function editOf(finding: Finding): Access | null {
  if (readOf(finding) === null) return null;
  return finding.accesses.find(({ what }) => what === "edit") ?? null;
}

/** What findings of one group have in common, or null for a finding that stands alone. */
function keyOf(finding: Finding): string | null {
  const edit = editOf(finding);
  if (edit === null) return null;
  const { rule, list, node, why, advice, luckyEdge } = finding;
  const operations = edit.operations.map(({ name, phase }) => `${phase} ${name}`);
  return JSON.stringify([
    rule,
    list,
    node?.kind,
    node?.id,
    edit.site.name,
    operations,
    why,
    advice?.text,
    luckyEdge,
  ]);
}
