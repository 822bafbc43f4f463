// What docs/series.md says about each patch besides what runs print: what "off" means, why there is the patch, and which runs
// of which scenarios show it.

import type { PatchNumber } from "#core/sched";

/** A run of a scenario. */
export interface ShownRun {
  readonly scenario: string;
  readonly without: readonly PatchNumber[];
  readonly lock?: "aio";
  /** The scenario's own remarks are shown. */
  readonly says?: true;
}

/** A patch as the page tells it. */
export interface PatchStory {
  readonly patch: PatchNumber;
  /** A line for the table. */
  readonly off: string;
  readonly why: string;
  /** First off, then on. */
  readonly runs: readonly ShownRun[];
}

function story(
  patch: PatchNumber,
  off: string,
  why: string,
  ...runs: readonly ShownRun[]
): PatchStory {
  return { patch, off, why, runs };
}

function run(scenario: string, without: readonly PatchNumber[], lock?: "aio"): ShownRun {
  return lock === undefined ? { scenario, without } : { scenario, without, lock };
}

/** The twelve, in order. */
export const STORIES: readonly PatchStory[] = [
  story(
    1,
    "Unlocked drains wait with the macro that releases the AioContext lock.",
    "A wait that releases a lock which its caller does not hold is an error of the mutex. It shows under `--lock aio` only.",
    run("patch-01", [1], "aio"),
    run("patch-01", [], "aio"),
  ),
  story(
    2,
    "A coroutine that quiesces the parent of an edge does so itself, with no hand-off.",
    "Quiescing asserts that it is not in a coroutine.",
    run("patch-02", [2]),
    run("patch-02", []),
  ),
  story(
    3,
    "An edge is detached first and taken out of `parents` afterwards.",
    "Detaching ends the drain that the old child had through this very edge. With patch 11 on its assertion speaks; with both off, the analyzer.",
    run("set-backing", [3]),
    run("set-backing", [3, 11]),
    run("set-backing", []),
  ),
  story(
    4,
    "An edge is put into `parents` first and attached afterwards.",
    "Attaching is what drains the new child. In a rollback nothing else has drained it.",
    run("set-backing-abort", [4]),
    run("set-backing-abort", [4, 11]),
    run("set-backing-abort", []),
  ),
  story(
    5,
    "A test's drain callback is armed from the start, and stays armed.",
    "A patch for a test: the drains of patch 10 set the callback off while the test still builds its graph.",
    run("patch-05", [5]),
    run("patch-05", []),
  ),
  story(
    6,
    "A completion callback may change the graph.",
    "The callback runs before its request is counted off, and the drain around the edit waits for that request.",
    run("patch-06", [6]),
    run("patch-06", []),
  ),
  story(
    7,
    "The subtree drains of edits are of the locked kind.",
    "Edits are generally made without the AioContext lock, which a locked drain releases. The other way round, a caller that does hold the lock deadlocks with the patch on, in QEMU too: that is the third run.",
    run("patch-07", [7], "aio"),
    run("patch-07", [], "aio"),
    run("patch-07-held", [], "aio"),
  ),
  story(
    8,
    "A reopen does not drain the node that it attaches.",
    "That node may be outside the subtree that the caller drained. Off alone it shows nothing, as patch 4 attaches, and so drains, before it links: the failure needs 4 off as well.",
    run("patch-08", [8]),
    run("patch-08", [4, 8]),
    run("patch-08", [4, 8, 11]),
    run("patch-08", [4]),
  ),
  story(
    9,
    "A job that is woken in its sleep goes on at once.",
    "Drains wake sleeping jobs, which then ignore their rate limit. The job of the scenario says itself how long it took.",
    { scenario: "patch-09", without: [9], says: true },
    { scenario: "patch-09", without: [], says: true },
  ),
  story(
    10,
    "Operations on the graph edit without subtree drains.",
    "Requests read the lists that are edited. Patch 11 would stop at the first undrained edit, so the second run has it off too.",
    run("demo", [10]),
    run("demo", [10, 11]),
    run("demo", []),
  ),
  story(
    11,
    "Nothing is asserted where a list is edited.",
    "With patch 3 off there is an undrained edit: without the assertion the run goes on, and only the analyzer tells.",
    run("set-backing", [3, 11]),
    run("set-backing", [3]),
    run("set-backing", []),
  ),
  story(
    12,
    "Global-state code does not assert that it runs in the main thread.",
    "The scenario makes the mistake in both runs. Off, the call comes back as if nothing were wrong; on, it is stopped. The analyzer reports it either way.",
    run("patch-12", [12]),
    run("patch-12", []),
  ),
];
