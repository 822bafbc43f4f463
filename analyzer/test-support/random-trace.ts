// Random small traces for the comparison with the oracle: few objects, so that much happens to each; sections, tasks, locks
// and contexts begin and end properly, all else (who reads what, which counter reads zero) is drawn.
//
// Half of what happens follows a script, a request's (raise, gate, reads, lower) or a drained edit's, whose steps are now and
// then left out: without it hardly a pair would ever be covered.
//
// With `uniqueSites` every access has a site of its own, so that the coverage table shows each pair; without, sites are few
// and the engine's grouping is exercised.

import { Prng } from "#core/base";
import { Ev, Klass, List, Owner, type Site } from "#core/probe";
import { BatchWriter } from "./batches.ts";

export interface RandomTraceOptions {
  readonly seed: number;
  readonly events: number;
  readonly uniqueSites: boolean;
  /** Whether anything but main edits, and tasks drain. */
  readonly exotic: boolean;
  /** One list, two sites, few edits: much is known of each reader before it meets an edit. */
  readonly narrow?: boolean;
  /** Contexts, main included; by default 3. */
  readonly contexts?: number;
  /** Contexts other than main have numbers that differ by this; by default 1. */
  readonly contextStep?: number;
}

interface Section {
  readonly id: number;
  readonly owner: string;
  readonly holds: { kind: number; id: number }[];
  polled: boolean;
}

const NODES = 3;
const BLKS = 2;
const JOBS = 1;
const CONTEXTS = 3;

/** A random trace; `batches`, with sites named s1, s2, ... */
export class RandomTrace {
  readonly writer = new BatchWriter();
  readonly sites: Site[] = [];
  readonly #prng: Prng;
  readonly #options: RandomTraceOptions;
  readonly #tasks: { id: number; ctx: number; co: number }[] = [];
  readonly #sections: Section[] = [];
  readonly #locks: (number | null)[] = [null, null];
  readonly #stopped = new Set<number>();
  readonly #contexts: readonly number[];
  #ids = { task: 0, section: 0, co: 0, edge: 0 };
  #wrapper: { readonly co: number; over: boolean } | null = null;
  #ctx = 0;
  #task = 0;
  /** What an actor does next: tasks by number, main 0. */
  readonly #scripts = new Map<number, (() => void)[]>();

  constructor(options: RandomTraceOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    const { contexts = CONTEXTS, contextStep = 1 } = options;
    this.#contexts = Array.from({ length: contexts }, (_, i) => i * contextStep);
    this.#prologue();
    while (this.writer.count < options.events) this.#step();
    this.#epilogue();
  }

