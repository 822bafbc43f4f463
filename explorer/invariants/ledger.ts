// A second account of the counters, kept from the events alone: what each level, request and operation was when it was emitted.
//
// The core's own counters are lists of levels, so that "the counter equals its list" would say nothing. This ledger sees only
// the events, adds and takes away by one, and complains when an event says another number. It passes every event on.

import { AssertionError, type StringId } from "#core/base";
import { Drain, Ev, Owner, ProbeBase } from "#core/probe";

const MAIN_CTX = 0;
/** So many of the schedule's choices are told when something does not hold. */
const CHOICES_MAX = 12;

/** A drained section as its events tell it. */
export interface LedgerSection {
  readonly id: number;
  /** 0 for a drain of everything. */
  readonly node: number;
  readonly kind: number;
  /** The poll phase has ended: from here on nothing is in flight in it. */
  polled: boolean;
  /** Nodes that it holds a level of, with how many. */
  readonly levels: Map<number, number>;
}

/** Counters by what the events said. */
export class Ledger extends ProbeBase {
  readonly nodeLevels = new Map<number, number>();
  readonly nodeInFlight = new Map<number, number>();
  readonly blkLevels = new Map<number, number>();
  readonly blkInFlight = new Map<number, number>();
  /** recursive_quiesce_counter of nodes, and parent_quiesce_counter of edges. */
  readonly recursiveLevels = new Map<number, number>();
  readonly edgeLevels = new Map<number, number>();
  readonly jobPauses = new Map<number, number>();
  /** external_disable_cnt of contexts. */
  readonly external = new Map<number, number>();
  readonly references = new Map<number, number>();
  readonly sections = new Map<number, LedgerSection>();
  /** Operations on the graph, transactions, and drains that are beginning or ending, by how many are open. */
  moving = 0;
  /** Edges that an operation which is still open has touched: they may be half linked. */
  readonly edgesInMotion = new Set<number>();
  /** Requests that started where a drain had made everything quiet. */
  intruders: string[] = [];
  /** The latest choices that the default schedule would not have made, and how many there were. */
  readonly choices: { readonly ctx: number; readonly steps: number }[] = [];
  choiceCount = 0;
  /** Something has changed since `settled` was last called. */
  changed = true;
  /** Coroutines that a drainer started itself and waits for, and the tasks that they run for. */
  readonly #ownCoroutines = new Set<number>();
  readonly #ownTasks = new Set<number>();
  /** When each request began and when each section's poll phase ended, in events. */
  readonly #taskBegins = new Map<number, number>();
  readonly #pollEnds = new Map<number, number>();
  #clock = 0;
  readonly #inner: ProbeBase;

  constructor(inner: ProbeBase) {
    super();
    this.#inner = inner;
  }

