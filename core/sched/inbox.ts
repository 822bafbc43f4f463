// What arrives between two steps, recorded as it arrives: completions, deadlines, readiness.

import { assert } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import { fdHandlerById } from "./fd-handler.ts";
import type { Inbox } from "./host.ts";
import { outstandingOperations, takeOutstanding } from "./host-io.ts";
import type { Machine } from "./machine.ts";
import { armedTimer, timerExpired } from "./timer.ts";

/** An inbox that counts what it received. */
export interface CountingInbox extends Inbox {
  received: number;
}

/** The inbox of `owner`, for its host. Common. */
export function inboxOf(owner: Machine): CountingInbox {
  const inbox: CountingInbox = {
    received: 0,
    get stepsSinceInput(): number {
      return owner.stepsSinceInput;
    },
    complete(id, ret) {
      const rank = outstandingOperations().findIndex((operation) => operation.id === id);
      assert(rank >= 0, "the host completes an outstanding operation, once");
      const operation = takeOutstanding(rank);
      operation.ret = ret;
      owner.probe.emit(Ev.io_complete, id, rank, ret, owner.takeSteps());
      operation.ctx.completions.push(operation);
      inbox.received++;
    },
    expire(timerId) {
      const timer = armedTimer(timerId);
      if (timer === undefined) return false;
      owner.probe.emit(Ev.timer_expire, timerId, owner.takeSteps());
      timerExpired(timer);
      inbox.received++;
      return true;
    },
    fdReady(handlerId) {
      const fd = fdHandlerById(handlerId);
      if (fd === undefined || fd.ctx.readyFds.includes(fd)) return false;
      owner.probe.emit(Ev.fd_ready, handlerId, owner.takeSteps());
      fd.ctx.readyFds.push(fd);
      inbox.received++;
      return true;
    },
  };
  return inbox;
}
