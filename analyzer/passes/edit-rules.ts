// The rules about single edits and about who runs what: one a file, put together here.

import { EditBeforePollEnd } from "./edit-before-poll-end.ts";
import { EditInIoCompletion } from "./edit-in-io-completion.ts";
import { EditOffMain } from "./edit-off-main.ts";
import { EditOutsideDrain } from "./edit-outside-drain.ts";
import type { Pass, PassContext } from "./pass.ts";
import { WrongHome } from "./wrong-home.ts";
import { WrongThread } from "./wrong-thread.ts";

export function editRules(context: PassContext): readonly Pass[] {
  return [
    new EditOutsideDrain(context),
    new EditBeforePollEnd(context),
    new EditOffMain(context),
    new EditInIoCompletion(context),
    new WrongThread(context),
    new WrongHome(context),
  ];
}
