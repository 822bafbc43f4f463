import { describe, expect, it } from "vitest";
import type { SectionId } from "../base/index.ts";
import type { Polls } from "../sched/index.ts";
import { assertGraphInvariants, type BlockDriverState, bdrvAllStates, edgeOf } from "./index.ts";
import { type NodeOf, runGraph } from "./test-support.ts";

/** Break the drawn graph with `harm`, look, and repair it with what `harm` returns. */
function complaint(harm: (node: NodeOf, edge: ReturnType<typeof edgeOf>) => () => void): string {
  let message = "none";
  runGraph("top -file-> disk -backing-> base", function* (node, graph): Polls<void> {
    const repair = harm(node, edgeOf(graph, "top", "file"));
    try {
      assertGraphInvariants(bdrvAllStates());
    } catch (error) {
      message = (error as Error).message;
    }
    repair();
  });
  return message;
}

const harms: readonly [string, Parameters<typeof complaint>[0]][] = [
  [
    "an edge in children is in the parents of its node",
    (_node, edge) => {
      const disk = edge.rawBs as BlockDriverState;
      disk.rawParents.remove(edge);
      return () => disk.rawParents.insertHead(edge);
    },
  ],
  [
    "an edge in parents is in the children of its parent",
    (node, edge) => {
      node("top").rawChildren.remove(edge);
      node("top").rawFile = null;
      return () => {
        node("top").rawFile = edge;
        node("top").rawChildren.insertHead(edge);
      };
    },
  ],
  [
    "file is one of the children",
    (node, edge) => {
      node("base").rawFile = edge;
      return () => {
        node("base").rawFile = null;
      };
    },
  ],
  [
    "a parent is quiesced no more often than its child",
    (_node, edge) => {
      edge.quiescedFor.push(7 as SectionId);
      return () => void edge.quiescedFor.pop();
    },
  ],
  [
    "a parent is quiesced as often as its child",
    (node) => {
      node("disk").quiescedFor.push(7 as SectionId);
      return () => void node("disk").quiescedFor.pop();
    },
  ],
  [
    "each edge above a node holds a reference",
    (node) => {
      node("disk").refcnt -= 2;
      return () => {
        node("disk").refcnt += 2;
      };
    },
  ],
];

describe("assertGraphInvariants", () => {
  it.each(harms)("notices when it does not hold that %s", (message, harm) => {
    expect(complaint(harm)).toBe(message);
  });

  it("has nothing to say about a sound graph", () => {
    expect(complaint(() => () => undefined)).toBe("none");
  });
});
