// Helpers of this folder's tests: a drawn trace with one race in it, and the analysis of it, written by hand.
//
//   main                              iothread0
//   bdrv_drop_filter begins
//     drains disk0's neighbour        request 1 begins (write)
//     (waits)                           reads children of throttle0     <- access 1
//   bdrv_replace_child_noperm         request 2 begins
//     removes edge 2 from children      <- access 2: nothing orders the two

import { must } from "#core/base";
import { Ev, type Site } from "#core/probe";
import { type ParsedText, parseText } from "#traces";
import type { Access, AnalysisResult, CoverageRow, Finding, OwnerRef } from "../findings.ts";
import type { TraceInput } from "../input.ts";
import { collectMaterial } from "./collect.ts";
import type { Report, RunFacts } from "./report.ts";

const GRAPH = `
ctx0 ctx_new id=0 name=main
ctx0 lock_new lock=1 kind=aio_context name=main
ctx0 ctx_new id=1 name=iothread0
ctx0 lock_new lock=2 kind=aio_context name=iothread0
ctx0 bs_new node=1 name=file0 driver=file
ctx0 bs_new node=2 name=disk0 driver=raw
ctx0 bs_new node=3 name=throttle0 driver=throttle
ctx0 blk_new blk=1 name=drive0
ctx0 edge_new edge=1 klass=child_of_bds parent=2 name=file
ctx0 list_set list=edge_bs owner=1 value=1
ctx0 list_insert list=children owner=2 edge=1
ctx0 list_insert list=parents owner=1 edge=1
ctx0 edge_new edge=2 klass=child_of_bds parent=3 name=file
ctx0 list_set list=edge_bs owner=2 value=2
ctx0 list_insert list=children owner=3 edge=2
ctx0 list_insert list=parents owner=2 edge=2
ctx0 edge_new edge=3 klass=child_root parent=1 name=root
ctx0 list_set list=edge_bs owner=3 value=3
ctx0 list_insert list=parents owner=3 edge=3
ctx0 bs_ctx node=1 old=0 new=1
ctx0 bs_ctx node=2 old=0 new=1
ctx0 bs_ctx node=3 old=0 new=1
ctx0 blk_ctx blk=1 old=0 new=1
`;

/** Requests that come and go while the race happens; `count` of them. */
function traffic(first: number, count: number): string {
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    const task = first + i;
    lines.push(
      `ctx1 t${task} task_begin id=${task}`,
      `ctx1 t${task} req_begin blk=1 type=${i % 3 === 0 ? "read" : "write"} bytes=4096 offset=${i * 4096}`,
    );
    lines.push(
      `ctx1 t${task} bs_in_flight_inc node=3 new=1`,
      `ctx1 t${task} list_read list=children owner=3 site=bdrv_is_inserted`,
    );
    if (i >= 2)
      lines.push(
        `ctx1 t${task - 2} bs_in_flight_dec node=3 new=1`,
        `ctx1 t${task - 2} task_end id=${task - 2}`,
      );
  }
  return lines.join("\n");
}

const RACE = `
ctx0 graph_op_begin site=bdrv_drop_filter
ctx0 drain_begin section=1 node=1 kind=single site=bdrv_drop_filter/drain
ctx0 bs_quiesce node=1 new=1 section=1 edge=0
ctx0 wait_begin wait=1 waits_for=0 site=bdrv_do_drained_begin
ctx1 t40 list_read list=children owner=3 site=bdrv_co_flush
ctx0 wait_end wait=1 waited=1
ctx0 drain_poll_end section=1
ctx0 drain_begun section=1
ctx0 tran_action_begin tran=1 phase=commit action=bdrv_replace_child
ctx0 graph_op_begin site=bdrv_replace_child_noperm
ctx0 list_remove list=children owner=3 edge=2 site=bdrv_replace_child_noperm
ctx0 list_remove list=parents owner=2 edge=2 site=bdrv_replace_child_noperm/parents
ctx0 graph_op_end site=bdrv_replace_child_noperm
ctx0 tran_action_end tran=1 phase=commit action=bdrv_replace_child
ctx0 drain_end section=1 site=bdrv_drop_filter/drain
ctx0 bs_unquiesce node=1 new=0 section=1 edge=0
ctx0 drain_ended section=1
ctx0 graph_op_end site=bdrv_drop_filter
`;

/** Where the functions of the drawn trace stand. */
const PLACES: Readonly<Record<string, readonly [file: string, line: number]>> = {
  bdrv_is_inserted: ["core/io/is-inserted.ts", 24],
  bdrv_co_flush: ["core/io/flush.ts", 61],
  bdrv_drop_filter: ["core/graph/drop-filter.ts", 30],
  "bdrv_drop_filter/drain": ["core/graph/drop-filter.ts", 34],
  bdrv_do_drained_begin: ["core/io/drain.ts", 118],
  bdrv_replace_child_noperm: ["core/graph/replace-child.ts", 77],
  "bdrv_replace_child_noperm/parents": ["core/graph/replace-child.ts", 81],
};

/** The drawn trace; `far` puts thousands of events between the two accesses. */
export function drawnTrace({ far = false } = {}): ParsedText {
  const [before, after] = RACE.split("ctx0 wait_end");
  const gap = far ? traffic(50, 600) : traffic(50, 4);
  const text = `${GRAPH}${traffic(1, 12)}\nctx1 t40 task_begin id=40\nctx1 t40 req_begin blk=1 type=flush\n${before}${gap}\nctx0 wait_end${after}${traffic(700, 3)}\nctx0 run_end status=ok\n`;
  const parsed = parseText(text);
  const sites = parsed.sites.map((site): Site => {
    const [file, line] = PLACES[site.name] ?? ["core/unknown.ts", 1];
    return { name: site.name, file, line };
  });
  return { ...parsed, sites };
}

