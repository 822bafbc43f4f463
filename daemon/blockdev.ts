// From the options of a block device to its node: what blockdev-add does.

import { EINVAL, unreachable } from "#core/base";
import {
  fileOpen,
  nullAioDriver,
  nullCoDriver,
  nullOpen,
  quorumOpen,
  rawOpen,
  throttleOpen,
} from "#core/drivers";
import {
  type BlockDriverState,
  BlockError,
  bdrvFindNode,
  bdrvRef,
  bdrvUnref,
  settle,
} from "#core/graph";
import type { Polls } from "#core/sched";
import type { BlockdevOptions, BlockdevRef } from "./blockdev-options.ts";

/** bdrv_open with options: a node with one reference, the caller's; BlockError when refused, and nothing is left. Polls. */
export function* blockdevOpen(
  options: BlockdevOptions,
  readOnlyAbove = false,
): Polls<BlockDriverState> {
  const nodeName = options["node-name"] ?? "";
  const readOnly = options["read-only"] ?? readOnlyAbove;
  switch (options.driver) {
    case "file":
      return yield* fileOpen({ nodeName, path: options.filename, readOnly });
    case "raw":
      return yield* rawOpen(nodeName, yield* openRef(options.file, readOnly), readOnly);
    case "null-co":
      return yield* nullOpen(nullCoDriver, nullOptions(nodeName, options));
    case "null-aio":
      return yield* nullOpen(nullAioDriver, nullOptions(nodeName, options));
    case "throttle":
      return yield* throttleOpen(
        nodeName,
        yield* openRef(options.file, readOnly),
        options["throttle-group"],
      );
    case "quorum":
      return yield* openQuorum(nodeName, options, readOnly);
    default:
      return unreachable(options);
  }
}

/** bdrv_open_child: a node that is there, by its name, or a new one, read-only where its parent is. Polls. */
function* openRef(ref: BlockdevRef, readOnly: boolean): Polls<BlockDriverState> {
  if (typeof ref !== "string") return yield* blockdevOpen(ref, readOnly);
  const bs = ref === "" ? null : bdrvFindNode(ref);
  if (bs === null)
    throw new BlockError(EINVAL, `Cannot find device='${ref}' nor node-name='${ref}'`);
  bdrvRef(bs);
  return bs;
}

type NullBlockdev = Extract<BlockdevOptions, { readonly driver: "null-co" | "null-aio" }>;

function nullOptions(nodeName: string, options: NullBlockdev): Parameters<typeof nullOpen>[1] {
  const { size, "latency-ns": latencyNs, "read-zeroes": readZeroes } = options;
  return {
    nodeName,
    ...(size === undefined ? {} : { size }),
    ...(latencyNs === undefined ? {} : { latencyNs }),
    ...(readZeroes === undefined ? {} : { readZeroes }),
  };
}

type QuorumBlockdev = Extract<BlockdevOptions, { readonly driver: "quorum" }>;

/** quorum_open: reads come from the first child that works; there is no vote yet, so none may be asked for. Polls. */
function* openQuorum(
  nodeName: string,
  options: QuorumBlockdev,
  readOnly: boolean,
): Polls<BlockDriverState> {
  if (options["read-pattern"] !== "fifo")
    throw new BlockError(
      EINVAL,
      "The read pattern 'quorum' is not supported; use read-pattern=fifo",
    );
  if (options["vote-threshold"] > options.children.length)
    throw new BlockError(EINVAL, "threshold may not exceed children count");
  const children: BlockDriverState[] = [];
  for (const ref of options.children) {
    const opened = yield* settle(() => openRef(ref, readOnly));
    if (opened.ok) children.push(opened.value);
    else {
      for (const child of children) yield* bdrvUnref(child);
      throw opened.error;
    }
  }
  return yield* quorumOpen(nodeName, children);
}
