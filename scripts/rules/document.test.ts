// Every rule has its page and every page its rule; what a page shows as an example is found.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { analyze, type Finding, POLICY_IDS, RULE_IDS, type RuleId } from "#analyzer";
import { predictedRaces, recordScenario, SCENARIOS } from "#explorer";
import { bytesSource, TraceReader } from "#traces";
import { traceFromText } from "../../analyzer/test-support.ts";
import { RULES_DOCUMENT, rulesDocument } from "./document.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const FOLDER = join(ROOT, "docs", "rules");
/** Rules about things whose events name no function: reports show them at the trace. All others say where to look first. */
const PLACELESS: ReadonlySet<RuleId> = new Set<RuleId>([
  "end-without-begin",
  "lock-order-cycle",
  "unbalanced-counter",
  "wrong-context-lock",
]);
const EVERYTHING = { policies: POLICY_IDS, drains: true } as const;

function pageOf(rule: RuleId): string {
  const path = join(FOLDER, `${rule}.md`);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

it("the index of the rules is committed as the analyzer gives it", () => {
  const path = join(ROOT, RULES_DOCUMENT);
  // When this fails: npm run build, then node dist/scripts/rules.js.
  expect(existsSync(path) ? readFileSync(path, "utf8") : "").toBe(rulesDocument());
});

it("every rule has a page, and every page a rule", () => {
  const pages = readdirSync(FOLDER).filter((name) => name !== "index.md");
  expect(pages.sort()).toEqual(RULE_IDS.map((rule) => `${rule}.md`).sort());
});

describe.each(RULE_IDS)("the page of %s", (rule) => {
  const page = pageOf(rule);

  it("says what, why, and how to fix", () => {
    expect(page.split("\n")[0]).toMatch(new RegExp(`^# ${rule}: .`));
    for (const part of ["What.", "Why it matters.", "Example.", "How to fix."])
      expect(page).toContain(`**${part}**`);
  });

  it("shows an example in which the rule speaks, and what it says", () => {
    const drawn = [...page.matchAll(/^```trace\n(.*?)^```$/gms)].map(([, text = ""]) => text);
    const recorded = [...page.matchAll(/^ {4}bin\/quiesce record (.*) -o run\.trace$/gm)];
    expect(drawn.length + recorded.length).toBeGreaterThan(0);
    const runs = [
      ...drawn.map((text) => findingsIn(traceFromText(text))),
      ...recorded.map(([, words = ""]) => findingsOfRun(words)),
    ];
    for (const findings of runs) {
      const own = findings.filter((finding) => finding.rule === rule);
      expect(own).not.toEqual([]);
      expect(
        own.some(({ title }) => page.includes(`Found: *${title}*`)),
        own[0]?.title,
      ).toBe(true);
      if (!PLACELESS.has(rule))
        expect(own.filter(({ site, accesses }) => accesses.length === 0 && site === null)).toEqual(
          [],
        );
    }
  });
});

function findingsIn(trace: Parameters<typeof analyze>[0]): Finding[] {
  const { findings, policies = [] } = analyze(trace, EVERYTHING);
  return [...findings, ...policies.flatMap((judgement) => judgement.findings)];
}

/** The findings of `quiesce record WORDS`, races predicted: a scenario, and patches to leave out or the lock to take. */
function findingsOfRun(words: string): Finding[] {
  const [name, option = "", value = ""] = words.split(" ");
  expect(["", "--without-patch", "--lock"]).toContain(option);
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`no scenario is called ${name}`);
  const without = option === "--without-patch" ? value.split(",").map(Number) : [];
  const lock = option === "--lock" ? "aio" : "none";
  const run = recordScenario(scenario, { seed: 1, lock, without: without as never });
  const reader = TraceReader.open(bytesSource(run.bytes));
  const trace = { batches: reader.batches(), sites: reader.header.sites, strings: reader.strings };
  const { races } = predictedRaces(scenario, reader, analyze(trace), { method: "osr" });
  return [
    ...findingsIn({ ...trace, batches: reader.batches() }),
    ...races.map(({ finding }) => finding),
  ];
}
