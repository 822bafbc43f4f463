// Which pairs there are, what covers them, and what the table and the findings say about them.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { verdictOf } from "../test-support/verdict.ts";

const READ = "begin; inc n1; read children n1 @reader; dec n1; end";

describe("pairs", () => {
  it("a read is judged against the edit before it and the edit after it, and no other", () => {
    const { coverage } = analyze(
      traceFromText(`
      main                          | io1
      remove children n1 e1 @first  |
      remove children n1 e1 @before |
                                    | r1: ${READ}
      insert children n1 e1 @after  |
      insert children n1 e1 @last   |`),
    );
    expect(coverage.map(({ reader, editor }) => `${reader.name} ${editor.name}`)).toEqual([
      "reader after",
      "reader before",
    ]);
  });

  it("main's own reads are none, even of a request that runs there", () => {
    expect(
      verdictOf(`
      main
      read children n1 @reader; r1: ${READ}
      remove children n1 e1 @editor`),
    ).toBe("no pair");
  });

  it("a task's own read is none", () => {
    expect(
      verdictOf(`
      main | io1
           | r1: begin; read children n1 @reader; remove children n1 e1 @editor; end`),
    ).toBe("no pair");
  });

  it("lists and owners are told apart", () => {
    expect(
      verdictOf(`
      main                          | io1
                                    | r1: ${READ}
      remove parents n1 e1 @editor; remove children n2 e1 @editor |`),
    ).toBe("no pair");
  });

  it("two edits off main are a pair", () => {
    const { coverage } = analyze(
      traceFromText(`
      main | io1                                  | io2
           | remove children n1 e1 @one           |
           |                                      | remove children n1 e2 @two`),
    );
    expect(coverage).toMatchObject([
      { readerIsEdit: true, reader: { name: "one" }, editor: { name: "two" }, uncovered: 1 },
    ]);
  });
});

/** Each list: a read of it, and an edit. */
const LISTS = [
  ["children", "read children n1", "remove children n1 e1"],
  ["parents", "read parents n1", "insert parents n1 e1"],
  ["file", "read file n1", "set file n1 e1"],
  ["backing", "read backing n1", "set backing n1 e0"],
  ["edge_bs", "read edge_bs e1", "set edge_bs e1 n2"],
  ["blk_root", "read blk_root b1", "set blk_root b1 e0"],
] as const;

describe.each(LISTS)("a race on %s", (list, read, edit) => {
  const drawing = (around: string) => `
      main                          | io1
      edge e1 n1 file; set blk_root b1 e9 @setup; insert parents n1 e9 @setup |
                                    | r1: begin; inc b1; inc n1; ${read} @reader; dec n1; dec b1; end
      ${around.replace("EDIT", `${edit} @editor`)} |`;

  it("is a read that nothing orders with an edit", () => {
    const { findings } = analyze(traceFromText(drawing("EDIT")));
    const races = findings.filter(
      ({ rule, accesses }) => rule === "race" && accesses[1]?.site.name === "editor",
    );
    expect(races).toMatchObject([
      { list, accesses: [{ what: "read", site: { name: "reader" } }, { what: "edit" }] },
    ]);
  });

  it("and none with a drained section of what the reader holds around the edit", () => {
    expect(verdictOf(drawing("drained s1 n1 b1 @drainer; EDIT; release s1 n1 b1"))).toBe(
      "covered by drainer",
    );
  });
});

