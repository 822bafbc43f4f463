// The twelve patches of January 2022 as numbered behaviour. Each can be switched off alone; which were on is in the header
// of every trace, and replay obeys it. `patchOn(n)` (core/sched) is the only question that core code asks.

import { assert } from "./base/index.ts";

/** Number of a patch in the series. */
export type PatchNumber = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12;

/** What each patch does, in a line. */
export const PATCHES: Readonly<Record<PatchNumber, string>> = {
  1: "introduce BDRV_POLL_WHILE_UNLOCKED",
  2: "bdrv_do_drained_begin_quiesce is static; child callbacks use bdrv_drained_begin_no_poll",
  3: "bdrv_replace_child_noperm: unlink from parents before detach",
  4: "bdrv_replace_child_noperm: attach before linking into parents",
  5: "test-bdrv-drain: adapt to the coming subtree drains",
  6: "I/O completion callbacks must not change the graph",
  7: "bdrv_subtree_drained_begin and _end without the lock",
  8: "reopen: keep the new child drained across the transaction",
  9: "job_sleep_ns sleeps in full",
  10: "subtree drains where the graph is edited",
  11: "assert_bdrv_graph_writable: quiesced and in the main thread",
  12: "more assertions that global-state code runs in the main thread",
};

/** The patches that are on. */
export type Series = ReadonlySet<PatchNumber>;

const NUMBERS = Object.keys(PATCHES).map(Number) as PatchNumber[];

/** All twelve but those in `without`. Common. */
export function seriesWithout(without: Iterable<PatchNumber> = []): Series {
  const off = new Set(without);
  for (const patch of off) assert(patch in PATCHES, "patches are numbered 1 to 12");
  return new Set(NUMBERS.filter((patch) => !off.has(patch)));
}
