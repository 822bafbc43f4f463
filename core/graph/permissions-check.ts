// What permissions must be between two operations, computed from nothing: the edges of BlockBackends and jobs have what these
// asked for, and from there downwards each driver is asked anew. Emits nothing and changes nothing; tests and the checker
// after every step (explorer/invariants) hold it against what the edges have.

import { AssertionError, assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode } from "../sched/index.ts";
import { BLK_PERM_ALL, bdrvPermNames, type Permissions } from "./permission-bits.ts";
import { bdrvChildPerm } from "./permissions.ts";
import { type BdrvChild, BlockDriverState } from "./state.ts";

const SITE_PERMISSIONS_FROM_SCRATCH = site("permissions_from_scratch");
const SITE_ASSERT_PERMISSIONS = site("assert_permissions");
const SITE_ASSERT_SHARED = site("assert_shared");

/** The permissions that each edge to one of `nodes` should have. */
export function permissionsFromScratch(
  nodes: readonly BlockDriverState[],
): ReadonlyMap<BdrvChild, Permissions> {
  globalStateCode(SITE_PERMISSIONS_FROM_SCRATCH);
  const ofEdges = new Map<BdrvChild, Permissions>();
  const ofNodes = new Map<BlockDriverState, Permissions>();
  for (const bs of nodes) cumulative(bs, ofNodes, ofEdges);
  assert(ofNodes.size >= nodes.length, "every node was looked at");
  return ofEdges;
}

/** Every edge to one of `nodes` has what permissionsFromScratch says, and shares what the others beside it have. */
export function assertPermissions(nodes: readonly BlockDriverState[]): void {
  globalStateCode(SITE_ASSERT_PERMISSIONS);
  for (const [edge, { perm, sharedPerm }] of permissionsFromScratch(nodes)) {
    assert((edge.perm & ~BLK_PERM_ALL) === 0, "there are four permissions");
    if (edge.perm === perm && edge.sharedPerm === sharedPerm) continue;
    const has = `has ${asText(edge)}, and should have ${asText({ perm, sharedPerm })}`;
    throw new AssertionError(`edge ${edge.id} '${edge.name}' ${has}`);
  }
  for (const bs of nodes) assertShared(bs);
}

function asText({ perm, sharedPerm }: Permissions): string {
  const words = (bits: number): string =>
    bits === BLK_PERM_ALL ? "all" : bdrvPermNames(bits) || "none";
  return `perm: ${words(perm)}; shared: ${words(sharedPerm)}`;
}

function cumulative(
  bs: BlockDriverState,
  ofNodes: Map<BlockDriverState, Permissions>,
  ofEdges: Map<BdrvChild, Permissions>,
): Permissions {
  const known = ofNodes.get(bs);
  if (known !== undefined) return known;
  let perm = 0;
  let sharedPerm = BLK_PERM_ALL;
  for (const edge of bs.rawParents.snapshot()) {
    const asked = askedOf(edge, bs, ofNodes, ofEdges);
    ofEdges.set(edge, asked);
    perm |= asked.perm;
    sharedPerm &= asked.sharedPerm;
  }
  ofNodes.set(bs, { perm, sharedPerm });
  return { perm, sharedPerm };
}

function askedOf(
  edge: BdrvChild,
  bs: BlockDriverState,
  ofNodes: Map<BlockDriverState, Permissions>,
  ofEdges: Map<BdrvChild, Permissions>,
): Permissions {
  const parent = edge.opaque;
  // A node that is being closed asks for nothing any more; its edges keep what they have until they are detached.
  if (!(parent instanceof BlockDriverState) || parent.closed)
    return { perm: edge.perm, sharedPerm: edge.sharedPerm };
  return bdrvChildPerm(parent, bs, edge, edge.role, cumulative(parent, ofNodes, ofEdges));
}

/** What one parent of `bs` has, all others share. */
export function assertShared(bs: BlockDriverState): void {
  globalStateCode(SITE_ASSERT_SHARED);
  const edges = bs.rawParents.snapshot();
  for (const a of edges)
    for (const b of edges)
      assert(a === b || (b.perm & ~a.sharedPerm) === 0, "what one parent has, the others share");
}
