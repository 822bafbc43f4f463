import { describe, expect, it } from "vitest";
import type { Qcow2Header } from "./header.ts";
import {
  cacheCleanSecondsOf,
  checkOptions,
  flatOptionsOf,
  type Qcow2Options,
  qcow2OptionsFrom,
} from "./options.ts";

const HEADER = { version: 3, clusterBits: 16, size: 1 << 20 } as Qcow2Header;

describe("options of an image", () => {
  it.each<[string, Qcow2Options]>([
    ["none", {}],
    ["sizes", { cacheBytes: 1, l2CacheBytes: 2, l2CacheEntryBytes: 512, refcountCacheBytes: 3 }],
    ["switches", { lazyRefcounts: false, passDiscardRequest: true, passDiscardOther: false }],
    ["a mode", { overlapCheck: "all" }],
    ["kinds", { overlapCheck: { template: "none", "active-l1": true } }],
  ])("are the same after they were written flat: %s", (_name, options) => {
    expect(qcow2OptionsFrom(flatOptionsOf(options), {})).toEqual(options);
  });

  it("keep the default of who opened it when a reopen says nothing", () => {
    const options = qcow2OptionsFrom({}, { cacheCleanDefault: 600, cacheCleanSeconds: 3 });
    expect(cacheCleanSecondsOf(options)).toBe(600);
    expect(cacheCleanSecondsOf(qcow2OptionsFrom({ "cache-clean-interval": 0 }, options))).toBe(0);
  });

  it.each<[string, Qcow2Header, Qcow2Options]>([
    [
      "No encryption in image header, but options specified format 'luks'",
      HEADER,
      { encryptFormat: "luks" },
    ],
    ["Cache clean interval too big", HEADER, { cacheCleanSeconds: 2 ** 32 }],
  ])("are refused: %s", (message, header, options) => {
    expect(() => checkOptions(header, options)).toThrow(message);
  });
});
