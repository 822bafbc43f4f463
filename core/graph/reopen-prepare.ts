// The part of a reopen that can fail, for one node: its options are looked at, the driver stages its own, and children are
// exchanged in the transaction.
//
// A child named by its node-name can be in quite another part of the graph, which the drains of the caller do not reach. Patch
// 8 drains it from the moment it is found until the transaction is over, commit or abort (`clean` runs after both). Without
// the patch it is drained only by what the edge brings along once it is attached.

import { assert, EINVAL, EPERM } from "../base/index.ts";
import { bdrvSubtreeDrainedBeginUnlocked, bdrvSubtreeDrainedEndUnlocked } from "../io/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert, type Polls, patchOn } from "../sched/index.ts";
import { backingOf, childrenOf, edgeBs, fileOf } from "./access.ts";
import { bdrvSetFileOrBackingNoperm } from "./backing.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import { detectZeroesOf, hasOption, type ReopenState, withoutOption } from "./block-options.ts";
import { bdrvRecurseHasChild, bdrvSkipImplicitFilters } from "./chain.ts";
import { bdrvGetDeviceOrNodeName } from "./names.ts";
import { bdrvFindNode, bdrvRef, bdrvUnref } from "./node-life.ts";
import type { BlockDriverState } from "./state.ts";
import { type Transaction, tranAdd, tranFaultPoint } from "./transaction.ts";

const SITE_PREPARE = site("bdrv_reopen_prepare");
const SITE_PARSE = site("bdrv_reopen_parse_file_or_backing");

/** Options that every node has, and that need no driver to change. */
const COMMON_OPTIONS = [
  "discard",
  "cache.direct",
  "cache.no-flush",
  "read-only",
  "auto-read-only",
  "detect-zeroes",
] as const;
/** They may be left out, although they cannot be changed. */
const MAY_BE_LEFT_OUT: readonly string[] = ["node-name", ...COMMON_OPTIONS];

/**
 * bdrv_reopen_prepare (block.c:4619): stage what `state` asks of its node, children in `tran`. BlockError when it cannot be;
 * then nothing is staged in the driver. Polls.
 */
export function* bdrvReopenPrepare(state: ReopenState, tran: Transaction): Polls<void> {
  globalStateCode(SITE_PREPARE);
  const { drv } = state.bs;
  assert(!state.bs.closed, "the node is open");
  detectZeroesOf(state.options);
  if (state.readOnly && state.bs.copyOnRead > 0) {
    const name = bdrvGetDeviceOrNodeName(state.bs);
    throw new BlockError(EINVAL, `Can't set node '${name}' to r/o with copy-on-read enabled`);
  }
  state.remaining = COMMON_OPTIONS.reduce<ReopenState["remaining"]>(withoutOption, state.options);
  yield* prepareDriver(state);
  const rest = yield* settle(() => prepareRest(state, tran));
  if (rest.ok) return;
  const polls = drv.reopenAbort?.(state);
  if (polls !== undefined) yield* polls;
  throw rest.error;
}

function* prepareDriver(state: ReopenState): Polls<void> {
  const { bs } = state;
  const { reopenPrepare, formatName, mutableOptions = [] } = bs.drv;
  if (reopenPrepare === undefined) {
    const node = `Block format '${formatName}' used by node '${bdrvGetDeviceOrNodeName(bs)}'`;
    throw new BlockError(EPERM, `${node} does not support reopening files`);
  }
  for (const name of Object.keys(bs.options)) {
    if (hasOption(state.options, name)) continue;
    if (MAY_BE_LEFT_OUT.includes(name) || mutableOptions.includes(name)) continue;
    throw new BlockError(EINVAL, `Option '${name}' cannot be reset to its default value`);
  }
  const polls = reopenPrepare(state);
  if (polls !== undefined) yield* polls;
}

function* prepareRest(state: ReopenState, tran: Transaction): Polls<void> {
  const { bs } = state;
  if (bs.drv.supportsBacking === true && state.backingMissing) {
    if (backingOf(bs, SITE_PREPARE) !== null || bs.backingFile !== "")
      throw new BlockError(EINVAL, `backing is missing for '${bs.nodeName}'`);
  }
  for (const name of ["backing", "file"] as const) {
    yield* bdrvReopenParseFileOrBacking(state, name, tran);
    state.remaining = withoutOption(state.remaining, name);
  }
  refuseWhatNobodyKnows(state);
}

