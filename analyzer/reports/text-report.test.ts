import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import type { Finding } from "../findings.ts";
import { coverageText } from "./coverage-report.ts";
import { drawnFinding, drawnReport } from "./test-support.ts";
import { findingsText, type TextOptions } from "./text-report.ts";

const PLAIN: TextOptions = { columns: 100, paint: (_, text) => text };
const [report] = drawnReport().traces;
const [clean] = drawnReport(() => []).traces;

describe("the text report", () => {
  it("says what raced, why, what would cover it, and how to see it again", () => {
    expect(`\n${findingsText(must(report, "a trace"), PLAIN)}`).toMatchInlineSnapshot(`
      "
      race  The children of throttle0 are read in bdrv_co_flush while bdrv_drop_filter edits them: no
            drain covers it
          children of node throttle0 (3) · seen 132 times · 0123456789abcdef
          read  bdrv_co_flush  core/io/flush.ts:61                                     iothread0, event 97
          edit  bdrv_replace_child_noperm  core/graph/replace-child.ts:77                  main, event 123
          fix   Begin a subtree drained section of throttle0 before bdrv_drop_filter and end it after

          why   The drained section of bdrv_drop_filter holds file0, which is below throttle0: requests of
                throttle0 go on
          read  iothread0, request 40: flush on blk drive0
                beside single drain of file0, begun in bdrv_drop_filter (core/graph/drop-filter.ts:34),
                       waiting
          edit  main, main context: removes edge 2 (file)
                within commit of bdrv_replace_child < bdrv_drop_filter (core/graph/drop-filter.ts:30)
                under single drain of file0, begun in bdrv_drop_filter (core/graph/drop-filter.ts:34),
                      drained
          path  drive0 > throttle0
          again quiesce replay demo.trace --to 123

      demo.trace: 1 race in 146 events
      "
    `);
  });

  it("is never wider than asked, but for words that cannot be broken", () => {
    for (const columns of [70, 80, 140]) {
      const lines = findingsText(must(report, "a trace"), { ...PLAIN, columns }).split("\n");
      expect(lines.filter((line) => line.length > columns && line.trim().includes(" "))).toEqual(
        [],
      );
    }
  });

  it("marks severity by style", () => {
    const styles = new Set<string>();
    findingsText(must(report, "a trace"), {
      ...PLAIN,
      paint: (style, text) => {
        styles.add(style);
        return text;
      },
    });
    expect([...styles].sort()).toEqual(["bad", "dim", "name", "strong", "title"]);
  });

  it("says so when there is nothing, or not all of it", () => {
    const trace = must(clean, "a trace");
    expect(findingsText(trace, PLAIN)).toBe("demo.trace: no findings in 146 events\n");
    const cut = { ...trace, result: { ...trace.result, complete: false } };
    expect(findingsText(cut, PLAIN)).toContain("the recording is incomplete");
  });

  it("prints sixty paragraphs and counts the rest", () => {
    const many = drawnReport((trace) =>
      Array.from({ length: 90 }, (_, id) =>
        drawnFinding(trace, { node: { kind: "node", id, name: "n" } }),
      ),
    );
    const text = findingsText(must(many.traces[0], "a trace"), PLAIN);
    expect(text.match(/^race {2}/gm)).toHaveLength(60);
    expect(text).toContain("… and 30 findings more");
  });

  it("puts the reads that meet one edit into one paragraph", () => {
    const several = drawnReport((trace) => {
      const finding = drawnFinding(trace);
      const other = finding.accesses.map((access) =>
        access.what === "edit"
          ? access
          : { ...access, site: { ...access.site, name: "bdrv_co_preadv" } },
      );
      return [
        finding,
        drawnFinding(trace, { accesses: other, count: 7, fingerprint: "00000000000000bb" }),
      ];
    });
    expect(`\n${findingsText(must(several.traces[0], "a trace"), PLAIN)}`).toMatchInlineSnapshot(`
      "
      race  2 reads of children of node throttle0 (3) can overlap an edit in bdrv_replace_child_noperm.
          children of node throttle0 (3) · seen 139 times
          read  bdrv_co_flush  core/io/flush.ts:61 and 1 more                          iothread0, event 97
          edit  bdrv_replace_child_noperm  core/graph/replace-child.ts:77                  main, event 123
          fix   Begin a subtree drained section of throttle0 before bdrv_drop_filter and end it after

          why   The drained section of bdrv_drop_filter holds file0, which is below throttle0: requests of
                throttle0 go on
          edit  main, main context: removes edge 2 (file)
                within commit of bdrv_replace_child < bdrv_drop_filter (core/graph/drop-filter.ts:30)
                under single drain of file0, begun in bdrv_drop_filter (core/graph/drop-filter.ts:34),
                      drained
          read  bdrv_co_flush  core/io/flush.ts:61
                iothread0, request 40: flush on blk drive0
                beside single drain of file0, begun in bdrv_drop_filter (core/graph/drop-filter.ts:34),
                       waiting
                0123456789abcdef, 132 times, event 97
          read  bdrv_co_preadv  core/io/flush.ts:61
                iothread0, request 40: flush on blk drive0
                beside single drain of file0, begun in bdrv_drop_filter (core/graph/drop-filter.ts:34),
                       waiting
                00000000000000bb, 7 times, event 97
          path  drive0 > throttle0
          again quiesce replay demo.trace --to 123

      demo.trace: 2 races in 146 events
      "
    `);
  });
});

