// `quorum` with votes (block/quorum.c): every child gets every request, and as many as the threshold says must agree.
//
//     read    all children at once, each into a buffer of its own; the data that most have is the answer, if enough have it
//     write   all children at once; it has succeeded if enough have
//     fifo    reads come from one child after the other, in the order in which they were added, until one has succeeded
//
// Nobody looks into guest data: whether two buffers agree is a decision, which a recording has. What the children are is asked at
// the start of a request; the drain of whoever adds or deletes one keeps them as they are until its end.
//
// quorum.ts is the older and simpler one, which scenarios and the demo use: without votes, one child after the other.

import { assert, EINVAL, EIO, must, strerror } from "../base/index.ts";
import { childrenOf } from "../graph/access.ts";
import { BlockError } from "../graph/block-error.ts";
import type { BlockOptions } from "../graph/block-options.ts";
import { BDRV_BLOCK_DATA, BDRV_BLOCK_ZERO, type BlockStatus } from "../graph/driver-results.ts";
import { bdrvGetDeviceOrNodeName } from "../graph/names.ts";
import { bdrvUnref } from "../graph/node-life.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  DEFAULT_PERM_PASSTHROUGH,
  type Permissions,
} from "../graph/permission-bits.ts";
import { quorumAddChild, quorumDelChild } from "../graph/quorum-children.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_REQ_WRITE_UNCHANGED,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type Qiov,
  type WritableAfterReopen,
} from "../graph/state.ts";
import { bdrvCoCommonBlockStatusAbove } from "../io/block-status.ts";
import { bdrvCoFlush } from "../io/flush.ts";
import { guestDifference } from "../io/guest-compare.ts";
import { guestCopy, qiovOf } from "../io/guest-copy.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { alignUp, BDRV_SECTOR_SIZE } from "../io/limits.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { site } from "../probe/index.ts";
import {
  type Co,
  globalStateCode,
  hostAllocate,
  hostDecide,
  modelAssert,
  type Polls,
} from "../sched/index.ts";
import { driverEvent } from "./driver-events.ts";
import { together } from "./together.ts";

const SITE_OPEN = site("quorum_open/vote");
const SITE_CHILDREN = site("quorum_aio_get");
const SITE_LENGTH = site("quorum_getlength/vote");
const SITE_STATUS = site("quorum_co_block_status");
const SITE_COMPARE = site("quorum_compare");
const SITE_BAD = site("quorum_report_bad");
const SITE_ADD = site("quorum_add_child/vote");
const SITE_DEL = site("quorum_del_child/vote");

/** QAPI: BlockdevOptionsQuorum. */
export interface QuorumOptions {
  readonly voteThreshold: number;
  readonly readPattern?: "quorum" | "fifo";
  /** Two children that must not differ: if they do, the run ends there. */
  readonly blkverify?: boolean;
  /** Children that were outvoted are written to. */
  readonly rewriteCorrupted?: boolean;
}

/** C: BDRVQuorumState. Its children are those of the node. */
class QuorumState {
  readonly threshold: number;
  readonly isFifo: boolean;
  readonly isBlkverify: boolean;
  readonly rewriteCorrupted: boolean;

  constructor({ voteThreshold, readPattern, blkverify, rewriteCorrupted }: QuorumOptions) {
    this.threshold = voteThreshold;
    this.isFifo = readPattern === "fifo";
    this.isBlkverify = !this.isFifo && blkverify === true;
    this.rewriteCorrupted = !this.isFifo && rewriteCorrupted === true;
  }
}

/** C: bdrv_quorum. */
export const quorumVoteDriver: BlockDriver = {
  formatName: "quorum",
  isFilter: false,
  hasVariableLength: true,
  childPerm: quorumChildPerm,
  coPreadv: quorumCoPreadv,
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    toAll(bs, { offset, bytes, type: "write" }, (child) =>
      bdrvCoPwritev(child, offset, bytes, qiov, flags),
    ),
  coPwriteZeroes: (bs, offset, bytes, flags) =>
    toAll(bs, { offset, bytes, type: "write" }, (child) =>
      bdrvCoPwriteZeroes(child, offset, bytes, flags),
    ),
  coFlush: quorumCoFlush,
  coBlockStatus: quorumCoBlockStatus,
  getlength: quorumGetlength,
  addChild: addChildWithVotes,
  delChild: delChildWithVotes,
};

