// The events that drivers and the block layer tell `blkdebug` of (QAPI: BlkdebugEvent), with the words that rules name them by.

import { assert } from "../base/index.ts";

/** In QEMU's order. Those of drivers and of features that are not here are names that no rule is refused for. */
export const BLKDEBUG_EVENTS = [
  "l1_update",
  "l1_grow_alloc_table",
  "l1_grow_write_table",
  "l1_grow_activate_table",
  "l2_load",
  "l2_update",
  "l2_update_compressed",
  "l2_alloc_cow_read",
  "l2_alloc_write",
  "read_aio",
  "read_backing_aio",
  "read_compressed",
  "write_aio",
  "write_compressed",
  "vmstate_load",
  "vmstate_save",
  "cow_read",
  "cow_write",
  "reftable_load",
  "reftable_grow",
  "reftable_update",
  "refblock_load",
  "refblock_update",
  "refblock_update_part",
  "refblock_alloc",
  "refblock_alloc_hookup",
  "refblock_alloc_write",
  "refblock_alloc_write_blocks",
  "refblock_alloc_write_table",
  "refblock_alloc_switch_table",
  "cluster_alloc",
  "cluster_alloc_bytes",
  "cluster_free",
  "flush_to_os",
  "flush_to_disk",
  "pwritev_rmw_head",
  "pwritev_rmw_after_head",
  "pwritev_rmw_tail",
  "pwritev_rmw_after_tail",
  "pwritev",
  "pwritev_zero",
  "pwritev_done",
  "empty_image_prepare",
  "l1_shrink_write_table",
  "l1_shrink_free_l2_clusters",
  "cor_write",
  "cluster_alloc_space",
  "none",
] as const;

/** One of them. */
export type BlkdebugEvent = (typeof BLKDEBUG_EVENTS)[number];

assert(new Set(BLKDEBUG_EVENTS).size === BLKDEBUG_EVENTS.length, "events have different names");

/** qapi_enum_parse for events: whether `word` is one. Common. */
export function isBlkdebugEvent(word: string): word is BlkdebugEvent {
  return (BLKDEBUG_EVENTS as readonly string[]).includes(word);
}
