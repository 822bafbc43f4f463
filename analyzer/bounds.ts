// What the analyzer says when a trace asks for more than it follows, or for what does not exist. The numbers are in limits.ts:
// each is far above what a run has, and keeps memory, and the time that one event may take, bounded for traces that nobody
// recorded.

import { QuiesceError } from "#core/base";
import { CONTEXT_MAX } from "./limits.ts";

/** There are more than `max` of `what` ("nodes at a time"). */
export function refuseMore(max: number, what: string): never {
  throw new QuiesceError(
    "limit",
    `The trace has more than ${max.toLocaleString("en-US")} ${what}; the analyzer follows no more, so that its memory and time stay bounded.`,
  );
}

/** Event `index` says something that no recorder writes. */
export function refuseNonsense(index: number, what: string): never {
  throw new QuiesceError(
    "input",
    `The trace is no recording: its event ${index} speaks of ${what}. Record it again, or look at its events with the verb dump.`,
  );
}

/** There is a context that is not followed. */
export function refuseContext(ctx: number): never {
  throw new QuiesceError(
    "limit",
    `The trace has a context with the number ${ctx}; the analyzer follows contexts up to ${CONTEXT_MAX}.`,
  );
}

/** There are too many events. */
export function refuseLength(): never {
  throw new QuiesceError(
    "limit",
    "The trace has more events than the analyzer can number (2,147,483,646).",
  );
}
