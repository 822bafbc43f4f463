// Two operations on the graph, or completions of jobs, that interleave on one thread: an operation begins and polls; another
// runs inside the poll and is over when the first goes on. No thread sanitizer sees anything, as nothing is concurrent; yet
// the outcome may be one that neither order of the two could have had.
//
//   A ── reads backing(x) ── polls ─────────────────────────────────── edits parents(y) ── end
//                              └─ B ── edits backing(x), parents(y) ── end
//
// That is conflict-serialisability (Farzan and Madhusudan; Velodrome), specialised: an inner operation is over before the
// outer goes on, so a cycle is an access of A before B and one after B that both conflict with accesses of B. Two exceptions
// keep out what is no mistake. A list that A read before, and reads again after B, is one that A has looked at again. And what a
// drain reads to do its own work is nobody's knowledge (drain-phases.ts).
//
// An operation is the outermost graph operation, transaction callback or completion of a call stack: what it calls is part of it,
// and so is a bottom half that it scheduled itself. Main only: elsewhere the graph is not edited (rule wrong-thread).

import { Ev, LIST_KINDS, TRAN_PHASES } from "#core/probe";
import type { AccessDraft } from "../drafts.ts";
import type { Holdable } from "../model/graph.ts";
import type { Names } from "../names.ts";
import { type AccessEvent, accessNow } from "./access-note.ts";
import type { DrainPhases } from "./drain-phases.ts";
import type { Pass, PassContext } from "./pass.ts";
import { subjectOf } from "./subject.ts";

/** Operations inside one outer operation that are remembered, of those that conflict with what it had done. */
const INNER_MAX = 64;

/** What an operation did to one list. */
interface Touch {
  readonly list: number;
  readonly owner: number;
  firstRead: AccessDraft | null;
  lastRead: AccessDraft | null;
  firstEdit: AccessDraft | null;
  lastEdit: AccessDraft | null;
}

/** What an operation is: the site of a graph operation, or the string of a callback; and for completions their job. */
interface Doing {
  readonly ref: number;
  /** A phase of a transaction, or one of the constants below. */
  readonly phase: number;
  readonly job: Holdable | null;
}

/** One run of an operation. */
class Run {
  readonly what: Doing;
  readonly begin: number;
  /** The operation that scheduled the bottom half in which this one runs. */
  readonly poster: Run | null;
  depth = 1;
  end = -1;
  readonly touches = new Map<number, Touch>();
  readonly inner: Run[] = [];

  constructor(what: Doing, begin: number, poster: Run | null) {
    this.what = what;
    this.begin = begin;
    this.poster = poster;
  }
}

const GRAPH_OPERATION = -1;
const COMPLETION = -2;
const LISTS = LIST_KINDS.length;

export class InterleavedOperations implements Pass {
  readonly kinds = [];
  readonly mainKinds = [
    Ev.list_read,
    Ev.graph_op_begin,
    Ev.graph_op_end,
    Ev.tran_action_begin,
    Ev.tran_action_end,
    Ev.completion_begin,
    Ev.completion_end,
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
  ] as const;
  readonly #context: PassContext;
  readonly #drains: DrainPhases;
  /** Runs under way, by activity. */
  readonly #open = new Map<number, Run>();
  /** Bottom halves that a run has scheduled, and what each activity was scheduled by. */
  readonly #posted = new Map<number, Run>();
  readonly #posters = new Map<number, Run>();

  constructor(context: PassContext, drains: DrainPhases) {
    this.#context = context;
    this.#drains = drains;
  }

