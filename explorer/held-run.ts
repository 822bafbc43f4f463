// Executing a schedule that holds one context back, to make a predicted race real.
//
// The run goes as recorded for so many steps; from there on the held context gets no turn until another one has done a certain
// thing; then the held one goes first, until it has made its access, and the rest is the default policy's. While only the held
// context could run, time passes, as it does when a thread is slow. If nothing comes of that, it is let go.
//
// The recording must be of the simulated host: the seed then gives the same disk, clients and latencies again.

import { assert, must } from "#core/base";
import {
  Ev,
  type EventBatch,
  IS_INPUT,
  LAYOUTS,
  ProbeBase,
  type Site,
  siteTable,
} from "#core/probe";
import {
  type AioContext,
  type Delivery,
  type Host,
  type Inbox,
  type Machine,
  type RunOutcome,
  type Scheduler,
  seriesWithout,
} from "#core/sched";
import { EventCursor, type RecordedTrace, replayTrace, type WorldBuilder } from "#replay";
import { prepareRun } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";
import { SimulatedHost } from "./simulated-host.ts";

/** An event of a context: the `occurrence`th since the hold began that is like that. */
export interface AwaitedEvent {
  readonly ctx: number;
  /** Name of its kind in the catalogue. */
  readonly event: string;
  /** Its first two integers: a list and its owner, a lock and its kind. */
  readonly about: readonly [number, number];
  /** Of an access to a list, where it is made; else "". */
  readonly site: string;
  readonly occurrence: number;
}

/** Which context to hold back, from when on, and until when; see the file comment. */
export interface HeldSchedule {
  /** Steps that run as recorded. */
  readonly steps: number;
  /** What the held context waits for. */
  readonly until: AwaitedEvent;
  /** What the held context does then. */
  readonly then: AwaitedEvent;
}

/** Two accesses of a recording, and how the context of the earlier one has to wait (`Candidate` of the prediction); events by number. */
export interface HoldRequest {
  readonly accesses: readonly [{ readonly event: number }, { readonly event: number }];
  readonly holdAt: number;
  readonly letGoAfter: number | null;
}

/** How often time may jump while nobody but the held context could run. */
const JUMPS_MAX = 10_000;

/**
 * The schedules that each of `requests` may be made real by, most faithful first: the context is let go as soon as the witness lets
 * it, or only when the other one has made its access. Replays the recording once.
 */
export function heldSchedules(
  trace: RecordedTrace,
  build: WorldBuilder,
  requests: readonly HoldRequest[],
): HeldSchedule[][] {
  const starts = stepStarts(trace, build);
  return requests.map(({ accesses: [earlier, later], holdAt, letGoAfter }) => {
    const steps = Math.max(
      starts.findLastIndex((start) => start <= holdAt),
      0,
    );
    const first = starts[steps] ?? 0;
    const then = awaited(trace, first, earlier.event);
    const ends = letGoAfter === null ? [later.event] : [letGoAfter, later.event];
    return ends.map((event) => ({ steps, until: awaited(trace, first, event), then }));
  });
}

/** How many events there were before each step. */
function stepStarts(trace: RecordedTrace, build: WorldBuilder): number[] {
  const counted = new ObservingProbe(null);
  const starts: number[] = [];
  const report = replayTrace(trace, {
    recorder: counted,
    buildWorld: (header, parts) => {
      const scheduler: Scheduler = {
        pick: (...args) => {
          starts.push(counted.events);
          return parts.scheduler.pick(...args);
        },
      };
      return build(header, { ...parts, scheduler });
    },
  });
  assert(report.divergence === undefined, "a recording replays as far as it goes");
  return starts;
}

/** Event `event` of the recording as one that can be awaited from event `first` on. */
function awaited(trace: RecordedTrace, first: number, event: number): AwaitedEvent {
  const { sites } = trace.header;
  let like: Omit<AwaitedEvent, "occurrence"> | null = null;
  for (const { batch, i } of eventsFrom(trace, event, event))
    like = likeness(batch.ctx(i), batch.kind(i), argsOf(batch, i), sites);
  const sought = must(like, "the awaited event is in the recording");
  let occurrence = 0;
  for (const { batch, i } of eventsFrom(trace, first, event))
    if (isLike(batch.ctx(i), batch.kind(i), argsOf(batch, i), sought, sites)) occurrence++;
  return { ...sought, occurrence };
}

