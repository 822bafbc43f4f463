// One finding for each fingerprint. Rules note what they find apart by nodes, requests and reasons; a fingerprint leaves those out,
// since they change from run to run, and what shares one is one thing to mend: baselines, suppressions and reports that machines
// read know nothing smaller. So whoever counts the findings of a result counts the same in every report.

import type { AnalysisResult, Finding } from "./findings.ts";

/** `result` with the findings that share a fingerprint as one; the order stays. */
export function oncePerFingerprint(result: AnalysisResult): AnalysisResult {
  const policies = result.policies?.map((one) => ({ ...one, findings: joined(one.findings) }));
  return {
    ...result,
    findings: joined(result.findings),
    ...(policies === undefined ? {} : { policies }),
  };
}

function joined(findings: readonly Finding[]): Finding[] {
  const byFingerprint = new Map<string, Finding[]>();
  for (const finding of findings) {
    const same = byFingerprint.get(finding.fingerprint);
    if (same === undefined) byFingerprint.set(finding.fingerprint, [finding]);
    else same.push(finding);
  }
  return [...byFingerprint.values()].map(asOne);
}

/** The first, with how often and how long all of them were seen, and one more of their reasons. */
function asOne(same: readonly Finding[]): Finding {
  const [first] = same as [Finding, ...Finding[]];
  if (same.length === 1) return first;
  const other = same.find(({ why }) => why !== first.why);
  const { consequenceOf: _consequenceOf, ...apart } = first;
  return {
    // It comes with another race only if all of them do.
    ...(same.every(({ consequenceOf }) => consequenceOf !== undefined) ? first : apart),
    why: other === undefined ? first.why : `${first.why} Also: ${other.why}`,
    count: same.reduce((sum, { count }) => sum + count, 0),
    last: Math.max(...same.map(({ last }) => last)),
  };
}
