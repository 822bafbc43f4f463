import { describe, expect, it } from "vitest";
import { priorityOptions } from "./gnutls-priority.ts";

describe("a priority string of GnuTLS", () => {
  it.each([
    ["NORMAL", "TLSv1.2", "TLSv1.3"],
    ["@SYSTEM", "TLSv1.2", "TLSv1.3"],
    ["@LIBVIRT,SYSTEM", "TLSv1.2", "TLSv1.3"],
    ["NORMAL:-VERS-TLS1.3", "TLSv1.2", "TLSv1.2"],
    ["NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLSv1.3", "TLSv1.3"],
    ["NORMAL:-VERS-TLS-ALL:+VERS-TLS1.2:+ECDHE-PSK:+DHE-PSK:+PSK", "TLSv1.2", "TLSv1.2"],
  ])("%s speaks %s to %s", (text, minVersion, maxVersion) => {
    expect(priorityOptions(text)).toEqual({ minVersion, maxVersion });
  });

  it("that asks for strong ciphers gets no others", () => {
    expect(priorityOptions("SECURE256")?.ciphers).not.toMatch(/AES128|AES_128/);
  });

  it.each(["", "LEGACY", "NONE", "NORMAL:%COMPAT", "NORMAL:-VERS-ALL", "NORMAL:-AES-128-CBC"])(
    "%j is refused",
    (text) => {
      expect(priorityOptions(text)).toBeNull();
    },
  );
});
