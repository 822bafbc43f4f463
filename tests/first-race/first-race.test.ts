// docs/first-race.md is run as it stands, in a copy of the checkout: its diff is applied, its commands are typed, and what they
// print begins with the first line that the document shows, and has the others (`...` stands for anything; lines in between may be
// left out).

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const DOCUMENT = readFileSync(join(ROOT, "docs", "first-race.md"), "utf8");
/** What a copy needs to build and run. */
const COPIED = [
  "analyzer",
  "bench",
  "bin",
  "cli",
  "core",
  "daemon",
  "explorer",
  "replay",
  "scripts",
  "tests",
  "tracer",
  "traces",
];
const FILES = ["package.json", "package-lock.json", "tsconfig.json", ".npmrc"];

let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "quiesce-first-race-"));
  for (const name of [...COPIED, ...FILES])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

it("docs/first-race.md does what it says", { timeout: 300_000 }, () => {
  const [file, removed, added] = theDiff();
  const path = join(copy, file);
  const sound = readFileSync(path, "utf8");
  expect(sound).toContain(removed);
  const sections = DOCUMENT.split(/^## /m).slice(1);
  for (const section of sections) {
    if (section.startsWith("6.")) writeFileSync(path, sound);
    for (const { command, lines } of commandsOf(section)) {
      const printed = type(command);
      expect(shows(printed, lines), `${command}\n${printed}`).toBe("");
    }
    if (section.startsWith("1.")) writeFileSync(path, sound.replace(removed, added));
  }
});

function theDiff(): [file: string, removed: string, added: string] {
  const block = /`(core\/[^`]*)`:\n\n```diff\n-(.*)\n\+(.*)\n```/.exec(DOCUMENT);
  if (block === null) throw new Error("the document has a diff");
  return [block[1] ?? "", block[2] ?? "", block[3] ?? ""];
}

interface Typed {
  readonly command: string;
  readonly lines: string[];
}

function commandsOf(section: string): Typed[] {
  const typed: Typed[] = [];
  for (const [, body = ""] of section.matchAll(/```console\n([\s\S]*?)```/g)) {
    for (const line of body.trimEnd().split("\n")) {
      if (line.startsWith("$ ")) typed.push({ command: line.slice(2), lines: [] });
      else typed.at(-1)?.lines.push(line);
    }
  }
  return typed;
}

function type(command: string): string {
  const [program = "", ...args] = command.split(" ");
  const env = { ...process.env, NO_COLOR: "1" };
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, ...args], {
    cwd: copy,
    encoding: "utf8",
    env,
  });
  // Fine, findings, or a divergence.
  expect([0, 1, 4], `${command}\n${stderr}`).toContain(status);
  return stdout + stderr;
}

/** The first of `lines` that `printed` does not have behind the ones before it; "" when it has all. */
function shows(printed: string, lines: readonly string[]): string {
  const rows = printed.split("\n");
  let at = 0;
  for (const line of lines) {
    const pattern = new RegExp(`^${line.trim().split("...").map(quoted).join(".*")}`);
    const found = rows.findIndex((row, index) => index >= at && pattern.test(row.trim()));
    // What is shown first is what the reader sees first.
    if (found < 0 || (at === 0 && found > 0)) return line;
    at = found + 1;
  }
  return "";
}

function quoted(text: string): string {
  return text
    .trim()
    .replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
    .replace(/\s+/g, "\\s+");
}
