// Cases of test-throttle.c: the arithmetic of the buckets, which limits are valid, timers, and groups. No request is made.
//
// The second half of QEMU's file, about members of groups, needs BlockBackends; these have no node.

import { blkGetAioContext, blkNew, blkUnref } from "#core/backend";
import { type Polls, qemuCoSleepNs, type StraightHandler } from "#core/sched";
import {
  type BucketType,
  LeakyBucket,
  NANOSECONDS_PER_SECOND,
  READS,
  THROTTLE_BPS_READ,
  THROTTLE_BPS_TOTAL,
  THROTTLE_BPS_WRITE,
  THROTTLE_OPS_READ,
  THROTTLE_OPS_TOTAL,
  THROTTLE_OPS_WRITE,
  THROTTLE_VALUE_MAX,
  type ThrottleConfig,
  ThrottleState,
  throttleAccount,
  throttleComputeWait,
  throttleConfig,
  throttleConfigInit,
  throttleEnabled,
  throttleGetConfig,
  throttleGroupConfig,
  throttleGroupGetConfig,
  throttleGroupGetName,
  throttleGroupRegisterTgm,
  throttleGroupUnregisterTgm,
  throttleLeakBucket,
  throttleProblem,
  throttleTimersAreInitialized,
  throttleTimersAttachAioContext,
  throttleTimersDetachAioContext,
  throttleTimersInit,
  WRITES,
} from "#core/throttle";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";

const BUCKETS: readonly BucketType[] = [0, 1, 2, 3, 4, 5];
const BPS = [THROTTLE_BPS_TOTAL, THROTTLE_BPS_READ, THROTTLE_BPS_WRITE] as const;
const OPS = [THROTTLE_OPS_TOTAL, THROTTLE_OPS_READ, THROTTLE_OPS_WRITE] as const;

const nothing: StraightHandler = () => undefined;

/** double_cmp: equal but for rounding. */
function same(t: CaseTest, actual: number, expected: number, text: string): void {
  t.check(Math.abs(actual - expected) < 1e-6, `double_cmp(${text}, ${expected})`);
}

/** A case whose body never polls. */
function straight(body: (t: CaseTest) => void): (t: CaseTest) => Polls<void> {
  return function* (t): Polls<void> {
    body(t);
  };
}

function bucketOf(limits: Partial<LeakyBucket>): LeakyBucket {
  return Object.assign(new LeakyBucket(), limits);
}

function testLeakBucket(t: CaseTest): void {
  const bkt = bucketOf({ avg: 150, max: 15, level: 1.5 });
  // C: NANOSECONDS_PER_SECOND / 150, in integers.
  const oneOperation = Math.trunc(NANOSECONDS_PER_SECOND / 150);
  for (const level of [0.5, 0, 0]) {
    throttleLeakBucket(bkt, oneOperation);
    t.expectEqual(bkt.avg, 150, "bkt.avg");
    t.expectEqual(bkt.max, 15, "bkt.max");
    same(t, bkt.level, level, "bkt.level");
  }
  Object.assign(bkt, { burstLevel: 6, max: 250, burstLength: 2 });
  for (const level of [3.5, 1, 0, 0]) {
    throttleLeakBucket(bkt, NANOSECONDS_PER_SECOND / 100);
    same(t, bkt.burstLevel, level, "bkt.burst_level");
  }
}

function testComputeWait(t: CaseTest): void {
  const wait = (limits: Partial<LeakyBucket>): number => throttleComputeWait(bucketOf(limits));
  t.expectEqual(wait({ avg: 0, max: 15, level: 1.5 }), 0, "wait");
  t.expectEqual(wait({ avg: 150, max: 15, level: 15 }), 0, "wait");
  t.expectEqual(wait({ avg: 150, max: 15, level: 9 }), 0, "wait");
  const half = Math.trunc(NANOSECONDS_PER_SECOND / 150 / 2);
  t.expectEqual(wait({ avg: 150, max: 15, level: 15.5 }), half, "wait");

  // 2.2 seconds at the rate of bkt.max, of which the burst allows 2 and what leaks meanwhile 0.1 more.
  const bkt = bucketOf({ avg: 10, max: 200, burstLength: 2 });
  for (let tenth = 0; tenth < 22; tenth++) {
    bkt.level += bkt.max / 10;
    bkt.burstLevel += bkt.max / 10;
    throttleLeakBucket(bkt, NANOSECONDS_PER_SECOND / 10);
    same(t, bkt.burstLevel, 0, "bkt.burst_level");
    same(t, bkt.level, ((tenth + 1) * (bkt.max - bkt.avg)) / 10, "bkt.level");
    const expected = tenth < 21 ? 0 : 1.8 * NANOSECONDS_PER_SECOND;
    t.expectEqual(throttleComputeWait(bkt), expected, "wait");
  }
}

