// What the run says itself, and counters below zero, by brute force: one event is one violation.

import { Ev } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import type { Violation } from "./violation.ts";

export function verdicts(events: readonly Event[]): Violation[] {
  return events.flatMap(({ kind, args: [a, b] }, at): Violation[] => {
    const violation = (rule: string, key: string): Violation[] => [{ rule, key, at, said: "" }];
    switch (kind) {
      case Ev.wrong_thread:
        return violation("wrong-thread", `${a}`);
      case Ev.wrong_home:
        return violation("wrong-home", `${a} ${b}`);
      case Ev.model_assert:
        return violation("modelled-assertion", `${a} ${b}`);
      case Ev.bs_in_flight_dec:
        return b < 0 ? violation("unbalanced-counter", "in flight, node") : [];
      case Ev.blk_in_flight_dec:
        return b < 0 ? violation("unbalanced-counter", "in flight, blk") : [];
      case Ev.bs_unquiesce:
        return b < 0 ? violation("unbalanced-counter", "quiesce, node") : [];
      case Ev.blk_unquiesce:
        return b < 0 ? violation("unbalanced-counter", "quiesce, blk") : [];
      default:
        return [];
    }
  });
}
