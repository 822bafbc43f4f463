import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { parseText } from "#traces";
import { analyze } from "../analyze.ts";
import { collectMaterial } from "./collect.ts";
import type { FindingMaterial } from "./material.ts";
import { drawnFinding, drawnTrace, inputOf } from "./test-support.ts";

function materialOf(options?: { far: boolean }): FindingMaterial {
  const trace = drawnTrace(options);
  const [material] = collectMaterial(inputOf(trace), [drawnFinding(trace)]);
  return must(material, "the finding has material");
}

describe("the material of a finding", () => {
  it("has the graph as it was just before the edit", () => {
    const graph = must(materialOf().graphs[1], "a list has a graph at the edit");
    const names = graph.vertices.map(({ kind, name, quiesced }) => `${kind} ${name} ${quiesced}`);
    // Nearest to the finding's node first; only file0 was drained.
    expect(names).toEqual(["node throttle0 0", "node disk0 0", "blk drive0 0", "node file0 1"]);
    const edges = graph.edges.map(
      ({ parent, child, name, change }) =>
        `${parent.kind}${parent.id} -${name}-> ${child} ${change}`,
    );
    expect(edges).toEqual([
      "node2 -file-> 1 none",
      "node3 -file-> 2 removed",
      "blk1 -root-> 3 none",
    ]);
    expect(graph.edges.every(({ half }) => !half)).toBe(true);
  });

  it("draws an edge that is about to be set where it will lead", () => {
    const parsed = parseText(`
      ctx0 bs_new node=1 name=top driver=raw
      ctx0 bs_new node=2 name=base driver=file
      ctx0 edge_new edge=1 klass=child_of_bds parent=1 name=file
      ctx0 list_set list=edge_bs owner=1 value=2 site=set
    `);
    const finding = drawnFinding(drawnTrace(), {
      list: "edge_bs",
      node: { kind: "edge", id: 1, name: "file" },
      accesses: [],
      first: 3,
    });
    const [material] = collectMaterial(inputOf(parsed), [finding]);
    const edges = material?.graphs.at(-1)?.edges.map(({ child, change, half }) => ({
      child,
      change,
      half,
    }));
    expect(edges).toEqual([{ child: 2, change: "inserted", half: true }]);
  });

  it("has no graph of a node that is not there any more", () => {
    const parsed = parseText(`
      ctx0 bs_new node=1 name=top driver=raw
      ctx0 bs_free node=1
      ctx0 run_end status=ok
    `);
    const finding = drawnFinding(drawnTrace(), {
      node: { kind: "node", id: 1, name: "top" },
      accesses: [],
      first: 2,
    });
    const [material] = collectMaterial(inputOf(parsed), [finding]);
    expect(material?.graphs).toEqual([null]);
  });

  it("a drain through a BlockBackend is that of a node, too", () => {
    const { batch, strings, sites } = parseText(`
      ctx0 bs_new node=1 name=other driver=raw
      ctx0 bs_new node=2 name=disk driver=raw
      ctx0 blk_new blk=1 name=drive
      ctx0 edge_new edge=1 klass=child_root parent=1 name=root
      ctx0 drain_begin section=s1 node=n2 kind=blk site=blk_drain
      ctx0 bs_quiesce node=2 new=1 section=1
      ctx0 drain_poll_end section=1
      ctx0 drain_begun section=1
      ctx0 drain_end section=1 site=blk_drain
      ctx0 bs_unquiesce node=2 new=0 section=1
      ctx0 drain_ended section=1
      ctx0 run_end status=ok
    `);
    const input = { batches: [batch], strings, sites };
    const { findings } = analyze(input, { drains: true });
    expect(findings).toMatchObject([
      { rule: "needless-drain", node: { kind: "node", id: 2, name: "disk" } },
    ]);
    const [material] = collectMaterial(input, findings);
    const labels = material?.lanes?.bars.map(({ kind, label }) => `${kind}: ${label}`);
    expect(labels).toContain("section: blk drain of disk");
  });

  it("has the bars of what lasted around the accesses, with the section's poll phase", () => {
    const lanes = must(materialOf().lanes, "there are lanes");
    expect(lanes.contexts).toEqual([
      { ctx: 0, name: "main" },
      { ctx: 1, name: "iothread0" },
    ]);
    const section = must(
      lanes.bars.find(({ kind }) => kind === "section"),
      "the section has a bar",
    );
    expect(section.label).toBe("single drain of file0");
    expect(section.holdsNode).toBe(false);
    expect(section.from < must(section.pollEnd, "it waited")).toBe(true);
    expect(must(section.pollEnd, "it waited") < must(section.to, "it ended")).toBe(true);
    const operations = lanes.bars
      .filter(({ kind }) => kind === "operation")
      .map(({ label }) => label);
    expect(operations).toEqual([
      "bdrv_drop_filter",
      "commit of bdrv_replace_child",
      "bdrv_replace_child_noperm",
    ]);
    expect(lanes.bars.map(({ label }) => label)).toContain("request 40: flush");
  });

  it("leaves out what lies between accesses that are far apart", () => {
    const near = must(materialOf().lanes, "there are lanes");
    const far = must(materialOf({ far: true }).lanes, "there are lanes");
    expect(near.ranges).toHaveLength(1);
    expect(far.ranges).toHaveLength(2);
    const [first, second] = far.ranges;
    const between = far.bars.filter(
      ({ from, to }) =>
        from > must(first, "two").to && to !== null && to < must(second, "two").from,
    );
    expect(between).toEqual([]);
    // What spans the gap is kept.
    expect(far.bars.map(({ label }) => label)).toContain("bdrv_drop_filter");
  });

  it("has other accesses to the same list, and none to other lists", () => {
    const lanes = must(materialOf().lanes, "there are lanes");
    const sites = new Set(lanes.marks.map(({ site }) => site?.name));
    expect(sites).toContain("bdrv_is_inserted");
    expect(sites).not.toContain("bdrv_replace_child_noperm/parents");
  });

  it("ends with the trace: a bar that is still open has no end", () => {
    const lanes = must(materialOf().lanes, "there are lanes");
    const open = lanes.bars.filter(({ to }) => to === null);
    expect(open.map(({ kind }) => kind)).toContain("task");
  });

  it("is nothing for the findings beyond the limit", () => {
    const trace = drawnTrace();
    const findings = Array.from({ length: 70 }, () => drawnFinding(trace));
    const material = collectMaterial(inputOf(trace), findings);
    expect(material).toHaveLength(70);
    expect(material.filter((one) => one !== null)).toHaveLength(60);
  });

  it("has no graph where the finding names no node", () => {
    const trace = drawnTrace();
    const finding = drawnFinding(trace, { rule: "deadlock", list: null, node: null, accesses: [] });
    const [material] = collectMaterial(inputOf(trace), [finding]);
    expect(material?.graphs).toEqual([null]);
    expect(material?.lanes?.bars.length).toBeGreaterThan(0);
  });
});
