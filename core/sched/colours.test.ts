import { expect, it } from "vitest";
import { CO_STOP, type Co, coChain, coThen, isSettled, settled } from "./colours.ts";

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

function* waiting(value: number): Co<number> {
  yield CO_STOP;
  return value;
}

it("what follows a result that is there makes no generator", () => {
  const added = coThen(settled(1), (value) => value + 1);
  expect(isSettled(added)).toBe(true);
  const chained = coChain(added, (value) => coThen(settled(value), (last) => `${value}${last}`));
  expect(isSettled(chained)).toBe(true);
  expect(chained.next()).toEqual({ done: true, value: "22" });
});

it("what follows a result that is not there waits for it, and may wait itself", () => {
  const chained = coChain(waiting(1), (value) => coThen(waiting(value + 1), (last) => last + 1));
  expect(isSettled(chained)).toBe(false);
  const stops = [chained.next(), chained.next(), chained.next()];
  expect(stops.map(({ done }) => done)).toEqual([false, false, true]);
  expect(stops.at(-1)?.value).toBe(3);
  const late = coChain(settled(1), (value) => waiting(value));
  expect([late.next().done, late.next().value]).toEqual([false, 1]);
});
