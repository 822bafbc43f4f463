// All families of QEMU's cases, in the order in which docs/qemu-tests.md has them; one line each, added by whoever adds a family.

import { aio } from "./aio.ts";
import { aioEvents } from "./aio-events.ts";
import { aioMultithread } from "./aio-multithread.ts";
import { bdrvDrainBlockjob } from "./bdrv-drain-blockjob.ts";
import { bdrvDrainCommit } from "./bdrv-drain-commit.ts";
import { bdrvDrainContext } from "./bdrv-drain-context.ts";
import { bdrvDrainCounters } from "./bdrv-drain-counters.ts";
import { bdrvDrainDetach } from "./bdrv-drain-detach.ts";
import { bdrvDrainDetachIndirect } from "./bdrv-drain-detach-indirect.ts";
import { bdrvDrainGraph } from "./bdrv-drain-graph.ts";
import { bdrvDrainGraphChange } from "./bdrv-drain-graph-change.ts";
import { bdrvDrainIothread } from "./bdrv-drain-iothread.ts";
import { bdrvDrainParallel } from "./bdrv-drain-parallel.ts";
import { bdrvDrainReplace } from "./bdrv-drain-replace.ts";
import { blockBackend } from "./block-backend.ts";
import { blockIothreadBlockjob } from "./block-iothread-blockjob.ts";
import { blockIothreadContext } from "./block-iothread-context.ts";
import { blockIothreadMirror } from "./block-iothread-mirror.ts";
import { blockIothreadSyncOp } from "./block-iothread-sync-op.ts";
import { blockjob } from "./blockjob.ts";
import { blockjobTxn } from "./blockjob-txn.ts";
import { coroutine } from "./coroutine.ts";
import { bdrvGraphMod } from "./graph-mod.ts";
import type { QemuFamily } from "./support/index.ts";
import { throttle } from "./throttle.ts";

export const FAMILIES: readonly QemuFamily[] = [
  bdrvDrainBlockjob,
  aio,
  aioEvents,
  aioMultithread,
  bdrvDrainCommit,
  bdrvDrainContext,
  bdrvDrainCounters,
  bdrvDrainDetach,
  bdrvDrainDetachIndirect,
  bdrvDrainGraph,
  bdrvDrainGraphChange,
  bdrvDrainIothread,
  bdrvDrainParallel,
  bdrvDrainReplace,
  bdrvGraphMod,
  blockBackend,
  blockIothreadBlockjob,
  blockIothreadContext,
  blockIothreadMirror,
  blockIothreadSyncOp,
  throttle,
  blockjob,
  blockjobTxn,
  coroutine,
];
