// The example of docs/scenarios.md is recorded, replayed and judged as it stands in the document.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { quiesce, temporaryFolder } from "../cli/test-support.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { path, remove } = temporaryFolder();
afterAll(remove);

it("docs/scenarios.md has an example that works", async () => {
  const page = readFileSync(join(ROOT, "docs", "scenarios.md"), "utf8");
  const example = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const file = path("mine.ts");
  const trace = path("mine.trace");
  writeFileSync(file, example);
  const ran = await quiesce(["record", file, "-o", trace]);
  expect(ran).toMatchObject({ code: 0, stderr: "" });
  expect(ran.stdout).toContain("the run came to its end");
  expect((await quiesce(["replay", trace])).stdout).toContain("identical");
  const judged = await quiesce(["races", trace]);
  expect(judged).toMatchObject({ code: 0 });
  expect(judged.stdout).toContain("no findings");
  const without = path("without.trace");
  await quiesce(["record", file, "-o", without, "--without-patch", "10,11"]);
  expect((await quiesce(["races", without])).stdout).toContain("edit outside drain");
});
