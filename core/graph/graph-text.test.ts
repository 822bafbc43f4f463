import { describe, expect, it } from "vitest";
import type { Polls } from "../sched/index.ts";
import { runGraph } from "./test-support.ts";

describe("a graph as text", () => {
  it.each([
    "base\ntop -backing-> base",
    "disk\nbase\ntop -file-> disk -backing-> base",
    "a\nb\nc\nq -children.2-> c -children.1-> b -children.0-> a",
  ])("reads back what it drew: %s", (drawing) => {
    const text = runGraph(drawing.replace("q -", "q:quorum -"), function* (): Polls<void> {});
    expect(text).toBe(drawing);
  });

  it("makes what is below first, in whatever order it was drawn", () => {
    const text = runGraph(
      `top -backing-> mid
       mid -backing-> base
       f:filter -file-> top`,
      function* (): Polls<void> {},
    );
    expect(text).toMatchInlineSnapshot(`
      "base
      mid -backing-> base
      top -backing-> mid
      f -file-> top"
    `);
  });
});
