// Reading ahead gives what reading gives: events, strings, clock, and what is said of a damaged file. It needs the built code,
// since a thread cannot be started from sources.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, expect, it } from "vitest";
import { madeUpFile } from "../../traces/test-support.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = mkdtempSync(join(tmpdir(), "quiesce-ahead-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Reads the trace at `argv[1]` both ways, ahead first, and prints both; `stop` after the first chunk when asked to. */
const SCRIPT = `
import { openSync } from "node:fs";
import { fdSource, TraceDigest, TraceReader } from ${JSON.stringify(pathToFileURL(join(ROOT, "dist/traces/index.js")).href)};
const [, path, stop] = process.argv;
const both = ["batchesAhead", "batches"].map((way) => {
  const reader = TraceReader.open(fdSource(openSync(path, "r")));
  const digest = new TraceDigest(reader.header);
  let shared = 0;
  let stamps = 0;
  for (const batch of reader[way]()) {
    digest.add(batch);
    shared += batch.ints.buffer instanceof SharedArrayBuffer ? 1 : 0;
    stamps += reader.clock === null ? 0 : 1;
    if (stop === "stop") break;
  }
  const { events, damage, complete, firstEvent, strings } = reader;
  return { shared, digest: digest.finish(strings), stamps, events, damage, complete, firstEvent, strings };
});
process.stdout.write(JSON.stringify(both));
`;

interface Read {
  readonly shared: number;
  readonly events: number;
  readonly damage: { readonly kind: string } | null;
  readonly complete: boolean;
}

function readBothWays(bytes: Uint8Array, ...more: string[]): Read {
  const path = join(folder, "a.trace");
  writeFileSync(path, bytes);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", SCRIPT, path, ...more],
    { encoding: "utf8", timeout: 60_000 },
  );
  expect(status, stderr).toBe(0);
  const [ahead, plain] = JSON.parse(stdout) as [Read, Read];
  expect(ahead.shared).toBeGreaterThan(0);
  expect({ ...ahead, shared: 0 }).toEqual(plain);
  return ahead;
}

const whole = madeUpFile(4000, { codec: "plain" });

it("gives the same events, strings and clock", () => {
  const { complete, events } = readBothWays(whole);
  expect(complete).toBe(true);
  expect(events).toBeGreaterThan(50_000);
});

it("says the same of a file that was cut off, or in which a bit has flipped", () => {
  expect(readBothWays(whole.subarray(0, -whole.length / 3)).damage?.kind).toBe("truncated");
  const damaged = whole.slice();
  damaged[whole.length >> 1] = (damaged[whole.length >> 1] as number) ^ 4;
  expect(readBothWays(damaged).damage?.kind).toBe("corrupt");
});

it("lets the process end when nobody wants the rest", () => {
  expect(readBothWays(whole, "stop").complete).toBe(false);
});
