// The suppression file: what somebody has looked at and decided to live with, each with the reason and, if they like, a day
// after which to look again.
//
//   # one entry a line; reason= comes last and runs to the end of the line
//   fingerprint=0123456789abcdef until=2027-03-31 reason=the medium is pulled out on purpose here
//   rule=race list=parents function=bdrv_drain_all_begin function=bdrv_append reason=reported as number 17
//
// Every line is looked at by itself: a mistake in one is said in a sentence and leaves the others as they are. A pattern must
// name its rule and a function, since wide ones hide what nobody has looked at; one that matches many findings is reported as
// too wide, one that matches none as unused. There is no clock here: what day it is comes in from the command line.

import type { Finding } from "../findings.ts";
import { RULE_IDS, type RuleId } from "../rules.ts";
import { counted, functionOf } from "./words.ts";

/** One entry. */
export interface Suppression {
  /** Where it stands: `suppress.txt:3`. */
  readonly place: string;
  readonly fingerprint: string | null;
  readonly rule: RuleId | null;
  readonly list: string | null;
  /** C names; each must be the function of an access, or of an operation around it. */
  readonly functions: readonly string[];
  readonly reason: string;
  /** The last day on which it holds, as YYYY-MM-DD; null for ever. */
  readonly until: string | null;
}

/** What a file says, and what is wrong with it. */
export interface ParsedSuppressions {
  readonly entries: readonly Suppression[];
  /** One sentence for each line that cannot be used. */
  readonly problems: readonly string[];
}

const KEYS = ["fingerprint", "rule", "list", "function", "until"] as const;
type Key = (typeof KEYS)[number];
const LISTS = ["children", "parents", "file", "backing", "edge_bs", "blk_root"];

/** Reads the text of the file `name`. */
export function parseSuppressions(text: string, name: string): ParsedSuppressions {
  const entries: Suppression[] = [];
  const problems: string[] = [];
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw.replace(/^\uFEFF/, "").trim();
    if (line === "" || line.startsWith("#")) return;
    const place = `${name}:${index + 1}`;
    const parsed = parseLine(line, place);
    if (typeof parsed === "string") problems.push(`${place}: ${parsed}`);
    else entries.push(parsed);
  });
  return { entries, problems };
}

/** The entry, or what is wrong with the line. */
function parseLine(line: string, place: string): Suppression | string {
  const split = /(?:^|\s)reason=(.*)$/.exec(line);
  const reason = split?.[1]?.trim() ?? "";
  if (reason === "") return "This entry has no reason: end it with reason= and why it is accepted.";
  const values = new Map<Key, string[]>();
  for (const word of line.slice(0, split?.index).split(/\s+/)) {
    if (word === "") continue;
    const at = word.indexOf("=");
    const key = KEYS.find((known) => known === word.slice(0, at));
    if (key === undefined)
      return `${JSON.stringify(word)} is not understood: write ${KEYS.join("=, ")}= or reason=.`;
    values.set(key, [...(values.get(key) ?? []), word.slice(at + 1)]);
  }
  const problem = problemOf(values);
  if (problem !== null) return problem;
  const one = (key: Key) => values.get(key)?.[0] ?? null;
  return {
    place,
    fingerprint: one("fingerprint"),
    rule: RULE_IDS.find((rule) => rule === one("rule")) ?? null,
    list: one("list"),
    functions: values.get("function") ?? [],
    reason,
    until: one("until"),
  };
}

function problemOf(values: ReadonlyMap<Key, readonly string[]>): string | null {
  for (const [key, [first = "", second]] of values) {
    if (second !== undefined && key !== "function") return `It has ${key}= twice.`;
    const problem = VALUE_PROBLEMS[key](first);
    if (problem !== null) return problem;
  }
  if (values.has("fingerprint")) return null;
  if (!values.has("rule") || !values.has("function"))
    return "A pattern names a rule= and at least one function=, or it is a fingerprint=: anything wider hides what nobody has seen.";
  return null;
}

const VALUE_PROBLEMS: Readonly<Record<Key, (value: string) => string | null>> = {
  fingerprint: (value) =>
    /^[0-9a-f]{16}$/.test(value)
      ? null
      : `A fingerprint has 16 hexadecimal digits, not ${quoted(value)}.`,
  rule: (value) =>
    RULE_IDS.some((rule) => rule === value) ? null : `There is no rule ${quoted(value)}.`,
  list: (value) =>
    LISTS.includes(value)
      ? null
      : `There is no list ${quoted(value)}: it is one of ${LISTS.join(", ")}.`,
  function: (value) =>
    /^\w+$/.test(value)
      ? null
      : `${quoted(value)} is no name of a function, and patterns in names are not understood.`,
  until: (value) =>
    isDay(value)
      ? null
      : `${quoted(value)} is no day: write until= as year-month-day, e.g. 2027-03-31.`,
};

function quoted(value: string): string {
  return JSON.stringify(value);
}

/** Whether `text` is a day of the calendar, as YYYY-MM-DD. */
export function isDay(text: string): boolean {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  if (parts === null) return false;
  const [year, month, day] = parts.slice(1).map(Number) as [number, number, number];
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
  return day >= 1 && day <= days;
}

/** Whether `entry` speaks for `finding`. */
export function matches(entry: Suppression, finding: Finding): boolean {
  if (entry.fingerprint !== null && entry.fingerprint !== finding.fingerprint) return false;
  if (entry.rule !== null && entry.rule !== finding.rule) return false;
  if (entry.list !== null && entry.list !== finding.list) return false;
  const names = new Set(
    finding.accesses.flatMap(({ site, operations }) => [site, ...operations]).map(functionOf),
  );
  return entry.functions.every((name) => names.has(name));
}

/** How often an entry was of use. */
export interface SuppressionUse {
  readonly entry: Suppression;
  /** Findings that it matched, each fingerprint once, and how often all of them happened. */
  readonly findings: number;
  readonly occurrences: number;
  readonly expired: boolean;
}

/** A pattern that matches more different findings than this is reported as too wide. */
const WIDE_MAX = 8;

/** What to say of the entries: those that are expired, unused, or too wide; one sentence each. */
export function suppressionRemarks(
  uses: readonly (SuppressionUse & {
    /** Findings that it matched and no other entry accepts. */
    readonly again: number;
  })[],
): string[] {
  return uses.flatMap(({ entry, findings, expired, again }) => {
    if (expired) {
      const still =
        findings === 0
          ? "it matches nothing any more"
          : again === 0
            ? "other entries accept all that it matches"
            : `${counted(again, "finding")} it matches ${again === 1 ? "counts" : "count"} again`;
      return [`${entry.place}: This suppression ended on ${entry.until}: ${still}.`];
    }
    if (findings === 0) return [`${entry.place}: This suppression matches no finding: remove it.`];
    if (findings <= WIDE_MAX) return [];
    return [
      `${entry.place}: This suppression is too wide: it matches ${findings} different findings; name a list= or another function=.`,
    ];
  });
}
