// What only a process of its own can show: exit codes as the shell sees them, closed pipes, signals, colours.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { programName } from "#cli";
import { temporaryFolder } from "./test-support.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const BIN = join(ROOT, "bin", "quiesce");
const { path, remove } = temporaryFolder();
const trace = path("demo.trace");

// The environment of a plain shell: what runs the tests may ask for colours or be CI.
const env: NodeJS.ProcessEnv = {
  ...process.env,
  NO_COLOR: undefined,
  FORCE_COLOR: undefined,
  CI: undefined,
};

/** What the program is called in a shell that stands where the tests do. */
const NAME = programName({ file: BIN, folder: process.cwd(), path: process.env.PATH ?? "" });

function run(argv: readonly string[], extra: NodeJS.ProcessEnv = {}) {
  const result = spawnSync(process.execPath, [BIN, ...argv], {
    encoding: "utf8",
    env: { ...env, ...extra },
  });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

beforeAll(() => {
  // The first call builds when the sources are newer than what was built.
  const { code, stderr } = run(["record", "demo", "-o", trace, "--seed", "5"]);
  expect(code, stderr).toBe(0);
}, 180_000);
afterAll(remove);

describe("bin/quiesce", () => {
  it("exits as the command line says", () => {
    expect(run(["--help"]).code).toBe(0);
    expect(run(["nonsense"]).code).toBe(2);
    expect(run(["info", path("none.trace")]).code).toBe(3);
  });

  it("says in hints and examples what was typed to start it, and in reports that others read its name", () => {
    expect(run(["replay", "--help"]).stdout).toContain(`$ ${NAME} replay demo.trace`);
    expect(run(["replay", "--help"]).stdout).toContain(`Usage: ${NAME} replay`);
    expect(run(["replay"]).stderr).toContain(`Try \`${NAME} replay --help\`.`);
    expect(run(["record", "nothing-like-it", "-o", path("none")]).stderr).toContain(
      `\`${NAME} scenarios\` lists them.`,
    );
    const argv = ["luck-timer", "-o", path("hint.trace"), "--without-patch", "10,11"];
    expect(run(["record", ...argv]).code).toBe(0);
    const { stdout } = run(["races", path("hint.trace"), "--json"]);
    expect(stdout).not.toContain(`${NAME} replay`);
    expect(run(["races", path("hint.trace")]).stdout).toContain(
      `again ${NAME} replay ${path("hint.trace")} --to`,
    );
  });

  it("writes no colours into a pipe, unless asked to", () => {
    expect(run(["info", trace]).stdout).not.toContain("\u001b[");
    expect(run(["info", trace], { FORCE_COLOR: "1" }).stdout).toContain("\u001b[");
  });

  it.skipIf(!existsSync("/bin/bash"))(
    "ends quietly when the reader of its output goes away",
    () => {
      const line = `"$0" "$1" dump "$2" | head -n 1; echo "$\{PIPESTATUS[0]}"`;
      const result = spawnSync("/bin/bash", ["-c", line, process.execPath, BIN, trace], {
        encoding: "utf8",
        env,
      });
      expect(result.stderr).toBe("");
      const [first, code] = result.stdout.trimEnd().split("\n");
      expect(first).toContain("ctx_new");
      // 128 + SIGPIPE.
      expect(code).toBe("141");
    },
  );

  it.skipIf(!existsSync("/bin/bash"))("writes its reports though nobody reads its output", () => {
    const [html, sarif] = [path("unread.html"), path("unread.sarif")];
    const line = 'set -o pipefail; "$0" "$1" races "$2" --html "$3" --sarif "$4" | true';
    const argv = ["-c", line, process.execPath, BIN, trace, html, sarif];
    const { status, stderr } = spawnSync("/bin/bash", argv, { encoding: "utf8", env });
    expect([status, stderr]).toEqual([141, ""]);
    expect(readFileSync(html, "utf8")).toMatch(/<\/html>\s*$/);
    expect(JSON.parse(readFileSync(sarif, "utf8"))).toHaveProperty("version", "2.1.0");
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "ended by %s while it records, keeps what was recorded",
    async (signal, code) => {
      const scenario = path("endless.ts");
      writeFileSync(scenario, ENDLESS);
      const output = path(`${signal}.trace`);
      const child = spawn(
        process.execPath,
        [BIN, "record", scenario, "--host", "live", "-o", output],
        { env },
      );
      const ended = endOf(child);
      await until(() => existsSync(output) && statSync(output).size > 40_000);
      child.kill(signal);
      const { status, stderr } = await ended;
      expect(status).toBe(code);
      expect(stderr).toContain(`ended by ${signal}`);
      const info = run(["info", output, "--json"]);
      expect(info.code).toBe(3);
      expect(info.stderr).toContain("still going on");
      expect(JSON.parse(info.stdout)).toMatchObject({ complete: false, damage: null });
      expect(JSON.parse(info.stdout).events).toBeGreaterThan(8_000);
      // And it can be replayed as far as it goes.
      const replay = run(["replay", output, "--json"]);
      expect(replay.code).toBe(3);
      expect(JSON.parse(replay.stdout)).toMatchObject({ identical: true, complete: false });
    },
    120_000,
  );

  it.skipIf(!existsSync("/bin/bash"))("keeps what was recorded when the file cannot grow", () => {
    const output = path("limited.trace");
    // A file-size limit, in blocks of 1024 bytes; the signal that comes with it is ignored, as a full disk has none.
    const line = `trap "" XFSZ; ulimit -f 24; "$0" "$1" record demo -o "$2"`;
    const full = spawnSync("/bin/bash", ["-c", line, process.execPath, BIN, output], {
      encoding: "utf8",
      env,
    });
    expect(full.stderr).toMatch(/^quiesce: [^\n]*Recording stopped early[^\n]*\.\n$/);
    expect(full.status).toBe(3);
    const info = JSON.parse(run(["info", output, "--json"]).stdout);
    expect(info.events).toBeGreaterThan(0);
    expect(full.stderr).toContain(`the first ${info.events} events`);
    expect(readFileSync(output).length).toBeLessThanOrEqual(24 * 1024);
  });

  it("reports a bug of its own with the seed, the position, the last events, and the command that shows it again", () => {
    const scenario = path("broken.ts");
    writeFileSync(scenario, BROKEN);
    const output = path("broken.trace");
    const { code, stdout, stderr } = run(["record", scenario, "--seed", "11", "-o", output]);
    expect(code).toBe(70);
    expect(stdout).toBe("");
    expect(stderr).toContain("AssertionError: one is two");
    expect(stderr).toMatch(/seed {6}11$/m);
    expect(stderr).toMatch(/position {2}step \d+, event \d+$/m);
    expect(stderr).toContain(`again     ${NAME} record ${scenario} -o ${output} --seed 11`);
    expect(stderr).toMatch(/note text="just before"$/m);
    expect(run(["dump", output]).stdout).toContain("just before");
  });
});

function endOf(child: ChildProcess): Promise<{ status: number | null; stderr: string }> {
  let stderr = "";
  child.stderr?.on("data", (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, stderr })));
}

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += 20) {
    if (waitedMs > 60_000) throw new Error("waited for too long");
    await sleep(20);
  }
}

const ENDLESS = `
export default {
  name: "endless",
  title: "Naps for ever.",
  *main(world) {
    for (let nap = 0; ; nap++) {
      for (let word = 0; word < 100; word++) world.note(\`nap \${nap % 7}, \${world.prng.below(1000)}\`);
      yield* world.sleep(1_000_000);
    }
  },
};
`;

const BROKEN = `
import { assert } from "#core/base";
export default {
  name: "broken",
  title: "Asserts what does not hold.",
  *main(world) {
    yield* world.sleep(1000);
    world.note("just before");
    assert(world.seed === 0, "one is two");
  },
};
`;
