import { expect, test } from "vitest";
import { projectFromText } from "./project.ts";
import { ratchet } from "./ratchet.ts";

function problemsOf(texts: Record<string, string>, list: Record<string, number> = {}): string[] {
  const project = projectFromText({ ...texts, "scripts/tidy/ratchet.json": JSON.stringify(list) });
  return ratchet.run(project).map(({ file, line, text }) => `${file}:${line}: ${text}`);
}

/** A function of exactly `lines` lines. */
function functionOf(name: string, lines: number): string {
  return `function ${name}() {\n${"  step();\n".repeat(lines - 2)}}\n`;
}

test("the limits are 70 lines for a function and 500 for a file", () => {
  expect(problemsOf({ "core/a.ts": functionOf("f", 70) })).toEqual([]);
  expect(problemsOf({ "core/a.ts": `\n${functionOf("f", 71)}` })).toEqual([
    "core/a.ts:2: f() has 71 lines; at most 70, so split it",
  ]);
  expect(problemsOf({ "core/a.ts": "f();\n".repeat(500) })).toEqual([]);
  expect(problemsOf({ "core/a.ts": "f();\n".repeat(501) })).toEqual([
    "core/a.ts:1: the file has 501 lines; at most 500, so split it",
  ]);
});

test("a method and an arrow function count by their names", () => {
  const body = "step();\n".repeat(80);
  expect(problemsOf({ "core/a.ts": `class A { run() {\n${body}} }` })[0]).toContain("run() has 82");
  expect(problemsOf({ "core/a.ts": `const go = () => {\n${body}};` })[0]).toContain("go() has 82");
});

test("a describe in a test is a chapter, not a function", () => {
  const text = `describe("x", () => {\n${"step();\n".repeat(80)}});`;
  expect(problemsOf({ "core/a.test.ts": text })).toEqual([]);
  expect(problemsOf({ "core/a.ts": text })).toHaveLength(1);
});

test.each([
  [80, []],
  [79, ["split it"]],
  [81, ['set "core/a.ts#f" to 80']],
])("an exception of %i lines for a function of 80", (listed, expected) => {
  const problems = problemsOf({ "core/a.ts": functionOf("f", 80) }, { "core/a.ts#f": listed });
  expect(problems).toHaveLength(expected.length);
  for (const [index, text] of expected.entries()) expect(problems[index]).toContain(text);
});

test("an exception that is no longer needed has to go", () => {
  const problems = problemsOf(
    { "core/a.ts": functionOf("f", 20) },
    { "core/a.ts#f": 80, "core/b.ts": 600 },
  );
  expect(problems[0]).toContain('it fits now, so remove "core/a.ts#f"');
  expect(problems[1]).toContain('"core/b.ts" is gone; remove the entry');
});
