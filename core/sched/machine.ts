// The machine: contexts, the scheduler that picks which of them takes the next step, and the door to the world.
//
// A step is one resume of a context's thread up to its next yield. Between two steps, in this order: the host delivers
// what has arrived, the scheduler picks a context (default policy, version 1: the same one again if it can run, else the
// lowest index), and that context runs. Only choices that differ from the default are recorded. Nothing runnable and
// nothing to come is a deadlock. The machine is synchronous: where the operating system must work first, `run` returns
// "wait" and the asynchronous rim (daemon/host) calls it again.
//
// Free functions of core/ find the running machine in `machine` (current.ts); state that belongs to a run but to a higher
// folder is kept in a `perMachine` slot.

import { assert, type CtxId, must, type SiteId } from "../base/index.ts";
import {
  Ev,
  LockKindOf,
  type Probe,
  type ProbeBase,
  Status,
  typedProbe,
  WORLD_CTX,
} from "../probe/index.ts";
import type { Series } from "../series.ts";
import { AioContext, type WaitFrame } from "./aio-context.ts";
import { type Polls, STEP_BLOCKED } from "./colours.ts";
import type { Coroutine } from "./coroutine.ts";
import { nextId, withMachine } from "./current.ts";
import type { Host, Scheduler } from "./host.ts";
import { type CountingInbox, inboxOf } from "./inbox.ts";
import { CONTEXTS_MAX, STEPS_MAX } from "./limits.ts";
import { ModelAssertion } from "./model-assert.ts";

/** Which lock protects the graph's lists beside drains and the BQL. */
export type LockRegime = "none" | "aio";

/** Why `run` came back. */
export type RunOutcome = "wait" | "ok" | "assertion" | "deadlock" | "limit";

export interface MachineOptions {
  readonly host: Host;
  readonly scheduler: Scheduler;
  readonly probe: ProbeBase;
  readonly series: Series;
  readonly lock: LockRegime;
  /** Steps after which the run ends with the status "limit". */
  readonly stepsMax?: number;
  /** Runs around every operation on the graph, e.g. to try out a drained section that a report advises. */
  readonly aroundGraphOp?: AroundGraphOp;
  /** Told of every function that states its domain when it is entered (domain.ts), e.g. to see which locks its callers hold. */
  readonly atEntry?: AtEntry;
  /** Called after every step: a checker of what must hold between two steps, which throws when it does not. */
  readonly afterStep?: () => void;
}

/** Called in place of `body`, which it must run once; `site` names the operation. Polls. */
export type AroundGraphOp = <T>(site: SiteId, body: () => Polls<T>) => Polls<T>;

/** The class of a function (core/sched/domain.ts): global state, I/O, or either. */
export type Domain = "GS" | "I/O" | "I/O or GS";

/** Told that the function of `site` was entered; `home` is the context that it was checked against, null for none. */
export type AtEntry = (domain: Domain, site: SiteId, home: AioContext | null) => void;

/** Version of the default scheduling policy, in every trace's header. */
export const SCHEDULER_POLICY = 1;

export class Machine {
  readonly host: Host;
  readonly scheduler: Scheduler;
  readonly probe: Probe;
  readonly series: Series;
  readonly lockRegime: LockRegime;
  readonly contexts: AioContext[] = [];
  readonly mainContext: AioContext;
  /** The context whose step runs; null between steps. */
  currentContext: AioContext | null = null;
  /** The coroutine that runs; null at thread level. */
  currentCoroutine: Coroutine | null = null;
  /** Coroutines entered inside one another now. */
  coroutineDepth = 0;
  lastContext: AioContext | null = null;
  stepsSinceInput = 0;
  steps = 0;
  readonly stepsMax: number;
  readonly aroundGraphOp: AroundGraphOp | null;
  readonly atEntry: AtEntry | null;
  readonly #afterStep: (() => void) | null;
  /**
   * Nobody looks at what the core does but at its inputs: then a request that need not wait may leave out what only its observers would
   * see, as long as a replay, where somebody looks, has the same inputs (core/io/now.ts).
   */
  readonly isUnwatched: boolean;
  readonly #inbox: CountingInbox = inboxOf(this);
  outcome: RunOutcome | null = null;
  /** The modelled assertion that ended the run. */
  assertion: ModelAssertion | null = null;
  /** Numbers given out so far, by kind of object. */
  readonly last = {
    node: 0,
    edge: 0,
    blk: 0,
    job: 0,
    co: 0,
    task: 0,
    section: 0,
    bh: 0,
    timer: 0,
    op: 0,
    lock: 0,
    tran: 0,
    wait: 0,
  };
  /** Values of `perMachine` slots. */
  readonly slots: unknown[] = [];

  constructor(options: MachineOptions) {
    this.host = options.host;
    this.scheduler = options.scheduler;
    this.probe = typedProbe(options.probe);
    this.series = options.series;
    this.lockRegime = options.lock;
    this.stepsMax = options.stepsMax ?? STEPS_MAX;
    this.aroundGraphOp = options.aroundGraphOp ?? null;
    this.atEntry = options.atEntry ?? null;
    this.#afterStep = options.afterStep ?? null;
    const { probe, host } = options;
    this.isUnwatched =
      !probe.observes &&
      host.now !== undefined &&
      this.atEntry === null &&
      this.#afterStep === null;
    this.probe.ctx = 0;
    this.mainContext = this.#addContext("main");
    const bql = nextId(this, "lock");
    this.probe.emit(Ev.lock_new, bql, LockKindOf.bql, this.probe.intern("bql"));
    this.probe.emit(Ev.lock_acquire, bql, LockKindOf.bql, 1);
    this.probe.ctx = WORLD_CTX;
  }

