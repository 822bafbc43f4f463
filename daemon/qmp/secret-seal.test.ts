import { describe, expect, it } from "vitest";
import { SecretSeal, SecretVault, sealedBytesMax } from "./secret-seal.ts";

/** What comes out when `text` comes in pieces of `pieceBytes`. */
function sealed(text: string, pieceBytes: number): { out: string; vault: SecretVault } {
  const vault = new SecretVault();
  const seal = new SecretSeal(vault);
  const bytes = Buffer.from(text, "latin1");
  let out = "";
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    const into = new Uint8Array(sealedBytesMax(pieceBytes));
    out += Buffer.from(into.subarray(0, seal.pass(piece, into))).toString("latin1");
  }
  return { out, vault };
}

describe.each([1, 7, 4096])(
  "secrets in a stream that comes in pieces of %i bytes",
  (pieceBytes) => {
    it.each([
      ['{"data": "hunter2", "id": "a"}', '{"data": "sealed-1", "id": "a"}', "hunter2"],
      ["{'data':'hunter2'}", "{'data':'sealed-1'}", "hunter2"],
      ['{"data" \n:\t"a\\"b\\u0063"}', '{"data" \n:\t"sealed-1"}', 'a"bc'],
      ['{"d\\u0061ta": "hunter2"}', '{"d\\u0061ta": "sealed-1"}', "hunter2"],
      ['"x\n" , {"data": "hunter2"}', '"x\n" , {"data": "sealed-1"}', "hunter2"],
      ['&"{"data": "hunter2"}', '&"{"data": "sealed-1"}', "hunter2"],
      ['01"{"data": "hunter2"}', '01"{"data": "sealed-1"}', "hunter2"],
      ['"broken\n{"data": "hunter2"}', '"broken\n{"data": "sealed-1"}', "hunter2"],
    ])("%j becomes %j", (text, expected, secret) => {
      const { out, vault } = sealed(text, pieceBytes);
      expect(out).toBe(expected);
      expect(vault.take("sealed-1")).toBe(secret);
      expect(vault.take("sealed-1")).toBeNull();
    });

    it.each([
      '{"data": {"path": "/x"}, "x": "data"}',
      '["data", "hunter2"]',
      '{"x": "data: \\"y\\""}',
      '{"data": 7, "y": "z"}',
    ])("%j passes as it is", (text) => {
      expect(sealed(text, pieceBytes).out).toBe(text);
    });
  },
);

describe("the vault", () => {
  it("keeps the last few", () => {
    const { vault } = sealed('{"data": "x"}'.repeat(100), 4096);
    expect(vault.take("sealed-84")).toBeNull();
    expect(vault.take("sealed-85")).toBe("x");
  });

  it("does not keep a text without end", () => {
    const { out, vault } = sealed(`{"data": "${"x".repeat(300_000)}"}`, 4096);
    expect(out).toBe('{"data": "sealed-0"}');
    expect(vault.take("sealed-0")).toBeNull();
  });
});
