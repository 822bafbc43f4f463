import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SCENARIOS } from "#explorer";
import { DOCUMENT, headOf, knownFindings, withoutNumbers } from "./document.ts";

const ROOT = join(import.meta.dirname, "..", "..");

describe("the document of known findings", () => {
  const text = knownFindings(ROOT);

  it("is committed as the scenarios and the analyzer give it", () => {
    const path = join(ROOT, DOCUMENT);
    const committed = existsSync(path) ? readFileSync(path, "utf8") : "";
    // When this fails: npm run build, then node dist/scripts/known-findings.js, and read what has changed.
    expect(committed).toBe(text);
  });

  it("has a chapter with findings for each hole, and names no finding that nothing explains", () => {
    const holes = SCENARIOS.filter(({ name }) => name.startsWith("hole-"));
    expect(holes.length).toBeGreaterThanOrEqual(11);
    const chapters = text.split(/^## /m).slice(1);
    expect(chapters.pop()).toMatch(/^In QEMU's own test cases\n[\s\S]*bdrv_co_flush/);
    expect(chapters.map((chapter) => chapter.split("\n")[0])).toEqual(
      holes.map(({ name }) => name).sort(),
    );
    for (const chapter of chapters.map((lines) => lines.replace(/\s+/g, " "))) {
      expect(chapter).toContain("Where: ");
      expect(chapter).toContain("Why no drain covers it: ");
      expect(chapter).not.toContain("no findings");
    }
  });
});

describe("the head of a source file", () => {
  it("becomes paragraphs and drawings", () => {
    const source = [
      "// Known hole: a thing.",
      "//",
      "//   a --> b",
      "//",
      "//   b --> c",
      "//",
      "// Where: there.",
      "// And there.",
      "",
      "// Not the head.",
    ].join("\n");
    expect(headOf(source)).toBe(
      "A thing.\n\n```text\n  a --> b\n\n  b --> c\n```\n\nWhere: there.\nAnd there.",
    );
  });
});

describe("the analyzer's output", () => {
  it("loses its line numbers and event numbers, and nothing else", () => {
    const text = `list · seen 3 times, events 9 to 1,234
read  f  core/a.ts:12      io0, event 1,234
      0123456789abcdef, 3 times, event 1,234
x.trace: 2 races in 12,345 events
`;
    expect(withoutNumbers(text)).toBe(
      "list · seen 3 times\nread  f  core/a.ts\n      0123456789abcdef, 3 times\nx.trace: 2 races\n",
    );
  });
});
