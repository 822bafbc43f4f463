import fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type ByteCount,
  type ByteOffset,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTSUP,
  type HostHandle,
  type VirtualNs,
} from "#core/base";
import { Ev, NullProbe, ProbeBase } from "#core/probe";
import {
  aioCoEnter,
  aioPoll,
  aioSetFdHandler,
  type Co,
  clockNs,
  type FileAio,
  type GuestBuffer,
  type HostOpType,
  hostAllocate,
  hostCall,
  hostCopy,
  hostSubmit,
  Machine,
  machine,
  type Polls,
  qemuCoroutineCreate,
  qemuCoSleepNs,
  seriesWithout,
  timerDel,
  timerMod,
  timerNew,
} from "#core/sched";
import { LiveHost } from "./live-host.ts";
import { runLive } from "./run-live.ts";

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "quiesce-live-"));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

function run(
  body: (host: LiveHost) => Polls<void>,
  {
    aio = "threads",
    probe = new NullProbe(),
    pollMaxNs = 0,
  }: { aio?: FileAio; probe?: ProbeBase; pollMaxNs?: number } = {},
) {
  const host = new LiveHost({ aio, pollMaxNs });
  const owner = new Machine({
    host,
    scheduler: { pick: (_runnable, byDefault) => byDefault },
    probe,
    series: seriesWithout(),
    lock: "none",
  });
  owner.start(body(host));
  return runLive(owner);
}

function open(path: string, writable = true) {
  return hostCall({ call: "open", path, writable, create: writable });
}

function* submit(
  type: HostOpType,
  handle: HostHandle,
  offset: number,
  bytes: number,
  iov: GuestBuffer | null = null,
): Co<number> {
  return yield* hostSubmit(type, handle, offset as ByteOffset, bytes as ByteCount, iov, 0);
}

/** Run `body` in a coroutine and poll until it is done. */
function* inCoroutine(body: () => Co<void>): Polls<void> {
  let done = false;
  const co = qemuCoroutineCreate(function* (): Co<void> {
    yield* body();
    done = true;
  });
  aioCoEnter(machine.mainContext, co);
  while (!done) yield* aioPoll(machine.mainContext, true);
}

/** Counts the operations that were complete as they were submitted, and those that were later. */
class CompletionCounter extends ProbeBase {
  now = 0;
  later = 0;
  override emit(kind: number): void {
    if (kind === Ev.io_now) this.now++;
    if (kind === Ev.io_complete) this.later++;
  }
  override emitWide(): void {}
}

describe("an idle live host", () => {
  it.each([
    ["sleeps", 0, 0],
    ["looks for work before, when it is told to", 50_000_000, 20],
  ])("%s", async (_what, pollMaxNs, looksMin) => {
    const turns = vi.spyOn(globalThis, "setImmediate");
    const outcome = await run(
      function* (): Polls<void> {
        yield* inCoroutine(function* (): Co<void> {
          for (let i = 0; i < 20; i++) yield* qemuCoSleepNs(2_000_000);
        });
      },
      { pollMaxNs },
    );
    const looks = turns.mock.calls.length;
    turns.mockRestore();
    expect(outcome).toBe("ok");
    if (looksMin === 0) expect(looks).toBe(0);
    else expect(looks).toBeGreaterThan(looksMin);
  });
});

