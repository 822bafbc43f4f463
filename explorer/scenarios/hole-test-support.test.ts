import { describe, expect, it } from "vitest";
import { expectEvents } from "./hole-test-support.ts";

const LINES = ["ctx0 - a x=1", "ctx1 t1 b x=1", "ctx0 - a x=2", "ctx0 - c x=10"];

describe("a drawing of events", () => {
  it.each([
    ["in their order", "ctx0 a\nctx1 b\nctx0 a x=2"],
    ["with others in between", "a x=1\nc"],
    ["without one in between", "b\n! a x=1\nc"],
  ])("holds: %s", (_what, drawing) => {
    expect(() => expectEvents(LINES, drawing)).not.toThrow();
  });

  it.each([
    ["an event that is not there", "d"],
    ["the wrong order", "b\na x=1"],
    ["half a word", "c x=1"],
    ["one in between that must not be", "b\n! a\nc"],
    ["nothing behind what must not be", "b\n! a"],
  ])("does not hold: %s", (_what, drawing) => {
    expect(() => expectEvents(LINES, drawing)).toThrow();
  });
});
