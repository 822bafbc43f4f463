import { describe, expect, it } from "vitest";
import type { SectionId } from "#core/base";
import { must } from "#core/base";
import {
  BLK_PERM_WRITE,
  type BlockDriverState,
  bdrvAllStates,
  bdrvFindNode,
  type EdgeParent,
} from "#core/graph";
import { Drain, Ev, NullProbe } from "#core/probe";
import { type Co, machine, type Polls, qemuCoSleepNs } from "#core/sched";
import { recordScenario } from "../record-scenario.ts";
import type { Scenario } from "../scenario.ts";
import { closeChain, openChain, PAUSE_NS } from "../scenarios/hole-chain.ts";
import { SCENARIOS } from "../scenarios/index.ts";

import { Ledger } from "./ledger.ts";

/** The holes of QEMU's protocol that break an invariant, and how. All others are races that break none. */
const BREAKS: Readonly<Record<string, RegExp>> = {
  "hole-attach-polls": /edge \d+ 'backing': parent_quiesce_counter is 1, and should be 0/,
  "hole-diamond": /parent_quiesce_counter is 0, and should be 2/,
  "hole-edge-request": /starts a request at node 2/,
  "hole-no-queuing": /starts a request at node 2/,
  "hole-unqueued-copy-range": /starts a request at node 2/,
  "hole-unqueued-truncate": /starts a request at node 2/,
  "hole-waits-once": /starts a request at node 2/,
};

describe("the invariants of every step", () => {
  for (const scenario of SCENARIOS) {
    const breaks = BREAKS[scenario.name];
    it(`${scenario.name} ${breaks === undefined ? "keeps them" : "breaks one"}`, () => {
      const run = (): unknown => recordScenario(scenario, { seed: 1, checkInvariants: true });
      if (breaks === undefined) run();
      else expect(run).toThrow(breaks);
    });
  }

  it("checking changes nothing in the trace", () => {
    const demo = must(
      SCENARIOS.find(({ name }) => name === "demo"),
      "the demo is built in",
    );
    const plain = recordScenario(demo, { seed: 3 });
    const checked = recordScenario(demo, { seed: 3, checkInvariants: true });
    expect(checked.bytes).toEqual(plain.bytes);
  });
});

