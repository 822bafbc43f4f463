import { readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { quiesce, type Ran, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
const full = path("full.trace");
const inputs = path("inputs.trace");
let recorded: Ran;

beforeAll(async () => {
  const run = ["record", "demo", "--seed", "7", "--without-patch", "10,11", "-o"];
  recorded = await quiesce([...run, full]);
  await quiesce([...run, inputs, "--level", "inputs"]);
});
afterAll(remove);

describe("quiesce record", () => {
  it("says what it wrote, and nothing on stderr in a pipe", () => {
    expect(recorded.code).toBe(0);
    expect(recorded.stdout).toMatch(/full\.trace: [\d,]+ events; the run came to its end\n$/);
    expect(recorded.stderr).toBe("");
  });

  it("shows a progress line on a terminal, and takes it away", async () => {
    const before = process.env.CI;
    delete process.env.CI;
    try {
      const { stderr } = await quiesce(["record", "demo", "-o", path("tty.trace")], { tty: true });
      expect(stderr).toContain("Recording demo: ");
      expect(stderr.endsWith("\r\u001b[2K")).toBe(true);
      expect(stderr).not.toContain("\n");
    } finally {
      if (before !== undefined) process.env.CI = before;
    }
  });

  it("records real files with --host live", async () => {
    const live = path("live.trace");
    const run = ["record", "demo", "--host", "live", "--without-patch", "11,10", "--lock", "aio"];
    const { code, stdout } = await quiesce([...run, "-o", live]);
    expect(code, stdout).toBe(0);
    const info = JSON.parse((await quiesce(["info", live, "--json"])).stdout);
    expect(info).toMatchObject({
      host: "live",
      lock: "aio",
      patchesOff: [10, 11],
      complete: true,
      runStatus: "ok",
    });
    const replay = JSON.parse((await quiesce(["replay", live, "--json"])).stdout);
    expect(replay).toMatchObject({ identical: true, events: info.events, digest: info.digest });
  });
});

describe("quiesce replay", () => {
  it("regenerates the full trace, byte for byte, and the same one from the inputs alone", async () => {
    const again = path("again.trace");
    const { code, stdout } = await quiesce(["replay", full, "-o", again]);
    expect(code).toBe(0);
    expect(stdout).toContain("identical");
    expect(readFileSync(again).equals(readFileSync(full))).toBe(true);
    await quiesce(["replay", inputs, "-o", again]);
    // The two were recorded at different times, which the header says; every event is equal.
    expect((await quiesce(["dump", again])).stdout).toBe((await quiesce(["dump", full])).stdout);
  });

  it("as JSON has identical, events and digest, and the digest is the recording's", async () => {
    const json = JSON.parse((await quiesce(["replay", full, "--json"])).stdout);
    const { digest, events } = JSON.parse((await quiesce(["info", full, "--json"])).stdout);
    expect(json).toMatchObject({
      schemaVersion: 1,
      identical: true,
      complete: true,
      events,
      digest,
    });
    expect(json).not.toHaveProperty("divergence");
    const ofInputs = JSON.parse((await quiesce(["replay", inputs, "--json"])).stdout);
    expect(ofInputs.digest).toBe(digest);
  });

  it("names the first difference and exits with 4 when the recording is not of this program", async () => {
    const other = path("other.ts");
    const mine = path("mine.trace");
    writeFileSync(other, scenario("one"));
    expect((await quiesce(["record", other, "-o", mine])).code).toBe(0);
    writeFileSync(other, scenario("two"));
    const { code, stdout, stderr } = await quiesce(["replay", mine]);
    expect(code).toBe(4);
    expect(stdout).toMatch(/diverged at event \d+/);
    expect(stdout).toMatch(/recorded .*note text="one"/);
    expect(stdout).toMatch(/replayed .*note text="two"/);
    expect(stderr).toContain("has changed since");
    const json = JSON.parse((await quiesce(["replay", mine, "--json"])).stdout);
    expect(json).toMatchObject({
      identical: false,
      divergence: { expected: expect.stringContaining("one") },
    });
  });
});

function scenario(remark: string): string {
  return `export default { name: "mine", title: "Mine.", *main(world) { world.note("${remark}"); } };`;
}

describe("quiesce dump and info", () => {
  it("dump prints a line for each event, with its number", async () => {
    const { stdout } = await quiesce(["dump", full]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^ctx0 - ctx_new id=ctx0 name="main" {2}# 0$/);
    expect(lines.at(-1)).toMatch(
      new RegExp(`run_end status=ok steps=\\d+ {2}# ${lines.length - 1}$`),
    );
  });

  it("dump --json prints the header, then an object for each event", async () => {
    const { stdout } = await quiesce(["dump", inputs, "--json"]);
    const [header, ...events] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(header).toMatchObject({ schemaVersion: 1, seed: 7, level: "inputs" });
    expect(events.map(({ index }) => index)).toEqual(events.map((_, index) => index));
    expect(events.at(-1)).toMatchObject({ event: "run_end", status: "ok" });
  });

  it("info says what the trace is, as text and as JSON", async () => {
    const { code, stdout } = await quiesce(["info", full]);
    expect(code).toBe(0);
    for (const words of ["demo", "seed", "patches off", "10, 11", "digest", "an event"])
      expect(stdout).toContain(words);
    const json = JSON.parse((await quiesce(["info", full, "--json"])).stdout);
    expect(json).toMatchObject({
      schemaVersion: 1,
      seed: 7,
      level: "full",
      complete: true,
      damage: null,
    });
    expect(json.kinds.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(
      json.events,
    );
  });
});

it.each([
  ["demo", "--without-patch 10,11"],
  ["patch-01", "--without-patch 1 --lock aio"],
  ["luck-lock", "--lock aio"],
  ["luck-wake", "--lock aio"],
  ["luck-timer", null],
])("quiesce scenarios says how to see what %s shows: %s", async (name, options) => {
  const { stdout } = await quiesce(["scenarios"]);
  const lines = stdout.split(/\n(?! )/).map((line) => line.replace(/\s+/g, " "));
  const line = lines.find((one) => one.startsWith(`${name} `));
  expect(line).toBeDefined();
  expect(/ \(try (.*)\)$/.exec(line ?? "")?.[1] ?? null).toBe(options);
});

it("quiesce scenarios lists the demo, as text and as JSON", async () => {
  expect((await quiesce(["scenarios"])).stdout).toMatch(/^demo /m);
  const json = JSON.parse((await quiesce(["scenarios", "--json"])).stdout);
  expect(json.schemaVersion).toBe(1);
  expect(json.scenarios.map(({ name }: { name: string }) => name)).toContain("demo");
});

describe("--codec plain", () => {
  it("stores the same events uncompressed, when they are recorded or of a trace that there is", async () => {
    const [small, large, again, back] = ["s.trace", "l.trace", "a.trace", "b.trace"].map(path);
    const record = ["record", "drain-instant", "-o"];
    await quiesce([...record, small ?? ""]);
    await quiesce([...record, large ?? "", "--codec", "plain"]);
    const to = (file = "", codec: string, out = ""): Promise<{ code: number }> =>
      quiesce(["export", file, "--to", "quiesce", "--codec", codec, "-o", out]);
    expect((await to(small, "plain", again)).code).toBe(0);
    expect((await to(large, "deflate", back)).code).toBe(0);
    const size = (file = ""): number => statSync(file).size;
    expect(size(large)).toBeGreaterThan(3 * size(small));
    const digests: unknown[] = [];
    for (const file of [small, large, again, back]) {
      const { stdout } = await quiesce(["replay", file ?? "", "--json"]);
      const { identical, digest } = JSON.parse(stdout) as { identical: boolean; digest: string };
      expect(identical).toBe(true);
      digests.push(digest);
    }
    expect(new Set(digests).size).toBe(1);
  });

  it("is refused where nothing of quiesce's own is written", async () => {
    const { code, stderr } = await quiesce([
      "export",
      "x",
      "--to",
      "std",
      "--codec",
      "plain",
      "-o",
      path("y"),
    ]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("say --to quiesce, too")]);
  });
});
