// Random small traces for the rules about the protocol: who drains, edits, sleeps, holds which lock, completes what, and how the run
// ends. Up to six contexts; what a call stack does nests properly, and between two of its steps others do something. All else is
// drawn, and now and then a step is left out: a drain does not wait, or never ends, a lock is not taken, an edge is not quiesced.

import { Prng } from "#core/base";
import { Ev, Klass, List, LockKindOf, Owner, type Site, Status } from "#core/probe";
import { BatchWriter } from "./batches.ts";

const NODES = 3;
const BLKS = 2;
const JOBS = 2;
const EDGES = 4;
const COROUTINES = 3;
const SITES = 5;
/** Handlers, operations and drains inside one another. */
const DEPTH_MAX = 4;
/** Locks beside those of the contexts, whose numbers are those of the contexts and one. */
const MUTEXES = [
  { id: 21, kind: LockKindOf.mutex },
  { id: 22, kind: LockKindOf.mutex },
  { id: 23, kind: LockKindOf.co_mutex },
  { id: 24, kind: LockKindOf.co_mutex },
] as const;

interface Request {
  readonly id: number;
  ctx: number;
  readonly steps: (() => void)[];
}

/** A random trace; `batches`, with sites named s1 to s5. */
export class RandomProtocol {
  readonly writer = new BatchWriter();
  readonly sites: Site[] = [];
  readonly strings: string[] = [""];
  readonly #prng: Prng;
  readonly #events: number;
  readonly #contexts: number;
  /** What runs takes AioContext locks; and the graph lock. */
  readonly #locks: boolean;
  readonly #graphLock: boolean;
  readonly #requests: Request[] = [];
  readonly #running = new Set<number>();
  /** Mutexes that are held. */
  readonly #taken = new Set<number>();
  /** Sections that nobody has ended. */
  readonly #open: { readonly id: number; readonly holds: readonly Hold[]; readonly ctx: number }[] =
    [];
  #ids = { task: 0, section: 0, bh: 0, edge: 0 };
  /** Edges that have not been freed. */
  readonly #edges: number[] = [];
  #ns = 0;
  #depth = 0;
  #ctx = 0;
  #task = 0;

  constructor(seed: number, events: number) {
    const prng = new Prng(seed);
    this.#prng = prng;
    this.#events = events;
    this.#contexts = 2 + prng.below(5);
    this.#locks = prng.chance(1, 2);
    this.#graphLock = prng.chance(1, 2);
    for (let i = 1; i <= SITES; i++) this.sites.push({ name: `s${i}`, file: "f.c", line: i });
    this.#prologue();
    while (this.writer.count < events - 12) this.#act();
    this.#epilogue();
  }

  #prologue(): void {
    const prng = this.#prng;
    if (prng.chance(1, 8)) this.#emit(Ev.note, 0);
    for (let ctx = 0; ctx < this.#contexts; ctx++) {
      // Called as its lock is numbered.
      this.strings.push(`${ctx + 1}`);
      this.#emit(Ev.ctx_new, ctx, ctx + 1);
      if (this.#locks) this.#emit(Ev.lock_new, ctx + 1, LockKindOf.aio_context, ctx + 1);
    }
    for (let id = 1; id <= NODES; id++) if (prng.chance(2, 3)) this.#emit(Ev.bs_new, id);
    for (let id = 1; id <= BLKS; id++) if (prng.chance(2, 3)) this.#emit(Ev.blk_new, id);
    for (let i = 0; i < EDGES; i++) this.#newEdge();
    for (let i = 0; i < 3; i++) this.#moveHome();
  }

