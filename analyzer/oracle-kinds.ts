// What the oracle calls kinds of events.

import { Ev } from "#core/probe";

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
