import { expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

/** Rule, list and accident of each finding about two accesses. */
function found(drawing: string, order: "hb" | "shb"): string[] {
  return analyze(traceFromText(drawing), { order })
    .findings.filter(({ accesses }) => accesses.length === 2)
    .map(({ rule, list, luckyEdge }) => `${rule} ${list} ${luckyEdge?.kind ?? ""}`.trim())
    .sort();
}

// A flag and what it guards: the iothread that sees the second edit comes after the first one, too.
//
//   main   edits children(n1) --> edits parents(n2)
//                                        \\ seen
//   io1                                    reads parents(n2) --> reads children(n1)
const FLAG_THEN_DATA = `
  main                                                                        | io1
  insert children n1 e1 @data_editor; insert parents n2 e1 @flag_editor       |
                    | r1: begin; read parents n2 @flag_reader; read children n1 @data_reader; end`;

it("what follows from having seen an edit is no race of its own", () => {
  expect(found(FLAG_THEN_DATA, "hb")).toEqual(["race children", "race parents"]);
  expect(found(FLAG_THEN_DATA, "shb")).toEqual([
    "covered-by-luck children read-from",
    "race parents",
  ]);
});

it("a read is judged before it learns: the first one races", () => {
  const twice = `
    main                                   | io1
    insert children n1 e1 @editor          |
          | r1: begin; read children n1 @first_reader; read children n1 @second_reader; end`;
  expect(found(twice, "hb")).toEqual(["race children", "race children"]);
  expect(found(twice, "shb")).toEqual(["covered-by-luck children read-from", "race children"]);
});

it("only the edit that was made last is seen", () => {
  const overwritten = `
    main                                   | io1                                  | io2
    insert parents n2 e1 @early            |                                      |
    insert children n1 e1 @editor          |                                      |
                                           |                                      | r2: begin; insert children n1 e2 @last; end
                                           | r1: begin; read children n1 @reader; read parents n2 @other; end |`;
  expect(found(overwritten, "shb")).toContain("race parents");
});
