// Edits outside a drain, before it has waited, and off the main context. The drains done wrongly here are those of the
// scenarios of the same name.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import type { Finding } from "../findings.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { rulesOf, verdictOf } from "../test-support/verdict.ts";

function find(text: string, rule: string): Finding {
  const finding = analyze(traceFromText(text)).findings.find((one) => one.rule === rule);
  if (finding === undefined) throw new Error(`no finding of rule ${rule}`);
  return finding;
}

const PROPER = `
      main                             | io1
                                       | r1: begin; inc n1; read children n1 @reader; dec n1; end
      op @bdrv_append; drained s1 n1 @bdrv_append |
      remove children n1 e1 @editor    |
      release s1 n1; op-end            |`;

describe("an edit inside a section of its own operation", () => {
  it("is nothing to report", () => {
    expect(rulesOf(PROPER)).toEqual([]);
  });

  it("nor when the section was begun by the caller", () => {
    const text = `
      main
      drained s1 n1 @caller; op @bdrv_append; remove children n1 e1 @editor; op-end; release s1 n1`;
    expect(rulesOf(text)).toEqual([]);
  });

  it("nor when a section that holds more than this node is used", () => {
    const text = `
      main
      op @f; drain s1 n2 subtree @f; up n2 s1; up n1 s1 e1; waited s1; remove parents n1 e1 @editor; op-end`;
    expect(rulesOf(text)).toEqual([]);
  });
});

describe("edit outside a drain", () => {
  it("no section at all", () => {
    const text = `
      main
      op @bdrv_append; insert parents n1 e1 @editor; op-end`;
    const finding = find(text, "edit-outside-drain");
    expect(finding.why).toBe("No drained section holds node 1 at the edit.");
    expect(finding.accesses[0]?.operations.map(({ name }) => name)).toEqual(["bdrv_append"]);
    expect(finding.advice?.text).toBe(
      "Call bdrv_drained_begin on node 1 before bdrv_append, and bdrv_drained_end after it.",
    );
  });

  it("an instant drain: it ended before the edit", () => {
    const text = `
      main
      op @blk_remove_bs; drained s1 n1 @blk_drain; release s1 n1; remove parents n1 e1 @editor; op-end`;
    expect(find(text, "edit-outside-drain").why).toBe(
      "The drain of node 1 by blk_drain had ended before the edit.",
    );
  });

  it("the parent only: no race, as drains spread upwards, but outside a drain", () => {
    const text = `
      main                             | io1
                                       | r1: begin; inc b1; gate b1; inc n2; read parents n2 @reader; dec n2; dec b1; end
      drained s1 n1 b1 @parent_only    |
      remove parents n2 e1 @editor     |
      release s1 n1 b1                 |
                                       | r2: begin; inc b1; gate b1; inc n2; read parents n2 @reader; dec n2; dec b1; end`;
    expect(verdictOf(text)).toBe("ordered");
    expect(rulesOf(text)).toEqual(["edit-outside-drain"]);
    expect(find(text, "edit-outside-drain").why).toBe(
      "The drain of node 1 by parent_only is open at the edit, but it does not hold node 2.",
    );
  });

  it("a section of somebody else: what runs inside its poll is not its doing", () => {
    const text = `
      main
      op @outer; drained s1 n1 @outer
      bh h1; op @inner; remove parents n1 e1 @editor; op-end; bh-done h1
      release s1 n1; op-end`;
    const finding = find(text, "edit-outside-drain");
    expect(finding.why).toBe(
      "The drain of node 1 by outer holds node 1 at the edit, but this operation did not open it.",
    );
    expect(finding.accesses[0]?.operations.map(({ name }) => name)).toEqual(["inner"]);
  });

  it("a section that an earlier operation forgot to end", () => {
    const text = `
      main
      op @first; drained s1 n1 @first; op-end
      op @second; remove parents n1 e1 @editor; op-end`;
    expect(rulesOf(text)).toEqual(["edit-outside-drain"]);
  });

  it("names a transaction's callback as an operation", () => {
    const text = `
      main
      op @bdrv_set_backing_hd; abort bdrv_replace_child; insert parents n1 e1 @editor; abort-end bdrv_replace_child; op-end`;
    expect(find(text, "edit-outside-drain").accesses[0]?.operations).toMatchObject([
      { name: "bdrv_replace_child_abort", phase: "abort" },
      { name: "bdrv_set_backing_hd", phase: "" },
    ]);
  });

  it("is not said of aliases, which go with the list", () => {
    const text = `
      main
      set file n1 e1 @editor; set edge_bs e1 n2 @editor; set blk_root b1 e1 @editor`;
    expect(rulesOf(text)).toEqual([]);
  });
});

