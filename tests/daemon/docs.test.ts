// docs/daemon.md lists every option of `quiesce daemon`, and no other.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { quiesce } from "../cli/test-support.ts";

test("the page of the daemon lists every option that there is", async () => {
  const { stdout } = await quiesce(["daemon", "--help"]);
  const help = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, name]) => name);
  const page = readFileSync(join(import.meta.dirname, "../../docs/daemon.md"), "utf8");
  const section = /## Options\n(.*?)\n## /s.exec(page)?.[1] ?? "";
  const listed = [...section.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, name]) => name);
  expect(help.length).toBeGreaterThan(10);
  expect(listed.sort()).toEqual(help.filter((name) => name !== "--help").sort());
});
