// The text of docs/locking.md: for each entry point whether its callers hold the AioContext lock, for each set of patches; and what
// was held when the functions of core below were entered. All of it comes from runs (observe.ts).

import type { PatchNumber } from "#core/sched";
import {
  type EntryFact,
  failingWithoutLocks,
  type Observed,
  observe,
  type Trial,
} from "./observe.ts";

/** Where the document is, from the root of the project. */
export const LOCKING_DOCUMENT = "docs/locking.md";

const ALL: readonly PatchNumber[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
/** The sets of patches whose locking differs, by the name of their column. */
const SETS: readonly (readonly [string, readonly PatchNumber[]])[] = [
  ["all on", []],
  ["1 off", [1]],
  ["7 off", [7]],
  ["10, 11 off", [10, 11]],
  ["all off", ALL],
];

const INTRODUCTION = `# Who holds the AioContext lock

The core runs in two regimes. Under \`--lock none\` there are no such locks, and nothing on this page matters. Under \`--lock aio\`
each context has its recursive lock as before the series: its loop holds it while it dispatches, and main takes it where QEMU's
callers do. What waits in main then has two ways to do so: AIO_WAIT_WHILE gives the lock up, once, while it polls, and so its
caller must hold it exactly once; AIO_WAIT_WHILE_UNLOCKED, which patches 1 and 7 bring to drains, keeps whatever is held, and so its
caller must not hold it.

This page is made by \`scripts/locking.ts\` from runs: nothing on it is claimed that was not seen.

## What each entry point asks of its caller

Main calls it on a node that is busy in an iothread, holding the iothread's lock never, once or twice. **yes**: the caller holds it
once. **no**: the caller does not hold it. **any**: it does not wait, and does not care. Where the caller does what the table does
not say, the run shows QEMU's own failure: who holds no lock where one is given up stops at the error of the mutex; who holds it
where it is kept, or twice where it is given up once, hangs for ever, as the iothread cannot take its own lock to finish its request.

An exclamation mark: in a run that came to its end, I/O code of the node ran in main without the lock that it needs there. Where the
cell says **no**, then, there is no right way to call it under this regime: the drains want the lock free, the I/O code wants it held.
`;

const OBSERVED = `## What is held when the functions below are entered

By main, in those runs above that came to their end, and in those of QEMU's unit tests that are written for the lock. **yes**: with the
lock of the node's context (global-state code: of some iothread). **no**: without. A star: an iothread enters it, too, in its own
context, whose lock its loop holds. A dash: main did not enter it. Functions that no single node's context guards are left out.
`;

/** The document. */
export function lockingDocument(): string {
  const observed = SETS.map(([, without]) => observe(without));
  return [
    INTRODUCTION,
    entriesTable(observed),
    withoutLocks(),
    commandsOf(observed),
    OBSERVED,
    factsTable(observed),
  ].join("\n");
}

function entriesTable(observed: readonly Observed[]): string {
  const rows = (observed[0]?.trials ?? []).map(({ entry }, row) => {
    const cells = observed.map(({ trials }) => needOf(trials[row] as Trial));
    return `| \`${entry}\` | ${cells.join(" | ")} |`;
  });
  return table("Entry point", rows);
}

/** What the caller has to do; every combination of outcomes that has not been explained is shown as it is. */
export function needOf({ outcomes, wantsLock }: Trial): string {
  const key = outcomes.join(" ");
  const known: Readonly<Record<string, string>> = {
    "ok ok ok": "any",
    "ok deadlock deadlock": "no",
    "assertion ok deadlock": "yes",
  };
  return `${known[key] ?? key}${wantsLock ? " !" : ""}`;
}

function withoutLocks(): string {
  const failing = SETS.flatMap(([name, without]) =>
    failingWithoutLocks(without).map((entry) => `\`${entry}\` (${name})`),
  );
  const text = failing.length === 0 ? "comes to its end" : `fails: ${failing.join(", ")}`;
  return `Under \`--lock none\` each of them ${text}, with each of these sets.\n`;
}

/** One command for each way to fail, the first of its kind in the table. */
function commandsOf(observed: readonly Observed[]): string {
  const shown = new Map<string, string>();
  for (const [at, { trials, without }] of observed.entries())
    for (const { entry, outcomes } of trials)
      for (const [held, outcome] of outcomes.entries()) {
        if (outcome === "ok") continue;
        const what = `${outcome === "deadlock" ? "hangs" : "stops"}, held ${TIMES[held]}`;
        const first = `- ${what} (${SETS[at]?.[0]}): \`${commandOf(entry, held, without)}\``;
        if (!shown.has(what)) shown.set(what, first);
      }
  return `Each cell is a run that can be recorded, replayed and analysed, for example:\n\n${[...shown.values()].join("\n")}\n`;
}

const TIMES = ["never", "once", "twice"];

function commandOf(entry: string, held: number, without: readonly PatchNumber[]): string {
  const off = without.length === 0 ? "" : ` --without-patch ${without.join(",")}`;
  return `quiesce record lock-entry --lock aio${off} --param entry=${entry} --param held=${held} -o run.trace`;
}

function factsTable(observed: readonly Observed[]): string {
  const names = [...new Set(observed.flatMap(({ facts }) => [...facts.keys()]))].sort();
  const rows = names.flatMap((name) => {
    const facts = observed.map(({ facts }) => facts.get(name));
    const domain = facts.find((fact) => fact !== undefined)?.domain ?? "";
    if (!facts.some((fact) => fact !== undefined && (fact.held || fact.notHeld))) return [];
    return [`| \`${name}\` (${domain}) | ${facts.map(cellOf).join(" | ")} |`];
  });
  return table("Function", rows);
}

function cellOf(fact: EntryFact | undefined): string {
  if (fact === undefined) return "-";
  const words = [...(fact.held ? ["yes"] : []), ...(fact.notHeld ? ["no"] : [])];
  return `${words.join(", ") || "-"}${fact.atHome ? " *" : ""}`;
}

function table(first: string, rows: readonly string[]): string {
  const head = `| ${first} | ${SETS.map(([name]) => name).join(" | ")} |`;
  return `${head}\n|---|${SETS.map(() => "---|").join("")}\n${rows.join("\n")}\n`;
}
