// The place of a finding: where readers of one-place formats are sent first. Of two accesses that is the uncovered read.

import type { Access, Finding, Site } from "../findings.ts";

/** The access that a reader must look at first: the uncovered read, or the first one there is. */
export function primaryAccess(finding: Finding): Access | null {
  return finding.accesses.find(({ what }) => what === "read") ?? finding.accesses[0] ?? null;
}

/** The function that a reader must look at first: that of the access, or the one that the rule points at. */
export function siteOfFinding(finding: Finding): Site | null {
  return primaryAccess(finding)?.site ?? finding.site;
}

/** File and line of `finding` for formats that must have one: those of its function, or its trace. */
export function placeOfFinding(finding: Finding, trace: string): { path: string; line: number } {
  const site = siteOfFinding(finding);
  if (site === null || site.file === "") return { path: trace, line: 1 };
  return { path: site.file, line: Math.max(1, site.line) };
}
