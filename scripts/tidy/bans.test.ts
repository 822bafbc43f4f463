import { expect, test } from "vitest";
import { bans } from "./bans.ts";
import { projectFromText } from "./project.ts";

function problemsOf(path: string, text: string): string[] {
  return bans.run(projectFromText({ [path]: text })).map(({ text }) => text);
}

test.each([
  ["const t = Date.now();", "Date.now", "clock of the Host"],
  ["const t = new Date();", "Date", "clock of the Host"],
  ["const t = performance.now();", "performance", "clock of the Host"],
  ["const t = process.hrtime.bigint();", "process", "Host"],
  ["process.nextTick(f);", "process", "Host"],
  ["const r = Math.random();", "Math.random", "Prng"],
  ["setTimeout(f, 1);", "setTimeout", "timer of the AioContext"],
  ["setInterval(f, 1);", "setInterval", "timer of the AioContext"],
  ["const later = setImmediate;", "setImmediate", "timer of the AioContext"],
  ["queueMicrotask(f);", "queueMicrotask", "bottom half"],
  ["const r = new WeakRef(x);", "WeakRef", "plain reference"],
  ["const r = new FinalizationRegistry(f);", "FinalizationRegistry", "plain reference"],
  ["interface A { read(): Promise<number> }", "Promise", "generator"],
  ["function f() { return Promise.resolve(1); }", "Promise", "generator"],
  ["const f = async () => 1;", "async", "generator"],
  ["class A { async f() {} }", "async", "generator"],
  [`import { readFileSync } from "node:fs";`, "node:fs", "Host"],
  [`import net from "node:net";`, "node:net", "Host"],
  [`names.sort((a, b) => a.localeCompare(b));`, "localeCompare", "compare with <"],
])("%s is banned", (text, what, instead) => {
  for (const path of ["core/io/a.ts", "replay/a.ts", "explorer/scenarios/a.ts"]) {
    const problems = problemsOf(path, text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(what);
    expect(problems[0]).toContain(instead);
  }
});

test("await is banned as well as the async function around it", () => {
  expect(problemsOf("core/a.ts", "async function f() { await g(); }")).toHaveLength(2);
});

test.each([
  "host.setTimeout(f, 1);",
  "const record = { process: 1, performance: 2 };",
  "interface Host { performance: number }",
  "function f(process: Process) { process.run(); }",
  "const Promise = 1; f(Promise);",
  `const text = "Date.now()"; // Date.now()`,
])("%s is fine", (text) => {
  expect(problemsOf("core/a.ts", text)).toEqual([]);
});

test("tests and the other folders may do as they like", () => {
  expect(problemsOf("core/a.test.ts", "const t = Date.now();")).toEqual([]);
  expect(problemsOf("daemon/host/a.ts", "const t = Date.now();")).toEqual([]);
});
