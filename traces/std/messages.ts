// Which events of quiesce send a message, and which receive one, when a trace is told in threads and locks: the edges of the
// analyzer's two orders, but for program order, locks, and contexts that start and stop.

import { Ev } from "#core/probe";

/** The mailbox that an event is about, from its first three integers and its context; null when it orders nothing. */
type MailboxOf = (args: readonly [number, number, number], ctx: number) => string | null;

interface Receive {
  readonly mailbox: MailboxOf;
  /** The messages are for one receiver, who takes them out; else everybody may read them. */
  readonly isTaken: boolean;
}

const first =
  (prefix: string): MailboxOf =>
  ([id]) =>
    `${prefix}${id}`;
const second =
  (prefix: string): MailboxOf =>
  ([, id]) =>
    id === 0 ? null : `${prefix}${id}`;
/** A counter orders only where it was read as zero. */
const ifZero =
  (prefix: string): MailboxOf =>
  ([id, value]) =>
    value === 0 ? `${prefix}${id}` : null;

export const SENDS: Readonly<Record<number, MailboxOf>> = {
  [Ev.bh_schedule]: first("bh"),
  [Ev.timer_arm]: first("timer"),
  [Ev.co_create]: first("co"),
  [Ev.co_yield]: first("co"),
  [Ev.co_schedule]: first("co"),
  [Ev.co_wake]: first("co"),
  [Ev.kick]: () => "kick",
  [Ev.bs_in_flight_dec]: first("in-flight-n"),
  [Ev.blk_in_flight_dec]: first("in-flight-blk"),
  [Ev.blk_unquiesce]: first("gate-blk"),
  [Ev.req_wake]: second("queued-co"),
  [Ev.external_enable]: first("external-ctx"),
  [Ev.job_resume]: first("gate-j"),
  [Ev.job_busy]: ifZero("busy-j"),
  [Ev.wrapper_begin]: first("begin-co"),
  [Ev.task_end]: second("end-co"),
};

const taken = (mailbox: MailboxOf): Receive => ({ mailbox, isTaken: true });
const read = (mailbox: MailboxOf): Receive => ({ mailbox, isTaken: false });

export const RECEIVES: Readonly<Record<number, readonly Receive[]>> = {
  [Ev.bh_run]: [taken(first("bh"))],
  // An event notifier is set like a bottom half; an external handler learns what enabling it promises.
  [Ev.fd_run]: [
    taken(first("bh")),
    read(([, external, count], ctx) =>
      external !== 0 && count === 0 ? `external-ctx${ctx}` : null,
    ),
  ],
  [Ev.timer_run]: [taken(first("timer"))],
  [Ev.co_enter]: [taken(first("co"))],
  [Ev.wait_end]: [read(([, waited]) => (waited === 0 ? null : "kick"))],
  [Ev.bs_in_flight_read]: [read(ifZero("in-flight-n"))],
  [Ev.blk_in_flight_read]: [read(ifZero("in-flight-blk"))],
  [Ev.gate_read]: [read(ifZero("gate-blk"))],
  [Ev.req_resumed]: [taken(second("queued-co"))],
  [Ev.job_gate_read]: [read(ifZero("gate-j"))],
  [Ev.job_busy_read]: [read(ifZero("busy-j"))],
  [Ev.task_begin]: [taken(second("begin-co"))],
  [Ev.wrapper_end]: [taken(first("end-co"))],
};
