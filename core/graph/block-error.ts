// Errors of the control path (open, attach, replace): C's `Error **errp` with the negated errno beside it.
//
// An operation on the graph throws one; its transaction rolls back, its drained sections end, and the caller gets it. Only
// BlockErrors are caught on the way: an assertion, modelled or ours, ends the run where it stands.

import { assert } from "../base/index.ts";
import type { Polls } from "../sched/index.ts";

/** Why an operation on the graph was refused; `errno` is positive, the message is a sentence for the user without a period. */
export class BlockError extends Error {
  override readonly name = "BlockError";
  readonly errno: number;
  /** A second sentence for people; no part of an answer to a program (C: error_append_hint). */
  readonly hint: string;

  constructor(errno: number, message: string, hint = "") {
    super(message);
    assert(errno > 0, "a BlockError carries a positive errno");
    this.errno = errno;
    this.hint = hint;
  }
}

/** How a body ended: with a value or refused. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: BlockError };

/**
 * Run `body` and keep a BlockError as a value, for callers that have something to end first. Polls as `body` does. Common.
 */
export function* settle<T>(body: () => Polls<T>): Polls<Outcome<T>> {
  try {
    return { ok: true, value: yield* body() };
  } catch (error) {
    if (error instanceof BlockError) return { ok: false, error };
    throw error;
  }
}

/** The value of `outcome`, or its error thrown. Common. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw outcome.error;
  return outcome.value;
}
