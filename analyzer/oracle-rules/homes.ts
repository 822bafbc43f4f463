// Where objects are at home, and who holds which AioContext lock, looked up backwards for each question.

import { Ev, LockKindOf } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { lastBefore } from "./search.ts";

const NODE: readonly number[] = [Ev.bs_new, Ev.bs_ctx, Ev.bs_free];
const BLK: readonly number[] = [Ev.blk_new, Ev.blk_ctx, Ev.blk_free];

/** The home of `object` ("n1", "b1") before event `at`; null where the trace does not tell. */
export function homeOf(events: readonly Event[], at: number, object: string): number | null {
  const kinds = object.startsWith("n") ? NODE : object.startsWith("b") ? BLK : [];
  const id = Number(object.slice(1));
  const said = lastBefore(events, at, ({ kind, args }) => kinds.includes(kind) && args[0] === id);
  const event = events[said];
  if (event === undefined || event.kind === Ev.bs_free || event.kind === Ev.blk_free) return null;
  return event.kind === Ev.bs_new || event.kind === Ev.blk_new ? 0 : event.args[2];
}

/** Whether an AioContext lock was taken before event `at`. */
export function hasLocks(events: readonly Event[], at: number): boolean {
  return lastBefore(events, at, isTaken) >= 0;
}

function isTaken({ kind, args }: Event): boolean {
  return kind === Ev.lock_acquire && args[1] === LockKindOf.aio_context;
}

/** The context that holds `lock` before event `at`; -1 for none. */
export function holderOf(events: readonly Event[], at: number, lock: number): number {
  const said = lastBefore(
    events,
    at,
    (event) =>
      event.args[0] === lock &&
      event.args[1] === LockKindOf.aio_context &&
      (event.kind === Ev.lock_acquire || (event.kind === Ev.lock_release && event.args[2] === 0)),
  );
  const event = events[said];
  return event?.kind === Ev.lock_acquire ? event.ctx : -1;
}

/** The lock of context `home`: the newest that is called as the context is; -1 where the trace does not say. */
export function lockOf(events: readonly Event[], at: number, home: number): number {
  const made = lastBefore(events, at, ({ kind, args }, i) => {
    if (kind !== Ev.lock_new || args[1] !== LockKindOf.aio_context) return false;
    const named = lastBefore(events, i, (e) => e.kind === Ev.ctx_new && e.args[1] === args[2]);
    return events[named]?.args[0] === home;
  });
  return events[made]?.args[0] ?? -1;
}

/** Whether `ctx` may use what is at home in `home` before event `at`. */
export function mayUse(
  events: readonly Event[],
  at: number,
  ctx: number,
  home: number | null,
): boolean {
  if (home === null || (home === 0 && ctx === 0)) return true;
  const lock = lockOf(events, at, home);
  return lock < 0 || holderOf(events, at, lock) === ctx;
}
