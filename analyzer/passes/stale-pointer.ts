// A pointer that was fetched before a poll or a yield and is used after it, although what it was fetched from was edited in
// between: the code goes on with the graph as it was. A reference keeps the object alive, and does not help.
//
//   A ── reads edge_bs(e): node 3 ── polls ─────────────────── reads parents(node 3)      stale
//                                       └─ B: edge_bs(e) := node 4
//
// Code that fetches the pointer again, or reads it out of another list that holds it by now, is right. So is what a drain does
// for itself (drain-phases.ts). Memory reaches as far as one doing of a call stack: the outermost operation of a context's
// body, one run of a handler, one request of a coroutine; a caller's variables are not seen. Main only: in an iothread the read
// and the edit are a pair, which is a race or is covered.

import { Ev, List } from "#core/probe";
import type { AccessDraft } from "../drafts.ts";
import { ownerKind } from "../model/gone.ts";
import type { EdgeInfo, Holdable } from "../model/graph.ts";
import type { Names } from "../names.ts";
import { accessNow } from "./access-note.ts";
import type { DrainPhases } from "./drain-phases.ts";
import { goneText } from "./gone-text.ts";
import type { Pass, PassContext } from "./pass.ts";
import { subjectOf } from "./subject.ts";

/** A pointer that some call stack may still hold. */
interface Stale {
  readonly list: number;
  readonly owner: number;
  /** The list and the pointer as they were known at the edit: by the time of the use they may have been freed. */
  readonly subject: ReturnType<typeof subjectOf>;
  readonly pointer: Holdable | EdgeInfo;
  readonly read: AccessDraft;
  readonly edit: AccessDraft;
}

/** One doing of a call stack. */
interface Doing {
  readonly scope: number;
  /** Latest read of each variable. */
  readonly reads: Map<string, AccessDraft>;
  /** Pointers that have gone stale, by object. */
  readonly stale: Map<string, Stale>;
}

export class StalePointer implements Pass {
  readonly kinds = [
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
    Ev.bs_free,
    Ev.blk_free,
    Ev.edge_free,
  ] as const;
  readonly mainKinds = [Ev.list_read, Ev.bh_run, Ev.fd_run, Ev.bh_done, Ev.co_terminate] as const;
  readonly #context: PassContext;
  readonly #drains: DrainPhases;
  /** Objects that an alias or list holds, with the event that put each there. */
  readonly #contents = new Map<string, Map<string, number>>();
  readonly #doings = new Map<number, Doing>();
  /** Handlers that run in main, innermost last: the model has forgotten one when its end comes by here. */
  readonly #handlers: number[] = [];

  constructor(context: PassContext, drains: DrainPhases) {
    this.#context = context;
    this.#drains = drains;
  }

  on(kind: number, a: number, b: number, c: number, d: number): void {
    switch (kind) {
      case Ev.list_read:
        this.#read(a, b, c);
        break;
      case Ev.bs_free:
        for (const list of [List.children, List.parents, List.file, List.backing])
          this.#contents.delete(`${list} ${a}`);
        break;
      case Ev.blk_free:
        this.#contents.delete(`${List.blk_root} ${a}`);
        break;
      case Ev.edge_free:
        this.#contents.delete(`${List.edge_bs} ${a}`);
        break;
      case Ev.bh_run:
      case Ev.fd_run:
        this.#handlers.push(this.#context.operations.activity(0));
        break;
      case Ev.bh_done:
        this.#doings.delete(this.#handlers.pop() ?? 0);
        break;
      case Ev.co_terminate:
        this.#doings.delete(-a);
        break;
      default:
        this.#edit(kind, a, b, c, d);
    }
  }

  finish(): void {}

