// QEMU's tables of states and verbs as it writes them, a column a state; and the two meters of a job.

import { expect, it } from "vitest";
import type { Polls } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import {
  ProgressMeter,
  progressGetSnapshot,
  progressIncreaseRemaining,
  progressSetRemaining,
  progressWorkDone,
} from "./progress.ts";
import { RateLimit, ratelimitCalculateDelay, ratelimitSetSpeed } from "./ratelimit.ts";
import { JobSTT, JobVerbTable } from "./status.ts";

const STATES = Object.keys(JobSTT) as (keyof typeof JobSTT)[];

function rowsOf(table: Readonly<Record<string, readonly string[]>>): Record<string, string> {
  const row = (allowed: readonly string[]): string =>
    STATES.map((state) => (allowed.includes(state) ? "1" : "0")).join("");
  return Object.fromEntries(Object.entries(table).map(([key, allowed]) => [key, row(allowed)]));
}

it("a job goes from state to state as JobSTT says", () => {
  expect(rowsOf(JobSTT)).toEqual({
    undefined: "01000000000",
    created: "00100000101",
    running: "00011010100",
    paused: "00100000000",
    ready: "00000110100",
    standby: "00001000000",
    waiting: "00000001100",
    pending: "00000000110",
    aborting: "00000000110",
    concluded: "00000000001",
    null: "00000000000",
  });
});

it("a job obeys verbs as JobVerbTable says", () => {
  expect(rowsOf(JobVerbTable)).toEqual({
    cancel: "01111111000",
    pause: "01111100000",
    resume: "01111100000",
    "set-speed": "01111100000",
    complete: "00001100000",
    finalize: "00000001000",
    dismiss: "00000000010",
  });
});

it("progress is what is done and what there is in all", () => {
  const meter = new ProgressMeter();
  const run = runMain(function* (): Polls<void> {
    progressSetRemaining(meter, 100);
    progressWorkDone(meter, 30);
    expect(progressGetSnapshot(meter)).toEqual({ current: 30, total: 100 });
    progressIncreaseRemaining(meter, 5);
    expect(progressGetSnapshot(meter)).toEqual({ current: 30, total: 105 });
    progressSetRemaining(meter, 10);
    expect(progressGetSnapshot(meter)).toEqual({ current: 30, total: 40 });
  });
  expect(run.outcome).toBe("ok");
});

it("whoever sends more than a slice's worth waits for as many slices as he has used up", () => {
  const run = runMain(function* (): Polls<void> {
    const limit = new RateLimit();
    expect(ratelimitCalculateDelay(limit, 1e9)).toBe(0);
    ratelimitSetSpeed(limit, 100, 100e6);
    expect(ratelimitCalculateDelay(limit, 4)).toBe(0);
    expect(ratelimitCalculateDelay(limit, 26)).toBe(300e6);
    ratelimitSetSpeed(limit, 0, 100e6);
    expect(ratelimitCalculateDelay(limit, 1e9)).toBe(0);
  });
  expect(run.outcome).toBe("ok");
});
