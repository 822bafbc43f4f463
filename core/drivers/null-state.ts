// What `null-co` and `null-aio` have in common (C: block/null.c): a node of a given length without contents.

import { assert } from "../base/index.ts";
import {
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_ZERO,
  type BlockStatus,
} from "../graph/driver-results.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import type { BlockDriver, BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { type AioContext, type Co, globalStateCode, ioCode, type Polls } from "../sched/index.ts";

const SITE_STATUS = site("null_co_block_status");
const SITE_NULL_OPEN = site("null_open");

/** C: BDRVNullState. */
export class NullState {
  readonly length: number;
  readonly latencyNs: number;
  /** Reads set the buffer to zero; else they leave it as it is. */
  readonly readZeroes: boolean;

  constructor(length: number, latencyNs: number, readZeroes: boolean) {
    this.length = length;
    this.latencyNs = latencyNs;
    this.readZeroes = readZeroes;
  }
}

/** How a null node is opened. */
export interface NullOptions {
  readonly nodeName: string;
  /** Bytes; default 1 GiB, as in QEMU. */
  readonly size?: number;
  /** How long each request takes; default 0. */
  readonly latencyNs?: number;
  readonly readZeroes?: boolean;
  readonly readOnly?: boolean;
  readonly ctx?: AioContext;
}

/** A node of `drv` with one reference, the caller's. Polls. */
export function* nullOpen(drv: BlockDriver, options: NullOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_NULL_OPEN);
  const { nodeName, size = 1 << 30, latencyNs = 0, readZeroes = false } = options;
  assert(size >= 0, "a length is not negative");
  assert(latencyNs >= 0, "a latency is not negative");
  return yield* bdrvOpenDriver(drv, nodeName, {
    opaque: new NullState(size, latencyNs, readZeroes),
    options: {
      ...(options.size === undefined ? {} : { size }),
      ...(options.latencyNs === undefined ? {} : { "latency-ns": latencyNs }),
      ...(options.readZeroes === undefined ? {} : { "read-zeroes": readZeroes }),
    },
    ...(options.readOnly === undefined ? {} : { readOnly: options.readOnly }),
    ...(options.ctx === undefined ? {} : { ctx: options.ctx }),
  });
}

/** null_co_block_status (block/null.c:228): all of it is like this. */
export function* nullCoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  ioCode(bs.aioContext, SITE_STATUS);
  assert(bytes > 0, "a question is about a range");
  const zero = nullStateOf(bs).readZeroes ? BDRV_BLOCK_ZERO : 0;
  return { ret: BDRV_BLOCK_OFFSET_VALID | zero, pnum: bytes, map: offset, file: bs };
}

/** The state of a null node. Common. */
export function nullStateOf(bs: BlockDriverState): NullState {
  assert(bs.opaque instanceof NullState, "the node is a null node");
  return bs.opaque;
}
