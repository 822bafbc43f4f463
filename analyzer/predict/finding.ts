// A confirmed prediction as a finding of the ordinary report: what was covered by luck, and raced when it was executed otherwise.

import { type Finding, fingerprintOf, sideOf } from "../findings.ts";
import { RULES } from "../rules.ts";

/** `lucky` is the finding that luck covered these accesses; `how` says in a sentence which schedule shows the race. */
export function predictedFinding(lucky: Finding, how: string): Finding {
  const { list, accesses } = lucky;
  const edit = accesses.findLast(({ what }) => what === "edit");
  const other = accesses.find((access) => access !== edit);
  const owner = lucky.node === null ? "" : ` of ${lucky.node.kind} '${lucky.node.name}'`;
  return {
    ...lucky,
    rule: "predicted-race",
    severity: RULES["predicted-race"].severity,
    title: `In another schedule, the ${other?.what} of ${list}${owner} in ${other?.site.name} overlaps its edit in ${edit?.site.name}.`,
    why: `${how} As recorded: ${lucky.why.charAt(0).toLowerCase()}${lucky.why.slice(1)}`,
    fingerprint: fingerprintOf("predicted-race", list, accesses.map(sideOf)),
  };
}