function testInit(t: CaseTest): void {
  const ts = new ThrottleState();
  const tt = throttleTimersInit(t.main, nothing, nothing);
  t.check(tt.timers[READS] !== null, "tt->timers[0]");
  t.check(tt.timers[WRITES] !== null, "tt->timers[1]");
  t.expectEqual<number>(ts.previousLeak, 0, "ts.previous_leak");
  t.expectEqual(ts.cfg.opSize, 0, "ts.cfg.op_size");
  for (const { avg, max, level } of ts.cfg.buckets) {
    t.expectEqual(avg, 0, "ts.cfg.buckets[i].avg");
    t.expectEqual(max, 0, "ts.cfg.buckets[i].max");
    t.expectEqual(level, 0, "ts.cfg.buckets[i].level");
  }
  throttleTimersDetachAioContext(tt);
}

function testDestroy(t: CaseTest): void {
  const tt = throttleTimersInit(t.main, nothing, nothing);
  throttleTimersDetachAioContext(tt);
  t.check(tt.timers[READS] === null, "!tt->timers[0]");
  t.check(tt.timers[WRITES] === null, "!tt->timers[1]");
}

function testHaveTimer(t: CaseTest): void {
  const tt = throttleTimersInit(t.main, nothing, nothing);
  t.check(throttleTimersAreInitialized(tt), "throttle_timers_are_initialized(tt)");
  throttleTimersDetachAioContext(tt);
  t.check(!throttleTimersAreInitialized(tt), "!throttle_timers_are_initialized(tt)");
}

function testDetachAttach(t: CaseTest): void {
  const tt = throttleTimersInit(t.main, nothing, nothing);
  t.check(throttleTimersAreInitialized(tt), "throttle_timers_are_initialized(tt)");
  throttleTimersDetachAioContext(tt);
  t.check(!throttleTimersAreInitialized(tt), "!throttle_timers_are_initialized(tt)");
  throttleTimersAttachAioContext(tt, t.main);
  t.check(throttleTimersAreInitialized(tt), "throttle_timers_are_initialized(tt)");
  throttleTimersDetachAioContext(tt);
}

/** set_cfg_value: with `max` set, `avg` is never 0. */
function setCfgValue(cfg: ThrottleConfig, isMax: boolean, index: BucketType, value: number): void {
  const bucket = cfg.buckets[index];
  if (!isMax) bucket.avg = value;
  else {
    bucket.max = value;
    bucket.avg = Math.max(bucket.avg, 1);
  }
}

function isValid(change: (cfg: ThrottleConfig) => void): boolean {
  const cfg = throttleConfigInit();
  change(cfg);
  return throttleProblem(cfg) === null;
}

function testEnabled(t: CaseTest): void {
  t.check(!throttleEnabled(throttleConfigInit()), "!throttle_enabled(&cfg)");
  for (const index of BUCKETS) {
    const cfg = throttleConfigInit();
    setCfgValue(cfg, false, index, 150);
    t.expectEqual(throttleProblem(cfg), null, "the problem of cfg");
    t.check(throttleEnabled(cfg), "throttle_enabled(&cfg)");
    setCfgValue(cfg, false, index, -150);
    t.check(throttleProblem(cfg) !== null, "!throttle_is_valid(&cfg, NULL)");
  }
}

function testConflictingConfig(t: CaseTest): void {
  for (const isMax of [false, true])
    for (const [total, read, write] of [BPS, OPS]) {
      const valid = (...indices: BucketType[]): boolean =>
        isValid((cfg) => {
          for (const index of indices) setCfgValue(cfg, isMax, index, 1);
        });
      t.check(valid(), "throttle_is_valid(&cfg, NULL)");
      t.check(!valid(total, read), "!throttle_is_valid(&cfg, NULL)");
      t.check(!valid(total, write), "!throttle_is_valid(&cfg, NULL)");
      t.check(!valid(total, read, write), "!throttle_is_valid(&cfg, NULL)");
      t.check(valid(total), "throttle_is_valid(&cfg, NULL)");
      t.check(valid(read, write), "throttle_is_valid(&cfg, NULL)");
    }
}

function testIsValid(t: CaseTest): void {
  for (const [value, shouldBeValid] of [
    [-1, false],
    [0, true],
    [1, true],
  ] as const)
    for (const isMax of [false, true])
      for (const index of BUCKETS) {
        const valid = isValid((cfg) => setCfgValue(cfg, isMax, index, value));
        t.expectEqual(valid, shouldBeValid, "throttle_is_valid(&cfg, NULL)");
      }
}

