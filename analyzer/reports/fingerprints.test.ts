// Fingerprints of findings that the analyzer makes: the same when lines shift, when numbers of sites and nodes differ, and
// whichever side of a pair came first.
//
//   ctx1  request reads children of node 2      \  in this order, or the other: it is one race
//   main  removes an edge from the same list    /

import { expect, it } from "vitest";
import { parseText } from "#traces";
import { analyze } from "../analyze.ts";
import type { AnalysisResult } from "../findings.ts";
import { sarifReport } from "./sarif-report.ts";
import { factsForTests } from "./test-support.ts";

const GRAPH = `
ctx0 ctx_new id=0 name=main
ctx0 ctx_new id=1 name=io0
ctx0 bs_new node=1 name=file driver=file
ctx0 bs_new node=2 name=disk driver=raw
ctx0 blk_new blk=1 name=drive
ctx0 edge_new edge=1 klass=child_of_bds parent=2 name=file
ctx0 list_insert list=children owner=2 edge=1
ctx1 t1 task_begin id=1
`;
const READ = "ctx1 t1 list_read list=children owner=2 site=bdrv_is_inserted\n";
const EDIT = `ctx0 graph_op_begin site=bdrv_unref_child
ctx0 list_remove list=children owner=2 edge=1 site=bdrv_child_cb_detach
ctx0 graph_op_end site=bdrv_unref_child
`;
const END = "ctx0 run_end status=ok\n";

interface Prints {
  readonly fingerprint: string;
  readonly partial: Record<string, string>;
}

/** The race of the drawn trace at the site `name`, with `shift` lines inserted above every site. */
function prints(text: string, shift = 0, name = "bdrv_child_cb_detach"): Prints[] {
  const { batch, strings, sites } = parseText(text);
  const moved = sites.map(({ name }, index) => ({
    name,
    file: "core/a.ts",
    line: 10 * index + 1 + shift,
  }));
  const result: AnalysisResult = analyze({ batches: [batch], strings, sites: moved });
  const trace = { facts: factsForTests, result, material: [] };
  const tool = { name: "quiesce", version: "0" } as const;
  const results = sarifReport({ tool, traces: [trace] }, { exitCode: 1 }).runs[0]?.results ?? [];
  return result.findings.flatMap(({ rule, fingerprint, accesses }, index) => {
    // The read also races with the edge's first insertion, which nothing told ctx1 of.
    const isIt = rule === "race" && accesses.some(({ site }) => site.name === name);
    return isIt ? [{ fingerprint, partial: results[index]?.partialFingerprints ?? {} }] : [];
  });
}

const readFirst = prints(GRAPH + READ + EDIT + END);

it("the drawn trace has one race, with a fingerprint of its pair", () => {
  expect(readFirst).toHaveLength(1);
  expect(readFirst[0]?.partial["racePairHash/v2"]).toMatch(/^[0-9a-f]{16}$/);
});

it("fingerprints survive a shift of lines", () => {
  expect(prints(GRAPH + READ + EDIT + END, 100)).toEqual(readFirst);
});

it("fingerprints know no order of the two sides", () => {
  const editFirst = prints(GRAPH + EDIT + READ + END);
  expect(editFirst).toEqual(readFirst);
});

//   ctx1  f reads, main  g edits      \  two things to mend, each with a drain around another edit
//   ctx1  g reads, main  f edits      /
it("which side edits makes another finding, and another pair", () => {
  const as = (reads: string, edits: string) =>
    READ.replace("bdrv_is_inserted", reads) + EDIT.replaceAll("bdrv_child_cb_detach", edits);
  const detached = (text: string) => prints(GRAPH + text + END, 0, "bdrv_co_flush");
  const [one] = detached(as("bdrv_is_inserted", "bdrv_co_flush"));
  const [other] = detached(as("bdrv_co_flush", "bdrv_is_inserted"));
  expect(one?.fingerprint).toMatch(/^[0-9a-f]{16}$/);
  expect(other?.fingerprint).not.toBe(one?.fingerprint);
  expect(other?.partial["racePairHash/v2"]).not.toBe(one?.partial["racePairHash/v2"]);
});

it("another reader is another finding, and another pair", () => {
  const other = prints(GRAPH + READ.replace("bdrv_is_inserted", "bdrv_co_flush") + EDIT + END);
  expect(other[0]?.fingerprint).not.toBe(readFirst[0]?.fingerprint);
  expect(other[0]?.partial["racePairHash/v2"]).not.toBe(readFirst[0]?.partial["racePairHash/v2"]);
});

it("another caller is another finding of the same pair", () => {
  const other = prints(
    GRAPH + READ + EDIT.replaceAll("bdrv_unref_child", "bdrv_drop_filter") + END,
  );
  expect(other[0]?.fingerprint).not.toBe(readFirst[0]?.fingerprint);
  expect(other[0]?.partial["racePairHash/v2"]).toBe(readFirst[0]?.partial["racePairHash/v2"]);
});
