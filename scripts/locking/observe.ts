// What is seen of the AioContext lock in runs under the lock regime aio: how each entry point ends when its caller holds the lock
// never, once or twice (scenario lock-entry), and which locks were held when functions of core were entered in the runs that ended
// well, and in those of QEMU's cases that are written for the lock.

import { must } from "#core/base";
import { Ev, NullProbe, type ProbeBase, siteTable } from "#core/probe";
import {
  type AtEntry,
  type Domain,
  type LockRegime,
  machine,
  type PatchNumber,
  type RunOutcome,
} from "#core/sched";
import { ENTRIES, runScenario, SCENARIOS, type Scenario } from "#explorer";
import { FAMILIES, scenarioOf } from "#tests/qemu";

const SEED = 1;
/** How often the caller holds the lock. */
export const HELD = [0, 1, 2] as const;

/** How the call of one entry point ends, for each number of `HELD`. */
export interface Trial {
  readonly entry: string;
  readonly outcomes: readonly RunOutcome[];
  /** Whether I/O code ran in main without the lock that it needs, once main had called, in a run that came to its end. */
  readonly wantsLock: boolean;
}

/** What was seen of one function. */
export interface EntryFact {
  /** C name. */
  readonly name: string;
  readonly domain: Domain;
  /** It was entered by the iothread that is the node's own; its loop holds the lock while it dispatches. */
  atHome: boolean;
  /** From another thread, with the lock of the node's context; global-state code: with that of some iothread. */
  held: boolean;
  /** From another thread, without it. */
  notHeld: boolean;
}

/** What was seen with the patches `without` off. */
export interface Observed {
  readonly without: readonly PatchNumber[];
  readonly trials: readonly Trial[];
  readonly facts: ReadonlyMap<string, EntryFact>;
}

/** Run everything with the patches `without` off. */
export function observe(without: readonly PatchNumber[]): Observed {
  const facts = new Map<string, EntryFact>();
  const trials = Object.keys(ENTRIES).map((entry) => tryEntry(entry, without, facts));
  const cases = FAMILIES.flatMap((family) => family.cases.filter(({ lock }) => lock === "aio"));
  for (const qemuCase of cases) {
    const off = [...new Set([...without, ...(qemuCase.without ?? [])])];
    run(scenarioOf(qemuCase), { without: off, lock: "aio", params: {} }, noteIn(facts));
  }
  return { without, trials, facts };
}

function tryEntry(
  entry: string,
  without: readonly PatchNumber[],
  facts: Map<string, EntryFact>,
): Trial {
  let wantsLock = false;
  const outcomes = HELD.map((held) => {
    const seen = new Map<string, EntryFact>();
    const params = { entry, held: String(held) };
    const probe = new CallProbe();
    const outcome = run(lockEntry(), { without, lock: "aio", params }, noteIn(seen), probe);
    if (outcome === "ok") {
      mergeInto(facts, seen);
      wantsLock ||= probe.wrongHomes > 0;
    }
    return outcome;
  });
  return { entry, outcomes, wantsLock };
}

/** Counts I/O code that ran where it may not, from the scenario's note that main calls now. */
class CallProbe extends NullProbe {
  wrongHomes = 0;
  #calls = false;

  override emit(kind = 0): void {
    if (kind === Ev.note) this.#calls = true;
    if (kind === Ev.wrong_home && this.#calls) this.wrongHomes++;
  }
}

/** The entry points that do not come to their end under the lock regime none. */
export function failingWithoutLocks(without: readonly PatchNumber[]): readonly string[] {
  return Object.keys(ENTRIES).filter((entry) => {
    const params = { entry, held: "0" };
    return run(lockEntry(), { without, lock: "none", params }, () => undefined) !== "ok";
  });
}

interface Way {
  readonly without: readonly PatchNumber[];
  readonly lock: LockRegime;
  readonly params: Readonly<Record<string, string>>;
}

function run(
  scenario: Scenario,
  way: Way,
  atEntry: AtEntry,
  probe: ProbeBase = new NullProbe(),
): RunOutcome {
  const options = { ...way, seed: SEED, scheduler: "default", probe, atEntry } as const;
  return runScenario(scenario, options).outcome;
}

function lockEntry(): Scenario {
  return must(
    SCENARIOS.find(({ name }) => name === "lock-entry"),
    "the scenario is a built-in one",
  );
}

/** Notes every entry; I/O functions that have no node, and so no home to be checked against, are left out. */
function noteIn(facts: Map<string, EntryFact>): AtEntry {
  return (domain, site, home) => {
    const ctx = machine.currentContext;
    if (ctx === null || site === 0 || (domain !== "GS" && home === null)) return;
    const { name, file } = must(siteTable[site - 1], "a site has an entry");
    if (!file.startsWith("core/")) return;
    const fact = factOf(facts, name.replace(/\/.*$/, ""), domain);
    if (home === ctx) fact.atHome ||= ctx !== machine.mainContext;
    else if (home === null ? holdsAnother() : home.lock.owner === ctx) fact.held = true;
    else fact.notHeld = true;
  };
}

function factOf(facts: Map<string, EntryFact>, name: string, domain: Domain): EntryFact {
  let fact = facts.get(name);
  if (fact === undefined) {
    fact = { name, domain, atHome: false, held: false, notHeld: false };
    facts.set(name, fact);
  }
  return fact;
}

function mergeInto(facts: Map<string, EntryFact>, more: ReadonlyMap<string, EntryFact>): void {
  for (const { name, domain, atHome, held, notHeld } of more.values()) {
    const fact = factOf(facts, name, domain);
    fact.atHome ||= atHome;
    fact.held ||= held;
    fact.notHeld ||= notHeld;
  }
}

/** Whether the running thread holds the lock of a context other than its own. */
function holdsAnother(): boolean {
  const me = machine.currentContext;
  return machine.contexts.some((ctx) => ctx !== me && ctx.lock.owner === me);
}
