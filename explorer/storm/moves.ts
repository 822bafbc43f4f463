// The operations of a storm: each picks its nodes so that its caller's part of the contract holds (what QEMU asserts), and
// leaves it to the block layer to refuse the rest.

import {
  type BlockBackend,
  blkDrain,
  blkDrainAll,
  blkInsertBs,
  blkRemoveBs,
  blkReplaceBs,
  blkSetPerm,
} from "#core/backend";
import { ENOSPC } from "#core/base";
import {
  backingFilterDriver,
  filterDriver,
  InjectErrorState,
  injectErrorDriver,
  nullAioDriver,
  nullCoDriver,
  nullOpen,
  overlayDriver,
  overlayOpen,
  quorumOpen,
  rawDriver,
  rawOpen,
  throttleOpen,
} from "#core/drivers";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  BLK_PERM_ALL,
  BlockDriverState,
  bdrvAddChild,
  bdrvAppend,
  bdrvDelChild,
  bdrvDropFilter,
  bdrvDropIntermediate,
  bdrvFilterOrCowBs,
  bdrvFilterOrCowChild,
  bdrvFreezeBackingChain,
  bdrvInsertNode,
  bdrvOpenDriver,
  bdrvRecurseHasChild,
  bdrvRef,
  bdrvReopenSetReadOnly,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvTryChangeAioContext,
  bdrvUnfreezeBackingChain,
} from "#core/graph";
import {
  bdrvDrain,
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "#core/io";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import { GROUPS, limitDrive, setBlkContext } from "./blk-moves.ts";
import { changeMedium, plugDevice, readUnqueued, resize, setOnError } from "./device-moves.ts";
import {
  canBeDropped,
  insertFilterOfUsers,
  openSnapshotAccess,
  openVotingQuorum,
  removeFilterOfUsers,
} from "./filter-moves.ts";
import { endJob, pauseJob, setSpeed, startJob, startTransaction, tellJob } from "./job-moves.ts";
import { blockOperation, reopenBacking, reopenFile } from "./node-moves.ts";
import { disjoint, fits, NODE_BYTES } from "./shapes.ts";
import type { StormState } from "./storm-state.ts";

const SITE = site("storm");

/** More drained sections are not opened. */
const SECTIONS_MAX = 3;
const FROZEN_MAX = 2;
const FILTERS = [filterDriver, backingFilterDriver, injectErrorDriver] as const;
/** How long a drain of everything lasts. */
const DRAIN_NS = 20_000;

/** One kind of operation; `weight` says how often it is drawn. */
export interface Move {
  readonly name: string;
  readonly weight: number;
  /** It is an operation that can be refused, and is counted. */
  readonly counted: boolean;
  readonly carryOut: (storm: StormState) => Polls<void>;
}

/** All of them. */
export const MOVES: readonly Move[] = [
  { name: "open leaf", weight: 4, counted: true, carryOut: openLeaf },
  { name: "open overlay", weight: 4, counted: true, carryOut: openOverlay },
  { name: "open raw", weight: 3, counted: true, carryOut: openRaw },
  { name: "open inheriting raw", weight: 2, counted: true, carryOut: openInheriting },
  { name: "open throttle", weight: 2, counted: true, carryOut: openThrottle },
  { name: "open quorum", weight: 2, counted: true, carryOut: openQuorum },
  { name: "open voting quorum", weight: 2, counted: true, carryOut: openVotingQuorum },
  { name: "open snapshot access", weight: 2, counted: true, carryOut: openSnapshotAccess },
  { name: "unref", weight: 6, counted: false, carryOut: dropReference },
  { name: "set backing", weight: 8, counted: true, carryOut: setBacking },
  { name: "append", weight: 5, counted: true, carryOut: append },
  { name: "insert filter", weight: 5, counted: true, carryOut: insertFilter },
  { name: "insert filter of users", weight: 8, counted: true, carryOut: insertFilterOfUsers },
  { name: "remove filter of users", weight: 5, counted: true, carryOut: removeFilterOfUsers },
  { name: "drop filter", weight: 5, counted: true, carryOut: dropFilter },
  { name: "replace node", weight: 6, counted: true, carryOut: replaceNode },
  { name: "add child", weight: 3, counted: true, carryOut: addChild },
  { name: "del child", weight: 3, counted: true, carryOut: delChild },
  { name: "insert bs", weight: 5, counted: true, carryOut: insertBs },
  { name: "remove bs", weight: 3, counted: true, carryOut: removeBs },
  { name: "replace bs", weight: 4, counted: true, carryOut: replaceBs },
  { name: "change context", weight: 4, counted: true, carryOut: changeContext },
  { name: "set permissions", weight: 4, counted: true, carryOut: setPermissions },
  { name: "freeze chain", weight: 3, counted: true, carryOut: freezeChain },
  { name: "unfreeze chain", weight: 3, counted: false, carryOut: unfreezeChain },
  { name: "drop intermediate", weight: 3, counted: true, carryOut: dropIntermediate },
  { name: "reopen", weight: 3, counted: true, carryOut: reopen },
  { name: "reopen with another backing file", weight: 4, counted: true, carryOut: reopenBacking },
  { name: "reopen with another file", weight: 3, counted: true, carryOut: reopenFile },
  { name: "change medium", weight: 4, counted: true, carryOut: changeMedium },
  { name: "set on-error", weight: 2, counted: true, carryOut: setOnError },
  { name: "resize", weight: 3, counted: true, carryOut: resize },
  { name: "plug device", weight: 2, counted: true, carryOut: plugDevice },
  { name: "read unqueued", weight: 2, counted: false, carryOut: readUnqueued },
  { name: "block an operation", weight: 3, counted: true, carryOut: blockOperation },
  { name: "set context of a drive", weight: 2, counted: true, carryOut: setBlkContext },
  { name: "limit a drive", weight: 3, counted: true, carryOut: limitDrive },
  { name: "start job", weight: 4, counted: true, carryOut: startJob },
  { name: "start jobs of one transaction", weight: 3, counted: true, carryOut: startTransaction },
  { name: "pause job", weight: 3, counted: true, carryOut: pauseJob },
  { name: "set speed of job", weight: 2, counted: true, carryOut: setSpeed },
  { name: "tell job", weight: 3, counted: true, carryOut: tellJob },
  { name: "end job", weight: 4, counted: false, carryOut: endJob },
  { name: "begin section", weight: 6, counted: false, carryOut: beginSection },
  { name: "end section", weight: 8, counted: false, carryOut: endSection },
  { name: "drain", weight: 3, counted: false, carryOut: drainOnce },
  { name: "drain everything", weight: 2, counted: false, carryOut: drainEverything },
];

function* opened(storm: StormState, open: () => Polls<BlockDriverState>): Polls<void> {
  const openAndHold = function* (): Polls<void> {
    storm.hold(yield* open());
  };
  yield* storm.attempt(openAndHold, "composite");
}

function* openLeaf(storm: StormState): Polls<void> {
  if (!storm.hasRoom()) return;
  const driver = storm.prng.chance(1, 2) ? nullAioDriver : nullCoDriver;
  yield* opened(storm, () => nullOpen(driver, { nodeName: storm.name("leaf"), size: NODE_BYTES }));
}

function* openOverlay(storm: StormState): Polls<void> {
  if (!storm.hasRoom()) return;
  const backing = storm.prng.chance(2, 3) ? storm.pick(storm.nodes()) : undefined;
  const options = { nodeName: storm.name("overlay"), size: NODE_BYTES };
  yield* opened(storm, () =>
    overlayOpen(backing === undefined ? options : { ...options, backing: taken(backing) }),
  );
}

function* openRaw(storm: StormState): Polls<void> {
  const file = storm.pick(storm.nodes());
  if (file === undefined || !storm.hasRoom()) return;
  yield* opened(storm, () => rawOpen(storm.name("raw"), taken(file)));
}

/** A reopen of it reopens the node below as well. */
function* openInheriting(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  if (bs === undefined || !storm.hasRoom()) return;
  const role = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
  yield* opened(storm, () => {
    const children = [{ name: "file", role, bs: taken(bs), inherits: true }];
    return bdrvOpenDriver(rawDriver, storm.name("raw"), { children });
  });
}

function* openThrottle(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  const group = storm.pick(GROUPS);
  if (bs === undefined || group === undefined || !storm.hasRoom()) return;
  yield* opened(storm, () => throttleOpen(storm.name("throttle"), taken(bs), group));
}

function* openQuorum(storm: StormState): Polls<void> {
  const first = storm.pick(storm.nodes());
  const second = storm.pick(storm.nodes(), (bs) => bs !== first);
  if (first === undefined || second === undefined || !storm.hasRoom()) return;
  const both = storm.prng.chance(1, 2) && disjoint(first, second);
  const children = both ? [first, second] : [first];
  yield* opened(storm, () => quorumOpen(storm.name("quorum"), children.map(taken)));
}

function* dropReference(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes(), (node) => storm.holds(node) && !storm.isInUse(node));
  if (bs !== undefined) yield* storm.letGo(bs);
}

