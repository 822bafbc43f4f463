// g_usleep: main stands still for a while, its event loop too, and others run.

import type { VirtualNs } from "#core/base";
import { site } from "#core/probe";
import {
  type AioContext,
  aioBhScheduleOneshot,
  clockNs,
  type Polls,
  QemuEvent,
  qemuEventSet,
  qemuEventWait,
  timerMod,
  timerNew,
} from "#core/sched";

const SLEEP = site("qemu_case_usleep");

/** g_usleep: the running thread stands still for `ns` nanoseconds, which a timer of `clock`, an iothread, measures. Polls. */
export function* sleepStandingStill(clock: AioContext, ns: number): Polls<void> {
  const isOver = new QemuEvent();
  const timer = timerNew(clock, () => qemuEventSet(isOver) as undefined);
  aioBhScheduleOneshot(clock, () => {
    timerMod(timer, (clockNs() + ns) as VirtualNs);
    return undefined;
  });
  yield* qemuEventWait(isOver, SLEEP);
}
