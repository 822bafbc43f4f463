// quiesce races --online: a trace that grows while it is judged; piece by piece in this process, and with two real ones.

import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { main } from "#cli";
import { ONE_SENTENCE, quiesce, temporaryFolder } from "./test-support.ts";

const BIN = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "bin", "quiesce");
const { path, remove } = temporaryFolder();
const whole = path("whole.trace");
let bytes: Buffer;

beforeAll(async () => {
  const run = ["record", "demo", "--seed", "2", "--without-patch", "10,11", "-o", whole];
  expect((await quiesce(run)).code).toBe(0);
  bytes = readFileSync(whole);
});
afterAll(remove);

/** Fingerprints of the findings that a text has; not those that a consequence refers to. */
function named(text: string): string[] {
  return [...text.matchAll(/(?<!\bof\s+race\s+)\b[0-9a-f]{16}\b/g)].map(([print]) => print).sort();
}

class Collected extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (let looks = 0; looks < 600 && !isSo(); looks++) await sleep(50);
  expect(isSo()).toBe(true);
}

describe("a trace that grows", () => {
  it("is judged as far as it is there, each finding printed once, and in the end as the whole one is", async () => {
    const file = path("growing.trace");
    const stdout = new Collected();
    const stderr = new Collected();
    const half = Math.floor(bytes.length / 2);
    const ended = main(["races", "--online", file], { stdout, stderr });
    // Pieces end anywhere: in the header, in the middle of a chunk.
    writeFileSync(file, bytes.subarray(0, 100));
    await sleep(60);
    appendFileSync(file, bytes.subarray(100, half));
    await until(() => stdout.text.includes("race  "));
    const early = named(stdout.text).length;
    expect(stdout.text).not.toContain("events\n");
    appendFileSync(file, bytes.subarray(half));
    expect(await ended).toBe(1);
    expect(stderr.text).toBe("");
    const json = JSON.parse((await quiesce(["races", whole, "--json", "--no-stacks"])).stdout) as {
      findings: { fingerprint: string }[];
    };
    const all = [...new Set(json.findings.map(({ fingerprint }) => fingerprint))].sort();
    expect(named(stdout.text)).toEqual(all);
    expect(early).toBeGreaterThan(0);
    expect(early).toBeLessThan(all.length);
    const summary = (await quiesce(["races", whole, "--no-stacks"])).stdout
      .trimEnd()
      .split("\n")
      .at(-1);
    expect(stdout.text.trimEnd().split("\n").at(-1)).toBe(summary?.replace(whole, file));
  });

  it("whose writer is gone is summed up as far as it goes, with exit code 3", async () => {
    const file = path("abandoned.trace");
    writeFileSync(file, bytes.subarray(0, Math.floor(bytes.length / 2)));
    const { code, stdout, stderr } = await quiesce(["races", "--online", file, "--idle", "0.2"]);
    expect(code).toBe(3);
    expect(stdout).toContain("the recording is incomplete");
    expect(stderr).toMatch(ONE_SENTENCE);
  });

  it.each([
    ["nobody begins to write", ["races", "--online", path("never.trace"), "--idle", "0.1"], 3],
    ["are two", ["races", "--online", whole, whole], 2],
  ])("that %s is one sentence", async (_, argv, expected) => {
    const { code, stderr } = await quiesce(argv);
    expect(code).toBe(expected);
    expect(stderr).toMatch(ONE_SENTENCE);
  });

  it("that holds only inputs is refused", async () => {
    const file = path("inputs.trace");
    await quiesce(["record", "luck-timer", "-o", file, "--level", "inputs"]);
    const { code, stderr } = await quiesce(["races", "--online", file, "--idle", "1"]);
    expect(code).toBe(3);
    expect(stderr).toContain("holds only inputs");
  });
});

describe("two processes", () => {
  const start = (argv: readonly string[]) =>
    spawn(process.execPath, [BIN, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  const collect = (child: ChildProcess) => {
    const got = { text: "", code: -1, done: false };
    child.stdout?.on("data", (chunk) => {
      got.text += chunk;
    });
    child.on("close", (code) => {
      got.code = code ?? -1;
      got.done = true;
    });
    return got;
  };

  it("one records a live run, the other judges it meanwhile, to its end", {
    timeout: 180_000,
  }, async () => {
    const file = path("live.trace");
    const judging = collect(start(["races", "--online", file, "--idle", "100"]));
    const recording = collect(
      start(["record", "demo", "-o", file, "--host", "live", "--without-patch", "10,11"]),
    );
    await until(() => recording.done && judging.done);
    expect(recording.code).toBe(0);
    expect(judging.code).toBe(1);
    expect(judging.text).toMatch(/^race {2}/m);
    expect(judging.text.trimEnd().split("\n").at(-1)).toMatch(/live\.trace: \d+ races?.* events$/);
  });

  it("a signal ends the following, and what was seen is summed up", {
    timeout: 60_000,
  }, async () => {
    const file = path("interrupted.trace");
    writeFileSync(file, bytes.subarray(0, Math.floor(bytes.length / 2)));
    const child = start(["races", "--online", file]);
    const judging = collect(child);
    await until(() => judging.text.includes("race  "));
    child.kill("SIGINT");
    await until(() => judging.done);
    expect(judging.code).toBe(3);
    expect(judging.text).toContain("the recording is incomplete");
  });
});
