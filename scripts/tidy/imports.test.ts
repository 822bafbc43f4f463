import { expect, test } from "vitest";
import { imports } from "./imports.ts";
import { projectFromText } from "./project.ts";

const INDEXES = Object.fromEntries(
  "core/base core/probe core/sched core/graph core traces tracer replay analyzer cli"
    .split(" ")
    .map((folder) => [`${folder}/index.ts`, ""]),
);

function problemsOf(path: string, text: string): string[] {
  const project = projectFromText({ ...INDEXES, [path]: text });
  return imports.run(project).map(({ file, line, text }) => `${file}:${line}: ${text}`);
}

test.each([
  ["analyzer/a.ts", `import { assert } from "#core/base";`],
  ["analyzer/a.ts", `import { read } from "#traces";`],
  ["core/graph/a.ts", `import { assert } from "../base/index.ts";`],
  ["core/graph/a.ts", `import { seriesOn } from "../series.ts";`],
  ["core/graph/a.ts", `import { b } from "./deeper/b.ts"; import { c } from "../sched/aio.ts";`],
  ["replay/a.test.ts", `import { TestHost } from "../core/sched/test-support.ts";`],
  ["cli/a.ts", `import { record } from "#replay"; import { Command } from "commander";`],
  ["core/sched/a.test.ts", `import { test } from "vitest"; import { x } from "#replay";`],
  ["traces/a.ts", `import { x } from "protobufjs/minimal.js";`],
])("%s may say %s", (path, text) => {
  expect(problemsOf(path, text)).toEqual([]);
});

test.each([
  ["analyzer/a.ts", `import { x } from "#core";`, "analyzer/ may not import core/"],
  [
    "analyzer/a.ts",
    `import type { X } from "#core/graph";`,
    "analyzer/ may not import core/graph/",
  ],
  [
    "core/base/a.ts",
    `import { x } from "../probe/index.ts";`,
    "core/base/ may not import core/probe/",
  ],
  ["core/sched/a.ts", `import { x } from "#core/graph";`, "core/sched/ may not import core/graph/"],
  ["core/graph/a.ts", `import { x } from "#tracer";`, "core/graph/ may not import tracer/"],
  ["core/graph/a.ts", `import { x } from "long";`, 'core imports "long"'],
  ["replay/a.ts", `import { x } from "../traces/index.ts";`, 'import "#traces" instead'],
  ["replay/a.ts", `export * from "../../replay2/index.ts";`, "leaves the folder replay/"],
  ["cli/a.ts", `const x = await import("#nowhere");`, '"#nowhere" has no nowhere/index.ts'],
  ["tests/a.test.ts", `import { x } from "../core/graph/edge.ts";`, 'import "#core/graph" instead'],
])("%s may not say %s", (path, text, expected) => {
  const problems = problemsOf(path, text);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(`${path}:1: `);
  expect(problems[0]).toContain(expected);
});
