// Images whose cuts are tried.

import type { CrashPlan } from "./crash.ts";

type Plan = Omit<CrashPlan, "seed" | "operations">;

/** By name. */
export const CRASH_PLANS: readonly [string, Plan][] = [
  [
    "clusters of 512 bytes, one slice in memory",
    { image: { clusterBytes: 512, refcountBits: 64 }, cacheBytes: 1, stripe: 6000 },
  ],
  [
    "guests that meet in clusters",
    { image: { clusterBytes: 4096 }, cacheBytes: 1 << 20, stripe: 1500 },
  ],
  ["version 2", { image: { version: 2, clusterBytes: 1024 }, cacheBytes: 1, stripe: 10_000 }],
  [
    "lazy refcounts",
    { image: { clusterBytes: 2048, lazyRefcounts: true }, cacheBytes: 1 << 20, stripe: 9000 },
  ],
  [
    "lazy refcounts in many blocks",
    {
      image: { clusterBytes: 512, lazyRefcounts: true, refcountBits: 64 },
      cacheBytes: 1 << 20,
      stripe: 9000,
    },
  ],
  [
    "subclusters",
    { image: { clusterBytes: 16_384, extendedL2: true }, cacheBytes: 1 << 20, stripe: 20_000 },
  ],
  [
    "tables where data was",
    { image: { clusterBytes: 512 }, cacheBytes: 1 << 20, stripe: 3000, recycles: true },
  ],
  [
    "a persistent bitmap",
    { image: { clusterBytes: 512 }, cacheBytes: 1, stripe: 3000, hasBitmap: true },
  ],
];