/** An option that is left is the name of a child that is there, or is as it was; BlockError for the first other one. */
function refuseWhatNobodyKnows(state: ReopenState): void {
  const { bs } = state;
  for (const [name, value] of Object.entries(state.remaining)) {
    if (nodeNameOfChild(bs, name) === value || bs.options[name] === value) continue;
    throw new BlockError(EINVAL, `Cannot change the option '${name}'`);
  }
}

function nodeNameOfChild(bs: BlockDriverState, name: string): string | undefined {
  const children = childrenOf(bs, SITE_PREPARE);
  let child = children.first;
  while (child !== null && child.name !== name) child = children.next(child);
  return child === null ? undefined : edgeBs(child, SITE_PREPARE)?.nodeName;
}

/**
 * bdrv_reopen_parse_file_or_backing (block.c:4523): if the options name another node as the child `name`, or none, exchange
 * it in `tran`. Polls.
 */
function* bdrvReopenParseFileOrBacking(
  state: ReopenState,
  name: "backing" | "file",
  tran: Transaction,
): Polls<void> {
  globalStateCode(SITE_PARSE);
  const value = state.options[name];
  if (value === undefined) return;
  const newBs = value === null ? null : nodeCalled(String(value));
  modelAssert(newBs !== null || name === "backing", "is_backing", SITE_PARSE);
  if (newBs === null || !patchOn(8)) return yield* exchangeChild(state, name, newBs, tran);
  bdrvRef(newBs);
  yield* bdrvSubtreeDrainedBeginUnlocked(newBs, SITE_PARSE);
  const done = yield* settle(() => exchangeChild(state, name, newBs, tran));
  // Whether it was attached or refused: the end of the transaction may still take it away again.
  tranAdd(tran, {
    name: "bdrv_reopen_drained_child",
    clean: () => endDrain(newBs),
  });
  unwrap(done);
}

function* endDrain(bs: BlockDriverState): Polls<void> {
  yield* bdrvSubtreeDrainedEndUnlocked(bs, SITE_PARSE);
  yield* bdrvUnref(bs);
}

/** bdrv_lookup_bs (block.c:6096) without a device. */
function nodeCalled(nodeName: string): BlockDriverState {
  const bs = nodeName === "" ? null : bdrvFindNode(nodeName);
  if (bs !== null) return bs;
  throw new BlockError(EINVAL, `Cannot find device='' nor node-name='${nodeName}'`);
}

/** Point the edge `name` of the node at `newBs`, or at nothing, unless it is there already. Polls. */
function* exchangeChild(
  state: ReopenState,
  name: "backing" | "file",
  newBs: BlockDriverState | null,
  tran: Transaction,
): Polls<void> {
  const { bs } = state;
  const old = name === "backing" ? backingOf(bs, SITE_PARSE) : fileOf(bs, SITE_PARSE);
  const oldBs = old === null ? null : edgeBs(old, SITE_PARSE);
  if (newBs !== null && bdrvRecurseHasChild(newBs, bs)) {
    const edge = `Making '${newBs.nodeName}' a ${name} child of '${bs.nodeName}'`;
    throw new BlockError(EINVAL, `${edge} would create a cycle`);
  }
  if (oldBs === newBs) return;
  if (oldBs !== null) {
    if (bdrvSkipImplicitFilters(oldBs) === newBs) return;
    if (oldBs.implicit)
      throw new BlockError(EPERM, `Cannot replace implicit ${name} child of ${bs.nodeName}`);
  }
  if (bs.drv.isFilter && oldBs === null) {
    const filter = `'${bs.nodeName}' is a ${bs.drv.formatName} filter node`;
    throw new BlockError(EINVAL, `${filter} that does not support a ${name} child`);
  }
  if (name === "backing") state.oldBackingBs = oldBs;
  else state.oldFileBs = oldBs;
  yield* bdrvSetFileOrBackingNoperm(bs, newBs, name === "backing", tran);
  tranFaultPoint("bdrv_reopen_parse_file_or_backing");
}
