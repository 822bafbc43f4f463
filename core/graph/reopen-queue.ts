// The queue of a reopen: which nodes get which options, worked out before anything changes.
//
//      bdrv_reopen_queue(top, { "backing.read-only": false })        a node in the queue brings along the children that its
//        top  --backing-->  base   (inheritsFrom = top)              own options made (inheritsFrom), but no others: those
//             --file-->     disk   (a node of its own)               are only named, and `backing.x` for them is an error.
//
// Of several sources of an option the first counts: given now; given when the node was opened; inherited from the parent;
// what it was. The last two are dropped when unnamed options are to be reset (`keepOldOptions` off). Nodes are drained from
// here to the end of bdrv_reopen_multiple (reopen.ts).

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert } from "../sched/index.ts";
import { childrenOf, edgeBs } from "./access.ts";
import { type BlockOptions, hasOption, type ReopenState, splitOptions } from "./block-options.ts";
import { BDRV_CHILD_COW, type BdrvChild, type BlockDriverState } from "./state.ts";

const SITE_QUEUE = site("bdrv_reopen_queue_child");

/** A node in the queue (C: BlockReopenQueueEntry). */
export interface ReopenEntry {
  readonly state: ReopenState;
  /** bdrv_reopen_prepare has succeeded. */
  prepared: boolean;
}

/** C: BlockReopenQueue, parents before the children that they bring along. */
export class BlockReopenQueue {
  readonly entries: ReopenEntry[] = [];
}

/**
 * bdrv_reopen_queue (block.c:4338): add `bs`, which is drained, with new `options`, and the children that its options made.
 * With `keepOldOptions`, options that are not named stay; without it they are reset. Returns `queue`, or a new one.
 */
export function bdrvReopenQueue(
  queue: BlockReopenQueue | null,
  bs: BlockDriverState,
  options: BlockOptions,
  keepOldOptions: boolean,
): BlockReopenQueue {
  globalStateCode(SITE_QUEUE);
  assert(!bs.closed, "the node is open");
  const into = queue ?? new BlockReopenQueue();
  queueChild(into, bs, { options, keepOldOptions, parent: null });
  assert(
    into.entries.some(({ state }) => state.bs === bs),
    "the node is in the queue",
  );
  return into;
}

interface Request {
  readonly options: BlockOptions;
  readonly keepOldOptions: boolean;
  /** The options of the parent that brings the node along, and the role of the edge. */
  readonly parent: { readonly options: BlockOptions; readonly role: number } | null;
}

/** bdrv_reopen_queue_child (block.c:4158). */
function queueChild(queue: BlockReopenQueue, bs: BlockDriverState, request: Request): void {
  modelAssert(bs.quiesceCounter > 0, "bs->quiesce_counter > 0", SITE_QUEUE);
  const { keepOldOptions, parent } = request;
  const old = queue.entries.find(({ state }) => state.bs === bs);
  const explicitBefore =
    old !== undefined || keepOldOptions ? (old?.state.explicitOptions ?? bs.explicitOptions) : {};
  const explicitOptions = { ...explicitBefore, ...request.options };
  const inherited = parent === null ? {} : inheritedOptions(parent.role, parent.options);
  const retained = keepOldOptions ? bs.options : {};
  const options = { ...retained, ...inherited, ...explicitOptions };
  const entry = old ?? newEntry(queue, bs);
  Object.assign(entry.state, { options, explicitOptions, remaining: options });
  entry.state.readOnly = isOn(options["read-only"]);
  if (!keepOldOptions) {
    entry.state.backingMissing =
      !hasOption(options, "backing") && !hasOption(options, "backing.driver");
  }
  queueChildren(queue, entry.state, keepOldOptions);
}

function newEntry(queue: BlockReopenQueue, bs: BlockDriverState): ReopenEntry {
  const state: ReopenState = {
    bs,
    options: {},
    explicitOptions: {},
    remaining: {},
    readOnly: bs.readOnly,
    backingMissing: false,
    oldBackingBs: null,
    oldFileBs: null,
    opaque: null,
  };
  const entry: ReopenEntry = { state, prepared: false };
  queue.entries.push(entry);
  return entry;
}

/** The children that the options of `state.bs` made come along, with the options that carry their name. */
function queueChildren(queue: BlockReopenQueue, state: ReopenState, keepOldOptions: boolean): void {
  const { bs } = state;
  const children = childrenOf(bs, SITE_QUEUE);
  for (let child = children.first; child !== null; child = children.next(child)) {
    const childBs = edgeBs(child, SITE_QUEUE);
    if (childBs === null || childBs.inheritsFrom !== bs) continue;
    const options = takeChildOptions(state, child, childBs);
    if (options === null) continue;
    queueChild(queue, childBs, {
      options,
      keepOldOptions: keepOldOptions || hasOption(state.options, child.name),
      parent: { options: state.options, role: child.role },
    });
  }
}

/** Null when another node, or none, is to be there: then the present child is not reopened. */
function takeChildOptions(
  state: ReopenState,
  child: BdrvChild,
  childBs: BlockDriverState,
): BlockOptions | null {
  if (hasOption(state.options, child.name))
    return state.options[child.name] === childBs.nodeName ? {} : null;
  const prefix = `${child.name}.`;
  state.explicitOptions = splitOptions(state.explicitOptions, prefix).outside;
  const { inside, outside } = splitOptions(state.options, prefix);
  state.options = outside;
  state.remaining = outside;
  return inside;
}

/** bdrv_inherited_options (block.c:1377): what a child takes over. A backing file is read-only unless it says otherwise. */
function inheritedOptions(role: number, parent: BlockOptions): BlockOptions {
  const inherited: Record<string, BlockOptions[string]> = {};
  const copy = (name: string): void => {
    const value = parent[name];
    if (value !== undefined) inherited[name] = value;
  };
  for (const name of ["cache.direct", "cache.no-flush", "force-share"]) copy(name);
  if ((role & BDRV_CHILD_COW) !== 0) inherited["read-only"] = true;
  else copy("read-only");
  return inherited;
}

/** Options that are given as text are "on" or "off". */
function isOn(value: BlockOptions[string] | undefined): boolean {
  return value === true || value === "on";
}