describe("a file of the live host", () => {
  it.each([
    ["threads", 0],
    ["inline", 2],
    ["auto", 2],
  ] as const)("with aio=%s, has as many operations done at once as it should", async (aio, now) => {
    const probe = new CompletionCounter();
    const outcome = await run(
      function* (): Polls<void> {
        const handle = open(join(folder, "a.img")).value as HostHandle;
        yield* inCoroutine(function* (): Co<void> {
          const data = hostAllocate(5000);
          data.data?.fill(7);
          expect(yield* submit("write", handle, 100, 5000, data)).toBe(0);
          const back = hostAllocate(6000);
          back.data?.fill(9);
          expect(yield* submit("read", handle, 100, 6000, back)).toBe(0);
          expect(back.data?.lastIndexOf(7)).toBe(4999);
          expect(back.data?.indexOf(9)).toBe(-1);
          expect(yield* submit("flush", handle, 0, 0)).toBe(0);
        });
      },
      { aio, probe },
    );
    expect(outcome).toBe("ok");
    expect([probe.now, probe.later]).toEqual([now, 3 - now]);
  });

  it("fails at once with the system's error", async () => {
    const path = join(folder, "read-only.img");
    fs.writeFileSync(path, "x");
    const outcome = await run(
      function* (): Polls<void> {
        const { value } = open(path, false);
        yield* inCoroutine(function* (): Co<void> {
          const ret = yield* submit("write", value as HostHandle, 0, 4, hostAllocate(4));
          expect(ret).toBeLessThan(0);
        });
      },
      { aio: "inline" },
    );
    expect(outcome).toBe("ok");
  });

  it("lets others have their turn, however much could be done at once", async () => {
    const probe = new CompletionCounter();
    await run(
      function* (): Polls<void> {
        const handle = open(join(folder, "a.img")).value as HostHandle;
        yield* inCoroutine(function* (): Co<void> {
          const data = hostAllocate(512);
          for (let i = 0; i < 2000; i++) yield* submit("write", handle, 0, 512, data);
        });
      },
      { aio: "inline", probe },
    );
    expect(probe.now + probe.later).toBe(2000);
    expect(probe.later).toBeGreaterThanOrEqual(3);
  });
});

/** Of a file with a page of data at 128 KiB and a last one, in which it ends. */
const RANGES = [
  [0, 1 << 20],
  [0, 100],
  [131_072, 1 << 20],
  [135_167, 1 << 20],
  [131_072, 100],
  [135_168, 1 << 20],
  [299_008, 1 << 20],
  [300_000, 512],
  [1 << 20, 1 << 20],
] as const;

