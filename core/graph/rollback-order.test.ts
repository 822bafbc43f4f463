// A rollback puts every edge where it was: in both of its lists, between the same neighbours.
//
// QEMU does not (bdrv_replace_child_abort links at the heads, QLIST_INSERT_HEAD): docs/rollback.md.

import { describe, expect, it } from "vitest";
import { blkNewWithBs } from "../backend/index.ts";
import { EIO } from "../base/index.ts";
import { blockLayerToText } from "../jobs/index.ts";
import type { PatchNumber, Polls } from "../sched/index.ts";
import {
  BlockError,
  bdrvAppend,
  bdrvDropFilter,
  bdrvReplaceChildBs,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  edgeOf,
  faultInjector,
  settle,
} from "./index.ts";
import { type NodeOf, READER, runGraph } from "./test-support.ts";

//   a  b  c  d(filter)      blk, blk
//    \  \ | /  \             |
//     `--- mid   other <-----'      mid is a child of three, and d has two children besides
const DRAWING = `
a -x-> mid
b -x-> mid
c -x-> mid
a -y-> other
a -z-> third
d:filter -file-> mid
top -p-> d
top -backing-> d
top -q-> other
third
lone
`;

type Graph = Parameters<Parameters<typeof runGraph>[1]>[1];

const OPERATIONS: readonly (readonly [string, (node: NodeOf, graph: Graph) => Polls<unknown>])[] = [
  ["bdrv_replace_node", (node) => bdrvReplaceNode(node("mid"), node("other"))],
  ["bdrv_append", (node) => bdrvAppend(node("lone"), node("mid"))],
  ["bdrv_drop_filter", (node) => bdrvDropFilter(node("d"))],
  ["bdrv_set_backing_hd", (node) => bdrvSetBackingHd(node("top"), node("third"))],
  ["bdrv_set_backing_hd to nothing", (node) => bdrvSetBackingHd(node("top"), null)],
  [
    "bdrv_replace_child_bs",
    (node, graph) => bdrvReplaceChildBs(edgeOf(graph, "b", "x"), node("other")),
  ],
];

describe.each([[[]], [[3, 4, 11]], [[3, 4, 10, 11]]] as readonly (readonly [PatchNumber[]])[])(
  "without patches %j, a failure at every step leaves every list in its order:",
  (without) => {
    it.each(OPERATIONS)("%s", (_name, operation) => {
      runGraph(
        DRAWING,
        function* (node, graph): Polls<void> {
          for (let at = 0; at < 3; at++) yield* blkNewWithBs(node("mid"), READER);
          const before = blockLayerToText();
          let failures = 0;
          for (let point = 1; ; point++) {
            let left = point;
            faultInjector().reached = (where): void => {
              if (--left === 0) throw new BlockError(EIO, `failure in ${where}`);
            };
            const outcome = yield* settle(() => operation(node, graph));
            faultInjector().reached = null;
            if (outcome.ok) break;
            failures++;
            expect(blockLayerToText()).toBe(before);
          }
          expect(failures).toBeGreaterThan(1);
          expect(blockLayerToText()).not.toBe(before);
        },
        { without },
      );
    });
  },
);
