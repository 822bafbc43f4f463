// Kinds of events that the loop of analysis.ts passes over: all of them, or where only the sanctioned order is followed.

import { Ev } from "#core/probe";

/** Frequent kinds that say nothing here; who ran them matters all the same. */
export const IGNORED = [
  Ev.tracked_begin,
  Ev.tracked_end,
  Ev.tracked_wait,
  Ev.req_end,
  Ev.req_queued,
  Ev.poll_begin,
  Ev.poll_end,
  Ev.io_submit,
  Ev.io_copy_from,
  Ev.io_now,
  Ev.wait_begin,
  Ev.wait_check,
  Ev.external_disable,
  Ev.recursive_quiesce,
  Ev.edge_quiesce,
  Ev.clock_read,
  Ev.host_call,
  Ev.data_decision,
  Ev.dirty_bitmap,
  Ev.set_dirty,
] as const;

/** Kinds that only the full order looks at. */
export const ACCIDENTS_ONLY = [
  Ev.kick,
  Ev.bh_schedule,
  Ev.co_create,
  Ev.co_schedule,
  Ev.co_wake,
  Ev.wait_end,
  Ev.timer_arm,
  Ev.lock_acquire,
  Ev.lock_release,
] as const;
