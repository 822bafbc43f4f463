// One loop over the events. The model (graph, sections, call stacks) and the two orders see each event first, then the rules
// of its kind. Feed batches in order; nothing of an event is kept but what the parts keep, so memory does not grow with the
// trace (see order/knowledge.ts for why that is possible).

import {
  Ev,
  type EventBatch,
  FLOAT_WIDE,
  FLOATS_PER_EVENT,
  type Site,
  WORDS_PER_EVENT,
  WORLD_CTX,
} from "#core/probe";
import { refuseContext, refuseLength } from "./bounds.ts";
import { Conflicts } from "./conflicts/conflicts.ts";
import { Pairs } from "./conflicts/pairs.ts";
import { Tally } from "./conflicts/tally.ts";
import { describeResult } from "./describe.ts";
import { Drafts } from "./drafts.ts";
import type { EdgeKind } from "./edge-kinds.ts";
import { ACCIDENTS_ONLY, IGNORED } from "./event-uses.ts";
import type { AnalysisResult } from "./findings.ts";
import type { AnalysisSettings, AnalyzeOptions, Clocks } from "./input.ts";
import { ANALYZER_LIMITS, CONTEXT_MAX } from "./limits.ts";
import { Listeners, USE_NONE, USE_READ, USE_REQUEST, USE_RULES } from "./listeners.ts";
import { DrainEvents } from "./model/drain-events.ts";
import { Graph } from "./model/graph.ts";
import { GraphEvents } from "./model/graph-events.ts";
import { Operations } from "./model/operations.ts";
import { Sections } from "./model/sections.ts";
import { Now } from "./now.ts";
import { Accidents } from "./order/accidents.ts";
import { Edges } from "./order/edges.ts";
import type { FullOrder } from "./order/full.ts";
import { NEVER } from "./order/knowledge.ts";
import { MainOrder } from "./order/main-order.ts";
import { Orders } from "./order/orders.ts";
import { WRAPPER_TASK } from "./order/task.ts";
import { Units } from "./order/units.ts";
import { VectorOrder } from "./order/vector-order.ts";
import { DrainCost } from "./passes/drain-cost.ts";
import { ordinaryRules } from "./passes/ordinary-rules.ts";
import type { Pass, PassContext } from "./passes/pass.ts";
import { RaceWithFree } from "./passes/race-with-free.ts";
import { RequestRule } from "./passes/request-rule.ts";
import { UnbalancedCounter } from "./passes/unbalanced-counter.ts";
import { VerdictRules } from "./passes/verdict-rules.ts";
import { judgesOf } from "./policies/index.ts";
import type { PolicyJudge } from "./policies/policy.ts";

function fullOrder(clocks: Clocks): FullOrder {
  return clocks === "main" ? new MainOrder() : new VectorOrder();
}

/** An analysis under way. */
export class Analysis {
  readonly #now = new Now();
  readonly #graph = new Graph();
  readonly #sections = new Sections();
  readonly #operations = new Operations();
  readonly #tally = new Tally();
  readonly #drafts = new Drafts();
  readonly #orders: Orders;
  readonly #edges: Edges;
  readonly #accidents: Accidents | null;
  readonly #units: Units | null;
  readonly #conflicts: Conflicts;
  readonly #graphEvents: GraphEvents;
  readonly #drainEvents: DrainEvents;
  readonly #verdicts: VerdictRules;
  readonly #unbalanced: UnbalancedCounter;
  readonly #requestRule: RequestRule;
  readonly #passes: readonly Pass[];
  readonly #judges: readonly PolicyJudge[];
  readonly #drainCost: DrainCost | null;
  readonly #listeners = new Listeners();
  /** How many events there were. */
  events = 0;
  #complete = false;

