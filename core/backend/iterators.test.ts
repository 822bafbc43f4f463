// Iterating over the nodes at the top of the graph.
//
//   blk1 blk2    blk3
//      \ |         |
//       a  -x->  disk     b, c: held by the monitor alone; a too, but it has BlockBackends

import { expect, it } from "vitest";
import { bdrvSetMonitorOwned, bdrvUnref } from "../graph/index.ts";
import { type DrainTest, runDrawn } from "../io/test-support.ts";
import type { Polls } from "../sched/index.ts";
import {
  BdrvNextIterator,
  bdrvFirst,
  bdrvHasBlk,
  bdrvNext,
  bdrvNextCleanup,
  blkAll,
  blkNewWithBs,
  blkUnref,
} from "./index.ts";

const DRAWING = "a -x-> disk\nb\nc";

function* build({ node }: DrainTest): Polls<void> {
  for (const name of ["a", "a", "disk"]) yield* blkNewWithBs(node(name), { sharedPerm: 15 });
  for (const name of ["b", "a", "c"]) bdrvSetMonitorOwned(node(name));
}

const references = ({ node }: DrainTest): string =>
  ["a", "disk", "b", "c"].map((name) => node(name).refcnt).join();

it("a loop visits roots of BlockBackends, each once, then what the monitor holds, and gives all references back", () => {
  const { log } = runDrawn(DRAWING, function* (test) {
    yield* build(test);
    const before = references(test);
    const it = new BdrvNextIterator();
    for (let bs = yield* bdrvFirst(it); bs !== null; bs = yield* bdrvNext(it)) {
      test.log.push(`${bs.nodeName}${bdrvHasBlk(bs) ? "" : "!"}`);
    }
    expect(references(test)).toBe(before);
    expect(blkAll().map(({ refcnt }) => refcnt)).toEqual([1, 1, 1]);
  });
  expect(log).toBe("a disk b! c!");
});

it.each([1, 2, 3])("a loop that is left at node number %i gives its references back", (count) => {
  runDrawn(DRAWING, function* (test) {
    yield* build(test);
    const before = references(test);
    const it = new BdrvNextIterator();
    yield* bdrvFirst(it);
    for (let i = 1; i < count; i++) yield* bdrvNext(it);
    expect(references(test)).not.toBe(before);
    yield* bdrvNextCleanup(it);
    expect(references(test)).toBe(before);
    expect(blkAll().map(({ refcnt }) => refcnt)).toEqual([1, 1, 1]);
  });
});

it("the node and the BlockBackend that a loop is at stay alive when everybody else lets go of them", () => {
  const { log } = runDrawn("a\nb", function* (test) {
    const { node, log } = test;
    const [a, b] = [node("a"), node("b")];
    const blk = yield* blkNewWithBs(a);
    bdrvSetMonitorOwned(b);
    const it = new BdrvNextIterator();
    yield* bdrvFirst(it);
    yield* bdrvUnref(a);
    yield* blkUnref(blk);
    log.push(`closed=${a.closed}`);
    log.push((yield* bdrvNext(it))?.nodeName ?? "none");
    log.push(`closed=${a.closed} blks=${blkAll().length}`);
    log.push((yield* bdrvNext(it))?.nodeName ?? "none");
  });
  expect(log).toBe("closed=false b closed=true blks=0 none");
});
