// The limits of a throttling group: six buckets and the size that counts as one operation. What users write is a
// ThrottleLimits, with QMP's names; what the group works with is a ThrottleConfig.
//
// Which combinations make no sense, and in which words they are refused, is QEMU's (throttleProblem). Numbers are 64 bits wide
// there and a negative one is a very large one, hence refused as such.

import { assert, EINVAL } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { LeakyBucket } from "./leaky-bucket.ts";

/** Indices of the buckets (C: BucketType). */
export const THROTTLE_BPS_TOTAL = 0;
export const THROTTLE_BPS_READ = 1;
export const THROTTLE_BPS_WRITE = 2;
export const THROTTLE_OPS_TOTAL = 3;
export const THROTTLE_OPS_READ = 4;
export const THROTTLE_OPS_WRITE = 5;

/** No rate, and no rate times burst length, is larger (C: THROTTLE_VALUE_MAX). */
export const THROTTLE_VALUE_MAX = 1_000_000_000_000_000;
/** C: UINT_MAX. */
const UINT_MAX = 0xffff_ffff;
const UINT64_SIZE = 2 ** 64;

assert(THROTTLE_VALUE_MAX < Number.MAX_SAFE_INTEGER, "rates are exact");

/** One bucket for each index above. */
export type Buckets = readonly [
  LeakyBucket,
  LeakyBucket,
  LeakyBucket,
  LeakyBucket,
  LeakyBucket,
  LeakyBucket,
];
export type BucketType = 0 | 1 | 2 | 3 | 4 | 5;

/** C: ThrottleConfig. */
export class ThrottleConfig {
  readonly buckets: Buckets = [
    new LeakyBucket(),
    new LeakyBucket(),
    new LeakyBucket(),
    new LeakyBucket(),
    new LeakyBucket(),
    new LeakyBucket(),
  ];
  /** Bytes that count as one operation; a larger request counts as several. 0: each request is one. */
  opSize = 0;
}

const RATES = {
  "bps-total": THROTTLE_BPS_TOTAL,
  "bps-read": THROTTLE_BPS_READ,
  "bps-write": THROTTLE_BPS_WRITE,
  "iops-total": THROTTLE_OPS_TOTAL,
  "iops-read": THROTTLE_OPS_READ,
  "iops-write": THROTTLE_OPS_WRITE,
} as const satisfies Readonly<Record<string, BucketType>>;

type RateName = keyof typeof RATES;
const RATE_NAMES = Object.keys(RATES) as RateName[];

/** QAPI: ThrottleLimits. What is absent keeps its value. */
export type ThrottleLimits = {
  readonly [N in RateName | `${RateName}-max` | `${RateName}-max-length` | "iops-size"]?: number;
};

/** throttle_config_init (throttle.c:212): no limits. Common. */
export function throttleConfigInit(): ThrottleConfig {
  const cfg = new ThrottleConfig();
  assert(!throttleEnabled(cfg), "no limits are no throttling");
  assert(throttleProblem(cfg) === null, "no limits are valid");
  return cfg;
}

/** The same limits and levels once more. Common. */
export function throttleConfigCopy(cfg: ThrottleConfig): ThrottleConfig {
  const copy = new ThrottleConfig();
  for (const [index, bucket] of copy.buckets.entries())
    Object.assign(bucket, cfg.buckets[index as BucketType]);
  copy.opSize = cfg.opSize;
  return copy;
}

/** throttle_enabled (throttle.c:285): whether there is any limit. Common. */
export function throttleEnabled(cfg: ThrottleConfig): boolean {
  return cfg.buckets.some(({ avg }) => avg > 0);
}

