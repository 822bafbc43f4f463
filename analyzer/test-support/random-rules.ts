// Random small traces for the rules about interleaving, lifetimes and wake-ups: what runs in main nests properly (operations,
// iterations, drains, waits, and what runs inside of their polls), while an iothread does this and that in between. All else
// is drawn: who touches what, what is freed, which counter is waited for, who kicks.

import { Prng } from "#core/base";
import { Drain, Ev, Klass, List, type Site } from "#core/probe";
import { BatchWriter } from "./batches.ts";

const NODES = 2;
const EDGES = 3;
const BLKS = 2;
const COROUTINES = 3;
const SITES = 6;
/** Operations, polls and handlers inside one another. */
const DEPTH_MAX = 5;

/** A random trace; `batches`, with sites named s1 to s6. */
export class RandomRules {
  readonly writer = new BatchWriter();
  readonly sites: Site[] = [];
  readonly #prng: Prng;
  readonly #events: number;
  /** What a coroutine does when it is entered next. */
  readonly #scripts = new Map<number, (() => void)[]>();
  readonly #running = new Set<number>();
  /** Bottom halves that have been scheduled. */
  readonly #posted: number[] = [];
  #ids = { section: 0, bh: 0, wait: 0 };
  /** The iothread's request under way, 0 for none; and how many there have been. */
  #underWay = 0;
  #requests = 0;
  #depth = 0;
  #ctx = 0;
  #task = 0;

  constructor(seed: number, events: number) {
    this.#prng = new Prng(seed);
    this.#events = events;
    for (let i = 1; i <= SITES; i++) this.sites.push({ name: `s${i}`, file: "f.c", line: i });
    for (let id = 1; id <= EDGES; id++) this.#edge(id);
    while (this.writer.count < events) this.#act();
  }