  #prologue(): void {
    const prng = this.#prng;
    this.#as(0, 0);
    for (let id = 1; id <= NODES; id++) if (prng.chance(1, 2)) this.#emit(Ev.bs_new, id, 0, 0);
    for (let id = 1; id <= BLKS; id++) if (prng.chance(1, 2)) this.#emit(Ev.blk_new, id, 0);
    for (let i = 0; i < 3; i++) {
      const klass = prng.pick([Klass.child_of_bds, Klass.child_root, Klass.child_job]);
      const count = klass === Klass.child_of_bds ? NODES : klass === Klass.child_root ? BLKS : JOBS;
      this.#emit(Ev.edge_new, ++this.#ids.edge, klass, 1 + prng.below(count), 0);
    }
    for (const ctx of this.#contexts.slice(1)) {
      if (prng.chance(1, 3)) continue;
      this.#emit(Ev.ctx_start, ctx);
      if (prng.chance(1, 2)) this.#in(ctx, 0, () => this.#emit(Ev.ctx_run, ctx));
    }
  }

  #epilogue(): void {
    for (const section of [...this.#sections])
      if (this.#prng.chance(2, 3)) this.#endSection(section);
  }

  #as(ctx: number, task: number): void {
    this.#ctx = ctx;
    this.#task = task;
  }

  #in(ctx: number, task: number, body: () => void): void {
    const [oldCtx, oldTask] = [this.#ctx, this.#task];
    this.#as(ctx, task);
    body();
    this.#as(oldCtx, oldTask);
  }

  #emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.writer.push(kind, this.#ctx, this.#task, a, b, c, d);
  }

  /** Some actor does something. */
  #step(): void {
    const prng = this.#prng;
    const ctx = prng.pick(this.#contexts);
    if (this.#stopped.has(ctx)) return;
    const here = this.#tasks.filter((task) => task.ctx === ctx || prng.chance(1, 20));
    const task = prng.chance(2, 3) && here.length > 0 ? prng.pick(here) : null;
    if (task !== null && task.ctx !== ctx) task.ctx = ctx;
    this.#as(ctx, task?.id ?? 0);
    if (this.#followScript()) return;
    const actions = [
      () => this.#read(),
      () => this.#read(),
      () => this.#read(),
      () => this.#edit(),
      () => this.#counter(),
      () => this.#counter(),
      () => this.#gate(),
      () => this.#drain(),
      () => this.#drain(),
      () => this.#poll(),
      () => this.#poll(),
      () => this.#accident(),
      () => this.#accident(),
      () => this.#lifecycle(),
      () => this.#rare(),
    ];
    prng.pick(actions)();
  }

  /** Do the next step of the running actor's script, if it has one. */
  #followScript(): boolean {
    const prng = this.#prng;
    const key = this.#ctx === 0 && this.#task === 0 ? 0 : this.#task;
    if (this.#ctx !== 0 && key === 0) return false;
    const script = this.#scripts.get(key);
    if (script === undefined || script.length === 0) {
      if (key === 0 && prng.chance(1, 2)) this.#scripts.set(0, this.#editScript());
      return false;
    }
    if (prng.chance(1, 5)) return false;
    const step = script.shift();
    if (step !== undefined && !prng.chance(1, 15)) step();
    return true;
  }

  #requestScript(): (() => void)[] {
    const prng = this.#prng;
    const blk = 1 + prng.below(BLKS);
    const node = 1 + prng.below(2);
    const reads = (): (() => void)[] =>
      Array.from({ length: prng.below(3) }, () => () => this.#read());
    return [
      () => this.#emit(Ev.blk_in_flight_inc, blk, 1),
      () => this.#emit(Ev.gate_read, blk, 0, 1),
      ...reads(),
      () => this.#emit(Ev.bs_in_flight_inc, node, 1),
      ...reads(),
      () => this.#emit(Ev.bs_in_flight_dec, node, 0),
      ...reads(),
      () => this.#emit(Ev.blk_in_flight_dec, blk, 0),
    ];
  }

  /** A section of main on a node and what is above it, with edits inside. */
  #editScript(): (() => void)[] {
    const prng = this.#prng;
    const id = ++this.#ids.section;
    const node = 1 + prng.below(2);
    const holds = [
      { kind: Owner.node, id: node },
      { kind: Owner.blk, id: 1 },
      { kind: Owner.blk, id: 2 },
      { kind: Owner.job, id: 1 },
    ];
    const section: Section = { id, owner: "main", holds, polled: true };
    return [
      () => {
        this.#sections.push(section);
        this.#emit(Ev.drain_begin, id, node, 1, this.#site());
        for (const hold of holds) this.#level(hold.kind, hold.id, id, true);
      },
      ...holds.map((hold) => () => this.#readCounter(hold.kind, hold.id, id)),
      () => this.#emit(Ev.drain_poll_end, id),
      ...Array.from({ length: 1 + prng.below(3) }, () => () => this.#edit()),
      () => this.#sections.includes(section) && this.#endSection(section),
    ];
  }

  #site(): number {
    const few = this.#options.narrow === true ? 2 : 5;
    const id = this.#options.uniqueSites ? this.sites.length + 1 : 1 + this.#prng.below(few);
    while (this.sites.length < id)
      this.sites.push({ name: `s${this.sites.length + 1}`, file: "f.c", line: 1 });
    return id;
  }

  #access(): [list: number, owner: number] {
    const prng = this.#prng;
    if (this.#options.narrow === true) return [List.children, 1];
    const list = prng.pick([
      List.children,
      List.parents,
      List.edge_bs,
      List.blk_root,
      List.children,
      List.file,
    ]);
    if (list === List.edge_bs) return [list, 1 + prng.below(this.#ids.edge)];
    return [list, 1 + prng.below(list === List.blk_root ? BLKS : 2)];
  }

  #read(): void {
    const [list, owner] = this.#access();
    this.#emit(Ev.list_read, list, owner, this.#site());
  }

  #edit(): void {
    const prng = this.#prng;
    if (this.#options.narrow === true && prng.chance(4, 5)) return;
    if (!this.#options.exotic) this.#as(0, prng.chance(3, 4) ? 0 : this.#mainTask());
    const [list, owner] = this.#access();
    if (list === List.children || list === List.parents) {
      this.#emit(
        prng.pick([Ev.list_insert, Ev.list_remove]),
        list,
        owner,
        1 + prng.below(this.#ids.edge),
        this.#site(),
      );
    } else {
      const value = list === List.edge_bs ? prng.below(NODES + 1) : prng.below(this.#ids.edge + 1);
      this.#emit(Ev.list_set, list, owner, value, this.#site());
    }
  }

  #mainTask(): number {
    return this.#tasks.find((task) => task.ctx === 0)?.id ?? 0;
  }

  #counter(): void {
    const prng = this.#prng;
    const node = 1 + prng.below(NODES);
    const blk = 1 + prng.below(BLKS);
    const what = prng.below(6);
    if (what === 0) this.#emit(Ev.bs_in_flight_inc, node, 1);
    else if (what < 3) this.#emit(Ev.bs_in_flight_dec, node, 0);
    else if (what === 3) this.#emit(Ev.blk_in_flight_inc, blk, 1);
    else if (what === 4) this.#emit(Ev.blk_in_flight_dec, blk, 0);
    else this.#emit(Ev.job_busy, 1, prng.below(2));
  }

  #gate(): void {
    const prng = this.#prng;
    const blk = 1 + prng.below(BLKS);
    const what = prng.below(6);
    const co = 1 + prng.below(3);
    if (what < 3) {
      if (prng.chance(2, 3)) this.#emit(Ev.blk_in_flight_inc, blk, 1);
      this.#emit(Ev.gate_read, blk, prng.chance(3, 4) ? 0 : 1, 1);
    } else if (what === 3) this.#emit(Ev.req_wake, blk, co);
    else if (what === 4) this.#emit(Ev.req_resumed, blk, co);
    else this.#emit(Ev.job_gate_read, 1, prng.below(2));
  }

  // ---- Sections: begun and ended by one actor ------------------------------------------------------------------------

  #actor(): string {
    return this.#ctx === 0
      ? "main"
      : this.#task !== 0
        ? `t${this.#task}`
        : `loose ${this.writer.count}`;
  }

  #drain(): void {
    const prng = this.#prng;
    if (!this.#options.exotic) this.#as(0, 0);
    const own = this.#sections.filter((section) => section.owner === this.#actor());
    const section = own.length > 0 ? prng.pick(own) : null;
    if (section === null || (own.length < 3 && prng.chance(1, 4))) this.#beginSection();
    else if (!section.polled || prng.chance(1, 8)) {
      section.polled = true;
      this.#emit(Ev.drain_poll_end, section.id);
    } else if (prng.chance(1, 2)) this.#endSection(section);
    else if (prng.chance(1, 3)) this.#transfer(section);
    else this.#edit();
  }

  #beginSection(): void {
    const prng = this.#prng;
    const section: Section = {
      id: ++this.#ids.section,
      owner: this.#actor(),
      holds: [],
      polled: false,
    };
    this.#sections.push(section);
    this.#emit(Ev.drain_begin, section.id, 1, 1, this.#site());
    for (let i = 1 + prng.below(4); i > 0; i--) {
      const kind = prng.pick([Owner.node, Owner.node, Owner.blk, Owner.job]);
      const id = 1 + prng.below(kind === Owner.node ? NODES : kind === Owner.blk ? BLKS : JOBS);
      section.holds.push({ kind, id });
      this.#level(kind, id, section.id, true);
    }
    if (prng.chance(1, 2)) this.#pollFor(section);
  }

  #level(kind: number, id: number, section: number, up: boolean): void {
    if (kind === Owner.node)
      this.#emit(up ? Ev.bs_quiesce : Ev.bs_unquiesce, id, up ? 1 : 0, section, 0);
    else if (kind === Owner.blk)
      this.#emit(up ? Ev.blk_quiesce : Ev.blk_unquiesce, id, up ? 1 : 0, section, 0);
    else this.#emit(up ? Ev.job_pause : Ev.job_resume, id, up ? 1 : 0, section, 0);
  }

  #pollFor(section: Section): void {
    for (const { kind, id } of section.holds) this.#readCounter(kind, id, section.id);
    section.polled = true;
    this.#emit(Ev.drain_poll_end, section.id);
  }

  #readCounter(kind: number, id: number, section: number): void {
    const value = this.#prng.chance(4, 5) ? 0 : 1;
    if (kind === Owner.node) this.#emit(Ev.bs_in_flight_read, id, value, section);
    else if (kind === Owner.blk) this.#emit(Ev.blk_in_flight_read, id, value, section);
    else this.#emit(Ev.job_busy_read, id, value, section);
  }

  #endSection(section: Section): void {
    this.#sections.splice(this.#sections.indexOf(section), 1);
    if (section.owner === "main") this.#as(0, 0);
    else if (section.owner.startsWith("t")) {
      const task = this.#tasks.find(({ id }) => `t${id}` === section.owner);
      if (task === undefined || this.#stopped.has(task.ctx)) return;
      this.#as(task.ctx, task.id);
    } else return;
    this.#emit(Ev.drain_end, section.id, this.#site());
    for (const { kind, id } of section.holds) this.#level(kind, id, section.id, false);
    this.#emit(Ev.drain_ended, section.id);
  }

  #transfer(section: Section): void {
    const other = this.#sections.find(
      (candidate) => candidate !== section && candidate.owner === section.owner,
    );
    const hold = section.holds.pop();
    if (other === undefined || hold === undefined) return;
    other.holds.push(hold);
    this.#emit(Ev.quiesce_transfer, hold.kind, hold.id, section.id, other.id);
  }

  #poll(): void {
    const prng = this.#prng;
    const own = this.#sections.filter((section) => section.owner === this.#actor());
    const kind = prng.pick([Owner.node, Owner.blk, Owner.job]);
    const id = 1 + prng.below(kind === Owner.node ? NODES : kind === Owner.blk ? BLKS : JOBS);
    const section = own.length > 0 && prng.chance(4, 5) ? prng.pick(own) : null;
    const hold =
      section !== null && section.holds.length > 0 && prng.chance(3, 4)
        ? prng.pick(section.holds)
        : null;
    if (hold !== null && section !== null) this.#readCounter(hold.kind, hold.id, section.id);
    else this.#readCounter(kind, id, section?.id ?? 0);
  }

  // ---- The rest ------------------------------------------------------------------------------------------------------

  #accident(): void {
    const prng = this.#prng;
    const id = 1 + prng.below(3);
    const pairs = [
      [Ev.bh_schedule, Ev.bh_run],
      [Ev.timer_arm, Ev.timer_run],
      [Ev.io_submit, Ev.io_done],
      [Ev.co_yield, Ev.co_enter],
      [Ev.co_schedule, Ev.co_enter],
      [Ev.co_create, Ev.co_wake],
    ] as const;
    const what = prng.below(pairs.length + 2);
    const pair = pairs[what];
    if (pair !== undefined) {
      const kind = prng.pick(pair);
      this.#emit(
        kind,
        id,
        kind === Ev.bh_schedule || kind === Ev.co_schedule ? prng.pick(this.#contexts) : 0,
      );
    } else if (what === pairs.length) this.#lock();
    else if (prng.chance(1, 2)) this.#emit(Ev.kick, 1);
    else this.#emit(Ev.wait_end, 1, prng.below(2));
  }

  #lock(): void {
    if (this.#prng.chance(1, 3)) {
      const kinds = [Ev.graph_rdlock, Ev.graph_rdunlock, Ev.graph_wrlock, Ev.graph_wrunlock];
      this.#emit(this.#prng.pick(kinds), this.#site());
      return;
    }
    const lock = this.#prng.below(this.#locks.length);
    const holder = this.#locks[lock];
    if (holder === null || holder === undefined) {
      this.#locks[lock] = this.#ctx;
      this.#emit(Ev.lock_acquire, lock + 1, 1, 1);
    } else if (holder === this.#ctx) {
      this.#locks[lock] = null;
      this.#emit(Ev.lock_release, lock + 1, 1, 0);
    }
  }

  #lifecycle(): void {
    const prng = this.#prng;
    if (this.#task === 0 && this.#tasks.length < 5) {
      const inWrapper = this.#wrapper !== null && prng.chance(1, 2);
      const co = inWrapper && this.#wrapper !== null ? this.#wrapper.co : 100 + ++this.#ids.co;
      const task = { id: ++this.#ids.task, ctx: this.#ctx, co };
      this.#tasks.push(task);
      this.#as(this.#ctx, task.id);
      this.#emit(Ev.task_begin, task.id, co);
      if (prng.chance(2, 3)) this.#scripts.set(task.id, this.#requestScript());
    } else if (this.#task !== 0 && prng.chance(1, 2)) {
      const task = this.#tasks.find(({ id }) => id === this.#task);
      if (task === undefined) return;
      this.#tasks.splice(this.#tasks.indexOf(task), 1);
      this.#emit(Ev.task_end, task.id, task.co);
      // Sections of a task that is over stay open.
      for (const section of this.#sections)
        if (section.owner === `t${task.id}`)
          this.#sections.splice(this.#sections.indexOf(section), 1);
    }
  }

  #rare(): void {
    const prng = this.#prng;
    const what = prng.below(10);
    if (what >= 8) this.#waitedFor();
    else if (what === 0) this.#emit(Ev.external_enable, prng.pick(this.#contexts), 0);
    else if (what < 3 && this.#task === 0)
      this.#emit(
        Ev.fd_run,
        1 + prng.below(3),
        prng.chance(3, 4) ? 1 : 0,
        prng.chance(3, 4) ? 0 : 1,
      );
    else if (what === 3) this.#emit(Ev.bh_done, 1 + prng.below(3));
    else if (what === 4) this.#wrap();
    else if (what === 5 && this.#ctx !== 0 && this.#task === 0 && prng.chance(1, 6)) this.#stop();
    else if (what === 6) {
      for (const ctx of this.#stopped) if (prng.chance(1, 2)) this.#emit(Ev.ctx_join, ctx);
    } else if (what === 7) this.#emit(Ev.bs_in_flight_inc, 1 + prng.below(NODES), 1);
  }

  #wrap(): void {
    if (this.#wrapper === null) {
      this.#wrapper = { co: 100 + ++this.#ids.co, over: false };
      this.#emit(Ev.wrapper_begin, this.#wrapper.co);
    } else {
      this.#emit(Ev.wrapper_end, this.#wrapper.co);
      this.#wrapper = null;
    }
  }

  /** The coroutine of the open wrapper runs for a moment, outside of any request; at last it ends. */
  #waitedFor(): void {
    if (this.#wrapper === null || this.#ctx === 0 || this.#task !== 0 || this.#wrapper.over) return;
    this.#emit(Ev.co_enter, this.#wrapper.co);
    for (let reads = 1 + this.#prng.below(2); reads > 0; reads--) this.#read();
    this.#wrapper.over = this.#prng.chance(1, 2);
    this.#emit(this.#wrapper.over ? Ev.co_terminate : Ev.co_yield, this.#wrapper.co);
  }

  #stop(): void {
    const ctx = this.#ctx;
    for (const task of this.#tasks) if (task.ctx === ctx) task.ctx = 0;
    this.#stopped.add(ctx);
    this.#emit(Ev.ctx_stop, ctx);
  }
}
