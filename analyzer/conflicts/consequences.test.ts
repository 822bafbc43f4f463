// Races that another race brings with it: drawn, and against the brute-force order of random traces.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import type { Finding } from "../findings.ts";
import { Oracle } from "../oracle.ts";
import { eventsOf } from "../oracle-kinds.ts";
import { RandomTrace } from "../test-support/random-trace.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

/** Each race with what it is a consequence of, as the sites of both. */
function races(text: string): string[] {
  const found = analyze(traceFromText(text)).findings.filter(({ rule }) => rule === "race");
  const name = ({ accesses }: Finding): string => accesses.map(({ site }) => site.name).join("-");
  return found
    .map((race) => {
      const root = found.find(({ fingerprint }) => fingerprint === race.consequenceOf);
      return root === undefined ? name(race) : `${name(race)} of ${name(root)}`;
    })
    .sort();
}

describe("a race is a consequence", () => {
  it("when the other one lies inside of it", () => {
    const text = `
      main                             | io1
                                       | read file n1 @a; read children n1 @c
      insert children n1 e1 @d         |
      set file n1 e1 @b                |`;
    expect(races(text)).toEqual(["a-b of c-d", "c-d"]);
  });

  it("not when they cross, nor when their first accesses are in different contexts", () => {
    const text = (first: string, second: string): string => `
      main                             | io1                        | io2
                                       | ${first}                   | ${second}
      insert children n1 e1 @d         |                            |
      set file n1 e1 @b                |                            |`;
    expect(races(text("read children n1 @c; read file n1 @a", ""))).toEqual(["a-b", "c-d"]);
    expect(races(text("read file n1 @a", "read children n1 @c"))).toEqual(["a-b", "c-d"]);
  });

  it("of the one at the end of the chain, and of several with one edit the innermost", () => {
    const text = `
      main                             | io1
                                       | read file n1 @a; read children n1 @c; read children n1 @e
      insert children n1 e1 @d         |
      set file n1 e1 @b                |`;
    expect(races(text)).toEqual(["a-b of e-d", "c-d of e-d", "e-d"]);
  });
});

it("on random traces, a race is a consequence if and only if another one lies inside of it", () => {
  let consequences = 0;
  for (let seed = 1; seed <= 120; seed++) {
    const random = new RandomTrace({
      seed,
      events: 100,
      uniqueSites: true,
      exotic: seed % 2 === 0,
      contexts: 2 + (seed % 3),
    });
    const { batches } = random.writer;
    const { findings } = analyze({ batches, sites: random.sites, strings: [""] });
    const found = findings.filter(({ rule }) => rule === "race");
    const order = new Oracle(batches.flatMap(eventsOf), new Set(), "thread");
    for (const race of found) {
      const inside = found.filter((other) => covers(order, other, race));
      expect(race.consequenceOf !== undefined, `seed ${seed}`).toBe(inside.length > 0);
      if (race.consequenceOf === undefined) continue;
      consequences++;
      const root = inside.find(({ fingerprint }) => fingerprint === race.consequenceOf);
      expect(root, `seed ${seed}`).toBeDefined();
      expect(root?.consequenceOf).toBeUndefined();
    }
  }
  expect(consequences).toBeGreaterThan(50);
});

/** Whether the pair of `inner` lies inside that of `outer`, by brute force. */
function covers(order: Oracle, inner: Finding, outer: Finding): boolean {
  const [c, d] = inner.accesses;
  const [a, b] = outer.accesses;
  if (a === undefined || b === undefined || c === undefined || d === undefined) return false;
  if (a.ctx !== c.ctx || a.event > c.event) return false;
  if (d.event === b.event) return a.event < c.event;
  return order.isBefore(d.event, b.event);
}
