import { expect, test } from "vitest";
import { projectFromText } from "./project.ts";
import { unsafeTypes } from "./unsafe-types.ts";

function problemsOf(path: string, text: string): string[] {
  return unsafeTypes
    .run(projectFromText({ [path]: text }))
    .map(({ line, text }) => `${line}: ${text}`);
}

test("`any` is found wherever it stands, also in tests", () => {
  expect(problemsOf("cli/a.ts", "\nconst x: any = 1;")[0]).toContain("2: `any`");
  expect(problemsOf("cli/a.test.ts", "f(x as any);")).toHaveLength(1);
});

test("`!` is found outside a marked hot loop only", () => {
  expect(problemsOf("core/a.ts", "const f = () => list[0]!;")[0]).toContain("hot loop");
  expect(problemsOf("core/a.test.ts", "const f = () => list[0]!;")).toEqual([]);
});

test("the mark covers the function it stands in, and no other", () => {
  const text = `
function fast() {
  // hot loop: eight million turns a second
  for (let i = 0; i < n; i++) sum += column[i]!;
}
function slow() { return column[0]!; }`;
  expect(problemsOf("core/a.ts", text)).toHaveLength(1);
  expect(problemsOf("core/a.ts", text)[0]).toContain("6: ");
});

test("the mark may also stand right above the function", () => {
  const text = `
class Columns {
  /** Reads a column. */
  // hot loop
  read() { return this.column[0]!; }
  other() { return this.column[0]!; }
}
// hot loop
export const f = () => list[0]!;`;
  expect(problemsOf("core/a.ts", text)).toHaveLength(1);
  expect(problemsOf("core/a.ts", text)[0]).toContain("6: ");
});
