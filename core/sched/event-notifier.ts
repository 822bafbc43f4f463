// EventNotifier (C: util/event_notifier-posix.c): a flag that any thread may set, and that a context's event loop sees.
//
// Unlike a descriptor of the host (fd-handler.ts), nothing of it comes from outside: core code sets it. It is looked at where a
// poll waits for descriptors, once in each poll, and stays ready until somebody clears it: a handler that sets it again runs
// again in the next poll, not in this one. In a trace, setting it is a `bh_schedule` of the handler and running it an `fd_run`.

import { assert } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { aioNotify } from "./bottom-half.ts";
import type { Handler } from "./colours.ts";
import { machine } from "./current.ts";
import {
  aioRemoveFdHandler,
  aioSetFdHandler,
  type FdHandler,
  isDispatchable,
} from "./fd-handler.ts";

/** C: EventNotifier. A new one is not set. */
export class EventNotifier {
  isSet = false;
  /** Who is called when it is set; null when no context looks at it. */
  fd: FdHandler | null = null;
}

/** event_notifier_set: whoever looks at it sees it from now on. Common. */
export function eventNotifierSet(notifier: EventNotifier): void {
  assert(machine.currentContext !== null, "notifiers are set inside a step");
  notifier.isSet = true;
  announce(notifier);
}

/** event_notifier_test_and_clear: whether it was set; it is not any more. Common. */
export function eventNotifierTestAndClear(notifier: EventNotifier): boolean {
  assert(machine.currentContext !== null, "notifiers are cleared inside a step");
  const { isSet } = notifier;
  notifier.isSet = false;
  return isSet;
}

/** aio_set_event_notifier: let `handler` run in `ctx` when `notifier` is set; null: no longer. Common. */
export function aioSetEventNotifier(
  ctx: AioContext,
  notifier: EventNotifier,
  options: { readonly isExternal: boolean; readonly handler: Handler | null },
): void {
  const { isExternal, handler } = options;
  const { fd } = notifier;
  if (fd !== null) {
    assert(fd.ctx === ctx, "a notifier has handlers in one context");
    ctx.notifiers.splice(ctx.notifiers.indexOf(notifier), 1);
    aioRemoveFdHandler(fd);
    notifier.fd = null;
  }
  // C: the context's poll has to look at its descriptors anew.
  aioNotify(ctx);
  if (handler === null) return;
  notifier.fd = aioSetFdHandler(ctx, isExternal, handler);
  ctx.notifiers.push(notifier);
  if (notifier.isSet) announce(notifier);
}

/** The notifiers that are set have their handlers run in this poll of `ctx`. Common. */
export function collectNotifiers(ctx: AioContext): void {
  for (const { isSet, fd } of ctx.notifiers) {
    assert(fd !== null, "a context looks at notifiers that have a handler");
    if (isSet && isDispatchable(fd) && !ctx.readyFds.includes(fd)) ctx.readyFds.push(fd);
  }
}

function announce({ fd }: EventNotifier): void {
  if (fd !== null) machine.probe.emit(Ev.bh_schedule, fd.id, fd.ctx.id);
}