  /** Start the main thread; `body` ends the run when it returns. */
  start(body: Polls<void>): void {
    assert(this.mainContext.thread === null, "the main thread starts once");
    this.mainContext.thread = body;
  }

  /** Create a context in the stopped state. */
  newContext(name: string): AioContext {
    return this.#addContext(name);
  }

  #addContext(name: string): AioContext {
    assert(this.contexts.length < CONTEXTS_MAX, "at most CONTEXTS_MAX contexts in a run");
    const lockId = nextId(this, "lock");
    const ctx = new AioContext(this.contexts.length as CtxId, name, lockId as never);
    this.contexts.push(ctx);
    this.probe.emit(Ev.ctx_new, ctx.id, this.probe.intern(name));
    this.probe.emit(Ev.lock_new, lockId, LockKindOf.aio_context, this.probe.intern(name));
    return ctx;
  }

  /** Run until the main thread ends, an assertion fails, nothing can ever run, or the host must wait. */
  run(): RunOutcome {
    return withMachine(this, () => this.#loop());
  }

  #loop(): RunOutcome {
    const inbox = this.#inbox;
    const runnable: AioContext[] = [];
    for (;;) {
      this.#collectRunnable(runnable);
      inbox.received = 0;
      const delivery = this.host.deliver(inbox, runnable.length === 0);
      if (delivery === "wait") return "wait";
      if (inbox.received > 0) this.#collectRunnable(runnable);
      if (runnable.length === 0) {
        if (delivery === "go") continue;
        return this.#end("deadlock");
      }
      this.#step(this.#pick(runnable));
      if (this.#afterStep !== null) this.#afterStep();
      if (this.outcome !== null) return this.outcome;
      if (this.steps >= this.stepsMax) return this.#end("limit");
    }
  }

  #collectRunnable(runnable: AioContext[]): void {
    runnable.length = 0;
    for (const ctx of this.contexts) {
      if (ctx.thread === null || ctx.finished) continue;
      if (ctx.wakeCondition === null || ctx.wakeCondition()) runnable.push(ctx);
    }
  }

  #pick(runnable: readonly AioContext[]): AioContext {
    const last = this.lastContext;
    const byDefault =
      last !== null && runnable.includes(last) ? last : must(runnable[0], "something is runnable");
    const chosen = this.scheduler.pick(runnable, byDefault, this.stepsSinceInput);
    if (chosen !== byDefault) {
      assert(runnable.includes(chosen), "the scheduler picks a runnable context");
      this.probe.emit(Ev.sched_choice, chosen.id, this.takeSteps());
    }
    return chosen;
  }

  #step(ctx: AioContext): void {
    this.lastContext = ctx;
    this.currentContext = ctx;
    this.probe.ctx = ctx.id;
    this.probe.task = 0;
    ctx.wakeCondition = null;
    ctx.fresh = true;
    try {
      const stop = must(ctx.thread, "a runnable context has a thread").next();
      if (stop.done === true) this.#finish(ctx);
      else
        assert(
          stop.value !== STEP_BLOCKED || ctx.wakeCondition !== null,
          "who blocks says what wakes him",
        );
    } catch (error) {
      if (!(error instanceof ModelAssertion)) throw error;
      this.assertion = error;
      this.#end("assertion");
    }
    assert(
      this.currentCoroutine === null || this.outcome !== null,
      "no coroutine runs across a step",
    );
    this.currentContext = null;
    this.probe.ctx = WORLD_CTX;
    this.probe.task = 0;
    this.steps++;
    this.stepsSinceInput++;
  }

  #finish(ctx: AioContext): void {
    ctx.finished = true;
    if (ctx === this.mainContext) this.#end("ok");
  }

  #end(outcome: Exclude<RunOutcome, "wait">): RunOutcome {
    this.outcome = outcome;
    this.currentCoroutine = null;
    if (outcome === "deadlock") this.#explainDeadlock();
    this.probe.emit(Ev.run_end, Status[outcome], this.takeSteps());
    return outcome;
  }

  /**
   * Who waits for what, outermost frame first. A wait whose condition has become false was never woken: aio_wait_kick
   * wakes main alone, so an iothread must not wait for a counter that a foreign context lowers.
   */
  #explainDeadlock(): void {
    for (const ctx of this.contexts) {
      this.probe.ctx = ctx.id;
      this.currentContext = ctx;
      for (const [depth, frame] of ctx.waitFrames.entries()) {
        this.probe.emit(Ev.stuck, ctx.id, depth, frame.site);
      }
      const innermost = ctx.waitFrames.at(-1);
      if (innermost !== undefined && isLost(innermost)) {
        this.probe.emit(Ev.wait_lost, ctx.id, innermost.site);
      }
    }
    this.currentContext = null;
    this.probe.ctx = WORLD_CTX;
  }

  /** Steps since the last input, for the input about to be recorded; starts the next count. */
  takeSteps(): number {
    const steps = this.stepsSinceInput;
    this.stepsSinceInput = 0;
    return steps;
  }
}

/** Whether the condition of `frame` has become false; one that fails QEMU's assertion has left that event, and is no answer. */
function isLost(frame: WaitFrame): boolean {
  try {
    return !frame.busy();
  } catch (error) {
    if (error instanceof ModelAssertion) return false;
    throw error;
  }
}
