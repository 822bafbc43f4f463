// What QEMU's own tests say to a monitor, as dialogs for our daemon: the commands of iotests 030 and 151 with their arguments, on
// smaller images, and what QEMU 7.2 answered there, as far as it does not depend on time and place.
//
// A step is a command with its answer; "*" is any number or text. Every answer and event is read by its type besides (answer-types.ts).
// What comes with a later issue (stream, commit, mirroring actively) stands with the answer of today, so that its coming is seen.

/** A command, what it is given, and what is answered: a value, or an error with its class. */
export interface Step {
  readonly execute: string;
  readonly args?: object;
  readonly answer?: unknown;
  readonly error?: string;
  /** Events that come after it, in this order, among others. */
  readonly events?: readonly (readonly [name: string, data: object])[];
}

export interface Dialog {
  readonly title: string;
  /** Options of the daemon, in a folder with source.qcow2, target.qcow2 and a chain img-0.img, img-1.qcow2, img-2.qcow2. */
  readonly options: readonly string[];
  readonly steps: readonly Step[];
}

const qemuIo = (device: string, text: string, answer = ""): Step => ({
  execute: "human-monitor-command",
  args: { "command-line": `qemu-io ${device} "${text}"` },
  answer,
});
const command = (execute: string, args: object = {}, answer: unknown = {}): Step => ({
  ...{ execute, args, answer },
});
const refused = (execute: string, args: object, error: string): Step => ({ execute, args, error });
const status = (id: string, ...words: readonly string[]) =>
  words.map((word) => ["JOB_STATUS_CHANGE", { id, status: word }] as const);

const NO_JOBS = [command("query-jobs", {}, []), command("query-block-jobs", {}, [])];
const QUIT: Step = {
  ...{ execute: "quit", answer: {} },
  events: [["SHUTDOWN", { guest: false, reason: "host-qmp-quit" }]],
};
const FILTER = { "job-id": "mirror", "filter-node-name": "mirror-node" };
const MIRROR = { device: "source-node", target: "target-node", sync: "full" };
const progress = { len: "*", offset: "*", speed: 0, type: "mirror" };
const blockJob = {
  ...{ "auto-finalize": true, "io-status": "ok", device: "mirror", "auto-dismiss": true },
  ...{ busy: "*", len: "*", offset: "*", paused: false, speed: "*", status: "*", ready: "*" },
  type: "mirror",
};

const SOURCE =
  "id=source,if=none,node-name=source-node,driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=source.qcow2";
const TARGET = "node-name=target-node,driver=qcow2,file.driver=file,file.filename=target.qcow2";
const CHAIN =
  "if=virtio,id=drive0,file=img-2.qcow2,format=qcow2,cache=writeback,aio=threads,node-name=node2,backing.node-name=node1,backing.backing.node-name=node0";

/** Nodes as query-named-block-nodes tells of them. */
const node = (name: string, drv: string, depth: number, more: object = {}, image: object = {}) => ({
  ...{ bps: 0, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0, encrypted: false },
  ...{ "node-name": name, drv, backing_file_depth: depth, detect_zeroes: "off", file: "*" },
  ...{ cache: { "no-flush": false, direct: false, writeback: true }, write_threshold: 0, ro: "*" },
  ...more,
  image: { filename: "*", format: drv, "virtual-size": "*", "actual-size": "*", ...image },
});

