// A graph drawn as text, for tests and reports: one line a node with its edges, in the order of its `children`.
//
//     root=blk1 top -file-> disk -backing-> base      children of one node on one line, parents that are no nodes before it
//     base                                            a node without children
//     mid[2] -file-> disk[1,r1]                       quiesce counter, and recursive quiesce counter, when not 0
//     root=blk1{rw/rwus} top -file{rws/ru}-> disk     when asked: permissions / shared ones (read, write, unchanged, size)
//
// Reading takes the same lines without the counters, and `name:driver` where the driver is not the default one. A line
// `a -x-> b -y-> c` means that both b and c are children of a. Nodes are made in the order in which they are named last as a
// parent, so that what is below exists first; children are attached from right to left, as the list grows at its head.

import { assert, must } from "../base/index.ts";
import { site } from "../probe/index.ts";
import type { Polls } from "../sched/index.ts";
import { globalStateCode } from "../sched/index.ts";
import { rawAllStates } from "./all-states.ts";
import { bdrvRef } from "./node-life.ts";
import { bdrvOpenDriver, type ChildSpec } from "./open-node.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_IMAGE,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
} from "./state.ts";

const SITE_GRAPH_FROM_TEXT = site("graph_from_text");

/** By bit: BLK_PERM_CONSISTENT_READ, WRITE, WRITE_UNCHANGED, RESIZE. */
const PERM_LETTERS = "rwus";

/** The graph of all nodes, one line a node, in order of creation. Reads without leaving events. Common. */
export function graphToText(nodes: Iterable<BlockDriverState> = rawAllStates()): string {
  return [...nodes].map((bs) => nodeLine(bs, () => "")).join("\n");
}

/** As graphToText, with the permissions of every edge. Common. */
export function graphToTextWithPerms(nodes: Iterable<BlockDriverState> = rawAllStates()): string {
  return [...nodes].map((bs) => nodeLine(bs, permWord)).join("\n");
}

function permWord({ perm, sharedPerm }: BdrvChild): string {
  const letters = (bits: number): string =>
    [...PERM_LETTERS].filter((_, bit) => (bits & (1 << bit)) !== 0).join("") || "-";
  return `{${letters(perm)}/${letters(sharedPerm)}}`;
}

function nodeLine(bs: BlockDriverState, wordOf: (edge: BdrvChild) => string): string {
  const above = bs.rawParents
    .snapshot()
    .filter((edge) => !edge.klass.parentIsBds)
    .map(
      (edge) =>
        `${edge.name}=${edge.klass.name.slice("child_".length)}${edge.parentId}${wordOf(edge)} `,
    );
  const below = bs.rawChildren
    .snapshot()
    .map(
      (edge) =>
        ` -${edge.name}${wordOf(edge)}-> ${edge.rawBs === null ? "?" : nodeWord(edge.rawBs)}`,
    );
  return `${above.join("")}${nodeWord(bs)}${below.join("")}`;
}

function nodeWord(bs: BlockDriverState): string {
  const counters: string[] = [];
  if (bs.quiesceCounter > 0) counters.push(String(bs.quiesceCounter));
  if (bs.recursiveQuiesceCounter > 0) counters.push(`r${bs.recursiveQuiesceCounter}`);
  return counters.length === 0 ? bs.nodeName : `${bs.nodeName}[${counters.join(",")}]`;
}

/** What graphFromText makes: nodes by name. Each has one reference, the caller's, besides those of its parents. */
export type DrawnGraph = ReadonlyMap<string, BlockDriverState>;

/** Which driver a drawn node has: by the word after its colon, "" for none. */
export type DriverOf = (word: string) => BlockDriver;

interface DrawnNode {
  readonly name: string;
  driver: string;
  readonly edges: { readonly edge: string; readonly to: string }[];
}

/** Make the graph that `text` draws. The role of an edge follows from its name and the driver above it. Polls. */
export function* graphFromText(text: string, driverOf: DriverOf): Polls<DrawnGraph> {
  globalStateCode(SITE_GRAPH_FROM_TEXT);
  const drawn = parse(text);
  assert(drawn.size > 0, "a drawing has a node");
  const made = new Map<string, BlockDriverState>();
  for (const node of drawn.values()) yield* make(node, drawn, made, driverOf);
  assert(made.size === drawn.size, "every drawn node is made once");
  return made;
}

/** The edge called `name` of the drawn node `of`. Common. */
export function edgeOf(graph: DrawnGraph, of: string, name: string): BdrvChild {
  const bs = must(graph.get(of), "the node is drawn");
  const found = bs.rawChildren.snapshot().find((edge) => edge.name === name);
  return must(found, "the node has that child");
}

function parse(text: string): Map<string, DrawnNode> {
  const drawn = new Map<string, DrawnNode>();
  const declare = (word: string): DrawnNode => {
    const [name = "", driver = ""] = word.split(":");
    assert(/^[\w#.]+$/.test(name), "a node's name is a word");
    const node = drawn.get(name) ?? { name, driver, edges: [] };
    if (driver !== "") node.driver = driver;
    drawn.set(name, node);
    return node;
  };
  for (const line of text.split("\n")) {
    const [parent, ...words] = line.trim().split(/\s+/);
    if (parent === undefined || parent === "") continue;
    const node = declare(parent);
    for (let i = 0; i < words.length; i += 2) {
      const arrow = /^-(.+)->$/.exec(words[i] ?? "");
      const edge = must(arrow?.[1], "between two nodes stands an arrow, -name->");
      node.edges.push({ edge, to: declare(must(words[i + 1], "an arrow leads to a node")).name });
    }
  }
  return drawn;
}

function* make(
  node: DrawnNode,
  drawn: ReadonlyMap<string, DrawnNode>,
  made: Map<string, BlockDriverState>,
  driverOf: DriverOf,
): Polls<BlockDriverState> {
  const before = made.get(node.name);
  if (before !== undefined) return before;
  const drv = driverOf(node.driver);
  const children: ChildSpec[] = [];
  for (const { edge, to } of node.edges) {
    const below = must(drawn.get(to), "every name is declared");
    const bs = yield* make(below, drawn, made, driverOf);
    children.unshift({ name: edge, role: roleOf(edge, drv), bs });
  }
  for (const { bs } of children) bdrvRef(bs);
  const bs = yield* bdrvOpenDriver(drv, node.name, { children });
  made.set(node.name, bs);
  return bs;
}

function roleOf(edge: string, drv: BlockDriver): number {
  if (edge !== "file" && edge !== "backing") return BDRV_CHILD_DATA;
  if (drv.isFilter) return BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
  return edge === "backing" ? BDRV_CHILD_COW : BDRV_CHILD_IMAGE;
}
