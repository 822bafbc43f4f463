import { expect, it } from "vitest";
import { collectMaterial } from "./collect.ts";
import { flowOf } from "./flow.ts";
import { drawnFinding, drawnTrace, inputOf } from "./test-support.ts";

it("the story of a race has what encloses the accesses, in order, and no other request", () => {
  const trace = drawnTrace();
  const finding = drawnFinding(trace);
  const [material = null] = collectMaterial(inputOf(trace), [finding]);
  const story = flowOf(finding, material).map((step) => `${step.ctxName.padEnd(10)} ${step.text}`);
  expect(`\n${story.join("\n")}\n`).toMatchInlineSnapshot(`
    "
    iothread0  request 40: flush begins
    main       bdrv_drop_filter begins
    main       single drain of file0 begins in bdrv_drop_filter
    iothread0  reads the list in bdrv_co_flush
    main       single drain of file0: has waited, holds from here
    main       commit of bdrv_replace_child begins
    main       bdrv_replace_child_noperm begins
    main       removes edge 2 (file) in bdrv_replace_child_noperm
    main       bdrv_replace_child_noperm ends
    main       commit of bdrv_replace_child ends
    main       single drain of file0 ends
    main       bdrv_drop_filter ends
    "
  `);
});

it("without material, the story is the accesses", () => {
  const trace = drawnTrace();
  const steps = flowOf(drawnFinding(trace), null);
  expect(steps.map(({ text }) => text)).toEqual([
    "reads the list in bdrv_co_flush",
    "removes edge 2 (file) in bdrv_replace_child_noperm",
  ]);
});
