// The entry points that lock-entry.ts tries: each is prepared while nothing is in flight, and then called.

import {
  type BlockBackend,
  blkDrain,
  blkDrainAll,
  blkInsertBs,
  blkNew,
  blkRemoveBs,
  blkReplaceBs,
  blkSetAioContext,
  blkSetAllowAioContextChange,
  blkUnref,
} from "#core/backend";
import { filterDriver, overlayOpen } from "#core/drivers";
import {
  BDRV_CHILD_COW,
  type BlockDriverState,
  backingOf,
  bdrvAppend,
  bdrvAttachChild,
  bdrvDropFilter,
  bdrvDropIntermediate,
  bdrvInsertNode,
  bdrvRef,
  bdrvReopenSetReadOnly,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvTryChangeAioContext,
  bdrvUnref,
  bdrvUnrefChild,
  qmpBlockdevReopen,
} from "#core/graph";
import {
  bdrvDrain,
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvFlush,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedBeginUnlocked,
  bdrvSubtreeDrainedEnd,
  bdrvSubtreeDrainedEndUnlocked,
} from "#core/io";
import { blockJobCreate, type Job, jobCancelSync, jobSleepNs, jobStart } from "#core/jobs";
import { site } from "#core/probe";
import { type Co, machine, type Polls } from "#core/sched";
import type { World } from "../world.ts";
import { NODE_BYTES } from "./hole-chain.ts";
import { openSlowChain, type SlowChain } from "./slow-chain.ts";

const SITE = site("lock_entry");
const JOB_STEP_NS = 1_000_000;

/** The graph, and nodes in reserve. Main holds a reference to each node. */
export interface Trial {
  readonly world: World;
  readonly chain: SlowChain;
  /** A node without parents, in the chain's context. */
  readonly spare: BlockDriverState;
  /** A BlockBackend in the chain's context, without a node. */
  readonly second: BlockBackend;
}

/** Make it. Polls. */
export function* openTrial(world: World): Polls<Trial> {
  const chain = yield* openSlowChain(world);
  const { ctx } = chain;
  const spare = yield* overlayOpen({ nodeName: "spare", size: NODE_BYTES });
  yield* bdrvTryChangeAioContext(spare, ctx, null);
  return { world, chain, spare, second: blkNew(ctx, { name: "second" }) };
}

/** A call that can be made now. */
interface Prepared {
  readonly callEntry: () => Polls<unknown>;
}

/** An entry point. */
interface Entry {
  readonly prepareCall: (trial: Trial) => Polls<Prepared>;
}

