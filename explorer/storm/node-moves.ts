// Moves that change what a node was opened with, or what may be done to it: a reopen of one or two nodes that gives them other
// backing files, and reasons against operations, which a storm keeps for a while and gives up again.

import { overlayDriver } from "#core/drivers";
import {
  BLOCK_OP_TYPES,
  type BlockDriverState,
  type BlockOpType,
  bdrvOpBlock,
  bdrvOpIsBlocked,
  bdrvOpUnblock,
  type OpBlockReason,
  qmpBlockdevReopen,
} from "#core/graph";
import { type Polls, patchOn } from "#core/sched";
import { fits } from "./shapes.ts";
import type { StormState } from "./storm-state.ts";

const BLOCKS_MAX = 4;

/** A reason against an operation on a node; the storm holds a reference to the node. */
export interface StormBlock {
  readonly bs: BlockDriverState;
  readonly op: BlockOpType;
  readonly reason: OpBlockReason;
}

/** blockdev-reopen of one or two overlays: each gets another backing file, or none. */
export function* reopenBacking(storm: StormState): Polls<void> {
  const isOverlay = ({ drv }: BlockDriverState): boolean => drv === overlayDriver;
  const first = storm.pick(storm.nodes(), isOverlay);
  if (first === undefined) return;
  // Whoever reopens two nodes holds both: the one may lose its last parent by what happens to the other. And two together may
  // make a diamond, where neither does alone.
  const second = storm.pick(
    storm.nodes(),
    (bs) => isOverlay(bs) && bs !== first && storm.holds(bs) && storm.holds(first),
  );
  const pair = second !== undefined && !patchOn(4) && storm.prng.chance(1, 3);
  const both = pair ? [first, second] : [first];
  const list = both.map((bs) => ({ bs, backing: backingFor(storm, bs) }));
  if (list.some(({ bs, backing }) => backing !== null && !fits([bs], backing))) return;
  const options = list.map(({ bs, backing }) => ({
    driver: bs.drv.formatName,
    "node-name": bs.nodeName,
    backing: backing === null ? null : backing.nodeName,
  }));
  yield* storm.attempt(() => qmpBlockdevReopen(options));
}

/** blockdev-reopen of a node with a file child, a format or a filter: another node becomes its file. */
export function* reopenFile(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes(), ({ rawFile }) => rawFile !== null);
  const file = storm.pick(storm.nodes(), (other) => other !== bs);
  if (bs === undefined || file === undefined || !fits([bs], file)) return;
  const options = { driver: bs.drv.formatName, "node-name": bs.nodeName, file: file.nodeName };
  yield* storm.attempt(() => qmpBlockdevReopen([options]));
}

function backingFor(storm: StormState, bs: BlockDriverState): BlockDriverState | null {
  if (storm.prng.chance(1, 4)) return null;
  return storm.pick(storm.nodes(), (other) => other !== bs) ?? null;
}

/** Somebody does not want an operation on a node, or does no longer mind. */
export function* blockOperation(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  const op = storm.pick(BLOCK_OP_TYPES);
  if (bs === undefined || op === undefined || storm.blocks.length >= BLOCKS_MAX) {
    yield* unblockOperation(storm);
    return;
  }
  yield* storm.attempt(function* (): Polls<void> {
    const refusal = bdrvOpIsBlocked(bs, op);
    if (refusal !== null) throw refusal;
    const block = { bs, op, reason: { message: "a storm is on" } };
    bdrvOpBlock(bs, op, block.reason);
    storm.ref(bs);
    storm.blocks.push(block);
  });
}

export function* unblockOperation(storm: StormState): Polls<void> {
  const block = storm.blocks.splice(storm.prng.below(storm.blocks.length + 1), 1)[0];
  if (block === undefined) return;
  bdrvOpUnblock(block.bs, block.op, block.reason);
  yield* storm.letGo(block.bs);
}
