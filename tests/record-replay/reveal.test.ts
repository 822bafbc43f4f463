// Metadata comes into a trace by being revealed, and only that: a header is read from an image and obeyed, live and simulated,
// and replay obeys the same header although the image is gone, while the guest's bytes beside it stay outside.

import { describe, expect, it } from "vitest";
import { blkCoPreadv, blkCoPwritev, blkNewWithBs, blkUnref } from "#core/backend";
import { assert, type SiteId } from "#core/base";
import { fileOpen } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import { type Co, GuestBuffer, hostAllocate, hostReveal, type Polls } from "#core/sched";
import type { Scenario, World } from "#explorer";
import { bytesSource, TraceReader } from "#traces";
import { textOf } from "../../traces/test-support.ts";
import { recordLive } from "./live-recording.ts";
import { replayBytes, roundTrip, roundTripOf } from "./round-trip.ts";

const HEADER = "a header of 27 bytes, 3 lines.".slice(0, 27);

/** Writes a header and guest data behind it, reads both, reveals `bytes` of the header, and does as many writes as it says. */
function headerScenario(bytes = HEADER.length): Scenario {
  return {
    name: "reveal",
    title: "A header is read back and obeyed.",
    main: (world) => main(world, bytes),
  };
}

function* main(world: World, bytes: number): Polls<void> {
  const ctx = world.iothread("io0");
  const path = world.imagePath("image");
  const bs = yield* fileOpen({ nodeName: "image", path, ctx, create: true });
  const blk = yield* blkNewWithBs(bs, { allowWriteBeyondEof: true });
  world.guest(ctx, function* (): Co<void> {
    const header = Buffer.from(HEADER);
    const own = { buffer: new GuestBuffer(header.length, header), start: 0 };
    assert((yield* blkCoPwritev(blk, 3, header.length, own)) === 0, "the header is written");
    const guest = hostAllocate(64);
    guest.data?.fill("S".charCodeAt(0));
    const behind = { buffer: guest, start: 0 };
    assert((yield* blkCoPwritev(blk, 30, 64, behind)) === 0, "the guest's data is written");
    const back = hostAllocate(94);
    assert((yield* blkCoPreadv(blk, 0, 94, { buffer: back, start: 0 })) === 0, "both are read");
    const text = Buffer.from(hostReveal(0 as SiteId, back, 3, bytes)).toString();
    world.note(text);
    for (let line = Number(text.at(-5)); line > 0; line--)
      yield* blkCoPwritev(blk, 512 * line, 64, behind);
  });
  yield* world.joinGuests();
  yield* blkUnref(blk);
  yield* bdrvUnref(bs);
  yield* world.stopIothreads();
}

const textOfTrace = (bytes: Uint8Array) => textOf(TraceReader.open(bytesSource(bytes)));

describe("contents that are revealed", () => {
  it("are the same in a replay of a simulated run", () => {
    expect(roundTrip(headerScenario(), { seed: 1 })).toMatchObject({ problem: "", outcome: "ok" });
  });

  it("are the same in a replay of a live run whose image is gone, and nothing else is in the trace", async () => {
    const { bytes, outcome } = await recordLive(headerScenario(), { seed: 1 });
    expect(outcome).toBe("ok");
    expect(roundTripOf(headerScenario(), bytes)).toMatchObject({ problem: "" });
    const text = textOfTrace(bytes);
    expect(text).toContain(`note text=${JSON.stringify(HEADER)}`);
    // "a header of 27 bytes, 3 lin": two pieces, the second one filled up with zeroes.
    expect(
      text.match(/reveal\w* .*/g)?.map((line) => line.replace(/steps=\d+/, "steps=n")),
    ).toEqual([
      "reveal site=- bytes=27 steps=n",
      "revealed a=61206865 b=61646572 c=206f6620 d=32372062",
      "revealed a=79746573 b=2c203320 c=6c696e00 d=00000000",
    ]);
    expect(text).not.toContain("53535353");
  });

  it("are a difference when replay asks for others", async () => {
    const { bytes } = await recordLive(headerScenario(), { seed: 1 });
    const { report } = replayBytes(headerScenario(16), bytes);
    expect(report.divergence?.expected).toContain("reveal site=- bytes=27");
    expect(report.divergence?.actual).toContain("reveal site=- bytes=16");
  });
});
