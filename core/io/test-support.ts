// For tests of drains and requests: drawn graphs whose driver counts its drain hooks and takes time for a request, guests in
// coroutines, and the counters of everything as one line.

import { blkAll } from "../backend/index.ts";
import { must, type SiteId, type VirtualNs } from "../base/index.ts";
import {
  type BlockDriver,
  type BlockDriverState,
  bdrvAllStates,
  type DrawnGraph,
  graphFromText,
} from "../graph/index.ts";
import { generousPerms } from "../graph/test-support.ts";
import {
  type AioContext,
  aioCoEnter,
  aioPoll,
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  clockNs,
  machine,
  type Polls,
  qemuCoroutineCreate,
  qemuCoSleepNs,
  type RunOutcome,
  timerMod,
  timerNew,
} from "../sched/index.ts";
import { type RunMainOptions, runMain } from "../sched/test-support.ts";

/** Where tests have no site of their own. */
export const NO_SITE = 0 as SiteId;

/** What a test sees of its drawn graph. */
export interface DrainTest {
  readonly node: (name: string) => BlockDriverState;
  readonly graph: DrawnGraph;
  /** Every node as `name quiesce/recursive/hooks`, every BlockBackend as `blk1 quiesce`. */
  readonly counters: () => string;
  readonly log: string[];
}

/** How long a read of the test driver takes. */
export const READ_NS = 100;

/** A driver whose hooks count up and down, and whose reads and writes take READ_NS. */
function countingDriver(hooks: Map<number, number>): BlockDriver {
  const add = (bs: BlockDriverState, by: number): void => {
    hooks.set(bs.id, (hooks.get(bs.id) ?? 0) + by);
  };
  const slow = function* (): Co<number> {
    yield* qemuCoSleepNs(READ_NS);
    return 0;
  };
  return {
    formatName: "test",
    isFilter: false,
    supportsBacking: true,
    childPerm: generousPerms,
    getlength: () => 65_536,
    coPreadv: slow,
    coPwritev: slow,
    coDrainBegin: function* (bs): Co<void> {
      add(bs, 1);
    },
    coDrainEnd: function* (bs): Co<void> {
      add(bs, -1);
    },
  };
}

export interface RunDrawnOptions extends RunMainOptions {
  /** How the run must end; default "ok", so that a test whose body never came to its end fails. */
  readonly ends?: RunOutcome | "any";
}

/** Draw a graph and run `body` in the main context. `log` is what it appended, `assertion` QEMU's that ended the run. */
export function runDrawn(
  drawing: string,
  body: (test: DrainTest) => Polls<void>,
  options: RunDrawnOptions = {},
): { readonly outcome: RunOutcome; readonly assertion: string; readonly log: string } {
  const run = runMain(function* (log): Polls<void> {
    const hooks = new Map<number, number>();
    const drv = countingDriver(hooks);
    const graph = yield* graphFromText(drawing, () => drv);
    const counters = (): string =>
      [
        ...bdrvAllStates().map(
          (bs) =>
            `${bs.nodeName} ${bs.quiesceCounter}/${bs.recursiveQuiesceCounter}/${hooks.get(bs.id) ?? 0}`,
        ),
        ...blkAll().map((blk) => `blk${blk.id} ${blk.quiesceCounter}`),
      ].join(", ");
    const node = (name: string) => must(graph.get(name), "the node is drawn");
    yield* body({ node, graph, counters, log });
  }, options);
  const { ends = "ok" } = options;
  const assertion = run.machine.assertion?.message ?? "";
  if (ends !== "any" && run.outcome !== ends)
    throw new Error(`the run ended with "${run.outcome}" ${assertion}, not with "${ends}"`);
  return { outcome: run.outcome, assertion, log: run.log };
}

/** Something that runs beside the test; `done` when it has ended. */
export interface Guest {
  done: boolean;
}

/** Start `body` as a coroutine of `ctx`. */
export function guest(ctx: AioContext, body: () => Co<void>): Guest {
  const state: Guest = { done: false };
  const co = qemuCoroutineCreate(function* (): Co<void> {
    yield* body();
    state.done = true;
    aioWaitKick();
  });
  aioCoEnter(ctx, co);
  return state;
}

/** Wait in main until `guests` have ended. Polls. */
export function* joinGuests(...guests: Guest[]): Polls<void> {
  yield* aioWaitWhileUnlocked(null, () => guests.some(({ done }) => !done), NO_SITE);
}

/** Let `ns` nanoseconds go by in main, which serves its loop meanwhile; others run. Polls. */
export function* sleepMain(ns: number): Polls<void> {
  let isOver = false;
  const timer = timerNew(machine.mainContext, () => {
    isOver = true;
    return undefined;
  });
  timerMod(timer, (clockNs() + ns) as VirtualNs);
  while (!isOver) yield* aioPoll(machine.mainContext, true);
}
