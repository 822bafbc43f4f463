// What a reopen changes of an image that stays open: its options, and whether anybody may write (C: qcow2_reopen_prepare and what it
// calls). Prepare judges and writes, and can refuse; commit makes it true. The node is drained from before the one until after the other.

import { assert, EACCES, strerror } from "../../base/index.ts";
import { BlockError, settle } from "../../graph/block-error.ts";
import { type ReopenState, withoutOption } from "../../graph/block-options.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { Ev, site } from "../../probe/index.ts";
import {
  type Co,
  globalStateCode,
  ioCode,
  machine,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  runInCoroutine,
} from "../../sched/index.ts";
import { reopenBitmapsRw } from "./bitmap-load.ts";
import { reopenBitmapsRo } from "./bitmap-store.ts";
import { cacheCleanTimerDel, cacheCleanTimerInit } from "./cache-clean.ts";
import { INCOMPAT_CORRUPT, INCOMPAT_DIRTY } from "./format.ts";
import { setIncompatible } from "./header-update.ts";
import {
  cacheCleanSecondsOf,
  overlapBits,
  QCOW2_OPTION_NAMES,
  type Qcow2Options,
  qcow2OptionsFrom,
} from "./options.ts";
import { prepareToWrite } from "./prepare.ts";
import { cachesFor, lazyRefcountsOf, stateOf } from "./state.ts";
import { writeCaches } from "./write-back.ts";

const SITE_REOPEN = site("qcow2_reopen_prepare");
const SITE_COMMIT = site("qcow2_reopen_commit");
const SITE_ABORT = site("qcow2_reopen_abort");
const SITE_WRITE = site("qcow2_mark_clean");
const SITE_REOPEN_POST = site("qcow2_reopen_commit_post");

/**
 * qcow2_reopen_prepare (block/qcow2.c:2005): BlockError when the options do not fit; before nobody may write, all is written; before
 * somebody may, the image must be one to write to. Polls.
 */
export function* qcow2ReopenPrepare(state: ReopenState): Polls<void> {
  globalStateCode(SITE_REOPEN);
  const { bs, readOnly } = state;
  const image = stateOf(bs);
  const options = qcow2OptionsFrom(state.options, image.options);
  cachesFor(image.header, options);
  for (const name of QCOW2_OPTION_NAMES) state.remaining = withoutOption(state.remaining, name);
  state.opaque = options;
  yield* prepareCaches(bs, options);
  if (readOnly === bs.readOnly) return;
  if (!readOnly && (image.header.incompatible & INCOMPAT_CORRUPT) !== 0)
    throw new BlockError(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  if (!readOnly) return;
  yield* reopenBitmapsRo(bs);
  const ret = yield* runInCoroutine(bs.aioContext, () => writeImage(bs), SITE_REOPEN);
  if (ret < 0) throw new BlockError(-ret, "Could not write the tables of the image");
}

/** The part of qcow2_update_options_prepare that writes: caches that go must be clean, and so an image whose counts are kept again. Polls. */
function* prepareCaches(bs: BlockDriverState, options: Qcow2Options): Polls<void> {
  const image = stateOf(bs);
  if (bs.readOnly || bs.inactive) return;
  const becomesEager = image.lazyRefcounts && !lazyRefcountsOf(image.header, options);
  if (!becomesEager && image.l2Cache.dirty + image.refcountCache.dirty === 0) return;
  const write = (): Co<number> => (becomesEager ? writeAndClean(bs) : writeUnderLock(bs));
  const ret = yield* runInCoroutine(bs.aioContext, write, SITE_REOPEN);
  if (ret < 0) throw new BlockError(-ret, `Failed to flush the caches: ${strerror(-ret)}`);
}

/** qcow2_update_options_commit (block/qcow2.c:1248). Polls. */
export function* qcow2ReopenCommit({ bs, opaque }: ReopenState): Polls<void> {
  globalStateCode(SITE_COMMIT);
  const image = stateOf(bs);
  const options = opaque as Qcow2Options;
  const { l2Cache, refcountCache } = cachesFor(image.header, options);
  // Bitmaps that were stored meanwhile may have changed a table again.
  if (image.refcountCache.dirty + image.l2Cache.dirty > 0)
    yield* runInCoroutine(bs.aioContext, () => writeUnderLock(bs), SITE_COMMIT);
  // What could not be written stays where it is.
  if (image.l2Cache.dirty === 0 && image.refcountCache.dirty === 0) {
    image.l2Cache = l2Cache;
    image.refcountCache = refcountCache;
  }
  image.lazyRefcounts = lazyRefcountsOf(image.header, options);
  image.overlapCheck = overlapBits(options.overlapCheck);
  const cleansAnew = cacheCleanSecondsOf(image.options) !== cacheCleanSecondsOf(options);
  if (cleansAnew) cacheCleanTimerDel(bs);
  image.options = options;
  if (cleansAnew) cacheCleanTimerInit(bs, bs.aioContext);
  assert(stateOf(bs) === image, "the image stays open");
}

/**
 * qcow2_reopen_commit_post: a node that was read-only may write now, so the image gets what one that is opened to write gets. Polls.
 * Differs from QEMU, which leaves out all but the bitmaps here, and so goes on with counts that are out of date. When the image cannot
 * be put in order, the node serves nothing any more, as it is too late to refuse; bitmaps that cannot be marked stay read-only, as
 * in QEMU, and nothing can be written.
 */
export function* qcow2ReopenCommitPost({ bs }: ReopenState): Polls<void> {
  globalStateCode(SITE_REOPEN_POST);
  const state = stateOf(bs);
  if (bs.readOnly || state.preparedToWrite) return;
  const ret = yield* runInCoroutine(bs.aioContext, () => prepareToWrite(bs), SITE_REOPEN_POST);
  if (ret < 0) state.corrupt = true;
  const done = yield* settle(() => reopenBitmapsRw(bs));
  const problem = ret < 0 ? strerror(-ret) : done.ok ? "" : done.error.message;
  if (problem !== "") note(`${bs.nodeName}: Failed to make the image writable: ${problem}`);
}

/** qcow2_reopen_abort: who was to be read-only is not. Polls. */
export function* qcow2ReopenAbort({ bs, readOnly }: ReopenState): Polls<void> {
  globalStateCode(SITE_ABORT);
  if (bs.readOnly || !readOnly) return;
  stateOf(bs).preparedToWrite = true;
  const done = yield* settle(() => reopenBitmapsRw(bs));
  if (!done.ok) note(`${bs.nodeName}: Failed to make the image writable: ${done.error.message}`);
}

/** What changed in memory is on the disk, and the image is not dirty any more. 0 or a negated errno. */
export function* writeImage(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_WRITE);
  const ret = yield* writeAndClean(bs);
  if (ret >= 0) stateOf(bs).preparedToWrite = false;
  return ret;
}

function* writeAndClean(bs: BlockDriverState): Co<number> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  let ret = yield* writeCaches(bs);
  if (ret >= 0 && (state.header.incompatible & INCOMPAT_DIRTY) !== 0)
    ret = yield* setIncompatible(bs, INCOMPAT_DIRTY, false);
  qemuCoMutexUnlock(state.lock);
  return ret;
}

function* writeUnderLock(bs: BlockDriverState): Co<number> {
  const { lock } = stateOf(bs);
  yield* qemuCoMutexLock(lock);
  const ret = yield* writeCaches(bs);
  qemuCoMutexUnlock(lock);
  return ret;
}

/** For a recording, and whoever reads it: what users of QEMU see on stderr. Common. */
export function note(text: string): void {
  machine.probe.emit(Ev.note, machine.probe.intern(text));
}
