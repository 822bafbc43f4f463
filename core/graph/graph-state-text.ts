// The whole state of the nodes as text, with everything that an operation on the graph may change: the order of the lists,
// permissions, levels of drains, references, options, reasons against operations. Two texts are equal when nothing has changed.
//
// Not in it: what guests change (lengths, counters of requests). BlockBackends and jobs: core/jobs/block-layer-text.ts.

import { site } from "../probe/index.ts";
import { ioCode } from "../sched/index.ts";
import { bdrvAllStates } from "./all-states.ts";
import type { BdrvChild } from "./state.ts";
import { BlockDriverState } from "./state.ts";

const SITE_GRAPH_STATE_TO_TEXT = site("graph_state_to_text");

/** One line a node and one an edge, in the order of the lists. Reads without leaving events. */
export function graphStateToText(nodes: Iterable<BlockDriverState> = bdrvAllStates()): string {
  ioCode(null, SITE_GRAPH_STATE_TO_TEXT);
  const lines: string[] = [];
  for (const bs of nodes) {
    lines.push(nodeLine(bs));
    for (const edge of bs.rawChildren.snapshot()) lines.push(`  ${edgeLine(bs, edge)}`);
    lines.push(`  parents: ${bs.rawParents.snapshot().map(parentWord).join(" ")}`);
  }
  return lines.join("\n");
}

/** On whose behalf something is quiesced: the sections, in no order, as one text. Common. */
export function levelsText(levels: readonly number[]): string {
  return [...levels].sort((a, b) => a - b).join(",");
}

function nodeLine(bs: BlockDriverState): string {
  const flags = {
    rw: !bs.readOnly,
    inactive: bs.inactive,
    implicit: bs.implicit,
    "never-freeze": bs.neverFreeze,
    "force-share": bs.forceShare,
    unmap: bs.unmap,
    closed: bs.closed,
  };
  const isSet = Object.entries(flags).flatMap(([word, holds]) => (holds ? [word] : []));
  const blocked = [...bs.opBlockers]
    .filter(([, reasons]) => reasons.length > 0)
    .map(([op, reasons]) => `${op}:${reasons.map(({ message }) => message).join("|")}`)
    .sort();
  return [
    `${bs.nodeName} #${bs.id} (${bs.drv.formatName}) refs=${bs.refcnt} ctx=${bs.aioContext.name}`,
    isSet.join(","),
    `quiesce=${levelsText(bs.quiescedFor)}/${levelsText(bs.recursiveQuiescedFor)}`,
    `inherits=${bs.inheritsFrom?.nodeName ?? "-"} backing-file=${bs.backingFile}:${bs.backingFormat}`,
    `options=${JSON.stringify(bs.options)} explicit=${JSON.stringify(bs.explicitOptions)}`,
    `blocked=${blocked.join(";")} backing-blocker=${bs.backingBlocker?.message ?? "-"}`,
  ].join(" ");
}

function edgeLine(parent: BlockDriverState, edge: BdrvChild): string {
  const alias = parent.rawFile === edge ? " =file" : parent.rawBacking === edge ? " =backing" : "";
  const to = edge.rawBs?.nodeName ?? "?";
  return `-${edge.name}#${edge.id}-> ${to}${alias} role=${edge.role}`;
}

/** Everything of an edge is told where it is a parent's: there are all of them, those of BlockBackends and jobs too. */
function parentWord(edge: BdrvChild): string {
  const { opaque, klass, parentId, name, id, perm, sharedPerm, frozen, quiescedFor } = edge;
  const parent = opaque instanceof BlockDriverState ? opaque.nodeName : `${klass.name}${parentId}`;
  const state = `perm=${perm}/${sharedPerm} quiesce=${levelsText(quiescedFor)}`;
  return `${parent}.${name}#${id}(${state}${frozen ? " frozen" : ""})`;
}
