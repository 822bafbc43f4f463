// Events as the oracles read them, and what they call kinds of events.

import { Ev, type EventBatch, WIDE_SLOT } from "#core/probe";

export function isRead(kind: number): boolean {
  return kind === Ev.list_read;
}

export function isEdit(kind: number): boolean {
  return kind === Ev.list_insert || kind === Ev.list_remove || kind === Ev.list_set;
}

/** What ends an external handler's admission, or begins one. */
export function isDispatch(kind: number): boolean {
  return (
    kind === Ev.bh_run ||
    kind === Ev.bh_done ||
    kind === Ev.fd_run ||
    kind === Ev.io_done ||
    kind === Ev.timer_run
  );
}

/** An event as the oracles read it. */
export interface Event {
  readonly kind: number;
  readonly ctx: number;
  readonly task: number;
  readonly args: readonly [number, number, number, number];
  /** The wide number, 0 where the kind has none. */
  readonly wide: number;
}

/** The events of a batch, as objects. */
export function eventsOf(batch: EventBatch): Event[] {
  return Array.from({ length: batch.count }, (_, i) => ({
    kind: batch.kind(i),
    ctx: batch.ctx(i),
    task: batch.task(i),
    args: [batch.arg(i, 0), batch.arg(i, 1), batch.arg(i, 2), batch.arg(i, 3)] as const,
    wide: batch.arg(i, WIDE_SLOT),
  }));
}

/** `compute`, remembered for the list that it was asked about: several oracles ask the same of one trace. */
export function remembered<T extends object>(
  compute: (events: readonly Event[]) => T,
): (events: readonly Event[]) => T {
  const results = new WeakMap<readonly Event[], T>();
  return (events) => {
    const known = results.get(events);
    if (known !== undefined) return known;
    const result = compute(events);
    results.set(events, result);
    return result;
  };
}
