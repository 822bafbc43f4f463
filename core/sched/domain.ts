// The thread domain of a function, stated in its first line (house rule 4): GLOBAL_STATE_CODE, IO_CODE, IO_OR_GS_CODE. QEMU
// 7.2 checks the first alone; here all three are checked. docs/api-split.md, made from these lines, has every function's class.
//
//                      main       home thread      another iothread     between two steps
//   global state       yes            -                    -                  yes (a world is built before it runs)
//   I/O or GS          yes           yes                   -                   -
//   I/O                (1)           yes                  (1)                  -
//
//   (1) with the lock of the node's context; where there is no such lock (lock regime "none") main may, and others may not.
//
// "Home" is the thread of the context that the node, BlockBackend or job is in when the function is called; null stands for code
// that is atomic, or that no single node's context guards, and is at home anywhere inside a step. Functions of neither class
// ("Common.") say so in their doc comment, and nothing is there to be checked.
//
// A check that passes leaves no event: every event carries the context that ran, and `bs_ctx` and `blk_ctx` say where everything
// is at home, so that a pass follows from the trace, and an event a call would double it. One that fails leaves `wrong_thread` or
// `wrong_home`. Global-state code then stops with QEMU's assertion, if patch 12 is on. I/O code goes on, as in QEMU, whose
// IO_CODE and IO_OR_GS_CODE are empty: the run shows what comes of it. AIO_WAIT_WHILE, where all I/O-or-GS code ends that waits,
// has its assertion with every patch off.

import { assert, type SiteId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { machine, patchOn } from "./current.ts";
import { modelAssert } from "./model-assert.ts";

/** GLOBAL_STATE_CODE: the caller runs in the main context, under the BQL. Common. */
export function globalStateCode(site: SiteId = 0 as SiteId): void {
  const ctx = machine.currentContext;
  if (machine.atEntry !== null) machine.atEntry("GS", site, null);
  if (ctx === machine.mainContext || ctx === null) return;
  machine.probe.emit(Ev.wrong_thread, site);
  modelAssert(!patchOn(12), "qemu_in_main_thread()", site);
}

/** IO_CODE: the caller runs in the thread of `home`, or holds its lock; see the table above. Common. */
export function ioCode(home: AioContext | null, site: SiteId): void {
  const ctx = machine.currentContext;
  assert(ctx !== null, "I/O code runs inside a step");
  if (machine.atEntry !== null) machine.atEntry("I/O", site, home);
  if (ctx === home || home === null) return;
  if (machine.lockRegime === "aio" ? home.lock.owner === ctx : ctx === machine.mainContext) return;
  machine.probe.emit(Ev.wrong_home, site, home.id, 0);
}

/** IO_OR_GS_CODE: the caller runs in the thread of `home` or in the main context, where it may poll. Common. */
export function ioOrGsCode(home: AioContext | null, site: SiteId): void {
  const ctx = machine.currentContext;
  assert(ctx !== null, "I/O code runs inside a step");
  if (machine.atEntry !== null) machine.atEntry("I/O or GS", site, home);
  if (ctx === home || home === null || ctx === machine.mainContext) return;
  machine.probe.emit(Ev.wrong_home, site, home.id, 1);
}
