// `blkverify`: every request goes to the node under test and to a raw one, and the run ends where their answers differ.

import { assert, ENOTSUP } from "../base/index.ts";
import { childrenOf, fileOf } from "../graph/access.ts";
import { bdrvDefaultPerms } from "../graph/default-perms.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type Qiov,
} from "../graph/state.ts";
import { bdrvCoFlush } from "../io/flush.ts";
import { guestDifference } from "../io/guest-compare.ts";
import { qiovOf } from "../io/guest-copy.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, hostAllocate, modelAssert, type Polls } from "../sched/index.ts";
import { driverEvent } from "./driver-events.ts";
import { together } from "./together.ts";

const SITE_OPEN = site("blkverify_open");
const SITE_RAW = site("blkverify_do_raw_req");
const SITE_TEST = site("blkverify_do_test_req");
const SITE_COMPARE = site("blkverify_co_preadv");
const SITE_LENGTH = site("blkverify_getlength");

/** C: bdrv_blkverify. The raw node is not flushed: nobody will look at it later. */
export const blkverifyDriver: BlockDriver = {
  formatName: "blkverify",
  isFilter: true,
  getAllocatedFileSize: () => -ENOTSUP,
  childPerm: bdrvDefaultPerms,
  coPreadv: blkverifyCoPreadv,
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    toBoth(bs, { offset, bytes, isWrite: true }, (child) =>
      bdrvCoPwritev(child, offset, bytes, qiov, flags),
    ),
  coFlush: (bs) => bdrvCoFlush(nodeBehind(testChild(bs), SITE_TEST)),
  getlength: (bs) => bdrvGetlength(nodeBehind(testChild(bs), SITE_LENGTH)),
};

/** blkverify_open (block/blkverify.c:109): takes over the references to both. BlockError. Polls. */
export function* blkverifyOpen(
  nodeName: string,
  raw: BlockDriverState,
  test: BlockDriverState,
): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(raw !== test, "two nodes are compared");
  return yield* bdrvOpenDriver(blkverifyDriver, nodeName, {
    children: [
      { name: "raw", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: raw },
      { name: "test", role: BDRV_CHILD_DATA, bs: test },
    ],
    requestAlignment: Math.max(raw.requestAlignment, test.requestAlignment),
  });
}

interface Range {
  readonly offset: number;
  readonly bytes: number;
  readonly isWrite: boolean;
}

function* blkverifyCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const range: Range = { offset, bytes, isWrite: false };
  const rawQiov = qiovOf(hostAllocate(bytes));
  const test = testChild(bs);
  const ret = yield* toBoth(bs, range, (child) =>
    bdrvCoPreadv(child, offset, bytes, child === test ? qiov : rawQiov, flags),
  );
  if (ret < 0) return ret;
  const differsAt = guestDifference(SITE_COMPARE, qiov, rawQiov, bytes);
  if (differsAt >= 0) fail(range, `contents mismatch at offset ${offset + differsAt}`);
  return ret;
}

/** blkverify_co_prwv (block/blkverify.c:196): both at once; they must come to the same end. */
function* toBoth(
  bs: BlockDriverState,
  range: Range,
  request: (child: BdrvChild) => Co<number>,
): Co<number> {
  const raw = fileOf(bs, SITE_RAW);
  modelAssert(raw !== null, "bs->file", SITE_RAW);
  const rets = new Map<BdrvChild, number>();
  const test = testChild(bs);
  yield* together([test, raw], function* (child): Co<void> {
    rets.set(child, yield* request(child));
  });
  const [ret, rawRet] = [rets.get(test) ?? 0, rets.get(raw) ?? 0];
  if (ret !== rawRet) fail(range, `return value mismatch ${ret} != ${rawRet}`);
  return ret;
}

/** blkverify_err (block/blkverify.c:46). QEMU's process ends there; here it is the run. */
function fail({ offset, bytes, isWrite }: Range, what: string): never {
  const request = isWrite ? "write" : "read";
  const line = `blkverify: ${request} offset=${offset} bytes=${bytes} ${what}`;
  driverEvent({ event: "fatal", line });
  modelAssert(false, "blkverify: the two nodes differ", SITE_COMPARE);
}

function testChild(bs: BlockDriverState): BdrvChild {
  const test = childrenOf(bs, SITE_TEST)
    .snapshot()
    .find(({ name }) => name === "test");
  modelAssert(test !== undefined, "s->test_file", SITE_TEST);
  return test;
}
