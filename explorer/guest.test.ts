import { describe, expect, it } from "vitest";
import { blkNewWithBs } from "#core/backend";
import {
  InjectErrorState,
  injectErrorDriver,
  nullCoDriver,
  nullOpen,
  overlayOpen,
} from "#core/drivers";
import { type BlockDriverState, bdrvInsertNode } from "#core/graph";
import { NullProbe } from "#core/probe";
import type { Polls } from "#core/sched";
import { BLOCK_BYTES, type GuestCounts, runGuest } from "./guest.ts";
import { runScenario } from "./run-scenario.ts";

const GUESTS = 4;
const BLOCKS = 16;

/** Let four guests do 200 requests each at the node that `open` makes, and say how the run ended. */
function guestsAt(
  open: () => Polls<BlockDriverState>,
  mayFail: (block: number) => boolean = () => false,
) {
  const counts: GuestCounts = { requests: 0, failed: 0, checked: 0, grown: 0 };
  const { outcome, machine } = runScenario(
    {
      name: "guests",
      title: "Guests.",
      *main(world): Polls<void> {
        const bs = yield* open();
        const blk = yield* blkNewWithBs(bs, { allowWriteBeyondEof: true });
        const disk = {
          blk,
          guests: GUESTS,
          blocks: BLOCKS,
          nextBlock: BLOCKS,
          blocksMax: 32,
          mayFail,
          counts,
        };
        for (let index = 0; index < GUESTS; index++) {
          const prng = world.prng.fork(index);
          world.guest(bs.aioContext, () => runGuest(disk, index, prng, (done) => done < 200));
        }
        yield* world.joinGuests();
      },
    },
    { seed: 1, probe: new NullProbe() },
  );
  return { outcome, assertion: machine.assertion?.message ?? "", counts };
}

function* memory(): Polls<BlockDriverState> {
  return yield* overlayOpen({ nodeName: "memory", size: BLOCKS * BLOCK_BYTES });
}

describe("guests", () => {
  it("are content with a node that keeps what they write", () => {
    const { outcome, counts } = guestsAt(memory);
    expect(outcome).toBe("ok");
    expect(counts).toEqual({ requests: 800, failed: 0, checked: expect.any(Number), grown: 16 });
    expect(counts.checked).toBeGreaterThan(200);
  });

  it("notice a node that forgets what they write", () => {
    const { assertion } = guestsAt(() =>
      nullOpen(nullCoDriver, { nodeName: "forgets", size: BLOCKS * BLOCK_BYTES, readZeroes: true }),
    );
    expect(assertion).toBe("a guest reads what it wrote");
  });

  it.each([
    ["are not content with a failure where none may be", () => false, "assertion"],
    ["live with a failure where one may be", (block: number) => block === 5, "ok"],
  ] as const)("%s", (_what, mayFail, outcome) => {
    const rules = [
      { offset: 5 * BLOCK_BYTES, bytes: BLOCK_BYTES, types: ["read", "write"] as const },
    ];
    const run = guestsAt(function* (): Polls<BlockDriverState> {
      const opaque = new InjectErrorState(rules);
      return yield* bdrvInsertNode(yield* memory(), injectErrorDriver, "errors", { opaque });
    }, mayFail);
    expect(run.outcome).toBe(outcome);
    expect(run.counts.failed).toBeGreaterThan(0);
    if (outcome !== "ok") expect(run.assertion).toBe("a guest's request fails only where it may");
  });
});
