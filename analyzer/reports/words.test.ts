import { expect, it } from "vitest";
import { RULES, type RuleId } from "../rules.ts";
import { ruleCount, ruleWord } from "./words.ts";

/** Words that are the same for one and for many. */
const SAME: readonly RuleId[] = [
  "interleaved-operations",
  "covered-by-luck",
  "edits-not-exclusive",
];

it.each(Object.keys(RULES) as RuleId[])("%s has a plural", (rule) => {
  expect(ruleCount(rule, 1)).toBe(`1 ${ruleWord(rule)}`);
  const many = ruleCount(rule, 4);
  expect(many.startsWith("4 ")).toBe(true);
  expect(many === `4 ${ruleWord(rule)}`).toBe(SAME.includes(rule));
});

it("counts needless drains", () => {
  expect(ruleCount("needless-drain", 4)).toBe("4 needless drains");
});