  constructor(options: AnalyzeOptions = {}, settings: AnalysisSettings = {}) {
    const {
      limits = ANALYZER_LIMITS,
      clocks = "vectors",
      suspects = null,
      only = null,
      awake = null,
    } = settings;
    const disabled: ReadonlySet<EdgeKind> = options.disableEdges ?? new Set();
    const full = options.orders === "sanctioned" ? null : fullOrder(clocks);
    const now = this.#now;
    const graph = this.#graph;
    const sections = this.#sections;
    const join = !disabled.has("context-join");
    const orders = new Orders({
      now,
      full,
      sections,
      limits,
      join,
      taskOrder: !disabled.has("task-order"),
      readsFrom: options.order === "shb" && !disabled.has("read-from"),
    });
    this.#orders = orders;
    this.#edges = new Edges({ now, sections, orders, disabled });
    this.#accidents = full === null ? null : new Accidents(now, full, disabled);
    this.#units = options.reading === "task" ? this.#readAsTasks(disabled) : null;
    // Read as tasks, contexts have no order of their own in which a race could lie inside of another.
    const inOrder = this.#units === null ? full : null;
    const pairs = new Pairs(now, graph, this.#tally, this.#drafts, inOrder);
    const operations = this.#operations;
    this.#conflicts = new Conflicts({ now, graph, orders, operations, pairs, suspects, only });
    const context: PassContext = {
      now,
      graph,
      sections,
      orders,
      operations,
      edges: this.#edges,
      conflicts: this.#conflicts,
      drafts: this.#drafts,
      listeners: this.#listeners,
    };
    this.#graphEvents = new GraphEvents(context);
    this.#drainEvents = new DrainEvents(context);
    this.#verdicts = new VerdictRules(context);
    this.#unbalanced = new UnbalancedCounter(context);
    this.#requestRule = new RequestRule(context);
    this.#drainCost = options.drains === true ? new DrainCost(context) : null;
    this.#judges = judgesOf(options.policies ?? [], context, awake);
    this.#passes = only === null ? this.#rules(context) : [new RaceWithFree(context)];
    const listeners = this.#listeners;
    for (const kind of IGNORED) listeners.setQuiet(kind, USE_NONE);
    if (full === null) for (const kind of ACCIDENTS_ONLY) listeners.setQuiet(kind, USE_NONE);
    listeners.setQuiet(Ev.req_begin, USE_REQUEST);
    listeners.setQuiet(Ev.list_read, USE_READ);
    for (const pass of this.#passes) {
      for (const kind of pass.kinds) listeners.add(kind, pass);
      for (const kind of pass.mainKinds ?? []) listeners.add(kind, pass, "main");
    }
  }

  #rules(context: PassContext): Pass[] {
    return [
      ...ordinaryRules(context, [this.#unbalanced, this.#requestRule, this.#verdicts]),
      ...this.#judges,
      ...(this.#drainCost === null ? [] : [this.#drainCost]),
    ];
  }

  #readAsTasks(disabled: ReadonlySet<EdgeKind>): Units | null {
    const orders = this.#orders;
    const { full } = orders;
    if (full === null) return null;
    const hasStart = !disabled.has("context-start");
    orders.units = new Units({
      now: this.#now,
      full,
      orders,
      coroutine: !disabled.has("coroutine"),
      startOf: hasStart ? (ctx) => this.#edges.startOf(ctx) : null,
    });
    return orders.units;
  }

  /** The next events. */
  feed(batch: EventBatch): void {
    const { count } = batch;
    const first = this.events;
    this.events += count;
    if (first + count >= NEVER) refuseLength();
    this.#complete = count > 0 ? batch.kind(count - 1) === Ev.run_end : this.#complete;
    this.#checkClocks();
    if (this.#units !== null) this.#feedUnits(this.#units, batch, first);
    else this.#judge(batch, 0, count, first);
  }

  /** Under the task reading: events that one unit runs in a row are judged together. */
  #feedUnits(units: Units, batch: EventBatch, first: number): void {
    const { count } = batch;
    let from = 0;
    let unitCtx = -1;
    for (let i = 0; i < count; i++) {
      const kind = batch.kind(i);
      const ctx = batch.ctx(i);
      const isStep = Units.changesWithin(kind);
      if (ctx === unitCtx && !isStep) continue;
      this.#judge(batch, from, i, first);
      from = i;
      unitCtx = ctx;
      units.before(kind, ctx, batch.arg(i, 0));
      const now = this.#now;
      if (ctx === now.ctx && this.#taskOf(ctx, batch.task(i)) === now.taskId)
        this.#orders.unitChanged();
      if (!isStep) continue;
      this.#judge(batch, i, i + 1, first);
      from = i + 1;
      unitCtx = -1;
      units.after(kind, ctx, batch.arg(i, 0));
    }
    this.#judge(batch, from, count, first);
  }

  /** The events `from` to `to` of `batch`, whose first one is event `first` of the trace. */
  #judge({ ints, floats }: EventBatch, from: number, to: number, first: number): void {
    const now = this.#now;
    const { usesInMain, usesElsewhere } = this.#listeners;
    // Hot loop: some 30 ns an event.
    for (let i = from, at = from * WORDS_PER_EVENT; i < to; i++, at += WORDS_PER_EVENT) {
      const head = ints[at] as number;
      const kind = head & 0xff;
      const ctx = head >>> 8;
      const use = (ctx === 0 ? usesInMain[kind] : usesElsewhere[kind]) as number;
      // What no context ran says something to the rules alone; it is in no order.
      if (ctx === WORLD_CTX && use !== USE_RULES) continue;
      now.index = first + i;
      const task = this.#taskOf(ctx, ints[at + 1] as number);
      if (ctx !== now.ctx || task !== now.taskId) {
        if (ctx > CONTEXT_MAX) refuseContext(ctx);
        this.#orders.switchTo(ctx, task);
        if (task > WRAPPER_TASK) this.#wrapperRuns(task - WRAPPER_TASK);
      }
      if (use === USE_NONE) continue;
      const a = ints[at + 2] as number;
      const b = ints[at + 3] as number;
      const c = ints[at + 4] as number;
      if (use === USE_READ) {
        this.#conflicts.read(a, b, c);
        continue;
      }
      if (use === USE_REQUEST) {
        const offset = floats[i * FLOATS_PER_EVENT + FLOAT_WIDE] as number;
        now.task?.begins(b, a, c, offset);
        continue;
      }
      this.#frequent(kind, a, b, c, ints[at + 5] as number);
      if (use === USE_RULES) {
        now.wide = floats[i * FLOATS_PER_EVENT + FLOAT_WIDE] as number;
        this.#listeners.tell(ctx, kind, a, b, c, ints[at + 5] as number);
      }
    }
  }

  #checkClocks(): void {
    const { full, tasks } = this.#orders;
    if (full === null || this.#accidents === null) return;
    const { nodes, blks, jobs } = this.#graph;
    const channels = 2 * (nodes.size + blks.size + jobs.size) + this.#edges.channels;
    const points = this.#accidents.points + this.#conflicts.points;
    full.checkSize(tasks.size + channels + points);
  }

  #taskOf(ctx: number, task: number): number {
    return task === 0 && this.#edges.hasWrappers && ctx !== 0 ? this.#wrapperTask(ctx) : task;
  }

  /** Where no request task runs: the coroutine that a drainer started and waits for is one as a whole, if it runs in `ctx`. */
  #wrapperTask(ctx: number): number {
    if (ctx === WORLD_CTX) return 0;
    const co = -this.#operations.activity(ctx);
    return co > 0 && this.#edges.startedByDrainer(co) ? WRAPPER_TASK + co : 0;
  }

