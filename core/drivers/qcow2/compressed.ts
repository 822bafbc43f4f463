// Compressed clusters: guest data that the host makes smaller or larger without anyone here looking at it.

import { assert, EIO, ENOTSUP } from "../../base/index.ts";
import type { BlockDriverState, Qiov } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { guestCopy, qiovOf } from "../../io/guest-copy.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { site } from "../../probe/index.ts";
import { type Co, hostAllocate, hostTransform, ioCode } from "../../sched/index.ts";
import { COMPRESSION_ZSTD } from "./format.ts";
import { type Extent, placeOf } from "./mapping.ts";
import { imageFile } from "./metadata-io.ts";
import { type Qcow2State, stateOf } from "./state.ts";

const SITE_READ = site("qcow2_co_preadv_compressed");

/** qcow2_co_preadv_compressed: read guest bytes from `offset` on, within one cluster, into `qiov`. 0 or a negated errno. */
export function* readCompressed(
  bs: BlockDriverState,
  extent: Extent,
  offset: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_READ);
  const state = stateOf(bs);
  const start = offset % state.clusterBytes;
  assert(start + extent.bytes <= state.clusterBytes, "the range is in one cluster");
  const packed = hostAllocate(extent.compressedBytes);
  yield* blkdbgFileEvent(bs, "read_compressed");
  const ret = yield* bdrvCoPreadv(imageFile(bs), placeOf(extent), packed.length, qiovOf(packed));
  if (ret < 0) return ret;
  const cluster = hostAllocate(state.clusterBytes);
  const length = yield* hostTransform({
    codec: codecOf(state),
    direction: "decompress",
    from: packed,
    fromStart: 0,
    fromBytes: packed.length,
    to: cluster,
    toStart: 0,
    toBytes: cluster.length,
  });
  if (length !== cluster.length) return -EIO;
  guestCopy(qiov, qiovOf(cluster, start), extent.bytes);
  return 0;
}

/** Whether the host has what the image is compressed with. Common. */
export function* hasCodec(state: Qcow2State): Co<boolean> {
  const [from, to] = [hostAllocate(1), hostAllocate(512)];
  const whole = { from, fromStart: 0, fromBytes: 1, to, toStart: 0, toBytes: to.length };
  const ret = yield* hostTransform({ codec: codecOf(state), direction: "compress", ...whole });
  return ret !== -ENOTSUP;
}

/** How the clusters of an image are compressed. Common. */
export function codecOf({ header }: Qcow2State): "zlib" | "zstd" {
  return header.compression === COMPRESSION_ZSTD ? "zstd" : "zlib";
}
