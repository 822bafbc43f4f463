// P4, the graph lock of QEMU 8.0 and later (Bonzini's idea, Esposito's patches, Wolf's version): readers share it, the one writer
// excludes them all.
//
// Demands: a read of a list is made in the main context, or by a coroutine or request that holds the lock for reading
// (assert_bdrv_graph_readable, but of the one who reads, not of anybody); an edit is made by the one who holds it for writing
// (assert_bdrv_graph_writable), save of an object that nobody but its creator can have seen. And the lock itself is kept: no
// reader while there is a writer, one writer at a time, released by who holds it.
//
// Not judged: traces in which nobody ever takes the graph lock, such as those of `core/`, which is 7.2 and has none.

import { Ev, List } from "#core/probe";
import type { Told } from "../drafts.ts";
import { GraphLock, type LockFault } from "../model/graph-lock.ts";
import type { PassContext } from "../passes/pass.ts";
import type { RuleId } from "../rules.ts";
import type { LockJudge } from "./asleep.ts";
import { Offences } from "./offences.ts";
import { COVERAGE_RULES } from "./policy.ts";

const FAULTS: Readonly<Record<LockFault, string>> = {
  "read while written": "It was taken for reading while another held it for writing.",
  "written while read": "It was taken for writing while a reader held it.",
  "written twice": "It was taken for writing while another held it for writing.",
  "reader without lock": "It was released by a reader that did not hold it.",
  "writer without lock": "It was released by a writer that did not hold it.",
};

export class GraphLockJudge implements LockJudge {
  readonly id = "P4";
  readonly lockName = "graph lock";
  readonly takers = GraphLock.KINDS;
  readonly kinds = [
    ...GraphLock.KINDS,
    Ev.list_read,
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
  ] as const;
  /** Who holds the lock; kept by `on`. */
  readonly lock: GraphLock;
  readonly offences: Offences;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
    this.lock = new GraphLock(context.now, context.operations);
    this.offences = new Offences(context);
  }

  get drafts() {
    return this.offences.drafts;
  }

  on(kind: number, a: number, b: number, c: number): void {
    if (kind === Ev.list_read) this.#read(a, b, c);
    else if (kind === Ev.list_insert || kind === Ev.list_remove || kind === Ev.list_set)
      this.#edit();
    else {
      const fault = this.lock.on(kind);
      if (fault !== null) this.#broken(a, fault);
    }
  }

  finish(): void {}

  takes(): boolean {
    return true;
  }

  keeps(rule: RuleId): boolean {
    return !COVERAGE_RULES.has(rule);
  }

  silence(): string {
    return this.lock.taken
      ? ""
      : "The trace never takes the graph lock (QEMU has it since 8.0), so that lock cannot be what protects its lists.";
  }

  #read(list: number, owner: number, site: number): void {
    const { now, graph } = this.#context;
    const { ctx } = now;
    if (ctx === 0 || this.lock.reads()) return;
    this.offences.read("read-without-graph-lock", list, owner, site, () => {
      const guard = graph.guard(list, owner);
      const edge = list === List.edge_bs ? graph.edge(owner) : null;
      return {
        title: (names) =>
          `${names.site(site).name} reads ${names.listText(list, guard, edge)} without the graph lock.`,
        why: (names) =>
          `It ran in ${names.ctx(ctx)}, and neither its coroutine nor its request had taken the graph lock.`,
      };
    });
  }

  #edit(): void {
    const { conflicts, graph } = this.#context;
    const { lastEdited } = conflicts;
    const edit = lastEdited?.edit ?? null;
    if (lastEdited === null || edit === null || edit.isPrivate || this.lock.writes()) return;
    const { list, owner, guard } = lastEdited;
    const edge = list === List.edge_bs ? graph.edge(owner) : null;
    const told: Told = {
      title: (names) =>
        `${names.site(edit.site).name} edits ${names.listText(list, guard, edge)} without the graph lock for writing.`,
      why: () => "What made the edit had not taken the graph lock for writing.",
    };
    this.offences.edit("edit-without-graph-lock", lastEdited, edit, told);
  }

  #broken(site: number, fault: LockFault): void {
    this.offences.other("graph-lock-broken", site, {
      title: (names) =>
        `The graph lock was broken in ${names.site(site).name || "a place unknown"}.`,
      why: () => FAULTS[fault],
      identity: (names) => [names.site(site).name, fault],
    });
  }
}
