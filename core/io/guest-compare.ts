// Whether guest data is the same: a decision, which a recording has; the data is looked at by the live and simulated hosts alone.

import { assert, type SiteId } from "../base/index.ts";
import type { Qiov } from "../graph/state.ts";
import { hostDecide } from "../sched/index.ts";

/** qemu_iovec_compare (util/iov.c:426): where the first `bytes` bytes of `a` and `b` differ first, or -1. Common. */
export function guestDifference(site: SiteId, a: Qiov, b: Qiov, bytes: number): number {
  assert(bytes >= 0, "byte counts are not negative");
  return hostDecide(site, () => {
    const [left, right] = [a.buffer.data, b.buffer.data];
    assert(left !== null && right !== null, "what is compared has contents");
    for (let at = 0; at < bytes; at++) if (left[a.start + at] !== right[b.start + at]) return at;
    return -1;
  });
}
