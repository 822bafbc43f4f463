// A transaction is undone, and one of its callbacks polls.
//
//   tran_abort                                   a request at top sleeps
//     the callback of an action waits for it
//       polls: whatever is due runs here         the request ends
//     the callbacks of the older actions
//
// Between two callbacks the graph is half as it was and half as it was to be. QEMU's own callbacks move edges there, which waits
// for requests only when the edge comes to a node that is drained: a transaction that is drained as a whole never does.

import { type Transaction, tranAbort, tranAdd, tranNew } from "#core/graph";
import { site } from "#core/probe";
import {
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  machine,
  type Polls,
  qemuCoSleepNs,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { PAUSE_NS } from "./hole-chain.ts";

const SITE_ABORT = site("wrong_poll_wait");

const wrongPoll: Scenario = {
  name: "wrong-poll",
  title: "A callback that undoes a transaction polls.",
  expected: [{ finds: [{ rule: "poll-not-allowed" }] }],
  main,
};

export default wrongPoll;

function* main(world: World): Polls<void> {
  let isOver = false;
  world.guest(machine.mainContext, function* (): Co<void> {
    yield* qemuCoSleepNs(PAUSE_NS);
    isOver = true;
    aioWaitKick();
  });
  const tran: Transaction = tranNew();
  tranAdd(tran, {
    name: "wrong_poll",
    abort: function* (): Polls<void> {
      yield* aioWaitWhileUnlocked(null, () => !isOver, SITE_ABORT);
    },
  });
  yield* tranAbort(tran);
  yield* world.joinGuests();
}
