import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FAMILIES, QEMU_NAMES } from "#tests/qemu";
import { DOCUMENT, qemuTests } from "./document.ts";

/** All cases run in it, which took 32 s where four programs shared two cores. */
const TIMEOUT_MS = 300_000;

const ROOT = join(import.meta.dirname, "..", "..");

describe("the document of QEMU's tests", () => {
  it("is committed as the cases and their run give it, and no case fails", {
    timeout: TIMEOUT_MS,
  }, () => {
    const path = join(ROOT, DOCUMENT);
    const committed = existsSync(path) ? readFileSync(path, "utf8") : "";
    const text = qemuTests(FAMILIES);
    expect(text).not.toContain("**fails**");
    // When this fails: npm run build, then node dist/scripts/qemu-tests.js, and read what has changed.
    expect(committed).toBe(text);
  });
});

describe("the families", () => {
  const names = FAMILIES.flatMap(({ cases }) => cases.map(({ name }) => name));

  it("have each case once", () => {
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it("have, beside those that are ours, no case that QEMU has not", () => {
    const known = new Set(Object.values(QEMU_NAMES).flat());
    const ours = FAMILIES.flatMap(({ cases }) => cases.filter((one) => one.ours === true));
    const unknown = names.filter((name) => !known.has(name));
    expect(unknown).toEqual(ours.map(({ name }) => name));
  });

  it("say why where a case has no body", () => {
    for (const { cases } of FAMILIES)
      for (const { name, body, notApplicable } of cases)
        expect([name, body === undefined]).toEqual([name, notApplicable !== undefined]);
  });

  it("name the file that they are in", () => {
    for (const { file } of FAMILIES) expect(existsSync(join(ROOT, file)), file).toBe(true);
  });
});
