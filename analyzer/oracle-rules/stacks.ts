// Who runs at each event, and inside of which operations: call stacks, told again from the events alone, for the oracles of
// the rules. Shares nothing with model/operations.ts.

import { Ev } from "#core/probe";
import { type Event, remembered } from "../oracle-kinds.ts";

/** What is known of an event besides itself, once the event has happened. */
export interface Where {
  /** The call stack that runs: "ctx 0", "run 17" (the handler that event 17 began), "co 5". */
  readonly activity: string;
  /** Operations and callbacks under way in it, innermost last, one word each; and when the outermost of them began. */
  readonly frames: readonly string[];
  readonly outermost: number;
  /** Stacks in this context, the running one last. */
  readonly stack: readonly string[];
}

/** For each event, where it happened. */
export const whereOf = remembered((events): readonly Where[] => {
  const stacks = new Map<number, string[]>();
  const frames = new Map<string, { readonly name: string; readonly at: number }[]>();
  return events.map((event, at) => {
    const stack = stacks.get(event.ctx) ?? [`ctx ${event.ctx}`];
    stacks.set(event.ctx, stack);
    turn(event, at, stack, frames);
    const activity = stack[stack.length - 1] as string;
    const own = frames.get(activity) ?? [];
    return {
      activity,
      frames: own.map(({ name }) => name),
      outermost: own[0]?.at ?? -1,
      stack: [...stack],
    };
  });
});

function turn(
  { kind, args }: Event,
  at: number,
  stack: string[],
  frames: Map<string, { readonly name: string; readonly at: number }[]>,
): void {
  const top = stack[stack.length - 1] as string;
  const own = frames.get(top) ?? [];
  if (kind === Ev.bh_run || kind === Ev.fd_run) stack.push(`run ${at}`);
  else if (kind === Ev.bh_done && stack.length > 1) stack.pop();
  else if (kind === Ev.co_enter) stack.push(`co ${args[0]}`);
  else if ((kind === Ev.co_yield || kind === Ev.co_terminate) && top === `co ${args[0]}`)
    stack.pop();
  else if (kind === Ev.graph_op_begin) frames.set(top, [...own, { name: `op ${args[0]}`, at }]);
  else if (kind === Ev.tran_action_begin)
    frames.set(top, [...own, { name: `phase ${args[1]} ${args[2]}`, at }]);
  else if (kind === Ev.graph_op_end || kind === Ev.tran_action_end)
    frames.set(top, own.slice(0, -1));
  if (kind === Ev.co_terminate) frames.delete(`co ${args[0]}`);
}
