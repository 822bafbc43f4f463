// docs/daemon.md lists every option of `quiesce daemon`, and no other; its first commands work as they stand.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { quiesce } from "../cli/test-support.ts";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/daemon.md"), "utf8");

test("its first commands make a daemon that is served from, and a recording that replays", {
  timeout: 120_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "quiesce-page-"));
  const PATH = `${join(ROOT, "bin")}${delimiter}${process.env.PATH}`;
  const shell = { cwd: folder, env: { ...process.env, PATH }, encoding: "utf8" } as const;
  const [image = "", ...rest] = blockAt(PAGE, "qemu-img create").split("\n");
  expect(spawnSync("sh", ["-c", image], shell).status).toBe(0);
  const daemon = spawn("sh", ["-c", `exec ${rest.join("\n")}`], { ...shell, stdio: "inherit" });
  const ended = once(daemon, "exit");
  while (!existsSync(join(folder, "qmp.sock")) && daemon.exitCode === null) await sleep(50);
  const map = spawnSync("sh", ["-c", blockAt(PAGE, "nbdinfo")], shell);
  expect([map.stderr, map.stdout]).toEqual(["", expect.stringMatching(/\b67104768\b/)]);
  daemon.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  const [trace = ""] = readdirSync(join(folder, "out"));
  const replay = await quiesce(["replay", join(folder, "out", trace)]);
  expect([replay.code, replay.stdout]).toEqual([0, expect.stringContaining("identical")]);
  rmSync(folder, { recursive: true });
});

/** The indented lines of `page` from the one that begins with `words` on. */
function blockAt(page: string, words: string): string {
  const lines = page.split("\n");
  const from = lines.findIndex((line) => line.startsWith(`    ${words}`));
  const to = lines.findIndex((line, index) => index > from && !line.startsWith("    "));
  return lines
    .slice(from, to)
    .map((line) => line.slice(4))
    .join("\n");
}

test("the page of the daemon lists every option that there is", async () => {
  const { stdout } = await quiesce(["daemon", "--help"]);
  const help = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, name]) => name);
  const section = /## Options\n(.*?)\n## /s.exec(PAGE)?.[1] ?? "";
  const listed = [...section.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, name]) => name);
  expect(help.length).toBeGreaterThan(10);
  expect(listed.sort()).toEqual(help.filter((name) => name !== "--help").sort());
});
