// Where everything stands in the picture of the lanes. Pure arithmetic on the material; lanes-svg.ts draws it.
//
// The horizontal axis is order, not time: every event that begins or ends something drawn is a moment, and moments are equally
// far apart. Two stretches of the trace are joined by a gap that says how many events it leaves out. When there are too many
// moments, bars are left out, the least relevant first: waits, then other requests far from the accesses, never what
// encloses an access or holds the node.

import type { Access, Finding } from "../../findings.ts";
import type { LaneBar, LaneMark, LaneWindow } from "../material.ts";
import { momentOf } from "../stacks.ts";

/** Height of a row of bars, and of a lane's head. */
export const ROW = 20;
export const LANE_HEAD = 8;
export const TOP = 46;
/** Between the names and what is drawn; the least and the most that names take, and a character of them. */
const BESIDE_NAMES = 8;
const NAMES_MIN = 88;
const NAMES_MAX = 220;
const NAME_CHARACTER = 7.4;
const RIGHT = 16;
const BOTTOM = 26;
const GAP = 64;
/** What the gap's own picture takes of it, to either side of its middle. */
export const GAP_HALF = 24;
/** Fits the page at 1400 pixels; narrower pages scroll. */
const WIDTH_MAX = 972;
const STEP_MAX = 34;
const MOMENTS_MAX = 150;
/** Rows of requests in a context that an access ran in, and in any other. */
const TASK_ROWS_MAX = 7;
const TASK_ROWS_ELSEWHERE = 3;
const MARKS_MAX = 40;

/** A bar with its place. */
export interface PlacedBar {
  readonly bar: LaneBar;
  readonly x1: number;
  readonly x2: number;
  readonly y: number;
  /** Where the poll phase of a section ends; null when it does not in the picture. */
  readonly pollX: number | null;
  readonly beginsBefore: boolean;
  readonly outlasts: boolean;
  /** Up to where nothing else stands in its row. */
  readonly freeX: number;
}

/** A context with its place. */
export interface PlacedLane {
  readonly name: string;
  readonly ctx: number;
  readonly y: number;
  readonly height: number;
  /** Requests that found no room. */
  readonly leftOut: number;
}

/** An access with its place. */
export interface PlacedAccess {
  readonly index: number;
  readonly x: number;
  readonly y: number;
}

/** Everything placed. */
export interface LaneLayout {
  /** Width of the names of the lanes, on the left. */
  readonly names: number;
  readonly width: number;
  readonly height: number;
  readonly lanes: readonly PlacedLane[];
  readonly bars: readonly PlacedBar[];
  readonly accesses: readonly PlacedAccess[];
  /** Where the finding shows when that is at none of its accesses; null where that is not in the picture. */
  readonly moment: number | null;
  readonly marks: readonly { readonly x: number; readonly y: number; readonly mark: LaneMark }[];
  readonly gap: { readonly x: number; readonly events: number } | null;
  readonly ticks: readonly { readonly x: number; readonly event: number }[];
}

/** Place the lanes of `finding`. */
export function layOutLanes(finding: Finding, window: LaneWindow): LaneLayout {
  const bars = chosenBars(finding, window);
  const marked = chosenMarks(finding, window);
  const names = namesWidth(window);
  const axis = axisOf({ finding, window, bars, marks: marked, left: names + BESIDE_NAMES });
  const lanes: PlacedLane[] = [];
  const placed: PlacedBar[] = [];
  let y = TOP;
  for (const { ctx, name } of window.contexts) {
    const own = bars.filter((bar) => bar.ctx === ctx);
    const rows = placeRows(own, axis, finding, y + LANE_HEAD);
    placed.push(...rows.bars);
    const height = LANE_HEAD * 2 + Math.max(1, rows.count) * ROW;
    lanes.push({ name, ctx, y, height, leftOut: rows.leftOut });
    y += height;
  }
  const yOf = (ctx: number, task: number, event: number) => {
    const around = placed.filter(
      ({ bar }) => bar.ctx === ctx && bar.task === task && encloses(bar, event) && isActor(bar),
    );
    const innermost = around.at(-1);
    const lane = lanes.find((one) => one.ctx === ctx);
    return innermost === undefined ? (lane?.y ?? TOP) + LANE_HEAD + ROW / 2 : innermost.y + ROW / 2;
  };
  const accesses = finding.accesses.map(({ event, ctx, task }, index) => ({
    index,
    x: axis.x(event),
    y: yOf(ctx, task, event),
  }));
  // At the foot of a bar, so that its text stays readable.
  const marks = marked.map((mark) => ({
    mark,
    x: axis.x(mark.event),
    y: yOf(mark.ctx, mark.task, mark.event) + 7,
  }));
  const { gap, ticks } = axis;
  const event = momentOf(finding);
  return {
    names,
    width: axis.width,
    height: y + BOTTOM,
    lanes,
    bars: placed.map((bar) => ({ ...bar, freeX: freeX(bar, placed, axis) })),
    accesses,
    moment: event !== null && axis.has(event) ? axis.x(event) : null,
    marks,
    gap,
    ticks,
  };
}

