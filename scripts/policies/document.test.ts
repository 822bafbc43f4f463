import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { POLICIES_DOCUMENT, policiesDocument } from "./document.ts";

const ROOT = join(import.meta.dirname, "..", "..");

it("the page of the policies is committed as the demo and the analyzer give it", () => {
  const path = join(ROOT, POLICIES_DOCUMENT);
  const committed = existsSync(path) ? readFileSync(path, "utf8") : "";
  // When this fails: npm run build, then node dist/scripts/policies.js, and read what has changed.
  expect(committed).toBe(policiesDocument());
});