/** throttle_is_valid (throttle.c:303): what is wrong with `cfg`, or null. Common. */
export function throttleProblem(cfg: ThrottleConfig): string | null {
  const { buckets } = cfg;
  const bps = [THROTTLE_BPS_TOTAL, THROTTLE_BPS_READ, THROTTLE_BPS_WRITE] as const;
  const ops = [THROTTLE_OPS_TOTAL, THROTTLE_OPS_READ, THROTTLE_OPS_WRITE] as const;
  for (const [total, read, write] of [bps, ops])
    for (const limit of ["avg", "max"] as const)
      if (
        buckets[total][limit] !== 0 &&
        (buckets[read][limit] !== 0 || buckets[write][limit] !== 0)
      )
        return "bps/iops/max total values and read/write values cannot be used at the same time";
  if (cfg.opSize !== 0 && ops.every((index) => buckets[index].avg === 0))
    return "iops size requires an iops value to be set";
  for (const bucket of buckets) {
    const problem = bucketProblem(bucket);
    if (problem !== null) return problem;
  }
  return null;
}

function bucketProblem({ avg, max, burstLength }: LeakyBucket): string | null {
  if (!isRate(avg) || !isRate(max))
    return `bps/iops/max values must be within [0, ${THROTTLE_VALUE_MAX}]`;
  if (burstLength === 0) return "the burst length cannot be 0";
  const seconds = unsigned(burstLength);
  if (seconds > 1 && max === 0) return "burst length set without burst rate";
  if (max !== 0 && seconds > Math.trunc(THROTTLE_VALUE_MAX / max))
    return "burst length too high for this burst rate";
  if (max !== 0 && avg === 0) return "bps_max/iops_max require corresponding bps/iops values";
  if (max !== 0 && max < avg) return "bps_max/iops_max cannot be lower than bps/iops";
  return null;
}

function isRate(value: number): boolean {
  return value >= 0 && value <= THROTTLE_VALUE_MAX;
}

/** What C makes of a number that is stored in 64 bits without a sign. */
function unsigned(value: number): number {
  return value < 0 ? value + UINT64_SIZE : value;
}

/** throttle_limits_to_config (throttle.c:493): `cfg` with `limits` in place of its own. BlockError when that is not valid. Common. */
export function throttleLimitsToConfig(
  limits: ThrottleLimits,
  cfg: ThrottleConfig,
): ThrottleConfig {
  const config = throttleConfigCopy(cfg);
  for (const name of RATE_NAMES) {
    const bucket = config.buckets[RATES[name]];
    bucket.avg = numberIn(limits, name) ?? bucket.avg;
    bucket.max = numberIn(limits, `${name}-max`) ?? bucket.max;
    const length = numberIn(limits, `${name}-max-length`);
    if (length === null) continue;
    if (length > UINT_MAX)
      throw new BlockError(
        EINVAL,
        `${name}-max-length value must be in the range [0, ${UINT_MAX}]`,
      );
    bucket.burstLength = length;
  }
  config.opSize = unsigned(numberIn(limits, "iops-size") ?? config.opSize);
  const problem = throttleProblem(config);
  if (problem !== null) throw new BlockError(EINVAL, problem);
  return config;
}

/** throttle_config_to_limits (throttle.c:596): all limits, with their names. Common. */
export function throttleConfigToLimits(cfg: ThrottleConfig): Required<ThrottleLimits> {
  assert(throttleProblem(cfg) === null, "limits in use are valid");
  const entries = RATE_NAMES.flatMap((name): [string, number][] => {
    const { avg, max, burstLength } = cfg.buckets[RATES[name]];
    return [
      [name, avg],
      [`${name}-max`, max],
      [`${name}-max-length`, burstLength],
    ];
  });
  return Object.fromEntries([
    ...entries,
    ["iops-size", cfg.opSize],
  ]) as unknown as Required<ThrottleLimits>;
}

function numberIn(limits: ThrottleLimits, name: keyof ThrottleLimits): number | null {
  const value = limits[name];
  if (value === undefined) return null;
  if (!Number.isSafeInteger(value))
    throw new BlockError(EINVAL, `Invalid parameter type for '${name}', expected: integer`);
  return value;
}
