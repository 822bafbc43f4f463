// A second account of the counters, kept from the events alone: what each level, request and operation was when it was emitted.
//
// The core's own counters are lists of levels, so that "the counter equals its list" would say nothing. This ledger sees only
// the events, adds and takes away by one, and complains when an event says another number. It passes every event on.

import { AssertionError, type StringId } from "#core/base";
import { Drain, Ev, Owner, ProbeBase } from "#core/probe";
import { Motion } from "./motion.ts";
import { Quiet } from "./quiet.ts";

const MAIN_CTX = 0;
/** So many of the schedule's choices are told when something does not hold. */
const CHOICES_MAX = 12;

/** What drains put on a node by themselves, without what came through its edges. */
export interface OwnLevels {
  /** All levels, and those of them that go down as well, or that no edge passes on. */
  all: number;
  subtree: number;
  drainAll: number;
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
  readonly own = new Map<number, OwnLevels>();
  readonly quiet = new Quiet(this.nodeInFlight);
  readonly motion = new Motion();
  /** Operations on the graph, transactions, and drains that are beginning or ending, by how many are open. */
  moving = 0;
  /** The latest choices that the default schedule would not have made, and how many there were. */
  readonly choices: { readonly ctx: number; readonly steps: number }[] = [];
  choiceCount = 0;
  /** Something has changed since everything was last at rest; an edit, or a level, since the last step. */
  changed = true;
  edited = true;
  levelled = true;
  /** Edge through which a node's levels were last raised or lowered: a subtree level follows at once. */
  readonly #lastThrough = new Map<number, number>();
  /** Nodes whose level of everything has been lowered, of each drain of everything that ends now. */
  readonly #endingAll = new Map<number, Set<number>>();
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
    if (this.motion.note(kind, a, b, c)) this.edited = this.changed = true;
    if (kind === Ev.quiesce_transfer) this.#transfer(a, b, c, d);
    else if (kind !== Ev.list_read) this.#note(kind, a, b, c, d);
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#forwardActor();
    this.#inner.emitWide(kind, wide, a, b, c, d);
  }

  #forwardActor(): void {
    this.#inner.ctx = this.ctx;
    this.#inner.task = this.task;
  }

  #note(kind: number, a: number, b: number, c: number, d: number): void {
    switch (kind) {
      case Ev.graph_op_begin:
      case Ev.tran_new:
        this.moving++;
        break;
      case Ev.graph_op_end:
      case Ev.tran_end:
        this.moving--;
        break;
      case Ev.drain_begin:
        this.moving++;
        this.quiet.begin(a, b, c, this.ctx, this.task);
        break;
      case Ev.drain_begun:
        this.moving--;
        this.changed = true;
        break;
      case Ev.drain_end:
        this.moving++;
        if (this.quiet.sections.get(a)?.kind === Drain.all) this.#endingAll.set(a, new Set());
        this.quiet.end(a, this.task);
        break;
      case Ev.drain_ended:
        this.moving--;
        this.#endingAll.delete(a);
        this.changed = true;
        break;
      case Ev.drain_poll_end:
        this.quiet.pollEnded(a);
        break;
      case Ev.bs_quiesce:
        step(this.nodeLevels, a, 1, b, "quiesce_counter of node");
        this.#level(a, c, d, 1);
        break;
      case Ev.bs_unquiesce:
        step(this.nodeLevels, a, -1, b, "quiesce_counter of node");
        this.#level(a, c, d, -1);
        break;
      case Ev.recursive_quiesce:
        this.#subtreeLevel(a, b);
        break;
      default:
        this.#count(kind, a, b);
    }
  }

  #count(kind: number, a: number, b: number): void {
    switch (kind) {
      case Ev.blk_quiesce:
        step(this.blkLevels, a, 1, b, "quiesce_counter of BlockBackend");
        break;
      case Ev.blk_unquiesce:
        step(this.blkLevels, a, -1, b, "quiesce_counter of BlockBackend");
        break;
      case Ev.bs_in_flight_inc:
        step(this.nodeInFlight, a, 1, b, "in_flight of node");
        this.quiet.raised(this.task, a);
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
      case Ev.edge_quiesce:
        this.levelled = true;
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
        break;
      case Ev.bs_unref:
        step(this.references, a, -1, b, "refcnt of node");
        break;
      default:
        this.quiet.noteTask(kind, this.ctx, a, b);
    }
  }

  /** A level of `node` was raised or lowered for `section`, through `edge` or, with 0, at the node itself. */
  #level(node: number, section: number, edge: number, by: number): void {
    this.levelled = true;
    this.#lastThrough.set(node, edge);
    this.quiet.level(section, node, by);
    if (edge !== 0) return;
    const own = this.ownLevels(node);
    own.all += by;
    if (by > 0 ? this.quiet.sections.get(section)?.kind === Drain.all : this.#endsDrainAll(node))
      own.drainAll += by;
  }

  /** Whether a level that is lowered at `node` itself is one of a drain of everything: each end lowers one of each node. */
  #endsDrainAll(node: number): boolean {
    if (this.ctx !== MAIN_CTX) return false;
    for (const lowered of this.#endingAll.values()) {
      if (lowered.has(node)) continue;
      lowered.add(node);
      return true;
    }
    return false;
  }

  #subtreeLevel(node: number, now: number): void {
    const before = this.recursiveLevels.get(node) ?? 0;
    stepEither(this.recursiveLevels, node, now, "recursive_quiesce_counter of node");
    if (this.#lastThrough.get(node) === 0)
      this.ownLevels(node).subtree += (this.recursiveLevels.get(node) ?? 0) - before;
  }

  /** A level that node `id` had for section `from` is now for `to`. */
  #transfer(owner: number, id: number, from: number, to: number): void {
    if (owner !== Owner.node) return;
    this.quiet.level(from, id, -1);
    this.quiet.level(to, id, 1);
  }

  ownLevels(node: number): OwnLevels {
    let own = this.own.get(node);
    if (own === undefined) {
      own = { all: 0, subtree: 0, drainAll: 0 };
      this.own.set(node, own);
    }
    return own;
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