  #read(list: number, owner: number, site: number): void {
    const doing = this.#doing();
    if (doing === null) return;
    const about = { kind: Ev.list_read, list, owner, site, value: 0 };
    const access = accessNow(this.#context, "read", about);
    const key = `${list} ${owner}`;
    if (doing.stale.size > 0) {
      this.#use(doing, `${ownerKind(list)} ${owner}`, access);
      // What is read is held rightly from now on.
      for (const object of this.#contents.get(key)?.keys() ?? []) doing.stale.delete(object);
    }
    doing.reads.set(key, access);
  }

  /** What the running call stack of main is doing; null where a pointer cannot be followed. */
  #doing(): Doing | null {
    const { now, operations } = this.#context;
    const activity = operations.activity(0);
    const scope = activity === 0 ? operations.outermost(0) : activity < 0 ? now.taskId : 1;
    if (scope === 0 || this.#drains.isInside(activity)) return null;
    let doing = this.#doings.get(activity);
    if (doing === undefined || doing.scope !== scope) {
      doing = { scope, reads: new Map(), stale: new Map() };
      this.#doings.set(activity, doing);
    }
    return doing;
  }

  #edit(kind: number, list: number, owner: number, value: number, site: number): void {
    const { now, operations } = this.#context;
    const edit = accessNow(this.#context, "edit", { kind, list, owner, site, value });
    const pointee = list === List.edge_bs ? `node ${value}` : `edge ${value}`;
    const doing = now.ctx === 0 ? this.#doing() : null;
    if (doing !== null && doing.stale.size > 0) {
      this.#use(doing, `${ownerKind(list)} ${owner}`, edit);
      if (value !== 0 && kind !== Ev.list_remove) this.#use(doing, pointee, edit);
    }
    const key = `${list} ${owner}`;
    const objects = this.#contents.get(key) ?? new Map<string, number>();
    this.#contents.set(key, objects);
    const lost =
      kind === Ev.list_set
        ? [...objects.keys()].filter((object) => object !== pointee)
        : kind === Ev.list_remove && objects.has(pointee)
          ? [pointee]
          : [];
    const activity = operations.activity(now.ctx);
    for (const object of lost) {
      this.#goesStale(object, { list, owner, edit }, objects.get(object) ?? -1, activity);
      objects.delete(object);
    }
    if (kind !== Ev.list_remove && value !== 0 && !objects.has(pointee))
      objects.set(pointee, now.index);
  }

  /** `object` is not where it was since event `since`; whoever else has read it there holds a stale pointer. */
  #goesStale(
    object: string,
    from: Pick<Stale, "list" | "owner" | "edit">,
    since: number,
    editor: number,
  ): void {
    const { graph } = this.#context;
    const id = Number(object.split(" ")[1]);
    const pointer = object.startsWith("edge") ? graph.edge(id) : graph.node(id);
    const subject = subjectOf(graph, from.list, from.owner);
    for (const [activity, doing] of this.#doings) {
      const read = doing.reads.get(`${from.list} ${from.owner}`);
      if (activity === editor || read === undefined || read.index < since) continue;
      doing.stale.set(object, { ...from, subject, pointer, read });
    }
  }

  #use(doing: Doing, object: string, use: AccessDraft): void {
    const stale = doing.stale.get(object);
    if (stale === undefined) return;
    doing.stale.delete(object);
    const { drafts, now } = this.#context;
    const { list, subject, read, edit } = stale;
    const key = `stale-pointer ${list} ${read.site} ${edit.site} ${use.site}`;
    drafts.note(key, now.index, 1, () => ({
      rule: "stale-pointer",
      ...subject,
      accesses: [read, edit],
      why: { code: "told", told: new Story(stale, use) },
      advice: null,
      luck: null,
    }));
  }
}

class Story {
  readonly #stale: Stale;
  readonly #use: AccessDraft;

  constructor(stale: Stale, use: AccessDraft) {
    this.#stale = stale;
    this.#use = use;
  }

  title(names: Names): string {
    const { pointer, read, edit } = this.#stale;
    const what = goneText({ kind: "node", id: pointer.id, object: pointer }, names);
    return `${names.site(this.#use.site).name} uses ${what}, which ${names.site(read.site).name} had fetched before ${names.site(edit.site).name} took it away.`;
  }

  why(names: Names): string {
    const { read, edit } = this.#stale;
    return `It was fetched at event ${read.index}; then the call stack that holds it polled or yielded, and ${names.site(edit.site).name} ${names.editText(edit)} at event ${edit.index}; it was used at event ${this.#use.index} without having been fetched again.`;
  }

  identity(names: Names): readonly string[] {
    const { read, edit } = this.#stale;
    return [read.site, edit.site, this.#use.site].map((site) => names.site(site).name);
  }
}
