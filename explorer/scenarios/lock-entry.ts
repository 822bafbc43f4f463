// What an entry point of the block layer asks of its caller's lock: main calls it on a node that is busy in an iothread, while it
// holds the lock of that iothread `held` times.
//
//      drive  (io0)       a guest reads; the request is in `slow`
//        |
//       top    spare      main calls `entry`, holding the lock of io0 0, 1 or 2 times
//        |  backing
//      slow
//
// AIO_WAIT_WHILE gives the lock up once while it polls: held twice, the iothread never gets it, in QEMU as well. Its unlocked
// twin does not give it up at all. docs/locking.md is made from runs of this scenario, with every entry point, number and set of
// patches; the combinations that deadlock in QEMU too are the ones in which `entry` waits.

import { QuiesceError } from "#core/base";
import { aioContextAcquire, aioContextRelease, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { ENTRIES, type EntryName, openTrial } from "./lock-entries.ts";
import { whileReading } from "./slow-chain.ts";

const lockEntry: Scenario = {
  name: "lock-entry",
  title:
    "Main calls an entry point of the block layer on a busy node, with the AioContext lock or without.",
  params: { entry: "bdrv_drained_begin", held: "1" },
  expected: [{ finds: [] }, { lock: "aio", finds: [] }],
  main,
};

export default lockEntry;

function* main(world: World): Polls<void> {
  const entry = world.param("entry");
  if (!isEntry(entry))
    throw new QuiesceError(
      "usage",
      `There is no entry point "${entry}"; there are: ${Object.keys(ENTRIES).join(", ")}.`,
    );
  const held = world.number("held");
  const trial = yield* openTrial(world);
  const { ctx } = trial.chain;
  const prepared = yield* ENTRIES[entry].prepareCall(trial);
  yield* whileReading(world, trial.chain, function* (): Polls<void> {
    for (let i = 0; i < held; i++) yield* aioContextAcquire(ctx);
    world.note(`main calls ${entry}`);
    yield* prepared.callEntry();
    for (let i = 0; i < held; i++) aioContextRelease(ctx);
  });
  yield* world.joinGuests();
  yield* world.stopIothreads();
}

function isEntry(name: string): name is EntryName {
  return Object.hasOwn(ENTRIES, name);
}
