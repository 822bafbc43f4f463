// The command blockdev-reopen: several nodes, each with all the options that it shall have from now on.

import { assert, EINVAL } from "../base/index.ts";
import { bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd } from "../io/index.ts";
import { site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  type Polls,
} from "../sched/index.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import type { BlockOptions } from "./block-options.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvFindNode } from "./node-life.ts";
import { bdrvReopenMultiple } from "./reopen.ts";
import { type BlockReopenQueue, bdrvReopenQueue } from "./reopen-queue.ts";
import type { BlockDriverState } from "./state.ts";

const SITE_REOPEN = site("qmp_blockdev_reopen");

/** qmp_blockdev_reopen (blockdev.c:3551): one set of options a node, `node-name` among them. BlockError: none is reopened. Polls. */
export function* qmpBlockdevReopen(reopenList: readonly BlockOptions[]): Polls<void> {
  globalStateCode(SITE_REOPEN);
  assert(reopenList.length > 0, "something is to be reopened");
  const drained: BlockDriverState[] = [];
  yield* graphOp(SITE_REOPEN, function* (): Polls<void> {
    const outcome = yield* settle(() => queueAndReopen(reopenList, drained));
    for (const bs of drained.reverse()) {
      const ctx = bs.aioContext;
      yield* aioContextAcquire(ctx);
      yield* bdrvSubtreeDrainedEnd(bs, SITE_REOPEN);
      aioContextRelease(ctx);
    }
    unwrap(outcome);
  });
  assert(drained.length === reopenList.length, "each node was drained");
}

function* queueAndReopen(
  reopenList: readonly BlockOptions[],
  drained: BlockDriverState[],
): Polls<void> {
  let queue: BlockReopenQueue | null = null;
  for (const options of reopenList) {
    const bs = nodeOf(options);
    const ctx = bs.aioContext;
    yield* aioContextAcquire(ctx);
    yield* bdrvSubtreeDrainedBegin(bs, SITE_REOPEN);
    queue = bdrvReopenQueue(queue, bs, options, false);
    drained.push(bs);
    aioContextRelease(ctx);
  }
  if (queue !== null) yield* bdrvReopenMultiple(queue);
}

function nodeOf(options: BlockOptions): BlockDriverState {
  const nodeName = options["node-name"];
  if (typeof nodeName !== "string") throw new BlockError(EINVAL, "node-name not specified");
  const bs = bdrvFindNode(nodeName);
  if (bs !== null) return bs;
  throw new BlockError(EINVAL, `Failed to find node with node-name='${nodeName}'`);
}
