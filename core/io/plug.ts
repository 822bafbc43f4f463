// Plugging: device code announces that several requests follow, so that drivers may submit them together. The walk holds no
// in-flight counter, and the code that calls it is between requests: nothing covers these reads (docs/known-findings.md).

import { assert } from "../base/index.ts";
import { childrenOf } from "../graph/access.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioCode, modelAssert } from "../sched/index.ts";
import { nodeBehind } from "./inserted.ts";

const SITE_PLUG = site("bdrv_io_plug");
const SITE_UNPLUG = site("bdrv_io_unplug");

/** bdrv_io_plug (io.c:3249): children first. */
export function bdrvIoPlug(bs: BlockDriverState): void {
  ioCode(bs.aioContext, SITE_PLUG);
  assert(bs.ioPlugged >= 0, "a plug counter is not negative");
  const children = childrenOf(bs, SITE_PLUG);
  for (let child = children.first; child !== null; child = children.next(child)) {
    bdrvIoPlug(nodeBehind(child, SITE_PLUG));
  }
  bs.ioPlugged++;
  if (bs.ioPlugged === 1 && !bs.closed) bs.drv.ioPlug?.(bs);
}

/** bdrv_io_unplug (io.c:3265): children last. */
export function bdrvIoUnplug(bs: BlockDriverState): void {
  ioCode(bs.aioContext, SITE_UNPLUG);
  modelAssert(bs.ioPlugged > 0, "bs->io_plugged", SITE_UNPLUG);
  assert(Number.isInteger(bs.ioPlugged), "a plug counter is a whole number");
  bs.ioPlugged--;
  if (bs.ioPlugged === 0 && !bs.closed) bs.drv.ioUnplug?.(bs);
  const children = childrenOf(bs, SITE_UNPLUG);
  for (let child = children.first; child !== null; child = children.next(child)) {
    bdrvIoUnplug(nodeBehind(child, SITE_UNPLUG));
  }
}
