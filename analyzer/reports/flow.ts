// What happened, in order: the steps that matter for one finding, merged over its contexts.
//
//   main        bdrv_append begins
//   iothread0   request 17 begins
//   iothread0   reads children of drive0           <- first access
//   main        removes edge 5 from children       <- second access, no drain in between
//
// Used for the code flows of SARIF and for the two-column story of the HTML report. Only what encloses an access, and the
// drained sections that hold the node, are steps; a hundred other requests of the same moment are not.

import type { Access, Finding, Site } from "../findings.ts";
import type { FindingMaterial, LaneBar } from "./material.ts";
import { functionOf } from "./words.ts";

/** One step of the story. */
export interface FlowStep {
  readonly event: number;
  readonly ctx: number;
  readonly ctxName: string;
  readonly kind: "access" | "section" | "operation" | "task" | "lock";
  /** Index of the access, or null. */
  readonly access: number | null;
  readonly text: string;
  readonly site: Site | null;
  /** The step begins something, so that what follows is nested in it; or ends it. */
  readonly nesting: "begin" | "end" | "none";
}

/** Steps shown for one finding at most. */
const STEPS_MAX = 60;

/** The story of `finding`; without material it has the accesses alone. */
export function flowOf(finding: Finding, material: FindingMaterial | null): FlowStep[] {
  const steps = finding.accesses.map((access, index) => accessStep(access, index));
  const lanes = material?.lanes ?? null;
  if (lanes === null) return sorted(steps);
  const nameOf = (ctx: number) =>
    lanes.contexts.find((context) => context.ctx === ctx)?.name ?? `context ${ctx}`;
  const relevant = lanes.bars.filter((bar) => isRelevant(bar, finding.accesses));
  for (const bar of relevant) steps.push(...barSteps(bar, nameOf(bar.ctx)));
  return nearest(sorted(steps), finding.accesses);
}

function accessStep(access: Access, index: number): FlowStep {
  const { event, ctx, ctxName, site } = access;
  const text =
    access.what === "read"
      ? `reads the list in ${functionOf(site)}`
      : `${access.detail || "edits the list"} in ${functionOf(site)}`;
  return { event, ctx, ctxName, kind: "access", access: index, text, site, nesting: "none" };
}

/** Whether the bar encloses one of the accesses, or is a section that could have. */
function isRelevant(bar: LaneBar, accesses: readonly Access[]): boolean {
  if (bar.kind === "section" && bar.holdsNode) return true;
  if (bar.kind === "wait") return false;
  return accesses.some((access) => {
    if (bar.kind === "task") return access.task === bar.id;
    if (access.event < bar.from || (bar.to !== null && access.event > bar.to)) return false;
    return (
      access.ctx === bar.ctx &&
      (bar.kind === "lock" || bar.kind === "section" || bar.task === access.task)
    );
  });
}

function barSteps(bar: LaneBar, ctxName: string): FlowStep[] {
  const { ctx, site } = bar;
  const kind = bar.kind === "wait" ? "operation" : bar.kind;
  const step = (event: number, text: string, nesting: FlowStep["nesting"]): FlowStep => {
    return { event, ctx, ctxName, kind, access: null, text, site, nesting };
  };
  const steps = [step(bar.from, beginText(bar), "begin")];
  if (bar.pollEnd !== null)
    steps.push(step(bar.pollEnd, `${bar.label}: has waited, holds from here`, "none"));
  if (bar.to !== null) steps.push(step(bar.to, endText(bar), "end"));
  return steps;
}

function beginText(bar: LaneBar): string {
  if (bar.kind === "lock") return `takes the ${bar.label}`;
  if (bar.kind === "section")
    return `${bar.label} begins${bar.site === null ? "" : ` in ${functionOf(bar.site)}`}`;
  return `${bar.label} begins`;
}

function endText(bar: LaneBar): string {
  return bar.kind === "lock" ? `releases the ${bar.label}` : `${bar.label} ends`;
}

function sorted(steps: readonly FlowStep[]): FlowStep[] {
  return [...steps].sort((a, b) => a.event - b.event);
}

/** The steps nearest to the accesses, still in order. */
function nearest(steps: readonly FlowStep[], accesses: readonly Access[]): FlowStep[] {
  if (steps.length <= STEPS_MAX) return [...steps];
  const distance = (step: FlowStep) =>
    Math.min(...accesses.map(({ event }) => Math.abs(event - step.event)));
  const kept = new Set([...steps].sort((a, b) => distance(a) - distance(b)).slice(0, STEPS_MAX));
  return steps.filter((step) => kept.has(step));
}
