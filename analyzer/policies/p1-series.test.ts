// P1: what the analyzer says when nobody asks for a policy.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { judgedBy } from "../test-support/verdict.ts";

const COVERED = `
      main                             | io1
                                       | r1: begin; inc n1; read children n1 @reader; dec n1; end
      op @bdrv_append; drained s1 n1 @bdrv_append |
      remove children n1 e1 @editor    |
      release s1 n1; op-end            |`;
const UNCOVERED = COVERED.replace("drained s1 n1 @bdrv_append", "").replace("release s1 n1;", "");

describe("P1", () => {
  it("accepts an edit inside its own drain", () => {
    expect(judgedBy("P1", COVERED)).toEqual([]);
  });

  it("says what the ordinary rules say", () => {
    const { findings, policies = [] } = analyze(traceFromText(UNCOVERED), { policies: ["P1"] });
    expect(findings.map(({ rule }) => rule)).toEqual(["race", "edit-outside-drain"]);
    expect(policies[0]?.findings).toEqual(findings);
  });
});

describe("a policy that is not asked for", () => {
  it("is not there", () => {
    expect(analyze(traceFromText(UNCOVERED)).policies).toEqual([]);
  });
});
