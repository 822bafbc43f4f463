// What `quiesce races --from std` prints: RAPID's figures, and the racing pairs of sites, as text or as plain data.
//
// Events are counted from 0, as everywhere in quiesce; event n is line n + 1 of a text trace.

import { createHash } from "node:crypto";
import { STD_WORDS } from "#traces/std";
import { counted, grouped } from "../reports/index.ts";
import type { FlatOrder, FlatResult } from "./flat.ts";
import { IRREGULARITIES } from "./order-check.ts";
import type { FlatPair, FlatSite } from "./race-tally.ts";

/** Version of the shape of the JSON; it grows by additions only. */
const SCHEMA_VERSION = 1;
/** Pairs that the text lists. */
const PAIRS_SHOWN = 40;

const ORDER_WORDS: Readonly<Record<FlatOrder, string>> = {
  hb: "happens-before",
  shb: "schedulable happens-before",
};

/** What comes from the caller: the file as the user named it, and its form. */
export interface FlatFacts {
  readonly trace: string;
  readonly from: string;
  readonly tool: { readonly name: string; readonly version: string };
}

/** The result as plain data. */
export function flatJson(result: FlatResult, facts: FlatFacts): object {
  const { names, pairs, irregularities, order, events, pairsBeyondLimit } = result;
  const { racyEvents, racyLocations, racyVariables, firstRacyEvent } = result;
  return {
    schemaVersion: SCHEMA_VERSION,
    ...facts,
    order,
    events,
    threads: names.threads.count,
    variables: names.variables.count,
    locks: names.locks.count,
    ...{ racyEvents, racyLocations, racyVariables, firstRacyEvent },
    findings: pairs.map((pair) => jsonPair(result, pair)),
    findingsNotListed: pairsBeyondLimit,
    irregularities,
  };
}

function jsonPair({ names }: FlatResult, pair: FlatPair) {
  const { sites, count, firstEvent, variable, threads } = pair;
  return {
    rule: "race",
    severity: "error",
    accesses: sites.map(({ op, location }) => ({ op: STD_WORDS[op], location })),
    count,
    firstEvent,
    variable: names.variables.name(variable),
    threads: threads.map((thread) => names.threads.name(thread)),
    fingerprint: createHash("sha256").update(pairText(sites)).digest("hex").slice(0, 16),
  };
}

/** The result for a terminal. */
export function flatText(result: FlatResult, { trace }: FlatFacts): string {
  const { names, pairs, order, events, racyEvents, racyLocations, racyVariables } = result;
  const sizes = [
    counted(events, "event"),
    counted(names.threads.count, "thread"),
    counted(names.variables.count, "variable"),
    counted(names.locks.count, "lock"),
  ];
  const head = `${trace}: ${sizes.join(", ")}; ${ORDER_WORDS[order]}.\n`;
  if (result.firstRacyEvent === null) return `${head}\nNo races.\n`;
  const widths = [0, 1].map((side) =>
    Math.max(...shown(pairs).map(({ sites }) => siteText(sites[side] ?? sites[0]).length)),
  );
  const rows = shown(pairs).map((pair) => `  ${rowText(result, pair, widths)}\n`);
  const more = pairs.length - rows.length;
  const moreText = more > 0 ? `  and ${counted(more, "more pair")}, which --json lists\n` : "";
  const figures = `${counted(racyEvents, "racy event")} at ${counted(racyLocations, "location")}, on ${counted(racyVariables, "variable")}; the first is event ${result.firstRacyEvent}.`;
  return `${head}\nSites that race, with how often:\n${rows.join("")}${moreText}\n${figures}\n`;
}

function shown(pairs: readonly FlatPair[]): readonly FlatPair[] {
  return pairs.slice(0, PAIRS_SHOWN);
}

function rowText({ names }: FlatResult, pair: FlatPair, widths: readonly number[]): string {
  const { sites, count, firstEvent, variable, threads } = pair;
  const [earlier, later] = threads.map((thread) => names.threads.name(thread));
  const pairOfSites = sites
    .map((site, side) => siteText(site).padEnd(widths[side] ?? 0))
    .join(" | ");
  return `${pairOfSites} ${`x${grouped(count)}`.padStart(8)}  first ${names.variables.name(variable)}, ${earlier} then ${later}, event ${firstEvent}`;
}

function siteText({ op, location }: FlatSite): string {
  return `${STD_WORDS[op]} ${location}`;
}

function pairText(sites: readonly FlatSite[]): string {
  return sites.map(siteText).join(" | ");
}

/** A sentence on what no program does; null when there is nothing. */
export function irregularityText({ irregularities }: FlatResult, trace: string): string | null {
  const { count, first } = irregularities;
  if (first === null) return null;
  const others = count > 1 ? `, and ${counted(count - 1, "more event")} like it` : "";
  return `${trace}: No program makes this trace: event ${first.event} ${IRREGULARITIES[first.what]}${others}; the figures are those of the counting rules all the same.`;
}
