export * from "./config.ts";
export {
  throttleGroupByName,
  throttleGroupDel,
  throttleGroupExists,
  throttleGroupGetLimits,
  throttleGroupIncref,
  throttleGroupNew,
  throttleGroupSetLimits,
  throttleGroupUnref,
} from "./groups.ts";
export { throttleGroupCoIoLimitsIntercept, throttleGroupRestartTgm } from "./intercept.ts";
export {
  LeakyBucket,
  NANOSECONDS_PER_SECOND,
  THROTTLE_WAIT_MAX_NS,
  throttleComputeWait,
  throttleLeakBucket,
} from "./leaky-bucket.ts";
export {
  type MemberOwner,
  ThrottleGroup,
  ThrottleGroupMember,
  throttleGroups,
} from "./member.ts";
export * from "./state.ts";
export {
  throttleGroupAttachAioContext,
  throttleGroupConfig,
  throttleGroupDetachAioContext,
  throttleGroupGetConfig,
  throttleGroupGetName,
  throttleGroupRegisterTgm,
  throttleGroupUnregisterTgm,
} from "./throttle-group.ts";