  on(kind: number, a: number, b: number, c: number, d: number): void {
    const activity = this.#context.operations.activity(0);
    switch (kind) {
      case Ev.list_read:
        if (this.#open.size > 0)
          this.#touch("read", { kind, list: a, owner: b, site: c, value: 0 });
        break;
      case Ev.graph_op_begin:
        this.#begin(activity, { ref: a, phase: GRAPH_OPERATION, job: null });
        break;
      case Ev.tran_action_begin:
        this.#begin(activity, { ref: c, phase: b, job: null });
        break;
      case Ev.completion_begin:
        this.#begin(activity, { ref: b, phase: COMPLETION, job: this.#context.graph.job(a) });
        break;
      case Ev.graph_op_end:
      case Ev.tran_action_end:
      case Ev.completion_end:
        this.#end(activity);
        break;
      case Ev.bh_schedule:
        this.#schedules(activity, a);
        break;
      case Ev.bh_run:
        this.#runs(activity, a);
        break;
      default:
        this.#touch("edit", { kind, list: a, owner: b, site: d, value: c });
    }
  }

  finish(): void {
    for (const run of [...this.#open.values()].sort((a, b) => a.begin - b.begin)) {
      run.end = this.#context.now.index;
      this.#judgeInner(run);
    }
  }

  #begin(activity: number, what: Doing): void {
    const open = this.#open.get(activity);
    if (open !== undefined) {
      open.depth++;
      return;
    }
    const poster = this.#posters.get(activity) ?? null;
    this.#open.set(activity, new Run(what, this.#context.now.index, poster));
    if (this.#open.size > 1) return;
    this.#context.listeners.add(Ev.bh_schedule, this, "main");
    this.#context.listeners.add(Ev.bh_run, this, "main");
  }

  #end(activity: number): void {
    const run = this.#open.get(activity);
    if (run === undefined || --run.depth > 0) return;
    run.end = this.#context.now.index;
    this.#open.delete(activity);
    this.#judgeInner(run);
    for (const outer of this.#open.values()) {
      if (outer.begin > run.begin || run.poster === outer || !conflictsBefore(outer, run)) continue;
      if (outer.inner.length < INNER_MAX) outer.inner.push(run);
    }
    if (this.#open.size > 0) return;
    this.#posted.clear();
    this.#posters.clear();
    this.#context.listeners.remove(Ev.bh_schedule, this);
    this.#context.listeners.remove(Ev.bh_run, this);
  }

  #schedules(activity: number, bh: number): void {
    const run = this.#open.get(activity);
    if (run === undefined) this.#posted.delete(bh);
    else this.#posted.set(bh, run);
  }

  #runs(activity: number, bh: number): void {
    const run = this.#posted.get(bh);
    this.#posted.delete(bh);
    if (run !== undefined) this.#posters.set(activity, run);
  }

  #touch(what: "read" | "edit", about: AccessEvent): void {
    const { list, owner } = about;
    const activity = this.#context.operations.activity(0);
    const run = this.#open.get(activity);
    if (run === undefined || this.#drains.isInside(activity)) return;
    const key = owner * LISTS + list;
    let touch = run.touches.get(key);
    if (touch === undefined) {
      touch = { list, owner, firstRead: null, lastRead: null, firstEdit: null, lastEdit: null };
      run.touches.set(key, touch);
    }
    const access = accessNow(this.#context, what, about);
    if (what === "read") {
      touch.firstRead ??= access;
      touch.lastRead = access;
    } else {
      touch.firstEdit ??= access;
      touch.lastEdit = access;
    }
  }

  #judgeInner(outer: Run): void {
    for (const inner of outer.inner) {
      const before = firstConflict(outer, inner);
      const after = lastConflict(outer, inner);
      if (before !== null && after !== null) this.#note(outer, inner, before, after);
    }
  }

  #note(outer: Run, inner: Run, before: Conflict, after: Conflict): void {
    const { drafts, graph, now } = this.#context;
    const [one, other] = [outer.what, inner.what];
    const key = `interleaved-operations ${one.ref} ${one.phase} ${other.ref} ${other.phase}`;
    drafts.note(key, now.index, 1, () => ({
      rule: "interleaved-operations",
      ...subjectOf(graph, before.touch.list, before.touch.owner),
      accesses: [before.outer, before.inner],
      why: {
        code: "told",
        told: new Story(
          outer,
          inner,
          before,
          after,
          subjectOf(graph, after.touch.list, after.touch.owner),
        ),
      },
      advice: null,
      luck: null,
    }));
  }
}

/** An access of the outer operation and the one of the inner operation that it conflicts with. */
interface Conflict {
  readonly touch: Touch;
  readonly outer: AccessDraft;
  readonly inner: AccessDraft;
}

