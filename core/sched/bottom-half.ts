// Bottom halves (C: QEMUBH, util/async.c): callbacks that a context runs soon, from its own thread.
//
// Scheduling pushes at the head, so the bottom halves of one slice run newest first. What is scheduled while a slice runs
// waits for the next poll; a nested poll takes the fresh list as a further slice, but first finishes the outer one's rest.

import { assert, type BhId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import type { Handler } from "./colours.ts";
import { machine, nextId } from "./current.ts";

export class BottomHalf {
  readonly id: BhId;
  readonly ctx: AioContext;
  readonly handler: Handler;
  readonly oneshot: boolean;
  /** It is in a list of its context (C: BH_PENDING). */
  pending = false;
  /** It will run when its turn comes (C: BH_SCHEDULED). */
  scheduled = false;
  deleted = false;

  constructor(id: BhId, ctx: AioContext, handler: Handler, oneshot: boolean) {
    this.id = id;
    this.ctx = ctx;
    this.handler = handler;
    this.oneshot = oneshot;
  }
}

/** aio_bh_new: a bottom half that can be scheduled again and again. Common. */
export function aioBhNew(ctx: AioContext, handler: Handler): BottomHalf {
  return new BottomHalf(nextId(machine, "bh") as BhId, ctx, handler, false);
}

/** aio_bh_schedule_oneshot: run `handler` once in `ctx`. Common. */
export function aioBhScheduleOneshot(ctx: AioContext, handler: Handler): void {
  enqueue(new BottomHalf(nextId(machine, "bh") as BhId, ctx, handler, true));
}

/** qemu_bh_schedule: run it at the next poll; once, however often it is scheduled before that. Common. */
export function qemuBhSchedule(bh: BottomHalf): void {
  assert(!bh.deleted, "a deleted bottom half is not scheduled");
  enqueue(bh);
}

/** qemu_bh_cancel: it will not run, unless it is scheduled again. Common. */
export function qemuBhCancel(bh: BottomHalf): void {
  if (bh.scheduled) machine.probe.emit(Ev.bh_cancel, bh.id);
  bh.scheduled = false;
}

/** qemu_bh_delete: it will never run again; allowed from its own callback. Common. */
export function qemuBhDelete(bh: BottomHalf): void {
  qemuBhCancel(bh);
  bh.deleted = true;
}

/** aio_notify: a poll of `ctx` that blocks, or is about to, comes back. Common. */
export function aioNotify(ctx: AioContext): void {
  ctx.notified = true;
}

function enqueue(bh: BottomHalf): void {
  machine.probe.emit(Ev.bh_schedule, bh.id, bh.ctx.id);
  bh.scheduled = true;
  if (!bh.pending) {
    bh.pending = true;
    bh.ctx.bhList.unshift(bh);
  }
  aioNotify(bh.ctx);
}
