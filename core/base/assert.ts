// The three kinds of "this must not happen", kept apart because their readers differ.
//
// `assert` is for our own bugs: it is always on and never caught below the very top (exit code 70). `modelAssert`
// (core/sched) is QEMU's own assertion, modelled: a result of the run, not a crash. `QuiesceError` is bad input: one
// clear sentence for the user. Message strings are static, because an eagerly built template costs as much as three
// plain asserts (see docs/HACKING.md).

/** A broken invariant of quiesce itself. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws AssertionError with the static `text` unless `condition` holds. */
export function assert(condition: boolean, text: string): asserts condition {
  if (!condition) throw new AssertionError(text);
}

/** The value, which must be neither null nor undefined. */
export function must<T>(value: T | null | undefined, text: string): T {
  if (value === null || value === undefined) throw new AssertionError(text);
  return value;
}

/** Ends an exhaustive switch over a union: a compile error when a member was forgotten. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable value: ${String(value)}`);
}

/** What a user did or gave us that cannot be used; `message` is one sentence that says what is wrong and what to do. */
export class QuiesceError extends Error {
  override readonly name = "QuiesceError";
  readonly kind: "usage" | "input" | "limit";
  /** Of our own making, below the sentence; "" for none. */
  readonly hint: string;
  constructor(kind: "usage" | "input" | "limit", message: string, hint = "") {
    super(message);
    this.kind = kind;
    this.hint = hint;
  }
}
