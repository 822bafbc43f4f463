import { expect, it } from "vitest";
import type { Finding } from "../findings.ts";
import { groupFindings, readOf } from "./groups.ts";
import { drawnFinding, drawnTrace } from "./test-support.ts";

const trace = drawnTrace();

/** The race of the drawing with another reader. */
function readBy(name: string, changes: Partial<Finding> = {}): Finding {
  const finding = drawnFinding(trace, changes);
  const accesses = finding.accesses.map((access) =>
    access.what === "read" ? { ...access, site: { ...access.site, name } } : access,
  );
  return { ...finding, accesses };
}

it("reads that meet one edit for one reason are one group, with the counts of all", () => {
  const groups = groupFindings([
    readBy("a"),
    readBy("b"),
    readBy("c", { why: "Another reason." }),
    readBy("d"),
  ]);
  const readers = groups.map(({ findings }) =>
    findings.map((finding) => readOf(finding)?.site.name),
  );
  expect(readers).toEqual([["a", "b", "d"], ["c"]]);
  expect(groups.map(({ count }) => count)).toEqual([396, 132]);
  expect(groups[0]?.edit?.site.name).toBe("bdrv_replace_child_noperm");
});

it.each<[string, Partial<Finding>]>([
  ["rule", { rule: "covered-by-luck" }],
  ["list", { list: "parents" }],
  ["node", { node: { kind: "node", id: 9, name: "throttle0" } }],
  ["advice", { advice: null }],
])("another %s is another group", (_, changes) => {
  expect(groupFindings([readBy("a"), readBy("b", changes)])).toHaveLength(2);
});

it("findings without a read and an edit stand alone", () => {
  const alone = drawnFinding(trace, { rule: "deadlock", accesses: [] });
  const edits = drawnFinding(trace).accesses.filter(({ what }) => what === "edit");
  const outside = drawnFinding(trace, { rule: "edit-outside-drain", accesses: edits });
  expect(groupFindings([alone, alone, outside, outside])).toHaveLength(4);
});

it("races that are consequences of another follow it", () => {
  const root = readBy("root", { fingerprint: "00000000000000aa" });
  const other = readBy("other", { list: "parents" });
  const brought = readBy("brought", { list: "file", consequenceOf: root.fingerprint });
  const orphan = readBy("orphan", { list: "backing", consequenceOf: "00000000000000bb" });
  const groups = groupFindings([brought, other, orphan, root]);
  expect(groups.map(({ first, under }) => [readOf(first)?.site.name, under])).toEqual([
    ["other", null],
    ["orphan", "00000000000000bb"],
    ["root", null],
    ["brought", "00000000000000aa"],
  ]);
});
