// Transactions of QMP: several actions, all of them or none.
//
// An action does its work in `prepare`, and leaves behind how to keep it, how to take it back, and what is to be tidied up in
// either case. Commits run in the order of the actions, aborts in the opposite one, and then all cleans in order: so drained
// sections that actions begin last until the whole transaction is over. What fails in `prepare` may have left hooks: they run.

import { EINVAL } from "#core/base";
import { BlockError, settle, unwrap } from "#core/graph";
import { bdrvDrainAll } from "#core/io";
import { type JobTxn, jobTxnNew, jobTxnUnref } from "#core/jobs";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import type { JsonValue } from "./qmp/json-value.ts";
import type { QapiType } from "./qmp/schema.ts";
import type { Daemon } from "./state.ts";

const SITE_DRAIN = site("qmp_transaction");

/** QAPI: ActionCompletionMode. */
export type CompletionMode = "individual" | "grouped";

/** An action under way (C: BlkActionState): `prepare` sets the hooks. */
export class BlkActionState {
  /** The transaction that jobs of grouped actions belong to; null when each ends for itself. */
  readonly jobTxn: JobTxn | null;
  commit: () => Polls<void> = nothing;
  abort: () => Polls<void> = nothing;
  clean: () => Polls<void> = nothing;

  constructor(jobTxn: JobTxn | null) {
    this.jobTxn = jobTxn;
  }
}

function* nothing(): Polls<void> {}

/** A kind of action (C: BlkActionOps). */
export interface ActionKind {
  readonly name: string;
  /** What stands in `data`. */
  readonly data: QapiType<unknown>;
  /** C: action_check_completion_mode: it starts no job, and so cannot be grouped. */
  readonly individualOnly: boolean;
  readonly prepare: (daemon: Daemon, data: unknown, state: BlkActionState) => Polls<void>;
}

/** A kind of action with typed data. */
export function actionKind<T>(
  name: string,
  data: QapiType<T>,
  prepare: (daemon: Daemon, data: T, state: BlkActionState) => Polls<void>,
  individualOnly = true,
): ActionKind {
  return {
    name,
    data,
    individualOnly,
    prepare: (daemon, given, state) => prepare(daemon, given as T, state),
  };
}

/** An action that a client asks for; `data` was read by its kind. */
export interface Action {
  readonly kind: ActionKind;
  readonly data: unknown;
}

/** qmp_transaction (blockdev.c:2309). BlockError when one of `actions` is refused; then nothing has changed. Polls. */
export function* qmpTransaction(
  daemon: Daemon,
  actions: readonly Action[],
  completionMode: CompletionMode = "individual",
): Polls<void> {
  const jobTxn = completionMode === "grouped" ? jobTxnNew() : null;
  yield* bdrvDrainAll(SITE_DRAIN);
  const states: BlkActionState[] = [];
  const prepared = yield* settle(function* (): Polls<void> {
    for (const { kind, data } of actions) {
      const state = new BlkActionState(jobTxn);
      states.push(state);
      if (kind.individualOnly && completionMode === "grouped") throw cannotBeGrouped(kind);
      yield* kind.prepare(daemon, data, state);
    }
  });
  if (prepared.ok) for (const { commit } of states) yield* commit();
  else for (const { abort } of [...states].reverse()) yield* abort();
  for (const { clean } of states) yield* clean();
  if (jobTxn !== null) jobTxnUnref(jobTxn);
  unwrap(prepared);
}

function cannotBeGrouped({ name }: ActionKind): BlockError {
  const why = "does not support Transaction property completion-mode = grouped";
  return new BlockError(EINVAL, `Action '${name}' ${why}`);
}

/** blockdev_do_action (blockdev.c:1045): a transaction of one, as many commands are. Polls. */
export function* doAction<T>(daemon: Daemon, kind: ActionKind, data: T): Polls<JsonValue> {
  yield* qmpTransaction(daemon, [{ kind, data }]);
  return new Map();
}
