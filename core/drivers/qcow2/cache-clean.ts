// Memory of the caches that nobody uses is given back from time to time, when the user wants it (cache-clean-interval).

import { assert, type VirtualNs } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  type AioContext,
  clockNs,
  globalStateCode,
  type Timer,
  timerDel,
  timerMod,
  timerNew,
} from "../../sched/index.ts";
import { cacheCleanSecondsOf } from "./options.ts";
import { stateOf } from "./state.ts";

const SITE_INIT = site("cache_clean_timer_init");
const SITE_DEL = site("cache_clean_timer_del");

const SECOND_NS = 1e9;

/** cache_clean_timer_init: from now on, in `ctx`. */
export function cacheCleanTimerInit(bs: BlockDriverState, ctx: AioContext): void {
  globalStateCode(SITE_INIT);
  const state = stateOf(bs);
  const seconds = cacheCleanSecondsOf(state.options);
  assert(state.cleanTimer === null, "there is one timer");
  if (seconds === 0) return;
  const timer = timerNew(ctx, () => {
    state.l2Cache.cleanUnused();
    state.refcountCache.cleanUnused();
    rearm(timer, seconds);
    return undefined;
  });
  rearm(timer, seconds);
  state.cleanTimer = timer;
}

function rearm(timer: Timer, seconds: number): void {
  timerMod(timer, (clockNs() + seconds * SECOND_NS) as VirtualNs);
}

/** cache_clean_timer_del. */
export function cacheCleanTimerDel(bs: BlockDriverState): void {
  globalStateCode(SITE_DEL);
  const state = stateOf(bs);
  if (state.cleanTimer !== null) timerDel(state.cleanTimer);
  state.cleanTimer = null;
}
