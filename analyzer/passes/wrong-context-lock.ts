// The AioContext lock, where a run takes it (lock regime aio): a request that raises a node's in-flight counter without the lock
// of the node's context, and a release by a context that does not hold the lock.
//
// Judged from the first time that such a lock is taken; before that, and in a run that takes none, nothing is asked. What main
// does to nodes that are at home in main needs no lock: nobody else runs there. Nodes whose home the trace does not tell are not
// judged. I/O code that raises no counter says by itself when it runs in the wrong thread: the rule wrong-home.

import { Ev, LockKindOf } from "#core/probe";
import type { Told } from "../drafts.ts";
import { ContextLocks } from "../model/context-locks.ts";
import type { Holdable } from "../model/graph.ts";
import { HOME_UNKNOWN, Homes } from "../model/homes.ts";
import type { Pass, PassContext } from "./pass.ts";

export class WrongContextLock implements Pass {
  readonly kinds = [...ContextLocks.KINDS, ...Homes.KINDS];
  readonly #context: PassContext;
  readonly #locks = new ContextLocks();
  readonly #homes = new Homes();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number, c: number): void {
    const { now, listeners } = this.#context;
    if (isLocking(kind) && b !== LockKindOf.aio_context) return;
    if (kind === Ev.bs_in_flight_inc) this.#request(a);
    else if (!this.#homes.on(kind, a, b, c)) {
      const before = this.#locks.holderOfLock(a);
      const { taken } = this.#locks;
      this.#locks.on(kind, a, b, c, now.ctx);
      // A frequent kind: nobody pays for it in a run without these locks.
      if (!taken && this.#locks.taken) listeners.add(Ev.bs_in_flight_inc, this);
      if (kind === Ev.lock_release && taken && before !== now.ctx) this.#badRelease(a, before);
    }
  }

  finish(): void {}

  #request(node: number): void {
    const { ctx } = this.#context.now;
    const home = this.#homes.ofNode(node);
    if (home === HOME_UNKNOWN || (home === 0 && ctx === 0) || this.#locks.holds(ctx, home)) return;
    const object = this.#context.graph.node(node);
    const holder = this.#locks.holderOf(home);
    const type = this.#context.now.task?.request?.type ?? 0;
    this.#note(`request ${node} ${ctx} ${type}`, object, {
      title: (names) =>
        `A request at ${names.objectText(object)} runs in ${names.ctx(ctx)} without the lock of its context.`,
      why: (names) => {
        const whose = holder < 0 ? "nobody held" : `${names.ctx(holder)} held`;
        return `The node is at home in ${names.ctx(home)}, whose AioContext lock ${whose} when the request raised the node's in-flight counter.`;
      },
      identity: (names) => ["request", names.objectText(object)],
    });
  }

  #badRelease(lock: number, holder: number): void {
    const { ctx } = this.#context.now;
    const home = this.#locks.homeOf(lock);
    this.#note(`release ${lock} ${ctx}`, null, {
      title: (names) => `${names.ctx(ctx)} releases an AioContext lock that it does not hold.`,
      why: (names) => {
        const whose = home < 0 ? `It is lock ${lock}` : `It is that of ${names.ctx(home)}`;
        return `${whose}, which ${holder < 0 ? "nobody" : names.ctx(holder)} held.`;
      },
      identity: (names) => ["release", names.ctx(ctx)],
    });
  }

  #note(key: string, node: Holdable | null, told: Told): void {
    const { drafts, now } = this.#context;
    const why = { code: "told", told } as const;
    drafts.tell("wrong-context-lock", key, now.index, { why, node, site: 0 });
  }
}

function isLocking(kind: number): boolean {
  return kind === Ev.lock_acquire || kind === Ev.lock_release;
}
