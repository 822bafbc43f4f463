// Handlers of file descriptors (C: aio_set_fd_handler) and the switch that silences external clients while a drain lasts.
//
// "External" means: a client outside (a virtqueue kick, an export's socket) can start requests from it. Disabling stops
// their dispatch in one context, not their readiness: what became ready meanwhile is dispatched after the last enable.

import { assert, type BhId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { aioNotify } from "./bottom-half.ts";
import type { Handler } from "./colours.ts";
import { machine, nextId, perMachine } from "./current.ts";

export class FdHandler {
  readonly id: BhId;
  readonly ctx: AioContext;
  readonly isExternal: boolean;
  readonly handler: Handler;

  constructor(id: BhId, ctx: AioContext, isExternal: boolean, handler: Handler) {
    this.id = id;
    this.ctx = ctx;
    this.isExternal = isExternal;
    this.handler = handler;
  }
}

const registered = perMachine(() => new Map<number, FdHandler>());

/** aio_set_fd_handler: let `handler` run in `ctx` whenever the host says that it is ready. Common. */
export function aioSetFdHandler(ctx: AioContext, isExternal: boolean, handler: Handler): FdHandler {
  const fd = new FdHandler(nextId(machine, "bh") as BhId, ctx, isExternal, handler);
  registered().set(fd.id, fd);
  return fd;
}

/** aio_set_fd_handler with no callback: `fd` runs no more. Common. */
export function aioRemoveFdHandler(fd: FdHandler): void {
  assert(registered().delete(fd.id), "a handler is removed once");
  const at = fd.ctx.readyFds.indexOf(fd);
  if (at >= 0) fd.ctx.readyFds.splice(at, 1);
}

/** The handler numbered `id`, or undefined when it was removed. Common. */
export function fdHandlerById(id: number): FdHandler | undefined {
  return registered().get(id);
}

/** Whether a poll of its context may run `fd`: not a client outside while external events are disabled. Common. */
export function isDispatchable(fd: FdHandler): boolean {
  return !fd.isExternal || fd.ctx.externalDisableCount === 0;
}

/** aio_disable_external: one more reason not to dispatch external handlers of `ctx`. Common. */
export function aioDisableExternal(ctx: AioContext): void {
  ctx.externalDisableCount++;
  machine.probe.emit(Ev.external_disable, ctx.id, ctx.externalDisableCount);
}

/** aio_enable_external: one reason less; the last one wakes the context, whose handlers may be ready (B48). Common. */
export function aioEnableExternal(ctx: AioContext): void {
  assert(
    ctx.externalDisableCount > 0,
    "external events are enabled as often as they were disabled",
  );
  ctx.externalDisableCount--;
  machine.probe.emit(Ev.external_enable, ctx.id, ctx.externalDisableCount);
  if (ctx.externalDisableCount === 0) aioNotify(ctx);
}
