import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
// @ts-expect-error plain JavaScript, because it runs before anything is built
import { renderSites, sitesOfSource, writeSites } from "./sites.mjs";

const SOURCE = `// SITE_IS_INSERTED is not used here.
import { site } from "#core/probe";

const SITE_IS_INSERTED = site("bdrv_is_inserted");
export const SITE_UNUSED = site(
  "bdrv_unused",
);

/* SITE_IS_INSERTED neither */
export function* bdrvCoIsInserted(bs: Bs): Co<boolean> {
  for (const child of childrenOf(bs, SITE_IS_INSERTED)) use(child);
  return childrenOf(bs, SITE_IS_INSERTED).length > 0;
}
`;

test("a site is where its constant is first used; else where it is declared", () => {
  expect(sitesOfSource("core/io/a.ts", SOURCE)).toEqual([
    { name: "bdrv_is_inserted", file: "core/io/a.ts", line: 11, declared: 4 },
    { name: "bdrv_unused", file: "core/io/a.ts", line: 5, declared: 5 },
  ]);
});

test("the table is sorted by name, whatever the order of the files", () => {
  const sites = ["b", "a/x", "a"].map((name) => ({
    name,
    file: "core/f.ts",
    line: 1,
    declared: 1,
  }));
  const text: string = renderSites(sites);
  expect(text).toBe(renderSites(sites.toReversed()));
  expect(text.match(/name: "[^"]*"/g)).toEqual(['name: "a"', 'name: "a/x"', 'name: "b"']);
});

test("a name declared twice is one clear sentence", () => {
  const sites = [1, 2].map((line) => ({ name: "a", file: "core/f.ts", line, declared: line }));
  expect(() => renderSites(sites)).toThrow(
    'The site name "a" is declared twice, at core/f.ts:1 and core/f.ts:2; rename one of them.',
  );
});

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "quiesce-sites-"));
});
afterEach(() => rmSync(root, { recursive: true }));

test("the file is rewritten only when its content changes; tests and other folders declare nothing", () => {
  for (const folder of ["core/io", "explorer", "cli"]) {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, "a.ts"), `const SITE = site("${folder}");\n`);
    writeFileSync(join(root, folder, "a.test.ts"), `const SITE = site("test of ${folder}");\n`);
  }
  expect(writeSites(root)).toBe(true);
  const output = join(root, "core/probe/sites.generated.ts");
  const written = statSync(output).mtimeMs;
  const names = readFileSync(output, "utf8").match(/name: "[^"]*"/g);
  expect(names).toEqual(['name: "core/io"', 'name: "explorer"']);
  expect(writeSites(root)).toBe(false);
  expect(statSync(output).mtimeMs).toBe(written);
});
