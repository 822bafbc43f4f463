import { describe, expect, it } from "vitest";
import { type ByteCount, type ByteOffset, type HostHandle, QuiesceError } from "#core/base";
import {
  aioSetFdHandler,
  type Co,
  hostAllocate,
  hostCall,
  hostSubmit,
  type Polls,
} from "#core/sched";
import { replayTrace } from "#replay";
import { bytesSource, TraceReader } from "#traces";
import { inputsOf, recordScenario, recordTwice } from "./record-scenario.ts";
import { paramsOf, worldBuilder } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";
import type { World } from "./world.ts";

/** Guests that write to a file without any block layer, and a client that kicks. */
const files: Scenario = {
  name: "files",
  title: "Guests write to a file.",
  params: { guests: "4", requests: "10" },
  *main(world: World): Polls<void> {
    const ctx = world.iothread("io0");
    const path = world.imagePath("a");
    const { value } = hostCall({ call: "open", path, writable: true, create: true });
    let kicked = 0;
    const fd = aioSetFdHandler(ctx, true, () => {
      kicked++;
      return undefined;
    });
    world.clients.kick(fd.id, 20_000);
    for (let guest = 0; guest < world.number("guests"); guest++) {
      const prng = world.prng.fork(guest);
      world.guest(ctx, function* (): Co<void> {
        const buffer = hostAllocate(512);
        for (let i = 0; i < world.number("requests"); i++) {
          const offset = (prng.below(64) * 512) as ByteOffset;
          yield* hostSubmit("write", value as HostHandle, offset, 512 as ByteCount, buffer, 0);
        }
      });
    }
    yield* world.joinGuests();
    yield* world.sleep(100_000);
    world.note(`kicked ${kicked} times`);
    yield* world.stopIothreads();
  },
};

function open(bytes: Uint8Array): TraceReader {
  return TraceReader.open(bytesSource(bytes));
}

describe("running a scenario", () => {
  it.each(["default", "random", "round-robin", "pct"] as const)(
    "gives the same bytes twice for one seed, scheduled by %s",
    (scheduler) => {
      const { outcome, events } = recordTwice(files, { seed: 3, scheduler });
      expect(outcome).toBe("ok");
      expect(events).toBeGreaterThan(200);
    },
  );

  it("gives other bytes for another seed", () => {
    const [one, two] = [1, 2].map((seed) => recordScenario(files, { seed }).bytes);
    expect(Buffer.compare(one ?? Buffer.of(), two ?? Buffer.of())).not.toBe(0);
  });

  it("replays from the header alone, full and stripped to inputs", () => {
    const { bytes, events } = recordScenario(files, { seed: 3, params: { guests: "3" } });
    for (const recording of [bytes, inputsOf(bytes)]) {
      const report = replayTrace(open(recording), { buildWorld: worldBuilder(() => files) });
      expect(report.divergence).toBeUndefined();
      expect([report.identical, report.complete, report.events]).toEqual([true, true, events]);
    }
  });

  it("names the run in the header", () => {
    const { bytes } = recordScenario(files, { seed: 9, without: [10, 11], lock: "aio" });
    expect(open(bytes).header).toMatchObject({
      scenario: { name: "files", params: { guests: "4", requests: "10" } },
      seed: 9,
      lock: "aio",
      patchesOn: [1, 2, 3, 4, 5, 6, 7, 8, 9, 12],
    });
  });

  it("refuses a parameter that the scenario does not have, and a value that is no number", () => {
    expect(() => paramsOf(files, { depth: "4" })).toThrow(
      new QuiesceError(
        "usage",
        'The scenario files has no parameter "depth"; it has: guests, requests.',
      ),
    );
    expect(() => recordScenario(files, { seed: 1, params: { guests: "many" } })).toThrow(
      'The parameter guests is a whole number, not "many".',
    );
  });

  it("ends a run that takes too many steps", () => {
    const { outcome } = recordScenario({ ...files, stepsMax: 50 }, { seed: 1 });
    expect(outcome).toBe("limit");
  });
});
