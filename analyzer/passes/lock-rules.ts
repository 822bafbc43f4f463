// The rules about locks: one a file, put together here.

import { LockOrder } from "./lock-order.ts";
import type { Pass, PassContext } from "./pass.ts";
import { WrongContextLock } from "./wrong-context-lock.ts";

export function lockRules(context: PassContext): readonly Pass[] {
  return [new WrongContextLock(context), new LockOrder(context)];
}
