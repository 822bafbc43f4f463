// The whole state of the nodes as text, with everything that an operation on the graph may change: the order of the lists,
// permissions, levels of drains, references, options, reasons against operations. Two texts are equal when nothing has changed.
//
// Not in it: what guests change (lengths, counters of requests). BlockBackends and jobs: core/jobs/block-layer-text.ts.

import { site } from "../probe/index.ts";
import { ioCode, perMachine } from "../sched/index.ts";
import { bdrvAllStates } from "./all-states.ts";
import type { BlockOptions } from "./block-options.ts";
import { BLOCK_OP_TYPES, type OpBlockReason } from "./op-blockers.ts";
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
  if (levels.length === 0) return "";
  return [...levels].sort((a, b) => a - b).join(",");
}

/** This runs twice an operation in storms: strings are put together without lists of them. */
function nodeLine(bs: BlockDriverState): string {
  let flags = bs.readOnly ? "ro" : "rw";
  if (bs.inactive) flags += ",inactive";
  if (bs.implicit) flags += ",implicit";
  if (bs.neverFreeze) flags += ",never-freeze";
  if (bs.forceShare) flags += ",force-share";
  if (bs.unmap) flags += ",unmap";
  if (bs.closed) flags += ",closed";
  if (bs.ejected) flags += ",ejected";
  const who = `${bs.nodeName} #${bs.id} (${bs.drv.formatName}) refs=${bs.refcnt} ctx=${bs.aioContext.name}`;
  const levels = `quiesce=${levelsText(bs.quiescedFor)}/${levelsText(bs.recursiveQuiescedFor)}`;
  const image = `inherits=${bs.inheritsFrom?.nodeName ?? "-"} backing-file=${bs.backingFile}:${bs.backingFormat}`;
  const options = `options=${asJson(bs.options)} explicit=${asJson(bs.explicitOptions)}`;
  const blocker = `backing-blocker=${bs.backingBlocker?.message ?? "-"}`;
  return `${who} ${flags} ${levels} ${image} ${options} ${blockedText(bs)} ${blocker}`;
}

/** The options of a node are replaced, never changed. */
const jsonOf = perMachine(() => new WeakMap<BlockOptions, string>());

function asJson(options: BlockOptions): string {
  let text = jsonOf().get(options);
  if (text === undefined) {
    text = JSON.stringify(options);
    jsonOf().set(options, text);
  }
  return text;
}

/** Reasons against operations, by number: two of them may say the same. */
const reasonNumbers = perMachine(() => new Map<OpBlockReason, number>());

function blockedText({ opBlockers }: BlockDriverState): string {
  let text = "blocked=";
  if (opBlockers.size === 0) return text;
  const numbers = reasonNumbers();
  for (const op of BLOCK_OP_TYPES) {
    const reasons = opBlockers.get(op);
    if (reasons === undefined) continue;
    text += ` ${op}`;
    for (const reason of reasons) {
      const number = numbers.get(reason) ?? numbers.size + 1;
      numbers.set(reason, number);
      text += `:${number}`;
    }
  }
  return text;
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
