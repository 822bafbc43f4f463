// P5, QEMU 10.1: the graph lock, and no drain under it.
//
// Demands: those of P4, and that nobody begins a drained section while holding the graph lock, for reading or for writing. A drain
// waits for requests; a request may wait for the lock; who holds one and waits for the other waits for ever. (The compiler's
// thread-safety analysis missed such a place because an unlock stood before the drain in the text.)
//
// Not judged: as P4.

import { Ev } from "#core/probe";
import type { Told } from "../drafts.ts";
import { GraphLock } from "../model/graph-lock.ts";
import type { PassContext } from "../passes/pass.ts";
import type { RuleId } from "../rules.ts";
import type { LockJudge } from "./asleep.ts";
import { GraphLockJudge } from "./p4-graph-lock.ts";

export class NoDrainUnderLockJudge implements LockJudge {
  readonly id = "P5";
  readonly lockName = "graph lock";
  readonly takers = GraphLock.KINDS;
  readonly kinds;
  readonly #context: PassContext;
  readonly #base: GraphLockJudge;

  constructor(context: PassContext) {
    this.#context = context;
    this.#base = new GraphLockJudge(context);
    this.kinds = [...this.#base.kinds, Ev.drain_begin] as const;
  }

  get drafts() {
    return this.#base.drafts;
  }

  on(kind: number, a: number, b: number, c: number): void {
    if (kind !== Ev.drain_begin) this.#base.on(kind, a, b, c);
    else if (this.#base.lock.reads()) this.#drain(a);
  }

  finish(): void {}

  takes(): boolean {
    return true;
  }

  keeps(rule: RuleId): boolean {
    return this.#base.keeps(rule);
  }

  silence(): string {
    return this.#base.silence();
  }

  #drain(id: number): void {
    const section = this.#context.sections.get(id);
    const how = this.#base.lock.writes() ? "writing" : "reading";
    const told: Told = {
      title: (names) => `${names.site(section.site).name} begins a drain under the graph lock.`,
      why: (names) =>
        `What began ${names.sectionText(section)} held the graph lock for ${how}: a request that it waits for may wait for the lock.`,
      identity: (names) => [names.site(section.site).name, how],
    };
    this.#base.offences.other("drain-under-graph-lock", section.site, told, section.node);
  }
}
