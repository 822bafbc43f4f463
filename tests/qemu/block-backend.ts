// Cases of test-block-backend.c: a flush of a BlockBackend without a node fails with -ENOMEDIUM, and a drain waits for that.

import {
  type BlockBackend,
  blkAioFlush,
  blkDrain,
  blkDrainAll,
  blkNew,
  blkUnref,
} from "#core/backend";
import { ENOMEDIUM } from "#core/base";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";

const SITE_DRAIN = site("qemu_case_block_backend");

/** test_drain_aio_error and test_drain_all_aio_error: `drain` comes back when the callback has run. */
function testDrainAioError(drain: (blk: BlockBackend) => Polls<void>) {
  return function* (t: CaseTest): Polls<void> {
    const blk = blkNew(t.main);
    const state = { completed: false };
    blkAioFlush(blk, (ret) => {
      t.expectEqual(ret, -ENOMEDIUM, "ret");
      state.completed = true;
      return undefined;
    });
    t.expectEqual(state.completed, false, "completed");
    yield* drain(blk);
    t.expectEqual(state.completed, true, "completed");
    yield* blkUnref(blk);
  };
}

const cases: readonly QemuCase[] = [
  {
    name: "/block-backend/drain_aio_error",
    body: testDrainAioError((blk) => blkDrain(blk, SITE_DRAIN)),
  },
  {
    name: "/block-backend/drain_all_aio_error",
    body: testDrainAioError(() => blkDrainAll(SITE_DRAIN)),
  },
];

export const blockBackend: QemuFamily = {
  qemuFile: "tests/unit/test-block-backend.c",
  file: "tests/qemu/block-backend.ts",
  cases,
};
