// What an open operation does not excuse: while one is open on `spare`, and polls, something else breaks, or the operation
// itself leaves something behind. The checker of every step sees it at once, or when the operation is over.

import { describe, expect, it } from "vitest";
import { must, type SectionId, type SiteId } from "#core/base";
import { overlayOpen } from "#core/drivers";
import {
  BLK_PERM_WRITE,
  type BlockDriverState,
  bdrvRef,
  bdrvUnref,
  graphOp,
  inTransaction,
} from "#core/graph";
import { blockJobCreate, type Job, jobSleepNs, jobStart } from "#core/jobs";
import { Ev } from "#core/probe";
import { type Co, machine, type Polls } from "#core/sched";
import { recordScenario } from "../record-scenario.ts";
import type { Scenario } from "../scenario.ts";
import { type Chain, closeChain, openChain, PAUSE_NS } from "../scenarios/hole-chain.ts";

const SITE = 7 as SiteId;

interface Broken extends Chain {
  readonly spare: BlockDriverState;
  readonly job: Job;
}

type Break = (what: Broken) => void;

const AT_ONCE: readonly (readonly [string, RegExp, Break])[] = [
  [
    "a job that nobody paused",
    /job \d+: pause_count is 1, and should be 0/,
    ({ job }) => job.quiescedFor.push(77 as SectionId),
  ],
  [
    "a reference that nobody took",
    /node 'top': refcnt is \d, and should be \d/,
    ({ top }) => top.refcnt++,
  ],
  [
    "a counter that goes below nothing",
    /in_flight of node \d+ is -1, where its begins and ends say -1/,
    ({ top }) => {
      machine.probe.emit(Ev.bs_in_flight_dec, top.id, --top.inFlight);
    },
  ],
  [
    "an edge that only its parent knows",
    /'backing' is not among its node's parents/,
    ({ top }) => {
      const edge = must(top.rawBacking, "the overlay has a backing file");
      must(edge.rawBs, "the edge points at a node").rawParents.remove(edge);
    },
  ],
];

const AT_ITS_END: readonly (readonly [string, RegExp, Break])[] = [
  [
    "a permission of an edge that is not its own",
    /'backing' has perm: .*, and should have perm: /,
    ({ top }) => {
      must(top.rawBacking, "the overlay has a backing file").perm ^= BLK_PERM_WRITE;
    },
  ],
  [
    "a reference that it took and keeps",
    /node 'spare': refcnt as edges and holders say is 2, and should be 1/,
    ({ spare }) => bdrvRef(spare),
  ],
];

describe("while an operation is open", () => {
  it("nothing is wrong as long as nothing breaks", () => {
    expect(() => run(() => undefined, "operation")).not.toThrow();
    expect(() => run(() => undefined, "transaction")).not.toThrow();
  });

  for (const open of ["operation", "transaction"] as const) {
    it.each(AT_ONCE)(`${open}: %s is seen at once`, (_what, text, breakIt) => {
      const steps = run(breakIt, open, text);
      expect(steps.isOver).toBe(false);
    });
    it.each(AT_ITS_END)(`${open}: %s is seen at its end`, (_what, text, breakIt) => {
      const steps = run(breakIt, open, text);
      expect(steps.isOver).toBe(true);
    });
  }
});

/** Whether the operation was over when the run stopped, with `text` when there is one. */
function run(
  breakIt: Break,
  open: "operation" | "transaction",
  text?: RegExp,
): { isOver: boolean } {
  const state = { isOver: false };
  const scenario: Scenario = {
    name: "broken",
    title: "Something breaks while an operation is open.",
    *main(world): Polls<void> {
      const chain = yield* openChain(world);
      const spare = yield* overlayOpen({ nodeName: "spare", size: 4096 });
      const { job } = yield* blockJobCreate("walker", { jobType: "stream", coRun }, chain.top);
      jobStart(job);
      must(world.checker, "this run is checked").holders = {
        referencesTo: (bs) => ([chain.base, chain.top, spare].includes(bs) ? 1 : 0),
      };
      const inside = function* (): Polls<void> {
        bdrvRef(spare);
        yield* world.sleep(PAUSE_NS);
        breakIt({ ...chain, spare, job });
        yield* world.sleep(PAUSE_NS);
        yield* bdrvUnref(spare);
        state.isOver = true;
      };
      yield* open === "operation" ? graphOp(SITE, inside) : inTransaction(inside);
      yield* world.sleep(PAUSE_NS);
      yield* world.until(() => job.status === "null");
      must(world.checker, "this run is checked").holders = {};
      yield* bdrvUnref(spare);
      yield* closeChain(world, chain);
    },
  };
  const record = (): unknown => recordScenario(scenario, { seed: 1, checkInvariants: true });
  if (text === undefined) record();
  else expect(record).toThrow(text);
  return state;
}

/** A job's work: it sleeps through it all. */
function* coRun(job: Job): Co<number> {
  for (let nap = 0; nap < 8; nap++) yield* jobSleepNs(job, PAUSE_NS / 2);
  return 0;
}
