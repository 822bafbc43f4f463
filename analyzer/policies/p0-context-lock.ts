// P0, the AioContext lock: what protected the lists before the series.
//
// Demand: whoever reads or edits a list holds the AioContext lock of the context where the list's owner is at home: of a node its
// own context; of an edge that of the parent (of the node that it points at when the parent is a job, which has no home in a
// trace); of a BlockBackend its own. Three things need no lock: a read in main, where alone the lists are edited; an edit of what
// is at home in main, which the big lock protects; and an edit of an object that nobody but its creator can have seen.
//
// Not judged: owners whose home the trace does not tell (it began later), and traces in which nobody ever takes such a lock.

import { Ev, List, LockKindOf } from "#core/probe";
import type { Told } from "../drafts.ts";
import { ContextLocks } from "../model/context-locks.ts";
import type { Holdable } from "../model/graph.ts";
import { HOME_UNKNOWN, Homes } from "../model/homes.ts";
import type { PassContext } from "../passes/pass.ts";
import type { RuleId } from "../rules.ts";
import type { LockJudge } from "./asleep.ts";
import { Offences } from "./offences.ts";
import { COVERAGE_RULES } from "./policy.ts";

export class ContextLockJudge implements LockJudge {
  readonly id = "P0";
  readonly lockName = "AioContext lock";
  readonly takers = [Ev.lock_acquire] as const;
  readonly kinds = [
    ...ContextLocks.KINDS,
    ...Homes.KINDS,
    Ev.list_read,
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
  ];
  readonly #context: PassContext;
  readonly #offences: Offences;
  readonly #locks = new ContextLocks();
  readonly #homes = new Homes();

  constructor(context: PassContext) {
    this.#context = context;
    this.#offences = new Offences(context);
  }

  get drafts() {
    return this.#offences.drafts;
  }

  on(kind: number, a: number, b: number, c: number): void {
    const { now } = this.#context;
    if (kind === Ev.list_read) this.#read(a, b, c);
    else if (!this.#homes.on(kind, a, b, c) && !this.#locks.on(kind, a, b, c, now.ctx))
      this.#edit();
  }

  finish(): void {}

  takes(_kind: number, _lock: number, what: number): boolean {
    return what === LockKindOf.aio_context;
  }

  keeps(rule: RuleId): boolean {
    return !COVERAGE_RULES.has(rule);
  }

  silence(): string {
    return this.#locks.taken
      ? ""
      : "The trace never takes an AioContext lock, so that lock cannot be what protects its lists.";
  }

  #read(list: number, owner: number, site: number): void {
    if (this.#context.now.ctx === 0) return;
    const object = this.#owner(list, owner);
    const home = this.#homes.of(object);
    if (this.#isSafe(home)) return;
    this.#offences.read("read-without-context-lock", list, owner, site, () =>
      this.#tell("reads", list, owner, site, home),
    );
  }

  #edit(): void {
    const { lastEdited } = this.#context.conflicts;
    const edit = lastEdited?.edit ?? null;
    if (lastEdited === null || edit === null || edit.isPrivate) return;
    const { list, owner } = lastEdited;
    const home = this.#homes.of(this.#owner(list, owner));
    if (this.#isSafe(home)) return;
    const told = this.#tell("edits", list, owner, edit.site, home);
    this.#offences.edit("edit-without-context-lock", lastEdited, edit, told);
  }

  /** Who decides under which lock a list is. */
  #owner(list: number, owner: number): Holdable | null {
    const { graph } = this.#context;
    const guard = graph.guard(list, owner);
    return list === List.edge_bs && guard?.kind === "job" ? graph.edge(owner).child : guard;
  }

  #isSafe(home: number): boolean {
    const { ctx } = this.#context.now;
    return home === HOME_UNKNOWN || (home === 0 && ctx === 0) || this.#locks.holds(ctx, home);
  }

  #tell(verb: string, list: number, owner: number, site: number, home: number): Told {
    const { graph, now } = this.#context;
    const guard = graph.guard(list, owner);
    const edge = list === List.edge_bs ? graph.edge(owner) : null;
    const { ctx } = now;
    const holder = this.#locks.holderOf(home);
    return {
      title: (names) =>
        `${names.site(site).name} ${verb} ${names.listText(list, guard, edge)} without the lock of its context.`,
      why: (names) => {
        const whose = holder < 0 ? "which nobody held" : `which ${names.ctx(holder)} held`;
        return `Its home is ${names.ctx(home)}; ${names.ctx(ctx)} did not hold the AioContext lock of ${names.ctx(home)}, ${whose}.`;
      },
    };
  }
}
