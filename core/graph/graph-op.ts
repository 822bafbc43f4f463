// A named operation on the graph, as the trace sees it: `graph_op_begin` and `graph_op_end` around its work. They nest, so
// that an edit in bdrv_replace_child_noperm can be told to belong to bdrv_set_backing_hd.

import { assert, type SiteId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import { globalStateCode, machine, type Polls } from "../sched/index.ts";
import { settle, unwrap } from "./block-error.ts";

/**
 * Run `body` as the operation of the C function that `site` names. Polls as `body` does. When an assertion ends the run
 * inside, the operation stays open in the trace: that is what the report shows.
 */
export function* graphOp<T>(site: SiteId, body: () => Polls<T>): Polls<T> {
  globalStateCode(site);
  assert(site > 0, "an operation is named by a site");
  const ctx = machine.currentContext;
  const around = machine.aroundGraphOp;
  machine.probe.emit(Ev.graph_op_begin, site);
  const outcome = yield* settle(around === null ? body : (): Polls<T> => around(site, body));
  assert(machine.currentContext === ctx, "an operation ends in the context that began it");
  machine.probe.emit(Ev.graph_op_end, site);
  return unwrap(outcome);
}
