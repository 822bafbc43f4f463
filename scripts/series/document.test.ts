import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SERIES_DOCUMENT, seriesDocument } from "./document.ts";
import { STORIES } from "./patches.ts";

const ROOT = join(import.meta.dirname, "..", "..");

it("the page of the twelve patches is committed as the scenarios and the analyzer give it", () => {
  const path = join(ROOT, SERIES_DOCUMENT);
  const committed = existsSync(path) ? readFileSync(path, "utf8") : "";
  // When this fails: npm run build, then node dist/scripts/series.js, and read what has changed.
  expect(committed).toBe(seriesDocument());
});

it("the page tells all twelve, each patch first off", () => {
  expect(STORIES.map(({ patch }) => patch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  for (const { patch, runs } of STORIES) expect(runs[0]?.without).toContain(patch);
});
