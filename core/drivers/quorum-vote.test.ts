// Votes of quorum: who wins, who is told of, and who is written to again.

import { describe, expect, it } from "vitest";
import { blkFlush, blkUnref } from "../backend/index.ts";
import { EIO, ENOSPC } from "../base/index.ts";
import {
  BLK_PERM_ALL,
  type BlockDriverState,
  bdrvAddChild,
  bdrvDelChild,
  bdrvRef,
  edgeOf,
  settle,
} from "../graph/index.ts";
import { bdrvBlockStatus } from "../io/index.ts";
import type { Polls } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import { type BlkdebugOptions, blkdebugOpen } from "./blkdebug/index.ts";
import { driverEventListeners } from "./driver-events.ts";
import { overlayOpen } from "./overlay.ts";
import { type QuorumOptions, quorumVoteOpen } from "./quorum-vote.ts";
import { runDisk, type TextDisk, textDisk } from "./test-support.ts";

const SIZE = 4096;

/** A child with contents, below a blkdebug node with rules. */
function* child(
  nodeName: string,
  text: string,
  injectError: BlkdebugOptions["injectError"] = [],
): Polls<BlockDriverState> {
  const image = yield* overlayOpen({ nodeName: `${nodeName}-image`, size: SIZE });
  bdrvRef(image);
  const { writeText, blk } = yield* textDisk(image);
  yield* writeText(0, text);
  // The quorum lets nobody else write to its children.
  yield* blkUnref(blk);
  return yield* blkdebugOpen({ nodeName, image, injectError });
}

/** A quorum of children with these contents, and what it tells, a word each. */
function* quorumOf(
  texts: readonly string[],
  options: QuorumOptions,
  log: string[],
): Polls<TextDisk & { bs: BlockDriverState; children: readonly BlockDriverState[] }> {
  driverEventListeners().push((event) => {
    if (event.event === "fatal") log.push(event.line);
    else if (event.event === "QUORUM_FAILURE") log.push(`failure:${event.reference}`);
    else if (event.event === "QUORUM_REPORT_BAD")
      log.push(`bad-${event.type}:${event.nodeName}:${event.error ?? "differs"}`);
    return undefined;
  });
  const children: BlockDriverState[] = [];
  for (const [index, text] of texts.entries()) {
    const rules = text.startsWith("!")
      ? [{ event: "none" as const, errno: Number(text.slice(1)) }]
      : [];
    children.push(yield* child(`c${index}`, text.startsWith("!") ? "" : text, rules));
  }
  const bs = yield* quorumVoteOpen("q", children, options);
  const shared = { sharedPerm: BLK_PERM_ALL };
  return { ...(yield* textDisk(bs, shared)), bs, children };
}