  /** The run ends: well, with frames that wait for ever, or by an assertion. Or the trace is cut off. */
  #epilogue(): void {
    const prng = this.#prng;
    const how = prng.below(6);
    if (how < 2) this.#emit(Ev.run_end, Status.ok);
    if (how === 2) this.#emit(Ev.model_assert, this.#site(), 0);
    if (how === 2) this.#emit(Ev.run_end, Status.assertion);
    if (how === 3 || how === 4) this.#deadlock();
  }

  #deadlock(): void {
    const prng = this.#prng;
    const waits: { ctx: number; site: number }[] = [];
    for (let ctx = 0; ctx < Math.min(this.#contexts, 3); ctx++) {
      const id = ++this.#ids.section;
      const site = this.#site();
      const blk = 1 + prng.below(BLKS);
      this.#in(ctx, 0, () => this.#emit(Ev.drain_begin, id, 1, 1, site));
      if (prng.chance(1, 2))
        this.#in(prng.below(this.#contexts), ++this.#ids.task, () =>
          this.#emit(Ev.blk_in_flight_inc, blk, 1),
        );
      this.#in(ctx, 0, () => this.#emit(Ev.blk_in_flight_read, blk, prng.chance(5, 6) ? 1 : 0, id));
      waits.push({ ctx, site });
    }
    for (const { ctx, site } of waits) this.#emit(Ev.stuck, ctx, 1, site);
    this.#emit(Ev.run_end, Status.deadlock);
  }

  #emit(kind: number, a = 0, b = 0, c = 0, d = 0, wide = 0): void {
    this.writer.push(kind, this.#ctx, this.#task, a, b, c, d, wide);
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

  #newEdge(): void {
    const id = ++this.#ids.edge;
    this.#edges.push(id);
    const klass = this.#prng.pick([Klass.child_of_bds, Klass.child_root, Klass.child_job]);
    const parents = klass === Klass.child_of_bds ? NODES : klass === Klass.child_root ? BLKS : JOBS;
    this.#emit(Ev.edge_new, id, klass, 1 + this.#prng.below(parents), 0);
  }

  /** Some context does something: mostly main. */
  #act(): void {
    const prng = this.#prng;
    const ctx = prng.chance(1, 2) ? 0 : prng.below(this.#contexts);
    this.#in(ctx, 0, () => this.#do());
  }

  /** Now and then, others do something between two steps. */
  #meanwhile(): void {
    if (this.#depth >= DEPTH_MAX || this.writer.count >= this.#events - 40) return;
    this.#depth++;
    if (this.#prng.chance(1, 3)) this.#act();
    this.#depth--;
  }

  /** What the running call stack does. */
  #do(): void {
    const prng = this.#prng;
    const simple = [
      () => this.#access(),
      () => this.#access(),
      () => this.#request(),
      () => this.#request(),
      () => this.#rare(),
      () => this.#job(),
      () => this.#moveHome(),
      () => this.#verdict(),
    ];
    const nested = [
      () => this.#drain(),
      () => this.#drain(),
      () => this.#operation(),
      () => this.#operation(),
      () => this.#handler(),
      () => this.#iterate(),
      () => this.#underLock(),
      () => this.#underLock(),
      () => this.#underGraphLock(),
    ];
    const isDeep = this.#depth >= DEPTH_MAX || this.writer.count >= this.#events - 40;
    prng.pick(isDeep ? simple : [...simple, ...nested])();
  }

  /** A few things, with others in between. */
  #some(): void {
    this.#depth++;
    for (let left = 1 + this.#prng.below(3); left > 0; left--) {
      this.#do();
      this.#meanwhile();
    }
    this.#depth--;
  }

  #access(): void {
    const prng = this.#prng;
    const list = prng.pick([List.children, List.parents, List.edge_bs, List.blk_root, List.file]);
    const owners = list === List.blk_root ? BLKS : NODES;
    const owner = list === List.edge_bs ? prng.pick(this.#edges) : 1 + prng.below(owners);
    if (prng.chance(1, 2)) this.#emit(Ev.list_read, list, owner, this.#site());
    else this.#edit(list, owner);
  }

  #edit(list: number, owner: number): void {
    const prng = this.#prng;
    if (list === List.children || list === List.parents) {
      const kind = prng.pick([Ev.list_insert, Ev.list_remove]);
      this.#emit(kind, list, owner, prng.pick(this.#edges), this.#site());
      return;
    }
    if (list === List.edge_bs && prng.chance(1, 2))
      this.#emit(Ev.edge_quiesce, owner, prng.below(2));
    const to = list === List.edge_bs ? 1 + prng.below(NODES) : prng.pick(this.#edges);
    const value = prng.chance(1, 4) ? 0 : to;
    this.#emit(Ev.list_set, list, owner, value, this.#site());
  }

  #operation(): void {
    const site = this.#site();
    const isAction = this.#prng.chance(1, 4);
    const args = isAction ? [1, this.#prng.below(4), 0] : [site];
    this.#emit(isAction ? Ev.tran_action_begin : Ev.graph_op_begin, ...args);
    this.#some();
    this.#emit(isAction ? Ev.tran_action_end : Ev.graph_op_end, ...args);
  }

  #iterate(): void {
    const list = this.#prng.pick([List.children, List.parents]);
    const owner = 1 + this.#prng.below(2);
    const site = this.#site();
    this.#emit(Ev.iter_begin, list, owner, site);
    this.#meanwhile();
    if (this.#prng.chance(2, 3)) this.#handler(() => this.#edit(list, owner));
    else this.#some();
    if (this.#prng.chance(7, 8)) this.#emit(Ev.iter_end, list, owner, site);
  }

  /** A bottom half, or a coroutine goes on. */
  #handler(body = () => this.#some()): void {
    const prng = this.#prng;
    if (prng.chance(1, 2)) {
      const bh = ++this.#ids.bh;
      this.#emit(Ev.bh_run, bh);
      body();
      this.#emit(Ev.bh_done, bh);
      return;
    }
    const co = 1 + prng.below(COROUTINES);
    if (this.#running.has(co)) return;
    this.#running.add(co);
    this.#emit(Ev.co_enter, co);
    body();
    this.#emit(prng.chance(1, 2) ? Ev.co_yield : Ev.co_terminate, co);
    this.#running.delete(co);
  }

  // ---- Requests --------------------------------------------------------------------------------------------------------

  /** A request begins, or one of this context goes a step on. */
  #request(): void {
    const prng = this.#prng;
    const own = this.#requests.filter(({ ctx }) => ctx === this.#ctx);
    if (own.length === 0 || prng.chance(1, 4)) this.#begin();
    const request = own.length > 0 ? prng.pick(own) : this.#requests.at(-1);
    if (request === undefined) return;
    this.#in(this.#ctx, request.id, () => {
      for (let left = 1 + prng.below(4); left > 0; left--) request.steps.shift()?.();
    });
    if (request.steps.length === 0) this.#requests.splice(this.#requests.indexOf(request), 1);
  }

  #begin(): void {
    const prng = this.#prng;
    const id = ++this.#ids.task;
    const node = 1 + prng.below(NODES);
    const blk = 1 + prng.below(BLKS);
    const change = (): void => {
      if (this.#depth < DEPTH_MAX && prng.chance(1, 2)) this.#operation();
      else this.#access();
    };
    const steps = [
      () => this.#emit(Ev.req_begin, blk, 1 + prng.below(2)),
      () => this.#emit(Ev.task_begin, id, 0),
      () => this.#emit(Ev.blk_in_flight_inc, blk, 1),
      () => this.#emit(Ev.req_queued, blk, 1),
      () => this.#emit(Ev.bs_in_flight_inc, node, 1),
      () => this.#access(),
      () => this.#emit(Ev.bs_in_flight_dec, node, prng.chance(1, 8) ? -1 : 0),
      () => this.#emit(Ev.req_end, blk, 1, 0),
      change,
      () => this.#emit(Ev.blk_in_flight_dec, blk, prng.chance(1, 8) ? -1 : 0),
      () => this.#emit(Ev.task_end, id, 0),
      change,
    ].filter(() => !prng.chance(1, 6));
    this.#requests.push({ id, ctx: this.#ctx, steps });
  }

  // ---- Drains ----------------------------------------------------------------------------------------------------------

  #drain(): void {
    const prng = this.#prng;
    if (prng.chance(1, 6)) {
      this.#endOld();
      return;
    }
    const id = ++this.#ids.section;
    const node = 1 + prng.below(NODES);
    const holds = [
      { owner: Owner.node, id: node },
      { owner: Owner.blk, id: 1 + prng.below(BLKS) },
      { owner: Owner.job, id: 1 + prng.below(JOBS) },
    ].filter(() => prng.chance(3, 4));
    if (prng.chance(11, 12)) this.#emit(Ev.drain_begin, id, node, 1, this.#site());
    for (const hold of holds) this.#level(hold, id, true);
    this.#meanwhile();
    if (prng.chance(1, 4)) this.#emit(Ev.bs_in_flight_read, node, prng.below(2), id);
    if (prng.chance(3, 4)) this.#emit(Ev.drain_poll_end, id);
    this.#emit(Ev.drain_begun, id);
    const edits = prng.chance(1, 2);
    if (edits) this.#edit(prng.pick([List.children, List.parents]), node);
    else this.#some();
    if (prng.chance(1, 6)) this.#open.push({ id, holds, ctx: this.#ctx });
    else this.#end(id, holds);
    if (edits && prng.chance(1, 3)) this.#edit(List.children, node);
  }

  /** A section that was left open is ended late, by whoever runs. */
  #endOld(): void {
    const section = this.#open.shift();
    if (section !== undefined) this.#end(section.id, section.holds);
  }

  #end(id: number, holds: readonly Hold[]): void {
    const prng = this.#prng;
    this.#emit(Ev.drain_end, id, this.#site());
    this.#meanwhile();
    for (const hold of holds) if (prng.chance(11, 12)) this.#level(hold, id, false);
    this.#emit(Ev.drain_ended, id);
    if (prng.chance(1, 16)) this.#emit(Ev.drain_end, id, this.#site());
  }

  #level({ owner, id }: Hold, section: number, up: boolean): void {
    const kinds =
      owner === Owner.node
        ? [Ev.bs_quiesce, Ev.bs_unquiesce]
        : owner === Owner.blk
          ? [Ev.blk_quiesce, Ev.blk_unquiesce]
          : [Ev.job_pause, Ev.job_resume];
    const isBad = !up && this.#prng.chance(1, 16);
    this.#emit(kinds[up ? 0 : 1] as number, id, up ? 1 : isBad ? -1 : 0, section, 0);
  }

  // ---- Locks -----------------------------------------------------------------------------------------------------------

  /** Something under an AioContext lock, or under a mutex that nobody holds. */
  #underLock(): void {
    const prng = this.#prng;
    if (this.#locks && prng.chance(1, 2)) {
      const lock = 1 + prng.below(this.#contexts);
      if (prng.chance(9, 10)) this.#emit(Ev.lock_acquire, lock, LockKindOf.aio_context, 1);
      this.#some();
      this.#emit(Ev.lock_release, lock, LockKindOf.aio_context, 0);
      return;
    }
    const { id, kind } = prng.pick(MUTEXES);
    if (this.#taken.has(id)) return;
    this.#taken.add(id);
    this.#emit(Ev.lock_acquire, id, kind, 1);
    if (prng.chance(2, 3)) this.#depth++;
    if (this.#depth < DEPTH_MAX) this.#underLock();
    this.#some();
    this.#emit(Ev.lock_release, id, kind, 0);
    this.#taken.delete(id);
  }

  #underGraphLock(): void {
    if (!this.#graphLock) return;
    const prng = this.#prng;
    const kinds = prng.pick([
      [Ev.graph_rdlock, Ev.graph_rdunlock],
      [Ev.graph_wrlock, Ev.graph_wrunlock],
    ]);
    if (prng.chance(11, 12)) this.#emit(kinds[0] as number, this.#site());
    this.#some();
    if (prng.chance(11, 12)) this.#emit(kinds[1] as number, this.#site());
  }

  // ---- The rest --------------------------------------------------------------------------------------------------------

  #moveHome(): void {
    const prng = this.#prng;
    const home = prng.below(this.#contexts);
    if (prng.chance(1, 2)) this.#emit(Ev.bs_ctx, 1 + prng.below(NODES), 0, home);
    else this.#emit(Ev.blk_ctx, 1 + prng.below(BLKS), 0, home);
  }

  /** A job sleeps, is woken, or comes to a pause point. */
  #job(): void {
    const prng = this.#prng;
    const job = 1 + prng.below(JOBS);
    const section = this.#open.length > 0 ? prng.pick(this.#open).id : 0;
    switch (prng.below(6)) {
      case 0:
        this.#emit(Ev.job_gate_read, job, prng.below(2));
        break;
      case 1:
        this.#emit(Ev.job_pause, job, 1, 0, 0);
        break;
      case 2:
        this.#emit(Ev.job_busy_read, job, prng.below(2), section);
        break;
      default:
        this.#emit(Ev.job_sleep, job, 0, 0, 0, 1000);
        if (prng.chance(1, 2) && this.#depth < DEPTH_MAX) this.#drain();
        else this.#meanwhile();
        this.#emit(Ev.job_sleep_end, job, prng.chance(1, 6) ? 1 : 0, 0, 0, 10 * prng.below(3));
    }
  }

  #rare(): void {
    const prng = this.#prng;
    if (prng.chance(1, 2)) {
      this.#ns += prng.below(100);
      this.#emit(Ev.clock_read, 0, 0, 0, 0, this.#ns);
    } else if (prng.chance(1, 3)) {
      this.#emit(Ev.edge_free, ...this.#edges.splice(prng.below(this.#edges.length), 1));
      this.#newEdge();
    } else this.#emit(Ev.edge_quiesce, prng.pick(this.#edges), prng.below(3));
  }

  #verdict(): void {
    const prng = this.#prng;
    if (prng.chance(1, 2)) this.#emit(Ev.wrong_thread, this.#site());
    else this.#emit(Ev.wrong_home, this.#site(), prng.below(this.#contexts), prng.below(2));
  }
}

interface Hold {
  readonly owner: number;
  readonly id: number;
}
