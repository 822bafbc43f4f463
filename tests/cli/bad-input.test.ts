// The table of bad input: one clear sentence, exit code 3, no stack trace, and what was recorded is not lost.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ONE_SENTENCE, quiesce, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
const good = path("good.trace");

beforeAll(async () => {
  const { code } = await quiesce(["record", "demo", "--seed", "3", "-o", good]);
  expect(code).toBe(0);
  const bytes = readFileSync(good);
  writeFileSync(path("newer.trace"), newerTrace());
  writeFileSync(path("empty.trace"), "");
  writeFileSync(path("text.trace"), "This is a letter to my aunt, who keeps bees.\n");
  writeFileSync(path("short.trace"), bytes.subarray(0, 7));
  writeFileSync(path("cut.trace"), bytes.subarray(0, Math.floor(bytes.length * 0.7)));
  const flipped = Uint8Array.from(bytes);
  const middle = Math.floor(flipped.length / 2);
  flipped[middle] = (flipped[middle] ?? 0) ^ 0x10;
  writeFileSync(path("flipped.trace"), flipped);
  mkdirSync(path("folder.trace"));
});
afterAll(remove);

/** A trace of format version 3, of which nothing but its version can be read. */
function newerTrace(): Uint8Array {
  const head = Uint8Array.of(0x12, 7);
  const version = Uint8Array.of(0x10, 3);
  const crc = new DataView(new ArrayBuffer(4));
  crc.setUint32(0, crc32(version, crc32(head)), true);
  const magic = new TextEncoder().encode("\tquiesce\n");
  return Uint8Array.of(...magic, ...head, 0x0d, ...new Uint8Array(crc.buffer), ...version);
}

const READERS = [["info"], ["dump"], ["replay"], ["races"]] as const;

describe.each(READERS)("quiesce %s", (verb) => {
  it.each([
    ["a file that is not there", "none.trace", /there is no such file/],
    ["a folder", "folder.trace", /This is a folder/],
    ["an empty file", "empty.trace", /The file is empty/],
    ["a newer version", "newer.trace", /format version 3, but this version of quiesce reads/],
    ["something else", "text.trace", /not a trace/],
    ["a file that ends in its header", "short.trace", /not a trace|ends within its header/],
  ])("refuses %s with one sentence", async (_, name, words) => {
    const { code, stdout, stderr } = await quiesce([verb, path(name)]);
    expect(code).toBe(3);
    expect(stdout).toBe("");
    expect(stderr).toMatch(ONE_SENTENCE);
    expect(stderr).toMatch(words);
    expect(stderr).toContain(name);
  });

  it.each([
    ["cut off", "cut.trace", /ends in the middle|breaks off|incomplete/],
    ["damaged", "flipped.trace", /chunk \d+ \(byte \d+\)/],
  ])(
    "reads what can be read of a trace that is %s, and says what cannot",
    async (_, name, words) => {
      const { code, stdout, stderr } = await quiesce([verb, path(name)]);
      expect(code, stderr).toBe(3);
      expect(stdout.length).toBeGreaterThan(20);
      expect(stderr).toMatch(ONE_SENTENCE);
      expect(stderr).toMatch(words);
    },
  );
});

describe("quiesce record", () => {
  it.skipIf(!existsSync("/dev/full"))("says so when the disk is full", async () => {
    const { code, stdout, stderr } = await quiesce(["record", "demo", "-o", "/dev/full"]);
    expect(code).toBe(3);
    expect(stdout).toBe("");
    expect(stderr).toMatch(ONE_SENTENCE);
    expect(stderr).toContain("disk is full");
  });

  it("says so when the trace cannot be made", async () => {
    const { code, stderr } = await quiesce(["record", "demo", "-o", path("nowhere/x.trace")]);
    expect(code).toBe(3);
    expect(stderr).toMatch(ONE_SENTENCE);
    expect(stderr).toContain("nowhere/x.trace");
  });

  it.each(["simulated", "live"])(
    "says so when an image cannot be opened (%s), and keeps the trace",
    async (host) => {
      const scenario = path("no-image.ts");
      writeFileSync(scenario, SCENARIO);
      const trace = path("no-image.trace");
      const { code, stderr } = await quiesce(["record", scenario, "--host", host, "-o", trace]);
      expect(code, stderr).toBe(3);
      expect(stderr).toMatch(ONE_SENTENCE);
      expect(stderr).toContain("not-there.img");
      expect((await quiesce(["dump", trace])).stdout).toContain("before the image");
      // Replay comes to the same point, and says the same.
      const replayed = await quiesce(["replay", trace]);
      expect(replayed.code).toBe(3);
      expect(replayed.stderr).toMatch(ONE_SENTENCE);
    },
  );

  it.each([
    ["has a mistake in it", "export default {{", /line 1: /],
    ["exports nothing", "export const x = 1;", /has no default export/],
    ["exports something else", "export default 7;", /exports something else by default/],
    [
      "needs what quiesce has not",
      'import "#core/nothing"; export default {};',
      /has no module "#core\/nothing"/,
    ],
    [
      "fails while it is loaded",
      "throw new Error('oh'); export default {};",
      /failed while it was loaded: oh/,
    ],
  ])("refuses a scenario that %s", async (_, source, words) => {
    const scenario = path("bad.ts");
    writeFileSync(scenario, source);
    const { code, stderr } = await quiesce(["record", scenario, "-o", path("bad.trace")]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^quiesce: [^\n]+\n$/);
    expect(stderr).toMatch(words);
  });
});

const SCENARIO = `
import { fileOpen } from "#core/drivers";
export default {
  name: "no-image",
  title: "Opens an image that is not there.",
  *main(world) {
    world.note("before the image");
    yield* fileOpen({ nodeName: "file", path: world.imagePath("not-there.img") });
  },
};
`;