/** quorum_open (block/quorum.c:876): above `children`, whose references it takes over. BlockError. Polls. */
export function* quorumVoteOpen(
  nodeName: string,
  children: readonly BlockDriverState[],
  options: QuorumOptions,
): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  const state = new QuorumState(options);
  const problem = problemOf(state, options, children.length);
  if (problem !== null) {
    for (const bs of children) yield* bdrvUnref(bs);
    throw new BlockError(EINVAL, problem);
  }
  assert(children.length > 0, "a quorum has a child");
  return yield* bdrvOpenDriver(quorumVoteDriver, nodeName, {
    opaque: state,
    options: namedOptions(options),
    children: children.map((bs, index) => ({
      name: `children.${index}`,
      role: BDRV_CHILD_DATA,
      bs,
    })),
  });
}

/** As the user names them. */
function namedOptions(options: QuorumOptions): BlockOptions {
  const named = {
    "vote-threshold": options.voteThreshold,
    "read-pattern": options.readPattern,
    blkverify: options.blkverify,
    "rewrite-corrupted": options.rewriteCorrupted,
  };
  return Object.fromEntries(
    Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function problemOf(state: QuorumState, options: QuorumOptions, count: number): string | null {
  if (count < 1) return "Number of provided children must be 1 or more";
  if (state.threshold < 1) return "Parameter 'vote-threshold' expects a value >= 1";
  if (state.threshold > count) return "threshold may not exceed children count";
  if (state.isBlkverify && (count !== 2 || state.threshold !== 2))
    return "blkverify=on can only be set if there are exactly two files and vote-threshold is 2";
  if (state.isBlkverify && options.rewriteCorrupted === true)
    return "rewrite-corrupted=on cannot be used with blkverify=on";
  return null;
}

/** quorum_child_perm (block/quorum.c:1192): nobody else may make the children differ. */
function quorumChildPerm(
  bs: BlockDriverState,
  _child: BdrvChild | null,
  _role: number,
  _reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  const rewrites = stateOf(bs).rewriteCorrupted ? BLK_PERM_WRITE : 0;
  return {
    perm: (parent.perm & DEFAULT_PERM_PASSTHROUGH) | rewrites,
    sharedPerm: parent.sharedPerm & (BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED),
  };
}

type OpType = "read" | "write" | "flush";

interface Range {
  readonly offset: number;
  readonly bytes: number;
  readonly type: OpType;
}

/** What one child has come to (C: QuorumChildRequest). */
interface ChildRequest {
  readonly child: BdrvChild;
  ret: number;
}

function* quorumCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const range: Range = { offset, bytes, type: "read" };
  if (stateOf(bs).isFifo) return yield* readFifoChild(bs, range, qiov);
  const replies = childrenInOrder(bs).map((child) => ({
    child,
    ret: 0,
    data: qiovOf(hostAllocate(bytes)),
  }));
  yield* together(replies, function* (reply): Co<void> {
    reply.ret = yield* bdrvCoPreadv(reply.child, offset, bytes, reply.data);
    if (reply.ret < 0) reportBad(range, reply.child, reply.ret);
  });
  const failed = tooManyFailed(bs, range, replies);
  if (failed !== null) return failed;
  const readers = replies.filter(({ ret }) => ret === 0);
  const winners = vote(bs, range, readers);
  if (winners === null) return -EIO;
  guestCopy(qiov, must(winners[0], "somebody has won").data, bytes);
  const losers = readers.filter((reply) => !winners.includes(reply));
  for (const { child } of losers) reportBad(range, child, 0);
  if (stateOf(bs).rewriteCorrupted) yield* rewrite(losers, range, qiov, flags);
  return 0;
}

/** read_fifo_child (block/quorum.c:647). */
function* readFifoChild(bs: BlockDriverState, range: Range, qiov: Qiov): Co<number> {
  let ret = -EIO;
  for (const child of childrenInOrder(bs)) {
    ret = yield* bdrvCoPreadv(child, range.offset, range.bytes, qiov);
    if (ret >= 0) return ret;
    reportBad(range, child, ret);
  }
  return ret;
}

interface Reply extends ChildRequest {
  readonly data: Qiov;
}

/** quorum_vote (block/quorum.c:496): the replies with the data that most have; null when they are too few. */
function vote(bs: BlockDriverState, range: Range, readers: readonly Reply[]): Reply[] | null {
  const { threshold, isBlkverify } = stateOf(bs);
  // Newest first: of two that as many have, the later one wins, as in QEMU.
  const versions: Reply[][] = [];
  for (const reader of readers) {
    const same = versions.find((version) => agree(range, must(version[0], "it has one"), reader));
    if (same !== undefined) same.push(reader);
    else versions.unshift([reader]);
  }
  if (isBlkverify && versions.length > 1) fail(range, readers);
  const winner = mostOf(versions);
  if (versions.length === 1 || winner.length >= threshold) return winner;
  reportFailure(bs, range);
  return null;
}

/** The last word of a quorum with two children that must not differ. QEMU's process ends there; here it is the run. */
function fail({ offset, bytes }: Range, readers: readonly Reply[]): never {
  const [a, b] = readers.map(({ data }) => data);
  assert(a !== undefined && b !== undefined, "two have read");
  const differsAt = offset + guestDifference(SITE_COMPARE, a, b, bytes);
  const line = `quorum: offset=${offset} bytes=${bytes} contents mismatch at offset ${differsAt}`;
  driverEvent({ event: "fatal", line });
  modelAssert(false, "quorum: contents mismatch", SITE_COMPARE);
}

/** quorum_compare (block/quorum.c:445): whether two have read the same. */
function agree({ bytes }: Range, a: Reply, b: Reply): boolean {
  const same = hostDecide(SITE_COMPARE, () => {
    const [left, right] = [contentsOf(a, bytes), contentsOf(b, bytes)];
    return left.every((byte, at) => byte === right[at]) ? 1 : 0;
  });
  return same === 1;
}

function contentsOf({ data }: Reply, bytes: number): Uint8Array {
  const contents = must(data.buffer.data, "what is compared has contents");
  return contents.subarray(data.start, data.start + bytes);
}

/** quorum_get_vote_winner (block/quorum.c:400): the first of the longest. */
function mostOf<T>(versions: readonly T[][]): T[] {
  let winner: T[] = [];
  for (const version of versions) if (version.length > winner.length) winner = version;
  return winner;
}

/** quorum_rewrite_bad_versions (block/quorum.c:310): what comes of it does not matter. */
function* rewrite(losers: readonly Reply[], range: Range, qiov: Qiov, flags: number): Co<void> {
  const { offset, bytes } = range;
  yield* together(losers, function* ({ child }): Co<void> {
    yield* bdrvCoPwritev(child, offset, bytes, qiov, flags & ~BDRV_REQ_WRITE_UNCHANGED);
  });
}

/** quorum_co_pwritev (block/quorum.c:713): to all children at once. */
function* toAll(
  bs: BlockDriverState,
  range: Range,
  write: (child: BdrvChild) => Co<number>,
): Co<number> {
  const requests: ChildRequest[] = childrenInOrder(bs).map((child) => ({ child, ret: 0 }));
  yield* together(requests, function* (request): Co<void> {
    request.ret = yield* write(request.child);
    if (request.ret < 0) reportBad(range, request.child, request.ret);
  });
  return tooManyFailed(bs, range, requests) ?? 0;
}

/** quorum_has_too_much_io_failed (block/quorum.c:225): the error that most have, or null when enough have none. */
function tooManyFailed(
  bs: BlockDriverState,
  range: Range,
  requests: readonly ChildRequest[],
): number | null {
  const successes = requests.filter(({ ret }) => ret === 0).length;
  if (successes >= stateOf(bs).threshold) return null;
  if (range.type !== "flush") reportFailure(bs, range);
  return errorOfMost(requests);
}

/** quorum_vote_error (block/quorum.c:463). */
function errorOfMost(requests: readonly ChildRequest[]): number {
  const versions: number[][] = [];
  for (const { ret } of requests) {
    if (ret === 0) continue;
    const same = versions.find(([first]) => first === ret);
    if (same !== undefined) same.push(ret);
    else versions.unshift([ret]);
  }
  return mostOf(versions)[0] ?? 0;
}

/** quorum_co_flush (block/quorum.c:797): one child after the other. */
function* quorumCoFlush(bs: BlockDriverState): Co<number> {
  const range: Range = { offset: 0, bytes: 0, type: "flush" };
  const requests: ChildRequest[] = [];
  for (const child of childrenInOrder(bs)) {
    const ret = yield* bdrvCoFlush(nodeBehind(child, SITE_CHILDREN));
    if (ret < 0) reportBad(range, child, ret);
    requests.push({ child, ret });
  }
  return tooManyFailed(bs, range, requests) ?? 0;
}

/** quorum_getlength (block/quorum.c:774): that of all children, who must agree. */
function quorumGetlength(bs: BlockDriverState): number {
  const lengths = childrenInOrder(bs).map((child) => bdrvGetlength(nodeBehind(child, SITE_LENGTH)));
  const wrong = lengths.find((length) => length < 0);
  if (wrong !== undefined) return wrong;
  const first = must(lengths[0], "a quorum has a child");
  return lengths.every((length) => length === first) ? first : -EIO;
}

/** quorum_co_block_status (block/quorum.c:1221): zeroes where all children have zeroes. */
function* quorumCoBlockStatus(
  bs: BlockDriverState,
  wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const range: Range = { offset, bytes, type: "read" };
  const whole = { base: null, includeBase: false };
  let [zero, data] = [bytes, 0];
  for (const child of childrenInOrder(bs)) {
    const below = nodeBehind(child, SITE_STATUS);
    const status = yield* bdrvCoCommonBlockStatusAbove(below, whole, { wantZero, offset, bytes });
    if (status.ret < 0) {
      reportBad(range, child, status.ret);
      data = bytes;
      break;
    }
    if ((status.ret & BDRV_BLOCK_ZERO) !== 0) zero = Math.min(zero, status.pnum);
    else data = Math.max(data, status.pnum);
  }
  return data > 0
    ? { ret: BDRV_BLOCK_DATA, pnum: data, map: 0, file: null }
    : { ret: BDRV_BLOCK_ZERO, pnum: zero, map: 0, file: null };
}

/** quorum_add_child (block/quorum.c:1040). Polls. */
function* addChildWithVotes(bs: BlockDriverState, childBs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_ADD);
  if (stateOf(bs).isBlkverify)
    throw new BlockError(EINVAL, "Cannot add a child to a quorum in blkverify mode");
  yield* quorumAddChild(bs, childBs);
}

