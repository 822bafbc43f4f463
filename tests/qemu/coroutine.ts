// Cases of test-coroutine.c: entering, yielding and nesting, and the coroutine locks. All in main, without a graph.

import {
  type Co,
  CoMutex,
  CoRwlock,
  type Coroutine,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  qemuCoRwlockDowngrade,
  qemuCoRwlockRdlock,
  qemuCoRwlockUnlock,
  qemuCoRwlockUpgrade,
  qemuCoRwlockWrlock,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  qemuInCoroutine,
} from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";

/** Levels of nesting, as in C. */
const NESTING_MAX = 128;

function* testLifecycle(t: CaseTest): Polls<void> {
  for (const time of ["first", "second"]) {
    let isDone = false;
    const co = qemuCoroutineCreate(function* (): Co<void> {
      isDone = true;
    });
    qemuCoroutineEnter(co);
    t.check(isDone, `done (${time} time)`);
  }
}

function* testYield(t: CaseTest): Polls<void> {
  let isDone = false;
  let enters = -1;
  const co = qemuCoroutineCreate(function* (): Co<void> {
    for (let i = 0; i < 5; i++) yield* qemuCoroutineYield();
    isDone = true;
  });
  while (!isDone) {
    qemuCoroutineEnter(co);
    enters++;
  }
  t.expectEqual(enters, 5, "i");
}

function* testNesting(t: CaseTest): Polls<void> {
  let entered = 0;
  let returned = 0;
  const nest = function* (): Co<void> {
    entered++;
    if (entered < NESTING_MAX) qemuCoroutineEnter(qemuCoroutineCreate(nest));
    returned++;
  };
  qemuCoroutineEnter(qemuCoroutineCreate(nest));
  t.expectEqual(entered, NESTING_MAX, "nd.n_enter");
  t.expectEqual(returned, NESTING_MAX, "nd.n_return");
}

function* testSelf(t: CaseTest): Polls<void> {
  const co: Coroutine = qemuCoroutineCreate(function* (): Co<void> {
    t.check(qemuCoroutineSelf() === co, "qemu_coroutine_self() == *p_co");
  });
  qemuCoroutineEnter(co);
}

function* testEntered(t: CaseTest): Polls<void> {
  const outer: Coroutine = qemuCoroutineCreate(function* (): Co<void> {
    t.check(outer.active, "qemu_coroutine_entered(self)");
    const inner: Coroutine = qemuCoroutineCreate(function* (): Co<void> {
      for (const time of ["before", "after"]) {
        t.check(outer.active, `qemu_coroutine_entered(caller) ${time} the yield`);
        t.check(inner.active, `qemu_coroutine_entered(qemu_coroutine_self()) ${time} the yield`);
        if (time === "before") yield* qemuCoroutineYield();
      }
    });
    t.expectEqual(inner.active, false, "qemu_coroutine_entered(coroutine)");
    qemuCoroutineEnter(inner);
    t.expectEqual(inner.active, false, "qemu_coroutine_entered(coroutine)");
    qemuCoroutineEnter(inner);
  });
  t.expectEqual(outer.active, false, "qemu_coroutine_entered(coroutine)");
  qemuCoroutineEnter(outer);
}

function* testInCoroutine(t: CaseTest): Polls<void> {
  t.expectEqual(qemuInCoroutine(), false, "qemu_in_coroutine()");
  qemuCoroutineEnter(
    qemuCoroutineCreate(function* (): Co<void> {
      t.expectEqual(qemuInCoroutine(), true, "qemu_in_coroutine()");
    }),
  );
}

function* testOrder(t: CaseTest): Polls<void> {
  const records: string[] = [];
  const co = qemuCoroutineCreate(function* (): Co<void> {
    records.push("2,1");
    yield* qemuCoroutineYield();
    records.push("2,2");
  });
  records.push("1,1");
  qemuCoroutineEnter(co);
  records.push("1,2");
  qemuCoroutineEnter(co);
  records.push("1,3");
  t.expectEqual(records.join(" "), "1,1 2,1 1,2 2,2 1,3", "records");
}

