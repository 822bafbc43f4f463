import { describe, expect, it } from "vitest";
import { blkPdiscard, blkPwriteZeroes } from "../backend/index.ts";
import { ENOTSUP, type OpId } from "../base/index.ts";
import { BDRV_REQ_MAY_UNMAP, BDRV_REQ_NO_FALLBACK, type BlockDriverState } from "../graph/index.ts";
import type { HostCallRequest, HostOp, HostResult, Inbox, Polls } from "../sched/index.ts";
import { TestHost } from "../sched/test-support.ts";
import { fileOpen } from "./file.ts";
import { rawOpen } from "./raw.ts";
import { runDisk, textDisk } from "./test-support.ts";

/** Notes what it is asked for, and cannot do some of it. */
class Noting extends TestHost {
  readonly asked: string[] = [];
  readonly #cannot: readonly string[];
  readonly #refused = new Set<OpId>();

  constructor(...cannot: readonly string[]) {
    super();
    this.#cannot = cannot;
  }

  override call(request: HostCallRequest): HostResult {
    return request.call === "size" ? { ret: 0, value: 65_536 } : super.call(request);
  }

  override submit(op: HostOp): null {
    this.asked.push(op.type);
    if (this.#cannot.includes(op.type)) this.#refused.add(op.id);
    return super.submit(op);
  }

  override deliver(inbox: Inbox, idle: boolean) {
    const { stepsSinceInput } = inbox;
    const complete = (id: OpId, ret: number): void =>
      inbox.complete(id, this.#refused.has(id) ? -ENOTSUP : ret);
    const { expire, fdReady } = inbox;
    return super.deliver(
      { complete, expire: expire.bind(inbox), fdReady: fdReady.bind(inbox), stepsSinceInput },
      idle,
    );
  }
}

/** What the host is asked for while zeroes, or a discard (`flags` null), come twice to a file, or to a node above, and what that returns the second time. */
function asked(
  host: Noting,
  flags: number | null,
  prepare: (bs: BlockDriverState) => void = () => undefined,
  above: ((bs: BlockDriverState) => Polls<BlockDriverState>) | null = null,
): [string[], number] {
  let ret = 0;
  runDisk(function* (): Polls<void> {
    const bs = yield* fileOpen({ nodeName: "f", path: "f" });
    prepare(bs);
    const { blk } = yield* textDisk(above === null ? bs : yield* above(bs));
    for (let i = 0; i < 2; i++)
      ret =
        flags === null
          ? yield* blkPdiscard(blk, 0, 4096)
          : yield* blkPwriteZeroes(blk, 0, 4096, flags);
  }, host);
  return [host.asked.filter((type) => type !== "flush" && type !== "read"), ret];
}

const FAST = BDRV_REQ_NO_FALLBACK;
const FREE = BDRV_REQ_MAY_UNMAP;

describe("zeroes in a file", () => {
  it("are the file system's, which may free the range when that is asked for", () => {
    expect(asked(new Noting(), 0)).toEqual([["write_zeroes", "write_zeroes"], 0]);
    expect(asked(new Noting(), FAST)).toEqual([["write_zeroes", "write_zeroes"], 0]);
    expect(asked(new Noting(), FREE)).toEqual([["discard", "discard"], 0]);
  });

  it("are not freed below a node that lets no discards through, if its file does not either", () => {
    const ignore = (bs: BlockDriverState): void => {
      bs.unmap = false;
    };
    const below = (bs: BlockDriverState): Polls<BlockDriverState> => rawOpen("r", bs, false);
    expect(asked(new Noting(), FREE, ignore)).toEqual([["discard", "discard"], 0]);
    expect(asked(new Noting(), FREE, ignore, below)).toEqual([["write_zeroes", "write_zeroes"], 0]);
    expect(asked(new Noting(), null, ignore)).toEqual([[], 0]);
  });

  it("are written where it cannot, which is asked once, unless it has to be quicker than that", () => {
    const cannot = () => new Noting("write_zeroes", "discard");
    expect(asked(cannot(), 0)).toEqual([["write_zeroes", "write", "write"], 0]);
    expect(asked(cannot(), FREE)).toEqual([["discard", "write_zeroes", "write", "write"], 0]);
    expect(asked(cannot(), FAST)).toEqual([["write_zeroes"], -ENOTSUP]);
  });
});

describe("discards of a file", () => {
  it("free the range, or are forgotten where that cannot be", () => {
    expect(asked(new Noting(), null)).toEqual([["discard", "discard"], 0]);
    expect(asked(new Noting("discard"), null)).toEqual([["discard"], 0]);
  });
});
