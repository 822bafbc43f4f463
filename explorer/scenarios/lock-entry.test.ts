// docs/locking.md has the outcome of every combination; here one of each kind is recorded twice, replayed and judged.

import { expect, it } from "vitest";
import type { PatchNumber } from "#core/sched";
import lockEntry from "./lock-entry.ts";
import { checkRun, judge } from "./test-support.ts";

const TABLE: readonly {
  readonly entry: string;
  readonly held: number;
  readonly without?: readonly PatchNumber[];
  readonly ends: string;
  readonly why?: string;
}[] = [
  { entry: "bdrv_drained_begin", held: 0, ends: "assertion", why: "held by another thread" },
  { entry: "bdrv_drained_begin", held: 1, ends: "ok" },
  { entry: "bdrv_drained_begin", held: 2, ends: "deadlock", why: "main waits in" },
  { entry: "blk_insert_bs", held: 0, ends: "ok" },
  { entry: "bdrv_append", held: 1, ends: "deadlock", why: "main waits in bdrv_append" },
  { entry: "bdrv_append", held: 1, without: [7], ends: "ok" },
  { entry: "bdrv_drain_all_begin", held: 1, ends: "deadlock", why: "main waits in" },
];

it.each(TABLE)("$entry, the lock held $held times, patches $without off: $ends", (row) => {
  const { entry, held, without = [], ends, why } = row;
  const params = { entry, held: String(held) };
  const run = checkRun(lockEntry, { seed: 1, without, lock: "aio", params });
  expect(run.outcome).toBe(ends);
  const { findings } = judge(run.bytes);
  expect(findings.map(({ rule }) => rule)).toEqual(
    ends === "ok" ? [] : [ends === "assertion" ? "modelled-assertion" : ends],
  );
  if (why !== undefined) expect(findings[0]?.why).toContain(why);
});

it("an entry point that is not there is refused, and those that are there are named", () => {
  expect(() => checkRun(lockEntry, { seed: 1, params: { entry: "bdrv_magic" } })).toThrow(
    /There is no entry point "bdrv_magic"; there are: bdrv_drained_begin, /,
  );
});
