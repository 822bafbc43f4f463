import { describe, expect, it } from "vitest";
import type { Polls } from "../sched/index.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_IMAGE,
  BDRV_CHILD_METADATA,
  BDRV_CHILD_PRIMARY,
  BLK_PERM_ALL,
  type BlockDriverState,
  bdrvDefaultPerms,
  bdrvPermNames,
} from "./index.ts";
import { runGraph } from "./test-support.ts";

/** Permissions as letters: read, write, unchanged, size; `-` for none. */
function bitsOf(letters: string): number {
  return [..."rwus"].reduce((bits, letter, i) => bits | (letters.includes(letter) ? 1 << i : 0), 0);
}

function lettersOf(bits: number): string {
  return [..."rwus"].filter((_, i) => (bits & (1 << i)) !== 0).join("") || "-";
}

const FILTERED = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;

/** What a node asks of a child of `role` when it is asked `parent` (perm/shared). */
function askedOf(
  bs: BlockDriverState,
  role: number,
  parent: string,
  willBeWritable: boolean | null = null,
): string {
  const [perm = "", shared = ""] = parent.split("/");
  const reopen = willBeWritable === null ? null : new Map([[bs, willBeWritable]]);
  const asked = bdrvDefaultPerms(bs, null, role, reopen, {
    perm: bitsOf(perm),
    sharedPerm: bitsOf(shared),
  });
  return `${lettersOf(asked.perm)}/${lettersOf(asked.sharedPerm)}`;
}

function withNode(body: (bs: BlockDriverState) => void): void {
  runGraph("n:image", function* (node): Polls<void> {
    body(node("n"));
  });
}

describe("what a node asks of its child by default", () => {
  it.each([
    // role, asked of the node, it asks
    ["filtered", FILTERED, "-/rwus", "-/rwus"],
    ["filtered", FILTERED, "rw/ru", "rw/ru"],
    ["filtered", FILTERED, "rwus/-", "rwus/-"],
    // Others may write below an overlay whose users can live with changing data.
    ["cow", BDRV_CHILD_COW, "-/rwus", "-/rwus"],
    ["cow", BDRV_CHILD_COW, "rws/rwus", "r/rwus"],
    ["cow", BDRV_CHILD_COW, "rws/rus", "r/ru"],
    ["cow", BDRV_CHILD_COW, "w/-", "-/ru"],
    // Metadata is written even if nobody writes to the node, and by nobody else.
    ["image", BDRV_CHILD_IMAGE, "-/rwus", "rws/ru"],
    ["image", BDRV_CHILD_IMAGE, "ru/r", "rwus/r"],
    ["metadata", BDRV_CHILD_METADATA, "-/rwus", "rws/ru"],
    // Data: copied clusters are real writes, and may go beyond the end.
    ["data", BDRV_CHILD_DATA, "-/rwus", "-/rwu"],
    ["data", BDRV_CHILD_DATA, "r/ru", "r/ru"],
    ["data", BDRV_CHILD_DATA, "u/rwus", "wus/rwu"],
    ["data", BDRV_CHILD_DATA, "w/rwus", "ws/rwu"],
  ] as const)("%s: asked %3$s of the node, it asks %4$s", (_, role, parent, asked) => {
    withNode((bs) => {
      expect(askedOf(bs, role, parent)).toBe(asked);
    });
  });

  it("a format that is read-only writes no metadata", () => {
    withNode((bs) => {
      bs.readOnly = true;
      expect(askedOf(bs, BDRV_CHILD_IMAGE, "r/rwus")).toBe("r/ru");
      expect(askedOf(bs, BDRV_CHILD_IMAGE, "r/rwus", true)).toBe("rws/ru");
    });
  });

  it("a format that will be read-only when it is reopened asks as it will then", () => {
    withNode((bs) => {
      expect(askedOf(bs, BDRV_CHILD_IMAGE, "r/rwus", false)).toBe("r/ru");
    });
  });

  it("an inactive node lets others write and resize, and writes nothing", () => {
    withNode((bs) => {
      bs.inactive = true;
      expect(askedOf(bs, BDRV_CHILD_IMAGE, "-/r")).toBe("r/rws");
      expect(askedOf(bs, BDRV_CHILD_COW, "-/r")).toBe("-/rwus");
      expect(askedOf(bs, FILTERED, "-/r")).toBe("-/r");
    });
  });

  it("an edge without a role is a mistake of ours, one with two roles an assertion of QEMU's", () => {
    withNode((bs) => {
      const all = { perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL };
      expect(() => bdrvDefaultPerms(bs, null, 0, null, all)).toThrow(/has a role/);
      const both = BDRV_CHILD_COW | BDRV_CHILD_DATA;
      expect(() => bdrvDefaultPerms(bs, null, both, null, all)).toThrow(/BDRV_CHILD_METADATA/);
      const three = FILTERED | BDRV_CHILD_DATA;
      expect(() => bdrvDefaultPerms(bs, null, three, null, all)).toThrow(/BDRV_CHILD_COW/);
    });
  });
});

describe("the names of permissions", () => {
  it.each([
    ["", "-"],
    ["consistent read", "r"],
    ["write, resize", "ws"],
    ["consistent read, write, write unchanged, resize", "rwus"],
  ])("%s", (names, letters) => {
    expect(bdrvPermNames(bitsOf(letters))).toBe(names);
  });
});
