// What hints say the program is called.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { programName } from "./program-name.ts";

let checkout: string;
let program: string;
beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), "quiesce-name-"));
  for (const folder of ["bin", "linked", "other"]) mkdirSync(join(checkout, folder));
  program = join(checkout, "bin", "quiesce");
  for (const file of [program, join(checkout, "other", "quiesce")]) {
    writeFileSync(file, "");
    chmodSync(file, 0o755);
  }
  symlinkSync(program, join(checkout, "linked", "quiesce"));
});
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

const here = (...folders: string[]) => folders.map((name) => join(checkout, name)).join(delimiter);

it.each([
  ["from the checkout", "bin/quiesce", ".", "", "bin/quiesce"],
  ["from its own folder", "bin/quiesce", "bin", "", "./quiesce"],
  ["on the PATH", "bin/quiesce", ".", "bin", "quiesce"],
  ["on the PATH by a link", "linked/quiesce", ".", "linked", "quiesce"],
  ["behind another of the name", "bin/quiesce", ".", "other", "bin/quiesce"],
  ["by a program of somebody's", "other/tool.mjs", ".", "", "quiesce"],
])("%s", (_how, file, folder, path, name) => {
  const started = { file: join(checkout, file), folder: join(checkout, folder), path: here(path) };
  expect(programName({ ...started, path: path === "" ? "" : started.path })).toBe(name);
});

it("is the whole path from elsewhere", () => {
  expect(programName({ file: program, folder: join(checkout, "other"), path: "" })).toBe(program);
});
