// Drained sections around an access: how far each had come, and those that were open and did not hold the finding's node. They
// are what a reader would take for the missing drain.

import type { Finding, SectionState, Site } from "../findings.ts";
import type { FindingMaterial, LaneBar } from "./material.ts";
import { siteText } from "./words.ts";

/** A section that was open at an access, and did not hold the node. */
export interface SectionBeside {
  readonly id: number;
  /** `subtree drain of overlay0`. */
  readonly label: string;
  readonly ctx: number;
  /** The function that began it; null where no event names one. */
  readonly site: Site | null;
  readonly state: SectionState;
  /** Event of its drained_begin. */
  readonly begin: number;
}

/** Whether the section of `bar` was open at `event`. */
export function isOpenAt({ from, to }: LaneBar, event: number): boolean {
  return from <= event && (to === null || event <= to);
}

/** How far the section of `bar` had come at `event`, when it was open then. */
export function stateOf({ pollEnd }: LaneBar, event: number): "waiting" | "drained" {
  return pollEnd !== null && event > pollEnd ? "drained" : "waiting";
}

/** The sections beside access number `side` of `finding`, oldest first; none where there is no material. */
export function sectionsBeside(
  { accesses }: Finding,
  material: FindingMaterial | null,
  side: number,
): SectionBeside[] {
  const access = accesses[side];
  if (access === undefined) return [];
  const holding = new Set(access.sectionsOpen.map(({ id }) => id));
  const bars = (material?.lanes?.bars ?? []).filter(
    (bar) => bar.kind === "section" && isOpenAt(bar, access.event) && !holding.has(bar.id),
  );
  return bars
    .sort((a, b) => a.from - b.from || a.id - b.id)
    .map((bar) => {
      const { id, label, ctx, site, from: begin } = bar;
      return { id, label, ctx, site, state: stateOf(bar, access.event), begin };
    });
}

/** `subtree drain of overlay0, begun in bdrv_append (file:line), waiting`. */
export function besideText({ label, site, state }: SectionBeside): string {
  return `${label}${site === null ? "" : `, begun in ${siteText(site)}`}, ${state}`;
}
