// The picture of the lanes: what each context was doing around the two accesses, and that nothing orders them.

import type { Access, Finding } from "../../findings.ts";
import type { LaneBar, LaneMark, LaneWindow } from "../material.ts";
import { counted, functionOf, grouped, luckText } from "../words.ts";
import { cut } from "../wrap.ts";
import { GAP_HALF, type LaneLayout, layOutLanes, type PlacedBar, ROW, TOP } from "./lane-layout.ts";
import { html, type Markup } from "./markup.ts";

const CHARACTER = 6.3;
/** The same in the bold text of a flag. */
const FLAG_CHARACTER = 7;

/** A name that is longer is cut (lane-layout.ts gives room for so much). */
const NAME_LENGTH_MAX = 27;

/** The lanes of `finding`: their names, which stay in view when the picture is scrolled, and beside them what they did. `id` makes the names inside unique on the page. */
export function lanesSvg(finding: Finding, window: LaneWindow, id: string): Markup {
  const layout = layOutLanes(finding, window);
  const { names, width, height } = layout;
  const wide = width - names;
  return html`<svg class="lane-names" viewBox="0 0 ${names} ${height}" width="${names}" height="${height}" aria-hidden="true">
${laneGrounds(layout)}
${layout.lanes.map(({ name, y, leftOut }) => {
  return html`<text class="lane-name" x="10" y="${y + 23}"><title>${name}</title>${cut(name, NAME_LENGTH_MAX)}</text>
${leftOut > 0 && html`<text class="small" x="10" y="${y + 38}">+${counted(leftOut, "request")}</text>`}`;
})}
<text class="tick name" x="10" y="${height - 8}">event</text></svg>
<svg class="lanes" viewBox="${names} 0 ${wide} ${height}" width="${wide}" height="${height}" role="img" aria-labelledby="${id}-title">
<title id="${id}-title">${describe(finding)}</title>
${laneGrounds(layout)}
${layout.bars.map((bar) => barMark(bar, finding, layout))}
${layout.marks.map(({ x, y, mark }) => otherMark(mark, x, y))}
${layout.gap !== null && gapMark(layout.gap, height)}
${layout.moment !== null && momentMark(layout.moment, layout, finding)}
${orderMark(finding, layout)}
${layout.accesses.map(({ index, x, y }) => accessMark(finding.accesses[index], index, { x, y, names, width, height }))}
${layout.ticks.map(({ x, event }) => tickMark(x, event, layout))}
</svg>`;
}

/** The number of an event stands in the middle of its place, unless part of it would be outside of the picture. */
function tickMark(x: number, event: number, { names, width, height }: LaneLayout): Markup {
  const text = grouped(event);
  const half = (text.length * CHARACTER) / 2;
  const side = x - half < names ? " first" : x + half > width ? " last" : "";
  return html`<text class="tick${side}" x="${x}" y="${height - 8}">${text}</text>`;
}

function laneGrounds({ lanes, width }: LaneLayout): Markup[] {
  return lanes.map(({ y, height }, index) => {
    return html`<rect class="lane${index % 2 === 1 && " odd"}" x="0" y="${y}" width="${width}" height="${height}"/>`;
  });
}

function describe(finding: Finding): string {
  const sides = finding.accesses.map(
    (access) =>
      `${access.what} in ${functionOf(access.site)} on ${access.ctxName} at event ${grouped(access.event)}`,
  );
  return `What each context did around ${sides.join(" and ") || `event ${grouped(finding.first)}`}`;
}

function gapMark(gap: { x: number; events: number }, height: number): Markup {
  const middle = (TOP + height) / 2;
  return html`<rect class="gap" x="${gap.x - GAP_HALF}" y="${TOP}" width="${GAP_HALF * 2}" height="${height - TOP - 26}"/>
<text class="gap-text" x="${gap.x}" y="${middle}" transform="rotate(-90 ${gap.x} ${middle})">${grouped(gap.events)} events</text>`;
}

function barMark(placed: PlacedBar, finding: Finding, layout: LaneLayout): Markup {
  const { bar, x1, x2, y, pollX, beginsBefore, outlasts } = placed;
  const own = bar.kind === "task" && finding.accesses.some(({ task }) => task === bar.id);
  const classes = ["bar", bar.kind, own && "own", bar.holdsNode && "holds"];
  const width = Math.max(3, x2 - x1);
  const drained =
    bar.kind === "section" &&
    pollX !== null &&
    html`<rect class="drained" x="${pollX}" y="${y + 2}" width="${Math.max(2, x2 - pollX)}" height="${ROW - 4}" rx="3"/>`;
  return html`<g class="${classes.filter((name) => name !== false).join(" ")}"><title>${barTitle(bar)}</title>
<rect x="${x1}" y="${y + 2}" width="${width}" height="${ROW - 4}" rx="3"/>${drained}${barText(placed, layout)}
${beginsBefore && html`<path class="beyond" d="M${x1 - 2} ${y + 6}l-4 4l4 4"/>`}${outlasts && html`<path class="beyond" d="M${x2 + 2} ${y + 6}l4 4l-4 4"/>`}</g>`;
}

function barTitle(bar: LaneBar): string {
  const from = `from event ${grouped(bar.from)}`;
  const to = bar.to === null ? "" : ` to ${grouped(bar.to)}`;
  if (bar.kind !== "section") return `${barLabel(bar)}, ${from}${to}`;
  const waited =
    bar.pollEnd === null ? "has not waited" : `drained from event ${grouped(bar.pollEnd)}`;
  return `${barLabel(bar)}, ${from}${to}, ${waited}`;
}