function* setBacking(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes(), ({ drv }) => drv === overlayDriver);
  if (bs === undefined) return;
  const backing = storm.prng.chance(1, 4) ? null : (storm.pick(storm.nodes()) ?? null);
  if (backing === bs || (backing !== null && !fits([bs], backing))) return;
  yield* storm.attempt(() => bdrvSetBackingHd(bs, backing));
}

function* append(storm: StormState): Polls<void> {
  const top = storm.pick(storm.nodes());
  if (top === undefined || !storm.hasRoom()) return;
  const bs = yield* overlayOpen({ nodeName: storm.name("snapshot"), size: NODE_BYTES });
  storm.hold(bs);
  yield* storm.attempt(() => bdrvAppend(bs, top));
}

function* insertFilter(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  if (bs === undefined || !storm.hasRoom()) return;
  const driver = storm.pick(FILTERS) ?? filterDriver;
  const rule = { types: ["write" as const], errno: ENOSPC };
  const opaque = driver === injectErrorDriver ? new InjectErrorState([rule]) : null;
  yield* opened(storm, () => bdrvInsertNode(bs, driver, storm.name("filter"), { opaque }));
}

/** Its parents get what it filters; whoever still held the filter lets go of it, as it is empty. */
function* dropFilter(storm: StormState): Polls<void> {
  const bs = storm.pick(
    storm.nodes(),
    (node) =>
      node.drv.isFilter && canBeDropped(node) && bdrvFilterOrCowChild(node)?.frozen === false,
  );
  if (bs === undefined || storm.isInUse(bs)) return;
  if (!(yield* storm.attempt(() => bdrvDropFilter(bs)))) return;
  while (storm.holds(bs)) yield* storm.letGo(bs);
}

