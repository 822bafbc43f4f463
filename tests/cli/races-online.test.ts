// quiesce races --online: a trace that grows while it is judged; piece by piece in this process, and with two real ones.

import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
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

describe("what was asked for", () => {
  type Result = {
    findings: {
      fingerprint: string;
      count: number;
      first: number;
      accesses: { path: unknown[] }[];
    }[];
    traces: unknown[];
  };
  const judged = async (options: readonly string[]): Promise<Result> => {
    const { stdout } = await quiesce(["races", ...options, "--json"]);
    return JSON.parse(stdout) as Result;
  };

  // Less is judged again online: what that adds to a reason is all that may differ.
  const bare = ({ findings, traces }: Result): unknown => ({
    findings: findings.map((finding) => ({ ...finding, raceWithout: 0, why: 0, stack: 0 })),
    traces,
  });

  it.each([
    ["plain", []],
    ["the task reading", ["--reading", "task"]],
    ["both readings", ["--reading", "both"]],
    ["a policy", ["--policy", "P3"]],
    ["all policies, and what drains cost", ["--policy", "all", "--drains"]],
  ])("is what is judged: %s", async (_, options) => {
    const online = await judged(["--online", whole, ...options]);
    const offline = await judged([whole, ...options, "--no-stacks"]);
    expect(online.findings.length).toBeGreaterThan(0);
    const sums = (text: unknown) => JSON.parse(JSON.stringify(text, withoutReasons));
    expect(sums(bare(online))).toEqual(sums(bare(offline)));
  });

  it("the page has the pictures that it has of a run that is over", async () => {
    const page = path("online.html");
    await quiesce(["races", "--online", whole, "--html", page]);
    const html = readFileSync(page, "utf8");
    expect(html).toContain('<svg class="graph"');
    expect(html).toContain('<svg class="lanes"');
  });

  it("is refused where only a run that is over has it", async () => {
    const { code, stderr } = await quiesce(["races", "--online", whole, "--stacks"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(ONE_SENTENCE);
  });
});

/** Policies have findings of their own, with reasons. */
function withoutReasons(key: string, value: unknown): unknown {
  return key === "why" || key === "raceWithout" ? undefined : value;
}

describe("another run in the place of the one that is followed", () => {
  const following = async (change: (file: string) => Promise<void>) => {
    const file = path("replaced.trace");
    writeFileSync(file, bytes.subarray(0, Math.floor(bytes.length / 2)));
    const stdout = new Collected();
    const stderr = new Collected();
    const ended = main(["races", "--online", file], { stdout, stderr });
    await until(() => stdout.text.includes("race  "));
    await change(file);
    return { code: await ended, stdout: stdout.text, stderr: stderr.text };
  };
  let other: Buffer;
  beforeAll(async () => {
    const run = ["record", "luck-timer", "-o", path("other.trace")];
    expect((await quiesce(run)).code).toBe(0);
    other = readFileSync(path("other.trace"));
  });

  it.each([
    ["shorter", async (file: string) => writeFileSync(file, other)],
    [
      "longer at once",
      async (file: string) => writeFileSync(file, Buffer.concat([other, bytes, bytes])),
    ],
  ])("in the same file, %s, is not taken for it", async (_, change) => {
    const { code, stdout, stderr } = await following(change);
    expect(code).toBe(3);
    expect(stderr).toMatch(ONE_SENTENCE);
    expect(stderr).toContain("Another run was begun in this file");
    expect(stdout).toContain("the recording is incomplete");
  });

  it("in another file of that name ends the following, once nothing more comes", async () => {
    const { code, stderr } = await following(async (file) => {
      rmSync(file);
      writeFileSync(file, other);
    });
    expect(code).toBe(3);
    expect(stderr).toMatch(ONE_SENTENCE);
    expect(stderr).toContain("Another file has taken the place of this one");
  });

  it("a file that gets another name is followed to its end", async () => {
    const { code, stderr } = await following(async (file) => {
      renameSync(file, path("renamed.trace"));
      writeFileSync(file, other);
      await sleep(100);
      appendFileSync(path("renamed.trace"), bytes.subarray(Math.floor(bytes.length / 2)));
    });
    expect(code).toBe(1);
    expect(stderr).toBe("");
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
