// The condition of a drain: whether anything that `walk` reached is still in flight. Evaluated anew at every turn of the
// wait, against the graph as it is then. Every counter that it reads is an event; the first busy one ends the evaluation.

import { assert, type NodeId, type SectionId } from "../base/index.ts";
import { childrenOf, edgeBs } from "../graph/access.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import { ioCode, ioOrGsCode, machine, modelAssert } from "../sched/index.ts";
import type { DrainWalk } from "./drain.ts";
import { bdrvParentDrainedPoll } from "./parent-drain.ts";

const SITE_POLL = site("bdrv_drain_poll");
const SITE_READ_IN_FLIGHT = site("read_in_flight");

/** bdrv_drain_poll (io.c:308): busy are a parent, the node itself or, in a subtree drain, a child. */
export function bdrvDrainPoll(bs: BlockDriverState, walk: DrainWalk): boolean {
  ioOrGsCode(bs.aioContext, SITE_POLL);
  assert(bs.inFlight >= 0, "an in-flight counter is not negative");
  if (bdrvParentDrainedPoll(bs, walk)) return true;
  if (readInFlight(bs, walk.section) > 0) return true;
  if (!walk.recursive) return false;
  modelAssert(!walk.ignoreBdsParents, "!ignore_bds_parents", SITE_POLL);
  for (const child of childrenOf(bs, SITE_POLL).snapshot()) {
    const childBs = edgeBs(child, SITE_POLL);
    assert(childBs !== null, "an edge in a list of children points at a node");
    if (bdrvDrainPoll(childBs, { ...walk, through: child, ignore: child })) return true;
  }
  return false;
}

/** The node's in-flight counter, read by the condition of `section`. */
export function readInFlight(
  bs: { readonly id: NodeId; readonly inFlight: number },
  section: SectionId,
): number {
  ioCode(null, SITE_READ_IN_FLIGHT);
  assert(bs.inFlight >= 0, "an in-flight counter is not negative");
  machine.probe.emit(Ev.bs_in_flight_read, bs.id, bs.inFlight, section);
  return bs.inFlight;
}
