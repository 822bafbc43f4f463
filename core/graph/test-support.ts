// For tests of the graph: drivers without I/O, a run of a drawn graph on the test machine, and a log of chosen events as text.

import { assert, must } from "../base/index.ts";
import { blockLayerToText } from "../jobs/index.ts";
import { type EventName, LAYOUTS, ProbeBase, siteTable } from "../probe/index.ts";
import { machine, type Polls, type RunOutcome } from "../sched/index.ts";
import { type RunMainOptions, runMain } from "../sched/test-support.ts";
import {
  assertGraphInvariants,
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  type BlockDriver,
  bdrvAllStates,
  type ChildPerm,
  type DrawnGraph,
  graphFromText,
  graphToText,
  quorumAddChild,
  quorumDelChild,
  settle,
} from "./index.ts";

/** Asks of a child what is asked of the node, and shares everything: so that a drawing of any shape is legal. */
export const generousPerms: ChildPerm = (_bs, _child, _role, _reopen, parent) => ({
  perm: parent.perm,
  sharedPerm: BLK_PERM_ALL,
});

/** A format: takes a file and a backing file. */
export const formatDriver: BlockDriver = {
  formatName: "format",
  isFilter: false,
  supportsBacking: true,
  childPerm: generousPerms,
};

/** A driver that takes no backing file. */
export const plainDriver: BlockDriver = {
  formatName: "plain",
  isFilter: false,
  childPerm: generousPerms,
};

export const filterDriver: BlockDriver = { formatName: "filter", isFilter: true };

/** A filter whose child is its `backing`. */
export const backingFilterDriver: BlockDriver = {
  formatName: "backing-filter",
  isFilter: true,
  filteredChildIsBacking: true,
};

/** A format as they are: claims its storage. */
export const imageDriver: BlockDriver = {
  formatName: "image",
  isFilter: false,
  supportsBacking: true,
};

/** A filter that must be the only writer of its `backing`. */
export const loneWriterDriver: BlockDriver = {
  formatName: "lone-writer",
  isFilter: true,
  filteredChildIsBacking: true,
  childPerm: () => ({ perm: BLK_PERM_WRITE, sharedPerm: BLK_PERM_ALL & ~BLK_PERM_WRITE }),
};

/** A node with a changing set of children. */
export const quorumDriver: BlockDriver = {
  formatName: "quorum",
  isFilter: false,
  childPerm: generousPerms,
  addChild: quorumAddChild,
  delChild: quorumDelChild,
};

const DRIVERS: Readonly<Record<string, BlockDriver>> = {
  "": formatDriver,
  plain: plainDriver,
  filter: filterDriver,
  bfilter: backingFilterDriver,
  image: imageDriver,
  lone: loneWriterDriver,
  quorum: quorumDriver,
};

/** The driver behind the word after a node's colon. */
export function driverOf(word: string): BlockDriver {
  return must(DRIVERS[word], "the driver of a drawn node is known");
}

/** Keeps events as text: `name field=value …`, with sites as their names and strings as themselves. */
export class EventLog extends ProbeBase {
  readonly lines: string[] = [];
  readonly #wanted: ReadonlySet<EventName> | null;

  /** Keep the events named here, or all. */
  constructor(wanted: readonly EventName[] | null = null) {
    super();
    this.#wanted = wanted === null ? null : new Set(wanted);
  }

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    const layout = must(LAYOUTS[kind], "an emitted kind is in the catalogue");
    if (this.#wanted !== null && !this.#wanted.has(layout.name)) return;
    const args = [a, b, c, d];
    const words = layout.fields.map(({ name, type, slot }) => {
      const value = args[slot] ?? 0;
      if (type === "site") return siteTable[value - 1]?.name ?? "-";
      if (type === "string") return this.strings[value] ?? "?";
      return `${name}=${value}`;
    });
    this.lines.push([layout.name, ...words].join(" "));
  }

  override emitWide(kind: number, _wide: number, a = 0, b = 0, c = 0): void {
    this.emit(kind, a, b, c);
  }
}

