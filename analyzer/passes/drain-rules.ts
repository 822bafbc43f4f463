// The drain ledger and the cost of drains: one rule a file, put together here.

import { EndWithoutBegin } from "./end-without-begin.ts";
import { LeakedLevel } from "./leaked-level.ts";
import type { Pass, PassContext } from "./pass.ts";
import { UnfinishedDrain } from "./unfinished-drain.ts";

export function drainRules(context: PassContext): readonly Pass[] {
  return [new UnfinishedDrain(context), new EndWithoutBegin(context), new LeakedLevel(context)];
}
