import { describe, expect, it } from "vitest";
import { fileOpen } from "../drivers/index.ts";
import { bufferOf, runDisk, textDisk } from "../drivers/test-support.ts";
import { bdrvReopen, bdrvSetCommonOptions, CACHED, type DetectZeroes } from "../graph/index.ts";
import type { HostOp, Polls } from "../sched/index.ts";
import { TestHost } from "../sched/test-support.ts";

class Noting extends TestHost {
  readonly asked: string[] = [];
  override submit(op: HostOp): null {
    if (op.type !== "flush") this.asked.push(op.type);
    return super.submit(op);
  }
}

/** What the host is asked for when zeroes, and then other data, are written. */
function asked(detect: DetectZeroes): string[] {
  const host = new Noting();
  runDisk(function* (): Polls<void> {
    const bs = yield* fileOpen({ nodeName: "f", path: "f" });
    bs.totalBytes = 8;
    bdrvSetCommonOptions(bs, { discard: "unmap", "detect-zeroes": detect }, CACHED);
    const { writeText } = yield* textDisk(bs);
    expect(bufferOf("..").data).toEqual(new Uint8Array(2));
    expect(yield* writeText(0, "....")).toBe(0);
    expect(yield* writeText(0, "..a.")).toBe(0);
  }, host);
  return host.asked;
}

describe("detect-zeroes", () => {
  it("makes a write of zeroes a request for zeroes, which may free what it covers", () => {
    expect(asked("off")).toEqual(["write", "write"]);
    expect(asked("on")).toEqual(["write_zeroes", "write"]);
    expect(asked("unmap")).toEqual(["discard", "write"]);
  });

  it("is changed by a reopen", () => {
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen({ nodeName: "f", path: "f" });
      expect([bs.detectZeroes, bs.unmap]).toEqual(["off", true]);
      yield* bdrvReopen(bs, { "detect-zeroes": "on" }, true);
      expect(bs.detectZeroes).toBe("on");
    });
  });
});
