// The default policy: whatever the machine would do by itself. A recording made with it holds no choices at all.

import type { AioContext, Scheduler } from "#core/sched";

/** The same context again if it can run, else the one with the lowest index. */
export class DefaultPolicy implements Scheduler {
  pick(_runnable: readonly AioContext[], byDefault: AioContext): AioContext {
    return byDefault;
  }
}
