import { describe, expect, it } from "vitest";
import {
  type ByteCount,
  type ByteOffset,
  EACCES,
  EIO,
  ENOENT,
  type HostHandle,
  type VirtualNs,
} from "#core/base";
import {
  aioCoEnter,
  aioPoll,
  aioSetFdHandler,
  type Co,
  clockNs,
  type GuestBuffer,
  type HostOpType,
  hostAllocate,
  hostCall,
  hostSubmit,
  Machine,
  machine,
  type Polls,
  qemuCoroutineCreate,
  seriesWithout,
  timerDel,
  timerMod,
  timerNew,
} from "#core/sched";
import { DefaultPolicy } from "./schedulers/default-policy.ts";
import { SimulatedHost, type SimulatedHostOptions } from "./simulated-host.ts";
import { LineProbe } from "./test-support.ts";

function run(options: SimulatedHostOptions, body: (host: SimulatedHost) => Polls<void>) {
  const host = new SimulatedHost(options);
  const probe = new LineProbe();
  const owner = new Machine({
    host,
    scheduler: new DefaultPolicy(),
    probe,
    series: seriesWithout(),
    lock: "none",
    stepsMax: 100_000,
  });
  owner.start(body(host));
  return { outcome: owner.run(), host, probe };
}

function open(path: string, writable = true): HostHandle {
  const { ret, value } = hostCall({ call: "open", path, writable, create: writable });
  expect(ret).toBe(0);
  return value as HostHandle;
}

function* submit(
  type: HostOpType,
  handle: HostHandle,
  offset: number,
  iov: GuestBuffer | null,
): Co<number> {
  const bytes = (iov?.length ?? 0) as ByteCount;
  return yield* hostSubmit(type, handle, offset as ByteOffset, bytes, iov, 0);
}

/** Run every body in a coroutine of its own at once, and poll until all are done. */
function* together(bodies: readonly (() => Co<void>)[]): Polls<void> {
  let left = bodies.length;
  for (const body of bodies) {
    const co = qemuCoroutineCreate(function* (): Co<void> {
      yield* body();
      left--;
    });
    aioCoEnter(machine.mainContext, co);
  }
  while (left > 0) yield* aioPoll(machine.mainContext, true);
}

function filled(bytes: number, value: number): GuestBuffer {
  const buffer = hostAllocate(bytes);
  buffer.data?.fill(value);
  return buffer;
}

describe("the simulated host", () => {
  it("reads back what was written", () => {
    const { outcome } = run({ seed: 1 }, function* (): Polls<void> {
      const handle = open("/a");
      const back = hostAllocate(8);
      yield* together([
        function* (): Co<void> {
          expect(yield* submit("write", handle, 4, filled(4, 7))).toBe(0);
          expect(yield* submit("flush", handle, 0, null)).toBe(0);
          expect(yield* submit("read", handle, 0, back)).toBe(0);
        },
      ]);
      expect([...(back.data ?? [])]).toEqual([0, 0, 0, 0, 7, 7, 7, 7]);
      expect(hostCall({ call: "size", handle }).value).toBe(8);
      expect(hostCall({ call: "truncate", handle, size: 3 as ByteOffset }).ret).toBe(0);
      expect(hostCall({ call: "size", handle }).value).toBe(3);
      expect(hostCall({ call: "alignment", handle }).value).toBe(1);
      expect(hostCall({ call: "close", handle }).ret).toBe(0);
    });
    expect(outcome).toBe("ok");
  });

  it("answers errors by number", () => {
    const disk = { faults: [{ path: "/a", offset: 100, bytes: 1 }] };
    const { outcome } = run({ seed: 1, disk }, function* (): Polls<void> {
      expect(hostCall({ call: "open", path: "/none", writable: false, create: false }).ret).toBe(
        -ENOENT,
      );
      const handle = open("/a");
      const readOnly = open("/a", false);
      yield* together([
        function* (): Co<void> {
          expect(yield* submit("write", handle, 98, filled(4, 7))).toBe(-EIO);
          expect(yield* submit("write", readOnly, 0, filled(4, 7))).toBe(-EACCES);
        },
      ]);
      expect(hostCall({ call: "size", handle }).value).toBe(0);
    });
    expect(outcome).toBe("ok");
  });

  it("completes out of order, otherwise for another seed, and the same way for the same seed", () => {
    const ranks = (seed: number) => {
      const { outcome, probe } = run({ seed }, function* (): Polls<void> {
        const handle = open("/a");
        const writes = Array.from(
          { length: 16 },
          (_, index) =>
            function* (): Co<void> {
              yield* submit("write", handle, index, filled(1, index));
            },
        );
        yield* together(writes);
      });
      expect(outcome).toBe("ok");
      return probe.named("io_complete").join("\n");
    };
    expect(ranks(1)).toBe(ranks(1));
    expect(ranks(1)).not.toBe(ranks(2));
    expect(ranks(1)).toMatch(/rank=[1-9]/);
  });

  it("lets time jump to a timer, and forgets a timer that was deleted", () => {
    const fired: string[] = [];
    const { outcome, probe } = run({ seed: 1 }, function* (): Polls<void> {
      const ctx = machine.mainContext;
      const fire = (name: string) => timerNew(ctx, () => void fired.push(name) as undefined);
      const kept = fire("kept");
      const deleted = fire("deleted");
      const moved = fire("moved");
      timerMod(kept, 5_000_000 as VirtualNs);
      timerMod(deleted, 1_000_000 as VirtualNs);
      timerMod(moved, 2_000_000 as VirtualNs);
      timerMod(moved, 9_000_000 as VirtualNs);
      timerDel(deleted);
      while (fired.length < 2) yield* aioPoll(ctx, true);
      expect(clockNs()).toBeGreaterThanOrEqual(9_000_000);
      expect(clockNs()).toBeLessThan(9_010_000);
    });
    expect(outcome).toBe("ok");
    expect(fired).toEqual(["kept", "moved"]);
    expect(probe.named("timer_expire").length).toBe(2);
  });

  it("kicks an fd handler on demand of a scenario", () => {
    let kicked = 0;
    const { outcome } = run({ seed: 4 }, function* (host): Polls<void> {
      const fd = aioSetFdHandler(machine.mainContext, true, () => {
        kicked++;
        return undefined;
      });
      host.kick(fd.id, 10_000);
      host.kick(fd.id, 50_000);
      while (kicked < 2) yield* aioPoll(machine.mainContext, true);
    });
    expect(outcome).toBe("ok");
  });

  it("says never when nothing is outstanding: who still waits is stuck", () => {
    const { outcome } = run({ seed: 4 }, function* (): Polls<void> {
      for (;;) yield* aioPoll(machine.mainContext, true);
    });
    expect(outcome).toBe("deadlock");
  });
});