/** The longest name of a context in full, unless it is beyond all measure. */
function namesWidth({ contexts }: LaneWindow): number {
  const longest = Math.max(0, ...contexts.map(({ name }) => name.length));
  return Math.min(Math.max(NAMES_MIN, Math.ceil(longest * NAME_CHARACTER) + 14), NAMES_MAX);
}

/** Where the next bar of the row begins, or the gap, or the picture ends. */
function freeX({ x2, y }: PlacedBar, placed: readonly PlacedBar[], { gap, width }: Axis): number {
  const behind = placed.filter((other) => other.y === y && other.x1 >= x2).map(({ x1 }) => x1);
  const gapX = gap === null || gap.x + GAP_HALF <= x2 ? width : gap.x - GAP_HALF;
  return Math.min(...behind, gapX, width);
}

function isActor(bar: LaneBar): boolean {
  return bar.kind === "operation" || bar.kind === "task";
}

function encloses(bar: LaneBar, event: number): boolean {
  return bar.from <= event && (bar.to === null || event <= bar.to);
}

/** 0 is drawn first; within a rank, what is nearest to an access. */
function rankOf(bar: LaneBar, accesses: readonly Access[]): number {
  const around = accesses.some((access) => encloses(bar, access.event) && bar.ctx === access.ctx);
  if (bar.kind === "section") return bar.holdsNode ? 0 : around ? 1 : 4;
  if (bar.kind === "task") return accesses.some(({ task }) => task === bar.id) ? 0 : 3;
  if (bar.kind === "wait") return around ? 3 : 6;
  return around ? 0 : 2;
}

function chosenBars(finding: Finding, window: LaneWindow): LaneBar[] {
  const { accesses } = finding;
  const centres = centresOf(finding);
  const distance = (bar: LaneBar) => {
    return Math.min(
      ...centres.map((event) => Math.max(bar.from - event, event - (bar.to ?? event), 0)),
    );
  };
  const ranked = window.bars
    .map((bar) => ({ bar, rank: rankOf(bar, accesses), distance: distance(bar) }))
    .sort((a, b) => a.rank - b.rank || a.distance - b.distance || a.bar.from - b.bar.from);
  const moments = new Set(centres);
  const chosen: LaneBar[] = [];
  for (const { bar, rank } of ranked) {
    if (moments.size >= MOMENTS_MAX && rank > 1) break;
    for (const event of eventsOf(bar)) moments.add(event);
    chosen.push(bar);
  }
  return chosen.sort((a, b) => a.from - b.from || a.id - b.id);
}

/** Other accesses to the list: those nearest to the finding's own. */
function chosenMarks(finding: Finding, window: LaneWindow): LaneMark[] {
  const centres = centresOf(finding);
  const distance = ({ event }: LaneMark) =>
    Math.min(...centres.map((centre) => Math.abs(event - centre)));
  return window.marks
    .filter(({ event }) => !centres.includes(event))
    .sort((a, b) => distance(a) - distance(b) || a.event - b.event)
    .slice(0, MARKS_MAX)
    .sort((a, b) => a.event - b.event);
}

function centresOf({ accesses, first }: Finding): number[] {
  return accesses.length > 0 ? accesses.map(({ event }) => event) : [first];
}

function eventsOf(bar: LaneBar): number[] {
  return [bar.from, bar.pollEnd, bar.to].filter((event) => event !== null);
}

interface Axis {
  readonly width: number;
  readonly gap: LaneLayout["gap"];
  readonly ticks: LaneLayout["ticks"];
  x(event: number): number;
  has(event: number): boolean;
}

interface AxisInput {
  readonly finding: Finding;
  readonly window: LaneWindow;
  readonly bars: readonly LaneBar[];
  readonly marks: readonly LaneMark[];
  /** Where the picture begins, beside the names. */
  readonly left: number;
}

