// Moves of devices above BlockBackends: trays that open and close with what is in them, media that are taken out and put in,
// nodes that get another length, devices that come and go, and policies for requests that fail.

import {
  type BlockDevOps,
  type BlockdevOnError,
  blkAttachDev,
  blkDetachDev,
  blkIostatusReset,
  blkNewWithBs,
  blkPread,
  blkSetOnError,
  blkTruncate,
  blkUnref,
  qmpBlockdevCloseTray,
  qmpBlockdevInsertAnonMedium,
  qmpBlockdevOpenTray,
  qmpEject,
} from "#core/backend";
import { AssertionError, assert, strerror } from "#core/base";
import {
  BLK_PERM_ALL,
  BLK_PERM_RESIZE,
  type BlockDriverState,
  BlockError,
  bdrvOpIsBlocked,
  bdrvParentCbChangeMedia,
} from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import { hostAllocate, type Polls } from "#core/sched";
import { NODE_BYTES } from "./shapes.ts";
import type { StormState } from "./storm-state.ts";

const SITE = site("storm_resize");
const ON_ERROR: readonly BlockdevOnError[] = ["report", "ignore", "enospc", "stop"];
const READ_BYTES = 4096;

/** A device with a tray, that counts what it is told. */
export class StormDevice {
  readonly id: string;
  trayOpen = false;
  resizes = 0;
  isDrained = false;

  constructor(id: string) {
    this.id = id;
  }

  ops(): BlockDevOps {
    return {
      changeMediaCb: (load): undefined => {
        this.trayOpen = !load;
      },
      isTrayOpen: () => this.trayOpen,
      resizeCb: (): undefined => {
        this.resizes++;
      },
      drainedBegin: (): undefined => {
        if (this.isDrained) throw new AssertionError("a device is told of the first level alone");
        this.isDrained = true;
      },
      drainedPoll: () => {
        if (!this.isDrained) throw new AssertionError("a device is asked while it is drained");
        return false;
      },
      drainedEnd: (): undefined => {
        if (!this.isDrained) throw new AssertionError("a device is told of the last level alone");
        this.isDrained = false;
      },
    };
  }
}

/** The tray of a device is opened or closed, its medium taken out, or another one put in. */
export function* changeMedium(storm: StormState): Polls<void> {
  const drive = storm.pick(storm.drives, ({ dev }) => dev instanceof StormDevice);
  const bs = storm.pick(storm.nodes());
  if (drive === undefined || bs === undefined) return;
  const draw = storm.prng.below(5);
  yield* storm.attempt(function* (): Polls<void> {
    if (draw === 0) qmpBlockdevOpenTray(drive, storm.prng.chance(1, 2));
    else if (draw === 1) qmpBlockdevCloseTray(drive);
    else if (draw === 2) yield* qmpEject(drive, true);
    else if (draw === 3) yield* qmpBlockdevInsertAnonMedium(drive, bs);
    else bdrvParentCbChangeMedia(bs, true);
  });
}

/** Requests that fail are reported, ignored, or stop the machine. */
export function* setOnError(storm: StormState): Polls<void> {
  const drive = storm.pick(storm.drives);
  const [read, write] = [storm.pick(ON_ERROR), storm.pick(ON_ERROR)];
  if (drive === undefined || read === undefined || write === undefined) return;
  yield* storm.attempt(function* (): Polls<void> {
    blkSetOnError(drive, { read, write });
    blkIostatusReset(drive);
  });
}

/**
 * As block_resize: in a drained section, by a BlockBackend that is there for that alone. When that goes, a node that nobody else
 * keeps in its context returns to main.
 */
export function* resize(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  if (bs === undefined) return;
  const length = (NODE_BYTES / 4) * (4 + storm.prng.below(3));
  storm.ref(bs);
  yield* storm.attempt(() => blockResize(bs, length), "composite");
  yield* storm.letGo(bs);
}

function* blockResize(bs: BlockDriverState, length: number): Polls<void> {
  const blocked = bdrvOpIsBlocked(bs, "resize");
  if (blocked !== null) throw blocked;
  const blk = yield* blkNewWithBs(bs, { perm: BLK_PERM_RESIZE, sharedPerm: BLK_PERM_ALL });
  yield* bdrvDrainedBegin(bs, SITE);
  const ret = yield* blkTruncate(blk, length);
  yield* bdrvDrainedEnd(bs, SITE);
  yield* blkUnref(blk);
  if (ret < 0) throw new BlockError(-ret, `Failed to resize: ${strerror(-ret)}`);
}

/** A drive without a guest gets a device, or loses it. */
export function* plugDevice(storm: StormState): Polls<void> {
  const drive = storm.pick(storm.drives, ({ dev }) => !(dev instanceof StormDevice));
  if (drive === undefined) return;
  const { dev } = drive;
  yield* storm.attempt(function* (): Polls<void> {
    if (dev !== null) yield* blkDetachDev(drive, dev);
    else assert(blkAttachDev(drive, { id: storm.name("dev") }) === 0, "it had none");
  });
}

/** A drive without a guest reads without queuing, as jobs do with theirs; in a drained section nobody may. */
export function* readUnqueued(storm: StormState): Polls<void> {
  const drive = storm.pick(
    storm.drives,
    ({ dev, rawRoot, quiesceCounter }) =>
      !(dev instanceof StormDevice) && rawRoot !== null && quiesceCounter === 0,
  );
  if (drive === undefined) return;
  drive.disableRequestQueuing = true;
  yield* blkPread(drive, 0, READ_BYTES, hostAllocate(READ_BYTES));
  drive.disableRequestQueuing = false;
}