function* eventsFrom(
  trace: RecordedTrace,
  first: number,
  last: number,
): Generator<{ readonly batch: EventBatch; readonly i: number }, void, undefined> {
  let start = 0;
  for (const batch of trace.batches()) {
    if (start > last) return;
    const end = Math.min(batch.count, last + 1 - start);
    for (let i = Math.max(0, first - start); i < end; i++) yield { batch, i };
    start += batch.count;
  }
}

type Args = readonly [number, number, number, number];

function argsOf(batch: EventBatch, i: number): Args {
  return [batch.arg(i, 0), batch.arg(i, 1), batch.arg(i, 2), batch.arg(i, 3)];
}

function likeness(
  ctx: number,
  kind: number,
  args: Args,
  sites: readonly Site[],
): Omit<AwaitedEvent, "occurrence"> {
  const event = LAYOUTS[kind]?.name ?? "";
  return { ctx, event, about: [args[0], args[1]], site: siteName(kind, args, sites) };
}

function isLike(
  ctx: number,
  kind: number,
  args: Args,
  sought: Omit<AwaitedEvent, "occurrence">,
  sites: readonly Site[],
): boolean {
  return (
    ctx === sought.ctx &&
    LAYOUTS[kind]?.name === sought.event &&
    args[0] === sought.about[0] &&
    args[1] === sought.about[1] &&
    siteName(kind, args, sites) === sought.site
  );
}

/** The site of an access to a list; "" for other events. */
function siteName(kind: number, [, , c, d]: Args, sites: readonly Site[]): string {
  const isEdit = kind === Ev.list_insert || kind === Ev.list_remove || kind === Ev.list_set;
  if (kind !== Ev.list_read && !isEdit) return "";
  return sites[(isEdit ? d : c) - 1]?.name ?? "";
}

/** How a run under a held schedule ended, and whether the context was let go and made its access. */
export interface HeldRun {
  readonly outcome: Exclude<RunOutcome, "wait">;
  readonly isAsAsked: boolean;
}

/** Runs `scenario` as `trace` recorded it, but with a context held back. The events go to `recorder`. */
export function runHeld(
  scenario: Scenario,
  trace: RecordedTrace,
  schedule: HeldSchedule,
  recorder: ProbeBase,
): HeldRun {
  const { header } = trace;
  assert(
    header.host === "simulated",
    "only a simulated run can be had again under another schedule",
  );
  const { disk } = scenario;
  const inner = new SimulatedHost({ seed: header.seed, ...(disk === undefined ? {} : { disk }) });
  const holding = new Holding(trace, schedule, inner);
  const probe = new ObservingProbe(recorder, holding);
  const on = new Set(header.patchesOn);
  const machine = prepareRun(
    scenario,
    {
      seed: header.seed,
      params: header.scenario.params,
      without: [...seriesWithout()].filter((patch) => !on.has(patch)),
      lock: header.lock,
    },
    { host: hostWith(inner, holding), clients: inner, scheduler: holding, probe },
  );
  holding.machine = machine;
  const outcome = machine.run();
  assert(outcome !== "wait", "a simulated host never waits");
  return { outcome, isAsAsked: holding.isDone };
}

type Phase = "as recorded" | "holding" | "letting go" | "done" | "given up";

/** Who takes the next step, and how time passes meanwhile. */
class Holding implements Scheduler {
  machine: Machine | null = null;
  readonly #recorded: EventCursor;
  readonly #schedule: HeldSchedule;
  readonly #inner: SimulatedHost;
  #phase: Phase = "as recorded";
  #steps = 0;
  #seen = 0;

  constructor(trace: RecordedTrace, schedule: HeldSchedule, inner: SimulatedHost) {
    this.#recorded = new EventCursor(trace, true);
    this.#schedule = schedule;
    this.#inner = inner;
  }

  get isDone(): boolean {
    return this.#phase === "done";
  }

