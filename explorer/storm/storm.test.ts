import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { siteTable } from "#core/probe";
import { MOVES } from "./moves.ts";
import { runStorms, STORM_REGIMES } from "./run-storms.ts";

it("a storm that goes wrong is told with the command that runs it again", () => {
  // A storm whose operations no one can count stops before its first.
  const { violations } = runStorms(
    { name: "broken", without: [4, 11], holes: [] },
    { firstSeed: 7, seeds: 1, operations: -1 },
  );
  expect(violations).toEqual([
    'seed 7: The parameter operations is a whole number, not "-1".\n' +
      "Again: quiesce record storm --seed 7 --param operations=-1 --without-patch 4,11 --check -o storm.trace",
  ]);
});

/** What the block layer can do, by the C functions that do it: all of it has to be drawn in storms of some thousand operations. */
const DRAWN: Readonly<Record<string, readonly string[]>> = {
  "edges and nodes": [
    "bdrv_root_attach_child",
    "bdrv_attach_child",
    "bdrv_unref_child",
    "bdrv_root_unref_child",
    "bdrv_set_backing_hd",
    "bdrv_set_file_or_backing_noperm",
    "bdrv_append",
    "bdrv_replace_node",
    "bdrv_replace_child_bs",
    "bdrv_insert_node",
    "bdrv_drop_filter",
    "bdrv_drop_intermediate",
    "bdrv_add_child",
    "bdrv_del_child",
    "bdrv_close",
  ],
  "rollbacks, chains, reopens": [
    "bdrv_replace_child_abort",
    "bdrv_attach_child_common_abort",
    "bdrv_freeze_backing_chain",
    "bdrv_unfreeze_backing_chain",
    "bdrv_op_block",
    "bdrv_op_unblock",
    "qmp_blockdev_reopen",
    "bdrv_reopen_multiple",
    "bdrv_reopen_parse_file_or_backing",
    "bdrv_reopen_commit",
    "bdrv_try_change_aio_context",
    "bdrv_child_try_set_perm",
  ],
  drains: [
    "bdrv_drained_begin",
    "bdrv_subtree_drained_begin",
    "bdrv_drain",
    "bdrv_drain_all_begin",
    "bdrv_apply_subtree_drain",
    "bdrv_unapply_subtree_drain",
    "blk_drain",
    "blk_drain_all",
  ],
  BlockBackends: [
    "blk_insert_bs",
    "blk_remove_bs",
    "blk_replace_bs",
    "blk_set_aio_context",
    "blk_set_perm",
    "blk_attach_dev",
    "blk_detach_dev",
    "blk_dev_change_media_cb",
    "qmp_blockdev_open_tray",
    "qmp_blockdev_close_tray",
    "qmp_eject",
    "qmp_blockdev_insert_anon_medium",
    "blk_truncate",
    "bdrv_parent_cb_resize",
    "bdrv_parent_cb_change_media",
    "blk_co_pwritev",
    "blk_aio_preadv",
    "blk_aio_pwritev",
    "blk_aio_pwrite_zeroes",
    "blk_aio_pdiscard",
    "blk_aio_flush",
    "blk_wait_while_drained",
    "blk_error_action",
    "blk_set_on_error",
    "blk_io_limits_enable",
    "blk_io_limits_disable",
    "blk_io_limits_update_group",
    "throttle_open",
  ],
  "filters and drivers for tests": [
    "blkdebug_open",
    "cbw_open",
    "block_copy",
    "bdrv_co_preadv_snapshot",
    "bdrv_co_pdiscard_snapshot",
    "compress_open",
    "cor_open",
    "bdrv_co_do_copy_on_readv",
    "preallocate_open",
    "quorum_open/vote",
    "quorum_add_child/vote",
    "quorum_del_child/vote",
    "snapshot_access_open",
    "throttle_open",
  ],
  jobs: [
    "block_job_create",
    "job_start",
    "job_user_pause_locked",
    "job_user_resume_locked",
    "job_finish_sync_locked",
    "job_cancel_locked",
    "job_complete_locked",
    "job_finalize_locked",
    "job_dismiss_locked",
    "job_early_fail",
    "job_prepare_locked",
    "job_completed_txn_abort_locked",
    "job_sleep_ns",
    "job_transition_to_ready",
    "job_set_aio_context",
    "block_job_set_speed_locked",
  ],
};

describe("a storm keeps every invariant", () => {
  const entered = new Set<number>();
  const moves = new Map<string, number>();
  for (const regime of STORM_REGIMES) {
    it(regime.name, () => {
      const storms = { firstSeed: 1, seeds: 14, operations: 150 };
      const report = runStorms(regime, storms, (_domain, siteId) => entered.add(siteId));
      expect(report.violations).toEqual([]);
      for (const [name, { done }] of report.moves) moves.set(name, (moves.get(name) ?? 0) + done);
      const all = [...report.moves.values()];
      expect(all.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThan(50);
      expect(all.reduce((sum, { injected }) => sum + injected, 0)).toBeGreaterThan(50);
    });
  }

  it("every move was done", () => {
    expect(MOVES.filter(({ name, counted }) => counted && !moves.has(name))).toEqual([]);
  });

  it("without patch 10 a request meets a node before its permissions, in the middle of bdrv_replace_node", () => {
    const regime = must(STORM_REGIMES[2], "the one without patch 10");
    const report = runStorms(regime, { firstSeed: 202, seeds: 1, operations: 200 });
    expect(report.violations).toEqual([]);
    expect(report.holes).toEqual([
      expect.stringContaining("seed 202: assertion child->perm & BLK_PERM_WRITE\nAgain: quiesce"),
    ]);
  });

  const names = new Set(siteTable.map(({ name }) => name));
  it.each(Object.keys(DRAWN))("and drew all there is: %s", (group) => {
    const wanted = must(DRAWN[group], "the group is in the table");
    expect(wanted.filter((name) => !names.has(name))).toEqual([]);
    const drawn = new Set([...entered].map((siteId) => siteTable[siteId - 1]?.name));
    expect(wanted.filter((name) => !drawn.has(name))).toEqual([]);
  });
});