function* replaceNode(storm: StormState): Polls<void> {
  const from = storm.pick(storm.nodes());
  const to = storm.pick(storm.nodes(), (bs) => bs !== from && bs.aioContext === from?.aioContext);
  if (from === undefined || to === undefined || bdrvRecurseHasChild(to, from)) return;
  const parents = from.rawParents.snapshot().map(({ opaque }) => opaque);
  if (!parents.every((bs) => !(bs instanceof BlockDriverState) || fits([bs], to))) return;
  yield* storm.attempt(() => bdrvReplaceNode(from, to));
}

function* addChild(storm: StormState): Polls<void> {
  const quorum = storm.pick(storm.nodes(), ({ drv }) => drv.addChild !== undefined);
  const child = storm.pick(storm.nodes(), (bs) => bs !== quorum);
  if (quorum === undefined || child === undefined || !fits([quorum], child)) return;
  yield* storm.attempt(() => bdrvAddChild(quorum, child));
}

function* delChild(storm: StormState): Polls<void> {
  const quorum = storm.pick(storm.nodes(), ({ drv }) => drv.addChild !== undefined);
  const edge = quorum === undefined ? undefined : storm.pick(quorum.rawChildren.snapshot());
  if (quorum !== undefined && edge !== undefined)
    yield* storm.attempt(() => bdrvDelChild(quorum, edge));
}

function* insertBs(storm: StormState): Polls<void> {
  const drive = storm.drive(false);
  const bs = storm.pick(storm.nodes());
  if (drive !== undefined && bs !== undefined) yield* storm.attempt(() => blkInsertBs(drive, bs));
}

function* removeBs(storm: StormState): Polls<void> {
  const drive = storm.drive(true);
  if (drive !== undefined) yield* storm.attempt(() => blkRemoveBs(drive));
}

function* replaceBs(storm: StormState): Polls<void> {
  const drive = storm.drive(true);
  const old = drive === undefined ? null : nodeOf(drive);
  const bs = storm.pick(
    storm.nodes(),
    (node) => node !== old && node.aioContext === old?.aioContext,
  );
  if (drive !== undefined && bs !== undefined) yield* storm.attempt(() => blkReplaceBs(drive, bs));
}

