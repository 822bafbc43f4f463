// The built-in scenarios, in the order in which they are listed.

import type { Scenario } from "../scenario.ts";
import { storm } from "../storm/storm.ts";
import demo from "./demo.ts";
import drainInstant from "./drain-instant.ts";
import drainNotWaited from "./drain-not-waited.ts";
import drainParentOnly from "./drain-parent-only.ts";
import holeAttachPolls from "./hole-attach-polls.ts";
import holeDiamond from "./hole-diamond.ts";
import holeEdgeRequest from "./hole-edge-request.ts";
import holeInsertBs from "./hole-insert-bs.ts";
import holeInstantDrain from "./hole-instant-drain.ts";
import holeIothreadDrain from "./hole-iothread-drain.ts";
import holeNoQueuing from "./hole-no-queuing.ts";
import holePlug from "./hole-plug.ts";
import holeUnqueuedCopyRange from "./hole-unqueued-copy-range.ts";
import holeUnqueuedGetlength from "./hole-unqueued-getlength.ts";
import holeUnqueuedTruncate from "./hole-unqueued-truncate.ts";
import holeWaitsOnce from "./hole-waits-once.ts";
import lockEntry from "./lock-entry.ts";
import luckBottomHalf from "./luck-bottom-half.ts";
import luckCoroutine from "./luck-coroutine.ts";
import luckCounter from "./luck-counter.ts";
import luckLock from "./luck-lock.ts";
import luckLockAfter from "./luck-lock-after.ts";
import luckSameThread from "./luck-same-thread.ts";
import luckTimer from "./luck-timer.ts";
import luckWait from "./luck-wait.ts";
import luckWake from "./luck-wake.ts";
import orderBlkCounter from "./order-blk-counter.ts";
import orderExternal from "./order-external.ts";
import orderJob from "./order-job.ts";
import orderNodeCounter from "./order-node-counter.ts";
import orderQueueWake from "./order-queue-wake.ts";
import orderThread from "./order-thread.ts";
import patch01 from "./patch-01.ts";
import patch02 from "./patch-02.ts";
import patch05 from "./patch-05.ts";
import patch06 from "./patch-06.ts";
import patch07 from "./patch-07.ts";
import patch07Held from "./patch-07-held.ts";
import patch08 from "./patch-08.ts";
import patch09 from "./patch-09.ts";
import patch12 from "./patch-12.ts";
import qcow2Chain from "./qcow2-chain.ts";
import setBacking from "./set-backing.ts";
import setBackingAbort from "./set-backing-abort.ts";
import wrongCompletions from "./wrong-completions.ts";
import wrongKick from "./wrong-kick.ts";
import wrongPointer from "./wrong-pointer.ts";
import wrongPoll from "./wrong-poll.ts";

export const SCENARIOS: readonly Scenario[] = [
  demo,
  drainInstant,
  drainNotWaited,
  drainParentOnly,
  holeAttachPolls,
  holeDiamond,
  holeEdgeRequest,
  holeInstantDrain,
  holeInsertBs,
  holeIothreadDrain,
  holeNoQueuing,
  holePlug,
  holeUnqueuedCopyRange,
  holeUnqueuedGetlength,
  holeUnqueuedTruncate,
  holeWaitsOnce,
  lockEntry,
  luckBottomHalf,
  luckCoroutine,
  luckCounter,
  luckLock,
  luckLockAfter,
  luckSameThread,
  luckTimer,
  luckWait,
  luckWake,
  orderBlkCounter,
  orderExternal,
  orderJob,
  orderNodeCounter,
  orderQueueWake,
  orderThread,
  patch01,
  patch02,
  patch05,
  patch06,
  patch07,
  patch07Held,
  patch08,
  patch09,
  patch12,
  qcow2Chain,
  setBacking,
  setBackingAbort,
  storm(),
  wrongCompletions,
  wrongKick,
  wrongPointer,
  wrongPoll,
];
