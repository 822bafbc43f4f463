import { describe, expect, it } from "vitest";
import type { SectionId } from "../base/index.ts";
import { Ev, ProbeBase } from "../probe/index.ts";
import type { Polls } from "../sched/index.ts";
import { bdrvDoDrainedEnd } from "./drain.ts";
import { bdrvDrainedBegin } from "./index.ts";
import { NO_SITE, runDrawn, sleepMain } from "./test-support.ts";

/** Reads a counter whenever somebody is kicked. */
class KickProbe extends ProbeBase {
  readonly counter = { pending: 0 };
  readonly pendingAtKicks: number[] = [];

  override emit(kind: number): void {
    if (kind === Ev.kick) this.pendingAtKicks.push(this.counter.pending);
  }

  override emitWide(): void {}
}

describe("an end hook", () => {
  // Lowered after the kick, the waiter would look in between, see 1, and sleep for ever (B06).
  it("is counted out before its waiter is kicked", () => {
    const probe = new KickProbe();
    runDrawn(
      "a",
      function* ({ node }): Polls<void> {
        yield* bdrvDrainedBegin(node("a"), NO_SITE);
        probe.pendingAtKicks.length = 0;
        const section = 1 as SectionId;
        const walk = {
          section,
          through: null,
          ignore: null,
          ignoreBdsParents: false,
          recursive: false,
        };
        bdrvDoDrainedEnd(node("a"), walk, probe.counter);
        expect(probe.counter.pending).toBe(1);
        yield* sleepMain(1);
      },
      { probe },
    );
    expect(probe.pendingAtKicks).toEqual([0]);
  });
});
