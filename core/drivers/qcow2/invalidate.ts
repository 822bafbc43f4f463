// An image that was handed over to another machine comes back: nothing that was known of it counts.

import { assert } from "../../base/index.ts";
import { settle } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { Ev, site } from "../../probe/index.ts";
import { type Co, coRunOutside, ioCode, machine, type Polls } from "../../sched/index.ts";
import { cacheCleanTimerDel } from "./cache-clean.ts";
import { loadImage } from "./load-image.ts";
import { stateOf } from "./state.ts";

const SITE_INVALIDATE = site("qcow2_co_invalidate_cache");

/**
 * qcow2_co_invalidate_cache: 0 or a negated errno; then the node serves nothing any more, as in QEMU. What is read-only does not change
 * meanwhile.
 */
export function* qcow2CoInvalidateCache(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_INVALIDATE);
  if (bs.readOnly) return 0;
  const { options, dataFile, dataRequests, allocations } = stateOf(bs);
  assert(dataRequests.size === 0 && allocations.length === 0, "nothing is in flight");
  const done = yield* coRunOutside(machine.mainContext, () =>
    settle(function* (): Polls<void> {
      cacheCleanTimerDel(bs);
      yield* loadImage(bs, options, function* (): Polls<typeof dataFile> {
        return dataFile;
      });
    }),
  );
  if (done.ok) return 0;
  const text = `Could not reopen qcow2 layer: ${done.error.message}`;
  machine.probe.emit(Ev.note, machine.probe.intern(text));
  bs.ejected = true;
  return -done.error.errno;
}
