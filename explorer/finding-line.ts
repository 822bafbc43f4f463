// Findings as lines of text, and whether one is what a promise says: for tests of scenarios and of QEMU's own cases.

import type { Finding } from "#analyzer";
import type { ExpectedFinding } from "./scenario.ts";

/** `race | children | top | bdrv_io_plug | bdrv_child_cb_detach | bdrv_set_backing_hd`; "*" where there is nothing. */
export function findingLine(finding: Finding): string {
  const edit = finding.accesses.filter(({ what }) => what === "edit").at(-1);
  const other = finding.accesses.find((access) => access !== edit);
  return expectedLine({
    rule: finding.rule,
    ...(finding.list === null ? {} : { list: finding.list }),
    ...(finding.node === null ? {} : { node: finding.node.name }),
    ...(other === undefined ? {} : { reader: functionOf(other.site.name) }),
    ...(edit === undefined ? {} : { editor: functionOf(edit.site.name) }),
    ...((edit ?? other)?.operations[0] === undefined
      ? {}
      : { operation: (edit ?? other)?.operations[0]?.name ?? "" }),
  });
}

/** A promise as such a line; "*" is what was left out. */
export function expectedLine({
  rule,
  list,
  node,
  reader,
  editor,
  operation,
}: ExpectedFinding): string {
  return [rule, list, node, reader, editor, operation].map((word) => word ?? "*").join(" | ");
}

/** Whether the finding of `line` is one that `promise` stands for. */
export function findingFits(promise: ExpectedFinding, line: string): boolean {
  const found = line.split(" | ");
  return expectedLine(promise)
    .split(" | ")
    .every((word, index) => word === "*" || word === found[index]);
}

function functionOf(site: string): string {
  return site.split("/")[0] ?? site;
}