describe("covered", () => {
  it("by the section that held the node at the edit, when it has waited", () => {
    const text = (section: string): string => `
      main                          | io1
                                    | r1: ${READ}
      drain s1 n1 @inner; up n1 s1; zero n1 s1; ${section}; remove children n1 e1 @editor; release s1 n1 |`;
    expect(verdictOf(text("waited s1"))).toBe("covered by inner");
    expect(verdictOf(text("begun s1"))).toBe("ordered");
  });

  it("not when the request came between the wait's end and the edit", () => {
    expect(
      verdictOf(`
      main                          | io1
      drained s1 n1 @drainer        |
                                    | r1: ${READ}
      zero n1 s1; remove children n1 e1 @editor; release s1 n1 |`),
    ).toBe("ordered");
  });

  it("by a later wait of the same section: what is attached to a drained subtree is waited for again", () => {
    expect(
      verdictOf(`
      main                          | io1
      drain s1 n2 @drainer; up n2 s1; waited s1 |
                                    | r1: ${READ}
      up n1 s1; zero n1 s1; waited s1; remove children n1 e1 @editor; release s1 n2 n1 |`),
    ).toBe("covered by drainer");
  });

  it("not by a section that holds another node", () => {
    expect(
      verdictOf(`
      main                          | io1
                                    | r1: begin; inc n2; read children n1 @reader; dec n2; end
      drained s1 n2 @drainer; remove children n1 e1 @editor; release s1 n2 |`),
    ).toBe("ordered");
  });

  it("not by a section of an iothread", () => {
    expect(
      verdictOf(`
      main                          | io1                       | io2
                                    | r1: ${READ}               |
                                    |                           | drained s1 n1 @drainer
      remove children n1 e1 @editor |                           |`),
    ).toBe("race");
  });

  it("an edge's node: by a section that holds the edge's parent", () => {
    const text = (held: string): string => `
      main                          | io1
      edge e1 b1 root               | r1: begin; inc b1; read edge_bs e1 @reader; dec b1; end
      drained s1 n1 ${held} @drainer; set edge_bs e1 n2 @editor; release s1 n1 ${held} |`;
    expect(verdictOf(text("b1"))).toBe("covered by drainer");
    expect(verdictOf(text("b2"))).toBe("race");
  });

  it("a BlockBackend's root: by a section that holds the BlockBackend", () => {
    expect(
      verdictOf(`
      main                          | io1
                                    | r1: begin; inc b1; read blk_root b1 @reader; dec b1; end
      drained s1 n1 b1 @drainer; set blk_root b1 e0 @editor; release s1 n1 b1 |`),
    ).toBe("covered by drainer");
  });
});

describe("findings of pairs", () => {
  const TWICE = `
      main                          | io1
                                    | r1: ${READ}
                                    | r2: ${READ}
      op @bdrv_append; remove children n1 e1 @editor; op-end |
                                    | r3: ${READ}`;

  it("are one a pair of functions, with a count", () => {
    const { findings } = analyze(traceFromText(TWICE));
    const races = findings.filter(({ rule }) => rule === "race");
    expect(races).toHaveLength(1);
    expect(races[0]).toMatchObject({ count: 3, list: "children", node: { kind: "node", id: 1 } });
    expect(races[0]?.accesses.map(({ what, task, site }) => [what, task, site.name])).toEqual([
      ["read", 2, "reader"],
      ["edit", 0, "editor"],
    ]);
  });

  it("say which drain would help, around the outermost operation", () => {
    const { findings } = analyze(traceFromText(TWICE));
    expect(findings[0]?.advice).toMatchObject({
      kind: "single",
      node: { id: 1 },
      around: { name: "bdrv_append" },
    });
  });

  it("ask for a subtree drain when the reader holds only a counter below", () => {
    const { findings } = analyze(
      traceFromText(`
      main                          | io1
      edge e1 n1 file; insert children n1 e1 @setup; set edge_bs e1 n2 @setup; insert parents n2 e1 @setup |
                                    | r1: begin; inc n2; read children n1 @reader; dec n2; end
      remove children n1 e1 @editor |`),
    );
    expect(
      findings.find(({ rule, accesses }) => rule === "race" && accesses[1]?.site.name === "editor")
        ?.advice?.kind,
    ).toBe("subtree");
  });

  it("give no advice for a reader that no drain can wait for", () => {
    const { findings } = analyze(
      traceFromText(`
      main                          | io1
                                    | read children n1 @plug
      drained s1 n1 @f; remove children n1 e1 @editor; release s1 n1 |`),
    );
    expect(findings[0]).toMatchObject({ rule: "race", advice: null });
    expect(findings[0]?.why).toContain("belongs to no task");
  });

  it("have the same fingerprint whichever access comes first", () => {
    const first = analyze(
      traceFromText(`
      main                          | io1
                                    | r1: ${READ}
      remove children n1 e1 @editor |`),
    ).findings;
    const second = analyze(
      traceFromText(`
      main                          | io1
      remove children n7 e1 @editor |
                                    | r9: begin; inc n7; read children n7 @reader; dec n7; end`),
    ).findings;
    expect(first[0]?.rule).toBe("race");
    expect(first[0]?.fingerprint).toBe(second[0]?.fingerprint);
    expect(first[0]?.fingerprint).toMatch(/^[0-9a-f]{16}$/);
  });

  it("lucky pairs are not repeated where the same pair races", () => {
    const rules = analyze(
      traceFromText(`
      main                          | io1
                                    | lock l1; r1: ${READ}; unlock l1
      lock l1; remove children n1 e1 @editor; unlock l1 |
                                    | r2: ${READ}
      remove children n1 e1 @editor |`),
    ).findings.map(({ rule }) => rule);
    expect(rules.filter((rule) => rule !== "edit-outside-drain")).toEqual(["race"]);
  });
});
