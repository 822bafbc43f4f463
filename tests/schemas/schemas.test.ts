// What `quiesce races --json` prints is what docs/schemas describes, with everything asked for that there is: of a recording and of a
// foreign trace.

import { writeFileSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import { complaintsBy, publishedSchema } from "../../analyzer/test-support.ts";
import { quiesce, temporaryFolder } from "../cli/test-support.ts";

const { path, remove } = temporaryFolder();
afterAll(remove);

async function jsonOf(...argv: string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await quiesce(["races", "--json", ...argv])).stdout) as Record<
    string,
    unknown
  >;
}

it("the report of recordings: coverage, drains, policies, predictions, stacks, baseline and suppressions", async () => {
  const [lucky, wrong, base, accepted] = ["l.trace", "w.trace", "base.json", "ok.txt"].map(path);
  if (lucky === undefined || wrong === undefined || base === undefined || accepted === undefined)
    throw new Error("four names");
  await quiesce(["record", "luck-lock", "--lock", "aio", "-o", lucky]);
  await quiesce(["record", "wrong-completions", "-o", wrong]);
  await quiesce(["races", wrong, "--write-baseline", base]);
  writeFileSync(accepted, "rule=covered-by-luck function=bdrv_io_plug reason=planted\n");
  const everything = ["--coverage", "--drains", "--policy", "all", "--predict", "osr", "--stacks"];
  const triage = ["--baseline", base, "--suppress", accepted];
  const json = await jsonOf(lucky, wrong, ...everything, ...triage);
  expect(complaintsBy(publishedSchema("races.schema.json"))(json)).toEqual([]);
  const { findings, traces } = json as {
    findings: { rule: string; stack: unknown }[];
    traces: { drains: unknown[]; policies: unknown[]; prediction: { confirmed: number } }[];
  };
  expect(findings.map(({ rule }) => rule)).toContain("predicted-race");
  expect(findings.filter(({ stack }) => stack !== null)).not.toEqual([]);
  expect(traces[0]?.prediction.confirmed).toBeGreaterThan(0);
  expect([traces[0]?.drains.length, traces[0]?.policies.length]).not.toContain(0);
});

it("the report of a foreign trace: predictions, lock discipline, atomicity, and what no program does", async () => {
  const file = path("all.std");
  const events = [
    ...["T1|acq(l)|1", "T1|w(x)|2", "T1|rel(l)|3", "T2|acq(l)|4", "T2|rel(l)|5", "T2|w(x)|6"],
    ...["T1|begin|7", "T1|w(y)|8", "T2|w(y)|9", "T1|r(y)|10", "T1|end|11", "T3|rel(l)|12"],
  ];
  writeFileSync(file, `${events.join("\n")}\n`);
  const complaints = complaintsBy(publishedSchema("races-foreign.schema.json"));
  for (const order of ["hb", "shb"]) {
    const also = ["--predict", "osr", "--also", "lockset", "atomicity"];
    const json = await jsonOf("--from", "std", file, "--order", order, ...also);
    expect(complaints(json)).toEqual([]);
    expect(complaints(await jsonOf("--from", "std", file, "--order", order))).toEqual([]);
    expect(json).toMatchObject({ irregularities: { count: 1 }, atomicity: { violations: [{}] } });
    expect(complaints({ ...json, racyEvents: "2" })).not.toEqual([]);
  }
});
