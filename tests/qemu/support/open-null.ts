// bdrv_open("null-co://", NULL, …): a node `raw` on a node `null-co`, with one reference, the caller's.

import { nullCoDriver, nullOpen, rawOpen } from "#core/drivers";
import type { BlockDriverState } from "#core/graph";
import type { Polls } from "#core/sched";

/** Called `nodeName`; the one below is its "-file". Polls. */
export function* openNullCo(nodeName: string): Polls<BlockDriverState> {
  const file = yield* nullOpen(nullCoDriver, { nodeName: `${nodeName}-file`, readZeroes: true });
  return yield* rawOpen(nodeName, file);
}