/** Whether anything that `outer` has done so far conflicts with `inner`, which is over. */
function conflictsBefore(outer: Run, inner: Run): boolean {
  for (const [key, touch] of inner.touches) {
    const own = outer.touches.get(key);
    if (own === undefined) continue;
    if (
      isBefore(own.firstEdit, inner) ||
      (touch.firstEdit !== null && isBefore(own.firstRead, inner))
    )
      return true;
  }
  return false;
}

function isBefore(access: AccessDraft | null, run: Run): access is AccessDraft {
  return access !== null && access.index < run.begin;
}

function isAfter(access: AccessDraft | null, run: Run): access is AccessDraft {
  return access !== null && access.index > run.end;
}

/** The first access of `outer` before `inner` that conflicts with it, but for reads that `outer` repeats afterwards. */
function firstConflict(outer: Run, inner: Run): Conflict | null {
  let first: Conflict | null = null;
  for (const [key, touch] of inner.touches) {
    const own = outer.touches.get(key);
    const other = touch.firstEdit ?? touch.firstRead;
    if (own === undefined || other === null) continue;
    const edit = isBefore(own.firstEdit, inner) ? own.firstEdit : null;
    const counts = touch.firstEdit !== null && !isAfter(own.lastRead, inner);
    const read = counts && isBefore(own.firstRead, inner) ? own.firstRead : null;
    const access = read === null || (edit !== null && edit.index < read.index) ? edit : read;
    if (access !== null && (first === null || access.index < first.outer.index))
      first = { touch, outer: access, inner: other };
  }
  return first;
}

/** The last access of `outer` after `inner` that conflicts with it. */
function lastConflict(outer: Run, inner: Run): Conflict | null {
  let last: Conflict | null = null;
  for (const [key, touch] of inner.touches) {
    const own = outer.touches.get(key);
    const other = touch.lastEdit ?? touch.lastRead;
    if (own === undefined || other === null) continue;
    const edit = isAfter(own.lastEdit, inner) ? own.lastEdit : null;
    const read = touch.firstEdit !== null && isAfter(own.lastRead, inner) ? own.lastRead : null;
    const access = read === null || (edit !== null && edit.index > read.index) ? edit : read;
    if (access !== null && (last === null || access.index > last.outer.index))
      last = { touch, outer: access, inner: other };
  }
  return last;
}

class Story {
  readonly #outer: Run;
  readonly #inner: Run;
  readonly #before: Conflict;
  readonly #after: Conflict;
  readonly #subject: ReturnType<typeof subjectOf>;

  constructor(
    outer: Run,
    inner: Run,
    before: Conflict,
    after: Conflict,
    subject: ReturnType<typeof subjectOf>,
  ) {
    this.#outer = outer;
    this.#inner = inner;
    this.#before = before;
    this.#after = after;
    this.#subject = subject;
  }

  title(names: Names): string {
    return `${textOf(this.#inner, names)} runs in the middle of ${textOf(this.#outer, names)}; the outcome may be one that neither order of the two has.`;
  }

  why(names: Names): string {
    const inner = textOf(this.#inner, names);
    const { outer, inner: other } = this.#before;
    const first = `${textOf(this.#outer, names)} ${verb(outer)} the list in ${names.site(outer.site).name} before it polls, then ${inner} ${verb(other)} it in ${names.site(other.site).name}`;
    const { list, node, edge } = this.#subject;
    const last = this.#after.outer;
    return `${first}; afterwards the outer one ${verb(last)} ${names.listText(list, node, edge)} in ${names.site(last.site).name}, which ${inner} had ${this.#after.inner.what === "edit" ? "edited" : "read"}.`;
  }

  identity(names: Names): readonly string[] {
    return [nameOf(this.#outer, names), nameOf(this.#inner, names)];
  }
}

function verb({ what }: AccessDraft): string {
  return what === "edit" ? "edits" : "reads";
}

function textOf(run: Run, names: Names): string {
  const name = nameOf(run, names);
  const { job } = run.what;
  return job === null ? name : `${name} of ${names.objectText(job)}`;
}

function nameOf({ what: { ref, phase } }: Run, names: Names): string {
  return phase < 0 ? names.site(ref).name : `${names.string(ref)}_${TRAN_PHASES[phase] ?? ""}`;
}