describe("the live host", () => {
  it("frees what is discarded, in whatever order that is asked for, and the file keeps its size", async () => {
    const path = join(folder, "holes.img");
    fs.writeFileSync(path, new Uint8Array(1 << 20).fill(7));
    const blocks = fs.statSync(path).blocks;
    await run(function* (): Polls<void> {
      const handle = open(path).value as HostHandle;
      yield* inCoroutine(function* (): Co<void> {
        for (const at of [0, 262_144, 983_040])
          expect(yield* submit("discard", handle, at, 65_536)).toBe(0);
      });
      // The child that did it must not keep the file's locks.
      const locked = { call: "lock", handle, lock: 0x101, unlock: 0, test: 0 } as const;
      expect(hostCall(locked).ret).toBe(0);
      hostCall({ call: "close", handle });
      const again = open(path).value as HostHandle;
      expect(hostCall({ ...locked, handle: again, lock: 0, test: 0x100 }).ret).toBe(0);
      hostCall({ call: "close", handle: again });
    });
    const { size, blocks: left } = fs.statSync(path);
    expect([size, blocks - left]).toEqual([1 << 20, (3 * 65_536) / 512]);
    const bytes = fs.readFileSync(path);
    expect([bytes[0], bytes[65_536], bytes[262_144], bytes[983_040]]).toEqual([0, 7, 0, 0]);
  });

  it("says where the data of a file is, to its end and behind it, of a file to be read only as well", async () => {
    const path = join(folder, "sparse.img");
    const file = fs.openSync(path, "w");
    fs.writeSync(file, "x", 131_072);
    fs.ftruncateSync(file, 300_000);
    fs.writeSync(file, "x", 299_999);
    fs.closeSync(file);
    const answers: number[] = [];
    await run(function* (): Polls<void> {
      const handle = open(path, false).value as HostHandle;
      yield* inCoroutine(function* (): Co<void> {
        for (const [at, bytes] of RANGES)
          answers.push(yield* submit("block_status", handle, at, bytes));
      });
      const { value: allocated } = hostCall({ call: "allocated", handle });
      expect(allocated).toBe(fs.statSync(path).blocks * 512);
    });
    const [hole, data] = [(bytes: number) => 2 * bytes, (bytes: number) => 2 * bytes + 1];
    expect(answers).toEqual([
      ...[hole(131_072), hole(100), data(4096), data(1), data(100)],
      ...[hole(163_840), data(992), hole(512), hole(1 << 20)],
    ]);
  });

  it("copies from file to file, within one, and not behind the end or onto what is copied", async () => {
    const [path, other] = [join(folder, "from.img"), join(folder, "to.img")];
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
    fs.writeFileSync(path, bytes);
    fs.writeFileSync(other, "kept");
    const answers: number[] = [];
    await run(function* (): Polls<void> {
      // The source may be one that can only be read.
      const [from, to] = [open(path, false), open(other)].map(({ value }) => value as HostHandle);
      const copy = (
        from: unknown,
        fromOffset: number,
        to: unknown,
        toOffset: number,
        count: number,
      ): Co<number> =>
        hostCopy({ from, fromOffset, to, toOffset, bytes: count } as Parameters<
          typeof hostCopy
        >[0]);
      yield* inCoroutine(function* (): Co<void> {
        answers.push(yield* copy(from, 1, to, 4, 200_000));
        answers.push(yield* copy(to, 4, to, 300_000, 1000));
        answers.push(yield* copy(to, 0, to, 500, 1000));
        answers.push(yield* copy(from, 299_000, to, 400_000, 1001));
        answers.push(yield* copy(to, 0, from, 0, 10));
      });
      hostCall({ call: "close", handle: to as HostHandle });
      hostCall({ call: "close", handle: from as HostHandle });
    });
    expect(answers).toEqual([0, 0, -EINVAL, -ENOTSUP, -constants.errno.EBADF]);
    const isAt = (at: number, from: number, to: number): boolean =>
      fs
        .readFileSync(other)
        .subarray(at, at + to - from)
        .equals(bytes.subarray(from, to));
    expect(fs.readFileSync(path).equals(bytes)).toBe(true);
    expect(fs.readFileSync(other).subarray(0, 4).toString()).toBe("kept");
    expect([isAt(4, 1, 200_001), isAt(300_000, 1, 1001)]).toEqual([true, true]);
    expect([isAt(400_000, 299_000, 300_000), fs.statSync(other).size]).toEqual([true, 401_000]);
  });

  it("without perl, says of discards, zeroes, data and copies that it cannot, at once", async () => {
    const { PATH } = process.env;
    process.env.PATH = folder;
    const answers: number[] = [];
    const outcome = await run(function* (): Polls<void> {
      const handle = open(join(folder, "a.img")).value as HostHandle;
      yield* inCoroutine(function* (): Co<void> {
        for (const type of ["discard", "write_zeroes", "block_status", "block_status"] as const)
          answers.push(yield* submit(type, handle, 0, 4096));
        const [at, bytes] = [0 as ByteOffset, 4096 as ByteCount];
        const ends = { from: handle, fromOffset: at, to: handle, toOffset: at };
        answers.push(yield* hostCopy({ ...ends, bytes }));
      });
      hostCall({ call: "close", handle });
    });
    process.env.PATH = PATH;
    expect(outcome).toBe("ok");
    expect(answers).toEqual(new Array(5).fill(-ENOTSUP));
  });

  it("writes to a real file and reads it back, zeroes beyond its end included", async () => {
    const path = join(folder, "a.img");
    const outcome = await run(function* (): Polls<void> {
      const { ret, value } = open(path);
      expect(ret).toBe(0);
      const handle = value as HostHandle;
      const back = hostAllocate(300_000);
      yield* inCoroutine(function* (): Co<void> {
        const data = hostAllocate(200_000);
        data.data?.fill(5);
        expect(yield* submit("write", handle, 0, data.length, data)).toBe(0);
        // Perhaps not every file system can.
        const zeroed = yield* submit("write_zeroes", handle, 100, 150_000);
        expect([0, -ENOTSUP]).toContain(zeroed);
        if (zeroed !== 0)
          expect(yield* submit("write", handle, 100, 150_000, hostAllocate(150_000))).toBe(0);
        expect(yield* submit("flush", handle, 0, 0)).toBe(0);
        back.data?.fill(9);
        expect(yield* submit("read", handle, 0, back.length, back)).toBe(0);
      });
      const bytes = back.data ?? new Uint8Array();
      const firstOf = (value: number, from: number) => bytes.indexOf(value, from);
      expect([bytes[0], firstOf(0, 0), firstOf(5, 100), firstOf(0, 150_100)]).toEqual([
        5, 100, 150_100, 200_000,
      ]);
      expect(bytes.includes(9)).toBe(false);
      expect(hostCall({ call: "size", handle }).value).toBe(200_000);
      expect(hostCall({ call: "truncate", handle, size: 1000 as ByteOffset }).ret).toBe(0);
      expect(hostCall({ call: "close", handle }).ret).toBe(0);
    });
    expect(outcome).toBe("ok");
    expect(fs.statSync(path).size).toBe(1000);
  });

  it("answers a negated errno for what cannot be opened", async () => {
    const outcome = await run(function* (): Polls<void> {
      expect(open(join(folder, "missing"), false).ret).toBe(-ENOENT);
      expect(open(folder).ret).toBe(-EISDIR);
      expect(open(folder, false).ret).toBe(-EISDIR);
    });
    expect(outcome).toBe("ok");
  });

  it("reports a failed write as a negated errno", async () => {
    const path = join(folder, "read-only.img");
    fs.writeFileSync(path, "x");
    const outcome = await run(function* (): Polls<void> {
      const { value } = open(path, false);
      yield* inCoroutine(function* (): Co<void> {
        const ret = yield* submit("write", value as HostHandle, 0, 4, hostAllocate(4));
        expect(ret).toBeLessThan(0);
      });
    });
    expect(outcome).toBe("ok");
  });

  it("lets many operations be outstanding at once", async () => {
    const outcome = await run(function* (): Polls<void> {
      const handle = open(join(folder, "many.img")).value as HostHandle;
      let left = 200;
      for (let i = 0; i < 200; i++) {
        const co = qemuCoroutineCreate(function* (): Co<void> {
          const data = hostAllocate(512);
          data.data?.fill(i);
          expect(yield* submit("write", handle, i * 512, 512, data)).toBe(0);
          const back = hostAllocate(512);
          expect(yield* submit("read", handle, i * 512, 512, back)).toBe(0);
          expect(back.data?.every((byte) => byte === i % 256)).toBe(true);
          left--;
        });
        aioCoEnter(machine.mainContext, co);
      }
      while (left > 0) yield* aioPoll(machine.mainContext, true);
    });
    expect(outcome).toBe("ok");
  });

  it("sleeps in real time, and does not wait for a deleted timer", async () => {
    const outcome = await run(function* (): Polls<void> {
      const before = clockNs();
      const never = timerNew(machine.mainContext, () => undefined);
      timerMod(never, 3_600e9 as VirtualNs);
      yield* inCoroutine(function* (): Co<void> {
        yield* qemuCoSleepNs(3_000_000);
      });
      expect(clockNs() - before).toBeGreaterThanOrEqual(3_000_000);
      timerDel(never);
    });
    expect(outcome).toBe("ok");
  });

  it("kicks an fd handler on demand, and knows when nothing can ever come", async () => {
    let kicked = 0;
    const outcome = await run(function* (host): Polls<void> {
      const fd = aioSetFdHandler(machine.mainContext, true, () => {
        kicked++;
        return undefined;
      });
      host.kick(fd.id, 1_000_000);
      for (;;) yield* aioPoll(machine.mainContext, true);
    });
    expect(kicked).toBe(1);
    expect(outcome).toBe("deadlock");
  });

  it("lets go of its files even when the run ends with operations under way", async () => {
    const outcome = await run(function* (): Polls<void> {
      const handle = open(join(folder, "late.img")).value as HostHandle;
      const co = qemuCoroutineCreate(function* (): Co<void> {
        yield* submit("write", handle, 0, 4, hostAllocate(4));
      });
      aioCoEnter(machine.mainContext, co);
    });
    expect(outcome).toBe("ok");
  });
});