/** C name of an entry point → what prepares it, and returns the call. */
export const ENTRIES = {
  bdrv_drained_begin: ready(function* ({ chain: { top } }): Polls<void> {
    yield* bdrvDrainedBegin(top, SITE);
    yield* bdrvDrainedEnd(top, SITE);
  }),
  bdrv_drain: ready(({ chain }) => bdrvDrain(chain.top, SITE)),
  bdrv_subtree_drained_begin: ready(function* ({ chain: { top } }): Polls<void> {
    yield* bdrvSubtreeDrainedBegin(top, SITE);
    yield* bdrvSubtreeDrainedEnd(top, SITE);
  }),
  bdrv_subtree_drained_begin_unlocked: ready(function* ({ chain: { top } }): Polls<void> {
    yield* bdrvSubtreeDrainedBeginUnlocked(top, SITE);
    yield* bdrvSubtreeDrainedEndUnlocked(top, SITE);
  }),
  bdrv_drain_all_begin: ready(function* (): Polls<void> {
    yield* bdrvDrainAllBegin(SITE);
    yield* bdrvDrainAllEnd(SITE);
  }),
  blk_drain: ready(({ chain }) => blkDrain(chain.drive, SITE)),
  blk_drain_all: ready(() => blkDrainAll(SITE)),
  bdrv_flush: ready(({ chain }) => bdrvFlush(chain.top)),
  bdrv_append: ready(({ chain, spare }) => bdrvAppend(spare, chain.top)),
  bdrv_insert_node: ready(({ chain }) => bdrvInsertNode(chain.top, filterDriver, "filter")),
  bdrv_drop_filter: prepared(function* ({ chain }): Polls<Prepared> {
    const filter = yield* bdrvInsertNode(chain.top, filterDriver, "filter");
    return { callEntry: () => bdrvDropFilter(filter) };
  }),
  bdrv_replace_node: ready(({ chain, spare }) => bdrvReplaceNode(chain.slow, spare)),
  bdrv_set_backing_hd: ready(({ chain, spare }) => bdrvSetBackingHd(chain.top, spare)),
  bdrv_drop_intermediate: ready(({ chain }) => bdrvDropIntermediate(chain.top, chain.slow)),
  bdrv_attach_child: ready(({ chain, spare }) => {
    bdrvRef(chain.top);
    return bdrvAttachChild(spare, chain.top, "backing", BDRV_CHILD_COW);
  }),
  bdrv_unref_child: ready(({ chain: { top } }) => bdrvUnrefChild(top, backingOf(top, SITE))),
  bdrv_unref: prepared(function* ({ chain }): Polls<Prepared> {
    bdrvRef(chain.slow);
    const { ctx, slow } = chain;
    const other = yield* overlayOpen({ nodeName: "other", size: NODE_BYTES, ctx, backing: slow });
    return { callEntry: () => bdrvUnref(other) };
  }),
  bdrv_reopen_set_read_only: ready(({ chain }) => bdrvReopenSetReadOnly(chain.slow, true)),
  qmp_blockdev_reopen: ready(() =>
    qmpBlockdevReopen([{ driver: "overlay", "node-name": "top", backing: "spare" }]),
  ),
  bdrv_try_change_aio_context: prepared(function* ({ chain }): Polls<Prepared> {
    blkSetAllowAioContextChange(chain.drive, true);
    return { callEntry: () => bdrvTryChangeAioContext(chain.top, machine.mainContext, null) };
  }),
  blk_set_aio_context: ready(({ chain }) => blkSetAioContext(chain.drive, machine.mainContext)),
  blk_insert_bs: ready(({ chain, second }) => blkInsertBs(second, chain.top)),
  blk_remove_bs: prepared(function* ({ chain, second }): Polls<Prepared> {
    yield* blkInsertBs(second, chain.top);
    return { callEntry: () => blkRemoveBs(second) };
  }),
  blk_replace_bs: prepared(function* ({ chain, second, spare }): Polls<Prepared> {
    yield* blkInsertBs(second, chain.top);
    return { callEntry: () => blkReplaceBs(second, spare) };
  }),
  blk_unref: prepared(function* ({ chain, second }): Polls<Prepared> {
    yield* blkInsertBs(second, chain.top);
    return { callEntry: () => blkUnref(second) };
  }),
  block_job_create: ready(({ chain }) => blockJobCreate("job", { jobType: "stream" }, chain.top)),
  job_cancel_sync: prepared(function* ({ chain }): Polls<Prepared> {
    const { job } = yield* blockJobCreate("job", { jobType: "stream", coRun }, chain.top);
    jobStart(job);
    return { callEntry: () => jobCancelSync(job, true) };
  }),
} as const satisfies Readonly<Record<string, Entry>>;

/** C name of an entry point. */
export type EntryName = keyof typeof ENTRIES;

/** An entry point that takes no preparation. */
function ready(call: (trial: Trial) => Polls<unknown>): Entry {
  return prepared(function* (trial): Polls<Prepared> {
    return { callEntry: () => call(trial) };
  });
}

function prepared(prepareCall: Entry["prepareCall"]): Entry {
  return { prepareCall };
}

/** A job that works until it is cancelled. */
function* coRun(job: Job): Co<number> {
  while (!job.cancelled) yield* jobSleepNs(job, JOB_STEP_NS);
  return 0;
}
