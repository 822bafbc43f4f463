import { describe, expect, it } from "vitest";
import { globMatches } from "./security-objects.ts";

describe("a pattern of authz-list", () => {
  it.each([
    ["*", "", true],
    ["CN=*,O=x", "CN=a,b,O=x", true],
    ["CN=?", "CN=", false],
    ["a*b*c", "aXbXbXc", true],
    ["a*b*c", "aXbXbX", false],
    ["a", "ab", false],
    ["é?", "éü", true],
  ])("%s and %s: %s", (pattern, text, matches) => {
    expect(globMatches(pattern, text)).toBe(matches);
  });

  it("takes no time to speak of", () => {
    expect(globMatches(`${"*a".repeat(200)}b`, "a".repeat(5_000))).toBe(false);
  });
});
