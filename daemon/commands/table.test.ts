// docs/daemon.md lists every command, and no other.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { commands } from "./table.ts";

test("the page of the daemon lists every command that there is", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/daemon.md"), "utf8");
  const section = /## Commands\n(.*?)\n## /s.exec(page)?.[1] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  const listed = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  expect(listed.sort()).toEqual([...commands.keys()].sort());
});