function testRanges(t: CaseTest): void {
  const most = THROTTLE_VALUE_MAX;
  const table: readonly (readonly [Partial<LeakyBucket>, boolean])[] = [
    [{ avg: 0 }, true],
    [{ avg: 1 }, true],
    [{ avg: most }, true],
    [{ avg: most, max: most }, true],
    [{ avg: most + 1 }, false],
    [{ avg: most, max: most + 1 }, false],
    [{ avg: 1, max: 1, burstLength: 0 }, false],
    [{ avg: 1, max: 1, burstLength: 1 }, true],
    [{ avg: 1, max: 1, burstLength: most }, true],
    [{ avg: 1, max: 1, burstLength: most + 1 }, false],
    [{ avg: 1, max: 2, burstLength: most / 2 }, true],
    [{ avg: 1, max: 3, burstLength: most / 2 }, false],
    [{ avg: 1, max: most, burstLength: 1 }, true],
    [{ avg: 1, max: most, burstLength: 2 }, false],
  ];
  for (const index of BUCKETS) {
    t.check(!throttleEnabled(throttleConfigInit()), "!throttle_enabled(&cfg)");
    for (const [limits, shouldBeValid] of table) {
      const valid = isValid((cfg) => Object.assign(cfg.buckets[index], limits));
      t.expectEqual(valid, shouldBeValid, `the validity of ${JSON.stringify(limits)}`);
    }
  }
}

function testMaxIsMissingLimit(t: CaseTest): void {
  for (const index of BUCKETS)
    for (const [max, avg, shouldBeValid] of [
      [100, 0, false],
      [0, 0, true],
      [0, 100, true],
      [30, 100, false],
      [100, 100, true],
    ] as const) {
      const valid = isValid((cfg) => Object.assign(cfg.buckets[index], { max, avg }));
      t.expectEqual(valid, shouldBeValid, "throttle_is_valid(&cfg, NULL)");
    }
}

function testIopsSizeIsMissingLimit(t: CaseTest): void {
  const valid = isValid((cfg) => {
    cfg.opSize = 4096;
  });
  t.check(!valid, "!throttle_is_valid(&cfg, NULL)");
}

function* testConfigFunctions(t: CaseTest): Polls<void> {
  const averages = [153, 56, 1, 150, 69, 23];
  const maxima = [0, 56, 120, 150, 400, 500];
  const orig = throttleConfigInit();
  for (const [index, bucket] of orig.buckets.entries())
    Object.assign(bucket, { avg: averages[index], max: maxima[index], level: 45 });
  orig.opSize = 1;
  // The clock of a run begins at 0: the time of the first leak would say nothing.
  yield* t.callInCoroutine(() => qemuCoSleepNs(1));
  const ts = new ThrottleState();
  const tt = throttleTimersInit(t.main, nothing, nothing);
  t.expectEqual<number>(ts.previousLeak, 0, "ts.previous_leak");
  throttleConfig(ts, orig);
  t.check(ts.previousLeak > 0, "ts.previous_leak");
  const final = throttleGetConfig(ts);
  throttleTimersDetachAioContext(tt);
  const expectAll = (actual: readonly number[], expected: readonly number[], text: string): void =>
    t.expectEqual(actual.join(), expected.join(), text);
  expectAll(
    final.buckets.map(({ avg }) => avg),
    averages,
    "final_cfg.buckets[].avg",
  );
  expectAll(
    final.buckets.map(({ max }) => max),
    maxima,
    "final_cfg.buckets[].max",
  );
  expectAll(
    final.buckets.map(({ level }) => level),
    [0, 0, 0, 0, 0, 0],
    "final_cfg.buckets[].level",
  );
  t.expectEqual(final.opSize, 1, "final_cfg.op_size");
}

/** do_test_accounting: a read and a write of `size`; what the buckets total, read and write have then. */
function doTestAccounting(
  t: CaseTest,
  buckets: typeof BPS | typeof OPS,
  { size, avg, opSize }: { readonly size: number; readonly avg: number; readonly opSize: number },
  expected: number,
): void {
  const cfg = throttleConfigInit();
  for (const index of buckets) cfg.buckets[index].avg = avg;
  cfg.opSize = opSize;
  const ts = new ThrottleState();
  throttleConfig(ts, cfg);
  throttleAccount(ts, READS, size);
  throttleAccount(ts, WRITES, size);
  const [total, read, write] = buckets;
  same(t, ts.cfg.buckets[total].level, 2 * expected, "ts.cfg.buckets[index].level");
  same(t, ts.cfg.buckets[read].level, expected, "ts.cfg.buckets[index].level");
  same(t, ts.cfg.buckets[write].level, expected, "ts.cfg.buckets[index].level");
}

