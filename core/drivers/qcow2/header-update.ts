// Changing the header of an open image. All of it is written at once; a field or a feature bit never changes halfway, as what
// matters for consistency is in the first 512 bytes, which a disk writes whole.

import { assert } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { headerBytesOf, type Qcow2Header } from "./header.ts";
import { barrier, writeMetadata } from "./metadata-io.ts";
import { stateOf } from "./state.ts";

const SITE_UPDATE = site("qcow2_update_header");
const SITE_FEATURE = site("qcow2_set_incompatible");

/** qcow2_update_header: write the header with `changes`, between two barriers. 0 or a negated errno. Under the lock. */
export function* updateHeader(bs: BlockDriverState, changes: Partial<Qcow2Header>): Co<number> {
  ioCode(bs.aioContext, SITE_UPDATE);
  assert(!bs.readOnly, "the header of a read-only image stays");
  const state = stateOf(bs);
  const header = { ...state.header, ...changes };
  let bytes: Uint8Array;
  try {
    bytes = headerBytesOf(header);
  } catch (error) {
    if (error instanceof BlockError) return -error.errno;
    throw error;
  }
  let ret = yield* barrier(bs);
  if (ret >= 0) ret = yield* writeMetadata(bs, 0, bytes);
  if (ret >= 0) ret = yield* barrier(bs);
  if (ret >= 0) state.header = header;
  return ret;
}

/** Set or clear bits of the incompatible features; 0 or a negated errno. */
export function* setIncompatible(bs: BlockDriverState, bits: number, on: boolean): Co<number> {
  ioCode(bs.aioContext, SITE_FEATURE);
  const { incompatible } = stateOf(bs).header;
  assert(stateOf(bs).header.version >= 3, "version 2 has no features");
  return yield* updateHeader(bs, { incompatible: on ? incompatible | bits : incompatible & ~bits });
}