/** What became of a run. */
export interface GraphRun {
  readonly outcome: RunOutcome;
  /** Text of the modelled assertion that ended it, "" for none. */
  readonly assertion: string;
  /** The graph at the end of the body, as text. */
  readonly text: string;
}

/** A node of the drawing, by name. */
export type NodeOf = (name: string) => ReturnType<DrawnGraph["get"]> & object;

/** Draw a graph, run `body` in the main context to a good end, check the invariants; returns the graph as text. */
export function runGraph(
  drawing: string,
  body: (node: NodeOf, graph: DrawnGraph) => Polls<void>,
  options: RunMainOptions = {},
): string {
  const run = runGraphToEnd(drawing, body, options);
  assert(run.outcome === "ok", "the run came to a good end");
  return run.text;
}

/** As runGraph, for runs that a modelled assertion may end. */
export function runGraphToEnd(
  drawing: string,
  body: (node: NodeOf, graph: DrawnGraph) => Polls<void>,
  options: RunMainOptions = {},
): GraphRun {
  let text = "";
  const run = runMain(function* (): Polls<void> {
    const graph = yield* graphFromText(drawing, driverOf);
    const { probe } = machine;
    if (probe instanceof EventLog) probe.lines.length = 0;
    yield* body((name) => must(graph.get(name), "the node is drawn"), graph);
    text = graphToText();
    assertGraphInvariants(bdrvAllStates());
  }, options);
  return { outcome: run.outcome, assertion: run.machine.assertion?.message ?? "", text };
}

/** Reads, and lets others do what they want. */
export const READER = { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL };
/** Reads and writes, and lets others do what they want. */
export const WRITER = { perm: BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE, sharedPerm: BLK_PERM_ALL };
/** Reads, and lets nobody write. */
export const STILL = {
  perm: BLK_PERM_CONSISTENT_READ,
  sharedPerm: BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED,
};
/** Reads and writes, and lets nobody else write. */
export const ALONE = { ...WRITER, sharedPerm: STILL.sharedPerm };

/** Assert that `edit` is refused with `message`, and that nothing has changed. Polls. */
export function* refuses(edit: () => Polls<unknown>, message: string, errno?: number): Polls<void> {
  const before = blockLayerToText();
  const outcome = yield* settle(edit);
  equal(outcome.ok ? "allowed" : outcome.error.message, message);
  if (!outcome.ok) equal(outcome.error.errno, errno ?? outcome.error.errno);
  equal(blockLayerToText(), before);
}

function equal(actual: number | string, expected: number | string): void {
  if (actual !== expected) throw new Error(`this is\n${actual}\nand should be\n${expected}`);
}

/** QEMU's sentence about two parents of `node`, each given as `parent as edge`. */
export function conflict(node: string, perms: string, needs: string, shares: string): string {
  const uses = (who: string): string => {
    const [parent, edge] = who.split(" as ");
    return `${parent} (uses node '${node}' as '${edge}' child)`;
  };
  return `Permission conflict on node '${node}': permissions '${perms}' are both required by ${uses(needs)} and unshared by ${uses(shares)}.`;
}

/** An operation that is refused, on a drawn graph. */
export interface RefusalRow {
  /** QEMU's function that has the text. */
  readonly c: string;
  readonly text: string;
  readonly errno: number;
  readonly graph: string;
  /** `refused` runs what must be refused. */
  readonly body: (
    node: NodeOf,
    refused: (edit: () => Polls<unknown>) => Polls<void>,
    graph: DrawnGraph,
  ) => Polls<void>;
}

/** Run a row: refused with its text and errno, and nothing has changed; returns how often. */
export function runRefusal({ graph, text, errno, body }: RefusalRow): number {
  let count = 0;
  runGraph(graph, function* (node, drawn): Polls<void> {
    yield* body(
      node,
      function* (edit): Polls<void> {
        count++;
        yield* refuses(edit, text, errno);
      },
      drawn,
    );
  });
  return count;
}

/** What throws without polling, as an operation that may poll. */
export function* straight(throws: () => unknown): Polls<void> {
  throws();
}

/** A chain, and two nodes that stand alone. */
export const CHAIN = "top -backing-> mid\nmid -backing-> base\nother\nplain:plain";
