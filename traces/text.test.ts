import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Ev, EventBatch, List, type Site, WORLD_CTX } from "#core/probe";
import { parseText } from "./parse-text.ts";
import { anyBatch, stringsForTests, wordsOf } from "./test-support.ts";
import { eventToJson, formatBatch, formatEvent } from "./text.ts";

const sites: readonly Site[] = [
  { name: "bdrv_is_inserted", file: "block.c", line: 5 },
  { name: "bdrv_replace_child_noperm/parents", file: "block.c", line: 9 },
];
const tables = { strings: stringsForTests, sites };

describe("the text of", () => {
  test.each([
    "ctx1 t12 list_read list=children owner=n3 site=bdrv_is_inserted",
    "ctx1 t12 list_read list=edge_bs owner=e3 site=-",
    "ctx1 - list_read list=blk_root owner=blk3 site=site#7",
    "ctx0 - list_set list=file owner=n3 value=e4 site=bdrv_replace_child_noperm/parents",
    "ctx0 - list_set list=edge_bs owner=e4 value=n3 site=-",
    "world - io_complete op=op9 rank=0 ret=-EIO steps=4",
    "world - io_complete op=op9 rank=2 ret=4096 steps=0",
    "ctx2 t4294 io_submit op=op1 request=write handle=h2 bytes=4096 offset=9007199254740991",
    'ctx0 - edge_new edge=e1 klass=child_root parent=blk2 name="root \\"0\\"\\n"',
    'ctx0 - edge_new edge=e1 klass=child_job parent=j2 name=""',
    "ctx0 - quiesce_transfer owner=blk id=blk2 from=s1 to=s2",
    "ctx0 - drain_begin section=s1 node=n2 kind=blk site=-",
    "ctx0 - drain_begin section=s1 node=n2 kind=subtree site=-",
    "ctx1 - data_decision site=- value=-3 steps=1",
    "ctx1 - poll_begin depth=2 blocking=1",
    "ctx0 - run_end status=assertion steps=3",
  ])("an event reads and writes as: %s", (line) => {
    const parsed = parseText(line, { sites });
    expect(formatBatch(parsed.batch, parsed)).toBe(`${line}\n`);
  });

  test("any events gives back these events", () => {
    fc.assert(
      fc.property(anyBatch, (batch) => {
        const parsed = parseText(formatBatch(batch, tables), tables);
        expect(wordsOf(parsed.batch)).toEqual(wordsOf(batch));
        expect(parsed.strings).toEqual(stringsForTests);
        expect(parsed.sites).toEqual(sites);
      }),
    );
  });

  test("a kind that this version does not know is as its file describes it, or its number", () => {
    const batch = new EventBatch(1);
    batch.push(159, 0, 0, 7);
    const field = {
      name: "node",
      type: "node",
      slot: 0,
      predictor: 0,
      family: 0,
      step: 0,
    } as const;
    const kinds = [{ id: 159, name: "bs_paint", input: false, fields: [field] }];
    expect(formatEvent(batch, 0, tables)).toBe("ctx0 - kind159");
    expect(formatEvent(batch, 0, { ...tables, kinds })).toBe("ctx0 - bs_paint node=n7");
  });
});

describe("drawing a trace", () => {
  test("may leave out what does not matter", () => {
    const {
      batch,
      sites: drawnSites,
      strings,
    } = parseText(`
      # A comment.
      ctx1 list_read owner=3 list=children   # another
      ctx1 t1 list_read site=bdrv_new_site
      ctx0 note text=hello
    `);
    expect(formatBatch(batch, { sites: drawnSites, strings })).toBe(
      [
        "ctx1 - list_read list=children owner=n3 site=-\n",
        "ctx1 t1 list_read list=none owner=n0 site=bdrv_new_site\n",
        'ctx0 - note text="hello"\n',
      ].join(""),
    );
    expect(drawnSites).toEqual([{ name: "bdrv_new_site", file: "drawn", line: 4 }]);
  });

  test.each([
    ["ctx1 - list_raed", '"list_raed" is not a kind of event'],
    ["ctx1 - list_read edge=e1", 'list_read has no field "edge"'],
    ["ctx1 - list_read list=childs", '"childs" is not a list'],
    ["ctx1 - list_read owner=x", '"x" is not a id'],
    ["context1 - list_read", '"context1" is not a ctx'],
    ["ctx1 - io_done ret=-EWHAT", '"-EWHAT" is not a ret'],
    ['ctx1 - note text="\\x"', '"\\x" is not a string'],
  ])("refuses: %s", (line, what) => {
    expect(() => parseText(`\n${line}`)).toThrow(`Line 2 of the trace's text: ${what}.`);
  });
});

test("an event as JSON has its words, strings and sites", () => {
  const batch = new EventBatch(3);
  batch.push(Ev.list_read, 1, 12, List.children, 3, 1);
  batch.push(Ev.bs_new, 0, 0, 3, 1, 2);
  batch.push(Ev.fd_run, WORLD_CTX, 0, 4, 1, 0);
  expect([0, 1, 2].map((i) => eventToJson(batch, i, tables, 100 + i))).toEqual([
    {
      index: 100,
      ctx: 1,
      task: 12,
      event: "list_read",
      list: "children",
      owner: 3,
      site: "bdrv_is_inserted",
    },
    {
      index: 101,
      ctx: 0,
      task: 0,
      event: "bs_new",
      node: 3,
      name: stringsForTests[1],
      driver: stringsForTests[2],
    },
    { index: 102, ctx: null, task: 0, event: "fd_run", bh: 4, external: true, external_count: 0 },
  ]);
});
