import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { projectFromDisk, projectFromText } from "../tidy/project.ts";
import { apiSplit, DOCUMENT } from "./document.ts";

const ROOT = join(import.meta.dirname, "..", "..");

test("the page of classes is committed as the sources give it", () => {
  // When this fails: npm run build, then node dist/scripts/api-split.js, and read what has changed.
  expect(readFileSync(join(ROOT, DOCUMENT), "utf8")).toBe(apiSplit(projectFromDisk(ROOT)));
});

test("a row has the class, what checks it, and QEMU's class when it is another", () => {
  const text = apiSplit(
    projectFromText({
      "core/io/a.ts": `/** bdrv_f (io.c:1): f. */
export function bdrvF(bs: Node) {
  ioCode(bs.aioContext, SITE);
}
/** bdrv_g (io.c:2): g. */
export function bdrvG() {
  globalStateCode(SITE);
}`,
      "scripts/api-split/qemu-classes.json": '{ "bdrv_f": "I/O", "bdrv_g": "I/O" }',
    }),
  );
  expect(text).toContain("| `bdrvF` | I/O | `bs.aioContext` |  |");
  expect(text).toContain("| `bdrvG` | GS | main | I/O |");
});
