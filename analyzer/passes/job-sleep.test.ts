// A job sleeps in io1 while main drains its node. Without patch 9 it goes on when the drain ends.
//
//   main                          | io1
//                                 | sleep, until t
//   drained section: pauses job   |
//                                 | woken at t - 500: too early

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

function linesOf(text: string): string[] {
  const { findings } = analyze(traceFromText(text));
  return findings.map(({ rule, title, why, count }) => `${rule} (${count}): ${title} ${why}`);
}

const CUT = `
  main                                  | io1
                                        | sleep j1
  drained s1 n1 j1 @bdrv_append; release s1 n1 j1 |
                                        | slept j1 500`;

describe("a job's sleep", () => {
  it("is cut short by a drained section", () => {
    expect(linesOf(CUT)).toEqual([
      "job-sleep-cut-short (1): A sleep of job 1 was cut short. " +
        "The drain of node 1 by bdrv_append paused it in its sleep; when that was over it went on at once, 500 ns too early.",
    ]);
  });

  it("is counted once a site of the drain", () => {
    const again = CUT.trim().split("\n").slice(1).join("\n").replaceAll("s1", "s2");
    expect(linesOf(`${CUT}\n${again}`)[0]).toContain("job-sleep-cut-short (2)");
  });

  it.each([
    ["that lasts to its end", CUT.replace("500", "0")],
    ["that a cancellation ends", CUT.replace("500", "500 cancelled")],
    ["during which only another job is paused", CUT.replaceAll(" j1 @", " j2 @")],
    ["that somebody else ends, e.g. a new speed", CUT.replace(/drained.*release s1 n1 j1/, "kick")],
    ["that a user's pause ends", CUT.replace(/drained.*release s1 n1 j1/, "up j1; down j1")],
    ["that began after the section", CUT.replace("sleep j1", "slept j1 0; sleep j2")],
  ])("%s is not", (_, text) => {
    expect(linesOf(text)).toEqual([]);
  });
});
