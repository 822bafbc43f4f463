import { describe, expect, it } from "vitest";
import { Klass } from "../probe/index.ts";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  iothreadCreate,
  type PatchNumber,
  type Polls,
} from "../sched/index.ts";
import {
  type BdrvChildClass,
  bdrvAddChild,
  bdrvAppend,
  bdrvDropFilter,
  bdrvInsertNode,
  bdrvOpenDriver,
  bdrvRef,
  bdrvRootAttachChild,
  bdrvRootUnrefChild,
  bdrvSetBackingHd,
  bdrvUnref,
} from "./index.ts";
import { filterDriver, formatDriver, runGraph } from "./test-support.ts";

/** A parent in `ctx` that does not move. */
function fixedRoot(ctx: AioContext) {
  const klass: BdrvChildClass = {
    name: "child_root",
    klass: Klass.child_root,
    stayAtNode: false,
    parentIsBds: false,
    getParentDesc: () => "a test's root",
    getParentAioContext: () => ctx,
    drainedBegin: (child, section) =>
      void (child.opaque as { quiescedFor: number[] }).quiescedFor.push(section) as undefined,
    drainedEnd: (child) =>
      void (child.opaque as { quiescedFor: number[] }).quiescedFor.pop() as undefined,
  };
  return { name: "root", klass, role: 1, opaque: { quiescedFor: [] }, parentId: 1 };
}

describe("under the AioContext lock, which the caller holds once, as QEMU's monitor did", () => {
  it.each<{ without: readonly PatchNumber[] }>([{ without: [10, 11] }, { without: [7] }])(
    "the graph of an iothread is edited without patches $without",
    ({ without }) => {
      const text = runGraph(
        "fmt -file-> disk\nq:quorum -children.0-> a\nb",
        function* (node): Polls<void> {
          const ctx = iothreadCreate("io1");
          bdrvRef(node("fmt"));
          const root = yield* bdrvRootAttachChild(node("fmt"), fixedRoot(ctx));
          yield* aioContextAcquire(ctx);
          expect(ctx.lock.depth).toBe(1);

          const filter = yield* bdrvInsertNode(node("fmt"), filterDriver, "f");
          expect(filter.aioContext).toBe(ctx);
          yield* bdrvDropFilter(filter);
          yield* bdrvUnref(filter);

          const overlay = yield* bdrvOpenDriver(formatDriver, "overlay");
          yield* bdrvAppend(overlay, node("fmt"));
          expect(root.rawBs).toBe(overlay);
          yield* bdrvSetBackingHd(overlay, null);
          expect(node("disk").aioContext).toBe(ctx);
          expect(ctx.lock.depth).toBe(1);
          yield* bdrvRootUnrefChild(root);
          yield* bdrvUnref(overlay);
          aioContextRelease(ctx);
          yield* bdrvAddChild(node("q"), node("b"));
        },
        { without, lock: "aio" },
      );
      expect(text).toBe("disk\nfmt -file-> disk\na\nq -children.1-> b -children.0-> a\nb");
    },
  );
});
