// What must hold of a machine after every step, whatever the schedule was:
//
// - every counter of nodes, edges, BlockBackends, jobs and contexts is what the ledger of events says, and not negative;
// - the links of every list agree, an edge is linked on both sides, `file` and `backing` are children;
// - each node is quiesced as often as its own drains and its edges say (local-levels.ts);
// - permissions equal a recomputation from nothing (permission-watch.ts);
// - no request is in flight where a drain has made it quiet, unless the drainer sent it (quiet.ts);
// - a node has as many references as there are edges above it and holders elsewhere (with a `Holders` that says how many).
//
// Left out is only what an open operation on the graph has in its hands (motion.ts says what that is). When nothing is open,
// neither an operation nor a drain that begins or ends, the whole is also computed from nothing. A violation throws, which
// ends the run; whoever runs it has the seed and the trace.

import { blkAll } from "#core/backend";
import { AssertionError } from "#core/base";
import {
  assertGraphInvariants,
  type BdrvChild,
  BlockDriverState,
  bdrvAllStates,
} from "#core/graph";
import { allJobs } from "#core/jobs";
import type { ProbeBase } from "#core/probe";
import type { Machine } from "#core/sched";
import { expectEqual } from "./expect.ts";
import { Ledger } from "./ledger.ts";
import { expectedLevels } from "./levels.ts";
import { checkLocalLevels } from "./local-levels.ts";
import { PermissionWatch } from "./permission-watch.ts";

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
  /** Steps after which everything was at rest, so that the whole could be computed from nothing. */
  restingSteps = 0;
  readonly permissions = new PermissionWatch();

  constructor(inner: ProbeBase) {
    this.probe = new Ledger(inner);
  }

  /** Throws InvariantViolation when something does not hold. Reads state, emits nothing. */
  check(machine: Machine): void {
    try {
      this.#checkStep(machine);
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

  #checkStep(machine: Machine): void {
    const ledger = this.probe;
    const intruder = ledger.quiet.intruders[0];
    if (intruder !== undefined) throw new AssertionError(intruder);
    const { edited, levelled } = ledger;
    const nodes = bdrvAllStates();
    for (const bs of nodes) {
      this.#checkCounters(bs);
      this.#checkEdges(bs);
      if (edited || levelled) checkLocalLevels(bs, ledger);
      if (edited) this.#checkReferences(bs);
    }
    this.permissions.check(nodes, ledger.motion, edited);
    this.#checkOthers(machine);
    ledger.edited = false;
    ledger.levelled = false;
  }

  #checkCounters(bs: BlockDriverState): void {
    const ledger = this.probe;
    const { id } = bs;
    expectEqual(ledger.nodeLevels.get(id) ?? 0, bs.quiesceCounter, bs, "quiesce_counter");
    expectEqual(ledger.nodeInFlight.get(id) ?? 0, bs.inFlight, bs, "in_flight");
    const recursive = ledger.recursiveLevels.get(id) ?? 0;
    expectEqual(recursive, bs.recursiveQuiesceCounter, bs, "recursive_quiesce_counter");
    const references = ledger.references.get(id);
    if (references !== undefined) expectEqual(references, bs.refcnt, bs, "refcnt");
  }

  /** Contexts, BlockBackends and jobs. */
  #checkOthers(machine: Machine): void {
    const ledger = this.probe;
    for (const ctx of machine.contexts) {
      const disabled = ledger.external.get(ctx.id) ?? 0;
      const name = `context ${ctx.name}`;
      expectEqual(disabled, ctx.externalDisableCount, name, "external_disable_cnt");
    }
    for (const blk of blkAll()) {
      expectEqual(ledger.blkLevels.get(blk.id) ?? 0, blk.quiesceCounter, blk, "quiesce_counter");
      expectEqual(ledger.blkInFlight.get(blk.id) ?? 0, blk.inFlight, blk, "in_flight");
    }
    for (const job of allJobs())
      expectEqual(ledger.jobPauses.get(job.id) ?? 0, job.pauseCount, job, "pause_count");
  }

  /** An edge that nobody moves is in the list of its parent and of its node, or in neither. */
  #checkEdges(bs: BlockDriverState): void {
    const { motion, edgeLevels } = this.probe;
    const { rawChildren: children, rawParents: parents, rawFile: file, rawBacking: backing } = bs;
    for (let edge = children.first; edge !== null; edge = children.next(edge)) {
      if (motion.edges.has(edge.id)) continue;
      if (edge.opaque !== bs) fail(edge, "is among the children of a node that is not its parent");
      if (edge.rawBs?.rawParents.has(edge) !== true) fail(edge, "is not among its node's parents");
    }
    for (let edge = parents.first; edge !== null; edge = parents.next(edge)) {
      const levels = edgeLevels.get(edge.id) ?? 0;
      if (levels !== edge.parentQuiesceCounter)
        fail(edge, `has quiesced its parent ${edge.parentQuiesceCounter} times, not ${levels}`);
      if (motion.edges.has(edge.id)) continue;
      if (edge.rawBs !== bs) fail(edge, "is among the parents of a node that it does not point at");
      if (!(edge.opaque instanceof BlockDriverState)) continue;
      if (!edge.opaque.rawChildren.has(edge)) fail(edge, "is not among its parent's children");
    }
    for (const alias of [file, backing]) {
      if (alias === null || motion.edges.has(alias.id)) continue;
      if (!children.has(alias))
        fail(alias, `is file or backing of '${bs.nodeName}', and no child of it`);
    }
  }

  /** Between two operations, and for nodes that the open one has not touched: edges and holders. */
  #checkReferences(bs: BlockDriverState): void {
    const { motion } = this.probe;
    if (motion.references.has(bs.id) || motion.nodes.has(bs.id)) return;
    const edges = bs.rawParents.length;
    if (bs.refcnt < edges) expectEqual(edges, bs.refcnt, bs, "refcnt");
    const elsewhere = this.holders.referencesTo?.(bs);
    if (elsewhere === undefined) return;
    expectEqual(edges + elsewhere, bs.refcnt, bs, "refcnt as edges and holders say");
  }

  #checkAtRest(): void {
    const nodes = bdrvAllStates();
    const { quiet } = this.probe;
    assertGraphInvariants(nodes, quiet.ownLevels(0).all);
    const levels = expectedLevels(nodes, (node) => quiet.ownLevels(node));
    for (const bs of nodes) {
      const expected = levels.get(bs) ?? 0;
      expectEqual(
        expected,
        bs.quiesceCounter,
        bs,
        "quiesce_counter as the open sections and the graph say",
      );
    }
  }
}

/** How the run came here: what the schedule chose that the default policy would not have. */
function scheduleText({ choices, choiceCount }: Ledger, { contexts }: Machine): string {
  if (choiceCount === 0) return "The schedule is the default one.";
  const last = choices.map(({ ctx, steps }) => `${contexts[ctx]?.name ?? ctx} after ${steps}`);
  return `The schedule differs from the default one ${choiceCount} times, the last of them: ${last.join(", ")} steps.`;
}

function fail(edge: BdrvChild, what: string): never {
  throw new AssertionError(`edge ${edge.id} '${edge.name}' ${what}`);
}
