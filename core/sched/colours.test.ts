import { expect, it } from "vitest";
import { type Co, settled } from "./colours.ts";

function* twice(): Co<string> {
  return `${yield* settled("a")}${yield* settled("b")}`;
}

it("what did not have to wait gives its result under `yield*`", () => {
  expect(twice().next()).toEqual({ done: true, value: "ab" });
});

it("a result that nobody took is told at the next one, and none is taken twice", () => {
  const first = settled("a");
  expect(() => settled("b")).toThrow("takes its result at once");
  expect(first.next()).toEqual({ done: true, value: "a" });
  expect(() => first.next()).toThrow("is taken once");
});
