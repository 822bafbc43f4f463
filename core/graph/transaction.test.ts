import { describe, expect, it } from "vitest";
import { EINVAL } from "../base/index.ts";
import type { Polls } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import { BlockError, inTransaction, settle, type Transaction, tranAdd } from "./index.ts";
import { EventLog } from "./test-support.ts";

function add(tran: Transaction, log: string[], name: string): void {
  const note = (phase: string) => () => void log.push(`${phase}-${name}`) as undefined;
  tranAdd(tran, { name, commit: note("commit"), abort: note("abort"), clean: note("clean") });
}

describe("a transaction", () => {
  it("commits the newest action first, and cleans all after the last commit", () => {
    const { log } = runMain(function* (log): Polls<void> {
      yield* inTransaction(function* (tran): Polls<void> {
        for (const name of ["a", "b", "c"]) add(tran, log, name);
      });
    });
    expect(log).toBe("commit-c commit-b commit-a clean-c clean-b clean-a");
  });

  it("aborts in the same order when its body is refused, and passes the error on", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const outcome = yield* settle(() =>
        inTransaction(function* (tran): Polls<void> {
          add(tran, log, "a");
          add(tran, log, "b");
          throw new BlockError(EINVAL, "no");
        }),
      );
      log.push(outcome.ok ? "done" : outcome.error.message);
    });
    expect(log).toBe("abort-b abort-a clean-b clean-a no");
  });

  it("leaves its phases in the trace", () => {
    const probe = new EventLog([
      "tran_new",
      "tran_add",
      "tran_action_begin",
      "tran_action_end",
      "tran_end",
    ]);
    runMain(
      function* (): Polls<void> {
        yield* inTransaction(function* (tran): Polls<void> {
          tranAdd(tran, { name: "bdrv_replace_child", commit: () => undefined });
        });
      },
      { probe },
    );
    expect(probe.lines).toMatchInlineSnapshot(`
      [
        "tran_new tran=1",
        "tran_add tran=1 bdrv_replace_child",
        "tran_action_begin tran=1 phase=1 bdrv_replace_child",
        "tran_action_end tran=1 phase=1 bdrv_replace_child",
        "tran_end tran=1 phase=1",
      ]
    `);
  });
});
