// What must hold of a machine after every step, whatever the schedule was.
//
// Always: every counter is what the ledger of events says, the links of every list agree, an edge is linked on both sides or
// on none (but for those that an open operation is moving), and nobody starts a request where a drain has made everything
// quiet. When no operation and no drain is on its way, also: each node is quiesced as often as the open drained sections and
// the shape of the graph say, computed from nothing, and each node has as many references as there are edges above it and
// holders elsewhere. A violation throws, which ends the run; whoever runs it has the seed and the trace.

import { blkAll } from "#core/backend";
import { AssertionError } from "#core/base";
import {
  assertGraphInvariants,
  type BdrvChild,
  BlockDriverState,
  bdrvAllStates,
} from "#core/graph";
import type { ProbeBase } from "#core/probe";
import type { Machine } from "#core/sched";
import { Ledger } from "./ledger.ts";
import { expectedLevels } from "./levels.ts";

/** What a run knows about itself that the checker cannot see. */
export interface Holders {
  /** References to `bs` that are not edges; undefined when nobody keeps count. */
  readonly referencesTo?: (bs: BlockDriverState) => number;
}

/** A violated invariant, with the step after which it was seen and the schedule that led there. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/** Checks one run: give `probe` to the machine, and call `check` after each step. */
export class InvariantChecker {
  readonly probe: Ledger;
  holders: Holders = {};
  /** Steps after which everything was at rest, so that all invariants were checked. */
  restingSteps = 0;

  constructor(inner: ProbeBase) {
    this.probe = new Ledger(inner);
  }

  /** Throws InvariantViolation when something does not hold. Reads state, emits nothing. */
  check(machine: Machine): void {
    try {
      this.#checkAlways(machine);
      if (this.probe.moving > 0) return;
      this.restingSteps++;
      if (this.probe.changed) this.#checkAtRest();
      this.probe.changed = false;
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      throw new InvariantViolation(
        `after step ${machine.steps}: ${error.message}\n${scheduleText(this.probe, machine)}`,
        { cause: error },
      );
    }
  }

  #checkAlways(machine: Machine): void {
    const ledger = this.probe;
    const intruder = ledger.intruders[0];
    if (intruder !== undefined) throw new AssertionError(intruder);
    for (const bs of bdrvAllStates()) {
      equal(ledger.nodeLevels.get(bs.id) ?? 0, bs.quiesceCounter, bs, "quiesce_counter");
      equal(ledger.nodeInFlight.get(bs.id) ?? 0, bs.inFlight, bs, "in_flight");
      const recursive = ledger.recursiveLevels.get(bs.id) ?? 0;
      equal(recursive, bs.recursiveQuiesceCounter, bs, "recursive_quiesce_counter");
      if (ledger.references.has(bs.id))
        equal(ledger.references.get(bs.id) ?? 0, bs.refcnt, bs, "refcnt");
      this.#checkEdges(bs);
    }
    for (const ctx of machine.contexts) {
      const disabled = ledger.external.get(ctx.id) ?? 0;
      expect(disabled, ctx.externalDisableCount, `context ${ctx.name}`, "external_disable_cnt");
    }
    for (const blk of blkAll()) {
      const what = `BlockBackend ${blk.id}`;
      expect(ledger.blkLevels.get(blk.id) ?? 0, blk.quiesceCounter, what, "quiesce_counter");
      expect(ledger.blkInFlight.get(blk.id) ?? 0, blk.inFlight, what, "in_flight");
    }
  }

  /** An edge that nobody moves is in the list of its parent and of its node, or in neither. */
  #checkEdges(bs: BlockDriverState): void {
    for (const edge of bs.rawChildren.snapshot()) {
      if (this.probe.edgesInMotion.has(edge.id)) continue;
      if (edge.opaque !== bs) fail(edge, "is among the children of a node that is not its parent");
      if (edge.rawBs?.rawParents.has(edge) !== true) fail(edge, "is not among its node's parents");
    }
    for (const edge of bs.rawParents.snapshot()) {
      const levels = this.probe.edgeLevels.get(edge.id) ?? 0;
      if (levels !== edge.parentQuiesceCounter)
        fail(edge, `has quiesced its parent ${edge.parentQuiesceCounter} times, not ${levels}`);
      if (this.probe.edgesInMotion.has(edge.id)) continue;
      if (edge.rawBs !== bs) fail(edge, "is among the parents of a node that it does not point at");
      if (!(edge.opaque instanceof BlockDriverState)) continue;
      if (!edge.opaque.rawChildren.has(edge)) fail(edge, "is not among its parent's children");
    }
  }

  #checkAtRest(): void {
    const nodes = bdrvAllStates();
    const drainAlls = this.probe.ownLevels(0).all;
    assertGraphInvariants(nodes, drainAlls);
    const levels = expectedLevels(nodes, (node) => this.probe.ownLevels(node));
    for (const bs of nodes) {
      const expected = levels.get(bs);
      if (expected === undefined) continue;
      equal(
        expected,
        bs.quiesceCounter,
        bs,
        "quiesce_counter as the open sections and the graph say",
      );
      const elsewhere = this.holders.referencesTo?.(bs);
      if (elsewhere === undefined) continue;
      equal(bs.rawParents.length + elsewhere, bs.refcnt, bs, "refcnt as edges and holders say");
    }
  }
}

/** How the run came here: what the schedule chose that the default policy would not have. */
function scheduleText({ choices, choiceCount }: Ledger, { contexts }: Machine): string {
  if (choiceCount === 0) return "The schedule is the default one.";
  const last = choices.map(({ ctx, steps }) => `${contexts[ctx]?.name ?? ctx} after ${steps}`);
  return `The schedule differs from the default one ${choiceCount} times, the last of them: ${last.join(", ")} steps.`;
}

function equal(expected: number, actual: number, bs: BlockDriverState, what: string): void {
  if (expected !== actual) expect(expected, actual, `node '${bs.nodeName}'`, what);
}

function expect(expected: number, actual: number, whose: string, what: string): void {
  if (expected === actual) return;
  throw new AssertionError(`${whose}: ${what} is ${actual}, and should be ${expected}`);
}

function fail(edge: BdrvChild, what: string): never {
  throw new AssertionError(`edge ${edge.id} '${edge.name}' ${what}`);
}
