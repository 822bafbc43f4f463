import { expect, test } from "vitest";
import { domains } from "./domains.ts";
import { projectFromText } from "./project.ts";

const UNSAID = "f() does not say in which thread it runs";

function problemsOf(text: string, list: readonly string[] = [], path = "core/io/a.ts"): string[] {
  const project = projectFromText({
    [path]: text,
    "scripts/tidy/unclassified.json": JSON.stringify(list),
  });
  return domains.run(project).map(({ line, text }) => `${line}: ${text.split(";")[0]}`);
}

test.each(["globalStateCode(SITE)", "ioCode(bs.aioContext, SITE)", "ioOrGsCode(null, SITE)"])(
  "a function that begins with %s is classified",
  (check) => {
    expect(problemsOf(`export function f(bs: Node) {\n  ${check};\n  work();\n}`)).toEqual([]);
    expect(problemsOf(`export const f = () => {\n  ${check};\n};`)).toEqual([]);
  },
);

test("the check is the first line, not any line", () => {
  expect(problemsOf("export function f() {\n  work();\n  ioCode(null, SITE);\n}")).toEqual([
    `1: ${UNSAID}`,
  ]);
  expect(problemsOf("export const f = () => work();")).toHaveLength(1);
});

test("a common function says so in its doc comment", () => {
  expect(problemsOf("/** f: a sum. Common. */\nexport function f() {}")).toEqual([]);
  expect(problemsOf("/** f: a sum.\n * Common. */\nexport function f() {}")).toEqual([]);
  expect(problemsOf("/** f: in common. */\nexport function f() {}")).toEqual([`2: ${UNSAID}`]);
});

test("what is private, a test, or on the floor need not say", () => {
  expect(problemsOf("function f() {}")).toEqual([]);
  expect(problemsOf("export function f() {}", [], "core/io/a.test.ts")).toEqual([]);
  expect(problemsOf("export function f() {}", [], "core/base/a.ts")).toEqual([]);
});

test("the list of exceptions only shrinks", () => {
  const key = "core/io/a.ts#f";
  expect(problemsOf("export function f() {}", [key])).toEqual([]);
  expect(problemsOf("/** f. Common. */\nexport function f() {}", [key])).toEqual([
    `1: "${key}" says that it is Common now`,
  ]);
  expect(problemsOf("const x = 1;", [key])).toEqual([`1: "${key}" is gone`]);
});
