import { describe, expect, test } from "vitest";
import { droppedYield } from "./dropped-yield.ts";
import { projectFromText } from "./project.ts";

// What every example below may call.
const VOCABULARY = `
export type Handler = () => undefined | Polls<void>;
export function* flush(bs: Bs): Co<number> { return 0; }
export function* drain(bs: Bs): Polls<void> {}
export function create(body: Co<void>): Coroutine {}
export function schedule(handler: Handler): void {}
export function notify(callback: () => void): void {}
export function assert(condition: unknown, text: string): asserts condition {}
export function each<T>(make: () => T): T[] {}
export interface BlockDriver {
  readonly coPreadv?: (bs: Bs, offset: number) => Co<number>;
  readonly drainedBegin: (bs: Bs) => undefined | Polls<void>;
  coFlushAll(bs: Bs): Co<number>;
  closed: () => void;
  size(): number;
}
export interface Mixed { size(): Co<number> }
`;
const IMPORT = `import { type BlockDriver, assert, create, drain, each, flush, notify, schedule } from "#core";`;

function problemsOf(text: string, path = "core/a.ts"): string[] {
  const project = projectFromText({
    "core/vocabulary.ts": VOCABULARY,
    [path]: `${IMPORT}\n${text}`,
  });
  return droppedYield
    .run(project)
    .filter(({ file }) => file === path)
    .map(({ line, text }) => `${line}: ${text}`);
}

/** The statement inside a coroutine that has a node and its driver at hand. */
function inCoroutine(statement: string): string {
  return `function* f(bs: Bs, drv: BlockDriver): Co<void> {\n${statement}\n}`;
}

describe("what runs the generator", () => {
  test.each([
    "yield* flush(bs);",
    "const result = yield* flush(bs);",
    "if ((yield* flush(bs)) < 0) return;",
    "return yield* flush(bs);",
    "yield* (bs.ok ? flush(bs) : flush(bs.other));",
    "yield* drv.coFlushAll(bs);",
    "const result = yield* drv.coPreadv(bs, 0);",
    "create(flush(bs));",
    "schedule(() => drain(bs));",
    "schedule(() => { return drain(bs); });",
    "schedule(function* (): Polls<void> { yield* drain(bs); });",
    "const parts = each(() => flush(bs));",
    "const polls: Polls<void> = drain(bs); yield* polls;",
    "const polls = drv.drainedBegin(bs); if (polls !== undefined) yield* polls;",
    "const polls = drv.drainedBegin(bs); assert(polls === undefined, 'never polls');",
    "let polls: Polls<void> | undefined; polls = drain(bs); yield* polls;",
    "bs.thread = drain(bs);",
    "bs.queue.push(flush(bs));",
    "start({ body: flush(bs), bs });",
    "flush(bs).next();",
    "const read = drv.coPreadv; if (read !== undefined) yield* read(bs, 0);",
  ])("%s", (statement) => {
    expect(problemsOf(inCoroutine(statement))).toEqual([]);
  });

  test("a function that returns a generator may pass one on", () => {
    expect(problemsOf("function f(bs: Bs): Co<number> { return flush(bs); }")).toEqual([]);
    expect(problemsOf("const f = (bs: Bs): Co<number> => flush(bs);")).toEqual([]);
    expect(problemsOf("const driver: BlockDriver = { coFlushAll: (bs) => flush(bs) };")).toEqual(
      [],
    );
  });

  test("a name that means something else here is left alone", () => {
    expect(problemsOf("function g() { const flush = () => 1; flush(); }")).toEqual([]);
    expect(problemsOf("function g(flush: () => void) { flush(); }")).toEqual([]);
  });
});

