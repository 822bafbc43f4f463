// P1, the series of January 2022: no edit without a drain. What quiesce judges by when not told otherwise.
//
// Demand, of an edit of `children` or `parents` (patch 11 asserts a weaker form of it): it is made in the main context, inside a
// drained section that this operation opened, that holds the list's node, and whose poll phase has ended; objects that nobody
// but their creator can have seen need none. Demand, of a read of any list or alias: it is ordered with every edit that it could
// meet, in the sanctioned order of design D9: by a drained section around the edit (covered), or otherwise by the protocol. The
// ordinary rules say all of that, so this judge keeps every finding of theirs and adds none.

import type { PolicyJudge } from "./policy.ts";

export class SeriesJudge implements PolicyJudge {
  readonly id = "P1";
  readonly kinds = [];
  readonly drafts = null;

  on(): void {}

  finish(): void {}

  keeps(): boolean {
    return true;
  }

  silence(): string {
    return "";
  }
}