describe("edit before the drain has waited", () => {
  it("the form that does not poll", () => {
    const text = `
      main                             | io1
                                       | r1: begin; inc n1; read children n1 @reader
      op @f; quiesced s1 n1 @no_poll   |
      remove children n1 e1 @editor    |
                                       | r1: dec n1; end
      release s1 n1; op-end            |`;
    expect(rulesOf(text)).toEqual(["race", "edit-before-poll-end"]);
    expect(find(text, "edit-before-poll-end").why).toContain(
      "it has not waited for the requests in flight",
    );
    expect(find(text, "race").accesses[1]?.sectionsOpen).toMatchObject([
      { id: 1, state: "not waited for" },
    ]);
  });
});

describe("objects that nobody else can have seen", () => {
  it("are edited without a drain", () => {
    const text = `
      main
      node n1 new; node n2 below; edge e1 n1 file; op @bdrv_open
      set edge_bs e1 n2 @editor; insert children n1 e1 @editor; insert parents n2 e1 @editor; op-end`;
    expect(rulesOf(text)).toEqual([]);
  });

  it("until an edge from an object in use leads to them", () => {
    const text = `
      main                             | io1
      node n1 new; edge e1 n9 file     | r1: begin; inc n9; dec n9; end
      set edge_bs e1 n1 @editor        |
      insert parents n1 e1 @editor     |`;
    expect(rulesOf(text)).toEqual(["edit-outside-drain"]);
  });

  it("until another context touches them", () => {
    const text = `
      main                             | io1
      node n1 new                      |
                                       | r1: begin; ~inc n1; dec n1; end
      insert parents n1 e1 @editor     |`;
    expect(rulesOf(text)).toEqual(["edit-outside-drain"]);
    expect(rulesOf(text, { marked: false })).toEqual([]);
  });

  it("their later readers must have got them somehow", () => {
    const text = `
      main                             | io1
      blk b1 new; set blk_root b1 e1 @editor; ~schedule h1 |
                                       | bh h1; r1: begin; inc b1; gate b1; read blk_root b1 @reader; dec b1; end`;
    expect(verdictOf(text)).toBe("ordered");
    expect(verdictOf(text, { marked: false })).toBe("race");
  });
});

describe("an edit off the main context", () => {
  it("is in the wrong thread", () => {
    const text = `
      main | io1
           | insert parents n1 e1 @editor`;
    expect(rulesOf(text)).toEqual(["edit-off-main"]);
    expect(find(text, "edit-off-main").title).toBe("editor edits parents of node 1 in context 1.");
  });
});

describe("a change of the graph from a request's completion", () => {
  /** Request 1 of main does `what` in its callback, or, without the mark, when it is over. */
  const completion = (what: string): string => `
      main
      node n1 new; r1: begin c1; request b1; r1: inc b1; ~schedule h1; ${what}; dec b1; end c1`;

  it("an operation that begins there", () => {
    const text = completion("op @bdrv_set_backing_hd; op @bdrv_append; op-end; op-end");
    const findings = analyze(traceFromText(text)).findings;
    expect(findings.map(({ rule, title }) => [rule, title])).toEqual([
      [
        "edit-in-io-completion",
        "bdrv_set_backing_hd changes the graph from the completion of a request.",
      ],
    ]);
  });

  it("an edit outside of any operation", () => {
    expect(rulesOf(completion("set blk_root b2 e1 @blk_remove_bs"))).toEqual([
      "edit-in-io-completion",
    ]);
  });

  it("and in a callback that runs between the end of the work and that of the request", () => {
    const text = `
      main
      bh h1; r1: begin c1; request b1; inc b1; request-end b1
      op @bdrv_set_backing_hd; op-end
      r1: dec b1; end c1; bh-done h1`;
    expect(rulesOf(text)).toEqual(["edit-in-io-completion"]);
    expect(rulesOf(text.replace("op @bdrv_set_backing_hd; op-end", ""))).toEqual([]);
  });

  it("not from what a poll inside the callback runs, nor when the request is over", () => {
    const inside = `
      main
      bh h1; r1: begin c1; request b1; inc b1; request-end b1
      bh h2; op @bdrv_set_backing_hd; op-end; bh-done h2
      r1: dec b1; end c1; bh-done h1`;
    const after = `
      main
      bh h1; r1: begin c1; request b1; inc b1; request-end b1; dec b1; end c1
      op @bdrv_set_backing_hd; op-end; bh-done h1`;
    expect(rulesOf(inside)).toEqual([]);
    expect(rulesOf(after)).toEqual([]);
  });

  it("not from a bottom half that it has scheduled", () => {
    const text = `
      main
      r1: begin c1; request b1; inc b1; schedule h1; dec b1; end c1
      bh h1; op @bdrv_set_backing_hd; op-end; bh-done h1`;
    expect(rulesOf(text)).toEqual([]);
  });
});
