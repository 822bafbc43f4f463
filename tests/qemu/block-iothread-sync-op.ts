// Cases of test-block-iothread.c that call each "synchronous" function from main while the node is in an iothread, whose coroutine
// main has to wait for.
//
//   main: blk_pread . . . . . . polls . . . returns the result
//   iothread:       the coroutine reads     wakes main

import {
  type BlockBackend,
  blkFlush,
  blkInsertBs,
  blkNew,
  blkPdiscard,
  blkPread,
  blkPreadv,
  blkPreadvPart,
  blkPwrite,
  blkPwriteCompressed,
  blkPwritev,
  blkPwritevPart,
  blkPwriteZeroes,
  blkSetAioContext,
  blkTruncate,
  blkUnref,
} from "#core/backend";
import { EACCES, EINVAL, EIO, ENOTSUP } from "#core/base";
import {
  BdrvCheckResult,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type BlockStatus,
  bdrvActivate,
  bdrvOpenDriver,
  bdrvUnref,
} from "#core/graph";
import {
  bdrvCheck,
  bdrvFlush,
  bdrvIsAllocated,
  bdrvLoadVmstate,
  bdrvPdiscard,
  bdrvPread,
  bdrvPwrite,
  bdrvSaveVmstate,
  bdrvTruncate,
  qiovOf,
} from "#core/io";
import {
  aioContextAcquire,
  aioContextRelease,
  type Co,
  hostAllocate,
  type Polls,
} from "#core/sched";
import type { CaseTest, DeclaredFinding, QemuCase, QemuFamily } from "./support/index.ts";

const BYTES = 512;
const IMAGE_BYTES = 65_536;