function barLabel(bar: LaneBar): string {
  return bar.kind === "section" && bar.site !== null
    ? `${bar.label} · ${functionOf(bar.site)}`
    : bar.label;
}

/** The label inside the bar, beside the number of an access and behind the gap where these would hide it; or behind the bar. */
function barText(placed: PlacedBar, layout: LaneLayout): Markup | null {
  const { bar, x1, x2, y } = placed;
  const label = barLabel(bar);
  const shortest = Math.min(label.length, LABEL_MIN);
  const gap = layout.gap?.x ?? Number.NEGATIVE_INFINITY;
  const isInGap = x1 >= gap - GAP_HALF && x1 < gap + GAP_HALF;
  let left = isInGap ? gap + GAP_HALF + 4 : x1 + 5;
  for (const access of layout.accesses) {
    const isOver =
      access.y === y + ROW / 2 &&
      access.x > left - 8 &&
      access.x < left + label.length * CHARACTER + 8;
    if (isOver && roomIn(access.x + 11, x2) >= shortest) left = access.x + 11;
  }
  const room = roomIn(left, x2);
  const behind = placeBehind(placed, label, layout);
  if (room < label.length && behind !== null)
    return html`<text class="behind" x="${behind}" y="${y + 14}">${label}</text>`;
  return room < shortest ? null : html`<text x="${left}" y="${y + 14}">${cut(label, room)}</text>`;
}

/** Where the whole of `label` fits behind its bar, in the same row and clear of the accesses; null where it does not. */
function placeBehind(placed: PlacedBar, label: string, { accesses }: LaneLayout): number | null {
  const { x2, y, freeX, outlasts } = placed;
  const left = x2 + (outlasts ? 10 : 4);
  const right = left + label.length * CHARACTER;
  const isHidden = accesses.some(
    (access) => access.y === y + ROW / 2 && access.x > left - 8 && access.x < right + 8,
  );
  return right + 2 <= freeX && !isHidden ? left : null;
}

/** A label that would have to be shorter is left out. */
const LABEL_MIN = 10;

/** Characters that fit between `left` and the end of a bar. */
function roomIn(left: number, x2: number): number {
  return Math.floor((x2 - left - 3) / CHARACTER);
}

function otherMark(mark: LaneMark, x: number, y: number): Markup {
  const text = `${mark.what} of the same list in ${mark.site === null ? "?" : functionOf(mark.site)}, event ${grouped(mark.event)}`;
  return html`<circle class="mark ${mark.what}" cx="${x}" cy="${y}" r="2.5"><title>${text}</title></circle>`;
}

/** What is between the two accesses: nothing, or an accident. */
function orderMark(finding: Finding, layout: LaneLayout): Markup | null {
  const [a, b] = layout.accesses;
  if (a === undefined || b === undefined) return null;
  if (finding.rule !== "race" && finding.rule !== "covered-by-luck") return null;
  const text = finding.luckyEdge === null ? "no order" : `only by ${luckText(finding.luckyEdge)}`;
  const middleX = (a.x + b.x) / 2;
  const middleY = (a.y + b.y) / 2;
  const width = text.length * CHARACTER + 14;
  return html`<g class="order ${finding.luckyEdge === null ? "none" : "luck"}">
<line x1="${a.x}" y1="${a.y}" x2="${b.x}" y2="${b.y}"/>
<rect x="${middleX - width / 2}" y="${middleY - 9}" width="${width}" height="18" rx="9"/>
<text x="${middleX}" y="${middleY + 4}">${text}</text></g>`;
}

/** Where the finding shows: a line through all lanes, with its event above. */
function momentMark(x: number, { names, width, height }: LaneLayout, { first }: Finding): Markup {
  const label = `event ${grouped(first)}`;
  const wide = label.length * FLAG_CHARACTER + 14;
  const left = Math.min(Math.max(names + 8, x - wide / 2), width - wide - 4);
  return html`<g class="moment"><line x1="${x}" y1="21" x2="${x}" y2="${height - 24}"/>
<rect class="flag" x="${left}" y="3" width="${wide}" height="18" rx="4"/>
<text class="flag-text" x="${left + 7}" y="16">${label}</text>
<title>${`It shows at event ${grouped(first)}`}</title></g>`;
}

function accessMark(
  access: Access | undefined,
  index: number,
  at: { x: number; y: number; names: number; width: number; height: number },
): Markup {
  if (access === undefined) return html``;
  const { x, y, names, width, height } = at;
  const label = `${index + 1} ${access.what} · ${functionOf(access.site)}`;
  const wide = label.length * FLAG_CHARACTER + 14;
  const left = Math.min(Math.max(names + 8, x - wide / 2), width - wide - 4);
  const top = index === 0 ? 3 : 24;
  return html`<g class="access ${access.what}">
<line x1="${x}" y1="${top + 18}" x2="${x}" y2="${height - 24}"/>
<rect class="flag" x="${left}" y="${top}" width="${wide}" height="18" rx="4"/>
<text class="flag-text" x="${left + 7}" y="${top + 13}">${label}</text>
<circle cx="${x}" cy="${y}" r="7"/><text class="number" x="${x}" y="${y + 4}">${index + 1}</text>
<title>${`${access.what} in ${functionOf(access.site)}, event ${grouped(access.event)}`}</title></g>`;
}
