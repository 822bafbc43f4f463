// State of throttling groups: who is a member, whose turn it is, and which requests wait. No behaviour here.

import { assert } from "../base/index.ts";
import { type AioContext, CoMutex, CoQueue, perMachine, QemuMutex } from "../sched/index.ts";
import { ThrottleState, type ThrottleTimers } from "./state.ts";

/**
 * C: ThrottleGroup. Its members may run in different contexts: `lock` guards all fields below it, and `pendingReqs` of the
 * members.
 */
export class ThrottleGroup {
  readonly name: string;
  /** Written in the main context. */
  refcnt = 1;
  readonly lock = new QemuMutex("throttle_group");
  readonly ts = new ThrottleState();
  /** Newest first. */
  readonly members: ThrottleGroupMember[] = [];
  /** Whose turn it was last, one a direction; null while there are no members. */
  readonly tokens: [ThrottleGroupMember | null, ThrottleGroupMember | null] = [null, null];
  /** A timer of some member is armed: nobody else arms one. */
  readonly anyTimerArmed: [boolean, boolean] = [false, false];

  constructor(name: string) {
    this.name = name;
  }
}

/** Whom a member stands for, in events: a BlockBackend or a throttle node (`Owner`). */
export interface MemberOwner {
  readonly kind: number;
  readonly id: number;
}

/** C: ThrottleGroupMember. */
export class ThrottleGroupMember {
  /** Known at the first request at the latest. */
  owner: MemberOwner;
  /** C: throttle_state; null outside of groups. */
  group: ThrottleGroup | null = null;
  /** Where its requests and timers run. */
  aioContext: AioContext | null = null;
  timers: ThrottleTimers | null = null;
  /** Guards the queues. */
  readonly throttledReqsLock = new CoMutex();
  /** Requests that wait, one queue a direction. */
  readonly throttledReqs: readonly [CoQueue, CoQueue] = [new CoQueue(), new CoQueue()];
  /** Requests that wait or are about to. */
  readonly pendingReqs: [number, number] = [0, 0];
  /** Above 0 the limits do not hold: how many drained sections there are. */
  ioLimitsDisabled = 0;
  /** Coroutines under way that wake a request or look for the next. */
  restartPending = 0;

  constructor(owner: MemberOwner) {
    this.owner = owner;
  }

  /** C: tgm->throttle_state, the group's. */
  get throttleState(): ThrottleState | null {
    return this.group?.ts ?? null;
  }
}

/** All groups of the running machine, oldest first (C: throttle_groups). Written in the main context by groups.ts. */
export const throttleGroups = perMachine((): ThrottleGroup[] => []);

/** The group of `tgm`, which is in one. Common. */
export function groupOf(tgm: ThrottleGroupMember): ThrottleGroup {
  assert(tgm.group !== null, "the member is in a group");
  return tgm.group;
}

/** The timers of `tgm`, which is in a group and in a context. Common. */
export function timersOf(tgm: ThrottleGroupMember): ThrottleTimers {
  assert(tgm.timers !== null, "the member is in a group");
  return tgm.timers;
}
