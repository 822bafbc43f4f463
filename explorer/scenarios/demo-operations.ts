// What main does to a disk's graph in the demo: each operation is done, lasts for a pause, and is undone.
//
// Under `--lock aio` main holds the AioContext lock of the disk where QEMU's callers of the series' time held it: around
// everything that QMP commands and jobs do to a node that is in use, but not when a node is opened above it (blockdev-add)
// and not when a device's BlockBackend gets its node (set_drive). Those two edit `parents` all the same.

import {
  type BlockBackend,
  blkInsertBs,
  blkNew,
  blkNewWithBs,
  blkPwritev,
  blkRoot,
  blkUnref,
} from "#core/backend";
import { AssertionError, assert, must } from "#core/base";
import {
  backingFilterDriver,
  InjectErrorState,
  injectErrorDriver,
  nullCoDriver,
  nullOpen,
  overlayOpen,
  quorumDriver,
  rawOpen,
} from "#core/drivers";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  BLK_PERM_ALL,
  type BlockDriver,
  type BlockDriverState,
  bdrvAddChild,
  bdrvAppend,
  bdrvDelChild,
  bdrvDropFilter,
  bdrvInsertNode,
  bdrvOpenDriver,
  bdrvRef,
  bdrvReplaceNode,
  bdrvUnref,
  childrenOf,
  edgeBs,
  fileOf,
} from "#core/graph";
import {
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvGetlength,
  bdrvPreadv,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
  qiovOf,
} from "#core/io";
import { site } from "#core/probe";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  hostAllocate,
  type Polls,
} from "#core/sched";

const SNAPSHOT = site("demo_snapshot");
const COMMIT = site("demo_commit_overlay");
const REPLACE = site("demo_replace_node");
const QUORUM = site("demo_quorum");

/** As a filter that a job inserts under load, this quorum claims nothing of its children while nobody uses it. */
const insertableQuorum: BlockDriver = {
  ...quorumDriver,
  childPerm: (bs, child, role, reopen, parent) =>
    parent.perm === 0 && parent.sharedPerm === BLK_PERM_ALL
      ? parent
      : must(quorumDriver.childPerm, "quorum has permissions of its own")(
          bs,
          child,
          role,
          reopen,
          parent,
        ),
};

/** How much of an overlay is copied down at a time. */
const COPY_BYTES = 65_536;

/** A disk as main sees it. */
export interface DemoDisk {
  readonly name: string;
  readonly ctx: AioContext;
  readonly blk: BlockBackend;
  /** The raw node; another one after it was replaced. */
  bs: BlockDriverState;
  /** Nodes made so far, for their names. */
  generation: number;
  readonly sizeMax: number;
  /** The range that the error-injecting filter fails. */
  readonly bad: { readonly offset: number; readonly bytes: number };
}

/** Does something to a disk's graph and undoes it; `pause` lets the guests work in between. Polls. */
export type DemoOperation = (disk: DemoDisk, pause: () => Polls<void>) => Polls<void>;

/** The operations, each of which a run does at least once to each disk. */
export const OPERATIONS: readonly DemoOperation[] = [
  errorFilter,
  commitFilter,
  overlay,
  replaceNode,
  quorumChild,
  idleBlockBackend,
];

/** Some requests fail while this filter is in the graph. */
function* errorFilter(disk: DemoDisk, pause: () => Polls<void>): Polls<void> {
  const rules = [{ ...disk.bad, types: ["read", "write"] as const }];
  const filter = yield* locked(disk, () =>
    bdrvInsertNode(disk.bs, injectErrorDriver, nameOf(disk, "errors"), {
      opaque: new InjectErrorState(rules),
    }),
  );
  yield* pause();
  yield* locked(disk, () => dropFilter(filter));
}

/** A filter above the disk, as block-commit puts one there: no drain but that of bdrv_append. */
function* commitFilter(disk: DemoDisk, pause: () => Polls<void>): Polls<void> {
  const filter = yield* bdrvOpenDriver(backingFilterDriver, nameOf(disk, "filter"), {
    totalBytes: disk.sizeMax,
  });
  yield* locked(disk, () => bdrvAppend(filter, disk.bs));
  yield* pause();
  yield* locked(disk, () => dropFilter(filter));
}

function* dropFilter(filter: BlockDriverState): Polls<void> {
  yield* bdrvDropFilter(filter);
  yield* bdrvUnref(filter);
}

/** A snapshot, as by blockdev-snapshot, and back: what the overlay took is copied down first. */
function* overlay(disk: DemoDisk, pause: () => Polls<void>): Polls<void> {
  // The command drains for the sake of the data: the overlay is as long as the image at that moment, and a write under way
  // below must not be missed by the overlay's copy.
  const top = yield* locked(disk, function* (): Polls<BlockDriverState> {
    yield* bdrvDrainedBegin(disk.bs, SNAPSHOT);
    const size = bdrvGetlength(disk.bs);
    const bs = yield* overlayOpen({ nodeName: nameOf(disk, "overlay"), size });
    yield* bdrvAppend(bs, disk.bs);
    yield* bdrvDrainedEnd(disk.bs, SNAPSHOT);
    return bs;
  });
  yield* pause();
  yield* locked(disk, function* (): Polls<void> {
    yield* bdrvSubtreeDrainedBegin(top, COMMIT);
    yield* commit(disk, top);
    yield* bdrvReplaceNode(top, disk.bs);
    yield* bdrvSubtreeDrainedEnd(top, COMMIT);
    yield* bdrvUnref(top);
  });
}

