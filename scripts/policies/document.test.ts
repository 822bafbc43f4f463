import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { POLICIES_DOCUMENT, policiesDocument, withoutNumbers } from "./document.ts";

const ROOT = join(import.meta.dirname, "..", "..");

it("the page of the policies says what the analyzer finds in the demo, up to how often", () => {
  const path = join(ROOT, POLICIES_DOCUMENT);
  const committed = existsSync(path) ? readFileSync(path, "utf8") : "";
  // When this fails: npm run build, then node dist/scripts/policies.js, and read what has changed.
  expect(withoutNumbers(committed)).toBe(withoutNumbers(policiesDocument()));
});

it("numbers in a table are hidden, zeroes and signs are not", () => {
  expect(withoutNumbers("| race | 12 | 0 | – | ? | 3 |\n12 | 3 | 4")).toBe(
    "| race | some | 0 | – | ? | some |\n12 | 3 | 4",
  );
});
