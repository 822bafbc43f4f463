// Jobs over QMP: one mirror after the other, steered by every command there is for jobs, with QEMU's answers, errors and events.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const folder = daemonFolder();
let daemon: RunningDaemon;
let qmp: QmpClient;

beforeAll(async () => {
  const disk = (name: string) => ["--blockdev", `null-co,node-name=${name},size=1048576`];
  daemon = await startDaemon(folder, [
    ...["--object", "iothread,id=io0"],
    ...disk("src"),
    ...disk("dst"),
    ...["--blockdev", "null-co,node-name=small,size=65536"],
  ]);
  qmp = await qmpClient(join(folder, "qmp.sock"));
});
afterAll(() => removeFolder(folder));

const MIRROR = { "job-id": "job0", device: "src", target: "dst", sync: "full" };
const JOB = { id: "job0" };
const DEVICE = { device: "job0" };

async function status(wanted: string): Promise<void> {
  await qmp.event("JOB_STATUS_CHANGE", { id: "job0", status: wanted });
}

describe("jobs over QMP", () => {
  it.each([
    ["job-pause", JOB, "GenericError: Job not found"],
    ["job-resume", JOB, "GenericError: Job not found"],
    ["job-cancel", JOB, "GenericError: Job not found"],
    ["job-complete", JOB, "GenericError: Job not found"],
    ["job-finalize", JOB, "GenericError: Job not found"],
    ["job-dismiss", JOB, "GenericError: Job not found"],
    ["block-job-pause", DEVICE, "DeviceNotActive: Block job 'job0' not found"],
    ["block-job-resume", DEVICE, "DeviceNotActive: Block job 'job0' not found"],
    ["block-job-cancel", DEVICE, "DeviceNotActive: Block job 'job0' not found"],
    ["block-job-complete", DEVICE, "DeviceNotActive: Block job 'job0' not found"],
    ["block-job-finalize", JOB, "DeviceNotActive: Block job 'job0' not found"],
    ["block-job-dismiss", JOB, "DeviceNotActive: Block job 'job0' not found"],
    [
      "block-job-set-speed",
      { device: "job0", speed: 1 },
      "DeviceNotActive: Block job 'job0' not found",
    ],
    ["job-pause", {}, "GenericError: Parameter 'id' is missing"],
    ["query-jobs", { all: true }, "GenericError: Parameter 'all' is unexpected"],
    ["query-block-jobs", { all: true }, "GenericError: Parameter 'all' is unexpected"],
  ])("%s refuses what is not there: %o", async (command, args, why) => {
    expect(await qmp.refusal(command, args)).toBe(why);
  });

  it.each([
    [{ target: "none" }, "Cannot find device='none' nor node-name='none'"],
    [{ sync: "most" }, "Parameter 'sync' does not accept value 'most'"],
    [{ granularity: 100 }, "Parameter 'granularity' expects a value in range [512B, 64MB]"],
    [{ granularity: 1000 }, "Parameter 'granularity' expects a power of 2"],
    [{ speed: "fast" }, "Invalid parameter type for 'speed', expected: integer"],
    [{ speed: -1 }, "Parameter 'speed' expects a non-negative value"],
    [{ "job-id": "0job" }, "Invalid job ID '0job'"],
    [{ sync: "bitmap" }, "Sync mode 'bitmap' not supported"],
    [{ replaces: "src" }, "blockdev-mirror does not support 'replaces'"],
    [{ target: "src" }, "Can't mirror node into itself"],
  ])("blockdev-mirror refuses %o", async (change, why) => {
    expect(await qmp.refusal("blockdev-mirror", { ...MIRROR, ...change })).toBe(
      `GenericError: ${why}`,
    );
    expect(await qmp.execute("query-jobs")).toEqual([]);
  });

  it("a mirror is watched, paused, slowed down and cancelled", async () => {
    await qmp.execute("x-blockdev-set-iothread", { "node-name": "src", iothread: "io0" });
    await qmp.execute("blockdev-mirror", { ...MIRROR, speed: 65_536 });
    await status("created");
    await status("running");
    const info = { type: "mirror", status: "running" };
    const progress = { "current-progress": 65_536, "total-progress": 1_048_576 };
    expect(await qmp.execute("query-jobs")).toEqual([{ id: "job0", ...info, ...progress }]);
    expect(await qmp.refusal("block-job-set-speed", { device: "job0", speed: -1 })).toBe(
      "GenericError: Parameter 'speed' expects a non-negative value",
    );
    expect(await qmp.refusal("job-complete", JOB)).toBe(
      "GenericError: Job 'job0' in state 'running' cannot accept command verb 'complete'",
    );
    await qmp.execute("block-job-pause", DEVICE);
    await status("paused");
    expect(await qmp.execute("query-block-jobs")).toEqual([
      {
        ...{ device: "job0", type: "mirror", len: 1_048_576, offset: 65_536, speed: 65_536 },
        ...{ busy: false, paused: true, ready: false, status: "paused", "io-status": "ok" },
        ...{ "auto-finalize": true, "auto-dismiss": true },
      },
    ]);
    expect(await qmp.refusal("job-pause", JOB)).toBe("GenericError: Job is already paused");
    expect(await qmp.refusal("block-job-cancel", DEVICE)).toBe(
      "GenericError: The block job for device 'job0' is currently paused",
    );
    await qmp.execute("block-job-resume", DEVICE);
    await status("running");
    expect(await qmp.refusal("job-resume", JOB)).toBe(
      "GenericError: Can't resume a job that was not paused",
    );
    await qmp.execute("block-job-cancel", { device: "job0", force: true });
    const cancelled = await qmp.event("BLOCK_JOB_CANCELLED");
    expect(cancelled).toMatchObject({
      timestamp: { seconds: expect.any(Number), microseconds: expect.any(Number) },
      data: { device: "job0", type: "mirror", len: 1_048_576, offset: 65_536, speed: 65_536 },
    });
    await status("null");
  });

  it("a mirror in an iothread goes through all of its states, in their order", async () => {
    const manual = { "auto-finalize": false, "auto-dismiss": false, "filter-node-name": "top" };
    await qmp.execute("blockdev-mirror", { ...MIRROR, ...manual });
    const ready = await qmp.event("BLOCK_JOB_READY", DEVICE);
    expect(ready.data).toMatchObject({ len: 1_048_576, offset: 1_048_576, type: "mirror" });
    await qmp.execute("job-pause", JOB);
    await status("standby");
    await qmp.execute("job-resume", JOB);
    await status("ready");
    await qmp.execute("block-job-complete", DEVICE);
    await status("waiting");
    expect(await qmp.event("BLOCK_JOB_PENDING")).toMatchObject({
      data: { type: "mirror", id: "job0" },
    });
    expect(await qmp.refusal("block-job-dismiss", JOB)).toBe(
      "GenericError: Job 'job0' in state 'pending' cannot accept command verb 'dismiss'",
    );
    await qmp.execute("job-finalize", JOB);
    await qmp.event("BLOCK_JOB_COMPLETED", DEVICE);
    await status("concluded");
    expect(await qmp.refusal("block-job-finalize", JOB)).toBe(
      "GenericError: Job 'job0' in state 'concluded' cannot accept command verb 'finalize'",
    );
    await qmp.execute("job-dismiss", JOB);
    await status("null");
    expect(await qmp.execute("query-block-jobs")).toEqual([]);
  });

  it("a mirror that fails says why", async () => {
    await qmp.execute("blockdev-mirror", { ...MIRROR, target: "small", "auto-dismiss": false });
    expect(await qmp.event("BLOCK_JOB_COMPLETED", DEVICE)).toMatchObject({
      data: { error: "Source and target image have different sizes" },
    });
    await status("concluded");
    expect(await qmp.execute("query-jobs")).toMatchObject([
      { status: "concluded", error: "Source and target image have different sizes" },
    ]);
    await qmp.execute("block-job-dismiss", JOB);
  });

  it("one that runs is cancelled when the daemon ends", async () => {
    await qmp.execute("blockdev-mirror", { ...MIRROR, speed: 1024 });
    await qmp.execute("quit");
    await qmp.event("SHUTDOWN");
    await qmp.event("BLOCK_JOB_CANCELLED");
    await status("null");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });
});
