import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LOCKING_DOCUMENT, lockingDocument, needOf } from "./document.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const path = join(ROOT, LOCKING_DOCUMENT);
const committed = existsSync(path) ? readFileSync(path, "utf8") : "";

/** The cells of a row of the page: all on; 1 off; 7 off; 10 and 11 off; all off. */
function cellsOf(entry: string): string {
  const row = committed.split("\n").find((line) => line.startsWith(`| \`${entry}\` |`)) ?? "";
  return row
    .split("|")
    .slice(2, -1)
    .map((cell) => cell.trim())
    .join(" ");
}

it("the page of the AioContext lock is committed as the runs give it", () => {
  // When this fails: npm run build, then node dist/scripts/locking.js, and read what has changed.
  expect(committed).toBe(lockingDocument());
});

describe("an entry point's need", () => {
  it.each([
    [["ok", "ok", "ok"], "any"],
    [["ok", "deadlock", "deadlock"], "no"],
    [["assertion", "ok", "deadlock"], "yes"],
    [["deadlock", "ok", "ok"], "deadlock ok ok"],
  ] as const)("that ends %j is told as %s", (outcomes, need) => {
    expect(needOf({ entry: "x", outcomes, wantsLock: false })).toBe(need);
  });
});

it("the page says of each patch what it does to the lock", () => {
  // Without the series' drains nobody waits; patches 1 and 7 decide which wait it is; 7.2's own drains always give the lock up.
  expect(cellsOf("bdrv_append")).toBe("no ! yes yes any ! any !");
  expect(cellsOf("bdrv_drained_begin")).toBe("yes yes yes yes yes");
  expect(cellsOf("bdrv_drain_all_begin")).toBe("no no no no no");
  expect(cellsOf("bdrv_subtree_drained_begin_unlocked")).toBe("no yes yes no yes");
});

it("every outcome on the page is one that it explains", () => {
  expect(committed).not.toMatch(/\| [^|]*(ok|assertion|deadlock|limit) [^|]*\|/);
  expect(committed).toContain("Under `--lock none` each of them comes to its end");
});
