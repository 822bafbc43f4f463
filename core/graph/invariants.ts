// What holds of every graph between two operations, whatever was done to it. Tests and scenarios call this; core code does not,
// because some of it can be broken by QEMU's own protocol (patch 4's order, edits inside drain_all), and that is a finding.

import { assert, type SectionId } from "../base/index.ts";
import { assertPermissions } from "./permissions-check.ts";
import type { EdgeParent } from "./state.ts";
import { type BdrvChild, BlockDriverState, type EdgeList } from "./state.ts";

/** Check all nodes of a graph. `drainAllCount` is the number of drains of everything that are open. Common. */
export function assertGraphInvariants(nodes: Iterable<BlockDriverState>, drainAllCount = 0): void {
  const all = [...nodes];
  assertPermissions(all);
  for (const bs of all) {
    assertList(bs.rawChildren);
    assertList(bs.rawParents);
    for (const child of bs.rawChildren.snapshot()) assertChild(bs, child);
    for (const child of bs.rawParents.snapshot()) assertParentEdge(bs, child, drainAllCount);
    assertAliases(bs);
    assert(bs.refcnt >= bs.rawParents.length, "each edge above a node holds a reference");
    assert(!bs.closed, "a closed node is in no graph");
    assert(
      bs.recursiveQuiesceCounter <= bs.quiesceCounter,
      "a subtree drain is a drain of each node in it",
    );
  }
}

function assertList(list: EdgeList): void {
  const edges = list.snapshot();
  assert(edges.length === list.length, "a list counts what it holds");
  assert(new Set(edges).size === edges.length, "an edge is in a list once");
  let previous: BdrvChild | null = null;
  for (const edge of edges) {
    const back = list.which === "children" ? edge.previousInChildren : edge.previousInParents;
    assert(back === previous, "the links of a list agree in both directions");
    previous = edge;
  }
}

function assertChild(bs: BlockDriverState, child: BdrvChild): void {
  assert(child.opaque === bs, "the children of a node are its own");
  assert(child.rawBs !== null, "a child points at a node");
  assert(
    child.rawBs.rawParents.snapshot().includes(child),
    "an edge in children is in the parents of its node",
  );
  assert(child.rawBs.aioContext === bs.aioContext, "an edge does not cross contexts");
}

function assertParentEdge(bs: BlockDriverState, child: BdrvChild, drainAllCount: number): void {
  assert(child.rawBs === bs, "the edges above a node point at it");
  const levels = child.parentQuiesceCounter;
  if (!child.klass.parentIsBds) {
    assert(levels === bs.quiesceCounter, "an edge quiesces its parent as often as its node is");
    assert(sameLevels(child.quiescedFor, bs.quiescedFor), "and for the same sections");
    assertHeld(child);
    return;
  }
  const parent = child.opaque;
  assert(parent instanceof BlockDriverState, "the parent of this edge is a node");
  assert(
    parent.rawChildren.snapshot().includes(child),
    "an edge in parents is in the children of its parent",
  );
  // Levels that came down through this edge, and those of drain_all, are not passed up through it.
  const fromElsewhere = bs.quiesceCounter - parent.recursiveQuiesceCounter;
  assert(levels <= fromElsewhere, "a parent is quiesced no more often than its child");
  assert(levels >= fromElsewhere - drainAllCount, "a parent is quiesced as often as its child");
  assertHeld(child);
}

/** Every level of an edge is a level of its parent. */
function assertHeld(child: BdrvChild): void {
  const held = [...(child.opaque as EdgeParent).quiescedFor];
  for (const section of child.quiescedFor) {
    const at = held.indexOf(section);
    assert(at >= 0, "what an edge has quiesced its parent for, its parent is quiesced for");
    held.splice(at, 1);
  }
}

function sameLevels(a: readonly SectionId[], b: readonly SectionId[]): boolean {
  const order = (x: number, y: number): number => x - y;
  const [left, right] = [[...a].sort(order), [...b].sort(order)];
  return left.length === right.length && left.every((section, i) => section === right[i]);
}

function assertAliases(bs: BlockDriverState): void {
  const children = bs.rawChildren.snapshot();
  const { rawFile: file, rawBacking: backing } = bs;
  assert(file === null || children.includes(file), "file is one of the children");
  assert(backing === null || children.includes(backing), "backing is one of the children");
  assert(file === null || file !== backing, "file and backing are two edges");
}
