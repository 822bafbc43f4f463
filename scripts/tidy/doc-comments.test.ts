import { expect, test } from "vitest";
import { docComments } from "./doc-comments.ts";
import { projectFromText } from "./project.ts";

function problemsOf(path: string, text: string): string[] {
  return docComments
    .run(projectFromText({ [path]: text }))
    .map(({ line, text }) => `${line}: ${text}`);
}

test("an exported function of core/ has a doc comment", () => {
  expect(
    problemsOf("core/a.ts", "/** bdrv_f (block.c:1): does it. */\nexport function f() {}"),
  ).toEqual([]);
  expect(problemsOf("core/a.ts", "// Not one.\nexport function f() {}")).toEqual([
    "2: f() has no doc comment; say the C name and the contract",
  ]);
  expect(
    problemsOf("core/a.ts", "/** For x. */\nconst x = 1;\nexport const f = () => x;"),
  ).toHaveLength(1);
});

test("other functions may do without", () => {
  expect(problemsOf("core/a.ts", "function f() {}")).toEqual([]);
  expect(problemsOf("core/a.test.ts", "export function f() {}")).toEqual([]);
  expect(problemsOf("cli/a.ts", "export function f() {}")).toEqual([]);
});
