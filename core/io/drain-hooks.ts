// The drain hooks of drivers (C: bdrv_co_drain_begin, bdrv_co_drain_end). A hook runs as a coroutine in its node's context and
// holds the node's in-flight counter meanwhile, so that it completes in the poll phase and never inside the quiesce phase.
// drained_end waits for its hooks through a counter of its own.

import { assert } from "../base/index.ts";
import type { BlockDriverState, DrainedEndCounter } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import {
  aioCoSchedule,
  type Co,
  ioOrGsCode,
  machine,
  qemuCoroutineCreate,
} from "../sched/index.ts";
import { bdrvDecInFlight, bdrvIncInFlightFor } from "./in-flight.ts";

const SITE_DRAIN_INVOKE = site("bdrv_drain_invoke");

/** bdrv_drain_invoke (io.c:278) for drained_begin: start the driver's hook. */
export function bdrvDrainInvokeBegin(bs: BlockDriverState): void {
  ioOrGsCode(bs.aioContext, SITE_DRAIN_INVOKE);
  assert(bs.quiesceCounter > 0, "hooks begin in a quiesced node");
  const hook = bs.drv.coDrainBegin;
  if (bs.closed || hook === undefined) return;
  schedule(bs, () => hook(bs), true, null);
}

/** bdrv_drain_invoke (io.c:278) for drained_end: start the driver's hook and count it in `counter`. */
export function bdrvDrainInvokeEnd(bs: BlockDriverState, counter: DrainedEndCounter): void {
  ioOrGsCode(bs.aioContext, SITE_DRAIN_INVOKE);
  assert(bs.quiesceCounter > 0, "hooks end before the node's own counter is lowered");
  const hook = bs.drv.coDrainEnd;
  if (bs.closed || hook === undefined) return;
  counter.pending++;
  schedule(bs, () => hook(bs), false, counter);
}

function schedule(
  bs: BlockDriverState,
  hook: () => Co<void>,
  begin: boolean,
  counter: DrainedEndCounter | null,
): void {
  const co = qemuCoroutineCreate(() => bdrvDrainInvokeEntry(bs, hook, begin, counter));
  bdrvIncInFlightFor(bs, co);
  aioCoSchedule(bs.aioContext, co);
}

/** bdrv_drain_invoke_entry (io.c:257): the counter goes down before the kick that lowering in_flight gives (B06). */
function* bdrvDrainInvokeEntry(
  bs: BlockDriverState,
  hook: () => Co<void>,
  begin: boolean,
  counter: DrainedEndCounter | null,
): Co<void> {
  machine.probe.emit(Ev.hook_begin, bs.id, begin ? 1 : 0);
  yield* hook();
  machine.probe.emit(Ev.hook_end, bs.id, begin ? 1 : 0);
  if (counter !== null) {
    assert(counter.pending > 0, "a hook that ends was counted");
    counter.pending--;
  }
  bdrvDecInFlight(bs);
}
