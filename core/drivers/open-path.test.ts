// How a file is refused, and how a name is read: what the host need not be asked about.

import { describe, expect, it } from "vitest";
import { blkNewWithBs } from "../backend/index.ts";
import { EINVAL, EROFS } from "../base/index.ts";
import type { BlockDriverState } from "../graph/index.ts";
import { BLK_PERM_ALL, BLK_PERM_CONSISTENT_READ, BLK_PERM_WRITE, settle } from "../graph/index.ts";
import type { HostCallRequest, HostResult, Polls } from "../sched/index.ts";
import { TestHost } from "../sched/test-support.ts";
import { fileOpen } from "./file.ts";
import { nullCoDriver } from "./null-co.ts";
import { nullOpen } from "./null-state.ts";
import { bdrvOpenPath, type OpenPathOptions } from "./open-path.ts";
import { runDisk } from "./test-support.ts";

/** Files that nobody may write to; `device` is none, and the paths that were opened. */
class ReadOnlyHost extends TestHost {
  readonly opened: string[] = [];

  override call(request: HostCallRequest): HostResult {
    if (request.call !== "open") return super.call(request);
    this.opened.push(`${request.path} ${request.writable ? "rw" : "ro"}`);
    if (request.path === "device") return { ret: -EINVAL, value: 0 };
    return { ret: request.writable ? -EROFS : 0, value: 1 };
  }
}

/** What opening says, "" when it opens nothing wrong; and the paths. */
function opening(open: () => Polls<unknown>): [string, string[]] {
  const host = new ReadOnlyHost();
  let said = "";
  runDisk(function* (): Polls<void> {
    const outcome = yield* settle(open);
    if (!outcome.ok) said = outcome.error.message;
  }, host);
  return [said, host.opened];
}

describe("a file", () => {
  const file = (path: string, more: object = {}) =>
    opening(() => fileOpen({ nodeName: "", path, ...more }));

  it("without a name, and what is no file, is refused", () => {
    expect(file("")).toEqual(["The 'file' block driver requires a file name", []]);
    expect(file("device")[0]).toBe("'file' driver requires 'device' to be a regular file");
  });

  it("that can only be read is refused, or read until somebody wants to write", () => {
    expect(file("a")).toEqual(["Could not open 'a': Read-only file system", ["a rw"]]);
    expect(file("a", { autoReadOnly: true })).toEqual(["", ["a rw", "a ro"]]);
    const writer = opening(function* (): Polls<void> {
      const bs = yield* fileOpen({ nodeName: "", path: "a", autoReadOnly: true });
      yield* blkNewWithBs(bs, { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL });
      yield* blkNewWithBs(bs, { perm: BLK_PERM_WRITE, sharedPerm: BLK_PERM_ALL });
    });
    expect(writer[0]).toBe("Could not open 'a': Read-only file system");
  });
});

describe("a name", () => {
  const named = (path: string, more: Partial<OpenPathOptions> = {}) =>
    opening(() => bdrvOpenPath({ path, format: "raw", readOnly: true, ...more }));

  it("is a path, also behind `file:` and where a colon comes behind a slash", () => {
    expect(named("a")[1]).toEqual(["a ro"]);
    expect(named("file:a:b")[1]).toEqual(["a:b ro"]);
    expect(named("./a:b")[1]).toEqual(["./a:b ro"]);
    expect(named("file:")[0]).toBe("The 'file' block driver requires a file name");
  });

  it("of another protocol is refused, and so is an unknown format", () => {
    expect(named("nbd:a")).toEqual(["Unknown protocol 'nbd'", []]);
    expect(named("json:{}")).toEqual(["Unknown protocol 'json'", []]);
    expect(named("a", { format: "qed" })).toEqual(["Unknown driver 'qed'", []]);
  });

  it("with options is for whoever reads them, with what is said beside it", () => {
    const asked: unknown[] = [];
    const openJson: OpenPathOptions["openJson"] = (json, image): Polls<BlockDriverState> => {
      asked.push(json, image.format, image.nodeName, image.readOnly, image.depth);
      return nullOpen(nullCoDriver, { nodeName: image.nodeName });
    };
    expect(named("json:{x", { openJson, nodeName: "n" })).toEqual(["", []]);
    expect(asked).toEqual(["{x", "raw", "n", true, 0]);
    const [said] = named("json:{x", { openJson, backing: { nodeName: "b" } });
    expect(said).toBe("What is below 'json:{x' has its names from these options");
  });
});
