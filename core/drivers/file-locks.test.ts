import { describe, expect, it } from "vitest";
import { SimulatedHost } from "#explorer";
import { blkNewWithBs, blkSetPerm, blkUnref } from "../backend/index.ts";
import { EAGAIN, ENOTSUP } from "../base/index.ts";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  type BlockDriverState,
  bdrvUnref,
  settle,
} from "../graph/index.ts";
import type { HostCallRequest, HostResult, Polls } from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import type { FileLocking } from "./file-locks.ts";
import { runDisk } from "./test-support.ts";

const LETTERS = "rwuz";

/** Permissions used (before the bar) and not shared (behind it): r(ead), w(rite), (write) u(nchanged), (re)z(ize). */
function bytesOf(mask: number): string {
  const set = (from: number) => [...LETTERS].filter((_, n) => (mask & (1 << (from + n))) !== 0);
  return `${set(0).join("")}|${set(8).join("")}`;
}

/** Notes down what is locked; `answers` are the results of the next calls, 0 when there is none. */
class LockingHost extends SimulatedHost {
  readonly calls: string[] = [];
  readonly answers: HostResult[] = [];

  override call(request: HostCallRequest): HostResult {
    if (request.call !== "lock") return super.call(request);
    const { lock, unlock, test } = request;
    this.calls.push(`+${bytesOf(lock)} -${bytesOf(unlock)} ?${bytesOf(test)}`);
    return this.answers.shift() ?? { ret: 0, value: 0 };
  }

  /** What was called since the last time. */
  taken(): string[] {
    return this.calls.splice(0);
  }
}

/** Run `body`, and let it look at what was locked. */
function locked(body: (host: LockingHost) => Polls<void>): void {
  const host = new LockingHost({ seed: 1 });
  runDisk(() => body(host), host);
}

function openFile(locking: FileLocking): Polls<BlockDriverState> {
  return fileOpen({ nodeName: "file", path: "/a.img", create: true, locking });
}

const READ = BLK_PERM_CONSISTENT_READ;
const WRITE = BLK_PERM_WRITE;
/** Another program does not share `write`: byte 201, looked at. */
const WRITE_IS_TAKEN: HostResult = { ret: -EAGAIN, value: 16 + 9 };

describe("the locks of a file", () => {
  //   blk ── file: each step with the bytes that it locks, unlocks, and looks at
  it("follow the permissions of the graph", () => {
    locked(function* (host): Polls<void> {
      const file = yield* openFile("auto");
      expect(host.taken()).toEqual([]);
      const blk = yield* blkNewWithBs(file, { perm: READ, sharedPerm: BLK_PERM_ALL });
      expect(host.taken()).toEqual(["+r| -| ?|r"]);
      yield* blkSetPerm(blk, { perm: READ | WRITE, sharedPerm: BLK_PERM_ALL & ~WRITE });
      expect(host.taken()).toEqual(["+w|w -| ?w|rw"]);
      yield* blkSetPerm(blk, { perm: READ, sharedPerm: BLK_PERM_ALL });
      expect(host.taken()).toEqual(["+| -w|w ?|"]);
      yield* blkUnref(blk);
      expect(host.taken()).toEqual(["+| -r| ?|"]);
      yield* bdrvUnref(file);
    });
  });

  it("are given back when another program has what is needed, and nothing has changed", () => {
    locked(function* (host): Polls<void> {
      const file = yield* openFile("auto");
      const blk = yield* blkNewWithBs(file, { perm: READ, sharedPerm: BLK_PERM_ALL });
      host.taken();
      host.answers.push(WRITE_IS_TAKEN);
      const asked = { perm: READ | WRITE, sharedPerm: BLK_PERM_ALL & ~WRITE };
      const refused = yield* settle(() => blkSetPerm(blk, asked));
      expect(refused).toMatchObject({
        ok: false,
        error: {
          errno: EAGAIN,
          message: 'Failed to get "write" lock',
          hint: "Is another process using the image [/a.img]?",
        },
      });
      expect(host.taken()).toEqual(["+w|w -| ?w|rw", "+| -w|w ?|"]);
      expect(blk.perm).toBe(READ);
      yield* blkSetPerm(blk, asked);
      expect(host.taken()).toEqual(["+w|w -| ?w|rw"]);
      yield* blkUnref(blk);
      yield* bdrvUnref(file);
    });
  });

  it.each([
    [17, 'Failed to get shared "write" lock'],
    [3, "Failed to lock byte 103"],
    [10, "Failed to lock byte 202"],
  ])("bit %i in a refusal means: %s", (value, message) => {
    locked(function* (host): Polls<void> {
      const file = yield* openFile("auto");
      host.answers.push({ ret: -EAGAIN, value });
      const refused = yield* settle(() => blkNewWithBs(file, { perm: READ }));
      expect(refused.ok ? "" : refused.error.message).toBe(message);
      yield* bdrvUnref(file);
    });
  });

  it("are done without where the host has none, unless they were asked for", () => {
    const none: HostResult = { ret: -ENOTSUP, value: 0 };
    locked(function* (host): Polls<void> {
      const file = yield* openFile("auto");
      host.answers.push(none);
      const blk = yield* blkNewWithBs(file, { perm: READ });
      yield* blkUnref(blk);
      expect(host.taken()).toHaveLength(1);
      yield* bdrvUnref(file);
      const locking = yield* openFile("on");
      host.answers.push(none);
      const refused = yield* settle(() => blkNewWithBs(locking, { perm: READ }));
      expect(refused.ok ? "" : refused.error.message).toMatch(/^File lock requested but/);
      yield* bdrvUnref(locking);
      const off = yield* openFile("off");
      host.taken();
      const free = yield* blkNewWithBs(off, { perm: READ });
      yield* blkUnref(free);
      expect(host.taken()).toEqual([]);
      yield* bdrvUnref(off);
    });
  });
});
