// The rules about interleaving on one thread, lifetimes, and wake-ups: one a file, put together here.

import type { Pass, PassContext } from "./pass.ts";
import { UseAfterFree } from "./use-after-free.ts";

export function interleavingRules(context: PassContext): readonly Pass[] {
  return [new UseAfterFree(context)];
}
