// Who holds which AioContext lock. The lock belongs to a thread, recursively: what runs in a context holds what that context
// has acquired and not released. A lock and its context are made together and called the same.

import { Ev, LockKindOf } from "#core/probe";

export class ContextLocks {
  /** Events that say something about these locks: a pass that asks about them hands these on. */
  static readonly KINDS = [Ev.ctx_new, Ev.lock_new, Ev.lock_acquire, Ev.lock_release] as const;
  /** A lock of this kind was taken: the trace is of the lock regime. */
  taken = false;
  /** The newest context of a name. */
  readonly #contextCalled = new Map<number, number>();
  readonly #lockOf = new Map<number, number>();
  readonly #homeOf = new Map<number, number>();
  /** By lock: the context that holds it. */
  readonly #holders = new Map<number, number>();

  /** Returns false for kinds that are not about these locks; `ctx` is the context that runs. */
  on(kind: number, a: number, b: number, c: number, ctx: number): boolean {
    if (kind === Ev.ctx_new) this.#contextCalled.set(b, a);
    else if (kind === Ev.lock_new) {
      const home = this.#contextCalled.get(c);
      if (b !== LockKindOf.aio_context || home === undefined) return true;
      this.#lockOf.set(home, a);
      this.#homeOf.set(a, home);
    } else if (kind === Ev.lock_acquire) {
      if (b !== LockKindOf.aio_context) return true;
      this.taken = true;
      this.#holders.set(a, ctx);
    } else if (kind === Ev.lock_release) {
      if (b === LockKindOf.aio_context && c === 0) this.#holders.delete(a);
    } else return false;
    return true;
  }

  /** Whether context `ctx` holds the lock of context `home`; true where the trace does not say which lock that is. */
  holds(ctx: number, home: number): boolean {
    const lock = this.#lockOf.get(home);
    return lock === undefined || this.#holders.get(lock) === ctx;
  }

  /** The context that holds the lock of `home`; -1 for none. */
  holderOf(home: number): number {
    return this.holderOfLock(this.#lockOf.get(home) ?? 0);
  }

  /** The context that holds `lock`; -1 for none. */
  holderOfLock(lock: number): number {
    return this.#holders.get(lock) ?? -1;
  }

  /** The context that `lock` belongs to; -1 when the trace does not say. */
  homeOf(lock: number): number {
    return this.#homeOf.get(lock) ?? -1;
  }

  /** The contexts whose lock `ctx` holds. */
  heldBy(ctx: number): number[] {
    return [...this.#holders]
      .filter(([, holder]) => holder === ctx)
      .map(([lock]) => this.homeOf(lock));
  }
}
