// A filter that fails requests by rule, as QEMU's `blkdebug` does with its `inject-error` rules; all others pass.

import { assert, EIO } from "../base/index.ts";
import { fileOf } from "../graph/access.ts";
import type { BlockDriver, BlockDriverState } from "../graph/state.ts";
import { aioCoSchedule, type Co, qemuCoroutineSelf, qemuCoroutineYield } from "../sched/index.ts";
import { passThrough } from "./filter.ts";

/** Kinds of request that a rule can name (C: BlkdebugIOType). */
export type BlkdebugIoType = "read" | "write" | "write_zeroes" | "discard" | "flush";

/** Which requests fail, and how. */
export interface InjectErrorRule {
  /** Default: all. */
  readonly types?: readonly BlkdebugIoType[];
  /** Requests that touch this range; default: the whole node. A flush touches every range. */
  readonly offset?: number;
  readonly bytes?: number;
  /** Positive; default EIO. */
  readonly errno?: number;
  /** The rule is gone after its first use. */
  readonly once?: boolean;
  /** Fail in the step of the request; else after one turn of the event loop. */
  readonly immediately?: boolean;
}

/** The rules of one node, which tests and scenarios may change while it runs. C: BDRVBlkdebugState. */
export class InjectErrorState {
  readonly rules: InjectErrorRule[];
  constructor(rules: readonly InjectErrorRule[]) {
    this.rules = [...rules];
  }
}

const pass = passThrough(fileOf);

/** A filter of its `file`, with an InjectErrorState as its opaque. */
export const injectErrorDriver: BlockDriver = {
  formatName: "inject-error",
  ...pass,
  coPreadv: (bs, offset, bytes, qiov, flags) =>
    checked(bs, "read", offset, bytes, () => pass.coPreadv?.(bs, offset, bytes, qiov, flags)),
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    checked(bs, "write", offset, bytes, () => pass.coPwritev?.(bs, offset, bytes, qiov, flags)),
  coPwriteZeroes: (bs, offset, bytes, flags) =>
    checked(bs, "write_zeroes", offset, bytes, () =>
      pass.coPwriteZeroes?.(bs, offset, bytes, flags),
    ),
  coPdiscard: (bs, offset, bytes) =>
    checked(bs, "discard", offset, bytes, () => pass.coPdiscard?.(bs, offset, bytes)),
  coFlushToDisk: (bs) => checked(bs, "flush", 0, 0, () => undefined),
};

/** Fail by the first rule that fits, else let `go` on; a flush goes on by itself, to the children. */
function* checked(
  bs: BlockDriverState,
  type: BlkdebugIoType,
  offset: number,
  bytes: number,
  go: () => Co<number> | undefined,
): Co<number> {
  const rule = takeRule(bs, type, offset, bytes);
  if (rule === undefined) {
    const co = go();
    return co === undefined ? 0 : yield* co;
  }
  if (rule.immediately !== true) yield* oneTurn();
  return -(rule.errno ?? EIO);
}

/** rule_check (block/blkdebug.c:591). */
function takeRule(
  bs: BlockDriverState,
  type: BlkdebugIoType,
  offset: number,
  bytes: number,
): InjectErrorRule | undefined {
  assert(bs.opaque instanceof InjectErrorState, "the node injects errors");
  const { rules } = bs.opaque;
  const at = rules.findIndex((rule) => fits(rule, type, offset, bytes));
  const rule = rules[at];
  if (rule?.once === true) rules.splice(at, 1);
  return rule;
}

function fits(rule: InjectErrorRule, type: BlkdebugIoType, offset: number, bytes: number): boolean {
  if (rule.types !== undefined && !rule.types.includes(type)) return false;
  if (type === "flush") return true;
  const start = rule.offset ?? 0;
  const end = rule.bytes === undefined ? Number.POSITIVE_INFINITY : start + rule.bytes;
  return offset < end && offset + bytes > start;
}

function* oneTurn(): Co<void> {
  const self = qemuCoroutineSelf();
  assert(self.ctx !== null, "a running coroutine has a context");
  aioCoSchedule(self.ctx, self);
  yield* qemuCoroutineYield();
}
