// The three ways to drain that test-bdrv-drain.c goes through, at thread level and from a coroutine.

import type { BlockDriverState } from "#core/graph";
import {
  bdrvCoDrainAllBegin,
  bdrvCoDrainedBegin,
  bdrvCoDrainedEnd,
  bdrvCoSubtreeDrainedBegin,
  bdrvCoSubtreeDrainedEnd,
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "#core/io";
import { site } from "#core/probe";
import { type Co, coRunOutside, machine, type Polls } from "#core/sched";

const SITE_DRAIN = site("qemu_case_drain");

/** C: enum drain_type. */
export type DrainType = "drain_all" | "drain" | "drain_subtree";

/** In the order of the enum. */
export const DRAIN_TYPES: readonly DrainType[] = ["drain_all", "drain", "drain_subtree"];

/** C: do_drain_begin. Polls. */
export function* doDrainBegin(type: DrainType, bs: BlockDriverState): Polls<void> {
  if (type === "drain_all") yield* bdrvDrainAllBegin(SITE_DRAIN);
  else if (type === "drain") yield* bdrvDrainedBegin(bs, SITE_DRAIN);
  else yield* bdrvSubtreeDrainedBegin(bs, SITE_DRAIN);
}

/** C: do_drain_end. Polls. */
export function* doDrainEnd(type: DrainType, bs: BlockDriverState): Polls<void> {
  if (type === "drain_all") yield* bdrvDrainAllEnd(SITE_DRAIN);
  else if (type === "drain") yield* bdrvDrainedEnd(bs, SITE_DRAIN);
  else yield* bdrvSubtreeDrainedEnd(bs, SITE_DRAIN);
}

/** do_drain_begin, called in a coroutine. */
export function* coDoDrainBegin(type: DrainType, bs: BlockDriverState): Co<void> {
  if (type === "drain_all") yield* bdrvCoDrainAllBegin(SITE_DRAIN);
  else if (type === "drain") yield* bdrvCoDrainedBegin(bs, SITE_DRAIN);
  else yield* bdrvCoSubtreeDrainedBegin(bs, SITE_DRAIN);
}

/** do_drain_end, called in a coroutine. */
export function* coDoDrainEnd(type: DrainType, bs: BlockDriverState): Co<void> {
  if (type === "drain_all")
    yield* coRunOutside(machine.mainContext, () => bdrvDrainAllEnd(SITE_DRAIN));
  else if (type === "drain") yield* bdrvCoDrainedEnd(bs, SITE_DRAIN);
  else yield* bdrvCoSubtreeDrainedEnd(bs, SITE_DRAIN);
}

/** Begin and end of a drain in one of the two colours: `Stop` is what such a generator yields. */
export interface Drains<Stop> {
  readonly doBegin: (type: DrainType, bs: BlockDriverState) => Generator<Stop, void, void>;
  readonly doEnd: (type: DrainType, bs: BlockDriverState) => Generator<Stop, void, void>;
}

/** For code at thread level. */
export const THREAD_DRAINS = { doBegin: doDrainBegin, doEnd: doDrainEnd } as const;

/** For code in a coroutine. */
export const CO_DRAINS = { doBegin: coDoDrainBegin, doEnd: coDoDrainEnd } as const;