function testAccounting(t: CaseTest): void {
  doTestAccounting(t, BPS, { size: 512, avg: 150, opSize: 0 }, 512);
  doTestAccounting(t, BPS, { size: 1024, avg: 150, opSize: 0 }, 1024);
  doTestAccounting(t, BPS, { size: 1024, avg: 150, opSize: 17 }, 1024);
  doTestAccounting(t, OPS, { size: 512, avg: 150, opSize: 0 }, 1);
  doTestAccounting(t, OPS, { size: 1024, avg: 150, opSize: 0 }, 1);
  doTestAccounting(t, OPS, { size: 64 * 512, avg: 150, opSize: 13 * 512 }, 64 / 13);
  doTestAccounting(t, OPS, { size: 64 * 512, avg: 300, opSize: 13 * 512 }, 64 / 13);
}

function* testGroups(t: CaseTest): Polls<void> {
  const blks = ["bar", "foo", "bar"].map((name) => ({ name, blk: blkNew(t.main, { perm: 0 }) }));
  const members = blks.map(({ blk }) => blk.throttleGroupMember);
  const [tgm1, tgm2, tgm3] = members;
  for (const tgm of members) t.check(tgm.throttleState === null, "tgm->throttle_state == NULL");
  for (const { name, blk } of blks)
    throttleGroupRegisterTgm(blk.throttleGroupMember, name, blkGetAioContext(blk));
  for (const tgm of members) t.check(tgm.throttleState !== null, "tgm->throttle_state != NULL");
  t.check(tgm1 !== undefined && tgm2 !== undefined && tgm3 !== undefined, "three members");
  t.expectEqual(throttleGroupGetName(tgm1), "bar", "throttle_group_get_name(tgm1)");
  t.expectEqual(throttleGroupGetName(tgm2), "foo", "throttle_group_get_name(tgm2)");
  t.check(
    tgm1.throttleState === tgm3.throttleState,
    "tgm1->throttle_state == tgm3->throttle_state",
  );

  const cfg = throttleConfigInit();
  for (const [tgm, limits] of [
    [tgm1, [500_000, 285_000, 20_000, 12_000]],
    [tgm3, [4547, 1349, 123, 86]],
  ] as const) {
    const [bpsRead, bpsWrite, opsRead, opsWrite] = limits;
    cfg.buckets[THROTTLE_BPS_READ].avg = bpsRead;
    cfg.buckets[THROTTLE_BPS_WRITE].avg = bpsWrite;
    cfg.buckets[THROTTLE_OPS_READ].avg = opsRead;
    cfg.buckets[THROTTLE_OPS_WRITE].avg = opsWrite;
    throttleGroupConfig(tgm, cfg);
    const [cfg1, cfg3] = [tgm1, tgm3].map((one) => JSON.stringify(throttleGroupGetConfig(one)));
    t.check(cfg1 === cfg3, "!memcmp(&cfg1, &cfg2, sizeof(cfg1))");
    t.check(cfg1 === JSON.stringify(cfg), "the limits are those that were set");
  }
  for (const tgm of members) yield* throttleGroupUnregisterTgm(tgm);
  for (const tgm of members) t.check(tgm.throttleState === null, "tgm->throttle_state == NULL");
  for (const { blk } of blks) yield* blkUnref(blk);
}

const cases: readonly QemuCase[] = [
  { name: "/throttle/leak_bucket", body: straight(testLeakBucket) },
  { name: "/throttle/compute_wait", body: straight(testComputeWait) },
  {
    name: "/throttle/init",
    body: straight(testInit),
    differs: "There is no memory to fill with garbage first.",
  },
  { name: "/throttle/destroy", body: straight(testDestroy) },
  {
    name: "/throttle/have_timer",
    body: straight(testHaveTimer),
    differs: "Timers without a context are those that were detached: there are no zeroed ones.",
  },
  { name: "/throttle/detach_attach", body: straight(testDetachAttach) },
  { name: "/throttle/config/enabled", body: straight(testEnabled) },
  { name: "/throttle/config/conflicting", body: straight(testConflictingConfig) },
  { name: "/throttle/config/is_valid", body: straight(testIsValid) },
  { name: "/throttle/config/ranges", body: straight(testRanges) },
  { name: "/throttle/config/max", body: straight(testMaxIsMissingLimit) },
  { name: "/throttle/config/iops_size", body: straight(testIopsSizeIsMissingLimit) },
  {
    name: "/throttle/config_functions",
    body: testConfigFunctions,
    differs: "The case sleeps for a nanosecond first, since the clock of a run begins at 0.",
  },
  { name: "/throttle/accounting", body: straight(testAccounting) },
  {
    name: "/throttle/groups",
    body: testGroups,
    differs:
      "The second limits are set and looked for; QEMU's test fills them in and then sets the first ones again. The BlockBackends are released.",
  },
];

export const throttle: QemuFamily = {
  qemuFile: "tests/unit/test-throttle.c",
  file: "tests/qemu/throttle.ts",
  cases,
};