  pick(
    runnable: readonly AioContext[],
    byDefault: AioContext,
    stepsSinceInput: number,
  ): AioContext {
    const { steps, until, then } = this.#schedule;
    if (this.#steps++ < steps) return this.#asRecorded(runnable, byDefault, stepsSinceInput);
    if (this.#phase === "as recorded") this.#phase = "holding";
    const find = (id: number) => runnable.find((ctx) => ctx.id === id);
    if (this.#phase === "letting go") return find(then.ctx) ?? byDefault;
    if (this.#phase !== "holding") return byDefault;
    const next = find(until.ctx) ?? runnable.find((ctx) => ctx.id !== then.ctx);
    if (next !== undefined) return next;
    this.#phase = "given up";
    return byDefault;
  }

  #asRecorded(
    runnable: readonly AioContext[],
    byDefault: AioContext,
    stepsSinceInput: number,
  ): AioContext {
    const { batch, at, done } = this.#recorded;
    if (done || batch === null || batch.kind(at) !== Ev.sched_choice) return byDefault;
    if (batch.arg(at, 1) !== stepsSinceInput) return byDefault;
    return must(
      runnable.find((ctx) => ctx.id === batch.arg(at, 0)),
      "up to the hold, the run is the recorded one",
    );
  }

  /** Lets time pass, instead of the held context run. */
  deliver(inbox: Inbox, idle: boolean): Delivery {
    let delivery = this.#inner.deliver(inbox, idle);
    const isHolding = this.#phase === "holding" || this.#steps === this.#schedule.steps;
    if (!isHolding || this.#phase === "given up") return delivery;
    for (let jumps = 0; jumps < JUMPS_MAX && !this.#canAnybodyRun(); jumps++) {
      delivery = this.#inner.deliver(inbox, true);
      // The held context can run, for all that.
      if (delivery === "never") return idle ? "never" : "go";
    }
    return delivery;
  }

  #canAnybodyRun(): boolean {
    const { contexts } = must(this.machine, "a machine runs");
    return contexts.some(
      ({ id, thread, finished, wakeCondition }) =>
        id !== this.#schedule.then.ctx &&
        thread !== null &&
        !finished &&
        (wakeCondition === null || wakeCondition()),
    );
  }

  /** An event of the run. */
  saw(kind: number, ctx: number, args: Args): void {
    if (IS_INPUT[kind] === 1 && this.#phase === "as recorded" && !this.#recorded.done)
      this.#recorded.advance();
    if (this.#phase !== "holding" && this.#phase !== "letting go") return;
    const { until, then } = this.#schedule;
    const awaited = this.#phase === "holding" ? until : then;
    if (!isLike(ctx, kind, args, awaited, siteTable) || ++this.#seen < awaited.occurrence) return;
    this.#seen = 0;
    this.#phase = this.#phase === "holding" ? "letting go" : "done";
  }
}

/** The simulated host, but for how time passes. */
function hostWith(inner: SimulatedHost, holding: Holding): Host {
  return {
    kind: "simulated",
    call: (request) => inner.call(request),
    submit: (op) => inner.submit(op),
    transform: (op) => inner.transform(op),
    copy: (op) => inner.copy(op),
    readClock: () => inner.readClock(),
    timerArmed: (timerId, deadlineNs) => inner.timerArmed(timerId, deadlineNs),
    deliver: (inbox, idle) => holding.deliver(inbox, idle),
    allocate: (bytes) => inner.allocate(bytes),
    decide: (decide) => inner.decide(decide),
    reveal: (from, start, into, bytes) => inner.reveal(from, start, into, bytes),
  };
}

/** Counts the events that go by, and shows them to whoever holds. */
class ObservingProbe extends ProbeBase {
  events = 0;
  readonly #recorder: ProbeBase | null;
  readonly #holding: Holding | null;

  constructor(recorder: ProbeBase | null, holding: Holding | null = null) {
    super();
    this.#recorder = recorder;
    this.#holding = holding;
  }

  override intern(text: string): ReturnType<ProbeBase["intern"]> {
    this.#recorder?.intern(text);
    return super.intern(text);
  }

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.events++;
    this.#recorderNow()?.emit(kind, a, b, c, d);
    this.#holding?.saw(kind, this.ctx, [a, b, c, d]);
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.events++;
    this.#recorderNow()?.emitWide(kind, wide, a, b, c, d);
    this.#holding?.saw(kind, this.ctx, [a, b, c, d]);
  }

  #recorderNow(): ProbeBase | null {
    const recorder = this.#recorder;
    if (recorder !== null) {
      recorder.ctx = this.ctx;
      recorder.task = this.task;
    }
    return recorder;
  }
}
