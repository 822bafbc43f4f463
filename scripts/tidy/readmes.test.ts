import { expect, test } from "vitest";
import { projectFromText } from "./project.ts";
import { readmes } from "./readmes.ts";

function problemsOf(text: string, path = "core/README.md"): string[] {
  const project = projectFromText({
    "package.json": JSON.stringify({ scripts: { start: "", bench: "" } }),
    "core/io/index.ts": "export function bdrvCoFlush(): Co<number> {}",
    [path]: text,
  });
  return readmes.run(project).map(({ line, text }) => `${line}: ${text}`);
}

test.each([
  "`core/io/`",
  "`io/index.ts`",
  "`#core/io`",
  "`bdrvCoFlush`",
  "`bdrvCoFlush()`",
  "`npm start`",
  "`npm run bench -- NAME`",
  "`quiesce races FILE`",
  "`--json`",
  "`out/report.html`",
  "`/bdrv-drain/nested`",
  "```\nnowhere/at/all.ts\n```",
])("%s exists, or is of no kind that can be looked up", (text) => {
  expect(problemsOf(text)).toEqual([]);
});

test.each([
  ["`core/oi/`", "does not exist"],
  ["`index.mjs`", "does not exist"],
  ["`#core/oi`", "is no folder with an index.ts"],
  ["`bdrvCoFlsh`", "stands nowhere in the sources"],
  ["`npm run bnech`", "is no script of package.json"],
])("%s does not exist", (text, expected) => {
  expect(problemsOf(`See\n${text}.`)).toEqual([`2: ${text} ${expected}; correct or remove it`]);
});

test("a README of a folder has fewer than 40 lines; that of the project may be longer", () => {
  expect(problemsOf("line\n".repeat(39))).toEqual([]);
  expect(problemsOf("line\n".repeat(40))[0]).toContain("1: 40 lines");
  expect(problemsOf("line\n".repeat(90), "README.md")).toEqual([]);
});

test("a page of docs/ may be long and speak of symbols, but its paths exist", () => {
  const text = `${"line\n".repeat(90)}\`bdrv_co_flush\` is in \`core/oi/index.ts\``;
  expect(problemsOf(text, "docs/a.md")).toEqual([
    "91: `core/oi/index.ts` does not exist; correct or remove it",
  ]);
});