/** Main's own requests, inside its own drained section: written by a BlockBackend that does not queue, as a job's. */
function* commit(disk: DemoDisk, top: BlockDriverState): Polls<void> {
  const above = must(blkRoot(disk.blk, COMMIT), "the disk is in use");
  const below = yield* blkNewWithBs(disk.bs, { allowWriteBeyondEof: true });
  below.disableRequestQueuing = true;
  const buffer = qiovOf(hostAllocate(COPY_BYTES));
  const length = bdrvGetlength(top);
  for (let offset = 0; offset < length; offset += COPY_BYTES) {
    const bytes = Math.min(COPY_BYTES, length - offset);
    const read = yield* bdrvPreadv(above, offset, bytes, buffer);
    assert(read === 0, "an overlay can be read");
    const written = yield* blkPwritev(below, offset, bytes, buffer);
    assert(written === 0, "a backing file can be written");
  }
  yield* blkUnref(below);
}

/** Another raw node above the same file takes the place of the present one. */
function* replaceNode(disk: DemoDisk, pause: () => Polls<void>): Polls<void> {
  const old = disk.bs;
  const file = fileBelow(old);
  bdrvRef(file);
  const fresh = yield* rawOpen(nameOf(disk, "raw"), file);
  yield* pause();
  disk.bs = fresh;
  yield* locked(disk, () => bdrvReplaceNode(old, fresh));
  yield* pause();
  yield* locked(disk, () => bdrvUnref(old));
}

/** A node with a changing set of children takes the disk's place, gets a second child, loses it, and goes. */
function* quorumChild(disk: DemoDisk, pause: () => Polls<void>): Polls<void> {
  bdrvRef(disk.bs);
  const quorum = yield* bdrvOpenDriver(insertableQuorum, nameOf(disk, "quorum"), {
    children: [{ name: "children.0", role: BDRV_CHILD_DATA, bs: disk.bs }],
  });
  yield* pause();
  yield* locked(disk, () => bdrvReplaceNode(disk.bs, quorum));
  yield* pause();
  const mirror = yield* openMirror(disk);
  yield* locked(disk, function* (): Polls<void> {
    yield* bdrvAddChild(quorum, mirror);
    yield* bdrvUnref(mirror);
  });
  yield* pause();
  const edge = edgeTo(quorum, mirror);
  yield* locked(disk, () => bdrvDelChild(quorum, edge));
  yield* pause();
  yield* locked(disk, function* (): Polls<void> {
    yield* bdrvReplaceNode(quorum, disk.bs);
    yield* bdrvUnref(quorum);
  });
}

/** A mirror that takes writes and loses them; it cannot be read, so reads go to the next child. */
function* openMirror(disk: DemoDisk): Polls<BlockDriverState> {
  const hole = yield* nullOpen(nullCoDriver, {
    nodeName: nameOf(disk, "null"),
    size: disk.sizeMax,
  });
  return yield* bdrvOpenDriver(injectErrorDriver, nameOf(disk, "mirror"), {
    opaque: new InjectErrorState([{ types: ["read"] }]),
    children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: hole }],
  });
}

/** A BlockBackend that nobody uses: its root edge is one more parent of the disk. */
function* idleBlockBackend(disk: DemoDisk, pause: () => Polls<void>): Polls<void> {
  const blk = blkNew(disk.ctx);
  yield* blkInsertBs(blk, disk.bs);
  yield* pause();
  yield* locked(disk, () => blkUnref(blk));
}

/** Run `body` with the AioContext lock of the disk held (which is nothing under lock regime none). Polls. */
function* locked<T>(disk: DemoDisk, body: () => Polls<T>): Polls<T> {
  yield* aioContextAcquire(disk.ctx);
  const value = yield* body();
  aioContextRelease(disk.ctx);
  return value;
}

function nameOf(disk: DemoDisk, what: string): string {
  return `${disk.name}-${what}${++disk.generation}`;
}

function fileBelow(bs: BlockDriverState): BlockDriverState {
  const edge = must(fileOf(bs, REPLACE), "a raw node has a file");
  return must(edgeBs(edge, REPLACE), "an edge in a list points at a node");
}

function edgeTo(parent: BlockDriverState, bs: BlockDriverState): BdrvChild {
  const children = childrenOf(parent, QUORUM);
  for (let edge = children.first; edge !== null; edge = children.next(edge))
    if (edgeBs(edge, QUORUM) === bs) return edge;
  throw new AssertionError("a child that was added is among the children");
}
