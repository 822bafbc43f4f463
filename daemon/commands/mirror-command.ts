// blockdev-mirror: the job that makes one node a copy of another.
//
// What QEMU's can and this one cannot is refused by name: core/jobs/mirror says what there is.

import { EINVAL, ENOTSUP } from "#core/base";
import {
  type BlockDriverState,
  BlockError,
  backingOf,
  bdrvOpIsBlocked,
  bdrvSkipFilters,
  bdrvTryChangeAioContext,
} from "#core/graph";
import {
  JOB_MANUAL_DISMISS,
  JOB_MANUAL_FINALIZE,
  type MirrorSyncMode,
  mirrorStart,
} from "#core/jobs";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import {
  bool,
  enumOf,
  int64,
  optional,
  QmpError,
  str,
  struct,
  type TypeOf,
  uint32,
} from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { bdrvLookupBs, qmpGetRootBs } from "./lookup.ts";

const SITE_MIRROR = site("qmp_blockdev_mirror");

const onError = optional(enumOf("report", "ignore", "enospc", "stop", "auto"));

const mirrorArguments = struct({
  "job-id": optional(str),
  device: str,
  target: str,
  replaces: optional(str),
  sync: enumOf("top", "full", "none", "incremental", "bitmap"),
  speed: optional(int64),
  granularity: optional(uint32),
  "buf-size": optional(int64),
  "on-source-error": onError,
  "on-target-error": onError,
  "filter-node-name": optional(str),
  "copy-mode": optional(enumOf("background", "write-blocking")),
  "auto-finalize": optional(bool),
  "auto-dismiss": optional(bool),
});

type MirrorArguments = TypeOf<typeof mirrorArguments>;

const blockdevMirror = command(
  "blockdev-mirror",
  mirrorArguments,
  function* (_daemon: Daemon, args): Polls<Sendable> {
    const bs = qmpGetRootBs(args.device);
    const target = bdrvLookupBs(args.target, args.target);
    yield* bdrvTryChangeAioContext(target, bs.aioContext, null);
    const granularity = granularityOf(args);
    for (const refused of [
      bdrvOpIsBlocked(bs, "mirror-source"),
      bdrvOpIsBlocked(target, "mirror-target"),
    ])
      if (refused !== null) throw refused;
    refuseMissing(args);
    const { speed, "filter-node-name": filterNodeName } = args;
    yield* mirrorStart(args["job-id"] ?? null, bs, target, {
      sync: syncOf(bs, args.sync),
      flags: flagsOf(args),
      ...(granularity === undefined ? {} : { granularity }),
      ...(speed === undefined ? {} : { speed }),
      ...(filterNodeName === undefined ? {} : { filterNodeName }),
    });
    return undefined;
  },
);

/** blockdev_mirror_common (blockdev.c:2980): 0 is the default; else a power of two of bytes. */
function granularityOf({ granularity = 0 }: MirrorArguments): number | undefined {
  if (granularity === 0) return undefined;
  const wrong = (expected: string) => new QmpError(`Parameter 'granularity' expects ${expected}`);
  if (granularity < 512 || granularity > 64 * 1024 * 1024)
    throw wrong("a value in range [512B, 64MB]");
  if (!Number.isInteger(Math.log2(granularity))) throw wrong("a power of 2");
  return granularity;
}

function refuseMissing(args: MirrorArguments): void {
  const refuse = (what: string) => {
    throw new BlockError(ENOTSUP, `blockdev-mirror does not support ${what}`);
  };
  if (args.replaces !== undefined) refuse("'replaces'");
  if (args["copy-mode"] === "write-blocking") refuse("copy-mode=write-blocking");
  for (const side of ["on-source-error", "on-target-error"] as const) {
    const policy = args[side] ?? "report";
    if (policy !== "report") refuse(`${side}=${policy}`);
  }
}

/** `top` of a node without a backing file is all of it. */
function syncOf(bs: BlockDriverState, sync: MirrorArguments["sync"]): MirrorSyncMode {
  if (sync === "full" || sync === "none") return sync;
  if (sync === "top" && backingOf(bdrvSkipFilters(bs), SITE_MIRROR) === null) return "full";
  if (sync === "top") throw new BlockError(ENOTSUP, "blockdev-mirror does not support sync=top");
  throw new BlockError(EINVAL, `Sync mode '${sync}' not supported`);
}

function flagsOf(args: MirrorArguments): number {
  return (
    (args["auto-finalize"] === false ? JOB_MANUAL_FINALIZE : 0) |
    (args["auto-dismiss"] === false ? JOB_MANUAL_DISMISS : 0)
  );
}

export const mirrorCommands: readonly QmpCommand<Daemon>[] = [blockdevMirror];