  override intern(text: string): StringId {
    return this.#inner.intern(text);
  }

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#forwardActor();
    this.#inner.emit(kind, a, b, c, d);
    this.#clock++;
    if (kind === Ev.quiesce_transfer) this.#transfer(a, b, c, d);
    else this.#note(kind, a, b, c);
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#forwardActor();
    this.#inner.emitWide(kind, wide, a, b, c, d);
  }

  #forwardActor(): void {
    this.#inner.ctx = this.ctx;
    this.#inner.task = this.task;
  }

  #note(kind: number, a: number, b: number, c: number): void {
    switch (kind) {
      case Ev.graph_op_begin:
      case Ev.tran_new:
      case Ev.drain_end:
        this.moving++;
        if (kind === Ev.drain_end) this.#endSection(a);
        break;
      case Ev.drain_begin:
        this.moving++;
        this.#beginSection(a, b, c);
        break;
      case Ev.graph_op_end:
      case Ev.tran_end:
      case Ev.drain_begun:
      case Ev.drain_ended:
        this.moving--;
        this.changed = true;
        if (this.moving === 0) this.edgesInMotion.clear();
        break;
      case Ev.drain_poll_end:
        this.#pollEnded(a);
        break;
      case Ev.list_insert:
      case Ev.list_remove:
        this.edgesInMotion.add(c);
        break;
      case Ev.list_set:
        this.changed = true;
        break;
      case Ev.edge_new:
        this.edgesInMotion.add(a);
        break;
      default:
        this.#count(kind, a, b, c);
    }
  }

  #count(kind: number, a: number, b: number, c: number): void {
    switch (kind) {
      case Ev.bs_quiesce:
        step(this.nodeLevels, a, 1, b, "quiesce_counter of node");
        this.#level(c, a, 1);
        break;
      case Ev.bs_unquiesce:
        step(this.nodeLevels, a, -1, b, "quiesce_counter of node");
        this.#level(c, a, -1);
        break;
      case Ev.blk_quiesce:
        step(this.blkLevels, a, 1, b, "quiesce_counter of BlockBackend");
        break;
      case Ev.blk_unquiesce:
        step(this.blkLevels, a, -1, b, "quiesce_counter of BlockBackend");
        break;
      case Ev.bs_in_flight_inc:
        step(this.nodeInFlight, a, 1, b, "in_flight of node");
        this.#raised(a);
        break;
      case Ev.bs_in_flight_dec:
        step(this.nodeInFlight, a, -1, b, "in_flight of node");
        break;
      case Ev.blk_in_flight_inc:
        step(this.blkInFlight, a, 1, b, "in_flight of BlockBackend");
        break;
      case Ev.blk_in_flight_dec:
        step(this.blkInFlight, a, -1, b, "in_flight of BlockBackend");
        break;
      case Ev.recursive_quiesce:
        stepEither(this.recursiveLevels, a, b, "recursive_quiesce_counter of node");
        break;
      case Ev.edge_quiesce:
        stepEither(this.edgeLevels, a, b, "parent_quiesce_counter of edge");
        break;
      case Ev.job_pause:
        step(this.jobPauses, a, 1, b, "pause_count of job");
        break;
      case Ev.job_resume:
        step(this.jobPauses, a, -1, b, "pause_count of job");
        break;
      case Ev.external_disable:
        step(this.external, a, 1, b, "external_disable_cnt of context");
        break;
      case Ev.external_enable:
        step(this.external, a, -1, b, "external_disable_cnt of context");
        break;
      default:
        this.#countLives(kind, a, b);
    }
  }

  /** References and requests, and the choices of the schedule. */
  #countLives(kind: number, a: number, b: number): void {
    switch (kind) {
      case Ev.sched_choice:
        this.choiceCount++;
        if (this.choices.push({ ctx: a, steps: b }) > CHOICES_MAX) this.choices.shift();
        break;
      case Ev.bs_new:
        this.references.set(a, 1);
        break;
      case Ev.bs_ref:
        step(this.references, a, 1, b, "refcnt of node");
        this.changed = true;
        break;
      case Ev.bs_unref:
        step(this.references, a, -1, b, "refcnt of node");
        this.changed = true;
        break;
      case Ev.wrapper_begin:
        this.#ownCoroutines.add(a);
        break;
      case Ev.task_begin:
        this.#taskBegins.set(a, this.#clock);
        if (this.#ownCoroutines.has(b)) this.#ownTasks.add(a);
        break;
      case Ev.task_end:
        this.#taskBegins.delete(a);
        this.#ownTasks.delete(a);
        break;
    }
  }

  #beginSection(id: number, node: number, kind: number): void {
    this.sections.set(id, { id, node, kind, polled: false, levels: new Map() });
  }

  #endSection(id: number): void {
    this.sections.delete(id);
    this.#pollEnds.delete(id);
  }

  #pollEnded(id: number): void {
    const section = this.sections.get(id);
    if (section === undefined || section.polled) return;
    section.polled = true;
    this.#pollEnds.set(id, this.#clock);
    for (const node of section.levels.keys()) {
      const inFlight = this.nodeInFlight.get(node) ?? 0;
      if (inFlight > 0)
        this.intruders.push(
          `section ${id} has finished waiting, and node ${node} has ${inFlight} requests in flight`,
        );
    }
  }

  /** A level that node `id` had for section `from` is now for `to`. */
  #transfer(owner: number, id: number, from: number, to: number): void {
    if (owner !== Owner.node) return;
    this.#level(from, id, -1);
    this.#level(to, id, 1);
  }

  #level(section: number, node: number, by: number): void {
    const levels = this.sections.get(section)?.levels;
    if (levels === undefined) return;
    const left = (levels.get(node) ?? 0) + by;
    if (left > 0) levels.set(node, left);
    else levels.delete(node);
  }

  /**
   * A request came to `node`: nobody may have made it quiet, unless he sends the request himself. What main starts, the hooks
   * of its drains and its own requests, is a drainer's.
   */
  #raised(node: number): void {
    const { ctx, task } = this;
    if (ctx === MAIN_CTX || task === 0 || this.#ownTasks.has(task)) return;
    const begin = this.#taskBegins.get(task) ?? 0;
    for (const section of this.sections.values()) {
      const quietSince = this.#pollEnds.get(section.id);
      if (quietSince === undefined || quietSince > begin || !section.levels.has(node)) continue;
      this.intruders.push(
        `task ${task} starts a request at node ${node}, which section ${section.id} has made quiet`,
      );
    }
  }

  /** The levels that open drains put on a node by themselves: single and subtree ones of its own, and those of everything. */
  ownLevels(node: number): { single: number; subtree: number; all: number } {
    const levels = { single: 0, subtree: 0, all: 0 };
    for (const section of this.sections.values()) {
      if (section.kind === Drain.all) levels.all++;
      else if (section.node !== node) continue;
      else if (section.kind === Drain.subtree) levels.subtree++;
      else levels.single++;
    }
    return levels;
  }
}

/** As step, where one kind of event tells of both directions. */
function stepEither(counts: Map<number, number>, id: number, now: number, what: string): void {
  step(counts, id, now > (counts.get(id) ?? 0) ? 1 : -1, now, what);
}

function step(
  counts: Map<number, number>,
  id: number,
  by: number,
  now: number,
  what: string,
): void {
  const expected = (counts.get(id) ?? 0) + by;
  counts.set(id, expected);
  if (expected === now && expected >= 0) return;
  throw new AssertionError(`${what} ${id} is ${now}, where its begins and ends say ${expected}`);
}
