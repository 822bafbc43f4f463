// The whole state of the graph as text: what graphToText draws and everything else that an operation may change. Two texts
// are equal when nothing has changed: what tests and the fault injection compare before and after a refusal.

import { site } from "../probe/index.ts";
import { ioCode } from "../sched/index.ts";
import { bdrvAllStates } from "./all-states.ts";
import type { BdrvChild, BlockDriverState } from "./state.ts";

const SITE_GRAPH_STATE_TO_TEXT = site("graph_state_to_text");

/** One line a node and one an edge, in the order of the lists. Reads without leaving events. */
export function graphStateToText(nodes: Iterable<BlockDriverState> = bdrvAllStates()): string {
  ioCode(null, SITE_GRAPH_STATE_TO_TEXT);
  const lines: string[] = [];
  for (const bs of nodes) {
    lines.push(nodeLine(bs));
    for (const edge of bs.rawChildren.snapshot()) lines.push(`  ${edgeLine(edge)}`);
    lines.push(`  parents: ${bs.rawParents.snapshot().map(parentWord).join(" ")}`);
  }
  return lines.join("\n");
}

function nodeLine(bs: BlockDriverState): string {
  const flags = [
    bs.readOnly ? "ro" : "rw",
    bs.inactive ? "inactive" : "",
    bs.implicit ? "implicit" : "",
    bs.neverFreeze ? "never-freeze" : "",
    bs.closed ? "closed" : "",
  ].filter((word) => word !== "");
  const blocked = [...bs.opBlockers]
    .map(([op, reasons]) => `${op}:${reasons.map(({ message }) => message).join("|")}`)
    .sort();
  return [
    `${bs.nodeName} #${bs.id} refs=${bs.refcnt} ctx=${bs.aioContext.name} ${flags.join(",")}`,
    `quiesce=${bs.quiescedFor.join(",")}/${bs.recursiveQuiescedFor.join(",")}`,
    `inherits=${bs.inheritsFrom?.nodeName ?? "-"} backing-file=${bs.backingFile}`,
    `options=${JSON.stringify(bs.options)} explicit=${JSON.stringify(bs.explicitOptions)}`,
    `blocked=${blocked.join(";")}`,
  ].join(" ");
}

function edgeLine(edge: BdrvChild): string {
  const parent = edge.opaque as BlockDriverState;
  const alias = parent.rawFile === edge ? " =file" : parent.rawBacking === edge ? " =backing" : "";
  const to = edge.rawBs?.nodeName ?? "?";
  const perms = `perm=${edge.perm}/${edge.sharedPerm}`;
  const frozen = edge.frozen ? " frozen" : "";
  const levels = edge.quiescedFor.join(",");
  return `-${edge.name}#${edge.id}-> ${to}${alias} role=${edge.role} ${perms}${frozen} quiesce=${levels}`;
}

function parentWord(edge: BdrvChild): string {
  const perms = `perm=${edge.perm}/${edge.sharedPerm}`;
  return `${edge.klass.name}${edge.parentId}.${edge.name}#${edge.id}(${perms})`;
}