  #emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.writer.push(kind, this.#ctx, this.#task, a, b, c, d);
  }

  #in(ctx: number, task: number, body: () => void): void {
    const [oldCtx, oldTask] = [this.#ctx, this.#task];
    [this.#ctx, this.#task] = [ctx, task];
    body();
    [this.#ctx, this.#task] = [oldCtx, oldTask];
  }

  #site(): number {
    return 1 + this.#prng.below(SITES);
  }

  #edge(id: number): void {
    const klass = this.#prng.pick([Klass.child_of_bds, Klass.child_root]);
    this.#emit(Ev.edge_new, id, klass, 1 + this.#prng.below(2), 0);
  }

  /** Something happens: mostly in main. */
  #act(): void {
    const prng = this.#prng;
    if (prng.chance(1, 5)) this.#in(1, 0, () => this.#elsewhere());
    const actions = [
      () => this.#access(),
      () => this.#access(),
      () => this.#access(),
      () => this.#around(Ev.graph_op_begin, Ev.graph_op_end, this.#site()),
      () => this.#around(Ev.graph_op_begin, Ev.graph_op_end, this.#site()),
      () => this.#around(Ev.tran_action_begin, Ev.tran_action_end, 1, prng.below(4)),
      () => this.#around(Ev.completion_begin, Ev.completion_end, 1, this.#site()),
      () => this.#iterate(),
      () => this.#wait(),
      () => this.#wait(),
      () => this.#interleave(),
      () => this.#goStale(),
      () => this.#drain(),
      () => this.#life(),
      () => this.#count(),
    ];
    prng.pick(actions)();
  }

  /** A few things happen, inside of something. */
  #some(): void {
    if (this.#depth >= DEPTH_MAX || this.writer.count >= this.#events) return;
    this.#depth++;
    for (let left = 1 + this.#prng.below(4); left > 0; left--) this.#act();
    this.#depth--;
  }

  #around(begin: number, end: number, a: number, b = 0, body = () => this.#some()): void {
    this.#emit(begin, a, b);
    body();
    this.#emit(end, a, b);
  }

  /** An operation that polls between two accesses, with another one inside the poll. */
  #interleave(): void {
    if (this.#depth >= DEPTH_MAX) return;
    const prng = this.#prng;
    const variables = [this.#variable(), this.#variable()];
    const accesses = (): void => {
      for (let left = 1 + prng.below(3); left > 0; left--) this.#accessTo(prng.pick(variables));
    };
    this.#around(Ev.graph_op_begin, Ev.graph_op_end, this.#site(), 0, () => {
      accesses();
      this.#emit(Ev.poll_begin, this.#depth + 2, 1);
      this.#handler(() => {
        this.#around(Ev.graph_op_begin, Ev.graph_op_end, this.#site(), 0, accesses);
      });
      this.#emit(Ev.poll_end, this.#depth + 2, 1);
      accesses();
    });
  }

  /** A node is fetched from an edge; the edge moves, perhaps; the node is used, perhaps after another look. */
  #goStale(): void {
    if (this.#depth >= DEPTH_MAX) return;
    const prng = this.#prng;
    const edge = 1 + prng.below(EDGES);
    const node = 1 + prng.below(NODES);
    const move = (to: number): void =>
      this.#emit(Ev.list_set, List.edge_bs, edge, to, this.#site());
    move(node);
    this.#around(Ev.graph_op_begin, Ev.graph_op_end, this.#site(), 0, () => {
      this.#emit(Ev.list_read, List.edge_bs, edge, this.#site());
      this.#emit(Ev.poll_begin, this.#depth + 2, 1);
      this.#handler(() => move(prng.below(NODES + 1)));
      this.#emit(Ev.poll_end, this.#depth + 2, 1);
      if (prng.chance(1, 3)) this.#accessTo([List.edge_bs, 1 + prng.below(EDGES)]);
      this.#accessTo([prng.pick([List.children, List.parents]), node]);
    });
  }

  #variable(): [list: number, owner: number] {
    const prng = this.#prng;
    const list = prng.pick([List.children, List.parents, List.file, List.edge_bs, List.blk_root]);
    if (list === List.edge_bs) return [list, 1 + prng.below(EDGES)];
    return [list, 1 + prng.below(list === List.blk_root ? BLKS : NODES)];
  }

  #access(): void {
    this.#accessTo(this.#variable());
  }

  #accessTo([list, owner]: readonly [list: number, owner: number]): void {
    const prng = this.#prng;
    if (prng.chance(2, 3)) this.#emit(Ev.list_read, list, owner, this.#site());
    else if (list === List.children || list === List.parents) {
      const kind = prng.pick([Ev.list_insert, Ev.list_remove]);
      this.#emit(kind, list, owner, 1 + prng.below(EDGES), this.#site());
    } else {
      const value = prng.below(1 + (list === List.edge_bs ? NODES : EDGES));
      this.#emit(Ev.list_set, list, owner, value, this.#site());
    }
  }

  #iterate(): void {
    const [list, owner] = this.#variable();
    const site = this.#site();
    this.#emit(Ev.iter_begin, list, owner, site);
    this.#some();
    this.#emit(Ev.iter_end, list, owner, site);
  }

  /** AIO_WAIT_WHILE: looks, polls, and looks again. */
  #wait(): void {
    const prng = this.#prng;
    const wait = ++this.#ids.wait;
    this.#emit(Ev.wait_begin, wait, 0, this.#site());
    for (let turns = prng.below(3); turns > 0; turns--) {
      this.#look(0, 1);
      this.#emit(Ev.wait_check, wait, 1);
      this.#poll();
    }
    if (prng.chance(1, 8)) {
      // It waits for ever: what happens now happens inside of it.
      this.#some();
      return;
    }
    this.#emit(Ev.wait_check, wait, 0);
    this.#emit(Ev.wait_end, wait, 1);
  }

  #poll(): void {
    this.#emit(Ev.poll_begin, this.#depth + 2, 1);
    for (let handlers = this.#prng.below(3); handlers > 0; handlers--) this.#handler();
    if (this.#prng.chance(1, 2)) this.#in(1, 0, () => this.#elsewhere());
    this.#emit(Ev.poll_end, this.#depth + 2, 1);
  }

  #handler(body = () => this.#some()): void {
    if (this.#prng.chance(1, 3)) {
      this.#coroutine();
      return;
    }
    const bh = this.#posted.pop() ?? ++this.#ids.bh;
    this.#in(0, 0, () => {
      this.#emit(Ev.bh_run, bh);
      body();
      this.#emit(Ev.bh_done, bh);
    });
  }

  /** A coroutine goes on for a while; odd ones are requests. */
  #coroutine(): void {
    const prng = this.#prng;
    const co = 1 + prng.below(COROUTINES);
    if (this.#running.has(co)) return;
    this.#running.add(co);
    let script = this.#scripts.get(co);
    if (script === undefined) {
      script = this.#script();
      this.#scripts.set(co, script);
    }
    this.#emit(Ev.co_enter, co);
    this.#in(this.#ctx, co % 2 === 1 ? co : 0, () => {
      for (let steps = 1 + prng.below(4); steps > 0; steps--) script.shift()?.();
    });
    if (script.length === 0) this.#scripts.delete(co);
    this.#emit(script.length === 0 ? Ev.co_terminate : Ev.co_yield, co);
    this.#running.delete(co);
  }

  #script(): (() => void)[] {
    const [list, owner] = this.#variable();
    const site = this.#site();
    return [
      () => this.#access(),
      () => this.#emit(Ev.iter_begin, list, owner, site),
      () => this.#access(),
      () => this.#access(),
      () => this.#wait(),
      () => this.#emit(Ev.iter_end, list, owner, site),
      () => this.#access(),
    ].filter(() => this.#prng.chance(3, 4));
  }

  /** A drained section; now and then it polls where it must not. */
  #drain(): void {
    const prng = this.#prng;
    const id = ++this.#ids.section;
    const node = 1 + prng.below(NODES);
    const holds = [
      [Ev.bs_quiesce, Ev.bs_unquiesce, node],
      [Ev.blk_quiesce, Ev.blk_unquiesce, 1 + prng.below(BLKS)],
      [Ev.bs_quiesce, Ev.bs_unquiesce, 1 + prng.below(NODES)],
    ] as const;
    this.#emit(Ev.drain_begin, id, node, Drain.single, this.#site());
    for (const [up, , object] of holds) {
      this.#emit(up, object, 1, id, 0);
      if (prng.chance(1, 6)) this.#drainStep();
    }
    this.#wait();
    this.#look(id, 0);
    this.#emit(Ev.drain_poll_end, id);
    if (prng.chance(1, 8)) this.#emit(Ev.bs_quiesce, 1 + prng.below(NODES), 1, id, 0);
    this.#emit(Ev.drain_begun, id);
    this.#some();
    this.#emit(Ev.drain_end, id, this.#site());
    for (const [, down, object] of holds) {
      if (prng.chance(1, 6)) this.#drainStep();
      this.#emit(down, object, 0, id, 0);
    }
    if (prng.chance(1, 3)) this.#wait();
    this.#emit(Ev.drain_ended, id);
  }

  /** What a drain does between two levels: it reads, and must not poll. */
  #drainStep(): void {
    if (this.#prng.chance(1, 2)) this.#access();
    else this.#wait();
  }

  /** A drain's condition, or somebody, reads a counter. */
  #look(section: number, value: number): void {
    const prng = this.#prng;
    const which = section === 0 ? prng.below(3) : section;
    const kind = prng.pick([Ev.bs_in_flight_read, Ev.blk_in_flight_read, Ev.job_busy_read]);
    this.#emit(kind, 1 + prng.below(kind === Ev.job_busy_read ? 1 : 2), value, which);
  }

  #life(): void {
    const prng = this.#prng;
    const id = 1 + prng.below(2);
    const born = prng.chance(1, 2);
    switch (prng.below(6)) {
      case 0:
        this.#emit(born ? Ev.bs_new : Ev.bs_free, id);
        break;
      case 1:
        this.#emit(born ? Ev.blk_new : Ev.blk_free, id);
        break;
      case 2:
        if (born) this.#edge(id);
        else this.#emit(Ev.edge_free, id);
        break;
      case 3:
        this.#emit(Ev.bs_ref, id, 2);
        break;
      case 4: {
        const bh = ++this.#ids.bh;
        this.#posted.push(bh);
        this.#emit(Ev.bh_schedule, bh, 0);
        break;
      }
      default:
        this.#coroutine();
    }
  }

  /** A counter goes down; a kick before it, after it, or never. */
  #count(): void {
    const prng = this.#prng;
    if (prng.chance(1, 4)) this.#emit(Ev.kick, 1);
    const kind = prng.pick([Ev.bs_in_flight_dec, Ev.blk_in_flight_dec, Ev.job_busy]);
    const id = 1 + prng.below(kind === Ev.job_busy ? 1 : 2);
    this.#emit(kind, id, prng.below(2));
    if (prng.chance(1, 2)) this.#access();
    if (prng.chance(1, 2)) this.#emit(Ev.kick, 1);
  }

  /** A request begins, goes on, or ends. */
  #request(): void {
    const prng = this.#prng;
    if (this.#underWay === 0) {
      this.#requests++;
      this.#underWay = 100 + this.#requests;
      this.#in(1, this.#underWay, () => {
        if (prng.chance(1, 2)) this.#emit(Ev.req_begin, 0, prng.below(3));
        this.#emit(Ev.task_begin, this.#underWay, 0);
      });
    }
    const task = this.#underWay;
    this.#in(1, task, () => {
      if (prng.chance(2, 3)) this.#emit(Ev.bs_in_flight_inc, 1 + prng.below(NODES), 1);
      if (prng.chance(1, 3)) return;
      this.#emit(Ev.task_end, task, 0);
      this.#underWay = 0;
    });
  }

  /** An iothread does something. */
  #elsewhere(): void {
    const prng = this.#prng;
    const co = 10 + prng.below(2);
    switch (prng.below(8)) {
      case 0:
        this.#emit(Ev.list_read, ...this.#variable(), this.#site());
        break;
      case 1:
        this.#count();
        break;
      case 2:
        this.#in(1, co, () => this.#count());
        break;
      case 3:
        this.#in(1, co, () => this.#emit(Ev.list_read, ...this.#variable(), this.#site()));
        break;
      case 4:
      case 5:
      case 6:
        this.#request();
        break;
      default:
        this.#emit(Ev.co_enter, co);
        this.#in(1, co, () => this.#count());
        this.#emit(Ev.co_yield, co);
    }
  }
}
