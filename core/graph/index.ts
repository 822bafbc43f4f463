export { backingOf, childrenOf, edgeBs, fileOf, parentsOf } from "./access.ts";
export {
  bdrvActivate,
  bdrvActivateAll,
  bdrvCoInvalidateCache,
  bdrvInactivateAll,
  bdrvInvalidateCache,
} from "./activate.ts";
export {
  bdrvChangeAioContext,
  bdrvChildChangeAioContext,
  bdrvTryChangeAioContext,
} from "./aio-context.ts";
export { bdrvAllStates, bdrvSetMonitorOwned } from "./all-states.ts";
export { bdrvAttachChild, bdrvRootAttachChild, type EdgeSpec } from "./attach.ts";
export {
  type BeforeCommit,
  bdrvBackingRole,
  bdrvSetBackingHd,
  bdrvSetFileOrBackingNoperm,
} from "./backing.ts";
export { BlockError, type Outcome, settle, unwrap } from "./block-error.ts";
export { type BlockLimits, NO_LIMITS } from "./block-limits.ts";
export {
  type BlockOptions,
  type BlockOptionValue,
  CACHED,
  type CacheOptions,
  cacheAsOptions,
  cacheOf,
  type DetectZeroes,
  detectZeroesOf,
  type ReopenState,
} from "./block-options.ts";
export { qmpBlockdevReopen } from "./blockdev-reopen.ts";
export {
  bdrvChainContains,
  bdrvCowChild,
  bdrvFilterChild,
  bdrvFilterOrCowBs,
  bdrvFilterOrCowChild,
  bdrvPrimaryChild,
  bdrvRecurseHasChild,
  bdrvSkipFilters,
  bdrvSkipImplicitFilters,
} from "./chain.ts";
export { bdrvParentCbChangeMedia } from "./change-media.ts";
export { childOfBds } from "./child-of-bds.ts";
export { BLKDEBUG_EVENTS, type BlkdebugEvent, isBlkdebugEvent } from "./debug-events.ts";
export { bdrvDefaultPerms, bdrvIsWritable, bdrvIsWritableAfterReopen } from "./default-perms.ts";
export { bdrvRootUnrefChild, bdrvUnrefChild } from "./detach.ts";
export * from "./driver-results.ts";
export { bdrvDropIntermediate } from "./drop-intermediate.ts";
export { withDrained, withSubtreeDrained } from "./edit-drains.ts";
export {
  bdrvFreezeBackingChain,
  bdrvIsBackingChainFrozen,
  bdrvUnfreezeBackingChain,
} from "./freeze.ts";
export { graphOp } from "./graph-op.ts";
export {
  type DrawnGraph,
  type DriverOf,
  edgeOf,
  graphFromText,
  graphToText,
  graphToTextWithPerms,
} from "./graph-text.ts";
export { bdrvInheritsFromRecursive, bdrvSetInheritsFrom } from "./inherits-from.ts";
export { assertGraphInvariants } from "./invariants.ts";
export { bdrvGetDeviceName, bdrvGetDeviceOrNodeName, bdrvGetParentName } from "./names.ts";
export { bdrvFindNode, bdrvNew, bdrvRef, bdrvUnref } from "./node-life.ts";
export {
  BLOCK_OP_TYPES,
  type BlockOpType,
  bdrvOpBlock,
  bdrvOpBlockAll,
  bdrvOpBlockerIsEmpty,
  bdrvOpIsBlocked,
  bdrvOpUnblock,
  bdrvOpUnblockAll,
  type OpBlockReason,
} from "./op-blockers.ts";
export {
  bdrvInsertNode,
  bdrvInsertNodeOpenedBy,
  bdrvOpenDriver,
  bdrvOpenedFor,
  bdrvSetCache,
  bdrvSetCommonOptions,
  type ChildSpec,
  type CommonOptions,
  type InsertOptions,
  type OpenOptions,
} from "./open-node.ts";
export * from "./permission-bits.ts";
export {
  bdrvChildPerm,
  bdrvChildRefreshPerms,
  bdrvChildSetPerm,
  bdrvChildTrySetPerm,
  bdrvGetCumulativePerm,
  bdrvListRefreshPerms,
  bdrvRefreshPerms,
  bdrvTopologicalDfs,
} from "./permissions.ts";
export { assertPermissions, assertShared, permissionsFromScratch } from "./permissions-check.ts";
export { bdrvAddChild, bdrvDelChild, quorumAddChild, quorumDelChild } from "./quorum-children.ts";
export { bdrvReopen, bdrvReopenMultiple, bdrvReopenSetReadOnly } from "./reopen.ts";
export { BlockReopenQueue, bdrvReopenQueue, type ReopenEntry } from "./reopen-queue.ts";
export {
  bdrvAppend,
  bdrvDropFilter,
  bdrvReplaceChildBs,
  bdrvReplaceChildTran,
  bdrvReplaceNode,
} from "./replace-node.ts";
export * from "./state.ts";
export {
  type FaultInjector,
  faultInjector,
  inTransaction,
  Transaction,
  type TransactionAction,
  tranAbort,
  tranAdd,
  tranCommit,
  tranFaultPoint,
  tranNew,
} from "./transaction.ts";
export {
  PLAIN_TRUNCATION,
  PREALLOC_MODES,
  type PreallocMode,
  type Truncation,
} from "./truncation.ts";
export { bdrvChangeBackingFile } from "./update-filename.ts";
export { assertBdrvGraphWritable } from "./writable.ts";
