import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { collectMaterial } from "../collect.ts";
import { drawnFinding, drawnTrace, inputOf } from "../test-support.ts";
import { type LaneLayout, layOutLanes } from "./lane-layout.ts";

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