/** quorum_del_child (block/quorum.c:1086). Polls. */
function* delChildWithVotes(bs: BlockDriverState, child: BdrvChild): Polls<void> {
  globalStateCode(SITE_DEL);
  const { threshold } = stateOf(bs);
  if (childrenOf(bs, SITE_DEL).length <= threshold) {
    const why = `The number of children cannot be lower than the vote threshold ${threshold}`;
    throw new BlockError(EINVAL, why);
  }
  yield* quorumDelChild(bs, child);
}

/** The children, the first added first; the list has the newest first. */
function childrenInOrder(bs: BlockDriverState): BdrvChild[] {
  return childrenOf(bs, SITE_CHILDREN).snapshot().reverse();
}

/** quorum_report_bad (block/quorum.c:182); `ret` is 0 for one who was outvoted. */
function reportBad({ offset, bytes, type }: Range, child: BdrvChild, ret: number): void {
  driverEvent({
    event: "QUORUM_REPORT_BAD",
    type,
    error: ret < 0 ? strerror(-ret) : null,
    nodeName: nodeBehind(child, SITE_BAD).nodeName,
    ...sectorsOf(offset, bytes),
  });
}

/** quorum_report_failure (block/quorum.c:200). */
function reportFailure(bs: BlockDriverState, { offset, bytes }: Range): void {
  const reference = bdrvGetDeviceOrNodeName(bs);
  driverEvent({ event: "QUORUM_FAILURE", reference, ...sectorsOf(offset, bytes) });
}

function sectorsOf(offset: number, bytes: number): { sectorNum: number; sectorsCount: number } {
  const sectorNum = Math.floor(offset / BDRV_SECTOR_SIZE);
  const end = alignUp(offset + bytes, BDRV_SECTOR_SIZE) / BDRV_SECTOR_SIZE;
  return { sectorNum, sectorsCount: end - sectorNum };
}

function stateOf(bs: BlockDriverState): QuorumState {
  assert(bs.opaque instanceof QuorumState, "the node is a quorum");
  return bs.opaque;
}