export const DIALOGS: readonly Dialog[] = [
  {
    title: "151: a guest writes while its disk is mirrored",
    options: ["--drive", SOURCE, "--blockdev", TARGET],
    steps: [
      qemuIo("source", "write -P 1 0 4194304"),
      ...[0, 1, 2].map((i) => qemuIo("source", `aio_write -P 2 ${i * 1048576} 1M`)),
      refused(
        "blockdev-mirror",
        { ...FILTER, ...MIRROR, "copy-mode": "write-blocking" },
        "GenericError: blockdev-mirror does not support copy-mode=write-blocking",
      ),
      {
        ...command("blockdev-mirror", { ...FILTER, ...MIRROR }),
        events: status("mirror", "created", "running", "ready"),
      },
      ...[0, 1, 2].map((i) => qemuIo("source", `aio_write -P 3 ${i * 1048576} 64k`)),
      ...[3, 2, 1].map((i) => qemuIo("source", `aio_write -z ${i * 524288} 64k`)),
      qemuIo("source", "aio_flush"),
      command("query-block-jobs", {}, [blockJob]),
      {
        ...command("block-job-complete", { device: "mirror" }),
        events: [
          ...status("mirror", "waiting", "pending"),
          ["BLOCK_JOB_COMPLETED", { device: "mirror", ...progress }],
          ...status("mirror", "concluded", "null"),
        ],
      },
      ...NO_JOBS,
      QUIT,
    ],
  },
  {
    title: "151: requests are held at a breakpoint of blkdebug",
    options: ["--drive", SOURCE, "--blockdev", TARGET],
    steps: [
      qemuIo("source", "write -P 1 0 3M"),
      qemuIo("source", "write -P 2 1048576 1"),
      qemuIo("source", "break write_aio A"),
      qemuIo("source", "aio_write 0 64k"),
      qemuIo("source", "wait_break A"),
      qemuIo("source", "break write_aio B"),
      qemuIo("source", "aio_write 64k 64k"),
      qemuIo("source", "wait_break B"),
      qemuIo("source", "resume A"),
      qemuIo("source", "resume B"),
      qemuIo("source", "aio_flush"),
      ...NO_JOBS,
      QUIT,
    ],
  },
  {
    title: "151: a throttled disk with a client of its own is mirrored",
    options: [],
    steps: [
      command("object-add", {
        ...{ "qom-type": "throttle-group", id: "thrgr" },
        limits: { "iops-total": 1024, "iops-total-max": 1024 },
      }),
      command("blockdev-add", {
        ...{ "node-name": "source-node", driver: "throttle", "throttle-group": "thrgr" },
        file: { driver: "qcow2", file: { driver: "file", filename: "source.qcow2" } },
      }),
      command("blockdev-add", {
        ...{ "node-name": "target-node", driver: "qcow2" },
        file: { driver: "file", filename: "target.qcow2" },
      }),
      command("nbd-server-start", { addr: { type: "unix", data: { path: "nbd.sock" } } }),
      command("block-export-add", {
        ...{ id: "exp0", type: "nbd", "node-name": "source-node", writable: true },
      }),
      qemuIo("source-node", "aio_write -P 1 0 1048576"),
      {
        ...command("blockdev-mirror", { "job-id": "mirror", ...MIRROR }),
        events: status("mirror", "created", "running", "ready"),
      },
      command("query-jobs", {}, [
        {
          ...{ id: "mirror", type: "mirror", status: "ready" },
          ...{ "current-progress": "*", "total-progress": "*" },
        },
      ]),
      {
        ...command("block-job-cancel", { device: "mirror", force: true }),
        events: status("mirror", "aborting", "concluded", "null"),
      },
      ...NO_JOBS,
      { ...QUIT, events: [...(QUIT.events ?? []), ["BLOCK_EXPORT_DELETED", { id: "exp0" }]] },
    ],
  },
  {
    title: "030: a chain of images, its jobs, and a node that is added read-only",
    options: ["--drive", CHAIN],
    steps: [
      command("query-block-jobs", {}, []),
      refused(
        "block-stream",
        { device: "drive0", "on-error": "enospc" },
        "CommandNotFound: The command block-stream has not been found",
      ),
      refused(
        "block-commit",
        { "job-id": "commit-drive0", device: "drive0" },
        "CommandNotFound: The command block-commit has not been found",
      ),
      ...[
        refused("block-job-cancel", { device: "drive0", force: false }, ""),
        refused("block-job-pause", { device: "drive0" }, ""),
        refused("block-job-resume", { device: "drive0" }, ""),
        refused("block-job-complete", { device: "drive0" }, ""),
        refused("block-job-set-speed", { device: "drive0", speed: 8388608 }, ""),
      ].map((step) => ({ ...step, error: "DeviceNotActive: Block job 'drive0' not found" })),
      command("query-named-block-nodes", {}, [
        node("node0", "raw", 0),
        node("*", "file", 0),
        ...["node1", "*", "node2", "*"].map((name) =>
          name === "*" ? node("*", "file", 0) : node(name, "qcow2", name === "node1" ? 1 : 2),
        ),
      ]),
      command("blockdev-add", {
        ...{ "node-name": "ro-top", driver: "qcow2", "read-only": true, backing: "node2" },
        file: { driver: "file", filename: "target.qcow2", "read-only": true },
      }),
      command("blockdev-del", { "node-name": "ro-top" }),
      QUIT,
    ],
  },
];