  #wrapperRuns(co: number): void {
    const { task } = this.#now;
    if (task === null || task.begin >= 0) return;
    task.co = co;
    task.begin = this.#now.index;
    this.#edges.taskBegin(co);
  }

  /** A coroutine is over; if a drainer waits for it, so is the task that it was. */
  #wrapperEnds(co: number): void {
    const { task } = this.#now;
    if (task === null || task.id !== WRAPPER_TASK + co) return;
    this.#edges.taskEnd(co);
    this.#conflicts.taskEnds(task);
    this.#orders.endTask(task.id);
  }

  /** How many findings there are so far; `soFar` has something new when this has grown. */
  get noted(): number {
    return this.#drafts.size;
  }

  /** The findings so far. What only the end of the run can show is not among them. */
  soFar(sites: readonly Site[], strings: readonly string[]): AnalysisResult {
    return this.#described(sites, strings);
  }

  /** The end of the trace. `full` has followed the full order for those lists that this one, without it, found suspect. */
  finish(
    sites: readonly Site[],
    strings: readonly string[],
    full: Analysis | null = null,
  ): AnalysisResult {
    this.#conflicts.finish();
    for (const pass of this.#passes) pass.finish(this.#complete);
    if (full !== null) {
      full.#conflicts.finish();
      this.#tally.adopt(full.#tally);
      this.#drafts.adopt(full.#drafts);
    }
    return this.#described(sites, strings);
  }

  #described(sites: readonly Site[], strings: readonly string[]): AnalysisResult {
    return describeResult({
      events: this.events,
      complete: this.#complete,
      status: this.#complete ? this.#verdicts.status : null,
      graph: this.#graph,
      operations: this.#operations,
      rows: this.#tally.rows(),
      drafts: this.#drafts,
      judges: this.#judges,
      drainCost: this.#drainCost,
      reading: this.#units === null ? "thread" : "task",
      isSchedulable: this.#orders.readsFrom,
      sites,
      strings,
    });
  }

  /**
   * Kinds that are frequent: what a request does. Cases are numbers of the catalogue, which never change: only literals make
   * a jump table, and names would cost a comparison each. A test holds each against its comment.
   */
  #frequent(kind: number, a: number, b: number, c: number, d: number): void {
    switch (kind) {
      case 95: // list_read
        this.#conflicts.read(a, b, c);
        break;
      case 60: // bs_in_flight_dec
        this.#edges.bsInFlightDec(this.#graph.node(a));
        if (b < 0) this.#unbalanced.belowZero("in-flight", this.#graph.node(a));
        break;
      case 59: // bs_in_flight_inc
        this.#bsInFlightInc(a);
        break;
      case 62: // blk_in_flight_dec
        this.#edges.blkInFlightDec(this.#graph.blk(a));
        this.#now.task?.hold(a, -1);
        if (b < 0) this.#unbalanced.belowZero("in-flight", this.#graph.blk(a));
        break;
      case 61: // blk_in_flight_inc
        this.#now.task?.hold(a, 1);
        if (this.#now.ctx !== 0) this.#graph.publish(this.#graph.blk(a));
        break;
      case 63: // bs_in_flight_read
        this.#edges.bsInFlightRead(this.#graph.node(a), b, c);
        break;
      case 64: // blk_in_flight_read
        this.#edges.blkInFlightRead(this.#graph.blk(a), b, c);
        break;
      case 65: // gate_read
        this.#edges.gateRead(this.#graph.blk(a), b);
        break;
      case 36: // co_enter
        this.#operations.coEnter(this.#now.ctx, a);
        this.#accidents?.coEnter(a);
        break;
      case 37: // co_yield
        this.#operations.coLeave(this.#now.ctx, a, false);
        this.#accidents?.coYield(a);
        break;
      case 38: // co_terminate
        this.#operations.coLeave(this.#now.ctx, a, true);
        this.#accidents?.coTerminate(a);
        if (this.#edges.hasWrappers) this.#wrapperEnds(a);
        break;
      case 55: // task_begin
        this.#taskBegin(b);
        break;
      case 56: // task_end
        this.#taskEnd(a, b);
        break;
      default:
        if (this.#accidents === null || !this.#accidents.on(kind, a, b, c)) {
          this.#other(kind, a, b, c, d);
        }
    }
  }

  #bsInFlightInc(id: number): void {
    if (this.#now.ctx === 0) return;
    const node = this.#graph.node(id);
    if (node.isPrivate) this.#graph.publish(node);
    if (node.holds.length > 0) this.#requestRule.raised(node);
  }

  #taskBegin(co: number): void {
    const { task } = this.#now;
    if (task === null) return;
    task.co = co;
    task.begin = this.#now.index;
    task.starter = this.#operations.under(this.#now.ctx);
    this.#edges.taskBegin(co);
  }

  #taskEnd(id: number, co: number): void {
    const { task } = this.#now;
    this.#edges.taskEnd(co);
    if (task !== null && task.id === id) this.#conflicts.taskEnds(task);
    else this.#conflicts.taskVanishes(id);
    this.#orders.endTask(id);
  }

  /** Everything else. */
  #other(kind: number, a: number, b: number, c: number, d: number): void {
    const { ctx } = this.#now;
    switch (kind) {
      case 16: // bh_run
        this.#handler(ctx);
        this.#accidents?.bhRun(a);
        break;
      case 22: // fd_run
        this.#handler(ctx, true);
        this.#accidents?.bhRun(a);
        this.#edges.fdRun(b !== 0, c);
        break;
      case 17: // bh_done
        this.#operations.handlerEnd(ctx);
        this.#edges.handlerOver();
        break;
      case 51: // io_done
        this.#edges.handlerOver();
        break;
      case 20: // timer_run
        this.#edges.handlerOver();
        this.#accidents?.timerRun(a);
        break;
      case 67: // req_wake
        this.#edges.reqWake(b);
        break;
      case 68: // req_resumed
        this.#edges.reqResumed(b);
        break;
      case 101: // graph_op_begin
        this.#operations.begin(ctx, a, -1, this.#now.index);
        break;
      case 105: // tran_action_begin
        this.#operations.begin(ctx, c, b, this.#now.index);
        break;
      case 102: // graph_op_end
      case 106: // tran_action_end
        this.#operations.end(ctx);
        break;
      default:
        if (!this.#drainEvents.on(kind, a, b, c, d) && !this.#graphEvents.on(kind, a, b, c, d))
          this.#rare(kind, a, b, c);
    }
  }

  #handler(ctx: number, client = false): void {
    this.#operations.handlerBegin(ctx, client);
    this.#edges.handlerOver();
  }

  /** Contexts, external events, jobs and wrappers. */
  #rare(kind: number, a: number, b: number, c: number): void {
    const edges = this.#edges;
    switch (kind) {
      case 11: // ctx_start
        if (a < 0 || a > CONTEXT_MAX) refuseContext(a);
        edges.ctxStart(a);
        break;
      case 12: // ctx_run
        if (a < 0 || a > CONTEXT_MAX) refuseContext(a);
        edges.ctxRun(a);
        break;
      case 13: // ctx_stop
        if (a < 0 || a > CONTEXT_MAX) refuseContext(a);
        edges.ctxStop(a);
        break;
      case 14: // ctx_join
        edges.ctxJoin(a);
        break;
      case 24: // external_enable
        if (a < 0 || a > CONTEXT_MAX) refuseContext(a);
        edges.externalEnable(a);
        break;
      case 126: // job_gate_read
        edges.jobGateRead(this.#graph.job(a), b);
        break;
      case 127: // job_busy
        edges.jobBusy(this.#graph.job(a), b);
        break;
      case 128: // job_busy_read
        edges.jobBusyRead(this.#graph.job(a), b, c);
        break;
      case 41: // wrapper_begin
        edges.wrapperBegin(a);
        break;
      case 42: // wrapper_end
        edges.wrapperEnd(a);
        break;
    }
  }
}
