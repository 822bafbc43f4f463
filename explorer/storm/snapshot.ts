// The whole graph as one text: two graphs with the same text are the same to every later operation, but for the order of a
// list's elements (a rollback links at the head again, as QEMU's does).

import { blkAll } from "#core/backend";
import { type BdrvChild, type BlockDriverState, bdrvAllStates } from "#core/graph";

/** Nodes, edges, BlockBackends, with their references, drain levels, permissions and, when asked for, contexts. */
export function snapshotOfGraph(withContexts: boolean): string {
  const text = everything();
  return withContexts ? text : text.replaceAll(/ ctx \d+/g, "");
}

function everything(): string {
  const nodes = bdrvAllStates().map(nodeLine);
  const backends = blkAll().map(
    (blk) =>
      `blk ${blk.id} ctx ${blk.ctx.id} root ${blk.rawRoot?.id ?? "-"} q ${blk.quiesceCounter}`,
  );
  return [...nodes, ...backends].join("\n");
}

function nodeLine(bs: BlockDriverState): string {
  const { nodeName, drv, aioContext, refcnt, quiesceCounter, readOnly, rawFile, rawBacking } = bs;
  const state = `ctx ${aioContext.id} refs ${refcnt} q ${quiesceCounter}${readOnly ? " ro" : ""}`;
  const aliases = `file ${rawFile?.id ?? "-"} backing ${rawBacking?.id ?? "-"}`;
  const children = edgesOf(bs.rawChildren.snapshot());
  const parents = edgesOf(bs.rawParents.snapshot());
  const blocked = [...bs.opBlockers].map(([op, reasons]) => `${op}:${reasons.length}`).sort();
  return `${nodeName} (${drv.formatName}) ${state} ${aliases} blocked ${blocked.join(" ")}\n  below ${children}\n  above ${parents}`;
}

function edgesOf(edges: readonly BdrvChild[]): string {
  const ordered = [...edges].sort((a, b) => a.id - b.id);
  return ordered
    .map(
      ({ id, name, role, rawBs, frozen, perm, sharedPerm, quiescedFor }) =>
        `${id}:${name}:${role}->${rawBs?.nodeName ?? "-"} perm ${perm}/${sharedPerm} q ${quiescedFor.length}${frozen ? " frozen" : ""}`,
    )
    .join(", ");
}
