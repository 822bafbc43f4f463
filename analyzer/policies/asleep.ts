// A judge whose policy rests on a lock says nothing of a trace in which nobody ever takes that lock, so it sleeps until somebody does:
// every read off the main context would break its policy until then, all for nothing in most traces. Whoever judges a trace that
// can be read again wakes it and begins anew (analyze.ts): traces of a core that has such a lock take it soon.

import type { EventKind } from "#core/probe";
import type { Drafts } from "../drafts.ts";
import type { RuleId } from "../rules.ts";
import type { PolicyId, PolicyJudge } from "./policy.ts";

/** Locks that a policy may rest on. */
export type PolicyLock = "AioContext lock" | "graph lock";

/** A judge that has nothing to judge while nobody takes the lock that its policy rests on. */
export interface LockJudge extends PolicyJudge {
  readonly lockName: PolicyLock;
  /** Kinds of events that may take it. */
  readonly takers: readonly EventKind[];
  /** Whether an event of one of these, with these slots, does. */
  takes(kind: number, a: number, b: number): boolean;
}

/** A judge sleeps, and has something to judge. */
export class LockTaken extends Error {
  readonly lock: PolicyLock;

  constructor(lock: PolicyLock) {
    super(`The ${lock} was taken, and a policy that rests on it was not looked at so far.`);
    this.name = "LockTaken";
    this.lock = lock;
  }
}

/** Stands for `judge` while nobody takes its lock. */
export class AsleepJudge implements PolicyJudge {
  readonly id: PolicyId;
  readonly kinds: readonly EventKind[];
  readonly #judge: LockJudge;

  constructor(judge: LockJudge) {
    this.id = judge.id;
    this.kinds = judge.takers;
    this.#judge = judge;
  }

  get drafts(): Drafts | null {
    return this.#judge.drafts;
  }

  on(kind: number, a: number, b: number): void {
    if (this.#judge.takes(kind, a, b)) throw new LockTaken(this.#judge.lockName);
  }

  finish(): void {}

  keeps(rule: RuleId, list: number): boolean {
    return this.#judge.keeps(rule, list);
  }

  silence(): string {
    return this.#judge.silence();
  }
}
