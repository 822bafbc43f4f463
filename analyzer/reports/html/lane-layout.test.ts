import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { collectMaterial } from "../collect.ts";
import { drawnFinding, drawnTrace, inputOf } from "../test-support.ts";
import { type LaneLayout, layOutLanes } from "./lane-layout.ts";
import { lanesSvg } from "./lanes-svg.ts";

function layoutOf(options?: { far: boolean }): LaneLayout {
  const trace = drawnTrace(options);
  const finding = drawnFinding(trace);
  const [material] = collectMaterial(inputOf(trace), [finding]);
  return layOutLanes(finding, must(material?.lanes, "there are lanes"));
}

describe.each([
  ["near", layoutOf()],
  ["far", layoutOf({ far: true })],
])("the lanes of accesses that are %s to each other", (_, layout) => {
  it("fit the page, and everything is inside", () => {
    expect(layout.width).toBeLessThanOrEqual(972);
    for (const { x1, x2, y } of layout.bars) {
      expect(x1).toBeGreaterThanOrEqual(90);
      expect(x2).toBeLessThanOrEqual(layout.width);
      expect(y).toBeLessThan(layout.height);
    }
  });

  it("have no two bars in one place", () => {
    for (const one of layout.bars) {
      const clashes = layout.bars.filter(
        (other) => other !== one && other.y === one.y && other.x1 < one.x2 && one.x1 < other.x2,
      );
      expect(clashes).toEqual([]);
    }
  });

  it("keep each context's bars in its lane", () => {
    for (const { bar, y } of layout.bars) {
      const lane = must(
        layout.lanes.find(({ ctx }) => ctx === bar.ctx),
        "the context has a lane",
      );
      expect(y).toBeGreaterThanOrEqual(lane.y);
      expect(y).toBeLessThan(lane.y + lane.height);
    }
  });

  it("show what encloses the accesses, each access in the innermost of it", () => {
    const labels = layout.bars.map(({ bar }) => bar.label);
    expect(labels).toContain("request 40: flush");
    expect(labels).toContain("bdrv_drop_filter");
    const [read, edit] = layout.accesses;
    const barAt = (y: number | undefined) => layout.bars.find((bar) => bar.y + 10 === y)?.bar.label;
    expect(barAt(read?.y)).toBe("request 40: flush");
    expect(
      layout.bars.filter((bar) => bar.y + 10 === edit?.y).map(({ bar }) => bar.label),
    ).toContain("bdrv_replace_child_noperm");
    expect(must(read, "two").x).toBeLessThan(must(edit, "two").x);
  });
});

it("names of contexts have room, long ones too", () => {
  const trace = drawnTrace();
  const finding = drawnFinding(trace);
  const [material] = collectMaterial(inputOf(trace), [finding]);
  const lanes = must(material?.lanes, "there are lanes");
  const named = (name: string) => {
    const contexts = lanes.contexts.map((one) => ({ ...one, name }));
    return {
      layout: layOutLanes(finding, { ...lanes, contexts }),
      svg: svgOf({ ...lanes, contexts }),
    };
  };
  const svgOf = (window: typeof lanes) => lanesSvg(finding, window, "x").text;
  expect(named("io0").layout.names).toBe(88);
  const long = "iothread-of-the-second-disk";
  const { layout, svg } = named(long);
  expect(svg).toContain(`</title>${long}</text>`);
  expect(layout.width).toBeLessThanOrEqual(972);
  for (const { x1 } of layout.bars) expect(x1).toBeGreaterThan(layout.names);
});

it("a label that its bar is too short for stands behind it, where nothing else does", () => {
  for (const layout of [layoutOf(), layoutOf({ far: true })]) {
    for (const bar of layout.bars) {
      const behind = layout.bars.filter(({ y, x1 }) => y === bar.y && x1 >= bar.x2);
      for (const { x1 } of behind) expect(bar.freeX).toBeLessThanOrEqual(x1);
      expect(bar.freeX).toBeLessThanOrEqual(layout.width);
    }
  }
  const trace = drawnTrace();
  const finding = drawnFinding(trace);
  const [material] = collectMaterial(inputOf(trace), [finding]);
  const svg = lanesSvg(finding, must(material?.lanes, "there are lanes"), "x").text;
  const labels = [...svg.matchAll(/<text class="behind"[^>]*>([^<]*)</g)].map(([, text]) => text);
  expect(labels.length).toBeGreaterThan(0);
  for (const label of labels) expect(label).not.toContain("…");
});

it("where a finding shows at no access of its own is marked, when it is in the picture", () => {
  const trace = drawnTrace();
  const layoutAt = (first: number) => {
    const finding = drawnFinding(trace, { accesses: [], first, last: first });
    const [material] = collectMaterial(inputOf(trace), [finding]);
    return layOutLanes(finding, must(material?.lanes, "there are lanes"));
  };
  const at = layoutAt(110);
  expect(at.moment).toBeGreaterThan(90);
  expect(at.moment).toBeLessThan(at.width);
  expect(layoutOf().moment).toBeNull();
});

it("a gap says how many events it leaves out; ticks grow and keep their distance", () => {
  const far = layoutOf({ far: true });
  expect(must(far.gap, "there is a gap").events).toBeGreaterThan(1000);
  expect(layoutOf().gap).toBeNull();
  far.ticks.forEach(({ x, event }, index) => {
    const next = far.ticks[index + 1];
    if (next === undefined) return;
    expect(next.event).toBeGreaterThan(event);
    expect(next.x - x).toBeGreaterThanOrEqual(90);
  });
});