describe("the votes of quorum", () => {
  it.each([
    [["good", "good", "good"], 3, "good", ""],
    [["good", "evil", "good"], 2, "good", "bad-read:c1:differs"],
    [["good", "evil", "else"], 2, String(-EIO), "failure:q"],
    [["good", "!5", "good"], 2, "good", "bad-read:c1:Input/output error"],
    [
      ["good", "!5", "!28"],
      1,
      "good",
      "bad-read:c1:Input/output error bad-read:c2:No space left on device",
    ],
    [
      ["good", "!28", "!28"],
      2,
      String(-ENOSPC),
      "bad-read:c1:No space left on device bad-read:c2:No space left on device failure:q",
    ],
    [["evil", "good"], 1, "good", "bad-read:c0:differs"],
  ])("of %j with threshold %i read %s", (texts, voteThreshold, expected, told) => {
    const log = runDisk(function* (log): Polls<void> {
      const { readText } = yield* quorumOf(texts, { voteThreshold }, log);
      expect(yield* readText(0, 4)).toBe(expected);
    });
    expect(log).toBe(told);
  });

  it("write over what was outvoted, when asked", () => {
    const log = runDisk(function* (log): Polls<void> {
      const options = { voteThreshold: 2, rewriteCorrupted: true };
      const { readText } = yield* quorumOf(["good", "evil", "good"], options, log);
      expect(yield* readText(0, 4)).toBe("good");
      log.push("again");
      expect(yield* readText(0, 4)).toBe("good");
    });
    expect(log).toBe("bad-read:c1:differs again");
  });

  it("count for writes and flushes, too", () => {
    const log = runDisk(function* (log): Polls<void> {
      const { writeText, blk } = yield* quorumOf(["", "!5", ""], { voteThreshold: 2 }, log);
      expect(yield* writeText(0, "text")).toBe(0);
      expect(yield* blkFlush(blk)).toBe(0);
      log.push("|");
    });
    expect(log).toBe("bad-write:c1:Input/output error bad-flush:c1:Input/output error |");
    const more = runDisk(function* (log): Polls<void> {
      const { writeText, blk } = yield* quorumOf(["", "!28", ""], { voteThreshold: 3 }, log);
      expect(yield* writeText(0, "text")).toBe(-ENOSPC);
      expect(yield* blkFlush(blk)).toBe(-ENOSPC);
    });
    expect(more).toContain("bad-write:c1:No space left on device failure:q");
  });

  it("are not asked for reads one after the other", () => {
    const log = runDisk(function* (log): Polls<void> {
      const options = { voteThreshold: 1, readPattern: "fifo" as const };
      const { readText } = yield* quorumOf(["!5", "good", "evil"], options, log);
      expect(yield* readText(0, 4)).toBe("good");
    });
    expect(log).toBe("bad-read:c0:Input/output error");
  });

  it("of blkverify end the run where two differ", () => {
    const run = runMain(function* (log): Polls<void> {
      const options = { voteThreshold: 2, blkverify: true };
      const { readText } = yield* quorumOf(["good", "evil"], options, log);
      yield* readText(0, 4);
    });
    expect(run.outcome).toBe("assertion");
    expect(run.log).toBe("quorum: offset=0 bytes=4 contents mismatch at offset 0");
  });

  it("are given by children that come and go, as long as they are enough", () => {
    runDisk(function* (log): Polls<void> {
      const { bs, readText } = yield* quorumOf(["good", "good"], { voteThreshold: 2 }, log);
      const graph = new Map([["q", bs]]);
      const refused = yield* settle(() => bdrvDelChild(bs, edgeOf(graph, "q", "children.1")));
      expect(refused.ok ? "" : refused.error.message).toBe(
        "The number of children cannot be lower than the vote threshold 2",
      );
      yield* bdrvAddChild(bs, yield* child("late", "evil"));
      expect(yield* readText(0, 4)).toBe("good");
      yield* bdrvDelChild(bs, edgeOf(graph, "q", "children.0"));
      expect(yield* readText(0, 4)).toBe(String(-EIO));
      expect((yield* bdrvBlockStatus(bs, 0, SIZE)).ret & 1).toBe(1);
    });
  });

  it.each([
    [1, { voteThreshold: 2 }, "threshold may not exceed children count"],
    [1, { voteThreshold: 0 }, "Parameter 'vote-threshold' expects a value >= 1"],
    [
      3,
      { voteThreshold: 2, blkverify: true },
      "blkverify=on can only be set if there are exactly two files and vote-threshold is 2",
    ],
    [
      2,
      { voteThreshold: 2, blkverify: true, rewriteCorrupted: true },
      "rewrite-corrupted=on cannot be used with blkverify=on",
    ],
  ])("are refused of %i children with %j", (count, options, message) => {
    runDisk(function* (log): Polls<void> {
      const texts = new Array<string>(count).fill("");
      const opened = yield* settle(() => quorumOf(texts, options, log));
      expect(opened.ok ? "" : opened.error.message).toBe(message);
    });
  });
});
