import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DaemonLog, type LogOptions } from "./daemon-log.ts";
import type { TextStream } from "./terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "quiesce-log-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is written with these options, as soon as `body` is done. */
function logged(options: Partial<LogOptions>, body: (log: DaemonLog) => void): string {
  let text = "";
  const write = (line: string): boolean => {
    text += line;
    return true;
  };
  const stream = { write } as unknown as TextStream;
  body(new DaemonLog({ logLevel: "info", logFormat: "text", ...options }, stream));
  return text;
}

const event = { device: "disk", msg: "bad entry", fatal: true };

describe("the log of a daemon", () => {
  it("is text for people", () => {
    const text = logged({}, (log) => {
      log.info("ready", { version: "0.1.0" });
      log.event("BLOCK_IMAGE_CORRUPTED", event);
    });
    expect(text.replaceAll(/^[-0-9]{10}T[0-9:.]{12}Z/gm, "NOW")).toBe(
      'NOW info ready version="0.1.0"\nNOW info BLOCK_IMAGE_CORRUPTED device="disk" msg="bad entry" fatal=true\n',
    );
  });

  it("is JSON as collectors know it, of which no member stands twice", () => {
    const line = logged({ logFormat: "json" }, (log) => log.event("BLOCK_IMAGE_CORRUPTED", event));
    expect(JSON.parse(line)).toEqual({
      ...{ level: 30, time: expect.any(Number), pid: process.pid, hostname: hostname() },
      ...{ data: event, msg: "BLOCK_IMAGE_CORRUPTED" },
    });
    expect(line.match(/"msg"/g)).toHaveLength(2);
  });

  it.each([
    ["info", 3],
    ["warn", 2],
    ["error", 1],
  ] as const)("of level %s has %i of three lines", (logLevel, count) => {
    const text = logged({ logLevel }, (log) => {
      log.info("one");
      log.warn("two");
      log.error("three");
    });
    expect(text.trim().split("\n")).toHaveLength(count);
  });

  it("goes on in a new file when somebody has moved the old one away", () => {
    const [file, old] = [join(folder, "log"), join(folder, "log.1")];
    logged({ logFile: file }, (log) => {
      log.info("one");
      renameSync(file, old);
      log.info("two");
    });
    expect(readFileSync(old, "utf8")).toMatch(/ one\n$/);
    expect(readFileSync(file, "utf8")).toMatch(/^\S+ info two\n$/);
  });

  it.skipIf(!existsSync("/dev/full"))("costs its lines when the disk is full, and no more", () => {
    const full = { logFile: "/dev/full" };
    expect(() => logged(full, (log) => log.error("one"))).not.toThrow();
    const nowhere = { logFile: join(folder, "none", "log") };
    expect(() => logged(nowhere, () => undefined)).toThrow("no such file");
  });

  it.each(["process.exit(0)", 'process.kill(process.pid, "SIGKILL")'])(
    "has its last line when %s comes next",
    (end) => {
      const file = join(folder, `last-${end.length}`);
      const program = `
        import { DaemonLog } from ${JSON.stringify(join(import.meta.dirname, "..", "dist", "cli", "daemon-log.js"))};
        const log = new DaemonLog({ logLevel: "info", logFormat: "json", logFile: ${JSON.stringify(file)} }, null);
        for (let i = 1; i <= 100; i++) log.info("line " + i);
        ${end};`;
      spawnSync(process.execPath, ["--input-type=module", "-e", program]);
      const lines = readFileSync(file, "utf8").trim().split("\n");
      expect(lines).toHaveLength(100);
      expect(JSON.parse(lines[99] ?? "").msg).toBe("line 100");
    },
  );
});
