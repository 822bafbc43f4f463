// Moves of filters that users have: each is put above a random node, whose parents it takes, and taken away again.
//
// Not here: `blkverify`, which ends the run when its two children do not hold the same, as they do not when a storm replaces one of
// them, or when two guests write to one place.

import {
  blkdebugOpen,
  compressOpen,
  copyBeforeWriteOpen,
  copyOnReadOpen,
  overlayOpen,
  preallocateDriver,
  preallocateOpen,
  quorumVoteOpen,
  snapshotAccessOpen,
  throttleOpen,
} from "#core/drivers";
import {
  type BlockDriverState,
  bdrvFilterOrCowBs,
  bdrvInsertNodeOpenedBy,
  bdrvRef,
  bdrvReplaceNode,
  bdrvUnref,
  settle,
} from "#core/graph";
import type { Polls } from "#core/sched";
import { GROUPS } from "./blk-moves.ts";
import { disjoint, NODE_BYTES } from "./shapes.ts";
import type { StormState } from "./storm-state.ts";

const CLUSTER_BYTES = 65_536;

/** Opens a filter above a node, whose reference it takes over. */
type OpenFilter = (storm: StormState, bs: BlockDriverState) => Polls<BlockDriverState>;

/** By the name of the driver. */
export const FILTERS_OF_USERS: Readonly<Record<string, OpenFilter>> = {
  blkdebug: openBlkdebug,
  compress: (storm, bs) => compressOpen(storm.name("compress"), bs),
  "copy-before-write": openCopyBeforeWrite,
  "copy-on-read": openCopyOnRead,
  preallocate: (storm, bs) =>
    preallocateOpen(storm.name("preallocate"), bs, {
      "prealloc-align": CLUSTER_BYTES,
      "prealloc-size": CLUSTER_BYTES,
    }),
  throttle: (storm, bs) =>
    throttleOpen(storm.name("throttle"), bs, storm.pick(GROUPS) ?? GROUPS[0]),
};

/** One of them above a random node, half of the time one that a drive has: its guest's requests go through the filter. */
export function* insertFilterOfUsers(storm: StormState): Polls<void> {
  const roots = storm.drives.flatMap(({ rawRoot }) => rawRoot?.rawBs ?? []);
  const bs = storm.pick(storm.prng.chance(1, 2) ? roots : storm.nodes());
  const name = storm.pick(Object.keys(FILTERS_OF_USERS)) ?? "";
  const open = FILTERS_OF_USERS[name];
  if (bs === undefined || open === undefined || !storm.hasRoom(2)) return;
  const insert = function* (): Polls<void> {
    storm.hold(yield* bdrvInsertNodeOpenedBy(bs, () => open(storm, bs)));
  };
  yield* storm.attempt(insert, "composite");
}

/** Its parents get what is below it; it has no user then. */
export function* removeFilterOfUsers(storm: StormState): Polls<void> {
  const filter = storm.pick(
    storm.nodes(),
    (bs) => bs.drv.formatName in FILTERS_OF_USERS && storm.holds(bs) && !storm.isInUse(bs),
  );
  const below = filter === undefined ? null : bdrvFilterOrCowBs(filter);
  if (filter === undefined || below === null) return;
  if (!(yield* storm.attempt(() => bdrvReplaceNode(filter, below)))) return;
  while (storm.holds(filter)) yield* storm.letGo(filter);
}

/** Whether bdrv_drop_filter may take it away, after which it has nothing below it when it is closed. */
export function canBeDropped({ drv }: BlockDriverState): boolean {
  return drv !== preallocateDriver;
}

/** A node that shows the older contents of a random one, which may have none. */
export function* openSnapshotAccess(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  if (bs === undefined || !storm.hasRoom()) return;
  yield* storm.attempt(function* (): Polls<void> {
    bdrvRef(bs);
    storm.hold(yield* snapshotAccessOpen(storm.name("access"), bs));
  }, "composite");
}

/** A quorum that votes, or whose reads take one child after the other. */
export function* openVotingQuorum(storm: StormState): Polls<void> {
  const first = storm.pick(storm.nodes());
  const second = storm.pick(storm.nodes(), (bs) => bs !== first);
  if (first === undefined || second === undefined || !storm.hasRoom()) return;
  const children = storm.prng.chance(1, 2) && disjoint(first, second) ? [first, second] : [first];
  const isFifo = storm.prng.chance(1, 2);
  const options = {
    voteThreshold: 1 + storm.prng.below(children.length),
    readPattern: isFifo ? ("fifo" as const) : ("quorum" as const),
    rewriteCorrupted: !isFifo && storm.prng.chance(1, 2),
  };
  yield* storm.attempt(function* (): Polls<void> {
    for (const bs of children) bdrvRef(bs);
    storm.hold(yield* quorumVoteOpen(storm.name("vote"), children, options));
  }, "composite");
}

function* openBlkdebug(storm: StormState, image: BlockDriverState): Polls<BlockDriverState> {
  const isAligned = storm.prng.chance(1, 2);
  return yield* blkdebugOpen({
    nodeName: storm.name("blkdebug"),
    image,
    injectError: [
      { event: "write_aio", iotype: "write", state: 2, once: true },
      { event: "none", iotype: "discard", errno: 1 },
    ],
    setState: [{ event: "read_aio", state: 1, newState: 2 }],
    ...(isAligned ? { align: 4096, maxTransfer: 8192 } : {}),
  });
}

/** To an overlay of its own; for what a bitmap says, and for a time, there are tests of the driver. */
function* openCopyBeforeWrite(storm: StormState, file: BlockDriverState): Polls<BlockDriverState> {
  const breaks = storm.prng.chance(1, 2);
  const opened = yield* settle(() =>
    overlayOpen({ nodeName: storm.name("target"), size: Math.max(file.totalBytes, NODE_BYTES) }),
  );
  if (!opened.ok) {
    yield* bdrvUnref(file);
    throw opened.error;
  }
  return yield* copyBeforeWriteOpen({
    nodeName: storm.name("cbw"),
    ...{ file, target: opened.value },
    onCbwError: breaks ? "break-snapshot" : "break-guest-write",
    cbwTimeout: storm.prng.below(2),
  });
}

function* openCopyOnRead(storm: StormState, bs: BlockDriverState): Polls<BlockDriverState> {
  let bottom: BlockDriverState | null = null;
  if (storm.prng.chance(1, 4)) bottom = bdrvFilterOrCowBs(bs);
  return yield* copyOnReadOpen(storm.name("cor"), bs, bottom?.nodeName ?? null);
}
