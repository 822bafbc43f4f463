// The loop as a whole: its jump table, streaming, determinism, and that memory does not grow with the trace.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Ev, EventBatch, WORDS_PER_EVENT } from "#core/probe";
import { Analysis } from "./analysis.ts";
import { analyze } from "./analyze.ts";
import { oncePerFingerprint } from "./once.ts";
import { RandomTrace } from "./test-support/random-trace.ts";
import { traceFromText } from "./test-support/trace-from-text.ts";

describe("the jump table", () => {
  it("has each number of the catalogue with its name behind it", () => {
    const source = ["analyzer/analysis.ts", "analyzer/order/accidents.ts"]
      .map((file) => readFileSync(file, "utf8"))
      .join("\n");
    const cases = [...source.matchAll(/case (\d+): \/\/ (\w+)/g)];
    expect(cases.length).toBeGreaterThan(40);
    for (const [, number, name] of cases)
      expect(Ev[name as keyof typeof Ev], name).toBe(Number(number));
    expect([...source.matchAll(/case (?!\d+: \/\/)/g)]).toEqual([]);
  });
});

describe("an analysis", () => {
  const random = new RandomTrace({ seed: 3, events: 600, uniqueSites: false, exotic: true });
  const whole = analyze({ batches: random.writer.batches, sites: random.sites, strings: [""] });

  it("says the same however the trace is cut into batches", () => {
    const analysis = new Analysis();
    for (const batch of random.writer.batches) {
      for (let i = 0; i < batch.count; i++) {
        const one = new EventBatch(1);
        one.ints.set(batch.ints.subarray(i * WORDS_PER_EVENT, (i + 1) * WORDS_PER_EVENT));
        one.count = 1;
        analysis.feed(one);
      }
    }
    expect(oncePerFingerprint(analysis.finish(random.sites, [""]))).toEqual(whole);
  });

  it("says the same twice", () => {
    const again = analyze({ batches: random.writer.batches, sites: random.sites, strings: [""] });
    expect(JSON.stringify(again)).toBe(JSON.stringify(whole));
  });

  it("lists findings worst first, then by rule and first event", () => {
    const severities = whole.findings.map(({ severity }) => severity);
    expect(severities).toEqual([...severities].sort());
    expect(new Set(severities).size).toBeGreaterThan(1);
  });

  it("reads strings at the end: the table grows while batches are read", () => {
    const strings = [""];
    const analysis = new Analysis();
    const trace = traceFromText(`
      main
      context main; node n1 drive0; drained s1 n1 @f; run-end ok`);
    for (const batch of trace.batches) analysis.feed(batch);
    strings.push(...trace.strings.slice(1));
    expect(analysis.finish(trace.sites, strings).findings[0]?.node?.name).toBe("drive0");
  });

  it("of nothing finds nothing", () => {
    expect(analyze({ batches: [], sites: [], strings: [""] })).toMatchObject({
      events: 0,
      findings: [],
      coverage: [],
      complete: false,
    });
  });
});
