// The thread domain of a function, stated in its first line (house rule 4): GLOBAL_STATE_CODE, IO_CODE, IO_OR_GS_CODE.
//
// A check that passes leaves no event: that it passed follows from the context that every event carries. Global-state code
// off the main context leaves `wrong_thread`, and with patch 12 on is QEMU's assertion. I/O code may run in any thread, so its
// check is only that a machine runs.

import { assert, type SiteId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import { machine, patchOn } from "./current.ts";
import { modelAssert } from "./model-assert.ts";

/** GLOBAL_STATE_CODE: the caller runs in the main context, under the BQL. */
export function globalStateCode(site: SiteId = 0 as SiteId): void {
  const ctx = machine.currentContext;
  if (ctx === machine.mainContext || ctx === null) return;
  machine.probe.emit(Ev.wrong_thread, site);
  modelAssert(!patchOn(12), "qemu_in_main_thread()", site);
}

/** IO_CODE: any thread of a running machine. */
export function ioCode(): void {
  assert(machine !== undefined, "core code runs inside a machine");
}

/** IO_OR_GS_CODE: the home thread of the node, or main; what polls below checks which. */
export function ioOrGsCode(): void {
  assert(machine !== undefined, "core code runs inside a machine");
}