/** What a case is given: the node in the iothread, the edge to it, the BlockBackend above. */
interface SyncOp {
  readonly t: CaseTest;
  readonly blk: BlockBackend;
  readonly child: BdrvChild;
  readonly bs: BlockDriverState;
  readonly drv: Writable<BlockDriver>;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Calls the functions under test, and asserts. */
type Calls = (op: SyncOp) => Polls<void>;

/** A function of the edge or node, then that of the BlockBackend. */
function both(first: (op: SyncOp) => Polls<void>, second: (op: SyncOp) => Polls<void>): Calls {
  return function* (op): Polls<void> {
    yield* first(op);
    yield* second(op);
  };
}

/** C: bdrv_test of this file: every request succeeds at once, and nothing is ever allocated. A new one for each case. */
function newTestDriver(): Writable<BlockDriver> {
  return {
    formatName: "test",
    isFilter: false,
    coPreadv: succeed,
    coPwritev: succeed,
    coPdiscard: succeed,
    coTruncate: succeed,
    *coBlockStatus(_bs, _wantZero, _offset, bytes): Co<BlockStatus> {
      return { ret: 0, pnum: bytes, map: 0, file: null };
    },
  };
}

function* succeed(): Co<number> {
  return 0;
}

/** C: test_sync_op. */
function* testSyncOp(t: CaseTest, calls: (op: SyncOp) => Polls<void>): Polls<void> {
  const ctx = t.iothread("iothread");
  const blk = blkNew(t.main);
  const drv = newTestDriver();
  const bs = yield* bdrvOpenDriver(drv, "base", { totalBytes: IMAGE_BYTES });
  yield* blkInsertBs(blk, bs);
  const child = bs.rawParents.first;
  t.check(child !== null, "QLIST_FIRST(&bs->parents)");
  yield* blkSetAioContext(blk, ctx);
  yield* aioContextAcquire(ctx);
  yield* calls({ t, blk, child, bs, drv });
  yield* blkSetAioContext(blk, t.main);
  aioContextRelease(ctx);
  yield* bdrvUnref(bs);
  yield* blkUnref(blk);
}

/** The two calls that nearly every case makes: one that succeeds, and one at a negative offset, refused early. */
function succeedsThenRefuses(
  name: string,
  call: (op: SyncOp, offset: number) => Polls<number>,
  first = 0,
): Calls {
  return function* (op): Polls<void> {
    op.t.expectEqual(yield* call(op, 0), first, `${name}: ret`);
    op.t.expectEqual(yield* call(op, -2), -EIO, `${name} at -2: ret`);
  };
}

const buffer = () => hostAllocate(BYTES);
const part = () => ({ qiov: qiovOf(buffer()), qiovOffset: 0 });

const PREAD = both(
  succeedsThenRefuses("bdrv_pread", ({ child }, at) => bdrvPread(child, at, BYTES, buffer())),
  succeedsThenRefuses("blk_pread", ({ blk }, at) => blkPread(blk, at, BYTES, buffer())),
);
const PWRITE = both(
  succeedsThenRefuses("bdrv_pwrite", ({ child }, at) => bdrvPwrite(child, at, BYTES, buffer())),
  succeedsThenRefuses("blk_pwrite", ({ blk }, at) => blkPwrite(blk, at, BYTES, buffer())),
);
const PREADV = succeedsThenRefuses("blk_preadv", ({ blk }, at) =>
  blkPreadv(blk, at, BYTES, qiovOf(buffer())),
);
const PWRITEV = succeedsThenRefuses("blk_pwritev", ({ blk }, at) =>
  blkPwritev(blk, at, BYTES, qiovOf(buffer())),
);
const PREADV_PART = succeedsThenRefuses("blk_preadv_part", ({ blk }, at) =>
  blkPreadvPart(blk, at, BYTES, part()),
);
const PWRITEV_PART = succeedsThenRefuses("blk_pwritev_part", ({ blk }, at) =>
  blkPwritevPart(blk, at, BYTES, part()),
);
/** A late error first: the driver cannot. */
const PWRITE_COMPRESSED = succeedsThenRefuses(
  "blk_pwrite_compressed",
  ({ blk }, at) => blkPwriteCompressed(blk, at, BYTES, buffer()),
  -ENOTSUP,
);
const PWRITE_ZEROES = succeedsThenRefuses("blk_pwrite_zeroes", ({ blk }, at) =>
  blkPwriteZeroes(blk, at, BYTES),
);

/** C: test_sync_op_load_vmstate: the driver does not support snapshots. */
function* loadVmstate({ t, bs }: SyncOp): Polls<void> {
  t.expectEqual(yield* bdrvLoadVmstate(bs, buffer(), 0, BYTES), -ENOTSUP, "ret");
}

/** C: test_sync_op_save_vmstate. */
function* saveVmstate({ t, bs }: SyncOp): Polls<void> {
  t.expectEqual(yield* bdrvSaveVmstate(bs, buffer(), 0, BYTES), -ENOTSUP, "ret");
}

/** C: test_sync_op_pdiscard: with BDRV_O_UNMAP, and without, which is an early success; and refused early. */
function* pdiscard({ t, child, bs }: SyncOp): Polls<void> {
  bs.unmap = true;
  t.expectEqual(yield* bdrvPdiscard(child, 0, BYTES), 0, "ret");
  bs.unmap = false;
  t.expectEqual(yield* bdrvPdiscard(child, 0, BYTES), 0, "ret without unmap");
  t.expectEqual(yield* bdrvPdiscard(child, -2, BYTES), -EIO, "ret at -2");
}

const PDISCARD = both(
  pdiscard,
  succeedsThenRefuses("blk_pdiscard", ({ blk }, at) => blkPdiscard(blk, at, BYTES)),
);

/** C: test_sync_op_truncate. */
function* truncate({ t, child, bs }: SyncOp): Polls<void> {
  t.expectEqual(yield* bdrvTruncate(child, IMAGE_BYTES), 0, "ret");
  t.expectEqual(yield* bdrvTruncate(child, -2), -EINVAL, "ret at -2");
  bs.readOnly = true;
  t.expectEqual(yield* bdrvTruncate(child, IMAGE_BYTES), -EACCES, "ret when read-only");
  bs.readOnly = false;
}

/** C: test_sync_op_blk_truncate. */
function* blkTruncates({ t, blk }: SyncOp): Polls<void> {
  t.expectEqual(yield* blkTruncate(blk, IMAGE_BYTES), 0, "ret");
  t.expectEqual(yield* blkTruncate(blk, -2), -EINVAL, "ret at -2");
}

/** C: test_sync_op_block_status: by the driver, without it, for no bytes, and behind the end. */
function* blockStatus({ t, bs, drv }: SyncOp): Polls<void> {
  const isAllocated = function* (offset: number, bytes: number): Polls<number> {
    return (yield* bdrvIsAllocated(bs, offset, bytes)).ret;
  };
  t.expectEqual(yield* isAllocated(0, IMAGE_BYTES), 0, "ret");
  delete drv.coBlockStatus;
  t.expectEqual(yield* isAllocated(0, IMAGE_BYTES), 1, "ret without driver support");
  t.expectEqual(yield* isAllocated(0, 0), 0, "ret for no bytes");
  t.expectEqual(yield* isAllocated(0x1000000, 0x1000000), 0, "ret behind the end");
}

/** C: test_sync_op_flush and test_sync_op_blk_flush: writable, then read-only, which is an early success. */
function flushes(flush: (op: SyncOp) => Polls<number>) {
  return function* (op: SyncOp): Polls<void> {
    op.t.expectEqual(yield* flush(op), 0, "ret");
    op.bs.readOnly = true;
    op.t.expectEqual(yield* flush(op), 0, "ret when read-only");
    op.bs.readOnly = false;
  };
}

/** C: test_sync_op_check: the driver does not implement it. */
function* check({ t, bs }: SyncOp): Polls<void> {
  t.expectEqual(yield* bdrvCheck(bs, new BdrvCheckResult(), 0), -ENOTSUP, "ret");
}

/** C: test_sync_op_activate: the image is not inactive. */
function* activate({ t, bs }: SyncOp): Polls<void> {
  t.expectEqual(yield* bdrvActivate(bs), 0, "ret");
}

const CALLS: Readonly<Record<string, Calls>> = {
  pread: PREAD,
  pwrite: PWRITE,
  preadv: PREADV,
  pwritev: PWRITEV,
  preadv_part: PREADV_PART,
  pwritev_part: PWRITEV_PART,
  pwrite_compressed: PWRITE_COMPRESSED,
  pwrite_zeroes: PWRITE_ZEROES,
  load_vmstate: loadVmstate,
  save_vmstate: saveVmstate,
  pdiscard: PDISCARD,
  truncate: both(truncate, blkTruncates),
  block_status: blockStatus,
  flush: both(
    flushes(({ bs }) => bdrvFlush(bs)),
    flushes(({ blk }) => blkFlush(blk)),
  ),
  check,
  activate,
};

/** The hole of hole-edge-request: the coroutine looks at the edge before it counts itself in flight. */
function readsEdgeUncounted(reader: string): DeclaredFinding {
  return {
    rule: "covered-by-luck",
    list: "edge_bs",
    node: "root",
    reader,
    operation: "bdrv_root_unref_child",
    when: "always",
    why: "True, the hole of hole-edge-request: a function of an edge has no counter around it when its coroutine in the iothread follows the edge. What orders that read and the removal of the edge at the end is only that main has waited for the coroutine.",
  };
}

/** The hole of hole-unqueued-truncate: a BlockBackend truncates without counting in flight. */
const TRUNCATES_UNCOUNTED: readonly DeclaredFinding[] = (
  [
    ["blk_root", "blk_is_inserted", "blk_remove_bs"],
    ["blk_root", "blk_co_truncate", "blk_remove_bs"],
    ["edge_bs", "blk_is_inserted", "bdrv_root_unref_child"],
  ] as const
).map(([list, reader, operation]) => ({
  list,
  reader,
  operation,
  rule: "covered-by-luck",
  when: "always",
  why: "True, the hole of hole-unqueued-truncate: blk_co_truncate looks for its node in the iothread with no counter of the BlockBackend raised. Main removes the node only after it has waited for the truncate.",
}));

const FINDINGS: Readonly<Record<string, readonly DeclaredFinding[]>> = {
  pread: [readsEdgeUncounted("bdrv_co_preadv_part")],
  pwrite: [readsEdgeUncounted("bdrv_co_pwritev_part")],
  pdiscard: [readsEdgeUncounted("bdrv_co_pdiscard")],
  truncate: [readsEdgeUncounted("bdrv_co_truncate"), ...TRUNCATES_UNCOUNTED],
};

const cases: readonly QemuCase[] = Object.entries(CALLS).map(([name, calls]) => ({
  name: `/sync-op/${name}`,
  body: (t) => testSyncOp(t, calls),
  findings: FINDINGS[name] ?? [],
}));

/** See the file comment. */
export const blockIothreadSyncOp: QemuFamily = {
  qemuFile: "tests/unit/test-block-iothread.c",
  file: "tests/qemu/block-iothread-sync-op.ts",
  cases,
};