/** The trace as analyzers read it. */
export function inputOf({ batch, strings, sites }: ParsedText): TraceInput {
  return { batches: [batch], strings, sites };
}

function siteNamed(trace: ParsedText, name: string): Site {
  return must(
    trace.sites.find((site) => site.name === name),
    "the drawing has the site",
  );
}

const NODE: OwnerRef = { kind: "node", id: 3, name: "throttle0" };

/** The race of the drawn trace, as the analyzer would tell it. */
export function drawnFinding(trace: ParsedText, changes: Partial<Finding> = {}): Finding {
  const accesses = [readAccess(trace), editAccess(trace)];
  return {
    rule: "race",
    severity: "error",
    list: "children",
    node: NODE,
    title:
      "The children of throttle0 are read in bdrv_co_flush while bdrv_drop_filter edits them: no drain covers it",
    accesses,
    site: null,
    why: "The drained section of bdrv_drop_filter holds file0, which is below throttle0: requests of throttle0 go on",
    advice: {
      kind: "subtree",
      node: NODE,
      around: siteNamed(trace, "bdrv_drop_filter"),
      text: "Begin a subtree drained section of throttle0 before bdrv_drop_filter and end it after",
    },
    luckyEdge: null,
    count: 132,
    first: must(accesses[1], "two accesses").event,
    last: must(accesses[1], "two accesses").event,
    fingerprint: "0123456789abcdef",
    ...changes,
  };
}

function readAccess(trace: ParsedText): Access {
  const site = siteNamed(trace, "bdrv_co_flush");
  const event = eventOf(trace, Ev.list_read, 40);
  return {
    what: "read",
    event,
    ctx: 1,
    ctxName: "iothread0",
    task: 40,
    taskText: "request 40: flush on blk drive0",
    site,
    detail: "",
    operations: [],
    sectionsOpen: [],
  };
}

function editAccess(trace: ParsedText): Access {
  const around = siteNamed(trace, "bdrv_drop_filter");
  const begin = eventOf(trace, Ev.drain_begin, 0);
  return {
    what: "edit",
    event: eventOf(trace, Ev.list_remove, 0),
    ctx: 0,
    ctxName: "main",
    task: 0,
    taskText: "main context",
    site: siteNamed(trace, "bdrv_replace_child_noperm"),
    detail: "removes edge 2 (file)",
    operations: [
      {
        name: "bdrv_replace_child",
        file: "core/graph/replace-child.ts",
        line: 120,
        phase: "commit",
      },
      { ...around, phase: "" },
    ],
    sectionsOpen: [
      {
        id: 1,
        kind: "single",
        node: { kind: "node", id: 1, name: "file0" },
        site: siteNamed(trace, "bdrv_drop_filter/drain"),
        state: "drained",
        begin,
      },
    ],
  };
}

function eventOf({ batch }: ParsedText, kind: number, task: number): number {
  for (let index = 0; index < batch.count; index++) {
    if (batch.kind(index) === kind && batch.task(index) === task) return index;
  }
  throw new Error("the drawing has no such event");
}

/** Coverage with every outcome in it. */
export function drawnCoverage(trace: ParsedText): CoverageRow[] {
  const edit = siteNamed(trace, "bdrv_replace_child_noperm");
  const operation = siteNamed(trace, "bdrv_drop_filter");
  const drain = siteNamed(trace, "bdrv_drop_filter/drain");
  const row = (changes: Partial<CoverageRow>): CoverageRow => ({
    list: "children",
    reader: siteNamed(trace, "bdrv_is_inserted"),
    readerIsEdit: false,
    editor: edit,
    editorOperation: operation,
    pairs: 1335,
    covered: [{ site: drain, kind: "subtree", count: 1203 }],
    orderedBySanction: 0,
    luck: [],
    uncovered: 132,
    ...changes,
  });
  return [
    row({}),
    row({
      reader: siteNamed(trace, "bdrv_co_flush"),
      pairs: 40,
      covered: [],
      luck: [{ edge: { kind: "lock", name: "iothread0" }, count: 40 }],
      uncovered: 0,
    }),
    row({
      list: "parents",
      reader: edit,
      readerIsEdit: true,
      pairs: 12,
      orderedBySanction: 12,
      covered: [],
      uncovered: 0,
    }),
  ];
}

/** The facts of a run, as the command line gives them. */
export const factsForTests: RunFacts = {
  trace: "demo.trace",
  label: "patches 10 and 11 off, no lock",
  scenario: "demo",
  seed: 7,
  host: "simulated",
  lock: "none",
  patchesOff: [10, 11],
  level: "full",
  digest: "5f0e",
  replayCommand: "quiesce replay demo.trace",
};

/** A report over the drawn trace. */
export function drawnReport(
  findings?: (trace: ParsedText) => Finding[],
  options = { far: false },
): Report {
  const trace = drawnTrace(options);
  const found = findings?.(trace) ?? [drawnFinding(trace)];
  const result: AnalysisResult = {
    events: trace.batch.count,
    findings: found,
    coverage: drawnCoverage(trace),
    complete: true,
    runStatus: "ok",
    reading: "thread",
    notes: [],
  };
  const material = collectMaterial(inputOf(trace), found);
  return {
    tool: { name: "quiesce", version: "0.1.0" },
    traces: [{ facts: factsForTests, result, material }],
  };
}