function axisOf({ finding, window, bars, marks, left }: AxisInput): Axis {
  const inside = (event: number) =>
    window.ranges.some(({ from, to }) => from <= event && event <= to);
  const events = [
    ...bars.flatMap(eventsOf),
    ...centresOf(finding),
    ...marks.map(({ event }) => event),
    momentOf(finding) ?? [],
  ].flat();
  const moments = [...new Set(events)].filter(inside).sort((a, b) => a - b);
  const plot = WIDTH_MAX - left - RIGHT - (window.ranges.length > 1 ? GAP : 0);
  const step = Math.min(STEP_MAX, plot / (moments.length + 1));
  const split = window.ranges[1]?.from ?? Number.POSITIVE_INFINITY;
  const gapFrom = window.ranges[0]?.to ?? 0;
  const x = (event: number) => {
    // What lies outside the window stands at its edge: before the first moment, behind the last, or in the gap.
    const before = countBelow(moments, event);
    const isMoment = moments[before] === event;
    const place = left + step * (isMoment ? before + 1 : before + 0.5);
    if (event >= split) return round(place + GAP);
    return round(event > gapFrom && split < Number.POSITIVE_INFINITY ? place + GAP / 2 : place);
  };
  const leftOut =
    window.ranges.length > 1 ? (window.ranges[1]?.from ?? 0) - (window.ranges[0]?.to ?? 0) - 1 : 0;
  const gap =
    leftOut > 0
      ? { x: round(left + step * (countBelow(moments, split) + 0.5) + GAP / 2), events: leftOut }
      : null;
  const width = Math.floor(left + step * (moments.length + 1) + RIGHT + (gap === null ? 0 : GAP));
  const known = new Set(moments);
  return { width, gap, ticks: ticksOf(moments, x), x, has: (event) => known.has(event) };
}

/** Some moments, far enough apart for their numbers to be readable. */
function ticksOf(
  moments: readonly number[],
  x: (event: number) => number,
): { x: number; event: number }[] {
  const ticks: { x: number; event: number }[] = [];
  for (const event of moments) {
    const at = x(event);
    if (at - (ticks.at(-1)?.x ?? 0) >= 90) ticks.push({ x: at, event });
  }
  return ticks;
}

function countBelow(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? value) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Rows {
  readonly bars: PlacedBar[];
  readonly count: number;
  readonly leftOut: number;
}

/** Bars in rows without overlap: operations and sections above, requests below them. */
function placeRows(bars: readonly LaneBar[], axis: Axis, finding: Finding, top: number): Rows {
  const upper = bars.filter((bar) => bar.kind !== "task");
  const tasks = bars.filter((bar) => bar.kind === "task");
  const isOwn = (bar: LaneBar) => finding.accesses.some(({ task }) => task === bar.id);
  const ends: number[] = [];
  const placed: PlacedBar[] = [];
  let leftOut = 0;
  const put = (bar: LaneBar, firstRow: number, rowsMax: number) => {
    const { x1, x2 } = extent(bar, axis);
    let row = firstRow;
    while ((ends[row] ?? 0) > x1) row++;
    if (row >= rowsMax) leftOut++;
    else {
      ends[row] = x2 + 2;
      placed.push(placedBar(bar, axis, top + row * ROW));
    }
  };
  for (const bar of upper) put(bar, 0, Number.POSITIVE_INFINITY);
  const below = ends.length;
  const involved = finding.accesses.some(({ ctx }) => bars[0]?.ctx === ctx);
  const rowsMax = involved ? TASK_ROWS_MAX : TASK_ROWS_ELSEWHERE;
  // The requests of the accesses first: they must find room.
  for (const bar of tasks.filter(isOwn)) put(bar, below, Number.POSITIVE_INFINITY);
  for (const bar of tasks.filter((one) => !isOwn(one))) put(bar, below, below + rowsMax);
  return { bars: placed, count: ends.length, leftOut };
}

function extent(bar: LaneBar, axis: Axis): { x1: number; x2: number } {
  const x1 = axis.x(bar.from);
  const x2 = bar.to === null ? axis.width - RIGHT : axis.x(bar.to);
  return { x1, x2: Math.max(x2, x1 + 3) };
}

function placedBar(bar: LaneBar, axis: Axis, y: number): PlacedBar {
  const pollX = bar.pollEnd === null ? null : axis.x(bar.pollEnd);
  return {
    bar,
    ...extent(bar, axis),
    y,
    pollX,
    beginsBefore: !axis.has(bar.from),
    outlasts: bar.to === null || !axis.has(bar.to),
    freeX: axis.width,
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