it("coverage as text has a line for each pair of functions, and how its pairs are ordered", () => {
  const rows = must(report, "a trace").result.coverage;
  expect(`\n${coverageText(rows, PLAIN)}`).toMatchInlineSnapshot(`
    "
      pairs     times that the first function read the list and the second edited it
      drained   a drained section around the edit orders the two
      ordered   the protocol orders them, without such a section
      by luck   only an accident orders them: another schedule can make it a race
      uncovered nothing orders them: a race

    children                                               pairs   drained   ordered   by luck uncovered
      bdrv_is_inserted × bdrv_replace_child_noperm in bdrv_drop_filter
                                                           1,335     1,203         0         0       132
          1,203 covered by the subtree drain of bdrv_drop_filter (core/graph/drop-filter.ts:34)
      bdrv_co_flush × bdrv_replace_child_noperm in bdrv_drop_filter
                                                              40         0         0        40         0
          40 ordered by luck: lock of iothread0

    parents                                                pairs   drained   ordered   by luck uncovered
      edit bdrv_replace_child_noperm × bdrv_replace_child_noperm in bdrv_drop_filter
                                                              12         0        12         0         0
    "
  `);
  expect(coverageText([], PLAIN)).toBe("No list was both read and edited.\n");
});

describe("a finding that shows at no access of its own", () => {
  const stack = [
    { function: "bdrvDecInFlight", file: "core/io/in-flight.ts", line: 7 },
    { function: "bdrvCoFlush", file: "core/io/flush.ts", line: 61 },
  ];
  const textOf = (changes: Partial<Finding>): string => {
    const [trace] = drawnReport((drawn) => [
      drawnFinding(drawn, { advice: null, ...changes }),
    ]).traces;
    return findingsText({ ...must(trace, "a trace"), stacks: new Map([[130, stack]]) }, PLAIN);
  };

  it("says which function to look at, at which event it shows, and what was running there", () => {
    const site = { name: "bdrv_co_flush/dec", file: "core/io/flush.ts", line: 61 };
    const bare = { rule: "unfinished-drain", accesses: [], first: 130, last: 130 } as const;
    expect(textOf({ ...bare, site })).toMatch(
      /^ {4}look {2}bdrv_co_flush {2}core\/io\/flush\.ts:61 +event 130$/m,
    );
    expect(textOf({ ...bare, rule: "unbalanced-counter", site: null })).toMatch(
      /^ {4}at {4}event 130$/m,
    );
    expect(textOf({ ...bare, site: null })).toMatch(
      /^ {10}stack bdrvDecInFlight \(core\/io\/in-flight\.ts:7\)\n {16}bdrvCoFlush \(core\/io\/flush\.ts:61\)\n {4}path {2}drive0 > throttle0\n {4}again quiesce replay demo\.trace --to 130$/m,
    );
  });

  it("says so after the accesses that led to it: a use of what had gone stale", () => {
    expect(textOf({ rule: "stale-pointer", first: 130, last: 130 })).toMatch(
      /^ {4}then {2}event 130\n {10}stack bdrvDecInFlight [\s\S]*--to 130$/m,
    );
    expect(textOf({})).not.toContain("then  ");
  });
});
