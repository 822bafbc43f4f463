import { describe, expect, it } from "vitest";
import { SimulatedHost } from "#explorer";
import {
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkGetlength,
  blkTruncate,
  blkUnref,
} from "../backend/index.ts";
import { type BlockDriverState, bdrvUnref, qmpBlockdevReopen, settle } from "../graph/index.ts";
import { bdrvGetlength, qiovOf } from "../io/index.ts";
import { guest, joinGuests } from "../io/test-support.ts";
import { type Co, machine, type Polls } from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { type PreallocateOptions, preallocateOpen } from "./preallocate.ts";
import { bufferOf, inMain, runDisk, type TextDisk, textDisk } from "./test-support.ts";

const SIZES: PreallocateOptions = { "prealloc-align": 4096, "prealloc-size": 8192 };

interface Disk extends TextDisk {
  readonly file: BlockDriverState;
  readonly bs: BlockDriverState;
}

function* growingDisk(options = SIZES): Polls<Disk> {
  const file = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
  const bs = yield* preallocateOpen("disk", file, options);
  return { ...(yield* textDisk(bs)), file, bs };
}

function run(body: () => Polls<void>, seed = 1): void {
  runDisk(body, new SimulatedHost({ seed }));
}

describe("preallocate", () => {
  it("makes the file longer than the disk, once for many writes, and cuts it when the writer goes", () => {
    run(function* (): Polls<void> {
      const { blk, bs, file, writeText, readText } = yield* growingDisk();
      const lengths = (): string => `${blkGetlength(blk)} of ${bdrvGetlength(file)}`;
      expect(yield* writeText(0, "a".repeat(512))).toBe(0);
      expect(lengths()).toBe("512 of 12288");
      expect(yield* writeText(1024, "b".repeat(512))).toBe(0);
      expect(lengths()).toBe("1536 of 12288");
      expect(yield* readText(510, 516)).toBe(`aa${".".repeat(512)}bb`);
      yield* blkUnref(blk);
      expect(bdrvGetlength(file)).toBe(1536);
      expect(bdrvGetlength(bs)).toBe(1536);
      yield* bdrvUnref(bs);
    });
  });

  it("writes zeroes behind the end together with what it allocates, or not at all", () => {
    run(function* (): Polls<void> {
      const { blk, file, readText, writeText } = yield* growingDisk();
      expect(yield* inMain(blkCoPwriteZeroes(blk, 1024, 512))).toBe(0);
      expect([blkGetlength(blk), bdrvGetlength(file)]).toEqual([1536, 12288]);
      const before = file.writeGen;
      expect(yield* inMain(blkCoPwriteZeroes(blk, 2048, 512))).toBe(0);
      expect(file.writeGen).toBe(before);
      expect(yield* writeText(3072, "c".repeat(512))).toBe(0);
      expect(yield* readText(2048, 1025)).toBe(`${".".repeat(1024)}c`);
    });
  });

  it("is cut before the disk is made longer, and follows when it is made shorter", () => {
    run(function* (): Polls<void> {
      const { blk, file, writeText } = yield* growingDisk();
      yield* writeText(0, "a".repeat(512));
      for (const length of [4096, 1024]) {
        expect(yield* blkTruncate(blk, length)).toBe(0);
        expect([blkGetlength(blk), bdrvGetlength(file)]).toEqual([length, length]);
      }
    });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "keeps the data of writers that grow it together, seed %i",
    (seed) => {
      run(function* (): Polls<void> {
        const { blk, readText } = yield* growingDisk({
          "prealloc-align": 512,
          "prealloc-size": 1024,
        });
        const letters = [..."abcdefghijklmnop"];
        const writers = letters.map((letter, index) =>
          guest(machine.mainContext, function* (): Co<void> {
            const qiov = qiovOf(bufferOf(letter.repeat(512)));
            expect(yield* blkCoPwritev(blk, index * 512, 512, qiov)).toBe(0);
          }),
        );
        yield* joinGuests(...writers);
        expect(yield* readText(0, 8192)).toBe(letters.map((letter) => letter.repeat(512)).join(""));
      }, seed);
    },
  );

  it.each([
    [{ "prealloc-align": 100 }, "is not aligned to 512"],
    [{ "prealloc-align": 512 }, "is not aligned to underlying node request alignment (4096)"],
  ] as const)("refuses %o", (options, text) => {
    const host = new SimulatedHost({ seed: 1, disk: { alignment: 4096 } });
    runDisk(function* (): Polls<void> {
      const opened = yield* settle(() => growingDisk(options));
      const problem = `prealloc-align parameter of preallocate filter ${text}`;
      expect(opened.ok ? "" : opened.error.message).toBe(problem);
    }, host);
  });

  it("takes other sizes when it is reopened", () => {
    run(function* (): Polls<void> {
      const { file, writeText } = yield* growingDisk();
      const named = { driver: "preallocate", "node-name": "disk", file: "file" };
      const sizes = { "prealloc-align": 512, "prealloc-size": 0 };
      yield* qmpBlockdevReopen([{ ...named, ...sizes }]);
      expect(yield* writeText(0, "a".repeat(1536))).toBe(0);
      expect(bdrvGetlength(file)).toBe(1536);
      const wrong = { ...named, ...sizes, "prealloc-align": 1 };
      const refused = yield* settle(() => qmpBlockdevReopen([wrong]));
      expect(refused.ok ? "" : refused.error.message).toContain("is not aligned to 512");
    });
  });
});