function* testCoMutex(t: CaseTest): Polls<void> {
  const mutex = new CoMutex();
  let isLocked = false;
  let done = 0;
  const entry = function* (): Co<void> {
    yield* qemuCoMutexLock(mutex);
    t.expectEqual(isLocked, false, "locked");
    isLocked = true;
    yield* qemuCoroutineYield();
    isLocked = false;
    qemuCoMutexUnlock(mutex);
    done++;
  };
  const expectState = (locked: boolean, ended: number): void => {
    t.expectEqual(isLocked, locked, "locked");
    t.expectEqual(done, ended, "done");
  };
  const c1 = qemuCoroutineCreate(entry);
  const c2 = qemuCoroutineCreate(entry);
  qemuCoroutineEnter(c1);
  expectState(true, 0);
  qemuCoroutineEnter(c2);
  qemuCoroutineEnter(c1);
  expectState(true, 1);
  qemuCoroutineEnter(c2);
  expectState(false, 2);
}

function* testUpgrade(t: CaseTest): Polls<void> {
  const lock = new CoRwlock();
  let done = "";
  const c1 = qemuCoroutineCreate(function* (): Co<void> {
    yield* qemuCoRwlockRdlock(lock);
    yield* qemuCoroutineYield();
    yield* qemuCoRwlockUpgrade(lock);
    qemuCoRwlockUnlock(lock);
    done += "1";
  });
  const c2 = qemuCoroutineCreate(function* (): Co<void> {
    yield* qemuCoRwlockWrlock(lock);
    yield* qemuCoroutineYield();
    qemuCoRwlockUnlock(lock);
    done += "2";
  });
  qemuCoroutineEnter(c1);
  qemuCoroutineEnter(c2);
  qemuCoroutineEnter(c1);
  t.expectEqual(done.includes("1"), false, "c1_done");
  qemuCoroutineEnter(c2);
  t.expectEqual([...done].sort().join(""), "12", "c1_done and c2_done");
}

function* testDowngrade(t: CaseTest): Polls<void> {
  const lock = new CoRwlock();
  const done: string[] = [];
  const c1 = qemuCoroutineCreate(function* (): Co<void> {
    yield* qemuCoRwlockRdlock(lock);
    yield* qemuCoroutineYield();
    qemuCoRwlockUnlock(lock);
    yield* qemuCoroutineYield();
    done.push("c1");
  });
  const c2 = qemuCoroutineCreate(function* (): Co<void> {
    yield* qemuCoRwlockWrlock(lock);
    qemuCoRwlockDowngrade(lock);
    qemuCoRwlockUnlock(lock);
    done.push("c2");
  });
  const c3 = qemuCoroutineCreate(function* (): Co<void> {
    yield* qemuCoRwlockRdlock(lock);
    qemuCoRwlockUnlock(lock);
    done.push("c3");
  });
  const c4 = qemuCoroutineCreate(function* (): Co<void> {
    yield* qemuCoRwlockWrlock(lock);
    qemuCoRwlockUnlock(lock);
    done.push("c4");
  });
  for (const co of [c1, c2, c3, c4, c1]) qemuCoroutineEnter(co);
  t.expectEqual([...done].sort().join(" "), "c2 c3 c4", "what is done");
  qemuCoroutineEnter(c1);
  t.check(done.includes("c1"), "c1_done");
}

const NO_POOL =
  "The case overwrites the memory of a coroutine that has ended and is in the pool of free ones; there is neither here.";
const NO_LOCKABLE =
  "QemuLockable picks lock and unlock by the C type of its argument at compile time; here each lock is called by its own functions.";
const BENCHMARK = "It measures speed and asserts nothing.";

const cases: readonly QemuCase[] = [
  { name: "/basic/no-dangling-access", notApplicable: NO_POOL },
  { name: "/basic/lifecycle", body: testLifecycle },
  { name: "/basic/yield", body: testYield },
  { name: "/basic/nesting", body: testNesting },
  { name: "/basic/self", body: testSelf },
  { name: "/basic/entered", body: testEntered },
  { name: "/basic/in_coroutine", body: testInCoroutine },
  { name: "/basic/order", body: testOrder },
  { name: "/locking/co-mutex", body: testCoMutex },
  { name: "/locking/co-mutex/lockable", notApplicable: NO_LOCKABLE },
  { name: "/locking/co-rwlock/upgrade", body: testUpgrade },
  { name: "/locking/co-rwlock/downgrade", body: testDowngrade },
  ...["lifecycle", "nesting", "yield", "function-call", "cost"].map((name) => ({
    name: `/perf/${name}`,
    notApplicable: BENCHMARK,
  })),
];

/** See the file comment. */
export const coroutine: QemuFamily = {
  qemuFile: "tests/unit/test-coroutine.c",
  file: "tests/qemu/coroutine.ts",
  cases,
};
