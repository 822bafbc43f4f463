// What the scenarios of one edit have in common: an overlay in an iothread with a backing file, another node that can take
// the backing file's place, and a guest that reads and writes meanwhile.
//
//      drive            a BlockBackend in the iothread io0
//        |
//       top             an overlay
//        |  backing
//       old    new      overlays without backing files; `new` has no parent yet, but is in io0 already
//
// Not a scenario itself.

import {
  type BlockBackend,
  blkCoPreadv,
  blkCoPwritev,
  blkInsertBs,
  blkNew,
  blkUnref,
} from "#core/backend";
import { overlayOpen } from "#core/drivers";
import { type BlockDriverState, bdrvRef, bdrvUnref } from "#core/graph";
import { qiovOf } from "#core/io";
import { type AioContext, type Co, hostAllocate, type Polls, qemuCoSleepNs } from "#core/sched";
import type { World } from "../world.ts";

const NODE_BYTES = 1 << 20;
const REQUEST_BYTES = 4096;
/** A guest waits about this long between two requests. */
const THINK_NS = 5_000;
/** How long the guest works before the edit and after it. */
const PAUSE_NS = 100_000;

/** The graph of the file comment. Main holds a reference to each node. */
export interface ForkedChain {
  readonly ctx: AioContext;
  readonly drive: BlockBackend;
  readonly top: BlockDriverState;
  readonly old: BlockDriverState;
  readonly fresh: BlockDriverState;
}

/** Make it. Polls. */
export function* forkedChain(world: World): Polls<ForkedChain> {
  const ctx = world.iothread("io0");
  const old = yield* overlayOpen({ nodeName: "old", size: NODE_BYTES, ctx });
  const fresh = yield* overlayOpen({ nodeName: "new", size: NODE_BYTES, ctx });
  bdrvRef(old);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES, backing: old });
  const drive = blkNew(ctx, { name: "drive" });
  // A device is attached: nobody moves this BlockBackend to another context.
  drive.dev = { id: drive.name };
  yield* blkInsertBs(drive, top);
  return { ctx, drive, top, old, fresh };
}

/** Run `edit` while a guest reads and writes at the drive, which goes on a little afterwards. Polls. */
export function* guestWhile(
  world: World,
  { ctx, drive }: ForkedChain,
  edit: () => Polls<void>,
): Polls<void> {
  let isOver = false;
  const prng = world.prng.fork(0);
  world.guest(ctx, function* (): Co<void> {
    const buffer = qiovOf(hostAllocate(REQUEST_BYTES));
    while (!isOver) {
      const offset = prng.below(NODE_BYTES / REQUEST_BYTES) * REQUEST_BYTES;
      if (prng.chance(1, 4)) yield* blkCoPwritev(drive, offset, REQUEST_BYTES, buffer);
      else yield* blkCoPreadv(drive, offset, REQUEST_BYTES, buffer);
      yield* qemuCoSleepNs(1 + prng.below(2 * THINK_NS));
    }
  });
  yield* world.sleep(PAUSE_NS);
  yield* edit();
  yield* world.sleep(PAUSE_NS);
  isOver = true;
  yield* world.joinGuests();
}

/** Let go of everything. Polls. */
export function* closeForkedChain(world: World, chain: ForkedChain): Polls<void> {
  chain.drive.dev = null;
  yield* blkUnref(chain.drive);
  yield* bdrvUnref(chain.top);
  yield* bdrvUnref(chain.old);
  yield* bdrvUnref(chain.fresh);
  yield* world.stopIothreads();
}
