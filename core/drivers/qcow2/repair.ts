// An image with lazy refcounts that was not closed is counted anew before anyone writes to it.

import { assert, EIO } from "../../base/index.ts";
import {
  BDRV_FIX_ERRORS,
  BDRV_FIX_LEAKS,
  type BdrvCheckResult,
} from "../../graph/driver-results.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { Ev, site } from "../../probe/index.ts";
import { type Co, ioCode, machine, qemuCoMutexLock, qemuCoMutexUnlock } from "../../sched/index.ts";
import { ensureBlocks } from "./allocate.ts";
import {
  checkRefcounts,
  countUses,
  differencesOf,
  type Qcow2CheckResult,
  type UseCounts,
} from "./check.ts";
import { INCOMPAT_DIRTY } from "./format.ts";
import { setIncompatible } from "./header-update.ts";
import { setRefcount } from "./refcount.ts";
import { mendCopiedFlags } from "./repair-flags.ts";
import { stateOf } from "./state.ts";
import { writeCaches, writeRefcounts } from "./write-back.ts";

const SITE_CHECK = site("qcow2_co_check");
const SITE_REPAIR = site("qcow2_repair_dirty");

/** What qcow2_do_open does with an image that is marked dirty: counts become uses. 0 or a negated errno. */
export function* repairDirty(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_REPAIR);
  const state = stateOf(bs);
  assert(!bs.readOnly, "a repair writes");
  yield* qemuCoMutexLock(state.lock);
  let ret = yield* recount(bs);
  if (ret >= 0) ret = yield* writeRefcounts(bs);
  if (ret >= 0) ret = yield* setIncompatible(bs, INCOMPAT_DIRTY, false);
  qemuCoMutexUnlock(state.lock);
  return ret;
}

/** qcow2_co_check: what is wrong, and mended when `fix` says so. 0 or a negated errno. */
export function* qcow2CoCheck(
  bs: BlockDriverState,
  result: BdrvCheckResult,
  fix: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_CHECK);
  const { lock } = stateOf(bs);
  yield* qemuCoMutexLock(lock);
  const ret = yield* checkLocked(bs, result, fix);
  qemuCoMutexUnlock(lock);
  return ret;
}

function* checkLocked(bs: BlockDriverState, result: BdrvCheckResult, fix: number): Co<number> {
  if (!bs.readOnly) {
    const written = yield* writeCaches(bs);
    if (written < 0) return written;
  }
  const found = yield* checkRefcounts(bs);
  if (typeof found === "number") return found;
  if (fix === 0 || found.corruptions.length + found.leaks.length === 0)
    return report(result, found);
  const ret = yield* mendCounts(bs, fix);
  if (ret < 0) return ret;
  const counted = yield* checkRefcounts(bs);
  if (typeof counted === "number") return counted;
  const left = yield* mendFlags(bs, counted, fix);
  if (typeof left === "number") return left;
  // A flag may be right because the count is.
  result.corruptionsFixed += Math.max(0, countErrors(found) - countErrors(counted));
  result.corruptionsFixed += counted.corruptions.length - left.corruptions.length;
  result.leaksFixed += Math.max(0, found.leaks.length - counted.leaks.length);
  return report(result, left);
}

function report(result: BdrvCheckResult, { corruptions, leaks }: Qcow2CheckResult): number {
  result.corruptions += corruptions.length;
  result.leaks += leaks.length;
  return 0;
}

const isOfFlag = (text: string): boolean => text.includes("OFLAG_COPIED");

/** Corruptions that are no flags. */
function countErrors({ corruptions }: Qcow2CheckResult): number {
  return corruptions.filter((text) => !isOfFlag(text)).length;
}

/** Counts become uses, as far as `fix` says. 0 or a negated errno. */
function* mendCounts(bs: BlockDriverState, fix: number): Co<number> {
  const state = stateOf(bs);
  const uses = yield* countUses(bs);
  if (typeof uses === "number") return uses;
  let ret = 0;
  if ((fix & BDRV_FIX_ERRORS) !== 0) {
    state.freeCluster = uses.counts.end;
    ret = yield* moveCounts(bs, uses.counts, 1);
    state.freeCluster = 0;
  }
  if (ret >= 0 && (fix & BDRV_FIX_LEAKS) !== 0) ret = yield* lowerCounts(bs);
  return ret < 0 ? ret : yield* writeRefcounts(bs);
}

/** Flags follow the counts; who mends leaks alone may do that when nothing else is wrong. What is left, or a negated errno. */
function* mendFlags(
  bs: BlockDriverState,
  found: Qcow2CheckResult,
  fix: number,
): Co<Qcow2CheckResult | number> {
  const isAllowed = (fix & BDRV_FIX_ERRORS) !== 0 || countErrors(found) + found.leaks.length === 0;
  if (!isAllowed || !found.corruptions.some(isOfFlag)) return found;
  let ret = yield* mendCopiedFlags(bs);
  if (ret >= 0) ret = yield* writeCaches(bs);
  return ret < 0 ? ret : yield* checkRefcounts(bs);
}

function* recount(bs: BlockDriverState): Co<number> {
  const state = stateOf(bs);
  const uses = yield* countUses(bs);
  if (typeof uses === "number") return uses;
  // Counts that are too low make flags look wrong: only what no count can repair matters.
  const wrong = uses.corruptions.filter((text) => !isOfFlag(text));
  if (wrong.length > 0) {
    const text = `qcow2: the image cannot be repaired: ${wrong[0]}`;
    machine.probe.emit(Ev.note, machine.probe.intern(text));
    return -EIO;
  }
  // Blocks that are missing are placed behind all that is used, as the counts before it are not to be trusted.
  const { counts } = uses;
  state.freeCluster = counts.end;
  const raised = yield* moveCounts(bs, counts, 1);
  state.freeCluster = 0;
  return raised < 0 ? raised : yield* lowerCounts(bs);
}

/** What is counted too often is counted down. New blocks are in use by now, too. 0 or a negated errno. */
function* lowerCounts(bs: BlockDriverState): Co<number> {
  const uses = yield* countUses(bs);
  return typeof uses === "number" ? uses : yield* moveCounts(bs, uses.counts, -1);
}

/** Bring every count that differs in the direction of `step` to its uses. */
function* moveCounts(bs: BlockDriverState, counts: UseCounts, step: 1 | -1): Co<number> {
  const differences = yield* differencesOf(bs, counts);
  if (typeof differences === "number") return differences;
  for (const { cluster, counted, used } of differences) {
    const difference = (used - counted) * step;
    if (difference <= 0) continue;
    if (counted === 0) {
      const made = yield* ensureBlocks(bs, cluster, 1);
      if (made < 0) return made;
    }
    const ret = yield* setRefcount(bs, cluster, used);
    if (ret < 0) return ret;
  }
  return 0;
}
