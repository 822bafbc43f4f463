// The cases that QEMU 7.2 registers in the test files that are ported here, in its order; and two of a posting of March 2022 that
// were never merged. docs/qemu-tests.md has a row for each.

/** Type of drain, as part of a name. */
const DRAINS = ["drain_all", "drain", "drain_subtree"] as const;

function each(prefix: string, names: readonly string[]): string[] {
  return names.map((name) => `${prefix}/${name}`);
}

const BDRV_DRAIN = [
  ...each("/bdrv-drain/driver-cb", DRAINS),
  ...each("/bdrv-drain/driver-cb/co", DRAINS),
  ...each("/bdrv-drain/quiesce", DRAINS),
  ...each("/bdrv-drain/quiesce/co", DRAINS),
  ...each("/bdrv-drain", ["nested", "multiparent"]),
  ...each("/bdrv-drain/graph-change", ["drain_subtree", "drain_all"]),
  ...each("/bdrv-drain/iothread", DRAINS),
  ...each("/bdrv-drain/blockjob", DRAINS),
  ...each("/bdrv-drain/blockjob/error", DRAINS),
  ...each("/bdrv-drain/blockjob/iothread", DRAINS),
  ...each("/bdrv-drain/blockjob/iothread/error", DRAINS),
  "/bdrv-drain/deletion/drain",
  ...each("/bdrv-drain/detach", [...DRAINS, "parent_cb", "driver_cb"]),
  ...each("/bdrv-drain", ["attach/drain", "set_aio_context", "blockjob/commit_by_drained_end"]),
  ...each("/bdrv-drain", ["bdrv_drop_intermediate/poll", "replace_child/mid-drain"]),
];

const BLOCK_IOTHREAD = [
  ...each("/sync-op", [
    ...["pread", "pwrite", "preadv", "pwritev", "preadv_part", "pwritev_part"],
    ...["pwrite_compressed", "pwrite_zeroes", "load_vmstate", "save_vmstate", "pdiscard"],
    ...["truncate", "block_status", "flush", "check", "activate"],
  ]),
  ...each("/attach", ["blockjob", "second_node", "preserve_blk_ctx"]),
  ...each("/propagate", ["basic", "diamond", "mirror"]),
];

const AIO_BH = ["schedule", "schedule10", "cancel", "delete", "callback-delete/one"];
const AIO_COMMON = [
  ...each("bh", [...AIO_BH, "callback-delete/many", "flush"]),
  ...each("event", ["add-remove", "wait", "wait/no-flush-cb", "flush"]),
];

/** QEMU's file → its cases. */
export const QEMU_NAMES: Readonly<Record<string, readonly string[]>> = {
  "tests/unit/test-bdrv-drain.c": BDRV_DRAIN,
  "tests/unit/test-bdrv-drain.c (posted in March 2022, not merged)": each("/bdrv-drain/iothread", [
    "drain_main_and_then_iothread",
    "drain_parallel",
  ]),
  "tests/unit/test-bdrv-graph-mod.c": each("/bdrv-graph-mod", [
    ...["update-perm-tree", "should-update-child", "parallel-perm-update"],
    ...["parallel-exclusive-write", "append-greedy-filter"],
  ]),
  "tests/unit/test-block-iothread.c": BLOCK_IOTHREAD,
  "tests/unit/test-blockjob.c": [
    "/blockjob/ids",
    ...each("/blockjob/cancel", [
      ...["created", "running", "paused", "ready", "standby", "pending", "concluded"],
    ]),
    "/blockjob/complete_in_standby",
  ],
  "tests/unit/test-blockjob-txn.c": [
    ...each("/single", ["success", "failure", "cancel"]),
    ...each("/pair", ["success", "failure", "cancel", "fail-cancel-race"]),
  ],
  "tests/unit/test-aio.c": [
    "/aio/acquire",
    ...each("/aio", AIO_COMMON),
    ...each("/aio", ["external-client", "timer/schedule"]),
    ...each("/aio/coroutine", ["queue-chaining", "worker-thread-co-enter"]),
    "/aio-gsource/flush",
    ...each("/aio-gsource", [...AIO_COMMON, "timer/schedule"]),
  ],
  "tests/unit/test-aio-multithread.c": each("/aio/multi", [
    ...["lifecycle", "schedule", "mutex/contended", "mutex/handoff", "mutex/mcs", "mutex/pthread"],
  ]),
  "tests/unit/test-coroutine.c": [
    ...each("/basic", ["no-dangling-access", "lifecycle", "yield", "nesting", "self", "entered"]),
    ...each("/basic", ["in_coroutine", "order"]),
    ...each("/locking", ["co-mutex", "co-mutex/lockable"]),
    ...each("/locking/co-rwlock", ["upgrade", "downgrade"]),
    ...each("/perf", ["lifecycle", "nesting", "yield", "function-call", "cost"]),
  ],
  "tests/unit/test-block-backend.c": each("/block-backend", [
    "drain_aio_error",
    "drain_all_aio_error",
  ]),
  "tests/unit/test-throttle.c": each("/throttle", [
    ..."leak_bucket compute_wait init destroy have_timer detach_attach".split(" "),
    ..."config/enabled config/conflicting config/is_valid config/ranges config/max".split(" "),
    ..."config/iops_size config_functions accounting groups".split(" "),
  ]),
};