describe("what drops it", () => {
  test.each([
    ["flush(bs);", "flush() returns a generator that nothing runs"],
    ["drv.coFlushAll(bs);", "coFlushAll() returns a generator that nothing runs"],
    ["drv.coPreadv?.(bs, 0);", "coPreadv() returns a generator that nothing runs"],
    ["if (flush(bs)) return;", "always true as a condition"],
    ["while (!flush(bs)) step();", "always true as a condition"],
    ["const n = flush(bs) && 1;", "always true as a condition"],
    ["if (flush(bs) < 0) return;", "as if it were the result"],
    ["yield flush(bs);", "write yield* instead of yield"],
    ["return flush(bs);", "write return yield*"],
    ["const result = flush(bs); use(2);", "stays in result"],
    ["const result = flush(bs); if (result < 0) return;", "stays in result"],
    ["const polls = drv.drainedBegin(bs); if (polls === undefined) return;", "stays in polls"],
    ["let polls: Polls<void>; polls = drain(bs);", "stays in polls"],
    ["assert(flush(bs), 'flushes');", "handed to a parameter that takes none"],
    ["notify(() => drain(bs));", "the callback's taker ignores"],
    ["notify(function* (): Polls<void> { yield* drain(bs); });", "the callback's taker ignores"],
    ["notify(drain);", "drain returns a generator that the callback's taker ignores"],
    ["use({ closed: () => drain(bs) });", "a field returning void ignores"],
    ["const read = drv.coPreadv; read(bs, 0);", "read() returns a generator that nothing runs"],
    ["const { coFlushAll } = drv; coFlushAll(bs);", "coFlushAll() returns a generator"],
    ["drv.size();", "core/vocabulary.ts:17 but not in core/vocabulary.ts:15"],
  ])("%s", (statement, expected) => {
    const problems = problemsOf(inCoroutine(statement));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^3: /);
    expect(problems[0]).toContain(expected);
  });

  test("a callback parameter is known by its type", () => {
    expect(problemsOf("function g(body: () => Co<void>): void { body(); }")[0]).toContain("body()");
    expect(
      problemsOf(`import { Handler } from "#core"; function g(run: Handler) { run(); }`),
    ).toHaveLength(1);
  });

  test("a renamed import is still known", () => {
    expect(
      problemsOf(`import { flush as sync } from "#core"; function g() { sync(bs); }`),
    ).toHaveLength(1);
    expect(
      problemsOf(`import * as all from "#core"; function g() { all.flush(bs); }`),
    ).toHaveLength(1);
  });

  test("a class's own generator method", () => {
    const text = "class A { *run(): Co<void> {} go(): void { this.run(); } }";
    expect(problemsOf(text)[0]).toContain("run() returns a generator that nothing runs");
  });
});

describe("what this check must know", () => {
  test("a generator function has an annotated return type", () => {
    expect(problemsOf("function* g() {}")[0]).toContain("generator g has no return type");
    expect(problemsOf("class A { *each() {} }")[0]).toContain("generator each has no return type");
    expect(problemsOf("create(function* () {});")).toHaveLength(1);
    expect(problemsOf("function* g(): Generator<number> {}")).toEqual([]);
  });

  test("in a test a generator written in place of an argument may do without", () => {
    expect(problemsOf("create(function* () {});", "core/a.test.ts")).toEqual([]);
    expect(problemsOf("function* g() {}", "core/a.test.ts")).toHaveLength(1);
  });

  test("what stands under yield* in a coroutine is known to be one", () => {
    const problems = problemsOf(inCoroutine("yield* bs.table.get(1)(bs);"));
    expect(problems[0]).toContain("bs.table.get(1)() is not seen to return a Co or Polls");
    expect(problemsOf("function* g(): Generator<number> { yield* list.values(); }")).toEqual([]);
  });

  test("a generator is not called like a method of arrays or maps", () => {
    const problems = problemsOf(
      "class Threads { *join(): Polls<void> {} }\nconst text = names.join();",
    );
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("2: join() is a generator called like a built-in method");
  });

  test("a function that returns a generator says so", () => {
    expect(problemsOf("const f = (bs: Bs) => flush(bs);")[0]).toContain(
      "f returns without saying so",
    );
    expect(problemsOf("function f(bs: Bs): void { return flush(bs); }")).toHaveLength(1);
  });
});
