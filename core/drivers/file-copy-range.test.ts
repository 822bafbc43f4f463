import { describe, expect, it } from "vitest";
import { blkCoCopyRange, blkNewWithBs } from "../backend/index.ts";
import { EIO, ENOSPC, ENOTSUP, type OpId } from "../base/index.ts";
import { type BlockDriverState, bdrvInsertNode, bdrvRef, bdrvUnref } from "../graph/index.ts";
import type { Co, HostCallRequest, HostCopy, HostResult, Inbox, Polls } from "../sched/index.ts";
import { TestHost } from "../sched/test-support.ts";
import { fileOpen } from "./file.ts";
import { filterDriver } from "./filter.ts";
import { nullCoDriver } from "./null-co.ts";
import { nullOpen } from "./null-state.ts";
import { rawOpen } from "./raw.ts";
import { inMain, runDisk } from "./test-support.ts";

const MIB = 1 << 20;

/** Notes what it is asked to copy, and fails what begins at `bad` of the target. */
class Copying extends TestHost {
  readonly asked: string[] = [];
  readonly #bad: number;
  readonly #failed = new Set<OpId>();
  #handles = 0;

  constructor(bad = -1) {
    super();
    this.#bad = bad;
  }

  override call(request: HostCallRequest): HostResult {
    if (request.call === "size") return { ret: 0, value: 64 * MIB };
    if (request.call === "open") return { ret: 0, value: ++this.#handles };
    return super.call(request);
  }

  override copy(op: HostCopy): void {
    const { from, fromOffset, to, toOffset, bytes } = op;
    this.asked.push(`${from}:${fromOffset} to ${to}:${toOffset}, ${bytes}`);
    if (toOffset === this.#bad) this.#failed.add(op.id);
    super.copy(op);
  }

  override deliver(inbox: Inbox, idle: boolean) {
    const complete = (id: OpId, ret: number): void =>
      inbox.complete(id, this.#failed.has(id) ? -ENOSPC : ret);
    const { expire, fdReady, stepsSinceInput } = inbox;
    const bound = { expire: expire.bind(inbox), fdReady: fdReady.bind(inbox), stepsSinceInput };
    return super.deliver({ complete, ...bound }, idle);
  }
}

type Open = (nodeName: string) => Polls<BlockDriverState>;

const file: Open = (nodeName) => fileOpen({ nodeName, path: nodeName });

/** What the host is asked for while a range is copied from one node to another, and what that returns. */
function copied(
  [source, target]: readonly [Open, Open],
  [from, to, bytes]: readonly [number, number, number],
  host = new Copying(),
): [string[], number] {
  let ret = 1;
  runDisk(function* (): Polls<void> {
    const blk = yield* blkNewWithBs(yield* source("source"));
    const other = yield* blkNewWithBs(yield* target("target"));
    const copy = (): Co<number> => blkCoCopyRange(blk, from, other, to, bytes);
    ret = yield* inMain(copy());
  }, host);
  return [host.asked, ret];
}

describe("a copy from file to file", () => {
  it("is the host's, in pieces that it does quickly", () => {
    expect(copied([file, file], [4096, 100, 512])).toEqual([["1:4096 to 2:100, 512"], 0]);
    expect(copied([file, file], [0, 1, 40 * MIB])).toEqual([
      [
        `1:0 to 2:1, ${16 * MIB}`,
        `1:${16 * MIB} to 2:${16 * MIB + 1}, ${16 * MIB}`,
        `1:${32 * MIB} to 2:${32 * MIB + 1}, ${8 * MIB}`,
      ],
      0,
    ]);
  });

  it("ends with the first piece that fails", () => {
    const [asked, ret] = copied([file, file], [0, 0, 40 * MIB], new Copying(16 * MIB));
    expect([asked.length, ret]).toEqual([2, -ENOSPC]);
  });

  it("goes through raw nodes, which have it where their windows are, and not beside them", () => {
    const window = function* (nodeName: string): Polls<BlockDriverState> {
      return yield* rawOpen("", yield* file(nodeName), false, { offset: 8192, size: 4096 });
    };
    expect(copied([window, file], [512, 0, 1024])).toEqual([["1:8704 to 2:0, 1024"], 0]);
    expect(copied([file, window], [512, 0, 1024])).toEqual([["1:512 to 2:8192, 1024"], 0]);
    expect(copied([window, file], [0, 0, 8192])).toEqual([[], -EIO]);
  });

  it("may be within one file", () => {
    const asked = copied([file, file], [0, 8192, 4096])[0];
    expect(asked).toEqual(["1:0 to 2:8192, 4096"]);
    let shared: BlockDriverState | null = null;
    const same = function* (): Polls<BlockDriverState> {
      shared ??= yield* file("both");
      bdrvRef(shared);
      return shared;
    };
    expect(copied([same, same], [0, 8192, 4096])).toEqual([["1:0 to 1:8192, 4096"], 0]);
  });

  it("is not there where one end is no file, or a filter is between, as in QEMU 7.2", () => {
    const memory: Open = (nodeName) => nullOpen(nullCoDriver, { nodeName, size: MIB });
    const filtered = function* (nodeName: string): Polls<BlockDriverState> {
      const bs = yield* file(nodeName);
      const filter = yield* bdrvInsertNode(bs, filterDriver, "filter");
      yield* bdrvUnref(bs);
      return filter;
    };
    expect(copied([memory, file], [0, 0, 512])).toEqual([[], -ENOTSUP]);
    expect(copied([file, memory], [0, 0, 512])).toEqual([[], -ENOTSUP]);
    expect(copied([filtered, file], [0, 0, 512])).toEqual([[], -ENOTSUP]);
  });
});
