// docs/schemas/races.schema.json is what readers of --json go by. The published schema lets unknown members pass, so that it
// stays true when the report grows; here it does not, so that nothing is reported that it does not describe.

import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { parseText } from "#traces";
import { analyze } from "../analyze.ts";
import { POLICY_IDS } from "../policies/policy.ts";
import { complaintsBy, publishedSchema } from "../test-support/closed-schema.ts";
import { parseBaseline } from "./baseline.ts";
import { jsonReport } from "./json-report.ts";
import type { Report } from "./report.ts";
import { parseSuppressions } from "./suppressions.ts";
import { drawnFinding, drawnReport, drawnTrace, inputOf } from "./test-support.ts";
import { triaged } from "./triage.ts";

const schema = publishedSchema("races.schema.json");
const strictly = complaintsBy(schema);
const isValid = new Ajv2020({
  allErrors: true,
  strict: false,
  formats: { date: /^\d{4}-\d\d-\d\d$/ },
}).compile(schema);

function complaints(report: Report): unknown {
  return strictly(JSON.parse(JSON.stringify(jsonReport(report))));
}

/** A finding with everything in it, and one with as little as there can be. */
const full = drawnReport((trace) => [
  drawnFinding(trace, {
    rule: "covered-by-luck",
    luckyEdge: { kind: "lock", name: "iothread0" },
    raceWithout: ["lock", "same thread"],
  }),
  drawnFinding(trace, { rule: "deadlock", list: null, node: null, accesses: [], advice: null }),
]);

describe("the schema of the JSON report", () => {
  it("describes all that a report has", () => {
    expect(complaints(full)).toEqual([]);
    const [trace] = full.traces;
    const stack = [{ function: "bdrvCoFlush", file: "core/io/flush.ts", line: 61 }];
    const stacks = new Map(
      (trace?.result.findings[0]?.accesses ?? []).map(({ event }) => [event, stack]),
    );
    expect(complaints({ ...full, traces: full.traces.map((one) => ({ ...one, stacks })) })).toEqual(
      [],
    );
  });

  it("describes what baseline and suppressions add", () => {
    const { entries } = parseSuppressions(
      "rule=covered-by-luck function=bdrv_co_flush until=2026-01-01 reason=x",
      "s",
    );
    const baseline = parseBaseline(JSON.stringify(jsonReport(full)), "b.json");
    const judged = triaged(full, { baseline, suppressions: entries, today: "2026-11-29" });
    expect(complaints(judged)).toEqual([]);
    const [trace] = drawnReport(() => []).traces;
    if (trace !== undefined)
      expect(
        complaints(
          triaged({ ...full, traces: [trace] }, { baseline, suppressions: [], today: "" }),
        ),
      ).toEqual([]);
  });

  it("describes what the analyzer says of a trace, by every policy, and what was asked for beside findings", () => {
    const prediction = {
      method: "osr",
      confirmed: 1,
      unconfirmed: ["00000000000000aa"],
      notExecuted: 0,
    } as const;
    const judged = analyze(inputOf(drawnTrace()), { policies: POLICY_IDS, drains: true });
    expect(judged.drains?.length).toBeGreaterThan(0);
    const result = { ...judged, prediction };
    const [trace] = full.traces;
    if (trace === undefined) throw new Error("there is a trace");
    expect(result.findings.length).toBeGreaterThan(0);
    expect(complaints({ ...full, traces: [{ ...trace, result, material: [] }] })).toEqual([]);
    const cut = parseText("ctx0 ctx_new id=0 name=main\n");
    const incomplete = analyze({ batches: [cut.batch], strings: cut.strings, sites: cut.sites });
    expect(
      complaints({ ...full, traces: [{ ...trace, result: incomplete, material: [] }] }),
    ).toEqual([]);
  });

  it("lets readers be told more than they know, and nothing that is wrong", () => {
    const json = JSON.parse(JSON.stringify(jsonReport(full)));
    expect(isValid({ ...json, more: 1 })).toBe(true);
    expect(isValid({ ...json, schemaVersion: 2 })).toBe(false);
    json.findings[0].fingerprint = "short";
    expect(isValid(json)).toBe(false);
  });
});