function* changeContext(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  const ctx = storm.pick(storm.contexts);
  if (bs === undefined || ctx === undefined || bs.aioContext === ctx) return;
  yield* storm.attempt(() => bdrvTryChangeAioContext(bs, ctx, null));
}

/** A guest's BlockBackend goes on reading and writing; what it lets others do may change. */
function* setPermissions(storm: StormState): Polls<void> {
  const drive = storm.pick(storm.drives);
  if (drive === undefined) return;
  const perm = drive.dev === null ? storm.prng.below(BLK_PERM_ALL + 1) : drive.perm;
  const sharedPerm = BLK_PERM_ALL & ~(1 << storm.prng.below(8));
  yield* storm.attempt(() => blkSetPerm(drive, { perm, sharedPerm }));
}

/** As a job does that works on the chain below a node. */
function* freezeChain(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes(), (node) => bdrvFilterOrCowBs(node) !== null);
  const base = bs === undefined ? null : bdrvFilterOrCowBs(bs);
  if (bs === undefined || base === null || storm.frozen.length >= FROZEN_MAX) return;
  const freeze = function* (): Polls<void> {
    bdrvFreezeBackingChain(bs, base);
  };
  // Who has frozen a link thaws it: what copy-on-read has frozen is not the storm's.
  if (!(yield* storm.attempt(freeze))) return;
  storm.ref(bs);
  storm.frozen.push({ bs, base });
}

export function* unfreezeChain(storm: StormState): Polls<void> {
  const chain = storm.frozen.splice(storm.prng.below(storm.frozen.length + 1), 1)[0];
  if (chain === undefined) return;
  bdrvUnfreezeBackingChain(chain.bs, chain.base);
  yield* storm.letGo(chain.bs);
}

/** The nodes from `top` down to one of the chain go; all parents of `top` get that one. */
function* dropIntermediate(storm: StormState): Polls<void> {
  const top = storm.pick(storm.nodes(), (node) => bdrvFilterOrCowBs(node) !== null);
  if (top === undefined) return;
  let base = bdrvFilterOrCowBs(top);
  for (let at = base; at !== null && storm.prng.chance(1, 2); at = bdrvFilterOrCowBs(at)) base = at;
  if (base === null) return;
  const below = base;
  yield* storm.attempt(() => bdrvDropIntermediate(top, below));
}

function* reopen(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  if (bs !== undefined) yield* storm.attempt(() => bdrvReopenSetReadOnly(bs, !bs.readOnly));
}

function* beginSection(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  if (bs === undefined || storm.sections.length >= SECTIONS_MAX) return;
  storm.ref(bs);
  if (storm.prng.chance(1, 2)) {
    yield* bdrvDrainedBegin(bs, SITE);
    storm.sections.push({ bs, endDrain: () => bdrvDrainedEnd(bs, SITE) });
  } else {
    yield* bdrvSubtreeDrainedBegin(bs, SITE);
    storm.sections.push({ bs, endDrain: () => bdrvSubtreeDrainedEnd(bs, SITE) });
  }
}

/** End one of the open sections: not always the newest. */
export function* endSection(storm: StormState): Polls<void> {
  const open = storm.sections.splice(storm.prng.below(storm.sections.length + 1), 1)[0];
  if (open === undefined) return;
  yield* open.endDrain();
  yield* storm.letGo(open.bs);
}

function* drainOnce(storm: StormState): Polls<void> {
  const drive = storm.pick(storm.drives);
  const bs = storm.pick(storm.nodes());
  if (storm.prng.chance(1, 2) && drive !== undefined) yield* blkDrain(drive, SITE);
  else if (bs !== undefined) {
    storm.ref(bs);
    yield* bdrvDrain(bs, SITE);
    yield* storm.letGo(bs);
  }
}

/** No edit inside: an edge that is attached in a drain of everything leaks a level in QEMU too (docs/known-findings.md). */
function* drainEverything(storm: StormState): Polls<void> {
  if (storm.prng.chance(1, 2)) {
    yield* blkDrainAll(SITE);
    return;
  }
  yield* bdrvDrainAllBegin(SITE);
  yield* storm.world.sleep(DRAIN_NS);
  yield* bdrvDrainAllEnd(SITE);
}

/** `bs` with one more reference, which whoever gets it takes over. */
function taken(bs: BlockDriverState): BlockDriverState {
  bdrvRef(bs);
  return bs;
}

function nodeOf(drive: BlockBackend): BlockDriverState | null {
  return drive.rawRoot?.rawBs ?? null;
}
