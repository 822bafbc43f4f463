// Groups by name: made for their first member or by the user, gone with the last reference; and their limits as a whole.

import { assert, EBUSY, EEXIST, EINVAL, ENOENT } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, qemuMutexLock, qemuMutexUnlock } from "../sched/index.ts";
import {
  type ThrottleConfig,
  type ThrottleLimits,
  throttleConfigInit,
  throttleConfigToLimits,
  throttleLimitsToConfig,
} from "./config.ts";
import { ThrottleGroup, throttleGroups } from "./member.ts";
import { throttleConfig, throttleGetConfig } from "./state.ts";

const SITE_THROTTLE_GROUP_BY_NAME = site("throttle_group_by_name");
const SITE_THROTTLE_GROUP_EXISTS = site("throttle_group_exists");
const SITE_THROTTLE_GROUP_NEW = site("throttle_group_new");
const SITE_THROTTLE_GROUP_DEL = site("throttle_group_del");
const SITE_THROTTLE_GROUP_INCREF = site("throttle_group_incref");
const SITE_THROTTLE_GROUP_UNREF = site("throttle_group_unref");
const SITE_THROTTLE_GROUP_SET_LIMITS = site("throttle_group_set_limits");
const SITE_THROTTLE_GROUP_GET_LIMITS = site("throttle_group_get_limits");

/** throttle_group_by_name (throttle-groups.c:92): the group called `name`, or null. */
export function throttleGroupByName(name: string): ThrottleGroup | null {
  globalStateCode(SITE_THROTTLE_GROUP_BY_NAME);
  assert(name.length > 0, "a group has a name");
  return throttleGroups().find((group) => group.name === name) ?? null;
}

/** throttle_group_exists (throttle-groups.c:109). */
export function throttleGroupExists(name: string): boolean {
  globalStateCode(SITE_THROTTLE_GROUP_EXISTS);
  assert(name.length > 0, "a group has a name");
  return throttleGroupByName(name) !== null;
}

/**
 * object-add with qom-type throttle-group (throttle_group_obj_complete, throttle-groups.c:830): a group with one reference, the
 * user's. BlockError when there is one of that name or the limits are not valid.
 */
export function throttleGroupNew(name: string, limits: ThrottleLimits = {}): ThrottleGroup {
  globalStateCode(SITE_THROTTLE_GROUP_NEW);
  if (name === "") throw new BlockError(EINVAL, "Parameter 'id' is missing");
  if (throttleGroupExists(name))
    throw new BlockError(EEXIST, "A group with this name already exists");
  return addGroup(name, throttleLimitsToConfig(limits, throttleConfigInit()));
}

/** object-del (throttle_group_can_be_deleted, throttle-groups.c:990): the user's reference goes. BlockError when it has members. */
export function throttleGroupDel(name: string): void {
  globalStateCode(SITE_THROTTLE_GROUP_DEL);
  const group = name === "" ? null : throttleGroupByName(name);
  if (group === null) throw new BlockError(ENOENT, `object '${name}' not found`);
  if (group.refcnt > 1)
    throw new BlockError(EBUSY, `object '${name}' is in use, can not be deleted`);
  throttleGroupUnref(group);
  assert(!throttleGroups().includes(group), "a group that is deleted is gone");
}

/** throttle_group_incref (throttle-groups.c:125): one reference more to the group `name`, which is made if need be. */
export function throttleGroupIncref(name: string): ThrottleGroup {
  globalStateCode(SITE_THROTTLE_GROUP_INCREF);
  assert(name.length > 0, "a group has a name");
  const group = throttleGroupByName(name);
  if (group === null) return addGroup(name, throttleConfigInit());
  group.refcnt++;
  return group;
}

/** throttle_group_unref (throttle-groups.c:155): one reference less; the last one takes the group away. */
export function throttleGroupUnref(group: ThrottleGroup): void {
  globalStateCode(SITE_THROTTLE_GROUP_UNREF);
  assert(group.refcnt > 0, "a reference is dropped once");
  group.refcnt--;
  if (group.refcnt > 0) return;
  assert(group.members.length === 0, "each member holds a reference");
  const groups = throttleGroups();
  groups.splice(groups.indexOf(group), 1);
}

/**
 * qom-set of `limits` (throttle_group_set_limits, throttle-groups.c:936). BlockError when they are not valid. As in QEMU, requests
 * that wait go on when their old timer says so; throttle_group_config lets them look at once.
 */
export function throttleGroupSetLimits(group: ThrottleGroup, limits: ThrottleLimits): void {
  globalStateCode(SITE_THROTTLE_GROUP_SET_LIMITS);
  assert(group.refcnt > 0, "the group is alive");
  const config = throttleLimitsToConfig(limits, readConfig(group));
  qemuMutexLock(group.lock);
  throttleConfig(group.ts, config);
  qemuMutexUnlock(group.lock);
}

/** qom-get of `limits` (throttle_group_get_limits, throttle-groups.c:965). */
export function throttleGroupGetLimits(group: ThrottleGroup): Required<ThrottleLimits> {
  globalStateCode(SITE_THROTTLE_GROUP_GET_LIMITS);
  assert(group.refcnt > 0, "the group is alive");
  return throttleConfigToLimits(readConfig(group));
}

function readConfig(group: ThrottleGroup): ThrottleConfig {
  qemuMutexLock(group.lock);
  const config = throttleGetConfig(group.ts);
  qemuMutexUnlock(group.lock);
  return config;
}

function addGroup(name: string, cfg: ThrottleConfig): ThrottleGroup {
  const group = new ThrottleGroup(name);
  throttleConfig(group.ts, cfg);
  throttleGroups().push(group);
  return group;
}
