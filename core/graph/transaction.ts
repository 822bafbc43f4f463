// Transactions (C: util/transactions.c): what was done to the graph so far, and how to finish it or take it back.
//
// Each action is done when it is added. Finalising calls `commit` or `abort` of all actions, the newest first, and then, in
// a second pass over the same order, `clean` of all: so whatever `clean` ends (a drained section, say) still holds while
// the last `commit` or `abort` runs. Callbacks may poll: a rollback moves edges, and moving an edge waits for requests.

import { assert, type TranId } from "../base/index.ts";
import { Ev, Phase, site } from "../probe/index.ts";
import {
  globalStateCode,
  type Handler,
  machine,
  nextId,
  type Polls,
  perMachine,
} from "../sched/index.ts";
import { settle, unwrap } from "./block-error.ts";

const SITE_TRAN_NEW = site("tran_new");
const SITE_TRAN_ADD = site("tran_add");
const SITE_TRAN_COMMIT = site("tran_commit");
const SITE_TRAN_ABORT = site("tran_abort");

/** One thing done (C: TransactionActionDrv with its opaque). `name` is the C name without its phase, e.g. bdrv_replace_child. */
export interface TransactionAction {
  readonly name: string;
  readonly commit?: Handler;
  readonly abort?: Handler;
  readonly clean?: Handler;
}

/** C: Transaction. */
export class Transaction {
  readonly id: TranId;
  /** Newest first. */
  readonly actions: TransactionAction[] = [];
  finalised = false;

  constructor(id: TranId) {
    this.id = id;
  }
}

/** tran_new: an empty transaction. */
export function tranNew(): Transaction {
  globalStateCode(SITE_TRAN_NEW);
  const tran = new Transaction(nextId(machine, "tran") as TranId);
  assert(tran.id > 0, "transactions are numbered from 1");
  assert(tran.actions.length === 0, "a transaction is born empty");
  machine.probe.emit(Ev.tran_new, tran.id);
  return tran;
}

/** tran_add: `action` was, or is about to be, done. */
export function tranAdd(tran: Transaction, action: TransactionAction): void {
  globalStateCode(SITE_TRAN_ADD);
  assert(!tran.finalised, "a transaction that is over takes no action");
  assert(action.name.length > 0, "an action has a name");
  tran.actions.unshift(action);
  machine.probe.emit(Ev.tran_add, tran.id, machine.probe.intern(action.name));
}

/** Called where a transaction may fail; it may throw a BlockError. Set by tests and scenarios that inject failures. */
export interface FaultInjector {
  reached: ((where: string) => void) | null;
  /** Transactions that end now: on the way back nothing may fail. */
  finalising: number;
}

/** The fault injector of the running machine. */
export const faultInjector = perMachine((): FaultInjector => ({ reached: null, finalising: 0 }));

/**
 * A place where the transaction may fail with all that was done so far in its actions; `where` is the C function. Common.
 */
export function tranFaultPoint(where: string): void {
  const { reached, finalising } = faultInjector();
  if (finalising === 0) reached?.(where);
}

/** tran_commit: keep what was done. Polls. */
export function* tranCommit(tran: Transaction): Polls<void> {
  globalStateCode(SITE_TRAN_COMMIT);
  yield* finalise(tran, "commit");
}

/** tran_abort: take back what was done. Polls. */
export function* tranAbort(tran: Transaction): Polls<void> {
  globalStateCode(SITE_TRAN_ABORT);
  yield* finalise(tran, "abort");
}

/** tran_new to tran_finalize: run `body` in a transaction, commit it, or abort it when `body` throws a BlockError. Polls. */
export function* inTransaction<T>(body: (tran: Transaction) => Polls<T>): Polls<T> {
  globalStateCode(SITE_TRAN_NEW);
  const tran = tranNew();
  const outcome = yield* settle(function* (): Polls<T> {
    const value = yield* body(tran);
    tranFaultPoint("tran_finalize");
    return value;
  });
  if (outcome.ok) yield* tranCommit(tran);
  else yield* tranAbort(tran);
  return unwrap(outcome);
}

function* finalise(tran: Transaction, phase: "commit" | "abort"): Polls<void> {
  assert(!tran.finalised, "a transaction ends once");
  tran.finalised = true;
  const count = tran.actions.length;
  faultInjector().finalising++;
  for (const action of tran.actions) yield* runCallback(tran, action, phase);
  for (const action of tran.actions) yield* runCallback(tran, action, "clean");
  faultInjector().finalising--;
  assert(tran.actions.length === count, "ending a transaction adds nothing to it");
  machine.probe.emit(Ev.tran_end, tran.id, Phase[phase]);
}

function* runCallback(
  tran: Transaction,
  action: TransactionAction,
  phase: "commit" | "abort" | "clean",
): Polls<void> {
  const callback = action[phase];
  if (callback === undefined) return;
  const name = machine.probe.intern(action.name);
  machine.probe.emit(Ev.tran_action_begin, tran.id, Phase[phase], name);
  const polls = callback();
  if (polls !== undefined) yield* polls;
  machine.probe.emit(Ev.tran_action_end, tran.id, Phase[phase], name);
}