describe("what the checker sees", () => {
  const broken: readonly (readonly [string, RegExp, (top: BlockDriverState) => void])[] = [
    [
      "a level that no begin raised",
      /node 'top': quiesce_counter is 1, and should be 0/,
      (top) => top.quiescedFor.push(77 as SectionId),
    ],
    [
      "an in-flight counter that no request raised",
      /node 'top': in_flight is 1, and should be 0/,
      (top) => top.inFlight++,
    ],
    [
      "a subtree level that no begin raised",
      /node 'top': recursive_quiesce_counter is 1, and should be 0/,
      (top) => top.recursiveQuiescedFor.push(77 as SectionId),
    ],
    [
      "an edge that quiesces its parent for nobody",
      /edge \d+ 'root' has quiesced its parent 1 times, not 0/,
      (top) =>
        must(top.rawParents.first, "the overlay has a parent").quiescedFor.push(77 as SectionId),
    ],
    [
      "external events that nobody disabled",
      /context io0: external_disable_cnt is 1, and should be 0/,
      (top) => top.aioContext.externalDisableCount++,
    ],
    [
      "a permission that no parent's needs give",
      /permissions|perm/,
      (top) => {
        must(top.rawBacking, "the overlay has a backing file").perm ^= BLK_PERM_WRITE;
      },
    ],
    [
      "a root edge with less than its BlockBackend asks for",
      /edge \d+ 'root' has perm: none/,
      (top) => {
        must(top.rawParents.first, "the overlay has a parent").perm = 0;
      },
    ],
    [
      "a level of a BlockBackend that no begin raised",
      /BlockBackend \d+: quiesce_counter is 1, and should be 0/,
      (top) => {
        const edge = must(top.rawParents.first, "the overlay has a parent");
        (edge.opaque as EdgeParent).quiescedFor.push(77 as SectionId);
      },
    ],
    [
      "a level that the parents were not told of",
      /edge \d+ 'root': parent_quiesce_counter is 0, and should be 1/,
      (top) => {
        top.quiescedFor.push(77 as SectionId);
        machine.probe.emit(Ev.bs_quiesce, top.id, 1, 77, 0);
      },
    ],
    ["a reference that nobody took", /node 'top': refcnt is 3/, (top) => top.refcnt++],
    [
      "an edge that only its parent knows",
      /'backing' is not among its node's parents/,
      (top) => {
        const edge = must(top.rawBacking, "the overlay has a backing file");
        must(edge.rawBs, "the edge points at a node").rawParents.remove(edge);
      },
    ],
    [
      "an alias of an edge that is no child",
      /is file or backing of .top., and no child of it/,
      (top) => {
        const base = must(bdrvFindNode("base"), "the chain has a base");
        top.rawBacking = must(top.rawParents.first, "the overlay has a parent");
        expect(base.closed).toBe(false);
      },
    ],
  ];
  for (const [what, text, breakIt] of broken) {
    it(what, () => {
      const scenario = chainThat(breakIt);
      expect(() => recordScenario(scenario, { seed: 1, checkInvariants: true })).toThrow(text);
    });
  }

  it("a request that is in flight where a drain has finished waiting", () => {
    const ledger = new Ledger(new NullProbe());
    ledger.emit(Ev.drain_begin, 1, 2, Drain.single, 0);
    ledger.emit(Ev.bs_quiesce, 2, 1, 1, 0);
    ledger.emit(Ev.bs_in_flight_inc, 2, 1);
    expect(ledger.quiet.intruders).toEqual([]);
    ledger.emit(Ev.drain_poll_end, 1);
    expect(ledger.quiet.intruders).toEqual([
      "section 1 has finished waiting, and node 2 has 1 requests in flight",
    ]);
  });

  it("and tells the step and the schedule that led there", () => {
    const scenario: Scenario = {
      ...chainThat(() => undefined),
      *main(world): Polls<void> {
        const { ctx, top } = yield* openChain(world);
        world.guest(ctx, function* (): Co<void> {
          for (let nap = 0; nap < 50; nap++) yield* qemuCoSleepNs(1);
          top.refcnt++;
        });
        for (let nap = 0; nap < 50; nap++) yield* world.sleep(1);
        yield* world.joinGuests();
      },
    };
    const broken = (): unknown => recordScenario(scenario, { seed: 1, checkInvariants: true });
    expect(broken).toThrow(
      /^after step \d+: .*\nThe schedule differs from the default one \d+ times, the last of them: (io0|main) after \d+(, (io0|main) after \d+)* steps\.$/,
    );
  });

  it("a reference that the holders do not account for", () => {
    const scenario: Scenario = {
      ...chainThat(() => undefined),
      *main(world): Polls<void> {
        must(world.checker, "this run is checked").holders = { referencesTo: () => 0 };
        yield* openChain(world);
        yield* world.sleep(PAUSE_NS);
      },
    };
    expect(() => recordScenario(scenario, { seed: 1, checkInvariants: true })).toThrow(
      /refcnt as edges and holders say is \d, and should be \d/,
    );
  });
});

/** drive, top, base under guests; `breakIt` does something to `top` that no operation would. */
function chainThat(breakIt: (top: BlockDriverState) => void): Scenario {
  return {
    name: "broken",
    title: "A graph that is broken on purpose.",
    *main(world): Polls<void> {
      const chain = yield* openChain(world);
      yield* world.sleep(PAUSE_NS);
      breakIt(chain.top);
      yield* world.sleep(PAUSE_NS);
      if (bdrvAllStates().length > 0) yield* closeChain(world, chain);
    },
  };
}
