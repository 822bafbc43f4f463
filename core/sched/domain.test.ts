import { describe, expect, it } from "vitest";
import type { SiteId } from "../base/index.ts";
import { Ev, ProbeBase } from "../probe/index.ts";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioContextAcquire,
  aioContextRelease,
  aioPoll,
  globalStateCode,
  ioCode,
  ioOrGsCode,
  iothreadCreate,
  iothreadStopJoin,
  type LockRegime,
  machine,
  type Polls,
} from "./index.ts";
import { runMain } from "./test-support.ts";

const SITE = 7 as SiteId;

/** Keeps what was said about wrong threads: `thread SITE`, or `home SITE HOME POLLS`. */
class WrongProbe extends ProbeBase {
  readonly seen: string[] = [];
  override emit(kind: number, a?: number, b?: number, c?: number): void {
    if (kind === Ev.wrong_thread) this.seen.push(`thread ${a}`);
    if (kind === Ev.wrong_home) this.seen.push(`home ${a} ${b} ${c}`);
  }
  override emitWide(): void {}
}

type Check = "global state" | "I/O or GS" | "I/O";
type Caller = "main" | "io0, at home" | "io1, a stranger";

const CHECKS: Readonly<Record<Check, (home: AioContext) => void>> = {
  "global state": () => globalStateCode(SITE),
  "I/O or GS": (home) => ioOrGsCode(home, SITE),
  "I/O": (home) => ioCode(home, SITE),
};

/** Run the check of something at home in io0 (context 1) from `caller`, perhaps with io0's lock held; what it said. */
function said(check: Check, caller: Caller, lock: LockRegime, holds = false): readonly string[] {
  const probe = new WrongProbe();
  runMain(
    function* (): Polls<void> {
      const io0 = iothreadCreate("io0");
      const io1 = iothreadCreate("io1");
      const call = function* (): Polls<void> {
        if (holds) yield* aioContextAcquire(io0);
        CHECKS[check](io0);
        if (holds) aioContextRelease(io0);
      };
      const { mainContext } = machine;
      const ctx = { main: mainContext, "io0, at home": io0, "io1, a stranger": io1 }[caller];
      if (ctx === mainContext) yield* call();
      else aioBhScheduleOneshot(ctx, call);
      yield* iothreadStopJoin(io0);
      yield* iothreadStopJoin(io1);
    },
    { probe, lock, without: [12] },
  );
  return probe.seen;
}

describe("the check of a thread domain", () => {
  it.each([
    ["global state", "main", "none", false, []],
    ["global state", "io0, at home", "none", false, ["thread 7"]],
    ["I/O or GS", "main", "none", false, []],
    ["I/O or GS", "main", "aio", false, []],
    ["I/O or GS", "io0, at home", "none", false, []],
    ["I/O or GS", "io1, a stranger", "none", false, ["home 7 1 1"]],
    ["I/O or GS", "io1, a stranger", "aio", true, ["home 7 1 1"]],
    ["I/O", "main", "none", false, []],
    ["I/O", "main", "aio", false, ["home 7 1 0"]],
    ["I/O", "main", "aio", true, []],
    ["I/O", "io0, at home", "aio", false, []],
    ["I/O", "io1, a stranger", "none", false, ["home 7 1 0"]],
    ["I/O", "io1, a stranger", "aio", false, ["home 7 1 0"]],
    ["I/O", "io1, a stranger", "aio", true, []],
  ] as const)(
    "%s code called by %s (lock: %s, held: %s) says %j",
    (check, caller, lock, holds, expected) => {
      expect(said(check, caller, lock, holds)).toEqual(expected);
    },
  );

  it("is passed anywhere by I/O code that no context guards, but not between two steps", () => {
    let calls = 0;
    const { machine: ran } = runMain(function* (): Polls<void> {
      const io0 = iothreadCreate("io0");
      aioBhScheduleOneshot(io0, () => {
        ioCode(null, SITE);
        ioOrGsCode(null, SITE);
        calls++;
        return undefined;
      });
      yield* iothreadStopJoin(io0);
      yield* aioPoll(machine.mainContext, false);
    });
    expect(calls).toBe(1);
    expect(ran.currentContext).toBe(null);
  });
});
