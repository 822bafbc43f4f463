// What drivers with an opinion of their own ask of their children; all others have core/graph/default-perms.ts.

import { describe, expect, it } from "vitest";
import { blkNewWithBs } from "../backend/index.ts";
import { graphToTextWithPerms } from "../graph/graph-text.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_PRIMARY,
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE_UNCHANGED,
  bdrvOpenDriver,
  bdrvRef,
} from "../graph/index.ts";
import { conflict, READER, refuses, WRITER } from "../graph/test-support.ts";
import type { Polls } from "../sched/index.ts";
import { nullCoDriver } from "./null-co.ts";
import { nullOpen } from "./null-state.ts";
import { quorumOpen } from "./quorum.ts";
import { rawDriver, rawOpen } from "./raw.ts";
import { runDisk } from "./test-support.ts";

const size = 4096;

describe("raw asks of its file", () => {
  it("what it is asked, and shares what is shared: two of them can have one file", () => {
    runDisk(function* (): Polls<void> {
      const file = yield* nullOpen(nullCoDriver, { nodeName: "file", size });
      bdrvRef(file);
      const one = yield* rawOpen("one", file);
      yield* rawOpen("two", file);
      yield* blkNewWithBs(one, WRITER);
      expect(graphToTextWithPerms()).toBe(
        "file\nroot=root1{rw/rwus} one -file{rw/rwus}-> file\ntwo -file{-/rwus}-> file",
      );
    });
  });

  it("no WRITE for a copy that changes nothing, even where it uses a part of the file only", () => {
    runDisk(function* (): Polls<void> {
      const file = yield* nullOpen(nullCoDriver, { nodeName: "file", size });
      const part = yield* bdrvOpenDriver(rawDriver, "part", {
        children: [{ name: "file", role: BDRV_CHILD_DATA | BDRV_CHILD_PRIMARY, bs: file }],
      });
      const perm = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED;
      yield* blkNewWithBs(part, { perm, sharedPerm: BLK_PERM_ALL });
      expect(graphToTextWithPerms([part])).toBe("root=root1{ru/rwus} part -file{ru/rwu}-> file");
    });
  });
});

describe("quorum asks of its children", () => {
  it("what it is asked, and lets nobody else write or resize them", () => {
    runDisk(function* (): Polls<void> {
      const [a, b] = [
        yield* nullOpen(nullCoDriver, { nodeName: "a", size }),
        yield* nullOpen(nullCoDriver, { nodeName: "b", size }),
      ];
      bdrvRef(a);
      yield* blkNewWithBs(yield* quorumOpen("q", [a, b]), WRITER);
      expect(graphToTextWithPerms()).toBe(
        "a\nb\nroot=root1{rw/rwus} q -children.1{rw/ru}-> b -children.0{rw/ru}-> a",
      );
      yield* blkNewWithBs(a, READER);
      yield* refuses(
        () => blkNewWithBs(a, WRITER),
        conflict("a", "write", "an unnamed block device as root", "node 'q' as children.0"),
      );
    });
  });
});
